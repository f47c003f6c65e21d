//! `run` and `exec` without `--detach`: signals go in, the terminal's characters both ways, children
//! are reaped, and the process's exit code comes out.

use crate::error::during;
use crate::host::notify::Relay;
use crate::host::terminal::console::Console;
use crate::{Error, Result};
use kan_spec::config::Config;
use kan_spec::config::ConsoleSize;
use kan_sys::fd::{AsFd, OwnedFd};
use kan_sys::process::{Child, Ended, pidfd_send_signal, reap_any};
use kan_sys::{io, process, signal, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The container's terminal has the size of kan's own from the start, before its program looks.
pub(crate) fn size_terminal(config: &mut Config) {
    let process = config.process.as_mut().filter(|process| process.terminal);
    if let Some(process) = process
        && let Some((width, height)) = crate::host::terminal::own_terminal::size()
    {
        process.console_size = Some(ConsoleSize { width, height });
    }
}

/// A kan that stays with its container.
pub(crate) struct Foreground {
    signals: SignalFd,
}

impl Foreground {
    /// Before the clone, so that no signal is lost: from here on all wait in a descriptor.
    /// Init unblocks them for itself.
    pub(crate) fn prepare(subreaper: bool) -> Result<Self> {
        let signals = take_over(&taken_over())?;
        if subreaper {
            process::set_subreaper().map_err(during("become a subreaper"))?;
        }
        Ok(Self { signals })
    }

    /// Stays until the process has ended, and its terminal is read to its end.
    pub(crate) fn stay(
        self,
        child: &Child,
        console: Option<OwnedFd>,
        relay: Option<Relay>,
    ) -> kan_sys::Result<Ended> {
        let mut console = match console {
            Some(console) => Some(Console::new(socket::receive_descriptor(console)?)),
            None => None,
        };
        loop {
            self.wait_for_anything(console.as_ref(), relay.as_ref());
            // A manager that does not listen any more does not end the container.
            let _ = relay.as_ref().map(Relay::pass_on);
            // Before keys: a new size came before what is typed in it.
            for signal in read_signals(&self.signals) {
                pass_on(signal, child, console.as_mut());
            }
            if let Some(console) = &mut console {
                console.copy();
            }
            if let Some(ended) = reap(child)? {
                if let Some(console) = console {
                    self.finish(console);
                }
                return Ok(ended);
            }
        }
    }

    /// Copies what the process wrote before it ended. There is nobody left to pass a signal on to: one
    /// that asks kan to end does so.
    fn finish(&self, mut console: Console) {
        console.finish();
        while console.has_more() {
            self.wait_for_anything(Some(&console), None);
            console.copy();
            for signal in read_signals(&self.signals) {
                match i32::try_from(signal).map(Signal::try_from) {
                    Ok(Ok(Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP)) => return,
                    Ok(Ok(Signal::SIGCONT)) => console.resume(),
                    _ => {}
                }
            }
        }
    }

    fn wait_for_anything(&self, console: Option<&Console>, relay: Option<&Relay>) {
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(relay.map(|relay| PollFd::new(relay.as_fd(), PollFlags::POLLIN)));
        let limit = console.map_or(PollTimeout::NONE, |console| console.watch(&mut watched));
        let _ = poll(&mut watched, limit);
    }
}

/// Blocks these signals, and hears of them by a descriptor.
pub(crate) fn take_over(signals: &SigSet) -> Result<SignalFd> {
    let failed = |errno: nix::Error| Error::Step(format!("take over signals: {errno}"));
    signals.thread_block().map_err(failed)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(signals, flags).map_err(failed)
}

/// The numbers of the signals that have come. A read that gives less than asked for was the last.
fn read_signals(from: &SignalFd) -> Vec<u32> {
    /// `struct signalfd_siginfo`, which begins with the number.
    const SIZE: usize = 128;
    let (mut found, mut infos) = (Vec::new(), [0; 16 * SIZE]);
    while let Ok(count) = io::read(from, &mut infos) {
        let all = infos[..count].chunks_exact(SIZE);
        found.extend(all.map(|info| u32::from_ne_bytes([info[0], info[1], info[2], info[3]])));
        if count < infos.len() {
            break;
        }
    }
    found
}

/// All but those that kan's caller ignores, which are not for the container either, and those that
/// stop kan when it uses its terminal in the background, as they should.
pub(crate) fn taken_over() -> SigSet {
    let mut signals = SigSet::all();
    signals.remove(Signal::SIGTTIN);
    signals.remove(Signal::SIGTTOU);
    for kept in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        if is_ignored(kept) {
            signals.remove(kept);
        }
    }
    signals
}

pub(crate) fn is_ignored(signal: Signal) -> bool {
    let number = u32::try_from(signal as i32).unwrap_or(0);
    signal::is_ignored(number).unwrap_or(false)
}

/// Reaps all that has ended; the container's init among them gives the end.
fn reap(child: &Child) -> kan_sys::Result<Option<Ended>> {
    while let Some((pid, ended)) = reap_any()? {
        if pid == child.pid {
            return Ok(Some(ended));
        }
    }
    Ok(None)
}

/// What kan gets, the container gets; but what is about kan's own children and descriptors.
fn pass_on(signal: u32, child: &Child, console: Option<&mut Console>) {
    let Some(signal) = i32::try_from(signal).ok() else {
        return;
    };
    match (Signal::try_from(signal), console) {
        (Ok(Signal::SIGCHLD | Signal::SIGURG | Signal::SIGPIPE | Signal::SIGXFSZ), _) => return,
        (Ok(Signal::SIGWINCH), Some(console)) => return console.resize(),
        (Ok(Signal::SIGCONT), Some(console)) => console.resume(),
        _ => {}
    }
    // The container may just have ended.
    let _ = pidfd_send_signal(&child.pidfd, signal);
}
