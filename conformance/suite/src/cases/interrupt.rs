//! Whatever the runtime waits for, a signal ends the wait: with what a failure takes back, and the
//! exit code that a shell gives to a command that was killed. And the container can't keep it waiting.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::hooks::{add, hook, shell};
use crate::harness::command::{Running, until, wait_for_exit};
use crate::harness::container::text;
use crate::harness::prelude::*;

pub(super) const REASON: &str = "others block the signal, or die without cleaning up";

pub fn cases() -> Vec<Case> {
    let case = |name, body| Case::new(name, body).only("kan", REASON);
    vec![
        case("interrupt::host_hook", |ctx| {
            expect_clean_end(ctx, "createRuntime")
        }),
        case("interrupt::hook_of_init", |ctx| {
            expect_clean_end(ctx, "createContainer")
        }),
        case("interrupt::run_in_start_hook", run_in_start_hook),
        case("interrupt::start_in_start_hook", start_in_start_hook),
        case("interrupt::ignored_hangup", ignored_hangup),
        case("interrupt::lock", lock),
        case("interrupt::poststop", poststop),
        case("interrupt::second_signal", second_signal),
        case("interrupt::console_without_room", console_without_room),
        case(
            "interrupt::agent_that_reads_nothing",
            agent_that_reads_nothing,
        ),
        case("interrupt::exec_in_paused", exec_in_paused),
        case(
            "interrupt::after_the_program_began",
            after_the_program_began,
        ),
        case("interrupt::stopped_init", |ctx| {
            expect_report(ctx, "kill -STOP $pid", "stopped by SIGSTOP")
        }),
        case("interrupt::frozen_init", |ctx| {
            expect_report(ctx, FREEZE, "frozen")
        }),
    ]
}

/// Freezes the cgroup of the process that `pid` names.
const FREEZE: &str = r#"
cgroup=$(sed -n 's/^[0-9]*:freezer://p' /proc/$pid/cgroup)
if [ -n "$cgroup" ] && [ -e "/sys/fs/cgroup/freezer$cgroup/freezer.state" ]; then
    echo FROZEN >"/sys/fs/cgroup/freezer$cgroup/freezer.state"
else
    echo 1 >"/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup)/cgroup.freeze"
fi"#;

/// A hook that writes its pid into a file and goes on for a minute.
fn endless(ctx: &Ctx) -> Result<(Value, PathBuf), Fault> {
    let file = ctx.dir.join("hook.pid");
    let _ = fs::remove_file(&file);
    let script = format!("echo $$ >{}; exec sleep 60", text(&file)?);
    Ok((hook(&script), file))
}

pub(super) fn written(file: &PathBuf) -> Outcome {
    until(&format!("{}", file.display()), || {
        Ok(fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')))
    })
}

/// The signal, an end within five seconds, and the code for it.
pub(super) fn expect_end(running: Running, signal: Signal, number: i32) -> Outcome {
    running.signal(signal)?;
    let begin = Instant::now();
    let done = running.wait()?.exits(128 + number)?;
    let took = begin.elapsed();
    check!(
        took < Duration::from_secs(5),
        "{}: after {took:?}",
        done.what
    );
    check!(
        done.stderr.contains("stopped by SIG"),
        "{}: {}",
        done.what,
        done.stderr
    );
    Ok(())
}

fn expect_clean_end(ctx: &mut Ctx, kind: &str) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    let (slow, file) = endless(ctx)?;
    add(&mut bundle, kind, slow);
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        for verb in ["create", "run"] {
            let _ = fs::remove_file(&file);
            let running = ctx.with_bundle(verb, &[], &bundle)?.spawn()?;
            written(&file)?;
            let pid: i32 = fs::read_to_string(&file)?.trim().parse()?;
            expect_end(running, signal, number)?;
            ctx.expect_nothing_left()?;
            check!(
                kind != "createRuntime" || wait_for_exit(pid, Duration::from_secs(1))?,
                "the hook goes on"
            );
        }
    }
    check!(!bundle.inside("ran").exists(), "the program ran");
    Ok(())
}

fn slow_start(ctx: &Ctx) -> Result<Bundle, Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    let script = "echo begun; exec sleep 60";
    add(&mut bundle, "startContainer", hook(script));
    Ok(bundle)
}

fn run_in_start_hook(ctx: &mut Ctx) -> Outcome {
    let bundle = slow_start(ctx)?;
    let mut running = ctx.with_bundle("run", &[], &bundle)?.spawn()?;
    running.wait_for("begun")?;
    expect_end(running, Signal::TERM, 15)?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.expect_nothing_left()
}

/// As of a hook that fails, the container has ended then.
fn start_in_start_hook(ctx: &mut Ctx) -> Outcome {
    let bundle = slow_start(ctx)?;
    let created = ctx.create(&bundle)?;
    let running = ctx.oci(&["start", &ctx.id]).spawn()?;
    created.wait_for("begun")?;
    expect_end(running, Signal::INT, 2)?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}

/// nohup(1).
fn ignored_hangup(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["pause"]);
    let (go, begun) = (ctx.dir.join("go"), ctx.dir.join("begun"));
    let script = format!(
        "echo >{}; while ! [ -e {} ]; do sleep 0.05; done",
        text(&begun)?,
        text(&go)?
    );
    add(&mut bundle, "createRuntime", hook(&script));
    let ignoring = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"];
    let create = ctx.with_bundle("create", &[], &bundle)?;
    let running = create.wrapped(&ignoring).spawn()?;
    written(&begun)?;
    running.signal(Signal::HUP)?;
    std::thread::sleep(Duration::from_millis(200));
    fs::write(&go, "")?;
    running.wait()?.exits(0)?;
    ctx.expect_status("created")
}

/// Another command works on the container, here flock(1).
fn lock(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let directory = ctx.state_dir().join(&ctx.id);
    let mut held = ctx
        .command(&[
            "flock",
            "--no-fork",
            text(&directory)?,
            "sh",
            "-c",
            "echo held; exec sleep 60",
        ])
        .spawn()?;
    held.wait_for("held")?;
    let id = ctx.id.clone();
    for args in [
        &["pause", &id][..],
        &["start", &id],
        &["update", "--pids-limit", "100", &id],
        &["delete", &id],
    ] {
        let running = ctx.oci(args).spawn()?;
        std::thread::sleep(Duration::from_millis(150));
        expect_end(running, Signal::TERM, 15)?;
    }
    held.signal(Signal::KILL)?;
    held.wait()?;
    ctx.expect_status("running")
}

/// The container is deleted by then.
fn poststop(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let (slow, file) = endless(ctx)?;
    add(&mut bundle, "poststop", slow);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    let running = ctx.oci(&["delete", &ctx.id]).spawn()?;
    written(&file)?;
    expect_end(running, Signal::TERM, 15)?;
    ctx.expect_nothing_left()
}

/// The first one leads to the hook of poststop, which never ends.
fn second_signal(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let (slow, file) = endless(ctx)?;
    add(&mut bundle, "createRuntime", slow);
    let second = ctx.dir.join("poststop.pid");
    let script = format!("echo $$ >{}; exec sleep 60", text(&second)?);
    add(&mut bundle, "poststop", hook(&script));
    let running = ctx.with_bundle("create", &[], &bundle)?.spawn()?;
    written(&file)?;
    running.signal(Signal::TERM)?;
    written(&second)?;
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::INT)?;
    running.wait()?.exits(130)?;
    let pid: i32 = fs::read_to_string(&second)?.trim().parse()?;
    crate::harness::command::send(pid, Signal::KILL)?;
    ctx.expect_nothing_left()
}

/// A socket in whose queue there is no room.
fn full_socket(path: &std::path::Path) -> Result<Vec<rustix::fd::OwnedFd>, Fault> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = || rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let address = SocketAddrUnix::new(path)?;
    let listener = socket()?;
    rustix::net::bind(&listener, &address)?;
    rustix::net::listen(&listener, 0)?;
    let mut all = vec![listener];
    loop {
        let one = socket()?;
        match rustix::net::connect(&one, &address) {
            Ok(()) => all.push(one),
            Err(rustix::io::Errno::AGAIN) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

fn console_without_room(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/terminal", json!(true));
    let path = ctx.dir.join("console");
    let full = full_socket(&path)?;
    let options = ["--console-socket", text(&path)?];
    let running = ctx.with_bundle("create", &options, &bundle)?.spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    expect_end(running, Signal::TERM, 15)?;
    drop(full);
    ctx.expect_nothing_left()
}

fn agent_that_reads_nothing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let path = ctx.dir.join("agent");
    let agent = std::os::unix::net::UnixListener::bind(&path)?;
    bundle.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": text(&path)?,
            "listenerMetadata": "x".repeat(1_000_000),
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        }),
    );
    let running = ctx.with_bundle("create", &[], &bundle)?.spawn()?;
    let connection = agent.accept()?;
    std::thread::sleep(Duration::from_millis(300));
    expect_end(running, Signal::TERM, 15)?;
    drop(connection);
    ctx.expect_nothing_left()
}

/// What waits for a container that is paused, by its own wish, waits for as long as that takes.
fn exec_in_paused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.quiet()?;
    let mut exec = ctx
        .exec(&["--ignore-paused"], &["/probe", "exit", "0"])
        .spawn()?;
    std::thread::sleep(Duration::from_secs(4));
    check!(exec.is_running()?, "it did not wait");
    expect_end(exec, Signal::TERM, 15)?;
    ctx.verb(&["resume"])?.quiet()?;
    Ok(())
}

/// From then on signals are the container's.
fn after_the_program_began(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["listen", "7"]);
    let mut running = ctx.with_bundle("run", &[], &bundle)?.spawn()?;
    running.wait_for("ready")?;
    running.signal(Signal::HUP)?;
    running.wait_for("signal HUP\n")?;
    running.signal(Signal::TERM)?;
    running.wait()?.exits(7)?;
    ctx.expect_nothing_left()
}

/// An init that stands still is reported, and all is taken back.
fn expect_report(ctx: &mut Ctx, deed: &str, why: &str) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["pause"]);
    let script = format!("pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); {deed}");
    add(&mut bundle, "createRuntime", shell(&script));
    for verb in ["create", "run"] {
        let begin = Instant::now();
        let done = ctx.with_bundle(verb, &[], &bundle)?.run()?;
        check!(begin.elapsed() < Duration::from_secs(8), "{verb}: too late");
        done.refuses(&[why])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}
