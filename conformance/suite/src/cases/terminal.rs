//! `process.terminal`: the pty that a detached container hands over a socket, and the one that
//! a foreground `run` copies from and to its own.

use rustix::termios::{LocalModes, OutputModes};

use crate::harness::command::Running;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;
use crate::harness::terminal::{ConsoleSocket, Master, Terminal};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("terminal::console_socket", console_socket),
        Case::new("terminal::console_socket_of_run", console_socket_of_run),
        Case::new("terminal::what_the_program_sees", what_the_program_sees),
        Case::new("terminal::dev_console_is_the_pty", dev_console_is_the_pty),
        Case::new("terminal::size_from_the_config", size_from_the_config),
        Case::new("terminal::owner_is_the_user", owner_is_the_user),
        Case::new("terminal::foreground", foreground),
        Case::new(
            "terminal::foreground_is_raw_and_restored",
            foreground_is_raw_and_restored,
        ),
        Case::new("terminal::foreground_resizes", foreground_resizes).deviates(
            "crun 1.8",
            "not in the spec; crun has its own command line",
            "\"size 40 120\"",
        ),
        Case::new(
            "terminal::foreground_translates_once",
            foreground_translates_once,
        )
        .deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "/fds/1/onlcr",
        ),
        Case::new("terminal::foreground_types", foreground_types),
        Case::new("terminal::foreground_with_other_stdin", other_stdin).deviates(
            "crun 1.8",
            "not in the spec; crun has its own command line",
            "tcgetattr",
        ),
        Case::new("terminal::detached_needs_a_socket", detached_needs_a_socket),
        Case::new("terminal::socket_needs_a_terminal", socket_needs_a_terminal).deviates(
            "crun 1.8",
            "not in the spec; crun has its own command line",
            "exit status: 0, want exit code 1",
        ),
        Case::new("terminal::socket_missing", socket_missing),
    ]
}

/// A bundle whose program gets a terminal.
pub fn bundle_with_terminal(ctx: &Ctx, probe: &[&str]) -> Result<Bundle, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/terminal", json!(true)).probe(probe);
    Ok(bundle)
}

/// Creates with a console socket and receives the master.
pub fn create_with_console(ctx: &Ctx, bundle: &Bundle) -> Result<Master, Fault> {
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let options = ["--console-socket", text(&socket.path)?];
    let creating = ctx.with_bundle("create", &options, bundle)?.spawn()?;
    let master = socket.receive()?;
    creating.wait()?.ok()?;
    Ok(master)
}

/// The probe's report, seen through the terminal.
fn report_on_console(ctx: &Ctx, bundle: &Bundle) -> Result<Report, Fault> {
    let mut master = create_with_console(ctx, bundle)?;
    ctx.start()?;
    let shown = master.read_to_end()?;
    ctx.wait_stopped()?;
    Report::parse(&shown)
}

fn console_socket(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "one", "two"])?;
    let mut master = create_with_console(ctx, &bundle)?;
    ctx.start()?;
    equal("what came out", master.read_to_end()?.trim_end(), "one two")?;
    ctx.wait_stopped()
}

fn console_socket_of_run(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "hello"])?;
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let options = ["--detach", "--console-socket", text(&socket.path)?];
    let running = ctx.with_bundle("run", &options, &bundle)?.spawn()?;
    let mut master = socket.receive()?;
    running.wait()?.ok()?;
    equal("what came out", master.read_to_end()?.trim_end(), "hello")?;
    ctx.wait_stopped()
}

fn what_the_program_sees(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["report"])?;
    let report = report_on_console(ctx, &bundle)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2])?;
    for fd in 0..3 {
        let target = report
            .at(&format!("/fds/{fd}/target"))
            .as_str()
            .unwrap_or_default();
        check!(target.starts_with("/dev/pts/"), "fd {fd} is {target}");
        report.expect(&format!("/fds/{fd}/tty"), &json!(true))?;
    }
    check!(
        *report.at("/controlling_tty") != 0,
        "no controlling terminal"
    );
    report.expect("/sid", &json!(1))
}

/// config-linux.md, Default Devices: "/dev/console is set up if terminal is enabled in the
/// config by bind mounting the pseudoterminal pty to /dev/console."
fn dev_console_is_the_pty(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["report"])?;
    let report = report_on_console(ctx, &bundle)?;
    let console = report.mount("/dev/console")?;
    equal("fstype of /dev/console", &console["fstype"], "devpts")?;
    let device = report.device("console")?;
    equal("type of /dev/console", &device["type"], "char")?;
    equal("minor", &device["minor"], report.at("/fds/0/minor"))?;
    // 136 to 143 are Unix98 slaves (devices.txt).
    equal("major", &device["major"], 136)
}

/// config.md: consoleSize "specifies the console size in characters of the terminal".
fn size_from_the_config(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_terminal(ctx, &["tty-size"])?;
    bundle.set("/process/consoleSize", json!({"height": 33, "width": 111}));
    let mut master = create_with_console(ctx, &bundle)?;
    equal("size of the master", master.size()?, (33, 111))?;
    ctx.start()?;
    equal(
        "size inside",
        master.read_to_end()?.trim_end(),
        "size 33 111",
    )?;
    ctx.wait_stopped()
}

/// The program must be able to open its own terminal by name.
fn owner_is_the_user(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_terminal(ctx, &["report"])?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let report = report_on_console(ctx, &bundle)?;
    report.expect("/fds/0/uid", &json!(1000))?;
    report.expect("/uid/real", &json!(1000))
}

/// Starts `run` with a terminal of the test's own.
pub fn run_on(ctx: &Ctx, term: &mut Terminal, bundle: &Bundle) -> Result<Running, Fault> {
    let running = term
        .control(ctx.with_bundle("run", &[], bundle)?)?
        .spawn()?;
    term.release();
    Ok(running)
}

fn foreground(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "from", "inside"])?;
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("from inside")?;
    running.wait()?.ok()?;
    ctx.expect_nothing_left()
}

/// While it runs, keys must reach the container unprocessed; afterwards the terminal is as it
/// was.
fn foreground_is_raw_and_restored(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["listen", "0"])?;
    let mut term = Terminal::open(24, 80)?;
    let before = term.master.settings()?;
    let running = term
        .control(ctx.with_bundle("run", &[], &bundle)?)?
        .spawn()?;
    term.master.read_until("ready")?;
    let during = term.master.settings()?;
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    check!(
        !during.local_modes.intersects(cooked),
        "not raw: {:?}",
        during.local_modes
    );
    // Ctrl-C is a byte here, and a signal only inside.
    term.master.write("\u{3}")?;
    term.master.read_until("signal INT")?;
    ctx.kill("TERM")?.ok()?;
    running.wait()?.ok()?;
    let after = term.master.settings()?;
    equal("local modes", after.local_modes, before.local_modes)?;
    equal("input modes", after.input_modes, before.input_modes)?;
    equal("output modes", after.output_modes, before.output_modes)?;
    check!(
        after.output_modes.contains(OutputModes::OPOST),
        "OPOST is off"
    );
    Ok(())
}

fn foreground_resizes(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["watch-size"])?;
    let mut term = Terminal::open(31, 97)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("size ")?;
    // The first size may be printed before the runtime has copied it.
    term.master.resize(40, 120)?;
    term.master.read_until("size 40 120")?;
    term.master.resize(10, 20)?;
    term.master.read_until("size 10 20")?;
    ctx.kill("TERM")?.ok()?;
    running.wait()?.ok().map(drop)
}

/// The program's newlines arrive as they are: the outer terminal translates them already.
fn foreground_translates_once(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["report"])?;
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    let shown = term.master.read_until("\n")?;
    running.wait()?.ok()?;
    Report::parse(&shown)?.expect("/fds/1/onlcr", &json!(false))
}

/// What is typed arrives, and the inner terminal echoes it once.
fn foreground_types(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_terminal(ctx, &[])?;
    bundle.shell("echo ready; exec /probe stdin");
    let mut term = Terminal::open(24, 80)?;
    let running = run_on(ctx, &mut term, &bundle)?;
    term.master.read_until("ready")?;
    term.master.write("typed\r")?;
    term.master.read_until("typed")?;
    // End of input on a line of its own.
    term.master.write("\u{4}")?;
    term.master.read_until("typed")?;
    running.wait()?.ok().map(drop)
}

/// Standard input may be something else than the terminal: `ssh -n`, scripts.
fn other_stdin(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "hello"])?;
    let mut term = Terminal::open(24, 80)?;
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let cmd = cmd.wrapped(&["sh", "-c", "exec \"$0\" \"$@\" </dev/null"]);
    let running = term.control(cmd)?.spawn()?;
    term.release();
    let shown = term.master.read_to_end()?;
    let done = running.wait()?;
    check!(
        shown.contains("hello") && done.status.success(),
        "{}: {shown:?}",
        done.status
    );
    Ok(())
}

fn detached_needs_a_socket(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "hello"])?;
    let text = "will detach without setting console socket";
    ctx.try_create(&bundle)?.refuses(&[text])?;
    ctx.expect_nothing_left()?;
    ctx.with_bundle("run", &["--detach"], &bundle)?
        .run()?
        .refuses(&[text])?;
    ctx.expect_nothing_left()
}

fn socket_needs_a_terminal(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let options = ["--console-socket", text(&socket.path)?];
    let words = "cannot use console socket if";
    ctx.with_bundle("create", &options, &bundle)?
        .run()?
        .refuses(&[words])?;
    ctx.expect_nothing_left()
}

fn socket_missing(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_terminal(ctx, &["echo", "hello"])?;
    let nowhere = ctx.dir.join("nowhere.sock");
    let options = ["--console-socket", text(&nowhere)?];
    ctx.with_bundle("create", &options, &bundle)?
        .run()?
        .refuses(&["no such file or directory"])?;
    ctx.expect_nothing_left()
}
