//! CVE-2016-9962 and its kin: the container's root, who may trace what is in his user namespace,
//! looks into the runtime's process while that enters.

use super::joined_namespaces::join;
use super::rootless::Home;
use super::user_namespace::bundle_with_users;
use crate::harness::prelude::*;

/// The window is some microseconds wide, and the attacker tries all the time.
const ROUNDS: u32 = 40;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("attacks::trace_of_create", create).lacks(
            "crun 1.8",
            "a first process that can't be traced from its beginning (CVE-2016-9962)",
            "could trace the runtime",
        ),
        Case::new("attacks::trace_of_exec", exec),
        Case::new("attacks::trace_of_exec_without_root", exec_without_root).lacks(
            "crun 1.8",
            "cgroups that a machine has of both versions",
            "drop all controllers",
        ),
    ]
}

/// The bundle's program tries to trace every process of its PID namespace.
fn hunter(bundle: &mut Bundle) {
    bundle.probe(&["hunt"]);
    for set in ["bounding", "effective", "permitted"] {
        let set = format!("/process/capabilities/{set}/-");
        bundle.set(&set, json!("CAP_SYS_PTRACE"));
    }
}

/// Ends the hunter and looks at what it has caught.
fn expect_nothing_caught(ctx: &Ctx, hunt: &crate::harness::command::Done) -> Outcome {
    ctx.kill("TERM")?.ok()?;
    hunt.wait_for("done")?;
    expect_no_catch(&hunt.stdout_now()?)
}

fn expect_no_catch(said: &str) -> Outcome {
    let caught = said.lines().find(|line| line.contains("caught"));
    check!(
        caught.is_none(),
        "the container's root could trace the runtime: {caught:?}"
    );
    Ok(())
}

/// Another container joins its user and PID namespaces. Its program is never executed.
fn create(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    std::fs::rename(&bundle.dir, ctx.dir.join("hunter"))?;
    bundle.dir = ctx.dir.join("hunter");
    hunter(&mut bundle);
    let hunt = ctx.launch(&bundle)?;
    hunt.wait_for("ready")?;
    let mut victim = bundle_with_users(ctx)?;
    join(&mut victim, ctx.pid()?, &["user", "pid"]);
    victim.probe(&["exit", "0"]).save()?;
    let id = ctx.another_id();
    let dir = crate::harness::container::text(&victim.dir)?.to_owned();
    for _ in 0..ROUNDS {
        ctx.oci(&["create", "--bundle", &dir, &id]).run()?.ok()?;
        ctx.oci(&["delete", "--force", &id]).run()?.ok()?;
    }
    expect_nothing_caught(ctx, &hunt)
}

fn exec(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    hunter(&mut bundle);
    let hunt = ctx.launch(&bundle)?;
    hunt.wait_for("ready")?;
    for _ in 0..ROUNDS {
        ctx.exec(&[], &["/probe", "exit", "0"]).run()?.ok()?;
    }
    expect_nothing_caught(ctx, &hunt)
}

fn exec_without_root(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    hunter(&mut home.bundle);
    let hunt = home.making(ctx, &["create"])?.run()?.ok()?;
    home.oci(ctx, &["start", &ctx.id])?.run()?.ok()?;
    hunt.wait_for("ready")?;
    for _ in 0..ROUNDS {
        let exec = ["exec", &ctx.id, "/probe", "exit", "0"];
        home.oci(ctx, &exec)?.run()?.ok()?;
    }
    home.oci(ctx, &["kill", &ctx.id, "TERM"])?.run()?.ok()?;
    hunt.wait_for("done")?;
    let said = hunt.stdout_now()?;
    home.delete(ctx)?;
    expect_no_catch(&said)
}
