//! runtime.md, "kill": signals reach the program, by every spelling, and only while there is
//! one.

use crate::harness::command::Done;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "kill::term_ends_what_was_created",
            term_ends_what_was_created,
        )
        .deviates(
            "crun 1.8",
            "runtime.md, kill: sends the signal to the process of a created container",
            "still runs",
        ),
        Case::new("kill::term_in_a_start_hook", term_in_a_start_hook).deviates(
            "crun 1.8",
            "runtime.md, kill: sends the signal to the process of a created container",
            "still runs",
        ),
        Case::new("kill::term_after_start", term_after_start).lacks(
            "runc 1.1",
            "a signal that comes right after start",
            "still runs",
        ),
        Case::new("kill::in_a_freezer_of_its_own", in_a_freezer_of_its_own)
            .deviates(
                "runc 1.1",
                "runtime.md, kill: KILL is sent, and has no effect",
                "still runs",
            )
            .deviates(
                "crun 1.8",
                "runtime.md, kill: KILL is sent, and has no effect",
                "still runs",
            ),
        Case::new("kill::default_is_term", default_is_term),
        Case::new("kill::by_name_and_number", by_name_and_number),
        Case::new("kill::kill_stops_it", kill_stops_it),
        Case::new("kill::created", created),
        Case::new("kill::stopped_is_refused", stopped_is_refused),
        Case::new(
            "kill::all_of_stopped_is_no_error",
            all_of_stopped_is_no_error,
        ),
        Case::new("kill::nothing_but_a_question", nothing_but_a_question),
        Case::new("kill::realtime_signal", realtime_signal),
        Case::new("kill::all_processes", all_processes),
        Case::new("kill::all_by_the_short_flag", all_by_the_short_flag),
        Case::new("kill::all_without_a_cgroup", all_without_a_cgroup).only(
            "kan",
            "runc has no --cgroup-manager; where crun is put nobody promises",
        ),
        Case::new("kill::shared_processes", shared_processes)
            .deviates("runc 1.1", "not in the spec; since runc 1.2", "still runs")
            .deviates("crun 1.8", "not in the spec; runc's way", "still runs"),
        Case::new(
            "kill::shared_processes_without_init",
            shared_processes_without_init,
        )
        .deviates(
            "runc 1.1",
            "not in the spec; since runc 1.2",
            "container not running",
        )
        .deviates("crun 1.8", "not in the spec; runc's way", "exit status: 1"),
        Case::new("kill::paused", paused),
        Case::new("kill::by_regular_expression", by_regular_expression).only(
            "kan",
            "crun's own flag, and crun 1.8 has it for delete alone",
        ),
        Case::new("kill::unknown_signal", unknown_signal).deviates(
            "crun 1.8",
            "runtime.md, kill: the signal MUST be sent; here success is told and nothing sent",
            "exit status: 0, want exit code 1",
        ),
        Case::new("kill::options_after_the_id", options_after_the_id).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "requires a maximum of",
        ),
    ]
}

/// Starts a container that prints the signals it gets and ends with code 7 at TERM.
fn launch_listener(ctx: &Ctx) -> Result<Done, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["listen", "7"]);
    let created = ctx.launch(&bundle)?;
    created.wait_for("ready")?;
    Ok(created)
}

fn default_is_term(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    ctx.verb(&["kill"])?.quiet()?;
    ctx.wait_stopped()?;
    equal(
        "signals",
        created.stdout_now()?.as_str(),
        "ready\nsignal TERM\n",
    )
}

/// Signals are sent one after the other, so that none is merged with the next.
fn by_name_and_number(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    let spellings = [
        ("HUP", "HUP"),
        ("SIGUSR1", "USR1"),
        ("12", "USR2"),
        ("2", "INT"),
        ("SIGWINCH", "WINCH"),
    ];
    for (spelled, name) in spellings {
        ctx.kill(spelled)?.quiet()?;
        created.wait_for(&format!("signal {name}\n"))?;
    }
    ctx.kill("15")?.quiet()?;
    created.wait_for("signal TERM\n")?;
    ctx.wait_stopped()
}

fn kill_stops_it(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.kill("9")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}

/// "neither created nor running" is the error; created is fine.
fn created(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    ctx.create(&bundle)?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.delete()
}

/// "Attempting to send a signal to a container that is neither created nor running MUST have no
/// effect on the container and MUST generate an error."
fn stopped_is_refused(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.kill("TERM")?.refuses(&["container not running"])?;
    ctx.kill("9")?.refuses(&["container not running"])?;
    ctx.expect_status("stopped")
}

/// podman and the containerd shim call it so while they clean up.
fn all_of_stopped_is_no_error(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.oci(&["kill", "--all", &ctx.id, "9"])
        .run()?
        .ok()
        .map(drop)
}

fn unknown_signal(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    for signal in ["NOSUCH", "SIGNOSUCH"] {
        ctx.kill(signal)?
            .refuses(&[&format!("unknown signal \"{signal}\"")])?;
    }
    ctx.kill("999")?.refuses(&[""])?;
    ctx.expect_status("running")?;
    equal("signals", created.stdout_now()?.as_str(), "ready\n")
}

fn options_after_the_id(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.oci(&["kill", &ctx.id, "KILL", "--all"]).run()?.ok()?;
    ctx.wait_stopped()
}

/// Signal 0 is sent to nobody.
fn nothing_but_a_question(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    ctx.kill("0")?.quiet()?;
    equal("signals", created.stdout_now()?.as_str(), "ready\n")?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.kill("0")?.refuses(&["container not running"])
}

fn realtime_signal(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    ctx.kill("40")?.quiet()?;
    created.wait_for("signal ")?;
    ctx.expect_status("running")
}

fn all_processes(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    let other = ctx.exec(&["--detach"], &["/probe", "listen", "0"]);
    let other = other.run()?.ok()?;
    other.wait_for("ready")?;
    ctx.oci(&["kill", "--all", &ctx.id, "HUP"]).run()?.ok()?;
    created.wait_for("signal HUP\n")?;
    other.wait_for("signal HUP\n")?;
    ctx.expect_status("running")
}

/// As CRI-O asks.
fn all_by_the_short_flag(ctx: &mut Ctx) -> Outcome {
    let created = launch_listener(ctx)?;
    ctx.oci(&["kill", "-a", &ctx.id, "1"]).run()?.quiet()?;
    created.wait_for("signal HUP\n")?;
    ctx.oci(&["kill", "-a", &ctx.id, "9"]).run()?.quiet()?;
    ctx.wait_stopped()
}

/// Nobody knows the others then, but the first one is known.
fn all_without_a_cgroup(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.remove("/linux/resources").probe(&["listen", "0"]);
    bundle.save()?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    let create = ["create", "--bundle", dir, &ctx.id];
    let without = ["--cgroup-manager", "disabled"];
    let created = ctx.oci_with(&without, &create).run()?.ok()?;
    ctx.start()?;
    created.wait_for("ready")?;
    ctx.oci(&["kill", "--all", &ctx.id, "HUP"]).run()?.ok()?;
    created.wait_for("signal HUP\n")?;
    ctx.oci(&["kill", "--all", &ctx.id, "KILL"]).run()?.ok()?;
    ctx.wait_stopped()?;
    // As with a cgroup: there is nobody left.
    ctx.oci(&["kill", "--all", &ctx.id, "KILL"])
        .run()?
        .ok()
        .map(drop)
}

/// A container without a PID namespace of its own whose program leaves another process, which
/// goes on when the first one ends; its pid on the host.
fn launch_two(ctx: &Ctx, script: &str) -> Result<i32, Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.without_namespace("pid").shell(script);
    let created = ctx.launch(&bundle)?;
    created.wait_for("other ")?;
    let said = created.stdout_now()?;
    let pid = said.lines().find_map(|line| line.strip_prefix("other "));
    Ok(pid.unwrap_or_default().parse()?)
}

fn expect_end_of(pid: i32) -> Outcome {
    let patience = std::time::Duration::from_secs(2);
    let ended = crate::harness::command::wait_for_exit(pid, patience)?;
    check!(ended, "process {pid} still runs");
    Ok(())
}

/// SIGKILL is the end of the container, not of its first process alone.
fn shared_processes(ctx: &mut Ctx) -> Outcome {
    let other = launch_two(ctx, "sleep 1000 & echo other $!; wait")?;
    ctx.kill("KILL")?.ok()?;
    expect_end_of(other)?;
    ctx.wait_stopped()
}

fn shared_processes_without_init(ctx: &mut Ctx) -> Outcome {
    let other = launch_two(ctx, "sleep 1000 & echo other $!")?;
    ctx.wait_stopped()?;
    ctx.kill("TERM")?.refuses(&["container not running"])?;
    ctx.kill("KILL")?.ok()?;
    expect_end_of(other)
}

/// The freezer holds even SIGKILL back on cgroup v1.
fn paused(ctx: &mut Ctx) -> Outcome {
    launch_listener(ctx)?;
    ctx.verb(&["pause"])?.ok()?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()
}

fn by_regular_expression(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]).save()?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    let ids = [ctx.another_id(), ctx.another_id()];
    for id in ids.iter().chain([&ctx.id]) {
        ctx.oci(&["create", "--bundle", dir, id]).run()?.ok()?;
    }
    let pattern = format!("^{}-[0-9]$", ctx.id);
    ctx.oci(&["kill", "--regex", &pattern, "KILL"])
        .run()?
        .ok()?;
    ctx.expect_status("created")?;
    ctx.oci(&["delete", "-r", &pattern]).run()?.ok()?;
    let left = ctx.oci(&["list", "-q"]).run()?.ok()?;
    equal("ids", left.stdout.trim(), ctx.id.as_str())?;
    ctx.oci(&["delete", "-r", "("]).run()?.refuses(&["--regex"])
}

/// CRI-O sends TERM once, and then waits out the whole grace period.
fn term_ends_what_was_created(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    for signal in ["TERM", "INT", "HUP"] {
        ctx.create(&bundle)?;
        ctx.kill(signal)?.ok()?;
        ctx.wait_stopped()?;
        check!(!bundle.inside("ran").exists(), "the program ran");
        ctx.delete()?;
    }
    Ok(())
}

/// Between `start` and the execution of the program.
fn term_in_a_start_hook(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    let hook = super::hooks::hook("echo >/begun; exec sleep 30");
    super::hooks::add(&mut bundle, "startContainer", hook);
    ctx.create(&bundle)?;
    let start = ctx.oci(&["start", &ctx.id]).spawn()?;
    let begun = || Ok(bundle.inside("begun").exists());
    crate::harness::command::until("the hook", begun)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    start.wait()?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.delete()
}

/// Without a pid namespace the program has TERM's default action, so that the container ends whether
/// the signal comes before or after the execution.
fn term_after_start(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["pause"]);
    bundle.without_namespace("pid");
    for _ in 0..200 {
        ctx.create(&bundle)?;
        ctx.start()?;
        ctx.kill("TERM")?.ok()?;
        ctx.wait_stopped()?;
        ctx.delete()?;
    }
    Ok(())
}

/// Where there is a freezer of cgroup v1, a container that may write there can freeze its own init.
fn in_a_freezer_of_its_own(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["pause"]);
    ctx.launch(&bundle)?;
    let pid = ctx.pid()?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let freezer = groups.lines().find_map(|line| line.split_once(":freezer:"));
    let Some((_, path)) = freezer else {
        skip!("no freezer of cgroup v1");
    };
    let own = format!("/sys/fs/cgroup/freezer{path}");
    if !std::path::Path::new(&own).is_dir() {
        skip!("no freezer of cgroup v1 in this view");
    }
    let below = format!("{own}/below");
    std::fs::create_dir(&below)?;
    std::fs::write(format!("{below}/cgroup.procs"), pid.to_string())?;
    std::fs::write(format!("{below}/freezer.state"), "FROZEN")?;
    let frozen = || Ok(std::fs::read_to_string(format!("{below}/freezer.state"))? == "FROZEN\n");
    crate::harness::command::until("frozen", frozen)?;
    ctx.kill("KILL")?.ok()?;
    let stopped = ctx.wait_stopped();
    std::fs::write(format!("{below}/freezer.state"), "THAWED")?;
    stopped?;
    ctx.delete()
}
