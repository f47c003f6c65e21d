//! Messages: D-Bus Specification, Message Protocol.

use crate::wire::{Reader, Writer};
use crate::{Error, Result};
use kan_op::unit::Value;

/// The part of the header that tells how long the message is.
pub(crate) const FIXED: usize = 16;

/// No reply of systemd's is nearly as long.
const LONGEST: usize = 1 << 20;

/// The kinds of message (the second byte).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// "Unknown types must be ignored."
    Unknown,
}

/// A method call to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'c> {
    pub(crate) destination: &'c str,
    pub(crate) path: &'c str,
    pub(crate) interface: &'c str,
    pub(crate) member: &'c str,
    pub(crate) body: &'c [Value],
}

/// The header fields that are used here, by their numbers.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

impl Call<'_> {
    /// The whole message.
    pub(crate) fn encode(&self, serial: u32) -> Result<Vec<u8>> {
        let mut body = Writer::default();
        self.body.iter().for_each(|value| body.value(value));
        let body = body.finish()?;
        let mut w = Writer::default();
        // Little-endian, a call, no flags, version 1 of the protocol.
        [b'l', 1, 0, 1].into_iter().for_each(|byte| w.byte(byte));
        w.u32(u32::try_from(body.len()).map_err(|_| Error::Protocol("a body too long"))?);
        w.u32(serial);
        let signature: String = self.body.iter().map(Value::signature).collect();
        w.array(8, |w| {
            for (code, kind, text) in [
                (PATH, "o", self.path),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (DESTINATION, "s", self.destination),
            ] {
                w.align(8);
                w.byte(code);
                w.signature(kind);
                w.text(text);
            }
            if !signature.is_empty() {
                w.align(8);
                w.byte(SIGNATURE);
                w.signature("g");
                w.signature(&signature);
            }
        });
        w.align(8);
        let mut bytes = w.finish()?;
        bytes.extend(body);
        Ok(bytes)
    }
}

/// A message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) kind: Kind,
    pub(crate) member: String,
    pub(crate) error: String,
    pub(crate) reply_to: u32,
    signature: String,
    body: Vec<u8>,
    is_big: bool,
}

/// How many bytes follow the fixed part of a header.
pub(crate) fn rest_length(fixed: &[u8; FIXED]) -> Result<usize> {
    let mut reader = Reader::new(fixed, fixed[0] == b'B');
    reader.u32()?;
    let body = reader.length()?;
    reader.u32()?;
    let fields = reader.length()?.next_multiple_of(8);
    match body.checked_add(fields) {
        Some(length) if length <= LONGEST => Ok(length),
        _ => Err(Error::Protocol("a message that is too long")),
    }
}

impl Received {
    /// Reads a whole message.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let is_big = bytes.first() == Some(&b'B');
        let mut reader = Reader::new(bytes, is_big);
        reader.byte()?;
        let kind = match reader.byte()? {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Unknown,
        };
        let mut message = Self {
            kind,
            member: String::new(),
            error: String::new(),
            reply_to: 0,
            signature: String::new(),
            body: Vec::new(),
            is_big,
        };
        // Flags, version, length of the body, serial.
        let (_, _, _, _) = (reader.byte()?, reader.byte()?, reader.u32()?, reader.u32()?);
        let length = reader.length()?;
        let end = reader.at() + length;
        while reader.at() < end {
            message.field(&mut reader)?;
        }
        reader.align(8);
        message.body = bytes.get(reader.at()..).unwrap_or_default().to_vec();
        Ok(message)
    }

    /// One header field: a byte that says which, and a variant.
    fn field(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        reader.align(8);
        let code = reader.byte()?;
        match (reader.signature()?, code) {
            ("s" | "o", MEMBER) => self.member = reader.text()?.into(),
            ("s", ERROR_NAME) => self.error = reader.text()?.into(),
            ("u", REPLY_SERIAL) => self.reply_to = reader.u32()?,
            ("g", SIGNATURE) => self.signature = reader.signature()?.into(),
            ("s" | "o", _) => drop(reader.text()?),
            ("g", _) => drop(reader.signature()?),
            ("u", _) => drop(reader.u32()?),
            _ => return Err(Error::Protocol("a header field of an unknown type")),
        }
        Ok(())
    }

    /// The texts of the body, up to the first value that is neither text nor number.
    pub(crate) fn texts(&self) -> Result<Vec<&str>> {
        let mut reader = Reader::new(&self.body, self.is_big);
        let mut texts = Vec::new();
        let mut kinds = self.signature.as_str();
        while let Some(kind) = kinds.chars().next() {
            kinds = &kinds[kind.len_utf8()..];
            match kind {
                's' | 'o' => texts.push(reader.text()?),
                'u' => drop(reader.u32()?),
                'v' if reader.signature()? == "s" => texts.push(reader.text()?),
                _ => break,
            }
        }
        Ok(texts)
    }

    /// What an error reply says.
    pub(crate) fn into_error(self) -> Error {
        let text = self.texts().ok().and_then(|all| all.first().copied());
        Error::Reply {
            text: text.unwrap_or("no text").into(),
            name: self.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Call<'static> {
        Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            body: &[],
        }
    }

    /// Spelled out by hand from the specification.
    #[test]
    fn a_call_without_a_body() {
        let bytes = hello().encode(1).unwrap();
        let expected = b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0\
            \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
            \x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x03\x01s\0\x05\0\0\0Hello\0\0\0\
            \x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
        assert_eq!(bytes, expected);
        let fixed: &[u8; FIXED] = bytes[..FIXED].try_into().unwrap();
        assert_eq!(rest_length(fixed).unwrap(), bytes.len() - FIXED);
    }

    #[test]
    fn what_was_written_is_read() {
        let body = [Value::Uint32(7), Value::Text("done".into())];
        let call = Call {
            body: &body,
            ..hello()
        };
        let read = Received::decode(&call.encode(3).unwrap()).unwrap();
        assert_eq!(read.kind, Kind::Call);
        assert_eq!(read.member, "Hello");
        assert_eq!(read.texts().unwrap(), ["done"]);
    }

    /// A reply cut anywhere is an error or says less, and is no panic.
    #[test]
    fn no_cut_message_panics() {
        let body = [Value::Text("x".into())];
        let call = Call {
            body: &body,
            ..hello()
        };
        let bytes = call.encode(3).unwrap();
        for end in 0..bytes.len() {
            if let Ok(read) = Received::decode(&bytes[..end]) {
                assert!(read.texts().map_or(true, |texts| texts.is_empty()), "{end}");
            }
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        let mut fixed = [0; FIXED];
        fixed[0] = b'l';
        fixed[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(rest_length(&fixed).is_err());
    }
}
