//! runtime.md, Lifecycle: what a hook that fails does to the container.

use std::fs;
use std::time::{Duration, Instant};

use super::hooks::{KINDS, add, hook, shell};
use crate::harness::command::until;
use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hooks::failing_prestart", failing_prestart),
        Case::new("hooks::failing_create_runtime", failing_create_runtime),
        Case::new("hooks::failing_create_container", failing_create_container),
        Case::new("hooks::failing_start_container", failing_start_container),
        Case::new(
            "hooks::failing_start_container_is_told",
            failing_start_is_told,
        ),
        Case::new("hooks::failing_start_container_fails_start", failing_start_fails).deviates("runc 1.1", "runtime.md, Lifecycle: if any startContainer hook fails, the runtime must generate an error", "exit status: 0, want exit code 1").deviates("crun 1.8", "runtime.md, Lifecycle: if any startContainer hook fails, the runtime must generate an error", "exit status: 0, want exit code 1"),
        Case::new("hooks::endless_start_container", endless_start_container).lacks("crun 1.8", "a delete --force beside a start that waits", "cannot open directory"),
        Case::new("hooks::endless_create_container", endless_create_container).only("kan", "runc's and crun's create goes on waiting for the hook"),
        Case::new("hooks::killed_in_start_container", killed_in_start_container).deviates("runc 1.1", "config.md, Poststart: called after the program is executed; runc calls it within create", "the poststart hook ran").deviates("crun 1.8", "config.md, Poststart: called after the user-specified program is executed", "the poststart hook ran"),
        Case::new("hooks::failing_poststart", failing_poststart).deviates("crun 1.8", "runtime.md, Lifecycle: an error; it was a warning in older versions", "exit status: 0, want exit code 1").deviates("runc 1.1", "config.md, Poststart: called after the program is executed; runc calls it within create", "create failed: error running hook #0"),
        Case::new("hooks::failing_poststop_is_told", failing_poststop_is_told).deviates(
            "crun 1.8",
            "runtime.md, Lifecycle: MUST log a warning",
            "run: ",
        ),
        Case::new("hooks::failing_poststop", failing_poststop).deviates("runc 1.1", "runtime.md, Lifecycle: the remaining hooks continue as if the hook had succeeded", "the hook after it did not run"),
        Case::new("hooks::failing_start_hooks_destroy", failing_start_hooks_destroy).only("kan", "runtime.md of 1.3, Lifecycle, 7 and 9; runc and crun leave a stopped container"),
        Case::new("hooks::failing_runs_poststop", failing_runs_poststop).lacks("kan", "poststop hooks after a failed create", "no poststop hook ran").deviates("crun 1.8", "runtime.md, Lifecycle: an error of a hook continues at the destruction, with its hooks", "no poststop hook ran"),
        Case::new("hooks::killed_by_a_signal", killed_by_a_signal),
        Case::new("hooks::missing_program", missing_program),
        Case::new("hooks::timeout", timeout),
        Case::new("hooks::timeout_that_no_clock_can_express", endless_timeout)
            .deviates(
                "runc 1.1",
                "config.md, POSIX-platform Hooks: timeout is a number of seconds",
                "hook ran past specified timeout of -1.0s",
            )
            .lacks("crun 1.8", "such a number", "out of range"),
        Case::new("hooks::timeout_inside", timeout_inside),
        Case::new("hooks::timeout_with_an_unread_state", |ctx| {
            expect_timeout(ctx, "createRuntime", LONG)
        })
        .only("kan", "others write the state without a time limit"),
        Case::new("hooks::timeout_inside_with_an_unread_state", |ctx| {
            expect_timeout(ctx, "createContainer", LONG)
        })
        .only("kan", "others write the state without a time limit"),
        Case::new("hooks::timeout_with_a_state_that_no_pipe_holds", |ctx| {
            expect_timeout(ctx, "createRuntime", ENDLESS)
        })
        .only("kan", "others write the state without a time limit"),
        Case::new("hooks::timeout_inside_with_a_state_that_no_pipe_holds", |ctx| {
            expect_timeout(ctx, "createContainer", ENDLESS)
        })
        .only("kan", "others write the state without a time limit"),
        Case::new("hooks::within_the_timeout", within_the_timeout)
            .lacks("crun 1.8", "a reliable wait for hooks", "timeout expired for"),
    ]
}

/// A hook that fails, with a reason.
fn failing() -> Value {
    hook("echo the reason >&2; exit 3")
}

/// Creates with a failing hook: refused with its reason, nothing left, no further hook of the
/// kind run.
fn expect_create_refused(ctx: &Ctx, kind: &str) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let second = ctx.dir.join("second-ran");
    bundle.probe(&["touch", "/ran"]);
    add(&mut bundle, kind, failing());
    add(
        &mut bundle,
        kind,
        hook(&format!("touch {}", text(&second)?)),
    );
    for verb in ["create", "run"] {
        let done = ctx.with_bundle(verb, &[], &bundle)?.run()?;
        let said = done.stderr.clone();
        done.refuses(&["exit status 3"])?;
        let reason = !ctx.runtime().speaks_like_runc() || said.contains("the reason");
        check!(reason, "{verb}: no reason: {said}");
        ctx.expect_nothing_left()?;
    }
    check!(!second.exists(), "the hook after it ran");
    check!(!bundle.inside("ran").exists(), "the program ran");
    Ok(())
}

fn failing_prestart(ctx: &mut Ctx) -> Outcome {
    expect_create_refused(ctx, "prestart")
}

fn failing_create_runtime(ctx: &mut Ctx) -> Outcome {
    expect_create_refused(ctx, "createRuntime")
}

fn failing_create_container(ctx: &mut Ctx) -> Outcome {
    expect_create_refused(ctx, "createContainer")
}

/// The program does not run, and the container is stopped.
fn failing_start_container(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.probe(&["touch", "/ran"]);
    add(&mut bundle, "startContainer", failing());
    ctx.create(&bundle)?;
    let _ = ctx.verb(&["start"])?;
    destroyed_or_stopped(ctx)?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.expect_nothing_left()
}

/// "If any startContainer hook fails, the runtime MUST generate an error".
fn failing_start_is_told(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.probe(&["exit", "0"]);
    add(&mut bundle, "startContainer", failing());
    let created = ctx.create(&bundle)?;
    let _ = ctx.verb(&["start"])?;
    destroyed_or_stopped(ctx)?;
    // Its words may go where the program's errors go.
    let heard = fs::read_to_string(created.errors())?;
    check!(!heard.is_empty(), "nothing is told");
    let done = ctx.run(&bundle)?;
    check!(!done.status.success(), "run succeeds");
    ctx.expect_nothing_left()
}

fn failing_poststart(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["pause"]);
    add(&mut bundle, "poststart", failing());
    ctx.create(&bundle)?;
    ctx.verb(&["start"])?.refuses(&["exit status 3"])?;
    destroyed_or_stopped(ctx)?;
    let done = ctx.run(&bundle)?;
    check!(!done.status.success(), "run succeeds");
    ctx.expect_nothing_left()
}

/// The end of a container whose `start` failed by a hook; what is left of one is deleted.
fn destroyed_or_stopped(ctx: &Ctx) -> Outcome {
    until("the container ends", || {
        let done = ctx.verb(&["state"])?;
        Ok(!done.status.success() || done.stdout.contains("\"stopped\""))
    })?;
    ctx.verb(&["delete", "--force"])?.ok().map(drop)
}

/// "continue the lifecycle at step 12": the container is destroyed, and its poststop hooks run.
fn failing_start_hooks_destroy(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    for kind in ["startContainer", "poststart"] {
        let mut bundle = ctx.bundle_named(kind)?;
        let ran = ctx.dir.join(format!("{kind}.stopped"));
        bundle.probe(&["pause"]);
        add(&mut bundle, kind, failing());
        let poststop = hook(&format!("touch {}", text(&ran)?));
        add(&mut bundle, "poststop", poststop);
        ctx.create(&bundle)?;
        ctx.verb(&["start"])?.refuses(&["exit status 3"])?;
        let state = ctx.verb(&["state"])?;
        check!(!state.status.success(), "{kind}: {}", state.stdout);
        check!(ran.exists(), "{kind} failed, and no poststop hook ran");
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// "If any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and
/// lifecycle continue as if the hook had succeeded."
fn failing_poststop(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let second = ctx.dir.join("second-ran");
    bundle.probe(&["exit", "0"]);
    add(&mut bundle, "poststop", failing());
    add(
        &mut bundle,
        "poststop",
        hook(&format!("touch {}", text(&second)?)),
    );
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.delete()?;
    ctx.expect_nothing_left()?;
    check!(second.exists(), "the hook after it did not run");
    Ok(())
}

/// The warning of the same sentence, whoever deletes the container.
fn failing_poststop_is_told(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "7"]);
    add(&mut bundle, "poststop", failing());
    let ran = ctx.run(&bundle)?.exits(7)?;
    check!(ran.stderr.contains("exit status 3"), "run: {}", ran.stderr);
    let log = ctx.dir.join("log");
    let args = ["run", "--bundle", text(&bundle.dir)?, &ctx.id];
    let global = ["--log", text(&log)?];
    ctx.oci_with(&global, &args).run()?.exits(7)?;
    let logged = std::fs::read_to_string(&log)?;
    check!(logged.contains("exit status 3"), "the log: {logged}");
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    let deleted = ctx.verb(&["delete"])?.ok()?.stderr;
    check!(deleted.contains("exit status 3"), "delete: {deleted}");
    Ok(())
}

/// The container is destroyed then, and its poststop hooks run as at the end of any other.
fn failing_runs_poststop(ctx: &mut Ctx) -> Outcome {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = ctx.bundle_named(kind)?;
        let ran = ctx.dir.join(format!("{kind}.stopped"));
        add(&mut bundle, kind, failing());
        add(
            &mut bundle,
            "poststop",
            hook(&format!("touch {}", text(&ran)?)),
        );
        ctx.try_create(&bundle)?.refuses(&["exit status 3"])?;
        check!(ran.exists(), "{kind} failed, and no poststop hook ran");
    }
    Ok(())
}

fn killed_by_a_signal(ctx: &mut Ctx) -> Outcome {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = ctx.bundle_named(kind)?;
        add(&mut bundle, kind, hook("kill -9 $$"));
        ctx.try_create(&bundle)?.refuses(&["signal"])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

fn missing_program(ctx: &mut Ctx) -> Outcome {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = ctx.bundle_named(kind)?;
        add(&mut bundle, kind, json!({"path": "/nowhere/hook"}));
        ctx.try_create(&bundle)?
            .refuses(&["no such file or directory"])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// Creates with a hook that takes too long; it is ended, and so is the container.
/// More than a pipe holds, pipe(7): whoever writes the state waits for the hook to read it.
const LONG: usize = 200_000;

/// More than a pipe may hold without CAP_SYS_RESOURCE, bytes.
const ENDLESS: usize = 3_000_000;

/// A hook that takes too long, and does not read the state, with an annotation of this length.
fn expect_timeout(ctx: &Ctx, kind: &str, length: usize) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/annotations", json!({"long": "x".repeat(length)}));
    let file = ctx.dir.join("hook.pid");
    let script = format!("echo $$ >{}; exec sleep 60", text(&file)?);
    let mut slow = if length < LONG {
        hook(&script)
    } else {
        shell(&script)
    };
    slow["timeout"] = json!(1);
    add(&mut bundle, kind, slow);
    let begin = Instant::now();
    let mut create = ctx.with_bundle("create", &[], &bundle)?;
    if length == ENDLESS {
        create = create.wrapped(&[
            "setpriv",
            "--inh-caps=-sys_resource",
            "--bounding-set=-sys_resource",
        ]);
    }
    let done = create.run()?;
    check!(begin.elapsed() > Duration::from_millis(900), "too early");
    done.refuses(&["hook ran past specified timeout of 1"])?;
    ctx.expect_nothing_left()
}

/// Such a hook has no timeout: it runs, and nothing overflows.
fn endless_timeout(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    for kind in KINDS {
        // The container has nothing but the probe.
        let path = match kind {
            "startContainer" => "/probe",
            _ => "/bin/true",
        };
        let hook = json!([{"path": path, "args": ["probe", "exit", "0"], "timeout": i64::MAX}]);
        bundle.set("/hooks", json!({kind: hook}));
        ctx.run(&bundle)?.ok()?;
    }
    Ok(())
}

/// "timeout (int, OPTIONAL) is the number of seconds before aborting the hook."
fn timeout(ctx: &mut Ctx) -> Outcome {
    expect_timeout(ctx, "createRuntime", 1)
}

fn timeout_inside(ctx: &mut Ctx) -> Outcome {
    expect_timeout(ctx, "createContainer", 1)
}

fn within_the_timeout(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    for kind in super::hooks::KINDS {
        let mut slow = hook("sleep 0.1");
        slow["timeout"] = json!(15);
        add(&mut bundle, kind, slow);
    }
    bundle.probe(&["exit", "6"]);
    ctx.run(&bundle)?.exits(6)?;
    ctx.expect_nothing_left()
}

/// A container that never comes to its program, be it by its hook or because it is frozen, can
/// be paused, resumed and deleted all the same.
fn endless_start_container(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.probe(&["touch", "/ran"]);
    add(
        &mut bundle,
        "startContainer",
        hook("touch /hooked; sleep 1000"),
    );
    ctx.create(&bundle)?;
    let started = ctx.oci(&["start", &ctx.id]).spawn()?;
    until("the hook has begun", || {
        Ok(bundle.inside("hooked").exists())
    })?;
    let began = Instant::now();
    ctx.verb(&["pause"])?.ok()?;
    ctx.expect_status("paused")?;
    ctx.verb(&["resume"])?.ok()?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    check!(began.elapsed() < Duration::from_secs(10), "it took long");
    started.wait()?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.expect_nothing_left()?;
    fs::remove_file(bundle.inside("hooked"))?;
    let started = ctx.with_bundle("run", &[], &bundle)?.spawn()?;
    until("the hook has begun", || {
        Ok(bundle.inside("hooked").exists())
    })?;
    let began = Instant::now();
    ctx.verb(&["delete", "--force"])?.ok()?;
    check!(began.elapsed() < Duration::from_secs(10), "it took long");
    started.wait()?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.expect_nothing_left()
}

/// Nobody has to wait for a container that is never made.
fn endless_create_container(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.probe(&["touch", "/ran"]);
    let hooked = ctx.dir.join("hooked");
    add(
        &mut bundle,
        "createContainer",
        hook(&format!("touch {}; sleep 1000", text(&hooked)?)),
    );
    let creating = ctx.with_bundle("create", &[], &bundle)?.spawn()?;
    until("the hook has begun", || Ok(hooked.exists()))?;
    let began = Instant::now();
    ctx.verb(&["delete", "--force"])?.ok()?;
    check!(began.elapsed() < Duration::from_secs(10), "it took long");
    creating.wait()?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// The program of a container that is killed in a hook was never executed: there is no poststart.
fn killed_in_start_container(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    for verb in ["start", "run"] {
        let mut bundle = ctx.bundle_named(verb)?;
        let after = ctx.dir.join("poststart-ran");
        bundle.probe(&["touch", "/ran"]);
        add(
            &mut bundle,
            "startContainer",
            hook("touch /hooked; sleep 1000"),
        );
        add(
            &mut bundle,
            "poststart",
            hook(&format!("touch {}", text(&after)?)),
        );
        let started = if verb == "start" {
            ctx.create(&bundle)?;
            ctx.oci(&["start", &ctx.id]).spawn()?
        } else {
            ctx.with_bundle("run", &[], &bundle)?.spawn()?
        };
        until("the hook has begun", || {
            Ok(bundle.inside("hooked").exists())
        })?;
        ctx.kill("KILL")?.ok()?;
        let done = started.wait()?;
        check!(!after.exists(), "the poststart hook ran");
        done.refuses(&[""])?;
        check!(!bundle.inside("ran").exists(), "the program ran");
        ctx.verb(&["delete", "--force"])?.ok()?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// The same, told by `start` itself, with which hook it was.
fn failing_start_fails(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.probe(&["touch", "/ran"]);
    add(&mut bundle, "startContainer", hook("true"));
    add(&mut bundle, "startContainer", failing());
    ctx.create(&bundle)?;
    let started = ctx.verb(&["start"])?;
    started.refuses(&["error running startContainer hook #1: exit status 3"])?;
    destroyed_or_stopped(ctx)?;
    check!(!bundle.inside("ran").exists(), "the program ran");
    ctx.expect_nothing_left()
}
