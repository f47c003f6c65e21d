//! Runs kan under ptrace(2) and strikes at one exact system call of one of its two processes.
//!
//! strace counts its injections per system call name and per process, so that it can't be told
//! "the 57th call of init, whichever it is", nor "kill the host when init is there". The calls of
//! each process alone are the same in every run, whatever the other does meanwhile.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::moment::{Moment, Watch};
use crate::outcome::{Fault, Outcome};
use crate::registers;
use crate::tracees::{adopted_tracees, is_clone, release};

/// The first argument of the launcher.
pub const LAUNCH: &str = "--launch";
/// `op` of PTRACE_GET_SYSCALL_INFO.
const ENTRY: u8 = 1;

/// One of kan's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The command itself.
    Host,
    /// The child that becomes the container.
    Init,
}

/// What happens at the entry of the call; the call itself is not performed, but for `Look`.
pub enum Deed<'a> {
    /// SIGKILL to these.
    Kill {
        /// The command.
        host: bool,
        /// The child, if it is there already.
        init: bool,
    },
    /// The call fails.
    Fail(Errno),
    /// Every call of this name fails, whatever its index.
    FailEach(&'static str, Errno),
    /// Something is done while the process stands still.
    Look(&'a mut dyn FnMut(Pid)),
}

/// Where and what.
pub struct Strike<'a> {
    /// Whose call.
    pub role: Role,
    /// Which one, from 0, counted from its execve(2) or its clone on.
    pub index: usize,
    /// Calls that are spared although their turn has come.
    pub unless: fn(&str) -> bool,
    /// What happens then.
    pub deed: Deed<'a>,
}

/// Looks at each call of the command itself, by number: at its entry (`true`) and at its exit.
pub type Audit<'a> = &'a mut dyn FnMut(Pid, u64, bool);

/// Who takes part in a trace.
#[derive(Default)]
struct Eyes<'a> {
    strike: Option<Strike<'a>>,
    watch: Option<Watch<'a>>,
    audit: Option<Audit<'a>>,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with a code.
    Exited(i32),
    /// A signal ended it.
    Signalled(Signal),
}

/// What was seen.
#[derive(Debug)]
pub struct Trace {
    /// How the command ended.
    pub ended: Ended,
    /// The calls of the host and of init up to its execve(2), by number.
    pub calls: [Vec<u64>; 2],
    /// The call that was struck, if it came.
    pub struck: Option<u64>,
}

/// Waits in the process that is to be traced until the tracer is ready, then executes `command`.
/// The byte comes once the tracer has seized this process.
pub fn launch(command: &[String]) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    let mut go = [0];
    if let Err(error) = std::io::Read::read_exact(&mut std::io::stdin(), &mut go) {
        return error;
    }
    Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .exec()
}

/// Runs a command to its end; what it leaves behind runs on untraced.
///
/// # Errors
/// If it can't be traced.
pub fn run(
    command: &[String],
    out: &File,
    err: &File,
    strike: Option<Strike<'_>>,
) -> Outcome<Trace> {
    run_disguised(command, out, err, strike, &|_| Ok(()))
}

/// The same after `disguise` has changed the surroundings of the process that will be the command.
///
/// # Errors
/// If it can't be traced, and those of `disguise`.
pub fn run_disguised(
    command: &[String],
    out: &File,
    err: &File,
    strike: Option<Strike<'_>>,
    disguise: &dyn Fn(Pid) -> Outcome,
) -> Outcome<Trace> {
    let eyes = Eyes {
        strike,
        ..Eyes::default()
    };
    follow(command, &[], [out, err], eyes, disguise)
}

/// The same with variables in the command's environment, and a look at each of its children before
/// its first instruction, at each of its calls and after its execve(2).
///
/// # Errors
/// If it can't be traced.
pub fn watch(
    command: &[String],
    variables: &[(&str, &str)],
    out: &File,
    err: &File,
    watch: Watch<'_>,
) -> Outcome<Trace> {
    let eyes = Eyes {
        watch: Some(watch),
        ..Eyes::default()
    };
    follow(command, variables, [out, err], eyes, &|_| Ok(()))
}

/// Runs a command and looks at its own calls.
///
/// # Errors
/// If it can't be traced, and those of `disguise`.
pub fn audit(
    command: &[String],
    variables: &[(&str, &str)],
    outputs: [&File; 2],
    audit: Audit<'_>,
    disguise: &dyn Fn(Pid) -> Outcome,
) -> Outcome<Trace> {
    let eyes = Eyes {
        audit: Some(audit),
        ..Eyes::default()
    };
    follow(command, variables, outputs, eyes, disguise)
}

fn follow(
    command: &[String],
    variables: &[(&str, &str)],
    [out, err]: [&File; 2],
    eyes: Eyes<'_>,
    disguise: &dyn Fn(Pid) -> Outcome,
) -> Outcome<Trace> {
    let mut launcher = Command::new(std::env::current_exe()?);
    launcher.arg(LAUNCH).args(command);
    launcher.env_clear().envs(variables.iter().copied());
    launcher.stdin(Stdio::piped());
    launcher.stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = launcher.spawn()?;
    let host = Pid::from_raw(child.id().cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(host, options)?;
    disguise(host)?;
    if let Some(mut go) = child.stdin.take() {
        go.write_all(b"g")?;
    }
    let mut tracer = Tracer {
        host,
        children: Vec::new(),
        begun: Vec::new(),
        strike: eyes.strike,
        watch: eyes.watch,
        audit: eyes.audit,
        calls: [Vec::new(), Vec::new()],
        struck: None,
        is_over: false,
        failing: None,
        running: false,
    };
    let ended = tracer.follow()?;
    tracer.release_children()?;
    Ok(Trace {
        ended,
        calls: tracer.calls,
        struck: tracer.struck,
    })
}

struct Tracer<'a> {
    host: Pid,
    /// Its living children and theirs, as long as they run kan's code: helpers, and at last init.
    children: Vec<Pid>,
    /// Those of them whose first stop is past.
    begun: Vec<Pid>,
    strike: Option<Strike<'a>>,
    watch: Option<Watch<'a>>,
    audit: Option<Audit<'a>>,
    calls: [Vec<u64>; 2],
    struck: Option<u64>,
    /// Whether the strike's turn is past.
    is_over: bool,
    /// Who is in a call that is to fail, and how.
    failing: Option<(Pid, Errno)>,
    /// Whether the launcher has become kan.
    running: bool,
}

impl Tracer<'_> {
    /// Until the host has ended.
    fn follow(&mut self) -> Outcome<Ended> {
        loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL))?;
            let Some(pid) = status.pid() else { continue };
            match status {
                WaitStatus::Exited(_, code) if pid == self.host => return Ok(Ended::Exited(code)),
                WaitStatus::Signaled(_, signal, _) if pid == self.host => {
                    return Ok(Ended::Signalled(signal));
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => self.forget(pid),
                _ => self.stopped(pid, status).or_else(gone)?,
            }
        }
    }

    /// A child may stop before its maker reports it, and the maker may be killed in between.
    fn announce(&mut self, child: Pid) {
        if !self.children.contains(&child) {
            self.children.push(child);
        }
    }

    fn forget(&mut self, pid: Pid) {
        self.children.retain(|child| *child != pid);
        self.begun.retain(|child| *child != pid);
    }

    fn look(&mut self, pid: Pid, moment: Moment) {
        if let Some(watch) = self.watch.as_mut().filter(|_| pid != self.host) {
            watch(pid, moment);
        }
    }

    fn stopped(&mut self, pid: Pid, status: WaitStatus) -> Result<(), Errno> {
        // It may come before its maker's news of it.
        if pid != self.host && !self.begun.contains(&pid) {
            self.begun.push(pid);
            self.announce(pid);
            self.look(pid, Moment::Begin);
        }
        match status {
            WaitStatus::PtraceSyscall(_) => return self.at_call(pid),
            WaitStatus::PtraceEvent(_, _, event) => return self.at_event(pid, event),
            WaitStatus::Stopped(_, signal) => return self.resume(pid, Some(signal)),
            _ => {}
        }
        self.resume(pid, None)
    }

    fn at_event(&mut self, pid: Pid, event: i32) -> Result<(), Errno> {
        if event == nix::libc::PTRACE_EVENT_EXEC {
            if pid != self.host {
                // From here on it is the container's program.
                self.look(pid, Moment::Executed);
                self.forget(pid);
                return ptrace::detach(pid, None);
            }
            // The launcher's own execve(2) may come late enough to be seen.
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            self.running = !words
                .windows(LAUNCH.len())
                .any(|text| text == LAUNCH.as_bytes());
        }
        if is_clone(event) {
            let child = i32::try_from(ptrace::getevent(pid)?).map_err(|_| Errno::EOVERFLOW)?;
            self.announce(Pid::from_raw(child));
        }
        self.resume(pid, None)
    }

    /// Calls are of interest until the strike is over, or to the end if there was none.
    fn resume(&self, pid: Pid, signal: Option<Signal>) -> Result<(), Errno> {
        if self.running && (!self.is_over || self.failing.is_some()) {
            ptrace::syscall(pid, signal)
        } else {
            ptrace::cont(pid, signal)
        }
    }

    fn at_call(&mut self, pid: Pid) -> Result<(), Errno> {
        let is_entry = ptrace::syscall_info(pid)?.op == ENTRY;
        if let Some(audit) = self.audit.as_mut().filter(|_| pid == self.host) {
            audit(pid, registers::call_number(pid)?, is_entry);
        }
        if !is_entry {
            if let Some((_, errno)) = self.failing.take_if(|(who, _)| *who == pid) {
                registers::set_result(pid, errno)?;
            }
            return self.resume(pid, None);
        }
        let role = if pid == self.host {
            Role::Host
        } else {
            Role::Init
        };
        let index = self.calls[role as usize].len();
        let number = registers::call_number(pid)?;
        self.calls[role as usize].push(number);
        self.look(pid, Moment::Call(number));
        if let Some(Strike {
            deed: Deed::FailEach(name, errno),
            ..
        }) = &self.strike
            && role == Role::Host
            && registers::name(number) == *name
        {
            registers::skip_call(pid)?;
            self.failing = Some((pid, *errno));
        }
        let here = |strike: &mut Strike<'_>| strike.role == role && strike.index == index;
        let strike = self.strike.take_if(here);
        self.is_over |= strike.is_some();
        match strike {
            Some(strike) if (strike.unless)(registers::name(number)) => self.resume(pid, None),
            Some(strike) => {
                self.struck = Some(number);
                self.strike(pid, strike.deed)
            }
            None => self.resume(pid, None),
        }
    }

    fn strike(&mut self, pid: Pid, deed: Deed<'_>) -> Result<(), Errno> {
        match deed {
            Deed::Kill { host, init } => {
                return self.kill(pid, host, init);
            }
            Deed::Fail(errno) => {
                registers::skip_call(pid)?;
                self.failing = Some((pid, errno));
            }
            Deed::FailEach(..) => {}
            Deed::Look(look) => look(pid),
        }
        self.resume(pid, None)
    }

    /// A killed host is not waited for here: `follow` sees its end. Init, if it is to survive,
    /// goes on untraced once the host is dead, from where it stands.
    fn kill(&mut self, at: Pid, host: bool, init: bool) -> Result<(), Errno> {
        if host {
            kill(self.host, Signal::SIGKILL)?;
        }
        if init && !self.children.is_empty() {
            for pid in &self.children {
                kill(*pid, Signal::SIGKILL)?;
            }
        } else if at != self.host {
            await_death(self.host);
            self.forget(at);
            return ptrace::detach(at, None);
        }
        if host {
            Ok(())
        } else {
            self.resume(self.host, None).or_else(running)
        }
    }

    /// Lets children that outlive the command go on by themselves.
    fn release_children(&mut self) -> Outcome {
        loop {
            while let Some(pid) = self.children.pop() {
                if ptrace::interrupt(pid).is_ok() {
                    let is_begun = self.begun.contains(&pid);
                    let watch = self.watch.as_mut();
                    let watch = watch.filter(|_| is_begun);
                    release(pid, watch, &mut self.children)?;
                }
            }
            self.children = adopted_tracees()?;
            if self.children.is_empty() {
                return Ok(());
            }
        }
    }
}

/// A process that was just killed is gone when its stop is resumed; its end comes next.
fn gone(errno: Errno) -> Outcome {
    match errno {
        Errno::ESRCH => Ok(()),
        errno => Err(Fault(format!("ptrace: {errno}"))),
    }
}

/// A host that is not stopped needs no resuming.
fn running(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::ESRCH {
        Ok(())
    } else {
        Err(errno)
    }
}

/// Waits without reaping, so that `follow` still sees how it ended.
fn await_death(pid: Pid) {
    use nix::sys::wait::{Id, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
    while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
}
