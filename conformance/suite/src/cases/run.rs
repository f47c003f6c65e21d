//! `run`: create, start, wait and delete in one; exit codes, standard streams, signals.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::Signal;

use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("run::exit_codes", exit_codes),
        Case::new("run::exit_code_of_a_signal", exit_code_of_a_signal),
        Case::new("run::streams", streams),
        Case::new("run::is_gone_afterwards", is_gone_afterwards),
        Case::new("run::keep", keep).deviates(
            "crun 1.8",
            "not in the spec; crun has it since 1.9",
            "unrecognized option",
        ),
        Case::new("run::config_of_another_name", config_of_another_name).deviates(
            "runc",
            "not in the spec; crun's flag",
            "flag provided but not defined",
        ),
        Case::new("run::detach", detach),
        Case::new("run::detach_gives_its_streams", detach_gives_its_streams),
        Case::new("run::pid_file", pid_file),
        Case::new("run::forwards_signals", forwards_signals),
        Case::new("run::killed_from_elsewhere", killed_from_elsewhere),
        Case::new("run::is_the_subreaper", is_the_subreaper),
        Case::new("run::no_subreaper", no_subreaper).deviates(
            "crun 1.8",
            "not in the spec; crun has its own command line",
            "in spite of --no-subreaper",
        ),
    ]
}

fn exit_codes(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for code in [0, 1, 42, 126, 127, 255] {
        bundle.probe(&["exit", &code.to_string()]);
        ctx.run(&bundle)?.exits(code)?;
    }
    Ok(())
}

/// 128 + n. Without a PID namespace, because PID 1 cannot kill itself.
fn exit_code_of_a_signal(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.without_namespace("pid");
    for signal in [9, 15, 6, 11] {
        bundle.probe(&["signal", &signal.to_string()]);
        ctx.run(&bundle)?.exits(128 + signal)?;
    }
    Ok(())
}

fn streams(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let text = "line 1\nline 2 without end";
    fs::write(ctx.dir.join("input"), text)?;
    bundle.probe(&["stdin"]);
    let input = fs::File::open(ctx.dir.join("input"))?;
    let done = ctx
        .with_bundle("run", &[], &bundle)?
        .stdin(input)
        .run()?
        .ok()?;
    equal("stdout", done.stdout.as_str(), text)?;
    bundle.probe(&["nonsense"]);
    let done = ctx.run(&bundle)?.exits(99)?;
    check!(
        done.stderr.contains("probe: unknown command: nonsense"),
        "stderr: {}",
        done.stderr
    );
    equal("stdout", done.stdout.as_str(), "")
}

fn is_gone_afterwards(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "5"]);
    ctx.run(&bundle)?.exits(5)?;
    ctx.expect_nothing_left()?;
    ctx.verb(&["state"])?.refuses(&["container does not exist"])
}

fn detach(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let done = ctx
        .with_bundle("run", &["--detach"], &bundle)?
        .run()?
        .ok()?;
    done.wait_for("ready")?;
    ctx.expect_status("running")?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()
}

fn detach_gives_its_streams(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let input = fs::File::open("/dev/null")?;
    let done = ctx
        .with_bundle("run", &["--detach"], &bundle)?
        .stdin(input)
        .run()?
        .ok()?;
    ctx.wait_stopped()?;
    let report = crate::harness::report::Report::parse(&done.stdout_now()?)?;
    report.expect("/fds/0/target", &json!("/dev/null"))?;
    report.expect("/fds/1/type", &json!("file"))?;
    report.expect("/fds/2/type", &json!("file"))
}

fn pid_file(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let file = ctx.dir.join("pid");
    let options = ["--detach", "--pid-file", text(&file)?];
    ctx.with_bundle("run", &options, &bundle)?.run()?.ok()?;
    equal(
        "pid file",
        fs::read_to_string(&file)?,
        ctx.pid()?.to_string(),
    )
}

/// A foreground `run` passes on what it is sent, so that it can stand for its container.
fn forwards_signals(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["listen", "7"]);
    let mut running = ctx.with_bundle("run", &[], &bundle)?.spawn()?;
    running.wait_for("ready")?;
    let signals = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::USR1, "USR1"),
    ];
    for (signal, name) in signals {
        running.signal(signal)?;
        running.wait_for(&format!("signal {name}\n"))?;
    }
    running.signal(Signal::TERM)?;
    let done = running.wait()?.exits(7)?;
    check!(
        done.stdout.ends_with("signal TERM\n"),
        "stdout: {}",
        done.stdout
    );
    Ok(())
}

fn killed_from_elsewhere(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let mut running = ctx.with_bundle("run", &[], &bundle)?.spawn()?;
    running.wait_for("ready")?;
    ctx.kill("KILL")?.ok()?;
    let done = running.wait()?;
    check!(
        done.status.signal().is_none(),
        "run itself died: {:?}",
        done.status
    );
    done.exits(137)?;
    ctx.expect_nothing_left()
}

/// Runs a container in the host's PID namespace that makes an orphan; answers the orphan's
/// parent and the pid of `run`.
fn parent_of_orphan(ctx: &Ctx, options: &[&str]) -> Result<(String, String), Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.without_namespace("pid").probe(&["spawn-orphan"]);
    let mut running = ctx.with_bundle("run", options, &bundle)?.spawn()?;
    running.wait_for("orphan")?;
    running.wait_for("ready")?;
    let said = running.stdout();
    let run = running.pid().to_string();
    ctx.kill("TERM")?.ok()?;
    running.wait()?.ok()?;
    let line = said
        .lines()
        .find(|l| l.starts_with("orphan"))
        .unwrap_or_default();
    Ok((
        line.split(' ').next_back().unwrap_or_default().to_owned(),
        run,
    ))
}

/// Without a PID namespace the foreground `run` adopts what its container leaves.
fn is_the_subreaper(ctx: &mut Ctx) -> Outcome {
    let (parent, run) = parent_of_orphan(ctx, &[])?;
    equal("parent of the orphan", parent, run)
}

fn no_subreaper(ctx: &mut Ctx) -> Outcome {
    let (parent, run) = parent_of_orphan(ctx, &["--no-subreaper"])?;
    check!(
        parent != run,
        "run adopted the orphan in spite of --no-subreaper"
    );
    Ok(())
}

/// What is kept is a stopped container, cgroup and all.
fn keep(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let path = format!("/{}", ctx.id);
    bundle
        .probe(&["exit", "7"])
        .set("/linux/cgroupsPath", json!(path));
    ctx.with_bundle("run", &["--keep"], &bundle)?
        .run()?
        .exits(7)?;
    ctx.expect_status("stopped")?;
    let pids = std::path::Path::new("/sys/fs/cgroup/pids").join(&ctx.id);
    let hybrid = pids.parent().is_some_and(std::path::Path::is_dir);
    check!(
        !hybrid || ctx.unified || pids.is_dir(),
        "the cgroup is gone"
    );
    ctx.delete()?;
    ctx.expect_nothing_left()
}

fn config_of_another_name(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["echo", "here"]).save()?;
    std::fs::rename(
        bundle.dir.join("config.json"),
        bundle.dir.join("other.json"),
    )?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    let args = ["run", "--config", "other.json", "--bundle", dir, &ctx.id];
    let done = ctx.oci(&args).cwd(&bundle.dir).run()?.ok()?;
    equal("stdout", done.stdout.as_str(), "here\n")
}
