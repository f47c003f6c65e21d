//! `exec`: another process in a container that is there; its command line and exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

/// Why crun may differ.
const CRUN: &str = "not in the spec; crun has its own command line";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("exec::arguments", arguments),
        Case::new("exec::exit_codes", exit_codes),
        Case::new("exec::exit_code_of_a_signal", exit_code_of_a_signal),
        Case::new("exec::streams", streams),
        Case::new("exec::forwards_signals", forwards_signals),
        Case::new("exec::cwd", cwd),
        Case::new("exec::environment", environment).deviates("crun 1.8", CRUN, "KEPT=1: got 0"),
        Case::new("exec::own_environment_is_kept_out", own_environment),
        Case::new("exec::home_from_passwd", home_from_passwd).deviates(
            "crun 1.8",
            CRUN,
            "77: got []",
        ),
        Case::new("exec::process_file", process_file),
        Case::new("exec::process_from_a_descriptor", process_from_a_descriptor),
        Case::new("exec::process_from_a_pipe", process_from_a_pipe),
        Case::new("exec::process_file_missing", process_file_missing).lacks(
            "kan",
            "the words of engines for a missing process document",
            "No such file or directory (os error 2)",
        ),
        Case::new("exec::process_file_is_no_json", process_file_is_no_json),
        Case::new("exec::detach_and_pid_file", detach_and_pid_file),
        Case::new(
            "exec::pid_file_in_the_foreground",
            pid_file_in_the_foreground,
        ),
        Case::new("exec::failed_leaves_no_pid_file", failed_leaves_no_pid_file),
        Case::new("exec::without_arguments_is_refused", without_arguments),
        Case::new("exec::program_not_in_path", program_not_in_path),
        Case::new("exec::program_missing", program_missing),
        Case::new("exec::program_not_executable", program_not_executable),
        Case::new("exec::program_is_a_directory", program_is_a_directory),
    ]
}

fn arguments(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let args = ["/probe", "report", "--user", "", "a b", "-x", "--", "$HOME"];
    let done = ctx.exec(&[], &args).run()?;
    // The probe knows no such report; what it was given stands in its error.
    let done = done.exits(99)?;
    let want = "probe: unknown command: report --user  a b -x -- $HOME";
    check!(done.stderr.contains(want), "stderr: {}", done.stderr);
    let report = ctx.exec_report(&[])?;
    report.expect("/argv", &json!(["/probe", "report"]))
}

fn exit_codes(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    for code in [0, 1, 42, 126, 127, 255] {
        ctx.exec(&[], &["/probe", "exit", &code.to_string()])
            .run()?
            .exits(code)?;
    }
    ctx.expect_status("running")
}

/// 128 + n; here the process is not PID 1, so that it can kill itself.
fn exit_code_of_a_signal(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    for signal in [9, 15, 6, 11] {
        ctx.exec(&[], &["/probe", "signal", &signal.to_string()])
            .run()?
            .exits(128 + signal)?;
    }
    ctx.expect_status("running")
}

fn streams(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let text = "line 1\nline 2 without end";
    fs::write(ctx.dir.join("input"), text)?;
    let input = fs::File::open(ctx.dir.join("input"))?;
    let cmd = ctx.exec(&[], &["/probe", "stdin"]).stdin(input);
    let done = cmd.run()?.quiet()?;
    equal("stdout", done.stdout.as_str(), text)
}

fn forwards_signals(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let mut running = ctx.exec(&[], &["/probe", "listen", "7"]).spawn()?;
    running.wait_for("ready")?;
    running.signal(rustix::process::Signal::USR1)?;
    running.wait_for("signal USR1\n")?;
    running.signal(rustix::process::Signal::TERM)?;
    let done = running.wait()?;
    check!(done.status.signal().is_none(), "exec itself died");
    done.exits(7)?;
    ctx.expect_status("running")
}

fn cwd(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.exec_report(&[])?.expect("/cwd", &json!("/"))?;
    ctx.exec_report(&["--cwd", "/tmp"])?
        .expect("/cwd", &json!("/tmp"))
}

/// Added to the container's environment; a later one replaces an earlier one.
fn environment(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/process/env/-", json!("FROM=config"))
        .set("/process/env/-", json!("KEPT=1"));
    ctx.launch(&bundle)?.wait_for("ready")?;
    let options = [
        "--env",
        "FROM=exec",
        "--env",
        "NEW=two words=and more",
        "--env=EMPTY=",
    ];
    let report = ctx.exec_report(&options)?;
    let env = report.strings("/env");
    for want in ["FROM=exec", "KEPT=1", "NEW=two words=and more", "EMPTY="] {
        let count = env.iter().filter(|entry| **entry == want).count();
        equal(want, count, 1)?;
    }
    check!(!env.contains(&"FROM=config"), "both values: {env:?}");
    Ok(())
}

/// The environment of `exec` itself is the host's business.
fn own_environment(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let cmd = ctx.exec(&[], &["/probe", "report"]).env("SECRET", "x");
    let done = cmd.run()?.ok()?;
    let report = Report::parse(&done.stdout)?;
    let env = report.strings("/env");
    let leaked = env.iter().any(|entry| entry.starts_with("SECRET"));
    check!(!leaked, "environment: {env:?}");
    Ok(())
}

/// Programs look for their files there, and a user's are not root's.
fn home_from_passwd(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    // A file of its own: the template's is shared by hard link.
    fs::remove_file(bundle.inside("etc/passwd"))?;
    let names = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n";
    fs::write(bundle.inside("etc/passwd"), names)?;
    for (user, home) in [
        ("0", "HOME=/root"),
        ("1000", "HOME=/home/user"),
        ("77", "HOME=/"),
    ] {
        let report = ctx.exec_report(&["--user", user])?;
        let mut env = report.strings("/env");
        env.retain(|entry| entry.starts_with("HOME="));
        equal(user, env, vec![home])?;
    }
    Ok(())
}

/// A process document that does not say more than it must, and more than flags can.
fn document() -> Value {
    json!({
        "args": ["/probe", "report"],
        "cwd": "/tmp",
        "env": ["PATH=/bin", "ONLY=this"],
        "user": {"uid": 7, "gid": 8, "additionalGids": [9, 10]},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 77, "hard": 88}],
        "noNewPrivileges": true
    })
}

/// Fails unless the report is that of [`document`].
fn expect_document(report: &Report) -> Outcome {
    report.expect("/cwd", &json!("/tmp"))?;
    report.expect("/uid/real", &json!(7))?;
    report.expect("/gid/effective", &json!(8))?;
    report.expect("/groups", &json!([9, 10]))?;
    report.expect("/rlimits/RLIMIT_CORE", &json!({"soft": 77, "hard": 88}))?;
    report.expect("/no_new_privs", &json!(true))?;
    let mut env = report.strings("/env");
    env.retain(|entry| !entry.starts_with("HOME="));
    equal("environment", env, vec!["PATH=/bin", "ONLY=this"])
}

/// Launches a sleeper without no_new_privs and writes [`document`] to a file.
fn with_document(ctx: &Ctx) -> Result<std::path::PathBuf, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/process/noNewPrivileges", json!(false));
    ctx.launch(&bundle)?.wait_for("ready")?;
    let file = ctx.dir.join("process.json");
    fs::write(&file, document().to_string())?;
    Ok(file)
}

fn process_file(ctx: &mut Ctx) -> Outcome {
    let file = with_document(ctx)?;
    let done = ctx.exec(&["--process", text(&file)?], &[]).run()?.ok()?;
    expect_document(&Report::parse(&done.stdout)?)
}

/// Callers that keep no files hand over a descriptor.
fn process_from_a_descriptor(ctx: &mut Ctx) -> Outcome {
    let file = with_document(ctx)?;
    let script = format!("exec 7<{}; exec \"$0\" \"$@\"", text(&file)?);
    let cmd = ctx.exec(&["--process", "/dev/fd/7"], &[]);
    let done = cmd.wrapped(&["sh", "-c", &script]).run()?.ok()?;
    let report = Report::parse(&done.stdout)?;
    equal("open fds", report.open_fds(), vec![0, 1, 2])?;
    expect_document(&report)
}

fn process_from_a_pipe(ctx: &mut Ctx) -> Outcome {
    let file = with_document(ctx)?;
    let script = format!("cat {} | \"$0\" \"$@\"", text(&file)?);
    let cmd = ctx.exec(&["-p", "/dev/fd/0"], &[]);
    let done = cmd.wrapped(&["sh", "-c", &script]).run()?.ok()?;
    expect_document(&Report::parse(&done.stdout)?)
}

fn process_file_missing(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let cmd = ctx.exec(&["--process", "/nowhere/process.json"], &[]);
    cmd.run()?.refuses_with(255, &["no such file or directory"])
}

fn process_file_is_no_json(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let file = ctx.dir.join("process.json");
    for broken in [
        "",
        "{",
        "[]",
        "{\"args\": \"x\"}",
        "{\"args\": [], \"cwd\": \"/\"}",
    ] {
        fs::write(&file, broken)?;
        let cmd = ctx.exec(&["--process", text(&file)?], &[]);
        cmd.run()?.refuses_with(255, &[""])?;
    }
    ctx.expect_status("running")
}

/// A pid from a pid file: digits and nothing else.
fn pid_of(file: &std::path::Path) -> Result<i32, Fault> {
    let written = crate::harness::bundle::read(file)?;
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    check!(digits && !written.is_empty(), "pid file: {written:?}");
    Ok(written.parse()?)
}

/// Fails unless a process of the host is in the container's PID namespace.
fn expect_member(ctx: &Ctx, pid: i32) -> Outcome {
    let namespace = |pid| fs::read_link(format!("/proc/{pid}/ns/pid"));
    equal("PID namespace", namespace(pid)?, namespace(ctx.pid()?)?)
}

fn detach_and_pid_file(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let file = ctx.dir.join("exec.pid");
    let options = ["--detach", "--pid-file", text(&file)?];
    let done = ctx.exec(&options, &["/probe", "sleep"]).run()?.quiet()?;
    let pid = pid_of(&file)?;
    done.wait_for("ready")?;
    expect_member(ctx, pid)?;
    crate::harness::command::send(pid, rustix::process::Signal::TERM)?;
    let gone = crate::harness::command::wait_for_exit(pid, Duration::from_secs(5))?;
    check!(gone, "{pid} did not end on TERM");
    ctx.expect_status("running")
}

/// Relative to the caller's directory.
fn pid_file_in_the_foreground(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let options = ["--pid-file", "exec.pid"];
    let mut running = ctx.exec(&options, &["/probe", "listen", "3"]).spawn()?;
    running.wait_for("ready")?;
    let file = ctx.dir.join("exec.pid");
    // The program may be faster than the runtime.
    crate::harness::command::until("a pid file", || Ok(file.exists()))?;
    let pid = pid_of(&file)?;
    expect_member(ctx, pid)?;
    crate::harness::command::send(pid, rustix::process::Signal::TERM)?;
    running.wait()?.exits(3).map(drop)
}

/// conmon takes a pid file for the sign of success.
fn failed_leaves_no_pid_file(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let file = ctx.dir.join("exec.pid");
    for detach in [&["--detach"][..], &[]] {
        for program in ["/nope", "nosuch", "/tmp"] {
            let options = [detach, &["--pid-file", text(&file)?]].concat();
            let done = ctx.exec(&options, &[program]).run()?;
            done.refuses_with(255, &[""])?;
            check!(!file.exists(), "{program}: a pid file");
        }
    }
    Ok(())
}

fn without_arguments(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let done = ctx.exec(&[], &[]).run()?;
    check!(!done.status.success(), "executes nothing, with success");
    check!(!done.stderr.is_empty(), "fails without a word");
    Ok(())
}

/// Executes a program that must be refused, in the foreground and detached.
fn program_refused(ctx: &Ctx, program: &str, texts: &[&str]) -> Outcome {
    for options in [&[][..], &["--detach"]] {
        let done = ctx.exec(options, &[program]).run()?;
        done.refuses_with(255, texts)?;
    }
    ctx.expect_status("running")
}

fn program_not_in_path(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let text = "exec: \"nosuch\": executable file not found in $PATH";
    program_refused(ctx, "nosuch", &[text])
}

fn program_missing(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let text = "exec: \"/nope\": stat /nope: no such file or directory";
    program_refused(ctx, "/nope", &[text])
}

fn program_not_executable(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    fs::write(bundle.inside("plain"), "text")?;
    fs::set_permissions(bundle.inside("plain"), fs::Permissions::from_mode(0o644))?;
    program_refused(ctx, "/plain", &["permission denied"])
}

fn program_is_a_directory(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    // Go's words for a directory were those for a missing permission until runc 1.1.5.
    program_refused(ctx, "/tmp", &["is a directory", "permission denied"])
}
