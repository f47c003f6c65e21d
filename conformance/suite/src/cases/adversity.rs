//! Containers that are broken, half made, of another version or changed by others at the same
//! time: every command answers with success or one clear line, soon, and leaves nothing behind.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use crate::harness::command::{Done, Running};
use crate::harness::prelude::*;

const REASON: &str = "the state directory and its locks are its own";

pub fn cases() -> Vec<Case> {
    let case = |name, body| Case::new(name, body).only("kan", REASON);
    vec![
        case("adversity::truncated_state", truncated_state),
        case("adversity::state_that_is_no_state", state_that_is_no_state),
        case("adversity::state_that_is_no_file", state_that_is_no_file),
        case("adversity::state_of_a_newer_version", newer_version),
        case("adversity::half_made", half_made),
        case("adversity::config_lost", config_lost),
        case("adversity::everything_lost", everything_lost),
        case(
            "adversity::cgroup_removed_by_others",
            cgroup_removed_by_others,
        ),
        case("adversity::commands_race", commands_race),
        case(
            "adversity::creates_and_deletes_race",
            creates_and_deletes_race,
        ),
        case("adversity::a_thousand_execs", a_thousand_execs),
        case("adversity::execs_while_it_ends", execs_while_it_ends),
    ]
}

fn file(ctx: &Ctx, name: &str) -> PathBuf {
    ctx.state_dir().join(&ctx.id).join(name)
}

/// A command's answer: success with warnings at most, or a failure in one line.
fn judge(done: Done) -> Result<Done, Fault> {
    check!(
        done.status.signal().is_none(),
        "{}: {}",
        done.what,
        done.status
    );
    let code = done.status.code().unwrap_or(-1);
    if code == 137 && done.what.contains(" exec ") {
        // The process was executed, and killed with the container.
        return Ok(done);
    }
    check!(
        matches!(code, 0 | 1 | 255),
        "{}: code {code}: {}",
        done.what,
        done.stderr
    );
    // `list` warns of a state that it can't read.
    let is_warning = |line: &&str| line.starts_with("kan: warning: ");
    let lines = done.stderr.lines().filter(|line| !is_warning(line)).count();
    let expected = usize::from(code != 0);
    check!(
        lines == expected,
        "{}: {lines} lines: {}",
        done.what,
        done.stderr
    );
    let kan = done.stderr.lines().all(|line| line.starts_with("kan: "));
    check!(
        kan && !done.stderr.contains("panicked"),
        "{}: {}",
        done.what,
        done.stderr
    );
    Ok(done)
}

/// Every command on the container but those that end it, none of which may change a thing.
fn every_command(ctx: &Ctx) -> Outcome {
    let (id, list) = (ctx.id.as_str(), ctx.dir.join("mounts.json"));
    fs::write(
        &list,
        r#"[{"destination": "/t", "type": "tmpfs", "source": "t"}]"#,
    )?;
    let list = crate::harness::container::text(&list)?;
    for args in [
        &["state", id][..],
        &["start", id],
        &["exec", id, "/probe", "exit", "0"],
        &["kill", id, "0"],
        &["kill", "--all", id, "0"],
        &["pause", id],
        &["resume", id],
        &["update", "--pids-limit", "100", id],
        &["mounts", "add", id, list],
        &["ps", id],
        &["delete", id],
    ] {
        let done = ctx.oci(args).run()?;
        check!(!done.status.success(), "{}: success", done.what);
        judge(done)?;
    }
    let done = judge(ctx.oci(&["list"]).run()?.ok()?)?;
    check!(done.stdout.contains(id), "list hides it: {}", done.stdout);
    let done = judge(ctx.oci(&["list", "--format", "json"]).run()?.ok()?)?;
    let all: Value = serde_json::from_str(&done.stdout)?;
    equal("status", &all[0]["status"], &json!("broken"))
}

/// What is left is deleted, and the running process with it.
fn expect_forced_end(ctx: &Ctx) -> Outcome {
    ctx.oci(&["delete", "--force", &ctx.id]).run()?.quiet()?;
    ctx.expect_nothing_left()
}

fn truncated_state(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let path = file(ctx, "state.json");
    let whole = fs::read(&path)?;
    fs::write(&path, &whole[..whole.len() / 2])?;
    every_command(ctx)?;
    expect_forced_end(ctx)
}

fn state_that_is_no_state(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    for text in ["[]", "null", "{\"version\": 1}", "\0\u{1}\u{2}"] {
        fs::write(file(ctx, "state.json"), text)?;
        every_command(ctx)?;
    }
    expect_forced_end(ctx)
}

/// A FIFO makes a careless reader wait for ever.
fn state_that_is_no_file(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let path = file(ctx, "state.json");
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    every_command(ctx)?;
    fs::remove_dir(&path)?;
    let made = ctx.command(&["mkfifo", crate::harness::container::text(&path)?]);
    made.run()?.ok()?;
    every_command(ctx)?;
    expect_forced_end(ctx)
}

fn newer_version(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let path = file(ctx, "state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path)?)?;
    state["version"] = json!(999);
    fs::write(&path, state.to_string())?;
    every_command(ctx)?;
    let done = ctx.oci(&["state", &ctx.id]).run()?;
    done.refuses(&["state of version 999"])?;
    expect_forced_end(ctx)
}

/// What a kan leaves that was killed before it wrote anything: stopped, and nothing but that.
fn half_made(ctx: &mut Ctx) -> Outcome {
    fs::create_dir_all(ctx.state_dir().join(&ctx.id))?;
    ctx.expect_status("stopped")?;
    ctx.verb(&["start"])?
        .refuses(&["cannot start a container that has stopped"])?;
    ctx.kill("TERM")?.refuses(&["container not running"])?;
    ctx.oci(&["kill", "--all", &ctx.id, "9"]).run()?.quiet()?;
    ctx.verb(&["pause"])?.refuses(&["container not running"])?;
    let exec = ctx.exec(&[], &["/probe", "exit", "0"]).run()?;
    exec.refuses_with(255, &["cannot exec in a stopped container"])?;
    ctx.oci(&["delete", &ctx.id]).run()?.quiet()?;
    ctx.expect_nothing_left()
}

fn config_lost(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    fs::remove_file(file(ctx, "config.json"))?;
    let exec = judge(ctx.exec(&[], &["/probe", "exit", "0"]).run()?)?;
    exec.refuses_with(255, &["config.json"])?;
    ctx.expect_status("running")?;
    ctx.kill("KILL")?.quiet()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}

/// Neither state nor config say where the container's cgroup is: it is where it always is.
fn everything_lost(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    fs::write(file(ctx, "state.json"), "{")?;
    fs::write(file(ctx, "config.json"), "{")?;
    every_command(ctx)?;
    expect_forced_end(ctx)
}

fn cgroup_removed_by_others(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()?;
    for hierarchy in fs::read_dir("/sys/fs/cgroup")?.flatten() {
        let own = hierarchy.path().join(&ctx.id);
        if own.is_dir() {
            fs::remove_dir(&own)?;
        }
    }
    ctx.expect_status("stopped")?;
    judge(ctx.verb(&["pause"])?)?;
    judge(ctx.oci(&["update", "--pids-limit", "100", &ctx.id]).run()?)?;
    ctx.oci(&["delete", &ctx.id]).run()?.quiet()?;
    ctx.expect_nothing_left()
}

/// Ends all commands, and judges each.
fn judge_all(running: Vec<Running>) -> Outcome {
    let ended: Result<Vec<_>, _> = running.into_iter().map(Running::wait).collect();
    for done in ended? {
        judge(done)?;
    }
    Ok(())
}

const ROUNDS: usize = 200;

/// Everything that anybody may do to a container at once.
fn commands_race(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    for round in 0..ROUNDS {
        ctx.create(&bundle)?;
        let id = ctx.id.as_str();
        let mut commands = [
            &["start", id][..],
            &["exec", id, "/probe", "exit", "0"],
            &["kill", id, "KILL"],
            &["delete", "--force", id],
            &["state", id],
            &["pause", id],
            &["resume", id],
        ];
        commands.rotate_left(round % 7);
        let running: Result<Vec<_>, _> =
            commands.iter().map(|args| ctx.oci(args).spawn()).collect();
        judge_all(running?)?;
        ctx.oci(&["delete", "--force", id]).run()?.quiet()?;
        if let Err(fault) = ctx.expect_nothing_left() {
            fail!("round {round}: {fault}");
        }
    }
    Ok(())
}

/// Two of each, on one id.
fn creates_and_deletes_race(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]).save()?;
    let dir = crate::harness::container::text(&bundle.dir)?.to_owned();
    for round in 0..50 {
        let id = ctx.id.as_str();
        let create = ["create", "--bundle", &dir, id];
        let delete = ["delete", "--force", id];
        let running = [&create[..], &delete, &create, &delete];
        let running: Result<Vec<_>, _> = running.iter().map(|args| ctx.oci(args).spawn()).collect();
        judge_all(running?)?;
        ctx.oci(&["delete", "--force", id]).run()?.quiet()?;
        if let Err(fault) = ctx.expect_nothing_left() {
            fail!("round {round}: {fault}");
        }
    }
    Ok(())
}

/// Processes, descriptors and cgroups of the container, as the host sees them.
fn count(ctx: &Ctx) -> Result<(usize, usize), Fault> {
    let pid = ctx.pid()?;
    let namespace = fs::read_link(format!("/proc/{pid}/ns/pid"))?;
    let processes = fs::read_dir("/proc")?.flatten().filter(|entry| {
        fs::read_link(entry.path().join("ns/pid")).is_ok_and(|link| link == namespace)
    });
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    Ok((processes.count(), descriptors))
}

fn a_thousand_execs(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let before = count(ctx)?;
    for _ in 0..500 {
        let running: Result<Vec<_>, _> = (0..2)
            .map(|_| ctx.exec(&[], &["/probe", "exit", "7"]).spawn())
            .collect();
        for one in running? {
            one.wait()?.exits(7)?;
        }
    }
    equal("processes and descriptors", count(ctx)?, before)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}

/// `exec` succeeds, or says why not; it never hangs and never leaves a process.
fn execs_while_it_ends(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    for round in 0..30 {
        ctx.launch(&bundle)?.wait_for("ready")?;
        let exec = || ctx.exec(&[], &["/probe", "exit", "0"]).spawn();
        let mut running = vec![exec()?, exec()?];
        let kill = ctx.oci(&["kill", &ctx.id, "KILL"]).spawn()?;
        running.extend([exec()?, exec()?]);
        kill.wait()?.ok()?;
        for one in running {
            let done = one.wait()?;
            let code = done.status.code();
            check!(
                matches!(code, Some(0 | 137 | 255)),
                "{code:?}: {}",
                done.stderr
            );
        }
        ctx.wait_stopped()?;
        ctx.delete()?;
        if let Err(fault) = ctx.expect_nothing_left() {
            fail!("round {round}: {fault}");
        }
    }
    Ok(())
}
