//! The command line itself, as engines and people write it: not in the specification, but what a
//! drop-in for runc must understand.

use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("command_line::help_of_everything", help_of_everything),
        Case::new("command_line::unknown_command", unknown_command),
        Case::new("command_line::unknown_flag", unknown_flag),
        Case::new("command_line::number_of_arguments", number_of_arguments),
        Case::new("command_line::short_version", short_version),
        Case::new("command_line::one_dash_options", one_dash_options),
        Case::new("command_line::flags_with_values", flags_with_values),
        Case::new("command_line::a_flag_given_twice", a_flag_given_twice),
        Case::new(
            "command_line::arguments_of_the_program",
            arguments_of_the_program,
        ),
        Case::new(
            "command_line::flags_of_other_runtimes",
            flags_of_other_runtimes,
        )
        .only("kan", "runc and crun know their own flags alone"),
        Case::new("command_line::suggestions", suggestions)
            .only("kan", "help for people is its own promise"),
        Case::new(
            "command_line::no_checkpoint_is_promised",
            no_checkpoint_is_promised,
        )
        .only("kan", "engines ask `checkpoint --help` for support"),
        Case::new("command_line::log_destinations", log_destinations)
            .only("kan", "runc knows files alone"),
    ]
}

/// crun reads its command line with argp, in other words.
fn speaks_like_runc(ctx: &Ctx) -> Outcome {
    if !ctx.runtime().speaks_like_runc() {
        skip!("crun has its own command line");
    }
    Ok(())
}

const COMMANDS: [&str; 15] = [
    "create", "delete", "events", "exec", "features", "kill", "list", "pause", "ps", "resume",
    "run", "spec", "start", "state", "update",
];

fn help_of_everything(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let mut all = vec![
        vec!["--help"],
        vec!["-h"],
        vec!["help"],
        vec!["help", "create"],
    ];
    for command in COMMANDS {
        all.push(vec![command, "--help"]);
        all.push(vec![command, "-h"]);
    }
    for args in all {
        let done = ctx.oci(&args).run()?.quiet()?;
        check!(
            done.stdout.starts_with("NAME:\n"),
            "{args:?}: {}",
            done.stdout
        );
    }
    Ok(())
}

fn unknown_command(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    for args in [&["frobnicate"][..], &["frobnicate", "x"]] {
        let done = ctx.oci(args).run()?;
        check!(!done.status.success(), "accepted");
        let said = done.stderr.contains("No help topic for 'frobnicate'");
        check!(said, "stderr: {}", done.stderr);
    }
    Ok(())
}

fn unknown_flag(ctx: &mut Ctx) -> Outcome {
    for args in [
        &["--frobnicate", "list"][..],
        &["create", "--frobnicate", &ctx.id],
    ] {
        let done = ctx.oci(args).run()?;
        check!(!done.status.success(), "{args:?}: accepted");
        check!(
            done.stderr.contains("frobnicate"),
            "{args:?}: {}",
            done.stderr
        );
    }
    ctx.expect_nothing_left()
}

fn number_of_arguments(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    for command in ["create", "run", "start", "state", "pause", "resume"] {
        for args in [vec![command], vec![command, "a", "b"]] {
            let done = ctx.oci(&args).run()?;
            done.refuses(&[&format!("\"{command}\" requires exactly 1 argument(s)")])?;
        }
    }
    let done = ctx.oci(&["exec"]).run()?;
    done.refuses(&["\"exec\" requires a minimum of 1 argument(s)"])?;
    let done = ctx.oci(&["kill"]).run()?;
    done.refuses(&["\"kill\" requires a minimum of 1 argument(s)"])?;
    let done = ctx.oci(&["kill", "a", "b", "c"]).run()?;
    done.refuses(&["\"kill\" requires a maximum of 2 argument(s)"])?;
    let done = ctx.oci(&["list", "a"]).run()?;
    done.refuses(&["\"list\" requires exactly 0 argument(s)"])
}

fn short_version(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let done = ctx.oci(&["-v"]).run()?.quiet()?;
    let mut starts = done.stdout.lines();
    for start in [
        &format!("{} version ", ctx.runtime().name),
        "commit: ",
        "spec: ",
    ] {
        let line = starts.next().unwrap_or_default();
        check!(
            line.starts_with(start),
            "{line:?} does not begin with {start:?}"
        );
    }
    Ok(())
}

/// containerd's `-no-subreaper`, and all others with it.
fn one_dash_options(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["echo", "here"]).save()?;
    let dir = text(&bundle.dir)?;
    let args = ["run", "-no-subreaper", "-bundle", dir, "-keep", &ctx.id];
    let done = ctx.oci_with(&["-debug"], &args).run()?.ok()?;
    equal("stdout", done.stdout.as_str(), "here\n")?;
    ctx.expect_status("stopped")
}

fn flags_with_values(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]).save()?;
    let dir = format!("--bundle={}", text(&bundle.dir)?);
    for keep in ["--keep=false", "--keep=true"] {
        ctx.oci(&["run", keep, &dir, &ctx.id]).run()?.ok()?;
    }
    ctx.expect_status("stopped")
}

/// podman asks for `checkpoint --leave-running --leave-running`.
fn a_flag_given_twice(ctx: &mut Ctx) -> Outcome {
    speaks_like_runc(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]).save()?;
    let dir = text(&bundle.dir)?;
    let file = ctx.dir.join("second");
    let args = [
        "create",
        "--pid-file",
        "first",
        "--no-new-keyring",
        "--no-new-keyring",
    ];
    let cmd = ctx
        .oci(&args)
        .args(&["--bundle", "/nowhere", "--bundle", dir]);
    cmd.args(&["--pid-file", text(&file)?, &ctx.id])
        .run()?
        .ok()?;
    check!(file.exists(), "the last of two values does not count");
    check!(
        !ctx.dir.join("first").exists(),
        "the first of two values counts"
    );
    ctx.oci(&["delete", "--force", "--force", &ctx.id])
        .run()?
        .ok()
        .map(drop)
}

fn arguments_of_the_program(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let words = [
        "/probe", "echo", "-tty", "--detach", "--", "-e", "--env=x", "--help",
    ];
    let done = ctx.exec(&[], &words).run()?.ok()?;
    equal(
        "stdout",
        done.stdout.as_str(),
        "-tty --detach -- -e --env=x --help\n",
    )
}

/// podman's for runtimes without cgroups, and crun's for logs.
fn flags_of_other_runtimes(ctx: &mut Ctx) -> Outcome {
    let global = [
        "--cgroup-manager",
        "cgroupfs",
        "--rootless",
        "auto",
        "--rootless=false",
        "--log-level",
        "error",
    ];
    std::fs::create_dir(ctx.state_dir())?;
    ctx.oci_with(&global, &["list", "-q"]).run()?.ok()?;
    for wrong in [
        ["--rootless", "perhaps"],
        ["--cgroup-manager", "me"],
        ["--log-level", "loud"],
    ] {
        let done = ctx.oci_with(&wrong, &["list"]).run()?;
        done.refuses(&[wrong[1]])?;
    }
    Ok(())
}

fn suggestions(ctx: &mut Ctx) -> Outcome {
    let done = ctx.oci(&["sttae", &ctx.id]).run()?;
    done.refuses(&["did you mean 'state'?"])?;
    let done = ctx.oci(&["create", "--bundel", "x", &ctx.id]).run()?;
    done.refuses(&["did you mean --bundle?"])
}

fn no_checkpoint_is_promised(ctx: &mut Ctx) -> Outcome {
    for command in ["checkpoint", "restore"] {
        let done = ctx.oci(&[command, "--help"]).run()?;
        done.refuses(&["No help topic"])?;
    }
    Ok(())
}

fn log_destinations(ctx: &mut Ctx) -> Outcome {
    let log = format!("file:{}", text(&ctx.dir.join("log"))?);
    let done = ctx.oci_with(&["--log", &log], &["state", &ctx.id]).run()?;
    done.refuses(&["does not exist"])?;
    let written = crate::harness::bundle::read(&ctx.dir.join("log"))?;
    check!(written.contains("does not exist"), "log: {written:?}");
    std::fs::create_dir(ctx.state_dir())?;
    // Without journald the command works all the same.
    ctx.oci_with(&["--log", "journald:x"], &["list"])
        .run()?
        .ok()
        .map(drop)
}
