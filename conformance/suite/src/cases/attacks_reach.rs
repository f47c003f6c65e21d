//! A process of the container with CAP_SYS_PTRACE, as debuggers and profilers have it, goes for every
//! process that the runtime lets appear in its pid namespace: `probe reach`. What it gets must be no
//! more than what the container has.
//!
//! conformance/faults looks at each call of such a process (`reach::…`); here it is a race.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::joined_namespaces::join;
use super::siege::{Siege, Wants};
use super::user_namespace::bundle_with_users;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::terminal::ConsoleSocket;

/// How often the plain `exec` is run, and how often where many other cases wait.
const RACES: u32 = 1000;
const RACES_IN_CI: u32 = 300;

/// How often everything else is.
const ROUNDS: u32 = 60;

/// In which part of the rounds at least a process has to be caught before it executes its program,
/// or the case has shown nothing.
const CAUGHT: u32 = 10;

const OWN_WORDS: &str = "how a runtime ends is its own matter";

/// What the old crun and runc do.
const CAPABILITIES: &str = "exec'd processes that have no more than the container has";

pub fn cases() -> Vec<Case> {
    let case = |name, body| {
        Case::new(name, body)
            .lacks("runc 1.1", CAPABILITIES, "reached: ")
            .lacks("crun 1.8", CAPABILITIES, "reached: ")
    };
    vec![
        case("attacks_reach::exec", exec),
        case("attacks_reach::exec_by_another_user", by_another_user),
        case("attacks_reach::exec_in_a_user_namespace", in_users),
        case("attacks_reach::exec_with_a_terminal", with_a_terminal),
        case("attacks_reach::exec_as_another_user", as_another_user),
        case("attacks_reach::exec_with_a_capability", with_a_capability),
        case("attacks_reach::exec_under_filters", under_filters),
        case("attacks_reach::pods", pods),
        case("attacks_reach::pods_with_hooks", pods_with_hooks).lacks(
            "crun 1.8",
            "containers with hooks in another container's pid namespace",
            "read from the init process",
        ),
        Case::new("attacks_reach::mounts", mounts).only("kan", "neither runc nor crun has these"),
        Case::new("attacks_reach::killed", killed).only("kan", OWN_WORDS),
        Case::new("attacks_reach::held", held).only("kan", OWN_WORDS),
        Case::new("attacks_reach::scribbled_over", scribbled_over).only("kan", OWN_WORDS),
        Case::new("attacks_reach::an_intruder_is_caught", intruder)
            .only("kan", "it is the attacker that is tested"),
    ]
}

fn exec(ctx: &mut Ctx) -> Outcome {
    let siege = Siege::lay(ctx, ctx.bundle()?)?;
    // Others are much slower, and are caught soon.
    let rounds = match ctx.runtime().name.as_str() {
        "kan" if std::env::var_os("CI").is_some() => RACES_IN_CI,
        "kan" => RACES,
        _ => ROUNDS,
    };
    siege.exec(ctx, rounds, &[])?;
    siege.raise(ctx, rounds / CAUGHT)
}

/// The attacker is not root, and has the capability nevertheless.
fn by_another_user(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    for set in ["inheritable", "ambient"] {
        let set = format!("/process/capabilities/{set}");
        bundle.set(&set, json!(["CAP_SYS_PTRACE"]));
    }
    let siege = Siege::lay(ctx, bundle)?;
    siege.exec(ctx, ROUNDS, &["--user", "0:0"])?;
    siege.exec(ctx, ROUNDS, &[])?;
    siege.raise(ctx, ROUNDS / CAUGHT)
}

/// There kan's processes hide from it: it can only look at what the program has.
fn in_users(ctx: &mut Ctx) -> Outcome {
    let siege = Siege::lay(ctx, bundle_with_users(ctx)?)?;
    siege.exec(ctx, 2 * ROUNDS, &[])?;
    siege.raise(ctx, 0)
}

fn with_a_terminal(ctx: &mut Ctx) -> Outcome {
    let siege = Siege::lay(ctx, ctx.bundle()?)?;
    let socket = ConsoleSocket::bind(&ctx.dir)?;
    let path = text(&socket.path)?;
    for _ in 0..ROUNDS {
        siege.exec(ctx, 1, &["--tty", "--detach", "--console-socket", path])?;
        drop(socket.receive()?);
    }
    siege.raise(ctx, ROUNDS / CAUGHT)
}

fn as_another_user(ctx: &mut Ctx) -> Outcome {
    let siege = Siege::lay(ctx, ctx.bundle()?)?;
    siege.exec(ctx, ROUNDS, &["--user", "1000:1000"])?;
    siege.raise(ctx, ROUNDS / CAUGHT)
}

fn with_a_capability(ctx: &mut Ctx) -> Outcome {
    // CAP_NET_RAW, capabilities(7).
    let wants = Wants {
        capabilities: 1 << 13,
        ..Wants::default()
    };
    let siege = Siege::lay_with(ctx, ctx.bundle()?, &wants)?;
    siege.exec(ctx, ROUNDS, &["--cap", "CAP_NET_RAW"])?;
    siege.raise(ctx, ROUNDS / CAUGHT)
}

/// With no_new_privs and without; a filter that is in the way of what comes before the program is
/// loaded by a process that keeps CAP_SYS_ADMIN for it: SECURITY.md.
fn under_filters(ctx: &mut Ctx) -> Outcome {
    const SYS_ADMIN: u64 = 1 << 21;
    for (call, no_new_privileges, more) in [
        ("mkdir", true, 0),
        ("mkdir", false, 0),
        ("clone", true, 0),
        ("clone", false, SYS_ADMIN),
    ] {
        let mut bundle = ctx.bundle_named(&format!("{call}-{no_new_privileges}"))?;
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": [call], "action": "SCMP_ACT_ERRNO"}]});
        bundle
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .set("/linux/seccomp", filter);
        let wants = Wants {
            capabilities: more,
            ..Wants::default()
        };
        let siege = Siege::lay_with(ctx, bundle, &wants)?;
        siege.exec(ctx, ROUNDS / 2, &[])?;
        siege.raise(ctx, ROUNDS / 2 / CAUGHT)?;
        ctx.verb(&["delete", "--force"])?.ok()?;
    }
    Ok(())
}

/// Containers that join the attacker's pid namespace.
fn pods(ctx: &mut Ctx) -> Outcome {
    let victim = ctx.bundle_named("victim")?;
    let wants = Wants {
        roots: &[&victim],
        ..Wants::default()
    };
    let siege = Siege::lay_with(ctx, ctx.bundle()?, &wants)?;
    run_victims(ctx, &siege, victim)?;
    siege.raise(ctx, ROUNDS / CAUGHT)
}

/// Hooks of createContainer have the runtime's privileges, those of startContainer are given the
/// annotations.
fn pods_with_hooks(ctx: &mut Ctx) -> Outcome {
    let mut victim = ctx.bundle_named("victim")?;
    for (kind, path) in [
        ("createContainer", "/bin/true"),
        ("startContainer", "/probe"),
    ] {
        let hook = json!([{"path": path, "args": ["hook", "exit", "0"], "timeout": 20}]);
        victim.set(&format!("/hooks/{kind}"), hook);
    }
    let wants = Wants {
        roots: &[&victim],
        has_hooks: true,
        ..Wants::default()
    };
    let siege = Siege::lay_with(ctx, ctx.bundle()?, &wants)?;
    run_victims(ctx, &siege, victim)?;
    siege.raise(ctx, ROUNDS / CAUGHT)
}

fn run_victims(ctx: &mut Ctx, siege: &Siege, mut victim: Bundle) -> Outcome {
    join(&mut victim, ctx.pid()?, &["pid"]);
    victim.set("/annotations", siege.bundle.config["annotations"].clone());
    victim.probe(&["exit", "0"]).save()?;
    let (id, dir) = (ctx.another_id(), text(&victim.dir)?.to_owned());
    let pid_file = siege.trap.pid_file();
    for round in 0..ROUNDS {
        let verb = if round % 2 == 0 { "run" } else { "create" };
        let options = [verb, "--pid-file", &pid_file, "--bundle", &dir, &id];
        let made = ctx.oci(&options);
        made.env("KAN_CANARY", siege.trap.environment())
            .run()?
            .ok()?;
        if verb == "create" {
            ctx.oci(&["start", &id]).run()?.ok()?;
        }
        ctx.oci(&["delete", "--force", &id]).run()?.ok()?;
    }
    Ok(())
}

/// No process of the runtime's is in the pid namespace at all.
fn mounts(ctx: &mut Ctx) -> Outcome {
    let siege = Siege::lay(ctx, ctx.bundle()?)?;
    let source = text(&ctx.dir)?;
    let list = json!([
        {"destination": "/a", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/b", "type": "bind", "source": source, "options": ["bind", "ro"]},
        {"destination": "/c", "type": "proc", "source": "proc"},
    ]);
    let file = format!("{}/mounts.json", siege.trap.dir);
    fs::write(&file, list.to_string())?;
    for _ in 0..ROUNDS / 2 {
        for verb in ["add", "remove"] {
            let command = ctx.oci(&["mounts", verb, &ctx.id, &file]);
            let command = command.env("KAN_CANARY", siege.trap.environment());
            command.run()?.ok()?;
        }
    }
    let (found, before) = siege.ended(ctx)?;
    check!(found.is_empty(), "reached: {}", found.join("; "));
    equal("processes of the runtime's", before, 0)
}

/// Every process of `exec` is killed as soon as it appears: that is told, soon and in one line.
fn killed(ctx: &mut Ctx) -> Outcome {
    let wants = Wants {
        manner: "kill",
        ..Wants::default()
    };
    let siege = Siege::lay_with(ctx, ctx.bundle()?, &wants)?;
    expect_ends(ctx, &siege)
}

/// The memory and the socket that it shares with kan are overwritten: that is told likewise, and
/// nothing that was written there comes out at kan's terminal.
fn scribbled_over(ctx: &mut Ctx) -> Outcome {
    let wants = Wants {
        manner: "scribble",
        ..Wants::default()
    };
    let siege = Siege::lay_with(ctx, ctx.bundle()?, &wants)?;
    expect_ends(ctx, &siege)
}

/// Every process of `exec` is stopped, and even dead it is not let go: kan can be told to end.
fn held(ctx: &mut Ctx) -> Outcome {
    let wants = Wants {
        manner: "hold",
        ..Wants::default()
    };
    let siege = Siege::lay_with(ctx, ctx.bundle()?, &wants)?;
    // One that is quicker than the attacker ends by itself.
    for _ in 0..ROUNDS {
        let mut exec = ctx.exec(&[], &["/probe", "exit", "7"]).spawn()?;
        std::thread::sleep(Duration::from_millis(500));
        if !exec.is_running()? {
            continue;
        }
        // Held as the program that it was to become: kan passes signals on to that, and waits for it.
        if has_executed(exec.pid()) {
            exec.signal(Signal::KILL)?;
            exec.wait()?;
            continue;
        }
        let begin = Instant::now();
        exec.signal(Signal::TERM)?;
        let done = exec.wait()?;
        let took = begin.elapsed();
        check!(took < Duration::from_secs(4), "exec took {took:?}");
        equal("exit code", done.status.code(), Some(143))?;
        check!(done.stderr.contains("SIGTERM"), "{:?}", done.stderr);
        return siege.ended(ctx).map(drop);
    }
    fail!("no process was held");
}

/// Whether a child of kan is the program already.
fn has_executed(kan: i32) -> bool {
    let children = fs::read_to_string(format!("/proc/{kan}/task/{kan}/children"));
    let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let children = children.unwrap_or_default();
    children
        .split_whitespace()
        .any(|pid| name(pid).trim() == "probe")
}

fn expect_ends(ctx: &Ctx, siege: &Siege) -> Outcome {
    for _ in 0..2 * ROUNDS {
        let begin = Instant::now();
        let done = ctx.exec(&[], &["/probe", "exit", "7"]).run()?;
        let took = begin.elapsed();
        let code = done.status.code();
        check!(took < Duration::from_secs(5), "exec took {took:?}");
        check!(
            matches!(code, Some(7 | 137 | 255 | 1)),
            "exec: {}: {}",
            done.status,
            done.stderr
        );
        let (lines, is_plain) = (
            done.stderr.lines().count(),
            done.stderr
                .chars()
                .all(|char| char == '\n' || !char.is_control()),
        );
        check!(
            lines <= 1 && is_plain && !done.stderr.contains("panic"),
            "exec says {:?}",
            done.stderr
        );
    }
    siege.ended(ctx).map(drop)?;
    ctx.wait_stopped()
}

/// The control: nsenter(1) is what the attacker waits for.
fn intruder(ctx: &mut Ctx) -> Outcome {
    let siege = Siege::lay(ctx, ctx.bundle()?)?;
    let (pid, argument) = (ctx.pid()?.to_string(), &siege.trap.words[1]);
    let wait = format!("sleep 0.2 # {argument}");
    let words = ["nsenter", "--pid", "--target", &pid, "sh", "-c", &wait];
    for _ in 0..2 {
        let command = ctx.command(&words);
        let command = command.env("KAN_CANARY", siege.trap.environment());
        command.run()?.ok()?;
    }
    let (found, before) = siege.ended(ctx)?;
    let found = found.join("; ");
    for wanted in [
        "root is elsewhere",
        "secret through root",
        "secret through cwd",
        "capabilities",
        "in environ",
        "in cmdline",
        "in mem",
        "namespace mnt",
    ] {
        check!(found.contains(wanted), "{wanted} was not found: {found}");
    }
    check!(before > 0, "nobody was caught before execve");
    Ok(())
}
