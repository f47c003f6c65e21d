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
        case("hot_plug::disk", disk),
        case("hot_plug::source_is_the_hosts", source_is_the_hosts),
        case("hot_plug::read_only_bind_is_locked", read_only_is_locked),
        case("hot_plug::mapped_ids", mapped_ids),
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

/// A file as a block device, until this is dropped.
struct Loop(String);

impl Loop {
    fn of(ctx: &Ctx, image: &str) -> Result<Self, Fault> {
        let attach = ["losetup", "--find", "--show", image];
        let Ok(done) = ctx.command(&attach).run()?.ok() else {
            return Err(Fault::Skipped("no loop devices".into()));
        };
        Ok(Self(done.stdout.trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detach = std::process::Command::new("losetup")
            .args(["-d", &self.0])
            .status();
        drop(detach);
    }
}

/// A file system that lies on a device of the host's, of which the container has no node.
fn disk(ctx: &mut Ctx) -> Outcome {
    let image = ctx.dir.join("image");
    fs::File::create(&image)?.set_len(4 << 20)?;
    let format = ctx.command(&["mkfs.ext4", "-q", "-F", text(&image)?]);
    if format.run()?.ok().is_err() {
        return Err(Fault::Skipped("no mkfs.ext4".into()));
    }
    let device = Loop::of(ctx, text(&image)?)?;
    ctx.launch_sleeper()?;
    let list = json!([{"destination": "/disk", "type": "ext4", "source": device.0,
        "options": ["nosuid"]}]);
    mounts(ctx, "add", &list)?.quiet()?;
    let line = lines_at(ctx, "/disk")?.join("");
    check!(line.contains("ext4") && line.contains("nosuid"), "{line:?}");
    let write = ctx.exec(&[], &["/probe", "write", "/disk/file", "x"]);
    write.run()?.ok()?;
    mounts(ctx, "remove", &list)?.quiet()?;
    equal("mounts", lines_at(ctx, "/disk")?.len(), 0)
}

/// What the container calls by the name of a disk is never opened: here it is a file, which would
/// be refused with other words.
fn source_is_the_hosts(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    fs::write(bundle.inside("disk"), "of the container")?;
    let mut entry = json!({"destination": "/t", "type": "ext4", "source": "/disk"});
    mounts(ctx, "add", &json!([entry]))?.refuses(&["no such file or directory"])?;
    // mount(2) would look it up inside.
    entry["options"] = json!(["iversion"]);
    mounts(ctx, "add", &json!([entry]))?.refuses(&["mounts[0]", "mount(2)"])
}

/// The container's root has every capability there, and would take the flag off.
fn read_only_is_locked(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = super::user_namespace::bundle_with_users(ctx)?;
    bundle.probe(&["sleep"]);
    for set in ["bounding", "effective", "permitted"] {
        let set = format!("/process/capabilities/{set}/-");
        bundle.set(&set, json!("CAP_SYS_ADMIN"));
    }
    ctx.launch(&bundle)?.wait_for("ready")?;
    let source = source(ctx)?;
    fs::set_permissions(&source, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let list = json!([
        {"destination": "/locked", "source": source, "options": ["bind", "ro"]},
        {"destination": "/free", "source": source, "options": ["bind"]}
    ]);
    mounts(ctx, "add", &list)?.quiet()?;
    let script = "mount -o remount,bind,rw /locked; touch /locked/new; touch /free/other";
    ctx.exec(&[], &["/bin/sh", "-c", script]).run()?;
    let made = |name: &str| fs::exists(format!("{source}/{name}"));
    check!(made("other")?, "the control: not even a writable one is");
    check!(!made("new")?, "written after a remount");
    mounts(ctx, "remove", &list)?.quiet().map(drop)
}

/// With the mappings of the container's user namespace, and with those of the entry.
fn mapped_ids(ctx: &mut Ctx) -> Outcome {
    let mut bundle = super::user_namespace::bundle_with_users(ctx)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let source = source(ctx)?;
    let ranges = json!([super::user_namespace::range(
        0,
        super::user_namespace::UID + 7,
        1
    )]);
    let list = json!([
        {"destination": "/own", "source": source, "options": ["bind", "idmap"]},
        {"destination": "/other", "source": source, "options": ["bind"],
            "uidMappings": ranges, "gidMappings": ranges}
    ]);
    mounts(ctx, "add", &list)?.quiet()?;
    let paths = ctx.exec(&[], &["/probe", "paths", "/own/file", "/other/file"]);
    let seen = crate::harness::report::Report::parse(&paths.run()?.ok()?.stdout)?;
    seen.expect("/~1own~1file/uid", &json!(0))?;
    seen.expect("/~1other~1file/uid", &json!(7))?;
    mounts(ctx, "remove", &list)?.quiet().map(drop)
}
