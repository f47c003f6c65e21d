//! config-linux.md, Seccomp: the agent, and what a filter does to the program.

use std::fs;

use crate::harness::bundle::read;
use crate::harness::command::Companion;
use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("seccomp::nothing_but_read", nothing_but_read).only(
            "kan",
            "others wait for an init that can't end, or say what failed in other words",
        ),
        Case::new("seccomp::no_write", no_write)
            .only("kan", "others name the call, not the profile"),
        Case::new("seccomp::actions", actions),
        Case::new("seccomp::no_getcwd_for_the_program", no_getcwd).deviates(
            "runc 1.1",
            "config-linux.md, Seccomp: the filter is for the container's program",
            "current working directory is safe",
        ),
        Case::new(
            "seccomp::no_call_that_only_the_runtime_makes",
            no_runtime_call,
        )
        .only("kan", "others make some of these calls under the filter"),
        Case::new("seccomp::close_is_refused_before_a_hook", no_close)
            .only("kan", "others fail in other ways"),
        Case::new("seccomp::flags", flags)
            .lacks("runc 1.1", "flags", "not yet supported")
            .lacks("crun 1.8", "an error for unknown flags", "want exit code 1"),
        Case::new("seccomp::agent_hears_and_answers", agent_hears).lacks(
            "crun 1.8",
            "a message to the agent in one piece",
            "EOF while parsing",
        ),
        Case::new("seccomp::agent_answers_exec", agent_answers_exec).lacks(
            "crun 1.8",
            "a message to the agent in one piece",
            "EOF while parsing",
        ),
        Case::new(
            "seccomp::agent_with_no_new_privileges",
            agent_without_privileges,
        ),
        Case::new("seccomp::agent_may_be_asked_about_much", asked_about_much),
        Case::new("seccomp::agent_missing_is_an_error", agent_missing),
        Case::new(
            "seccomp::agent_is_not_needed_without_notify",
            agent_not_needed,
        )
        .deviates(
            "crun 1.8",
            "config-linux.md, Seccomp: listenerPath is for when SCMP_ACT_NOTIFY is used",
            "want exit code 0",
        ),
        Case::new("seccomp::dead_agent_gives_enosys", dead_agent).lacks(
            "crun 1.8",
            "a listener that nobody holds but the agent",
            "not within",
        ),
        Case::new("seccomp::notify_on_write_is_refused", notify_on_write).lacks(
            "crun 1.8",
            "that rule",
            "want exit code 1",
        ),
        Case::new("seccomp::notify_as_default_is_refused", notify_as_default).lacks(
            "crun 1.8",
            "that rule",
            "want exit code 1",
        ),
        Case::new("seccomp::unknown_call_is_an_error_if_asked", unknown_call).lacks(
            "runc 1.1",
            "the annotation",
            "want exit code 1",
        ),
    ]
}

fn profile(rules: Value) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": rules,
    })
}

/// A profile whose calls the agent of [`with_agent`] is asked about.
pub fn asking(socket: &str, names: &[&str]) -> Value {
    let mut profile = profile(json!([{"names": names, "action": "SCMP_ACT_NOTIFY"}]));
    profile["listenerPath"] = json!(socket);
    profile["listenerMetadata"] = json!("from the suite");
    profile
}

const MKDIR: [&str; 2] = ["mkdir", "mkdirat"];

/// ERRNO, KILL_PROCESS, TRAP and LOG as the program feels them.
fn actions(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    let script = "mkdir /d 2>&1; echo code $?";
    for (rule, want) in [
        (
            json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 123}),
            "No medium found",
        ),
        (
            json!({"action": "SCMP_ACT_ERRNO"}),
            "Operation not permitted",
        ),
        (json!({"action": "SCMP_ACT_KILL_PROCESS"}), "code 159"),
        (json!({"action": "SCMP_ACT_KILL"}), "code 159"),
        (json!({"action": "SCMP_ACT_TRAP"}), "code 159"),
        (
            json!({"action": "SCMP_ACT_TRACE", "errnoRet": 1}),
            "Function not implemented",
        ),
        (json!({"action": "SCMP_ACT_LOG"}), "code 0"),
    ] {
        let mut rule = rule;
        rule["names"] = json!(MKDIR);
        bundle
            .set("/linux/seccomp", profile(json!([rule])))
            .shell(script);
        let done = ctx.run(&bundle)?.ok()?;
        check!(done.stdout.contains(want), "{rule}: {}", done.stdout);
    }
    Ok(())
}

/// A filter without no_new_privileges is loaded before the user is set: what the runtime does after it
/// must not need the call that only the program may not make.
fn no_getcwd(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let rule = json!([{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}]);
    bundle.set("/linux/seccomp", profile(rule));
    for no_new_privileges in [true, false] {
        bundle.set("/process/noNewPrivileges", json!(no_new_privileges));
        ctx.report(&mut bundle)?.expect("/seccomp", &json!(2))?;
    }
    Ok(())
}

/// The same for each call with which a runtime gives up what it has.
fn no_runtime_call(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/noNewPrivileges", json!(false));
    bundle.set(
        "/process/user",
        json!({"uid": 7, "gid": 8, "additionalGids": [9]}),
    );
    for call in [
        "chdir",
        "faccessat2",
        "madvise",
        "munmap",
        "setgroups",
        "setresgid",
        "setresuid",
    ] {
        let rule = json!([{"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}]);
        bundle.set("/linux/seccomp", profile(rule));
        let report = ctx.report(&mut bundle)?;
        report.expect("/seccomp", &json!(2))?;
        report.expect("/uid/effective", &json!(7))?;
        report.expect("/capabilities/effective", &json!([]))?;
    }
    Ok(())
}

/// The runtime itself closes descriptors around a hook, under the filter, and must survive that it
/// can't. (The probe is a static program, and closes nothing that it needs closed.)
fn no_close(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let rule = json!([{"names": ["close"], "action": "SCMP_ACT_ERRNO"}]);
    bundle.set("/linux/seccomp", profile(rule));
    let hook = json!([{"path": "/probe", "args": ["probe", "exit", "7"]}]);
    bundle.set("/hooks", json!({"startContainer": hook}));
    let done = ctx.run(&bundle)?.exits(1)?;
    check!(
        done.stderr
            .contains("startContainer hook #0: exit status 7"),
        "{}",
        done.stderr
    );
    Ok(())
}

/// An absent list is SPEC_ALLOW, an empty one none; proc(5), Speculation_Store_Bypass, says so
/// where the processor has the mitigation.
fn flags(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"]),
    ] {
        bundle.set("/linux/seccomp", profile(json!([])));
        bundle.set(
            "/linux/seccomp/syscalls",
            json!([{"names": MKDIR, "action": "SCMP_ACT_ERRNO"}]),
        );
        bundle.set("/linux/seccomp/flags", flags);
        ctx.report(&mut bundle)?.expect("/seccomp", &json!(2))?;
    }
    bundle.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_BOGUS"]));
    ctx.try_create(&bundle)?
        .refuses(&["SECCOMP_FILTER_FLAG_BOGUS"])?;
    ctx.expect_nothing_left()
}

/// An agent of the suite's own, and what it was told so far.
pub struct Agent {
    program: Companion,
    pub socket: String,
    log: std::path::PathBuf,
}

impl Agent {
    pub fn start(ctx: &Ctx) -> Result<Self, Fault> {
        let socket = ctx.dir.join("agent.sock");
        let log = ctx.dir.join("agent.log");
        let output = ctx.dir.join("agent.out");
        let mut command = std::process::Command::new(ctx.bundle_named("agent")?.inside("probe"));
        command
            .args(["agent".as_ref(), socket.as_os_str(), log.as_os_str()])
            .stdout(fs::File::create(&output)?);
        let agent = Self {
            program: Companion::start(&mut command)?,
            socket: text(&socket)?.to_owned(),
            log,
        };
        crate::harness::command::until("the agent", || Ok(read(&output)?.contains("ready")))?;
        Ok(agent)
    }

    /// The runtime does not wait until the agent has written down what it heard.
    pub fn told(&self) -> Result<Vec<Value>, Fault> {
        crate::harness::command::until("a message to the agent", || {
            Ok(fs::read(&self.log).is_ok_and(|text| text.ends_with(b"\n")))
        })?;
        let text = read(&self.log)?;
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.collect::<Result<_, _>>()?)
    }
}

/// "The runtime MUST send the container process state to this socket", with the descriptor.
fn agent_hears(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/annotations", json!({"org.example.key": "value"}))
        .set("/process/noNewPrivileges", json!(false))
        .set("/linux/seccomp", asking(&agent.socket, &MKDIR))
        .shell("mkdir /d 2>&1; touch /f; exec /probe sleep");
    let created = ctx.create(&bundle)?;
    let pid = ctx.pid()?;
    let told = agent.told()?;
    equal("messages", told.len(), 1)?;
    let state = &told[0];
    equal("fds", &state["fds"], &json!(["seccompFd"]))?;
    equal("pid", &state["pid"], &json!(pid))?;
    equal("metadata", &state["metadata"], &json!("from the suite"))?;
    equal("id", &state["state"]["id"], &json!(ctx.id))?;
    equal("status", &state["state"]["status"], &json!("creating"))?;
    equal("pid of the container", &state["state"]["pid"], &json!(pid))?;
    equal(
        "bundle",
        &state["state"]["bundle"],
        &json!(text(&bundle.dir)?),
    )?;
    equal(
        "annotation",
        &state["state"]["annotations"]["org.example.key"],
        &json!("value"),
    )?;
    let version = state["ociVersion"].as_str().unwrap_or_default();
    check!(version.starts_with("1."), "ociVersion: {version}");
    ctx.start()?;
    created.wait_for("No medium found")?;
    created.wait_for("ready")?;
    check!(
        bundle.inside("f").exists() && !bundle.inside("d").exists(),
        "a wrong call was asked about"
    );
    Ok(())
}

fn agent_answers_exec(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/linux/seccomp", asking(&agent.socket, &MKDIR))
        .probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let done = ctx.exec(&[], &["/bin/sh", "-c", "mkdir /d 2>&1"]).run()?;
    check!(done.stdout.contains("No medium found"), "{}", done.stdout);
    let told = agent.told()?;
    equal("messages", told.len(), 2)?;
    equal("status", &told[1]["state"]["status"], &json!("running"))?;
    equal(
        "pid of the container",
        &told[1]["state"]["pid"],
        &json!(ctx.pid()?),
    )?;
    check!(
        told[1]["pid"] != told[1]["state"]["pid"],
        "the pid is the container's: {}",
        told[1]
    );
    Ok(())
}

fn agent_without_privileges(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/process/noNewPrivileges", json!(true))
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/linux/seccomp", asking(&agent.socket, &MKDIR))
        .shell("mkdir /tmp/d 2>&1");
    let done = ctx.run(&bundle)?;
    check!(
        done.stdout.contains("No medium found"),
        "{}{}",
        done.stdout,
        done.stderr
    );
    Ok(())
}

/// The runtime itself may need what the agent is asked about.
fn asked_about_much(ctx: &mut Ctx) -> Outcome {
    let agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    let names = [
        "read",
        "close",
        "openat",
        "execve",
        "chdir",
        "setgroups",
        "setresuid",
        "capset",
        "prctl",
        "getcwd",
        "newfstatat",
        "sendmsg",
    ];
    bundle
        .set("/process/noNewPrivileges", json!(false))
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/linux/seccomp", asking(&agent.socket, &names));
    let report = ctx.report(&mut bundle)?;
    report.expect("/uid/real", &json!(1000))
}

fn agent_missing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let nowhere = ctx.dir.join("nowhere");
    bundle
        .set("/linux/seccomp", asking(text(&nowhere)?, &MKDIR))
        .probe(&["sleep"]);
    let refused = ctx.try_create(&bundle)?;
    refused.refuses(&["failed to connect with seccomp agent"])?;
    ctx.expect_nothing_left()
}

fn agent_not_needed(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let mut quiet = profile(json!([{"names": MKDIR, "action": "SCMP_ACT_ERRNO"}]));
    quiet["listenerPath"] = json!("/nowhere/agent.sock");
    bundle.set("/linux/seccomp", quiet);
    ctx.report(&mut bundle)?.expect("/seccomp", &json!(2))
}

/// seccomp_unotify(2): without a listener a call fails with ENOSYS. So nobody but the agent may
/// hold it.
fn dead_agent(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/linux/seccomp", asking(&agent.socket, &MKDIR))
        .shell("mkdir /d 2>&1; echo code $?");
    let created = ctx.create(&bundle)?;
    agent.program.end()?;
    ctx.start()?;
    created.wait_for("Function not implemented")
}

fn notify_on_write(ctx: &mut Ctx) -> Outcome {
    let agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    bundle
        .set("/linux/seccomp", asking(&agent.socket, &["write"]))
        .probe(&["sleep"]);
    let refused = ctx.try_create(&bundle)?;
    refused.refuses(&["SCMP_ACT_NOTIFY cannot be used for the write syscall"])?;
    drop(agent);
    ctx.expect_nothing_left()
}

fn notify_as_default(ctx: &mut Ctx) -> Outcome {
    let agent = Agent::start(ctx)?;
    let mut bundle = ctx.bundle()?;
    let mut all = asking(&agent.socket, &MKDIR);
    all["defaultAction"] = json!("SCMP_ACT_NOTIFY");
    bundle.set("/linux/seccomp", all).probe(&["sleep"]);
    let refused = ctx.try_create(&bundle)?;
    refused.refuses(&["SCMP_ACT_NOTIFY cannot be used as default action"])?;
    drop(agent);
    ctx.expect_nothing_left()
}

/// An unknown name is passed over, unless crun's annotation says otherwise.
fn unknown_call(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let rule = json!({"names": ["no_such_call", "mkdir"], "action": "SCMP_ACT_ERRNO"});
    bundle.set("/linux/seccomp", profile(json!([rule])));
    ctx.report(&mut bundle)?.expect("/seccomp", &json!(2))?;
    bundle.set(
        "/annotations",
        json!({"run.oci.seccomp_fail_unknown_syscall": "1"}),
    );
    ctx.try_create(&bundle)?
        .refuses(&["invalid seccomp syscall \"no_such_call\""])?;
    ctx.expect_nothing_left()
}

/// Not even exit_group(2) is allowed: the runtime fails soon, says why, and leaves no process.
fn nothing_but_read(ctx: &mut Ctx) -> Outcome {
    expect_blame(
        ctx,
        json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
        }),
    )
}

fn no_write(ctx: &mut Ctx) -> Outcome {
    expect_blame(
        ctx,
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["write", "execve"], "action": "SCMP_ACT_ERRNO"}],
        }),
    )
}

fn expect_blame(ctx: &Ctx, profile: Value) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    bundle.set("/linux/seccomp", profile);
    for no_new_privileges in [true, false] {
        bundle.set("/process/noNewPrivileges", json!(no_new_privileges));
        for verb in ["create", "run"] {
            let begin = std::time::Instant::now();
            let done = ctx.with_bundle(verb, &[], &bundle)?.run()?;
            let took = begin.elapsed();
            check!(took.as_secs() < 5, "{verb}: after {took:?}");
            done.refuses(&["linux.seccomp"])?;
            ctx.expect_nothing_left()?;
        }
    }
    Ok(())
}
