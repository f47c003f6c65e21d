//! What service managers hand over: readiness (sd_notify(3)), sockets (sd_listen_fds(3)); and
//! the pidfd for callers that ask for one.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

const BARRIER: &str = "sd_notify_barrier(3); runc waits for the manager since 1.2";
const CRUN: &str = "sd_listen_fds(3) wants the number of descriptors as well";
const LACKS_PIDFD: &str = "not in the spec; --pidfd-socket came with runc 1.2";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("activation::start_waits_for_ready", start_waits_for_ready).deviates(
            "runc 1.1",
            BARRIER,
            "BARRIER=1",
        ),
        Case::new(
            "activation::run_detached_waits_for_ready",
            run_detached_waits,
        )
        .deviates("runc 1.1", BARRIER, "BARRIER=1"),
        Case::new("activation::run_passes_on", run_passes_on),
        Case::new("activation::in_a_user_namespace", in_a_user_namespace),
        Case::new("activation::ended_before_ready", ended_before_ready),
        Case::new("activation::without_a_manager", without_a_manager),
        Case::new("activation::sockets", sockets).deviates("crun 1.8", CRUN, "LISTEN_FDS="),
        Case::new(
            "activation::sockets_before_preserved",
            sockets_before_preserved,
        )
        .deviates("crun 1.8", CRUN, "LISTEN_FDS="),
        Case::new("activation::names_of_sockets", names_of_sockets)
            .deviates(
                "runc 1.1",
                "sd_listen_fds(3); runc hands names on since 1.2",
                "names",
            )
            .deviates("crun 1.8", CRUN, "LISTEN_FDNAMES="),
        Case::new(
            "activation::sockets_of_another_process",
            sockets_of_another_process,
        ),
        others_take_anything(Case::new(
            "activation::sockets_must_be_open",
            sockets_must_be_open,
        )),
        Case::new(
            "activation::closed_ones_stay_closed",
            closed_ones_stay_closed,
        )
        .deviates(
            "runc 1.1",
            "not in the spec; a descriptor of runc's own is taken for the caller's",
            "open fds: got",
        ),
        Case::new("activation::pidfd", pidfd)
            .deviates("runc 1.1", LACKS_PIDFD, "pidfd-socket")
            .deviates("crun 1.8", LACKS_PIDFD, "unrecognized option"),
        Case::new("activation::pidfd_of_exec", pidfd_of_exec)
            .deviates("runc 1.1", LACKS_PIDFD, "pidfd-socket")
            .deviates("crun 1.8", LACKS_PIDFD, "unrecognized option"),
    ]
}

/// What is refused here, other runtimes pass on.
fn others_take_anything(case: Case) -> Case {
    case.deviates(
        "runc 1.1",
        "not in the spec; a descriptor of runc's own is taken for the caller's",
        "exit status: 0",
    )
    .deviates(
        "crun 1.8",
        "not in the spec; crun takes what there is",
        "exit status: 0",
    )
}

/// A manager's socket.
fn manager(ctx: &Ctx) -> Result<(UnixDatagram, String), Fault> {
    let path = ctx.dir.join("manager.sock");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok((socket, text(&path)?.to_owned()))
}

/// What the manager hears until it has heard a line that begins so.
fn hear(manager: &UnixDatagram, until: &str) -> Result<Vec<String>, Fault> {
    let mut all: Vec<String> = Vec::new();
    while !all.iter().any(|line| line.starts_with(until)) {
        let mut message = [0; 4096];
        let Ok(length) = manager.recv(&mut message) else {
            fail!("the manager waits for {until:?}, and has heard {all:?}");
        };
        let said = String::from_utf8_lossy(&message[..length]).into_owned();
        all.extend(said.lines().map(str::to_owned));
    }
    Ok(all)
}

fn start_waits_for_ready(ctx: &mut Ctx) -> Outcome {
    if ctx.runtime().name == "crun" {
        skip!("crun 1.8 passes it on from `create` on and waits otherwise");
    }
    let (manager, path) = manager(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["notify", "READY=1"]);
    let create = ctx.with_bundle("create", &[], &bundle)?;
    create.env("NOTIFY_SOCKET", &path).run()?.ok()?;
    let pid = ctx.pid()?;
    let start = ctx.oci(&["start", &ctx.id]).env("NOTIFY_SOCKET", &path);
    let running = start.spawn()?;
    let heard = hear(&manager, "MAINPID=")?;
    check!(heard.contains(&"READY=1".into()), "heard {heard:?}");
    check!(heard.contains(&format!("MAINPID={pid}")), "heard {heard:?}");
    // systemd takes note of it in its own time, and start waits for that.
    hear(&manager, "BARRIER=1")?;
    running.wait()?.ok()?;
    ctx.expect_status("running")
}

fn run_detached_waits(ctx: &mut Ctx) -> Outcome {
    let (manager, path) = manager(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["notify", "READY=1"]);
    let run = ctx.with_bundle("run", &["--detach"], &bundle)?;
    let running = run.env("NOTIFY_SOCKET", &path).spawn()?;
    let heard = hear(&manager, "BARRIER=1")?;
    check!(heard.contains(&"READY=1".into()), "heard {heard:?}");
    running.wait()?.ok()?;
    ctx.expect_status("running")
}

/// In the foreground, for as long as the container runs.
fn run_passes_on(ctx: &mut Ctx) -> Outcome {
    if ctx.runtime().name == "crun" {
        skip!("crun 1.8 waits otherwise");
    }
    let (manager, path) = manager(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["notify", "READY=1"]);
    let run = ctx.with_bundle("run", &[], &bundle)?;
    let mut running = run.env("NOTIFY_SOCKET", &path).spawn()?;
    hear(&manager, "READY=1")?;
    // A signal that comes before the probe waits for it is lost on PID 1.
    running.wait_for("ready")?;
    ctx.kill("TERM")?.ok()?;
    running.wait()?.ok()?;
    ctx.expect_nothing_left()
}

/// The container's root cannot reach the runtime's state directory, and need not.
fn in_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    if ctx.runtime().name == "crun" {
        skip!("crun 1.8 waits otherwise");
    }
    let (manager, path) = manager(ctx)?;
    let mut bundle = super::user_namespace::bundle_with_users(ctx)?;
    bundle.probe(&["notify", "READY=1"]);
    let run = ctx.with_bundle("run", &["--detach"], &bundle)?;
    let running = run.env("NOTIFY_SOCKET", &path).spawn()?;
    hear(&manager, "READY=1")?;
    if ctx.runtime().name == "kan" {
        hear(&manager, "BARRIER=1")?;
    }
    running.wait()?.ok()?;
    ctx.expect_status("running")
}

/// A program that never says that it is ready, and ends, must not keep `start` for ever.
fn ended_before_ready(ctx: &mut Ctx) -> Outcome {
    let (_manager, path) = manager(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let create = ctx.with_bundle("create", &[], &bundle)?;
    create.env("NOTIFY_SOCKET", &path).run()?.ok()?;
    let start = ctx.oci(&["start", &ctx.id]).env("NOTIFY_SOCKET", &path);
    start.run()?.ok()?;
    ctx.wait_stopped()
}

/// The environment of `create` says nothing of the socket: neither does the container's.
fn without_a_manager(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let report = ctx.report(&mut bundle)?;
    let env = report.strings("/env");
    let told = env
        .iter()
        .any(|entry| entry.starts_with("NOTIFY_SOCKET") || entry.starts_with("LISTEN_"));
    check!(!told, "environment: {env:?}");
    Ok(())
}

/// Runs a report with descriptors from 3 on, as a manager starts a service.
fn activated(
    ctx: &Ctx,
    script: &str,
    options: &[&str],
) -> Result<crate::harness::report::Report, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let script = format!("{script}; exec \"$0\" \"$@\"");
    let run = ctx.with_bundle("run", options, &bundle)?;
    let done = run.wrapped(&["sh", "-c", &script]).run()?.ok()?;
    crate::harness::report::Report::parse(&done.stdout)
}

fn has(report: &crate::harness::report::Report, entry: &str) -> Outcome {
    let env = report.strings("/env");
    check!(env.contains(&entry), "{entry}: not among {env:?}");
    Ok(())
}

fn sockets(ctx: &mut Ctx) -> Outcome {
    let script = "exec 3</dev/null 4</dev/null; export LISTEN_FDS=2 LISTEN_PID=$$";
    let report = activated(ctx, script, &[])?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3, 4])?;
    has(&report, "LISTEN_FDS=2")?;
    has(&report, "LISTEN_PID=1")
}

fn sockets_before_preserved(ctx: &mut Ctx) -> Outcome {
    let script = "exec 3</dev/null 4</dev/null 5</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
    let report = activated(ctx, script, &["--preserve-fds", "1"])?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3, 4])?;
    has(&report, "LISTEN_FDS=1")
}

fn names_of_sockets(ctx: &mut Ctx) -> Outcome {
    let script = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=names";
    has(&activated(ctx, script, &[])?, "LISTEN_FDNAMES=names")
}

/// The variables are inherited by processes that they are not meant for.
fn sockets_of_another_process(ctx: &mut Ctx) -> Outcome {
    let script = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=1";
    let report = activated(ctx, script, &[])?;
    let env = report.strings("/env");
    let told = env.iter().any(|entry| entry.starts_with("LISTEN_"));
    check!(
        !told || ctx.runtime().name == "crun",
        "environment: {env:?}"
    );
    Ok(())
}

fn sockets_must_be_open(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let create = ctx.with_bundle("create", &[], &bundle)?;
    let script = "exec 3</dev/null 4<&-; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let done = create.wrapped(&["sh", "-c", script]);
    done.run()?.refuses(&["LISTEN_FDS: descriptor 4"])?;
    ctx.expect_nothing_left()
}

/// Nothing of the runtime's own gets the number of a closed one.
fn closed_ones_stay_closed(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let run = ctx.with_bundle("run", &["--preserve-fds", "3"], &bundle)?;
    let script = "exec 3</dev/null 4<&- 5</dev/null; exec \"$0\" \"$@\"";
    let done = run.wrapped(&["sh", "-c", script]).run()?.ok()?;
    let report = Report::parse(&done.stdout)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3, 5])
}

/// The process whose pidfd is sent over a connection.
fn received(listener: &UnixListener) -> Result<i32, Fault> {
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let (connection, _) = listener.accept()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 64];
    let mut parts = [std::io::IoSliceMut::new(&mut text)];
    recvmsg(
        &connection,
        &mut parts,
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(pidfd) = fds.next()
        {
            let about = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
            let about = std::fs::read_to_string(about)?;
            let pid = about.lines().find_map(|line| line.strip_prefix("Pid:"));
            return Ok(pid.unwrap_or_default().trim().parse()?);
        }
    }
    fail!("no descriptor was sent")
}

fn pidfd(ctx: &mut Ctx) -> Outcome {
    let path = ctx.dir.join("pidfd.sock");
    let listener = UnixListener::bind(&path)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let options = ["--pidfd-socket", text(&path)?];
    ctx.with_bundle("create", &options, &bundle)?.run()?.ok()?;
    equal("process of the pidfd", received(&listener)?, ctx.pid()?)
}

fn pidfd_of_exec(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let (path, file) = (ctx.dir.join("pidfd.sock"), ctx.dir.join("pid"));
    let listener = UnixListener::bind(&path)?;
    let options = [
        "--detach",
        "--pidfd-socket",
        text(&path)?,
        "--pid-file",
        text(&file)?,
    ];
    ctx.exec(&options, &["/probe", "sleep"]).run()?.ok()?;
    let pid: i32 = crate::harness::bundle::read(&file)?.parse()?;
    equal("process of the pidfd", received(&listener)?, pid)
}
