//! A connection: authentication, calls, and the signals that come in between.

use crate::address::Address;
use crate::error::during;
use crate::message::{Call, FIXED, Kind, Received, rest_length};
use crate::{Error, Result};
use kan_sys::Errno;
use kan_sys::waiting::{self, Watch};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long systemd may think about an answer: runc gives it as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// An authenticated connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Patient,
    serial: u32,
    /// Signals that came while a reply was waited for, oldest first.
    signals: Vec<Received>,
}

impl Connection {
    /// Connects and authenticates. No identity is claimed: the other end knows the socket's
    /// credentials, and a user id that is another one outside a user namespace would only confuse
    /// it. All lines are sent at once, since their answers are known.
    pub(crate) fn open(address: &Address) -> Result<Self> {
        let connected = match address {
            Address::Path(path) => waiting::connect(path.as_os_str().as_bytes()),
            Address::Abstract(name) => waiting::connect(&[&[0], name.as_slice()].concat()),
        };
        let stream = connected.map_err(in_io).map_err(during("connect"))?;
        Self::over(stream.into(), PATIENCE)
    }

    fn over(stream: UnixStream, patience: Duration) -> Result<Self> {
        let mut stream = Patient::new(stream, patience).map_err(during("set a timeout"))?;
        stream
            .write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
            .map_err(during("authenticate"))?;
        let asked = line(&mut stream)?;
        let granted = line(&mut stream)?;
        if !asked.starts_with("DATA") || !granted.starts_with("OK") {
            return Err(Error::Protocol("the answer to the authentication"));
        }
        Ok(Self {
            stream,
            serial: 0,
            signals: Vec::new(),
        })
    }

    /// Calls a method and waits for its reply.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Received> {
        self.serial += 1;
        self.renew();
        let bytes = call.encode(self.serial)?;
        self.stream
            .write_all(&bytes)
            .map_err(during("send a call"))?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Return if message.reply_to == self.serial => return Ok(message),
                Kind::Error if message.reply_to == self.serial => {
                    return Err(message.into_error());
                }
                Kind::Signal => self.signals.push(message),
                _ => {}
            }
        }
    }

    /// From here on all answers together may take as long as one call.
    pub(crate) fn renew(&mut self) {
        self.stream.until = Instant::now() + self.stream.patience;
    }

    /// The next signal, waited for if none has come yet.
    pub(crate) fn signal(&mut self) -> Result<Received> {
        if !self.signals.is_empty() {
            return Ok(self.signals.remove(0));
        }
        loop {
            let message = self.receive()?;
            if message.kind == Kind::Signal {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self) -> Result<Received> {
        let mut fixed = [0; FIXED];
        let answer = || during("wait for an answer");
        self.stream.read_exact(&mut fixed).map_err(answer())?;
        let mut bytes = fixed.to_vec();
        bytes.resize(FIXED + rest_length(&fixed)?, 0);
        self.stream
            .read_exact(&mut bytes[FIXED..])
            .map_err(answer())?;
        Received::decode(&bytes)
    }
}

/// A stream that gives up when all its patience is spent, or when kan is told to stop.
#[derive(Debug)]
struct Patient {
    stream: UnixStream,
    patience: Duration,
    until: Instant,
}

impl Patient {
    fn new(stream: UnixStream, patience: Duration) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            patience,
            until: Instant::now() + patience,
        })
    }

    /// Waits for the stream.
    fn ready(&self, mut watch: Watch<'_>) -> std::io::Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        match waiting::wait(std::slice::from_mut(&mut watch), Some(left)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::TimedOut.into()),
            // Not as EINTR, which the standard library passes over.
            Err(error) if error.errno == Errno::EINTR => Err(std::io::Error::other("interrupted")),
            Err(error) => Err(in_io(error)),
        }
    }
}

fn in_io(error: kan_sys::Error) -> std::io::Error {
    std::io::Error::from_raw_os_error(error.errno.into_raw())
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.ready(Watch::read(self.stream.as_fd()))?;
        self.stream.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.ready(Watch::write(self.stream.as_fd()))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// A line of the authentication, without its end. Read byte by byte: what follows the last one
/// are messages.
fn line(stream: &mut Patient) -> Result<String> {
    const LONGEST: usize = 1024;
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n") {
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .map_err(during("authenticate"))?;
        text.extend(byte);
        if text.len() > LONGEST {
            return Err(Error::Protocol("an endless line"));
        }
    }
    Ok(String::from_utf8_lossy(&text).trim_end().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kan_op::unit::Value;

    /// What a bus that answers with `answers` makes of one call.
    fn called(answers: &[&[u8]]) -> Result<Received> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        for answer in answers {
            theirs.write_all(answer).unwrap();
        }
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        Connection::over(ours, PATIENCE)?.call(&call(&[Value::Bool(true)]))
    }

    fn call(body: &[Value]) -> Call<'_> {
        Call {
            destination: "d",
            path: "/p",
            interface: "i.i",
            member: "M",
            body,
        }
    }

    /// A message of a kind, with fields and a body, all small.
    fn message(kind: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
        let short = |length: usize| u8::try_from(length).unwrap();
        let mut bytes = vec![b'l', kind, 0, 1, short(body.len()), 0, 0, 0, 9, 0, 0, 0];
        bytes.extend([short(fields.len()), 0, 0, 0]);
        bytes.extend(fields);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(body);
        bytes
    }

    const GREETING: &[u8] = b"DATA\r\nOK 0123\r\n";
    /// REPLY_SERIAL 1.
    const TO_FIRST: &[u8] = &[5, 1, b'u', 0, 1, 0, 0, 0];

    #[test]
    fn a_reply_is_found_behind_signals() {
        let (signal, reply) = (message(4, &[], &[]), message(2, TO_FIRST, &[]));
        let got = called(&[GREETING, &signal, &reply]).unwrap();
        assert_eq!(got.kind, Kind::Return);
    }

    #[test]
    fn a_reply_to_another_call_is_none() {
        let other = message(2, &[5, 1, b'u', 0, 2, 0, 0, 0], &[]);
        assert!(matches!(called(&[GREETING, &other]), Err(Error::Io { .. })));
    }

    #[test]
    fn an_error_reply_is_an_error_with_its_text() {
        let fields = [
            TO_FIRST,
            &[
                4, 1, b's', 0, 3, 0, 0, 0, b'a', b'.', b'b', 0, 0, 0, 0, 0, 8, 1, b'g', 0, 1, b's',
                0,
            ],
        ];
        let body = [2, 0, 0, 0, b'n', b'o', 0];
        let error = called(&[GREETING, &message(3, &fields.concat(), &body)]).unwrap_err();
        assert_eq!(error.to_string(), "systemd: no (a.b)");
    }

    #[test]
    fn a_refused_authentication_is_an_error() {
        let refused = called(&[b"REJECTED EXTERNAL\r\nERROR\r\n"]);
        assert!(matches!(refused, Err(Error::Protocol(_))));
        assert!(matches!(called(&[b"DATA\r\n"]), Err(Error::Io { .. })));
    }

    /// Calls one who behaves as `other` says after the greeting; whether time ran out, which has to
    /// be soon.
    fn is_given_up(body: &[Value], other: fn(UnixStream)) -> bool {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(GREETING).unwrap();
        let peer = std::thread::spawn(move || other(theirs));
        let began = Instant::now();
        let mut connection = Connection::over(ours, Duration::from_millis(200)).unwrap();
        let answer = connection.call(&call(body));
        assert!(began.elapsed() < Duration::from_secs(1), "{answer:?}");
        drop(connection);
        peer.join().unwrap();
        let kinds = [std::io::ErrorKind::TimedOut, std::io::ErrorKind::WouldBlock];
        matches!(answer, Err(Error::Io { source, .. }) if kinds.contains(&source.kind()))
    }

    /// Every read is answered in time, and the reply never comes.
    #[test]
    fn signals_without_end_are_given_up() {
        assert!(is_given_up(&[], |mut theirs| {
            for _ in 0..100 {
                let signal = message(4, &[], &[]);
                if theirs.write_all(&signal).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }));
    }

    #[test]
    fn a_message_in_crumbs_is_given_up() {
        assert!(is_given_up(&[], |mut theirs| {
            let long = message(2, TO_FIRST, &[0; 200]);
            for byte in long {
                if theirs.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }));
    }

    #[test]
    fn one_who_does_not_read_is_given_up() {
        let long = Value::Text("x".repeat(900_000));
        assert!(is_given_up(&[long], |theirs| {
            std::thread::sleep(Duration::from_secs(2));
            drop(theirs);
        }));
    }
}
