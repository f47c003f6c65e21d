//! config-linux.md, User namespace mappings: a container whose root is nobody outside.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use super::mounts::{HostMount, bind};
use super::terminal::create_with_console;
use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("user_namespace::mappings", mappings),
        Case::new("user_namespace::ids", ids),
        Case::new("user_namespace::own_namespaces", own_namespaces),
        Case::new("user_namespace::files", files),
        Case::new("user_namespace::devices", devices),
        Case::new("user_namespace::capabilities", capabilities),
        Case::new("user_namespace::groups", groups),
        Case::new("user_namespace::settings", settings),
        Case::new("user_namespace::mounts_and_masks", mounts_and_masks),
        Case::new("user_namespace::terminal", terminal),
        Case::new("user_namespace::exec", exec),
        Case::new("user_namespace::host_files_are_out_of_reach", host_files),
        Case::new("user_namespace::source_out_of_reach", source_out_of_reach),
        Case::new(
            "user_namespace::source_flags_are_locked",
            source_flags_are_locked,
        )
        .deviates(
            "crun 1.8",
            "mount_namespaces(7): a mount of a more privileged namespace keeps its flags",
            "remounted: rw",
        ),
        Case::new(
            "user_namespace::read_only_bind_is_locked",
            read_only_bind_is_locked,
        )
        .deviates(
            "crun",
            "published without a number: mounts made for a user namespace are not locked",
            "written after a remount",
        )
        .deviates(
            "runc",
            "published without a number: mounts made for a user namespace are not locked",
            "written after a remount",
        ),
        Case::new(
            "user_namespace::without_mappings_is_refused",
            without_mappings,
        )
        .deviates(
            "crun 1.8",
            "config-linux.md: mappings are what a new user namespace is asked for with",
            "exit status: 0, want exit code 1",
        ),
        Case::new(
            "user_namespace::contradictory_mappings_are_refused",
            contradictory,
        )
        .deviates(
            "crun 1.8",
            "runtime.md, Errors: as if the operation were never attempted",
            "left behind",
        ),
        Case::new("user_namespace::root_out_of_reach", root_out_of_reach),
        Case::new(
            "user_namespace::failed_create_leaves_nothing",
            failed_create,
        ),
    ]
}

/// Where the container's root is on the host.
pub const UID: u32 = 100_000;
const GID: u32 = 200_000;

/// A bundle with a user namespace, whose root directory the container's root owns. Its programs
/// belong to the host's root, because they are shared with other bundles.
pub fn bundle_with_users(ctx: &Ctx) -> Result<Bundle, Fault> {
    // Nobody else may look into a temporary directory, and the container's root is somebody else.
    fs::set_permissions(ctx.world.dir.path(), fs::Permissions::from_mode(0o711))?;
    let mut bundle = ctx.bundle()?;
    for dir in ["", "tmp", "root", "etc", "dev", "proc", "sys"] {
        chown(bundle.inside(dir), Some(UID), Some(GID))?;
    }
    bundle
        .set("/linux/namespaces/-", json!({"type": "user"}))
        .set("/linux/uidMappings", json!([range(0, UID, 65_536)]))
        .set("/linux/gidMappings", json!([range(0, GID, 65_536)]));
    Ok(bundle)
}

/// One mapping.
pub fn range(inside: u32, outside: u32, size: u32) -> Value {
    json!({"containerID": inside, "hostID": outside, "size": size})
}

/// The numbers of a map file.
fn numbers(text: &str) -> Vec<u32> {
    let words = text.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

fn mappings(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let ranges = json!([
        range(0, UID, 1000),
        range(1000, 300_000, 1),
        range(2000, 301_000, 64)
    ]);
    bundle.set("/linux/uidMappings", ranges);
    for (file, want) in [
        (
            "uid_map",
            &[0, UID, 1000, 1000, 300_000, 1, 2000, 301_000, 64][..],
        ),
        ("gid_map", &[0, GID, 65_536]),
    ] {
        bundle.probe(&["cat", &format!("/proc/self/{file}")]);
        let done = ctx.run(&bundle)?.ok()?;
        equal(file, numbers(&done.stdout), want)?;
    }
    Ok(())
}

/// Real, effective, saved and file system id of a process, as the host sees them.
fn host_ids(pid: i32, field: &str) -> Result<Vec<u32>, Fault> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    Ok(numbers(line.unwrap_or_default()))
}

fn ids(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    for (uid, gid) in [(0, 0), (7, 8)] {
        bundle.set("/process/user", json!({"uid": uid, "gid": gid}));
        let report = ctx.report(&mut bundle)?;
        report.expect(
            "/uid",
            &json!({"real": uid, "effective": uid, "saved": uid}),
        )?;
        report.expect(
            "/gid",
            &json!({"real": gid, "effective": gid, "saved": gid}),
        )?;
        bundle.probe(&["sleep"]);
        ctx.launch(&bundle)?.wait_for("ready")?;
        let pid = ctx.pid()?;
        equal("uids on the host", host_ids(pid, "Uid:")?, [UID + uid; 4])?;
        equal("gids on the host", host_ids(pid, "Gid:")?, [GID + gid; 4])?;
        ctx.verb(&["delete", "--force"])?.ok()?;
    }
    Ok(())
}

/// The other namespaces are the new one's own, so that its root may change them.
fn own_namespaces(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let report = ctx.report(&mut bundle)?;
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts"] {
        let host = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        let inside = report.at(&format!("/namespaces/{kind}")).to_string();
        check!(
            !host.to_string_lossy().contains(&inside),
            "{kind}: the host's"
        );
    }
    // Only an owner's root may: CAP_SYS_ADMIN over the UTS and the network namespace.
    ctx.need_busybox()?;
    allow(&mut bundle, &["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]);
    bundle.shell("hostname changed && hostname && busybox ip link set lo up && echo up");
    let done = ctx.run(&bundle)?.ok()?;
    equal("stdout", done.stdout.as_str(), "changed\nup\n")
}

/// Fails if the report is of a process in the host's user namespace.
fn expect_entered(report: &Report) -> Outcome {
    let host = fs::read_link("/proc/self/ns/user")?;
    let inside = format!("user:[{}]", report.at("/namespaces/user"));
    check!(
        host.to_string_lossy() != inside,
        "the host's user namespace"
    );
    Ok(())
}

/// Replaces the capabilities.
fn allow(bundle: &mut Bundle, names: &[&str]) {
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("/process/capabilities/{set}"), json!(names));
    }
}

fn files(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    for (name, uid, gid) in [("mapped", UID + 5, GID + 6), ("unmapped", 5, 6)] {
        fs::write(bundle.inside(name), "text")?;
        chown(bundle.inside(name), Some(uid), Some(gid))?;
    }
    bundle.probe(&["paths", "/mapped", "/unmapped", "/tmp"]);
    let seen = Report::parse(&ctx.run(&bundle)?.ok()?.stdout)?;
    for (path, uid, gid) in [
        ("mapped", 5, 6),
        ("unmapped", 65_534, 65_534),
        ("tmp", 0, 0),
    ] {
        seen.expect(&format!("/~1{path}/uid"), &json!(uid))?;
        seen.expect(&format!("/~1{path}/gid"), &json!(gid))?;
    }
    bundle.probe(&["touch", "/tmp/made"]);
    ctx.run(&bundle)?.ok()?;
    let made = fs::metadata(bundle.inside("tmp/made"))?;
    equal("owner on the host", (made.uid(), made.gid()), (UID, GID))
}

/// Not made, which a user namespace may not, but the host's.
fn devices(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let names = ["null", "zero", "full", "random", "urandom", "tty"];
    let report = ctx.report(&mut bundle)?;
    for (name, minor) in names.iter().zip([3, 5, 7, 8, 9, 0]) {
        let device = report.device(name)?;
        equal(name, &device["type"], "char")?;
        equal(name, &device["minor"], minor)?;
        equal(name, &device["mode"], 0o666)?;
    }
    equal("ptmx", &report.device("pts/ptmx")?["type"], "char")?;
    bundle.probe(&["paths", "/dev/null", "/dev/zero", "/dev/urandom"]);
    let seen = Report::parse(&ctx.run(&bundle)?.ok()?.stdout)?;
    for (name, read) in [
        ("null", "empty"),
        ("zero", "content"),
        ("urandom", "content"),
    ] {
        seen.expect(&format!("/~1dev~1{name}/read"), &json!(read))?;
        seen.expect(&format!("/~1dev~1{name}/write"), &json!("yes"))?;
    }
    Ok(())
}

/// Those of the config; they are valid inside only.
fn capabilities(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let names = ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYS_TIME"];
    allow(&mut bundle, &names);
    let report = ctx.report(&mut bundle)?;
    for set in ["bounding", "effective", "permitted"] {
        let mut got = report.strings(&format!("/capabilities/{set}"));
        got.sort_unstable();
        equal(set, got, names)?;
    }
    report.expect("/capabilities/inheritable", &json!([]))?;
    report.expect("/capabilities/ambient", &json!([]))
}

fn groups(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle.set("/process/user/additionalGids", json!([10, 2000]));
    ctx.report(&mut bundle)?
        .expect("/groups", &json!([10, 2000]))?;
    bundle.probe(&["cat", "/proc/self/setgroups"]);
    let done = ctx.run(&bundle)?.ok()?;
    equal("setgroups", done.stdout.trim_end(), "allow")
}

fn settings(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle
        .set("/hostname", json!("inside"))
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set("/process/oomScoreAdj", json!(500));
    let report = ctx.report(&mut bundle)?;
    report.expect("/hostname", &json!("inside"))?;
    report.expect("/oom_score_adj", &json!(500))?;
    report.expect(
        "/rlimits/RLIMIT_NOFILE",
        &json!({"soft": 1024, "hard": 1024}),
    )?;
    bundle.probe(&["cat", "/proc/sys/net/ipv4/ip_forward"]);
    let done = ctx.run(&bundle)?.ok()?;
    equal("ip_forward", done.stdout.trim_end(), "1")
}

fn mounts_and_masks(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle.set("/root/readonly", json!(true));
    let report = ctx.report(&mut bundle)?;
    for (point, fstype) in [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/dev/mqueue", "mqueue"),
        ("/sys", "sysfs"),
    ] {
        equal(point, &report.mount(point)?["fstype"], fstype)?;
    }
    report.expect("/root/~1/read_only_mount", &json!(true))?;
    report.expect("/guarded/~1proc~1sys/read_only_mount", &json!(true))?;
    let keys = report.at("/guarded/~1proc~1keys/read");
    check!(*keys == "empty" || *keys == "missing", "/proc/keys: {keys}");
    Ok(())
}

fn terminal(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle
        .probe(&["report"])
        .set("/process/terminal", json!(true));
    let mut master = create_with_console(ctx, &bundle)?;
    ctx.start()?;
    let report = Report::parse(&master.read_to_end()?)?;
    ctx.wait_stopped()?;
    expect_entered(&report)?;
    report.expect("/fds/0/tty", &json!(true))?;
    report.expect("/fds/0/uid", &json!(0))?;
    equal("console", &report.device("console")?["major"], 136)
}

fn exec(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle.probe(&["sleep"]);
    ctx.launch(&bundle)?.wait_for("ready")?;
    let (pid, report) = (ctx.pid()?, ctx.exec_report(&[])?);
    expect_entered(&report)?;
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts"] {
        let init = fs::read_link(format!("/proc/{pid}/ns/{kind}"))?;
        let inside = format!("{kind}:[{}]", report.at(&format!("/namespaces/{kind}")));
        equal(kind, inside, init.to_string_lossy().into_owned())?;
    }
    report.expect("/uid", &json!({"real": 0, "effective": 0, "saved": 0}))?;
    report.expect("/gid", &json!({"real": 0, "effective": 0, "saved": 0}))?;
    let report = ctx.exec_report(&["--user", "12:13"])?;
    report.expect("/uid/effective", &json!(12))?;
    report.expect("/gid/effective", &json!(13))
}

/// Not even with all capabilities, for they are of another namespace.
fn host_files(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_users(ctx)?;
    let dir = ctx.dir.join("host");
    fs::create_dir(&dir)?;
    fs::write(dir.join("file"), "text")?;
    bind(&mut bundle, &dir, "/host", &["rbind", "rw"]);
    let all = [
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_CHOWN",
        "CAP_SYS_ADMIN",
    ];
    allow(&mut bundle, &all);
    bundle.shell(
        "(echo x >>/host/file) 2>&1; touch /host/new 2>&1; busybox chmod 666 /host/file 2>&1; \
         busybox chown 0:0 /host/file 2>&1; busybox rm /host/file 2>&1; cat /host/file",
    );
    let done = ctx.run(&bundle)?.ok()?;
    equal("refusals", done.stdout.lines().count(), 6)?;
    equal(
        "content",
        fs::read_to_string(dir.join("file"))?.as_str(),
        "text",
    )?;
    equal(
        "mode",
        fs::metadata(dir.join("file"))?.mode() & 0o777,
        0o644,
    )?;
    check!(!dir.join("new").exists(), "a new file");
    Ok(())
}

/// The runtime opens it before it becomes the container's root.
fn source_out_of_reach(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let closed = ctx.dir.join("closed");
    fs::create_dir_all(closed.join("volume"))?;
    fs::write(closed.join("volume/file"), "text")?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
    bind(&mut bundle, &closed.join("volume"), "/volume", &["bind"]);
    bundle.probe(&["cat", "/volume/file"]);
    let done = ctx.run(&bundle)?.ok()?;
    equal("content", done.stdout.as_str(), "text")
}

/// What the host forbids on its own mount the container's root may not allow again
/// (mount_namespaces(7), Restrictions on mount namespaces).
fn source_flags_are_locked(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_users(ctx)?;
    let dir = ctx.dir.join("volume");
    let _volume = HostMount::tmpfs(&dir, &["nosuid", "nodev", "ro"])?;
    bind(&mut bundle, &dir, "/volume", &["rbind"]);
    allow(&mut bundle, &["CAP_SYS_ADMIN"]);
    bundle.shell(
        "mount -o remount,bind,rw,nosuid,nodev /volume 2>/dev/null && echo rw; \
         mount -o remount,bind,ro,suid,nodev /volume 2>/dev/null && echo suid; \
         mount -o remount,bind,ro,nosuid,dev /volume 2>/dev/null && echo dev; \
         exec /probe report",
    );
    let done = ctx.run(&bundle)?.ok()?;
    check!(
        done.stdout.starts_with('{'),
        "remounted: {}",
        &done.stdout[..9]
    );
    let report = Report::parse(&done.stdout)?;
    let options = &report.mount("/volume")?["options"];
    for want in ["ro", "nosuid", "nodev"] {
        let there = options
            .as_array()
            .is_some_and(|all| all.contains(&json!(want)));
        check!(there, "{want} is gone: {options}");
    }
    Ok(())
}

/// Nor what the config forbids.
fn read_only_bind_is_locked(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let mut bundle = bundle_with_users(ctx)?;
    let dir = ctx.dir.join("volume");
    fs::create_dir(&dir)?;
    chown(&dir, Some(UID), Some(GID))?;
    bind(&mut bundle, &dir, "/volume", &["rbind", "ro"]);
    allow(&mut bundle, &["CAP_SYS_ADMIN"]);
    bundle
        .shell("mount -o remount,bind,rw /volume 2>/dev/null; touch /volume/new 2>/dev/null; true");
    ctx.run(&bundle)?.ok()?;
    check!(!dir.join("new").exists(), "written after a remount");
    Ok(())
}

fn without_mappings(ctx: &mut Ctx) -> Outcome {
    for missing in ["uidMappings", "gidMappings"] {
        let mut bundle = bundle_with_users(ctx)?;
        bundle.remove(&format!("/linux/{missing}"));
        ctx.try_create(&bundle)?.refuses(&[""])?;
        ctx.expect_nothing_left()?;
        fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(())
}

/// Also of CVE-2021-43784's kind: more than any buffer was made for.
fn contradictory(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    let many: Vec<_> = (0..5000).map(|n| range(n, UID + n, 1)).collect();
    for wrong in [
        json!([range(0, UID, 10), range(5, UID + 100, 10)]),
        json!([range(0, UID, 0)]),
        json!(many),
    ] {
        bundle.set("/linux/uidMappings", wrong);
        ctx.try_create(&bundle)?.refuses(&[""])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

fn failed_create(ctx: &mut Ctx) -> Outcome {
    let mut bundle = bundle_with_users(ctx)?;
    bundle.args(&["/nope"]);
    let text = "exec: \"/nope\": stat /nope: no such file or directory";
    ctx.try_create(&bundle)?.refuses(&[text])?;
    ctx.expect_nothing_left()
}

/// The container's root, who is somebody else outside, can't get there.
fn root_out_of_reach(ctx: &mut Ctx) -> Outcome {
    let bundle = bundle_with_users(ctx)?;
    fs::set_permissions(&bundle.dir, fs::Permissions::from_mode(0o700))?;
    let text = if ctx.runtime().matches("kan") {
        "has to be able to enter every directory above it"
    } else {
        "ermission denied"
    };
    ctx.try_create(&bundle)?.refuses(&[text])?;
    ctx.expect_nothing_left()
}
