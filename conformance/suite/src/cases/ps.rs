//! `ps`: the container's processes by ps(1) of the host, or as a list of numbers, which shims read.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("ps::json_is_a_list_of_pids", json_list),
        Case::new("ps::table_has_head_and_processes", table),
        Case::new("ps::options_reach_ps", options).deviates(
            "crun 1.8",
            "not in the spec; its ps takes no options of ps(1)",
            "requires a maximum of 1 arguments",
        ),
        Case::new("ps::all_of_its_processes", all_of_them),
        Case::new("ps::of_stopped_is_empty", of_stopped).deviates(
            "crun 1.8",
            "a command that finds nothing has not crashed",
            "SIGSEGV",
        ),
        Case::new("ps::of_paused", of_paused),
    ]
}

fn numbers(ctx: &Ctx) -> Result<Vec<i64>, Fault> {
    let done = ctx.verb(&["ps", "--format", "json"])?.quiet()?;
    let list: Option<Vec<i64>> = serde_json::from_str(&done.stdout)?;
    Ok(list.unwrap_or_default())
}

fn json_list(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    equal("pids", numbers(ctx)?, vec![i64::from(ctx.pid()?)])
}

fn table(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let done = ctx.verb(&["ps"])?.ok()?;
    let lines: Vec<&str> = done.stdout.lines().collect();
    check!(
        lines.first().is_some_and(|head| head.contains("PID")),
        "no head: {}",
        done.stdout
    );
    equal("lines", lines.len(), 2)?;
    let pid = ctx.pid()?.to_string();
    check!(
        lines[1].split_whitespace().any(|word| word == pid),
        "no {pid}: {}",
        lines[1]
    );
    Ok(())
}

fn options(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    for (options, column) in [
        (&["-e", "-x"][..], "TTY"),
        (&["aux"], "%CPU"),
        (&["-e", "-o", "ppid,pid,comm"], "PPID"),
    ] {
        let done = ctx.oci(&["ps", &ctx.id]).args(options).run()?.ok()?;
        check!(
            done.stdout.contains(column),
            "{options:?}: no {column}: {}",
            done.stdout
        );
        equal("lines", done.stdout.lines().count(), 2)?;
    }
    let done = ctx.oci(&["ps", &ctx.id, "-e", "-o", "args"]).run()?;
    check!(!done.status.success(), "a table without PID was taken");
    Ok(())
}

fn all_of_them(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    bundle.shell("sleep 100 & sleep 100 & sleep 100 & echo ready; wait");
    ctx.launch(&bundle)?.wait_for("ready")?;
    let found = numbers(ctx)?;
    equal("processes", found.len(), 4)?;
    check!(
        found.contains(&i64::from(ctx.pid()?)),
        "without init: {found:?}"
    );
    equal("lines", ctx.verb(&["ps"])?.ok()?.stdout.lines().count(), 5)
}

fn of_stopped(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    equal("pids", numbers(ctx)?, Vec::<i64>::new())
}

fn of_paused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.verb(&["pause"])?.ok()?;
    equal("pids", numbers(ctx)?, vec![i64::from(ctx.pid()?)])
}
