//! `lo` in a network namespace that the runtime creates: programs expect 127.0.0.1 to answer, as it
//! does everywhere else.

use super::rootless::Home;
use super::user_namespace::bundle_with_users;
use crate::harness::command::Companion;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("loopback::is_up", is_up),
        Case::new("loopback::is_up_in_a_user_namespace", is_up_in_users),
        Case::new("loopback::is_up_for_a_user", is_up_for_a_user).lacks(
            "crun 1.8",
            "cgroups that a machine has of both versions",
            "drop all controllers",
        ),
        Case::new("loopback::of_others_is_left_alone", of_others_is_left_alone),
    ]
}

/// The kernel's routing table has the address when `lo` is up.
const TABLE: &str = "/proc/self/net/fib_trie";
const ADDRESS: &str = "127.0.0.1";

fn is_up(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["cat", TABLE]);
    let ran = ctx.run(&bundle)?.ok()?;
    check!(ran.stdout.contains(ADDRESS), "run: {}", ran.stdout);
    let created = ctx.create(&bundle)?;
    let table = std::fs::read_to_string(format!("/proc/{}/net/fib_trie", ctx.pid()?))?;
    check!(table.contains(ADDRESS), "before start: {table}");
    ctx.start()?;
    ctx.wait_stopped()?;
    let seen = created.stdout_now()?;
    check!(seen.contains(ADDRESS), "create: {seen}");
    Ok(())
}

fn is_up_in_users(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle.probe(&["cat", TABLE]);
    let ran = ctx.run(&bundle)?.ok()?;
    check!(ran.stdout.contains(ADDRESS), "{}", ran.stdout);
    Ok(())
}

fn is_up_for_a_user(ctx: &mut Ctx) -> Outcome {
    let mut home = Home::new(ctx)?;
    home.bundle
        .set("/linux/namespaces/-", json!({"type": "network"}))
        .probe(&["cat", TABLE]);
    let ran = home.run(ctx)?.ok()?;
    check!(ran.stdout.contains(ADDRESS), "{}", ran.stdout);
    home.delete(ctx)
}

/// A namespace that somebody else has made is as that wants it.
fn of_others_is_left_alone(ctx: &mut Ctx) -> Outcome {
    let mut other =
        Companion::start(std::process::Command::new("unshare").args(["--net", "sleep", "30"]))?;
    let path = format!("/proc/{}/ns/net", other.pid());
    let own = std::fs::read_link("/proc/self/ns/net")?;
    crate::harness::command::until("a namespace of its own", || {
        Ok(std::fs::read_link(&path).is_ok_and(|found| found != own))
    })?;
    for mut bundle in [ctx.bundle_named("root")?, bundle_with_users(ctx)?] {
        bundle
            .without_namespace("network")
            .without_mount("/sys")
            .set(
                "/linux/namespaces/-",
                json!({"type": "network", "path": path}),
            )
            .remove("/linux/sysctl")
            .probe(&["cat", TABLE]);
        let ran = ctx.run(&bundle)?.ok()?;
        check!(!ran.stdout.contains(ADDRESS), "{}", ran.stdout);
    }
    other.end()
}
