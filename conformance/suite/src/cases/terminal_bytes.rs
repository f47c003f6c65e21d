//! What arrives at the outermost terminal, byte for byte, whoever stands in between: each newline of
//! the program has got exactly one carriage return, nothing is lost, and keys are what they are without a
//! container. docs/terminals.md has kan's scheme.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::OutputModes;

use super::terminal::{bundle_with_terminal, create_with_console, run_on};
use crate::harness::command::{Cmd, Running, until};
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::terminal::Terminal;

const OWN_LINE: &str = "not in the spec; crun has its own command line";
const NEEDS_ONE: &str = "not in the spec; runc wants a terminal of its own, even if it is not used";
const LEFT_ALONE: &str = "not in the spec: as any program on that terminal";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("terminal_bytes::run", bytes_of_run),
        Case::new("terminal_bytes::exec", bytes_of_exec),
        Case::new("terminal_bytes::nonblocking_terminal", nonblocking_terminal).deviates(
            "crun 1.8",
            OWN_LINE,
            "want exit code 0",
        ),
        Case::new("terminal_bytes::nonblocking_pipe", nonblocking_pipe)
            .deviates("crun", OWN_LINE, "")
            .deviates("runc", NEEDS_ONE, "want exit code 0"),
        Case::new("terminal_bytes::into_a_file", into_a_file)
            .deviates("crun", OWN_LINE, "")
            .deviates("runc", NEEDS_ONE, "open /dev/tty"),
        Case::new("terminal_bytes::console_socket", console_socket),
        Case::new("terminal_bytes::keys", keys),
        Case::new("terminal_bytes::end_of_input", end_of_input)
            .only("kan", "not in the spec: others leave the program waiting"),
        Case::new("terminal_bytes::job_control_inside", job_control_inside),
        Case::new("terminal_bytes::job_control_outside", job_control_outside)
            .deviates("runc", LEFT_ALONE, "\"in\\r\\nside")
            .deviates("crun", LEFT_ALONE, "\"in\\r\\nside"),
        Case::new("terminal_bytes::resize_during_output", resize_during_output).deviates(
            "crun 1.8",
            OWN_LINE,
            "size: got",
        ),
        Case::new("terminal_bytes::size_from_the_start", size_from_the_start).only(
            "kan",
            "not in the spec: others resize it when the program is running already",
        ),
        Case::new("terminal_bytes::background_child", background_child).lacks(
            "crun 1.8",
            OWN_LINE,
            "want \"done",
        ),
        Case::new(
            "terminal_bytes::noisy_background_child",
            noisy_background_child,
        ),
        Case::new("terminal_bytes::hang_up", hang_up)
            .deviates("runc", LEFT_ALONE, "still running")
            .deviates("crun", LEFT_ALONE, "still running"),
        Case::new("terminal_bytes::reader_goes_away", reader_goes_away),
        Case::new("terminal_bytes::receiver", receiver)
            .only("kan", "a command of its own: kan console"),
        Case::new("terminal_bytes::receiver_is_ended", receiver_is_ended)
            .only("kan", "a command of its own: kan console"),
    ]
}

/// More than 3 MB in short lines.
const LINES: u32 = 450_000;
const SEQUENCE: &str = "seq 1 450000";

/// What `SEQUENCE` prints, with this end of each line.
fn sequence(end: &str) -> String {
    (1..=LINES).map(|line| format!("{line}{end}")).collect()
}

/// Fails, without printing megabytes, unless both are the same.
fn same_bytes(got: &str, want: &str) -> Outcome {
    let at = got.bytes().zip(want.bytes()).position(|(a, b)| a != b);
    let at = at.unwrap_or(got.len().min(want.len()));
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let near = &bytes[at.saturating_sub(20)..bytes.len().min(at + 20)];
        String::from_utf8_lossy(near).into_owned()
    };
    check!(
        got == want,
        "bytes: {} of {}, different from {at} on: {:?}, want {:?}",
        got.len(),
        want.len(),
        around(got),
        around(want)
    );
    Ok(())
}

/// A bundle with a terminal whose program is a shell script.
fn script(ctx: &Ctx, script: &str) -> Result<Bundle, Fault> {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_terminal(ctx, &[])?;
    bundle.shell(script);
    Ok(bundle)
}

/// `exec --tty` of a shell script on a terminal of the test's own.
fn exec_on(ctx: &Ctx, term: &mut Terminal, script: &str) -> Result<Running, Fault> {
    let cmd = ctx.exec(&["--tty"], &["/bin/sh", "-c", script]);
    let running = term.control(cmd)?.spawn()?;
    term.release();
    Ok(running)
}

fn bytes_of_run(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, SEQUENCE)?;
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    let shown = term.master.read_to_end()?;
    running.wait()?.ok()?;
    same_bytes(&shown, &sequence("\r\n"))
}

fn bytes_of_exec(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    ctx.launch_sleeper()?;
    let mut term = Terminal::open(24, 80)?;
    let running = exec_on(ctx, &mut term, SEQUENCE)?;
    let shown = term.master.read_to_end()?;
    running.wait()?.ok()?;
    same_bytes(&shown, &sequence("\r\n"))
}

/// A caller may have made its terminal non-blocking, for itself and so for everybody who shares it.
fn nonblocking_terminal(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, SEQUENCE)?;
    let mut term = Terminal::open(24, 80)?;
    term.set_nonblocking()?;
    let running = run_on(ctx, &mut term, &bundle)?;
    sleep(Duration::from_millis(500));
    let shown = term.master.read_to_end()?;
    running.wait()?.ok()?;
    same_bytes(&shown, &sequence("\r\n"))
}

/// The same of a pipe whose reader is slow; newlines are the program's there, for nobody wants more.
fn nonblocking_pipe(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, SEQUENCE)?;
    let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    rustix::fs::fcntl_setfl(&from, rustix::fs::OFlags::empty())?;
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let running = cmd
        .streams(Stdio::null(), Stdio::from(to), Stdio::null())
        .spawn()?;
    let reader = std::thread::spawn(move || {
        sleep(Duration::from_millis(500));
        let mut shown = String::new();
        fs::File::from(from)
            .read_to_string(&mut shown)
            .map(|_| shown)
    });
    running.wait()?.ok()?;
    match reader.join() {
        Ok(shown) => same_bytes(&shown?, &sequence("\n")),
        Err(_) => fail!("the reader panicked"),
    }
}

fn into_a_file(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, "echo one; echo two")?;
    let done = ctx.run(&bundle)?.ok()?;
    equal("output", done.stdout.as_str(), "one\ntwo\n")
}

/// Whoever receives the terminal finds it as the kernel makes one.
fn console_socket(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "one", "two"])?;
    let mut master = create_with_console(ctx, &bundle)?;
    let modes = master.settings()?.output_modes;
    let both = OutputModes::OPOST | OutputModes::ONLCR;
    check!(modes.contains(both), "output modes: {modes:?}");
    ctx.start()?;
    equal("output", master.read_to_end()?.as_str(), "one two\r\n")?;
    ctx.wait_stopped()
}

/// The signals of the usual keys, and the end of the input.
const KEYS: [(&str, &str); 3] = [
    ("\u{3}", "signal INT"),
    ("\u{1c}", "signal QUIT"),
    ("\u{1a}", "signal TSTP"),
];

fn keys(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["listen", "7"])?;
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("ready")?;
    for (key, signal) in KEYS {
        term.master.write(key)?;
        term.master.read_until(signal)?;
    }
    ctx.need_busybox()?;
    let mut second = Terminal::open(24, 80)?;
    let exec = exec_on(ctx, &mut second, "cat; exec /probe listen 5")?;
    second.master.write("line\r")?;
    second.master.read_until("line\r\nline\r\n")?;
    second.master.write("\u{4}")?;
    second.master.read_until("ready")?;
    for (key, signal) in KEYS {
        second.master.write(key)?;
        second.master.read_until(signal)?;
    }
    ctx.kill("TERM")?.ok()?;
    running.wait()?.exits(7)?;
    // The end of the container ends what was executed in it.
    exec.wait().map(drop)
}

/// A pipe's end is the end of the terminal's input, also after half a line.
fn end_of_input(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, "stty -echo; cat; echo end")?;
    for input in ["one\n", "half", ""] {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
        let cmd = ctx.with_bundle("run", &[], &bundle)?.stdin(from);
        let running = cmd.spawn()?;
        // After the echo is off.
        sleep(Duration::from_millis(400));
        rustix::io::write(&to, input.as_bytes())?;
        drop(to);
        let done = running.wait()?.ok()?;
        equal("output", done.stdout, format!("{input}end\n"))?;
    }
    Ok(())
}

/// A shell in the container stops and continues its jobs.
fn job_control_inside(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_terminal(ctx, &[])?;
    bundle.args(&["/bin/sh", "-i"]);
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("# ")?;
    term.master.write("echo a; /probe listen 0 || sleep 77\r")?;
    term.master.read_until("ready")?;
    term.master.write("\u{3}")?;
    term.master.read_until("signal INT")?;
    let mut stopped = Terminal::open(24, 80)?;
    let exec = exec_on(ctx, &mut stopped, "exec sh -i")?;
    stopped.master.read_until("# ")?;
    stopped.master.write("echo b; sleep 77\r")?;
    stopped.master.read_until("b\r\n")?;
    sleep(Duration::from_millis(300));
    stopped.master.write("\u{1a}")?;
    stopped.master.read_until("Stopped")?;
    stopped.master.write("fg\r")?;
    stopped.master.read_until("sleep 77")?;
    sleep(Duration::from_millis(200));
    stopped.master.write("\u{3}")?;
    stopped.master.read_until("# ")?;
    stopped.master.write("exit 3\r")?;
    exec.wait()?.exits(3)?;
    ctx.kill("KILL")?.ok()?;
    running.wait().map(drop)
}

/// In the background of a shell a foreground `run` leaves the terminal alone and stops, as any program
/// that wants to use it; `fg` gives it back.
fn job_control_outside(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, "echo in; echo side; read line; echo got $line")?;
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let shell = "\"$0\" \"$@\" & sleep 1; jobs; echo front; fg; echo over";
    let cmd = cmd.wrapped(&["sh", "-mc", shell]);
    let mut term = Terminal::open(24, 80)?;
    let running = term.control(cmd)?.spawn()?;
    term.release();
    let shown = term.master.read_until("side\r\n")?;
    let places = ["Stopped", "front\r\n", "in\r\nside\r\n"].map(|text| shown.find(text));
    check!(places.is_sorted() && places[0].is_some(), "{shown:?}");
    term.master.write("word\r")?;
    let shown = term.master.read_until("over\r\n")?;
    check!(shown.contains("got word\r\n"), "{shown:?}");
    running.wait()?.ok().map(drop)
}

fn resize_during_output(ctx: &mut Ctx) -> Outcome {
    let bundle = script(
        ctx,
        &format!("echo go; read line; {SEQUENCE}; /probe tty-size"),
    )?;
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("go\r\n")?;
    term.master.write("\r")?;
    term.master.read_until("1000\r\n")?;
    for rows in 25..40 {
        term.master.resize(rows, 90)?;
    }
    let shown = term.master.read_to_end()?;
    running.wait()?.ok()?;
    let Some((lines, size)) = shown.split_once("size ") else {
        fail!("no size: {:?}", &shown[shown.len().saturating_sub(100)..]);
    };
    equal("size", size, "39 90\r\n")?;
    let whole = sequence("\r\n");
    check!(
        whole.ends_with(lines),
        "{} bytes are not the rest",
        lines.len()
    );
    Ok(())
}

/// The program's first look at its terminal's size is right.
fn size_from_the_start(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_terminal(ctx, &["tty-size"])?;
    for round in 0..5 {
        // The caller's terminal is what the output will be shown on.
        bundle.set("/process/consoleSize", json!({"height": 5, "width": 6}));
        let mut term = Terminal::open(31, 97 + round)?;
        let running = run_on(ctx, &mut term, &bundle)?;
        let shown = term.master.read_to_end()?;
        running.wait()?.ok()?;
        equal("size", shown, format!("size 31 {}\r\n", 97 + round))?;
    }
    Ok(())
}

/// Ends a command that a process in the background may not hold up.
fn ends_soon(cmd: Cmd, term: &mut Terminal) -> Result<String, Fault> {
    let began = Instant::now();
    let running = term.control(cmd)?.spawn()?;
    term.release();
    let shown = term.master.read_to_end()?;
    running.wait()?.ok()?;
    let took = began.elapsed();
    check!(took < Duration::from_secs(10), "took {took:?}");
    Ok(shown)
}

fn background_child(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    ctx.launch_sleeper()?;
    let mut term = Terminal::open(24, 80)?;
    let script = "setsid sleep 60 & echo done";
    let cmd = ctx.exec(&["--tty"], &["/bin/sh", "-c", script]);
    let shown = ends_soon(cmd, &mut term)?;
    equal("output", shown.as_str(), "done\r\n")
}

fn noisy_background_child(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    ctx.launch_sleeper()?;
    let mut term = Terminal::open(24, 80)?;
    let script = "setsid yes & sleep 0.2; echo done";
    let cmd = ctx.exec(&["--tty"], &["/bin/sh", "-c", script]);
    let shown = ends_soon(cmd, &mut term)?;
    check!(shown.contains("y\r\ny\r\n"), "{} bytes", shown.len());
    Ok(())
}

/// The window is closed, the connection breaks: the program's terminal has hung up, too, and a program
/// that ignores the signal finds the end of its input.
fn hang_up(ctx: &mut Ctx) -> Outcome {
    let bundle = script(
        ctx,
        "trap '' HUP; stty raw; echo ready; cat >/dev/null; exit 0",
    )?;
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("ready")?;
    drop(term);
    running.wait().map(drop)?;
    until("nothing is left", || Ok(ctx.expect_nothing_left().is_ok()))
}

/// `run | head`: the program is not left writing into a terminal that nobody reads.
fn reader_goes_away(ctx: &mut Ctx) -> Outcome {
    let bundle = script(ctx, "yes; exit 0")?;
    let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let running = cmd
        .streams(Stdio::null(), Stdio::from(to), Stdio::null())
        .spawn()?;
    let mut some = [0; 100];
    rustix::io::read(&from, &mut some[..])?;
    drop(from);
    running.wait().map(drop)
}

/// The examples of the documentation: a receiver on one terminal, `create` and `start` elsewhere.
fn receiver(ctx: &mut Ctx) -> Outcome {
    let bundle = script(
        ctx,
        &format!("{SEQUENCE}; read line; echo got $line; /probe tty-size"),
    )?;
    let mut term = Terminal::open(24, 80)?;
    let before = term.master.settings()?;
    let path = ctx.dir.join("console.sock");
    let receiving = term.control(ctx.oci(&["console", text(&path)?]))?.spawn()?;
    until(
        "somebody listens",
        || Ok(UnixStream::connect(&path).is_ok()),
    )?;
    let options = ["--console-socket", text(&path)?];
    ctx.with_bundle("create", &options, &bundle)?.run()?.ok()?;
    until("the name is free again", || Ok(!path.exists()))?;
    ctx.start()?;
    let last = format!("{LINES}\r\n");
    let shown = term.master.read_until(&last)?;
    same_bytes(&shown, &sequence("\r\n"))?;
    term.master.resize(44, 55)?;
    term.master.write("word\r")?;
    let shown = term.master.read_until("size 44 55\r\n")?;
    check!(shown.contains("got word\r\n"), "{shown:?}");
    receiving.wait()?.ok()?;
    let after = term.master.settings()?;
    equal("local modes", after.local_modes, before.local_modes)?;
    equal("output modes", after.output_modes, before.output_modes)?;
    ctx.wait_stopped()
}

/// While it waits it can be ended, and leaves no socket behind; something else than a terminal is an
/// error, a caller without anything is none.
fn receiver_is_ended(ctx: &mut Ctx) -> Outcome {
    let path = ctx.dir.join("console.sock");
    let receiving = ctx.oci(&["console", text(&path)?]).spawn()?;
    until(
        "somebody listens",
        || Ok(UnixStream::connect(&path).is_ok()),
    )?;
    receiving.signal(rustix::process::Signal::TERM)?;
    receiving.wait()?.exits(128 + 15)?;
    check!(!path.exists(), "the socket is left");
    let receiving = ctx.oci(&["console", text(&path)?]).spawn()?;
    until(
        "somebody listens",
        || Ok(UnixStream::connect(&path).is_ok()),
    )?;
    let mut stream = UnixStream::connect(&path)?;
    std::io::Write::write_all(&mut stream, b"hello")?;
    receiving.wait()?.refuses(&["is not a terminal"])?;
    check!(!path.exists(), "the socket is left");
    Ok(())
}
