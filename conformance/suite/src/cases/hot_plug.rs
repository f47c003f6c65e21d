//! `mounts add` and `mounts remove`: crun's own commands for containers that are there already.

use std::fs;

use crate::harness::command::Done;
use crate::harness::container::text;
use crate::harness::prelude::*;

const REASON: &str = "crun has these commands since 1.22, runc never";

pub fn cases() -> Vec<Case> {
    let case = |name, body| Case::new(name, body).only("kan", REASON);
    vec![
        case("hot_plug::bind_mount", bind_mount),
        case("hot_plug::new_file_systems", new_file_systems),
        case("hot_plug::file", file),
        case("hot_plug::options", options),
        case("hot_plug::all_or_nothing", all_or_nothing),
        case("hot_plug::not_through_a_link", not_through_a_link),
        case("hot_plug::wrong_input_is_refused", wrong_input_is_refused),
        case("hot_plug::in_a_user_namespace", in_a_user_namespace),
        case("hot_plug::needs_a_container", needs_a_container),
    ]
}

/// `mounts ACTION` with a list.
fn mounts(ctx: &Ctx, action: &str, list: &Value) -> Result<Done, Fault> {
    let file = ctx.dir.join("mounts.json");
    fs::write(&file, json!({ "mounts": list }).to_string())?;
    ctx.oci(&["mounts", action, &ctx.id, text(&file)?]).run()
}

/// The lines of the container's mountinfo with this mount point.
fn lines_at(ctx: &Ctx, point: &str) -> Result<Vec<String>, Fault> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", ctx.pid()?))?;
    let at = |line: &&str| line.split(' ').nth(4) == Some(point);
    Ok(table.lines().filter(at).map(str::to_owned).collect())
}

fn source(ctx: &Ctx) -> Result<String, Fault> {
    let dir = ctx.dir.join("source");
    fs::create_dir(&dir)?;
    fs::write(dir.join("file"), "from outside")?;
    Ok(text(&dir)?.to_owned())
}

fn bind_mount(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let source = source(ctx)?;
    let list = json!([{"destination": "/new/place", "source": source, "options": ["rbind", "ro"]}]);
    mounts(ctx, "add", &list)?.quiet()?;
    let cat = ctx.exec(&[], &["/probe", "cat", "/new/place/file"]);
    equal("file", cat.run()?.ok()?.stdout.as_str(), "from outside")?;
    let write = ctx.exec(&[], &["/probe", "write", "/new/place/file", "x"]);
    check!(!write.run()?.status.success(), "it is writable");
    mounts(ctx, "remove", &list)?.quiet()?;
    equal("mounts", lines_at(ctx, "/new/place")?, Vec::<String>::new())?;
    equal(
        "source",
        fs::read_to_string(format!("{source}/file"))?,
        "from outside",
    )
}

/// A new file system belongs to the container's namespaces.
fn new_file_systems(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let list = json!([
        {"destination": "/t", "type": "tmpfs", "source": "mine", "options": ["size=64k", "nodev"]},
        {"destination": "/p", "type": "proc", "source": "proc"}
    ]);
    mounts(ctx, "add", &list)?.quiet()?;
    let line = lines_at(ctx, "/t")?.join("");
    check!(
        line.contains("nodev") && line.contains("size=64k"),
        "{line:?}"
    );
    let cat = ctx.exec(&[], &["/probe", "cat", "/p/1/comm"]);
    equal("process 1", cat.run()?.ok()?.stdout.trim(), "probe")?;
    mounts(ctx, "remove", &list)?.quiet()?;
    equal(
        "mounts",
        lines_at(ctx, "/t")?.len() + lines_at(ctx, "/p")?.len(),
        0,
    )
}

fn file(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let source = format!("{}/file", source(ctx)?);
    let list = json!([{"destination": "/etc/new", "source": source, "options": ["bind"]}]);
    mounts(ctx, "add", &list)?.quiet()?;
    let cat = ctx.exec(&[], &["/probe", "cat", "/etc/new"]);
    equal("file", cat.run()?.ok()?.stdout.as_str(), "from outside")?;
    mounts(ctx, "remove", &list)?.quiet()?;
    equal("mounts", lines_at(ctx, "/etc/new")?.len(), 0)
}

/// The list alone is taken as well, also from a pipe.
fn options(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let source = source(ctx)?;
    let list =
        json!([{"destination": "/n", "source": source, "options": ["bind", "nosuid", "noexec"]}]);
    let file = ctx.dir.join("list.json");
    fs::write(&file, list.to_string())?;
    let add = ctx.oci(&["mounts", "add", &ctx.id, "-"]);
    add.stdin(fs::File::open(&file)?).run()?.quiet()?;
    let line = lines_at(ctx, "/n")?.join("");
    check!(line.contains("nosuid,noexec"), "{line:?}");
    Ok(())
}

fn all_or_nothing(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let list = json!([
        {"destination": "/a", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/b", "source": "/nowhere/at/all", "options": ["bind"]}
    ]);
    mounts(ctx, "add", &list)?.refuses(&["mounts[1].source", "mounts[1]"])?;
    equal("mounts", lines_at(ctx, "/a")?.len(), 0)?;
    ctx.expect_status("running")
}

/// A destination is looked up in the container's root, and what is unmounted is the mount.
fn not_through_a_link(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    std::os::unix::fs::symlink("/../../../../tmp", bundle.inside("link"))?;
    let list = json!([{"destination": "/link/in", "type": "tmpfs", "source": "tmpfs"}]);
    mounts(ctx, "add", &list)?.quiet()?;
    equal("mounts", lines_at(ctx, "/tmp/in")?.len(), 1)?;
    let link = json!([{"destination": "/link"}]);
    mounts(ctx, "remove", &link)?.refuses(&["invalid argument"])?;
    mounts(ctx, "remove", &list)?.quiet()?;
    equal("mounts", lines_at(ctx, "/tmp/in")?.len(), 0)
}

fn wrong_input_is_refused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let wrong = json!([{"destination": 7}, {"destination": "/x", "options": [1]}]);
    let done = mounts(ctx, "add", &wrong)?;
    let lines = done.stderr.lines().count();
    done.refuses(&["destination"])?;
    equal("problems", lines, 2)?;
    mounts(
        ctx,
        "add",
        &json!([{"destination": "/x", "options": ["bind"]}]),
    )?
    .refuses(&["mounts[0].source: a bind mount needs a source"])?;
    mounts(ctx, "remove", &json!([{"destination": "/"}]))?.refuses(&["names no mount point"])?;
    mounts(ctx, "frobnicate", &json!([]))?.refuses(&["frobnicate"])
}

fn in_a_user_namespace(ctx: &mut Ctx) -> Outcome {
    let mut bundle = super::user_namespace::bundle_with_users(ctx)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let source = source(ctx)?;
    let list = json!([
        {"destination": "/tmp/bound", "source": source, "options": ["bind", "ro"]},
        {"destination": "/tmp/t", "type": "tmpfs", "source": "tmpfs"}
    ]);
    mounts(ctx, "add", &list)?.quiet()?;
    let cat = ctx.exec(&[], &["/probe", "cat", "/tmp/bound/file"]);
    equal("file", cat.run()?.ok()?.stdout.as_str(), "from outside")?;
    mounts(ctx, "remove", &list)?.quiet().map(drop)
}

fn needs_a_container(ctx: &mut Ctx) -> Outcome {
    let list = json!([{"destination": "/t", "type": "tmpfs", "source": "tmpfs"}]);
    mounts(ctx, "add", &list)?.refuses(&["container does not exist"])?;
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    mounts(ctx, "add", &list)?.refuses(&["container not running"])
}
