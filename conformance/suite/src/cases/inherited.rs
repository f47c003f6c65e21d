//! What a runtime inherits from its caller across execve(2), and what of it reaches the container,
//! on every way into one: `run`, `create` with `start`, `exec`, and hooks.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::Signal;

use super::hooks::{add, hook};
use crate::harness::bundle::read;
use crate::harness::command::{until, wait_for_exit};
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

const OWN_LINE: &str = "not in the spec; crun has its own command line";
const OWN_FIELDS: &str =
    "config.md: a hook is described by its own fields; a caller's mask is none";
const OWN_UMASK: &str = "config.md, User: umask is the process's own";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("inherited::children_are_not_reaped", ignored_children).lacks(
            "crun 1.8",
            "a caller that ignores SIGCHLD",
            "still running",
        ),
        Case::new("inherited::ignored_children_and_hooks", children_of_hooks).lacks(
            "crun 1.8",
            "a caller that ignores SIGCHLD",
            "error executing hook",
        ),
        Case::new("inherited::blocked_signals", blocked_signals).deviates(
            "runc 1.1",
            "config.md: process describes the program's attributes; a caller's mask is none",
            "/signals/blocked: got Array [String(\"USR1\")]",
        ),
        Case::new("inherited::signals_of_hooks", signals_of_hooks)
            .deviates("runc 1.1", OWN_FIELDS, "startContainer: SigBlk")
            .lacks("crun 1.8", OWN_FIELDS, "prestart: SigBlk")
            .lacks(
                "crun 1.8",
                "a caller that ignores SIGCHLD",
                "error executing hook",
            ),
        Case::new("inherited::umask_of_hooks", umask_of_hooks),
        Case::new("inherited::a_timer", a_timer),
        Case::new("inherited::umask", umask)
            .deviates("runc 1.1", OWN_UMASK, "exec: /umask: got Number(511)")
            .deviates("crun 1.8", OWN_UMASK, "exec: /umask: got Number(511)"),
        Case::new("inherited::umask_of_the_callers_files", callers_files),
        Case::new("inherited::a_directory_that_is_gone", directory_is_gone),
        Case::new("inherited::closed_descriptors", closed_descriptors)
            .deviates(
                "runc 1.1",
                "CVE-2024-21626's class: no descriptor of the runtime may reach the container",
                "fd 0 is /sys/fs/cgroup",
            )
            .deviates(
                "crun 1.8",
                "runtime.md, create: nothing forbids a caller without standard streams",
                "exit status: 1",
            ),
        Case::new("inherited::nonblocking_output", nonblocking_output).lacks(
            "crun 1.8",
            "features",
            "unknown command",
        ),
        Case::new("inherited::nonblocking_input", nonblocking_input).lacks(
            "crun 1.8",
            OWN_LINE,
            "update --resources",
        ),
        Case::new("inherited::handed_on", handed_on),
        Case::new("inherited::parent_death_signal", parent_death_signal),
        Case::new("inherited::hangup_is_ignored", hangup_is_ignored)
            .deviates("runc 1.1", NOT_PASSED_ON, "signal HUP")
            .lacks("crun 1.8", NOT_PASSED_ON, "signal HUP"),
    ]
}

const NOT_PASSED_ON: &str = "not in the spec: what is ignored is not passed on";

/// One more bundle of the case.
fn another(ctx: &Ctx) -> Result<Bundle, Fault> {
    let names = (0..).map(|number| format!("bundle-{number}"));
    let mut free = names.filter(|name| !ctx.dir.join(name).exists());
    ctx.bundle_named(&free.next().unwrap_or_default())
}

/// Reports of a probe that was started in each way, by a runtime that `wrap` calls.
fn every_way(ctx: &mut Ctx, wrap: &[&str]) -> Result<Vec<(&'static str, Report)>, Fault> {
    let mut bundle = another(ctx)?;
    bundle.probe(&["report"]);
    let mut all = Vec::new();
    let ran = ctx.with_bundle("run", &[], &bundle)?.wrapped(wrap).run()?;
    all.push(("run", Report::parse(&ran.ok()?.stdout)?));
    let create = ctx.with_bundle("create", &[], &bundle)?.wrapped(wrap);
    let created = create.run()?.ok()?;
    ctx.oci(&["start", &ctx.id]).wrapped(wrap).run()?.ok()?;
    ctx.wait_stopped()?;
    all.push(("create", Report::parse(&created.stdout_now()?)?));
    ctx.oci(&["delete", &ctx.id]).wrapped(wrap).run()?.ok()?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let report = ["/probe", "report"];
    let done = ctx.exec(&[], &report).wrapped(wrap).run()?.ok()?;
    all.push(("exec", Report::parse(&done.stdout)?));
    ctx.verb(&["delete", "--force"])?.ok()?;
    Ok(all)
}

/// `every_way`, and the same value at one place of each report.
fn everywhere(ctx: &mut Ctx, wrap: &[&str], pointer: &str, want: &Value) -> Outcome {
    for (way, report) in every_way(ctx, wrap)? {
        equal(&format!("{way}: {pointer}"), report.at(pointer), want)?;
    }
    Ok(())
}

/// The kinds that run before the program.
const BEFORE: [&str; 4] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
];

/// What a hook of each kind writes into a file, under a runtime that `wrap` calls.
fn in_hooks(
    ctx: &mut Ctx,
    wrap: &[&str],
    script: &str,
) -> Result<Vec<(&'static str, String)>, Fault> {
    ctx.need_busybox()?;
    let shared = ctx.dir.join("shared");
    fs::create_dir(&shared)?;
    let path = text(&shared)?.to_owned();
    let mut bundle = another(ctx)?;
    let mut entry = mount(&path, "bind", &["rbind", "rw"]);
    entry["source"] = json!(path);
    bundle.set("/mounts/-", entry).probe(&["exit", "0"]);
    for kind in BEFORE {
        add(
            &mut bundle,
            kind,
            hook(&format!("({script}) >{path}/{kind} 2>&1")),
        );
    }
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    cmd.wrapped(wrap).run()?.ok()?;
    let said = |kind: &'static str| Ok((kind, read(&shared.join(kind))?));
    BEFORE.into_iter().map(said).collect()
}

/// sigaction(2): with SIGCHLD ignored, children vanish before anybody can wait for them.
fn ignored_children(ctx: &mut Ctx) -> Outcome {
    let wrap = ["env", "--ignore-signal=CHLD"];
    everywhere(ctx, &wrap, "/signals/ignored", &json!([]))
}

/// Every kind of hook is waited for.
fn children_of_hooks(ctx: &mut Ctx) -> Outcome {
    let wrap = ["env", "--ignore-signal=CHLD"];
    for (kind, said) in in_hooks(ctx, &wrap, "echo done")? {
        equal(kind, said.trim_end(), "done")?;
    }
    Ok(())
}

fn blocked_signals(ctx: &mut Ctx) -> Outcome {
    let wrap = ["env", "--block-signal=USR1"];
    everywhere(ctx, &wrap, "/signals/blocked", &json!([]))
}

/// A hook is a program like any other: it is not told by a signal that it ignores without knowing.
fn signals_of_hooks(ctx: &mut Ctx) -> Outcome {
    let wrap = [
        "env",
        "--ignore-signal=CHLD,USR2,ALRM",
        "--block-signal=TERM,USR1",
    ];
    let sets = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    // C libraries ignore 32 and 33, which are theirs, for what they start, and shells QUIT.
    let theirs = 3 << 31 | 1 << 2;
    for (kind, said) in in_hooks(ctx, &wrap, sets)? {
        for word in said.split_whitespace().filter(|word| !word.ends_with(':')) {
            let set = u64::from_str_radix(word, 16)?;
            check!(set & !theirs == 0, "{kind}: {said}");
        }
    }
    Ok(())
}

/// setitimer(2): "Timers are preserved across execve(2)"; the signal's default action would end the
/// runtime half-way.
fn a_timer(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = another(ctx)?;
    bundle.probe(&["report"]);
    add(&mut bundle, "prestart", hook("sleep 0.6"));
    let probe = text(&bundle.inside("probe"))?.to_owned();
    let wrap = [probe.as_str(), "after", "300"];
    let create = ctx.with_bundle("create", &[], &bundle)?.wrapped(&wrap);
    let created = create.run()?.ok()?;
    ctx.start()?;
    ctx.wait_stopped()?;
    let report = Report::parse(&created.stdout_now()?)?;
    report.expect("/timer", &json!(false))?;
    report.expect("/signals/ignored", &json!([]))
}

/// A umask that takes away even the owner's bits, on every way. What the runtime creates for the
/// container has the mode that it should have.
fn umask(ctx: &mut Ctx) -> Outcome {
    let wrap = ["sh", "-c", "umask 0777; exec \"$0\" \"$@\""];
    everywhere(ctx, &wrap, "/umask", &json!(0o022))?;
    let mut bundle = another(ctx)?;
    bundle.set("/linux/cgroupsPath", json!(format!("/{}", ctx.id)));
    bundle.probe(&["sleep"]);
    let create = ctx.with_bundle("create", &[], &bundle)?;
    create.wrapped(&wrap).run()?.ok()?;
    for line in read(Path::new(&format!("/proc/{}/cgroup", ctx.pid()?)))?.lines() {
        let Some((_, path)) = line.split_once("::") else {
            continue;
        };
        for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            let place = Path::new(mount).join(path.trim_start_matches('/'));
            let is_own = path.contains(&ctx.id);
            if let Some(found) = fs::metadata(place).ok().filter(|_| is_own) {
                equal(
                    "mode of the cgroup",
                    found.permissions().mode() & 0o777,
                    0o755,
                )?;
            }
        }
    }
    Ok(())
}

/// Files that the caller names are the caller's, with the caller's umask.
fn callers_files(ctx: &mut Ctx) -> Outcome {
    let wrap = ["sh", "-c", "umask 0077; exec \"$0\" \"$@\""];
    let mut bundle = another(ctx)?;
    bundle.probe(&["exit", "0"]);
    let pid_file = ctx.dir.join("pid");
    let options = ["--pid-file", text(&pid_file)?];
    let create = ctx.with_bundle("create", &options, &bundle)?;
    create.wrapped(&wrap).run()?.ok()?;
    let mode = |path: &Path| Ok::<_, Fault>(fs::metadata(path)?.permissions().mode() & 0o777);
    let of_pid_file = mode(&pid_file)?;
    check!(
        of_pid_file & 0o077 == 0,
        "mode of the pid file: {of_pid_file:o}"
    );
    let fresh = ctx.dir.join("fresh");
    fs::create_dir(&fresh)?;
    ctx.oci(&["spec"]).cwd(&fresh).wrapped(&wrap).run()?.ok()?;
    check!(
        mode(&fresh.join("config.json"))? & 0o077 == 0,
        "others may use config.json: {:o}",
        mode(&fresh.join("config.json"))?
    );
    ctx.start()?;
    ctx.wait_stopped()
}

/// Outside the container a hook has the caller's umask, inside that of a new process, or, with runc, the
/// caller's for createContainer; but never the one with which the runtime creates device nodes.
fn umask_of_hooks(ctx: &mut Ctx) -> Outcome {
    let wrap = ["sh", "-c", "umask 0077; exec \"$0\" \"$@\""];
    let mut seen = in_hooks(ctx, &wrap, "umask")?;
    seen.iter_mut()
        .for_each(|(_, said)| *said = said.trim_end().to_owned());
    let masks: Vec<_> = seen
        .iter()
        .map(|(kind, said)| (*kind, said.as_str()))
        .collect();
    let inside = if masks[2].1 == "0077" { "0077" } else { "0022" };
    let want = ["0077", "0077", inside, "0022"];
    equal(
        "umasks",
        masks,
        BEFORE.into_iter().zip(want).collect::<Vec<_>>(),
    )
}

fn directory_is_gone(ctx: &mut Ctx) -> Outcome {
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" \"$@\"";
    everywhere(ctx, &["sh", "-c", script], "/cwd", &json!("/"))
}

/// What is opened later must not become the container's standard output.
fn closed_descriptors(ctx: &mut Ctx) -> Outcome {
    let bundle_of = |ctx: &Ctx| {
        let mut bundle = another(ctx)?;
        bundle.probe(&["report-to", "/report"]);
        Ok::<_, Fault>(bundle)
    };
    let bundle = bundle_of(ctx)?;
    let wrap = ["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"];
    let create = ctx.with_bundle("create", &[], &bundle)?;
    create.wrapped(&wrap).run()?.ok()?;
    ctx.oci(&["start", &ctx.id]).wrapped(&wrap).run()?.ok()?;
    ctx.wait_stopped()?;
    let report = Report::parse(&read(&bundle.inside("report"))?)?;
    for fd in report.at("/fds").as_array().into_iter().flatten() {
        let target = fd["target"].as_str().unwrap_or_default();
        check!(target == "/dev/null", "fd {} is {target}", fd["fd"]);
    }
    Ok(())
}

/// fcntl(2): O_NONBLOCK belongs to the open file, which is the caller's too. A full pipe is not the
/// end of what the runtime has to say, and the flag is not the runtime's to change.
fn nonblocking_output(ctx: &mut Ctx) -> Outcome {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    fcntl_setpipe_size(&to, 4096)?;
    let whole = ctx.oci(&["features"]).run()?.ok()?.stdout;
    if whole.len() <= 4096 {
        skip!("features are shorter than a pipe");
    }
    let keep = to.try_clone()?;
    let streams = [to.try_clone()?, to].map(std::process::Stdio::from);
    let [stdout, stderr] = streams;
    let cmd = ctx.oci(&["features"]);
    let running = cmd
        .streams(std::process::Stdio::null(), stdout, stderr)
        .spawn()?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    let flags = rustix::fs::fcntl_getfl(&keep)?;
    check!(
        flags.contains(rustix::fs::OFlags::NONBLOCK),
        "the flag is gone"
    );
    drop(keep);
    let mut seen = Vec::new();
    let mut from = fs::File::from(from);
    rustix::fs::fcntl_setfl(&from, rustix::fs::OFlags::empty())?;
    from.read_to_end(&mut seen)?;
    running.wait()?.ok()?;
    equal(
        "output",
        String::from_utf8_lossy(&seen).as_ref(),
        whole.as_str(),
    )
}

/// Input that comes late through a pipe that does not block.
fn nonblocking_input(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&from, rustix::fs::OFlags::NONBLOCK)?;
    let update = ctx.oci(&["update", "--resources", "-", &ctx.id]);
    let running = update.stdin(from).spawn()?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    // Nothing to change: a host's controllers do not matter here.
    rustix::io::write(&to, b"{}")?;
    drop(to);
    running.wait()?.ok().map(drop)
}

/// What a service manager sets for what it starts: runtimes leave it alone where config.json does.
fn handed_on(ctx: &mut Ctx) -> Outcome {
    let probe = text(&ctx.bundle_named("probe")?.inside("probe"))?.to_owned();
    let all: [(&[&str], &str, Value); 6] = [
        (&["nice", "-n", "3"], "/scheduler/nice", json!(3)),
        (
            &["ionice", "-c", "2", "-n", "6"],
            "/io_priority",
            json!({"class": 2, "priority": 6}),
        ),
        (&["choom", "-n", "77", "--"], "/oom_score_adj", json!(77)),
        (
            &["setarch", "--addr-no-randomize"],
            "/personality",
            json!(0x0004_0000),
        ),
        (&[&probe, "slack", "70000"], "/timer_slack", json!(70_000)),
        (
            &["prlimit", "--core=4096:8192"],
            "/rlimits/RLIMIT_CORE",
            json!({"soft": 4096, "hard": 8192}),
        ),
    ];
    for (wrap, pointer, want) in all {
        everywhere(ctx, wrap, pointer, &want)?;
    }
    Ok(())
}

/// Engines set one on the runtime. It is the runtime's alone: a created container outlives both.
fn parent_death_signal(ctx: &mut Ctx) -> Outcome {
    let wrap = ["setpriv", "--pdeathsig", "TERM"];
    everywhere(ctx, &wrap, "/parent_death_signal", &json!(0))?;
    let mut bundle = another(ctx)?;
    bundle.probe(&["listen", "0"]);
    bundle.save()?;
    let (pid, out) = (ctx.dir.join("pid"), ctx.dir.join("seen"));
    let (from, _to) = pipe_with(PipeFlags::CLOEXEC)?;
    let script = "setpriv --pdeathsig TERM \"$@\" >\"$0\" & read -r line";
    let run = ["run", "--pid-file", text(&pid)?, "--bundle"];
    let engine = ctx
        .command(&["sh", "-c", script, text(&out)?])
        .arg(&ctx.runtime().path)
        .args(&["--root", text(&ctx.state_dir())?])
        .args(&run)
        .args(&[text(&bundle.dir)?, &ctx.id]);
    let engine = ctx.in_view(engine).stdin(from).spawn()?;
    until("the container is ready", || {
        let seen = fs::read_to_string(&out).unwrap_or_default();
        Ok(seen.contains("ready") && fs::read_to_string(&pid).is_ok_and(|pid| !pid.is_empty()))
    })?;
    let init = read(&pid)?.trim().parse()?;
    engine.signal(Signal::KILL)?;
    let ended = wait_for_exit(init, std::time::Duration::from_secs(10))?;
    check!(ended, "the runtime had no TERM to pass on");
    drop(engine);
    until("nothing is left", || Ok(ctx.expect_nothing_left().is_ok()))
}

/// nohup(1): the runtime goes on when its terminal hangs up, and so does the container, which need not
/// ignore the signal for that.
fn hangup_is_ignored(ctx: &mut Ctx) -> Outcome {
    let mut bundle = another(ctx)?;
    bundle.probe(&["listen", "0"]);
    let cmd = ctx.with_bundle("run", &[], &bundle)?;
    let mut running = cmd.wrapped(&["env", "--ignore-signal=HUP"]).spawn()?;
    running.wait_for("ready")?;
    running.signal(Signal::HUP)?;
    running.signal(Signal::USR1)?;
    running.wait_for("signal USR1")?;
    running.signal(Signal::TERM)?;
    let done = running.wait()?.ok()?;
    check!(!done.stdout.contains("signal HUP"), "{}", done.stdout);
    let wrap = ["env", "--ignore-signal=HUP,INT,QUIT"];
    everywhere(ctx, &wrap, "/signals/ignored", &json!([]))
}
