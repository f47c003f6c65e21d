//! `exec` by the state of the container, what the process has of the container, and what is left
//! of it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::harness::container::text;
use crate::harness::leftovers;
use crate::harness::prelude::*;
use crate::harness::report::Report;
use crate::harness::terminal::{ConsoleSocket, Terminal};

/// Why crun may differ.
const CRUN: &str = "not in the spec; crun has its own command line";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("exec::unknown_container", unknown_container),
        Case::new("exec::created", created),
        Case::new("exec::stopped_is_refused", stopped_is_refused),
        Case::new("exec::paused_is_refused", paused_is_refused),
        Case::new("exec::ignore_paused", ignore_paused).deviates(
            "crun 1.8",
            CRUN,
            "unrecognized option '--ignore-paused'",
        ),
        Case::new("exec::container_dies_meanwhile", container_dies_meanwhile),
        Case::new("exec::joins_all_namespaces", joins_all_namespaces),
        Case::new("exec::joins_the_cgroups", joins_the_cgroups),
        Case::new("exec::unified_joins_the_cgroup", unified_joins_the_cgroup),
        Case::new("exec::has_the_attributes", has_the_attributes).deviates(
            "crun 1.8",
            CRUN,
            "/rlimits: got",
        ),
        Case::new("exec::caller_is_left_behind", caller_is_left_behind).deviates(
            "crun 1.8",
            CRUN,
            "/sid: got Number(0)",
        ),
        Case::new("exec::umask", umask)
            .deviates(
                "crun 1.8",
                "config.md, User: umask is an attribute of the process; crun leaves the caller's",
                "/umask: got Number(63)",
            )
            .deviates(
                "runc 1.1",
                "config.md, User: umask is an attribute of the process; runc leaves the caller's",
                "/umask: got Number(63)",
            ),
        Case::new("exec::only_stdio_is_open", only_stdio_is_open),
        Case::new("exec::preserve_fds", preserve_fds),
        Case::new("exec::tty_in_the_foreground", tty_in_the_foreground).deviates(
            "crun 1.8",
            CRUN,
            "no \"size 40 120\"",
        ),
        Case::new("exec::console_socket", console_socket),
        Case::new("exec::detached_tty_needs_a_socket", detached_needs_a_socket),
        Case::new("exec::socket_needs_a_tty", socket_needs_a_tty).deviates(
            "crun 1.8",
            CRUN,
            "exit status: 0",
        ),
        Case::new("exec::many_leave_nothing", many_leave_nothing),
        Case::new("exec::many_at_once", many_at_once),
    ]
}

fn unknown_container(ctx: &mut Ctx) -> Outcome {
    let done = ctx.exec(&[], &["/probe", "exit", "0"]).run()?;
    done.refuses_with(255, &["container does not exist"])
}

/// The namespaces and the root are there from `create` on.
fn created(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let create = ctx.create(&bundle)?;
    ctx.exec_report(&[])?.expect("/hostname", &json!("suite"))?;
    ctx.expect_status("created")?;
    ctx.start()?;
    create.wait_for("ready")?;
    ctx.expect_status("running")
}

fn stopped_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    let done = ctx.exec(&[], &["/probe", "touch", "/ran"]).run()?;
    done.refuses_with(255, &["cannot exec in a stopped container"])?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    Ok(())
}

fn paused_is_refused(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.ok()?;
    let done = ctx.exec(&[], &["/probe", "touch", "/ran"]).run()?;
    let text = "cannot exec in a paused container (use --ignore-paused to override)";
    done.refuses_with(255, &[text])?;
    ctx.expect_status("paused")?;
    ctx.verb(&["resume"])?.ok()?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.exec(&[], &["/probe", "exit", "4"])
        .run()?
        .exits(4)
        .map(drop)
}

/// The process is frozen with the container and runs when it is resumed.
fn ignore_paused(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.ok()?;
    let running = ctx
        .exec(&["--ignore-paused"], &["/probe", "touch", "/ran"])
        .spawn()?;
    // An absence can only be watched for a while.
    std::thread::sleep(Duration::from_millis(200));
    check!(
        !bundle.inside("ran").exists(),
        "it ran in a paused container"
    );
    ctx.verb(&["resume"])?.ok()?;
    running.wait()?.ok()?;
    check!(bundle.inside("ran").exists(), "it did not run");
    Ok(())
}

/// The end of the PID namespace kills its processes; `exec` says so by its code.
fn container_dies_meanwhile(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let mut running = ctx.exec(&[], &["/probe", "listen", "0"]).spawn()?;
    running.wait_for("ready")?;
    ctx.kill("KILL")?.ok()?;
    let done = running.wait()?;
    check!(done.status.signal().is_none(), "exec itself died");
    done.exits(137)?;
    ctx.wait_stopped()
}

fn joins_all_namespaces(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/linux/namespaces/-", json!({"type": "cgroup"}));
    ctx.launch(&bundle)?.wait_for("ready")?;
    let (pid, report) = (ctx.pid()?, ctx.exec_report(&[])?);
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"] {
        let init = fs::read_link(format!("/proc/{pid}/ns/{kind}"))?;
        let inside = format!("{kind}:[{}]", report.at(&format!("/namespaces/{kind}")));
        equal(kind, inside, init.to_string_lossy().into_owned())?;
    }
    // Of the namespaces that the config asks for none may be the host's.
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let host = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        let inside = report.at(&format!("/namespaces/{kind}")).to_string();
        check!(
            !host.to_string_lossy().contains(&inside),
            "{kind}: the host's"
        );
    }
    report.expect("/root/~1/type", &json!("dir"))?;
    check!(
        report.at("/processes").to_string().starts_with("[1,"),
        "no PID 1 in /proc"
    );
    Ok(())
}

/// Every line but the one of a hierarchy that the runtime leaves alone, in one order.
fn cgroup_lines(pid: i32) -> Result<Vec<String>, Fault> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    Ok(lines)
}

fn joins_the_cgroups(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let file = ctx.dir.join("exec.pid");
    let options = ["--detach", "--pid-file", text(&file)?];
    let done = ctx.exec(&options, &["/probe", "sleep"]).run()?.ok()?;
    done.wait_for("ready")?;
    let pid = crate::harness::bundle::read(&file)?.parse()?;
    equal("cgroups", cgroup_lines(pid)?, cgroup_lines(ctx.pid()?)?)
}

fn unified_joins_the_cgroup(ctx: &mut Ctx) -> Outcome {
    super::cgroup::only_unified(ctx)?;
    joins_the_cgroups(ctx)
}

/// Flags say what differs from the container's own process; the rest is the same.
fn has_the_attributes(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/process/oomScoreAdj", json!(321))
        .set("/process/user/additionalGids", json!([20, 30]));
    let own = ctx.report(&mut bundle)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let report = ctx.exec_report(&[])?;
    let same = [
        "capabilities",
        "rlimits",
        "oom_score_adj",
        "no_new_privs",
        "groups",
        "uid",
        "gid",
        "hostname",
        "seccomp",
        "env",
        "signals",
        "scheduler",
        "affinity",
        "root",
        "guarded",
    ];
    for key in same {
        let pointer = format!("/{key}");
        report.expect(&pointer, own.at(&pointer))?;
    }
    report.expect("/oom_score_adj", &json!(321))?;
    report.expect("/groups", &json!([20, 30]))
}

/// Its session and signal mask are the caller's no more.
fn caller_is_left_behind(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let script = "exec env --block-signal=TERM --ignore-signal=HUP \"$0\" \"$@\"";
    let cmd = ctx.exec(&[], &["/probe", "report"]);
    let done = cmd.wrapped(&["sh", "-c", script]).run()?.ok()?;
    let report = Report::parse(&done.stdout)?;
    report.expect("/signals/ignored", &json!([]))?;
    report.expect("/signals/blocked", &json!([]))?;
    report.expect("/ppid", &json!(0))?;
    report.expect("/sid", report.at("/pid"))
}

/// That of the config, 0022 without; never the caller's.
fn umask(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let wrap = ["sh", "-c", "umask 0077; exec \"$0\" \"$@\""];
    let cmd = ctx.exec(&[], &["/probe", "report"]).wrapped(&wrap);
    let report = Report::parse(&cmd.run()?.ok()?.stdout)?;
    report.expect("/umask", &json!(0o022))?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    let mut bundle = ctx.bundle_named("second")?;
    bundle
        .probe(&["sleep"])
        .set("/process/user/umask", json!(0o027));
    ctx.launch(&bundle)?.wait_for("ready")?;
    ctx.exec_report(&[])?.expect("/umask", &json!(0o027))
}

fn only_stdio_is_open(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let cmd = ctx.exec(&[], &["/probe", "report"]);
    let done = cmd.wrapped(super::streams::LEAKY).run()?.ok()?;
    let report = Report::parse(&done.stdout)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2])
}

fn preserve_fds(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let cmd = ctx.exec(&["--preserve-fds", "2"], &["/probe", "report"]);
    let done = cmd.wrapped(super::streams::LEAKY).run()?.ok()?;
    let report = Report::parse(&done.stdout)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2, 3, 4])?;
    report.expect("/fds/3/type", &json!("file"))?;
    report.expect("/fds/4/type", &json!("dir"))
}

fn tty_in_the_foreground(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let mut term = Terminal::open(31, 97)?;
    let file = ctx.dir.join("exec.pid");
    let options = ["--tty", "--pid-file", text(&file)?];
    let cmd = ctx.exec(&options, &["/probe", "watch-size"]);
    let running = term.control(cmd)?.spawn()?;
    term.release();
    term.master.read_until("size ")?;
    term.master.resize(40, 120)?;
    term.master.read_until("size 40 120")?;
    crate::harness::command::until("a pid file", || Ok(file.exists()))?;
    let pid = crate::harness::bundle::read(&file)?.parse()?;
    crate::harness::command::send(pid, rustix::process::Signal::TERM)?;
    running.wait()?.ok()?;
    ctx.expect_status("running")
}

fn console_socket(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let options = ["--tty", "--detach", "--console-socket", text(&socket.path)?];
    let running = ctx.exec(&options, &["/probe", "report"]).spawn()?;
    let mut master = socket.receive()?;
    running.wait()?.quiet()?;
    let report = Report::parse(&master.read_to_end()?)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2])?;
    for fd in 0..3 {
        report.expect(&format!("/fds/{fd}/tty"), &json!(true))?;
    }
    check!(
        *report.at("/controlling_tty") != 0,
        "no controlling terminal"
    );
    let target = report.at("/fds/0/target").as_str().unwrap_or_default();
    check!(target.starts_with("/dev/pts/"), "stdin is {target}");
    Ok(())
}

fn detached_needs_a_socket(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let done = ctx
        .exec(&["--tty", "--detach"], &["/probe", "exit", "0"])
        .run()?;
    done.refuses_with(255, &["will detach without setting console socket"])
}

fn socket_needs_a_tty(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let options = ["--detach", "--console-socket", text(&socket.path)?];
    let done = ctx.exec(&options, &["/probe", "exit", "0"]).run()?;
    done.refuses_with(255, &["cannot use console socket if"])
}

/// How many processes are executed in a row.
const MANY: usize = 200;

/// CVE-2016-9962, and what is left afterwards: a process of the container reads the descriptors
/// of all others meanwhile, and finds none that lead out; no zombie, descriptor or cgroup stays.
fn many_leave_nothing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["spy"]);
    let spy = ctx.launch(&bundle)?;
    spy.wait_for("ready")?;
    let pid = ctx.pid()?;
    let fds = || Ok::<_, Fault>(fs::read_dir(format!("/proc/{pid}/fd"))?.count());
    let cgroups = leftovers::cgroups(&ctx.id);
    for _ in 0..MANY {
        ctx.exec(&[], &["/probe", "exit", "0"]).run()?.ok()?;
    }
    equal("cgroups", leftovers::cgroups(&ctx.id), cgroups)?;
    let open = fds()?;
    // The listing of /proc that it may be at.
    check!(open <= 5, "{open} descriptors in the container's init");
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    let said = spy.stdout_now()?;
    let seen = said
        .lines()
        .find_map(|line| line.strip_prefix("looked at "));
    check!(said.contains("left 0\n"), "zombies inside: {said}");
    let seen: usize = seen.unwrap_or("0").parse()?;
    check!(seen >= MANY / 4, "the spy saw {seen} of {MANY} processes");
    let found: Vec<_> = said.lines().filter(|l| l.starts_with("found")).collect();
    check!(found.is_empty(), "readable from inside: {found:?}");
    Ok(())
}

fn many_at_once(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let spawn = |code: i32| {
        ctx.exec(&[], &["/probe", "exit", &code.to_string()])
            .spawn()
    };
    let running: Vec<_> = (0..16).map(spawn).collect::<Result<_, _>>()?;
    for (code, one) in (0..16).zip(running) {
        one.wait()?.exits(code)?;
    }
    ctx.expect_status("running")
}
