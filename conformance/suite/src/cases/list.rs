//! `list`: what engines read of all containers at once.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("list::table", table),
        Case::new("list::quiet", quiet),
        Case::new("list::json", json_of_all),
        Case::new("list::format_unknown", format_unknown),
        Case::new("list::empty", empty),
        Case::new("list::named_root_must_exist", named_root_must_exist)
            .deviates(
                "runc 1.1",
                "not in the spec; an error since runc 1.2",
                "exit status: 0",
            )
            .deviates(
                "crun 1.8",
                "not in the spec; crun makes it",
                "exit status: 0",
            ),
        Case::new("list::follows_the_lifecycle", follows_the_lifecycle),
    ]
}

/// A created container, and another, whose id comes first.
fn two(ctx: &mut Ctx) -> Result<[String; 2], Fault> {
    if !ctx.runtime().speaks_like_runc() {
        skip!("crun lists in no order");
    }
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/annotations", json!({"k": "v"}));
    let other = ctx.another_id();
    bundle.save()?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    ctx.oci(&["create", "--bundle", dir, &other]).run()?.ok()?;
    ctx.create(&bundle)?;
    Ok([ctx.id.clone(), other])
}

fn table(ctx: &mut Ctx) -> Outcome {
    let ids = two(ctx)?;
    for args in [
        &["list"][..],
        &["list", "-f", "table"],
        &["list", "--format=table"],
    ] {
        let done = ctx.oci(args).run()?.quiet()?;
        let rows: Vec<Vec<&str>> = done
            .stdout
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let heading = vec!["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
        equal("heading", &rows[0], &heading)?;
        equal("rows", rows.len(), 3)?;
        for (row, id) in rows[1..].iter().zip(&ids) {
            equal("id", row[0], id.as_str())?;
            equal("status", row[2], "created")?;
            equal("owner", row[5], "root")?;
        }
        equal("pid", rows[1][1], ctx.pid()?.to_string().as_str())?;
        let columns = done.stdout.lines().map(|line| line.find(" created"));
        let columns: Vec<_> = columns.skip(1).collect();
        check!(columns[0] == columns[1], "not aligned:\n{}", done.stdout);
    }
    Ok(())
}

fn quiet(ctx: &mut Ctx) -> Outcome {
    let ids = two(ctx)?;
    for flag in ["-q", "--quiet"] {
        let done = ctx.oci(&["list", flag]).run()?.quiet()?;
        equal("ids", done.stdout.lines().collect::<Vec<_>>(), ids.to_vec())?;
    }
    Ok(())
}

/// One line, so that callers may read it as such.
fn json_of_all(ctx: &mut Ctx) -> Outcome {
    let ids = two(ctx)?;
    let done = ctx.oci(&["list", "--format", "json"]).run()?.quiet()?;
    let all: Value = serde_json::from_str(&done.stdout)?;
    check!(all.as_array().is_some_and(|all| all.len() == 2), "{all}");
    let state = ctx.state()?;
    for (one, id) in all.as_array().into_iter().flatten().zip(&ids) {
        equal("id", &one["id"], &json!(id))?;
        for key in ["status", "bundle", "owner"] {
            check!(one[key].is_string(), "{key}: {one}");
        }
    }
    if ctx.runtime().speaks_like_runc() {
        equal("lines", done.stdout.lines().count(), 1)?;
        // runc's state has no owner.
        let mut state = state;
        state["owner"] = all[0]["owner"].clone();
        equal("entry", &all[0], &state)?;
    }
    Ok(())
}

fn format_unknown(ctx: &mut Ctx) -> Outcome {
    two(ctx)?;
    let done = ctx.oci(&["list", "--format", "yaml"]).run()?;
    done.refuses(&["invalid format option"])
}

fn empty(ctx: &mut Ctx) -> Outcome {
    two(ctx)?;
    for id in ctx.oci(&["list", "-q"]).run()?.ok()?.stdout.lines() {
        ctx.oci(&["delete", "--force", id]).run()?.ok()?;
    }
    let done = ctx.oci(&["list", "-q"]).run()?.quiet()?;
    equal("ids", done.stdout.as_str(), "")?;
    let done = ctx.oci(&["list", "--format", "json"]).run()?.quiet()?;
    let all: Value = serde_json::from_str(&done.stdout)?;
    check!(all.is_null() || all == json!([]), "{all}");
    Ok(())
}

/// A typing mistake in `--root` must not look like a machine without containers.
fn named_root_must_exist(ctx: &mut Ctx) -> Outcome {
    let done = ctx.oci(&["list"]).run()?;
    done.refuses(&["no such file or directory"])
}

fn follows_the_lifecycle(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let status = |want: &str| {
        let done = ctx.oci(&["list", "--format", "json"]).run()?.ok()?;
        let all: Value = serde_json::from_str(&done.stdout)?;
        let is_gone = matches!(all[0]["pid"].as_i64(), None | Some(0));
        equal("whether there is no pid", is_gone, want == "stopped")?;
        equal("status", &all[0]["status"], &json!(want))
    };
    ctx.create(&bundle)?;
    status("created")?;
    ctx.start()?;
    status("running")?;
    ctx.verb(&["pause"])?.ok()?;
    status("paused")?;
    ctx.verb(&["resume"])?.ok()?;
    ctx.kill("KILL")?.ok()?;
    ctx.wait_stopped()?;
    status("stopped")
}
