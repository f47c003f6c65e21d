//! `exec` enters the namespaces that `create` gave the container, or ones that as much was needed for.

use std::fs;

use super::user_namespace::bundle_with_users;
use crate::harness::prelude::*;

/// What runc does not look at.
const RULE: &str = "user_namespaces(7): who creates a user namespace rules the namespaces it owns";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "exec_namespaces::not_those_of_its_own_user_namespace",
            own_user_namespace,
        )
        .deviates("runc 1.1", RULE, "its own program was executed"),
        Case::new(
            "exec_namespaces::nor_of_one_in_a_user_namespace",
            in_a_user_namespace,
        ),
        Case::new(
            "exec_namespaces::another_of_the_same_user_namespace",
            same_user_namespace,
        ),
        Case::new("exec_namespaces::of_an_older_kan", older).only("kan", "state.json is its own"),
    ]
}

/// A first process without root and capabilities that creates a user and a mount namespace, and mounts
/// a program of its own over one of the container's there.
fn usurper(ctx: &Ctx, mut bundle: Bundle) -> Outcome {
    ctx.need_busybox()?;
    bundle
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .remove("/process/capabilities")
        .shell(
            "printf '#!/bin/sh\\necho usurped' > /tmp/own; /bin/busybox chmod 755 /tmp/own; \
             exec /bin/busybox unshare -U -r -m /bin/sh -c \
             'mount --bind /tmp/own /probe && echo ready; exec sleep 1000'",
        );
    ctx.launch(&bundle)?.wait_for("ready")
}

fn expect_refused(ctx: &Ctx) -> Outcome {
    let done = ctx
        .exec(&["--user", "0:0"], &["/probe", "exit", "7"])
        .run()?;
    check!(
        !done.stdout.contains("usurped"),
        "its own program was executed as root"
    );
    check!(!done.status.success(), "something was executed");
    if ctx.runtime().name != "kan" {
        return Ok(());
    }
    done.refuses_with(255, &["mnt namespace of another user namespace"])?;
    let list = json!([{"destination": "/tmp/t", "type": "tmpfs", "source": "tmpfs"}]);
    let file = ctx.dir.join("mounts.json");
    fs::write(&file, list.to_string())?;
    let add = ctx.oci(&["mounts", "add", &ctx.id]).arg(&file);
    add.run()?
        .refuses(&["mnt namespace of another user namespace"])
}

fn own_user_namespace(ctx: &mut Ctx) -> Outcome {
    usurper(ctx, ctx.bundle()?)?;
    expect_refused(ctx)
}

fn in_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    usurper(ctx, bundle_with_users(ctx)?)?;
    expect_refused(ctx)
}

/// That took CAP_SYS_ADMIN of the container's.
fn same_user_namespace(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        let set = format!("/process/capabilities/{set}/-");
        bundle.set(&set, json!("CAP_SYS_ADMIN"));
    }
    bundle.shell(
        "exec /bin/busybox unshare -m /bin/sh -c \
         'mount -t tmpfs mine /tmp && echo text > /tmp/file && echo ready; exec sleep 1000'",
    );
    ctx.launch(&bundle)?.wait_for("ready")?;
    let cat = ctx.exec(&[], &["/bin/cat", "/tmp/file"]).run()?.ok()?;
    equal("file", cat.stdout.trim(), "text")
}

/// Whose record does not say which they were.
fn older(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let file = ctx.state_dir().join(&ctx.id).join("state.json");
    let mut state: Value = serde_json::from_str(&crate::harness::bundle::read(&file)?)?;
    let known = state.as_object_mut().and_then(|state| {
        state.remove("joined");
        state.remove("user_namespace")
    });
    check!(known.is_some(), "nothing was recorded: {state}");
    fs::write(&file, state.to_string())?;
    let done = ctx.exec(&[], &["/probe", "exit", "7"]).run()?;
    equal("exit code", done.status.code(), Some(7))?;
    check!(
        done.stderr.contains("entered without a check"),
        "no warning: {:?}",
        done.stderr
    );
    Ok(())
}
