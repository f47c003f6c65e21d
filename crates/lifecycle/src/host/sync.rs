//! Where kan meets its child: it notifies init and waits for it, and explains why it does not come.

use crate::host::Host;
use crate::host::hooks;
use crate::os::program::keep_some;
use crate::os::waiting::{self, Watched};
use crate::outer_filter;
use crate::{Error, Result};
use kan_op::Sync;
use kan_sys::fd::AsFd;
use kan_sys::process::{self, Ended};
use kan_sys::{io, socket};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// How often kan looks at an init that it waits for.
const LOOK: Duration = Duration::from_millis(100);

/// How long init may stand still, stopped or frozen, before that is an error. The program of a
/// container may stop its own init, or that of `exec`, while kan waits for it.
const STANDS_STILL: Duration = Duration::from_secs(3);

/// What kan waits for.
#[derive(Clone, Copy)]
enum News {
    /// Something to read from the channel, if only its end.
    Message,
    /// The end of the child.
    End,
}

impl Host<'_> {
    pub(crate) fn receive_listener(&mut self) -> Result<()> {
        self.await_init("init's seccomp listener")?;
        match socket::receive_descriptor(&self.channel) {
            Ok(listener) => {
                self.listener = Some(listener);
                Ok(())
            }
            Err(_) => Err(self.init_error()),
        }
    }

    pub(crate) fn tell(&mut self, sync: Sync) -> Result<()> {
        match io::write(&self.channel, &[sync as u8]) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.init_error()),
        }
    }

    pub(crate) fn wait(&mut self, sync: Sync) -> Result<()> {
        let mut told = [0];
        self.await_init(sync.name())?;
        match io::read(&self.channel, &mut told) {
            Ok(1) if told[0] == sync as u8 => Ok(()),
            _ => Err(self.init_error()),
        }
    }

    /// Waits until init has turned into the container's program, which closes the channel.
    pub(crate) fn wait_for_exec(&mut self) -> Result<()> {
        let mut none = [0];
        self.await_init("the program to be executed")?;
        let is_open = !matches!(io::read(&self.channel, &mut none), Ok(0));
        // Its end closes the channel as well, in whichever step it is.
        let is_early = self.board.step().saturating_add(1) < self.plan.init.steps().len();
        if is_open || is_early || self.board.failure().is_some() {
            return Err(self.init_error());
        }
        Ok(())
    }

    /// Waits until the channel has news of init, or is at its end. What init's hooks say meanwhile is
    /// read, so that no hook waits for a reader.
    ///
    /// Init may run a program of the container's already, or be within reach of one. So kan looks at
    /// it while it waits: one that has failed and yet does not end is killed, and one that stands
    /// still is not waited for.
    fn await_init(&mut self, what: &str) -> Result<()> {
        self.await_news(News::Message, what)
    }

    /// Waits until the child has ended, as [`Self::await_init`].
    pub(crate) fn await_end(&mut self, what: &str) -> Result<()> {
        self.await_news(News::End, what)
    }

    fn await_news(&mut self, news: News, what: &str) -> Result<()> {
        let what = format!("init ({what})");
        let mut still_since = None;
        loop {
            let child = self.child.as_ref().map(|child| child.pidfd.as_fd());
            let source = match news {
                News::Message => self.channel.as_fd(),
                News::End => child.unwrap_or(self.channel.as_fd()),
            };
            let mut watched = vec![Watched::read(source)];
            let errors = self.hook_errors.as_ref();
            watched.extend(errors.map(|errors| Watched::read(errors.as_fd())));
            let is_ready = waiting::wait(&mut watched, Some(LOOK), &what)?;
            let (has_news, has_words) = (
                watched[0].is_ready(),
                watched.get(1).is_some_and(Watched::is_ready),
            );
            if has_news {
                return Ok(());
            }
            if has_words && let Some(errors) = self.hook_errors.take() {
                let is_open = keep_some(&errors, &mut self.hooks_said, hooks::KEPT);
                self.hook_errors = is_open.then_some(errors);
            }
            if is_ready {
                continue;
            }
            if let Some(child) = self
                .child
                .as_ref()
                .filter(|_| self.board.failure().is_some())
            {
                let _ = process::pidfd_send_signal(&child.pidfd, nix::libc::SIGKILL);
            }
            let Some(why) = self.stands_still()? else {
                still_since = None;
                continue;
            };
            let since = *still_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= STANDS_STILL {
                let seconds = STANDS_STILL.as_secs();
                return Err(Error::Step(format!(
                    "wait for {what}: {why} for {seconds} s"
                )));
            }
        }
    }

    /// Why init can't go on by itself, as far as kan can see it.
    fn stands_still(&self) -> Result<Option<String>> {
        let stopped = self.child.as_ref();
        let stopped = stopped.and_then(|child| process::stopped_by(&child.pidfd));
        if let Some(number) = stopped {
            let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
            return Ok(Some(format!("it has been stopped by {name}")));
        }
        if !self.may_be_frozen && kan_cgroup::halted(&self.record.cgroups)? {
            return Ok(Some("its cgroup has been frozen".into()));
        }
        Ok(None)
    }

    /// After `run`'s program was executed. One that fails ends the container (runtime.md).
    pub(crate) fn run_poststart(&mut self) -> Result<()> {
        hooks::run_poststart(&self.record)
    }

    /// Why init is gone: what it wrote on the board, or where it was when it was killed.
    pub(crate) fn init_error(&mut self) -> Error {
        let step = self.board.step();
        if let Some(failure) = self.board.failure() {
            let text = kan_plan::explain_init(self.plan, step, failure);
            let hint = outer_filter::of_init(failure);
            let reason = in_brackets(&self.board.reason());
            return Error::Init(text + &reason + &hint + &self.hook_words());
        }
        if self.child.is_none() {
            return Error::Step("init was not created".into());
        }
        // At once: systemd removes a cgroup, and its counters, when the last process has ended.
        let kills = kan_cgroup::oom_kills(&self.record.cgroups);
        let how = match self.end_child() {
            Some(Ended::Exited(code)) => format!("exited with code {code}"),
            Some(Ended::Signalled(signal)) => format!("was ended by signal {signal}"),
            None => "is gone".into(),
        };
        if kills > 0 {
            return Error::Init(kan_plan::explain_oom(self.plan, step));
        }
        Error::Init(kan_plan::explain_lost(self.plan, step, &how))
    }

    /// Kills the child and reaps it: how it ended, if it did in time. In a frozen cgroup of v1 not even
    /// SIGKILL reaches it: a container that is being made is thawed, and in one that somebody has
    /// paused the child ends when that goes on.
    pub(crate) fn end_child(&mut self) -> Option<Ended> {
        let child = self.child.take()?;
        let _ = process::pidfd_send_signal(&child.pidfd, nix::libc::SIGKILL);
        if self.made_directory().is_some() {
            let _ = kan_cgroup::thaw(&self.record.cgroups);
        } else if kan_cgroup::halted(&self.record.cgroups).unwrap_or(false) {
            return None;
        }
        waiting::end(&child.pidfd)
    }

    /// What init's hooks wrote, when one of them failed.
    fn hook_words(&mut self) -> String {
        if let Some(from) = self.hook_errors.take()
            && io::wait_readable(&from, Some(0)).unwrap_or(false)
        {
            keep_some(&from, &mut self.hooks_said, hooks::KEPT);
        }
        hooks::said(&String::from_utf8_lossy(&self.hooks_said))
    }
}

/// What the kernel or init said of a failure, as the end of a line.
fn in_brackets(reason: &[u8]) -> String {
    if reason.is_empty() {
        return String::new();
    }
    // Whoever traces init may have written it.
    let text = String::from_utf8_lossy(reason);
    format!(" ({})", kan_spec::printable(&text))
}
