//! The commands that do something instead of reporting.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};

use crate::{kernel, status};

/// Sends itself a signal; PID 1 of a namespace survives most of them, which is code 98.
pub fn die_by(number: &str) -> Result<i32, String> {
    let signal = number
        .parse()
        .map_err(|_| format!("signal: not a number: {number}"))?;
    kernel::kill_self(signal).map_err(|e| format!("kill: {e}"))?;
    Ok(98)
}

/// Waits without touching any signal's action.
pub fn pause() -> Result<i32, String> {
    say("ready");
    kernel::wait_forever()
}

/// Waits for TERM and then exits with `code`; with `names` prints each signal it gets.
pub fn until_term(code: i32, names: bool) -> Result<i32, String> {
    kernel::block_all_signals();
    say("ready");
    loop {
        let signal = kernel::next_signal().map_err(|e| format!("sigwaitinfo: {e}"))?;
        if names {
            say(&format!("signal {}", status::signal_name(signal)));
        }
        if signal == libc::SIGTERM {
            return Ok(code);
        }
    }
}

/// Adds text and a newline to a file, making it if need be; with empty text only makes it.
pub fn write(file: &str, text: &str) -> Result<i32, String> {
    let told = |e: io::Error| format!("{file}: {e}");
    let mut handle = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .map_err(told)?;
    if !text.is_empty() {
        writeln!(handle, "{text}").map_err(told)?;
    }
    Ok(0)
}

/// Tells the service manager something, sd_notify(3), and waits for TERM.
pub fn notify(texts: &[&str]) -> Result<i32, String> {
    let path = std::env::var("NOTIFY_SOCKET").map_err(|_| "no NOTIFY_SOCKET")?;
    let told = |e: io::Error| format!("{path}: {e}");
    let socket = std::os::unix::net::UnixDatagram::unbound().map_err(told)?;
    let message = texts.join("\n");
    socket.send_to(message.as_bytes(), &path).map_err(told)?;
    until_term(0, false)
}

/// Becomes another program, to which SIGALRM is sent after so long.
pub fn with_alarm(milliseconds: &str, program: &[&str]) -> Result<i32, String> {
    let number = milliseconds
        .parse()
        .map_err(|_| format!("after: not a number: {milliseconds}"))?;
    kernel::arm_timer(number).map_err(|e| format!("setitimer: {e}"))?;
    become_program(program)
}

/// Becomes another program, with this timer slack.
pub fn with_timer_slack(nanoseconds: &str, program: &[&str]) -> Result<i32, String> {
    let number = nanoseconds
        .parse()
        .map_err(|_| format!("slack: not a number: {nanoseconds}"))?;
    kernel::set_timer_slack(number).map_err(|e| format!("prctl: {e}"))?;
    become_program(program)
}

/// execvp(3).
fn become_program(words: &[&str]) -> Result<i32, String> {
    use std::os::unix::process::CommandExt as _;
    let (name, rest) = words.split_first().ok_or("no program")?;
    let error = std::process::Command::new(name).args(rest).exec();
    Err(format!("{name}: {error}"))
}

/// Prints a file.
pub fn cat(file: &str) -> Result<i32, String> {
    let bytes = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    io::stdout()
        .write_all(&bytes)
        .map_err(|e| format!("stdout: {e}"))?;
    Ok(0)
}

/// Copies standard input to standard output.
pub fn copy_stdin() -> Result<i32, String> {
    let mut bytes = Vec::new();
    io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|e| format!("stdin: {e}"))?;
    io::stdout()
        .write_all(&bytes)
        .map_err(|e| format!("stdout: {e}"))?;
    Ok(0)
}

/// Leaves a grandchild without its parent, prints whose child it became, then ends it.
///
/// With a PID namespace that is PID 1; without, the nearest subreaper.
pub fn spawn_orphan() -> Result<i32, String> {
    let told = |e: io::Error| format!("fork: {e}");
    let child = kernel::fork().map_err(told)?;
    if child != 0 {
        kernel::wait_for(child).map_err(told)?;
        return until_term(0, false);
    }
    let middle = std::process::id();
    if kernel::fork().map_err(told)? == 0 {
        while u32::try_from(kernel::family().2) == Ok(middle) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        say(&format!(
            "orphan {} of {}",
            std::process::id(),
            kernel::family().2
        ));
    }
    Ok(0)
}

/// Prints `rows columns` of the terminal on standard input.
pub fn print_size() -> Result<i32, String> {
    let (rows, columns) = kernel::window_size(0).map_err(|e| format!("TIOCGWINSZ: {e}"))?;
    say(&format!("size {rows} {columns}"));
    Ok(0)
}

/// Prints the size of the terminal, again at each WINCH, until TERM.
pub fn watch_size() -> Result<i32, String> {
    kernel::block_all_signals();
    loop {
        print_size()?;
        let signal = kernel::next_signal().map_err(|e| format!("sigwaitinfo: {e}"))?;
        if signal == libc::SIGTERM {
            return Ok(0);
        }
    }
}

/// One line, written at once.
fn say(line: &str) {
    println!("{line}");
    // A reader that went away is not the probe's business.
    let _ = io::stdout().flush();
}
