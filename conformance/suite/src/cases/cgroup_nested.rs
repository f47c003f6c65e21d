//! A container that may write to its cgroups makes others below them: they are the container's,
//! and go with it.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("cgroup::nested_ones_go_with_delete", go_with_delete),
        Case::new("cgroup::nested_ones_go_with_run", go_with_run),
        Case::new("cgroup::nested_frozen_processes_die", frozen_die),
        Case::new("cgroup::nested_threads_go", threads_go),
    ]
}

/// Makes cgroups below those that the container sees, one below the other, in each hierarchy, and
/// moves a process into the lowest. `$d` is the directory, `$p` the process.
const NEST: &str = "sleep 1000 & p=$!
    for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -e $d/cgroup.procs ] || continue
        mkdir -p $d/one/two || exit 1
        for f in cpuset.cpus cpuset.mems; do
            if [ -e $d/one/$f ]; then
                cat $d/$f > $d/one/$f 2>/dev/null; cat $d/$f > $d/one/two/$f 2>/dev/null
            fi
        done
        echo $p > $d/one/two/cgroup.procs || exit 1
        FREEZE
    done";

fn bundle(ctx: &Ctx, freeze: &str, then: &str) -> Result<Bundle, Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    let script = NEST.replace("FREEZE", freeze);
    bundle
        .shell(&format!("{script}\necho ready; {then}"))
        .set("/linux/namespaces/-", json!({"type": "cgroup"}))
        .set(
            "/mounts/-",
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                   "options": ["nosuid", "noexec", "nodev", "relatime", "rw"]}),
        );
    Ok(bundle)
}

fn go_with_delete(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle(ctx, "", "wait")?;
    ctx.launch(&bundle)?.wait_for("ready")?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    ctx.expect_nothing_left()
}

/// The process in them ends with the container's first.
fn go_with_run(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle(ctx, "", "exit 0")?;
    let done = ctx.run(&bundle)?.ok()?;
    check!(
        done.stdout.contains("ready"),
        "no nested cgroups: {}{}",
        done.stdout,
        done.stderr
    );
    ctx.expect_nothing_left()
}

/// A frozen v1 cgroup holds even KILL.
fn frozen_die(ctx: &mut Ctx) -> Outcome {
    if !ctx.unified && ctx.runtime().matches("runc 1.1") {
        // runtime.md, delete: "MUST delete the resources that were created during the create step".
        skip!("runc 1.1 leaves the processes and the cgroups behind");
    }
    let freeze = "[ -e $d/one/freezer.state ] && echo FROZEN > $d/one/two/freezer.state
        [ -e $d/one/cgroup.freeze ] && echo 1 > $d/one/two/cgroup.freeze";
    let bundle = bundle(ctx, freeze, "wait")?;
    ctx.launch(&bundle)?.wait_for("ready")?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    ctx.expect_nothing_left()
}

/// cgroup-v2.rst, Threads: a threaded cgroup lists no processes.
fn threads_go(ctx: &mut Ctx) -> Outcome {
    super::cgroup::only_unified(ctx)?;
    ctx.need_busybox()?;
    let mut bundle = bundle(ctx, "", "wait")?;
    bundle.shell(
        "d=/sys/fs/cgroup; mkdir $d/one && echo threaded > $d/one/cgroup.type || exit 1
         sleep 1000 & echo $! > $d/one/cgroup.threads || exit 1
         echo ready; wait",
    );
    ctx.launch(&bundle)?.wait_for("ready")?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    ctx.expect_nothing_left()
}
