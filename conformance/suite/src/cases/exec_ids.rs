//! `exec`: who the process is. Users, groups, capabilities; and attacks through them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::attacks::{WRITER, inner_pid};
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

/// Why crun may differ.
const CRUN: &str = "not in the spec; crun has its own command line";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("exec::user", user).deviates("crun 1.8", CRUN, "/uid/real: got Number(0), want Number(5)"),
        Case::new("exec::user_is_a_number", user_is_a_number),
        Case::new("exec::user_that_is_no_number", user_that_is_no_number).deviates("crun", "CVE-2026-30892's class: another user than the named one", "\"1:\" ran"),
        Case::new("exec::user_out_of_range", user_out_of_range).deviates("crun", "CVE-2026-30892's class: another user than the named one", "\"-1\" ran").deviates(
            "runc 1.1",
            "CVE-2026-30892's class: another user than the named one; runc cuts the number to 32 bits",
            "\"99999999999\" ran",
        ),
        Case::new("exec::user_is_empty", user_is_empty).deviates("crun", "CVE-2026-30892's class: another user than the named one", "\"\" ran").deviates(
            "runc 1.1",
            "CVE-2026-30892's class: another user than the named one; runc takes none for the config's",
            "\"\" ran",
        ),
        Case::new("exec::additional_gids", additional_gids).deviates("crun 1.8", CRUN, "unrecognized option '--additional-gids'"),
        Case::new("exec::cap", cap).deviates("crun 1.8", CRUN, "bounding: got"),
        Case::new("exec::cap_of_a_user", cap_of_a_user),
        Case::new("exec::no_new_privs", no_new_privs),
        Case::new("exec::cwd_through_a_descriptor", cwd_through_a_descriptor).deviates("crun 1.8", "CVE-2024-21626: hardened in crun 1.14.1", "is outside of the root"),
        Case::new(
            "exec::runtime_binary_is_out_of_reach",
            runtime_binary_is_out_of_reach,
        ),
    ]
}

/// Three ids of each kind.
fn expect_ids(report: &Report, uid: u32, gid: u32) -> Outcome {
    for which in ["real", "effective", "saved"] {
        report.expect(&format!("/uid/{which}"), &json!(uid))?;
        report.expect(&format!("/gid/{which}"), &json!(gid))?;
    }
    Ok(())
}

/// Without a group it is that of the config.
fn user(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/process/user", json!({"uid": 5, "gid": 6}));
    ctx.launch(&bundle)?.wait_for("ready")?;
    expect_ids(&ctx.exec_report(&[])?, 5, 6)?;
    for (given, uid, gid) in [
        ("1", 1, 6),
        ("1:2", 1, 2),
        ("65534", 65534, 6),
        ("0:0", 0, 0),
    ] {
        expect_ids(&ctx.exec_report(&["--user", given])?, uid, gid)?;
        expect_ids(&ctx.exec_report(&["-u", given])?, uid, gid)?;
    }
    Ok(())
}

/// CVE-2016-3697: a user of that name in the image is another one.
fn user_is_a_number(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    fs::remove_file(bundle.inside("etc/passwd"))?;
    fs::write(
        bundle.inside("etc/passwd"),
        "1000:x:0:0:root:/root:/bin/sh\n",
    )?;
    let report = ctx.exec_report(&["--user", "1000:1000"])?;
    expect_ids(&report, 1000, 1000)
}

/// Nothing runs, and least of all as root.
fn expect_refused(ctx: &Ctx, users: &[&str]) -> Outcome {
    ctx.launch_sleeper()?;
    for user in users {
        let option = format!("--user={user}");
        let done = ctx.exec(&[&option], &["/probe", "report"]).run()?;
        check!(done.stdout.is_empty(), "{user:?} ran: {}", done.stdout);
        check!(!done.status.success(), "{user:?}: success");
        check!(!done.stderr.is_empty(), "{user:?}: fails without a word");
    }
    Ok(())
}

fn user_that_is_no_number(ctx: &mut Ctx) -> Outcome {
    expect_refused(ctx, &["1x", "x", "1:", ":1", "1:x", "root", "0x0", "1.0"])
}

fn user_out_of_range(ctx: &mut Ctx) -> Outcome {
    expect_refused(ctx, &["-1", "4294967295", "99999999999", "0:-1"])
}

fn user_is_empty(ctx: &mut Ctx) -> Outcome {
    expect_refused(ctx, &[""])
}

fn additional_gids(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    ctx.exec_report(&[])?.expect("/groups", &json!([]))?;
    let options = ["--additional-gids", "100", "--additional-gids", "65534"];
    ctx.exec_report(&options)?
        .expect("/groups", &json!([100, 65534]))
}

/// CVE-2022-29162: inheritable ones would come back with a file's.
fn cap(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let plain = ctx.exec_report(&[])?;
    let report = ctx.exec_report(&["--cap", "CAP_NET_RAW", "--cap", "CAP_SYSLOG"])?;
    for set in ["bounding", "effective", "permitted"] {
        let pointer = format!("/capabilities/{set}");
        let (got, had) = (report.strings(&pointer), plain.strings(&pointer));
        let mut want = [&had[..], &["CAP_NET_RAW", "CAP_SYSLOG"]].concat();
        let mut got = got.clone();
        want.sort_unstable();
        got.sort_unstable();
        equal(set, got, want)?;
    }
    report.expect("/capabilities/inheritable", &json!([]))?;
    report.expect("/capabilities/ambient", &json!([]))
}

/// CVE-2016-8867: they are within a user's reach, not in use.
fn cap_of_a_user(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let report = ctx.exec_report(&["--user", "1000", "--cap", "CAP_NET_RAW"])?;
    for set in ["effective", "permitted", "inheritable", "ambient"] {
        report.expect(&format!("/capabilities/{set}"), &json!([]))?;
    }
    let bounding = report.strings("/capabilities/bounding");
    check!(bounding.contains(&"CAP_NET_RAW"), "bounding: {bounding:?}");
    Ok(())
}

fn no_new_privs(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["sleep"])
        .set("/process/noNewPrivileges", json!(false));
    ctx.launch(&bundle)?.wait_for("ready")?;
    ctx.exec_report(&[])?
        .expect("/no_new_privs", &json!(false))?;
    ctx.exec_report(&["--no-new-privs"])?
        .expect("/no_new_privs", &json!(true))
}

/// CVE-2024-21626: descriptors of the runtime, and one that a careless caller leaks; the target
/// of `--cwd` may also be a symlink of the image.
fn cwd_through_a_descriptor(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.launch_sleeper()?;
    std::os::unix::fs::symlink("/proc/self/fd/9", bundle.inside("link"))?;
    let fds = (3..20).map(|fd| format!("/proc/self/fd/{fd}"));
    let places = fds.chain(["/link".into(), "/link/..".into()]);
    for cwd in places {
        let cmd = ctx.exec(&["--cwd", &cwd], &["/probe", "report"]);
        let done = cmd
            .wrapped(&["sh", "-c", "exec 9</; exec \"$0\" \"$@\""])
            .run()?;
        if done.status.code() != Some(0) {
            continue;
        }
        let report = Report::parse(&done.stdout)?;
        let got = report.at("/cwd").as_str().unwrap_or("(none)");
        check!(got.starts_with('/'), "{cwd} is outside of the root: {got}");
    }
    Ok(())
}

/// CVE-2019-5736: a program `#!/proc/self/exe` makes the runtime execute itself inside, where a
/// process of the container can reach its file. The log is a FIFO, so that it blocks until it is
/// killed.
fn runtime_binary_is_out_of_reach(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    let (copy, state) = (ctx.dir.join("runtime-copy"), ctx.state_dir());
    fs::copy(&ctx.runtime().path, &copy)?;
    let before = fs::read(&copy)?;
    let mut bundle = ctx.bundle()?;
    bundle.shell(WRITER);
    fs::write(bundle.inside("evil"), "#!/proc/self/exe --log=/fifo\n")?;
    fs::set_permissions(bundle.inside("evil"), fs::Permissions::from_mode(0o755))?;
    ctx.command(&["mkfifo", text(&bundle.inside("fifo"))?])
        .run()?
        .ok()?;
    let attack = ctx.launch(&bundle)?;
    attack.wait_for("ready")?;
    let file = ctx.dir.join("exec.pid");
    let argv = [
        text(&copy)?,
        "--root",
        text(&state)?,
        "exec",
        "--detach",
        "--pid-file",
        text(&file)?,
        &ctx.id,
        "/evil",
    ];
    // A runtime that is linked dynamically has no loader inside, and fails here.
    let _ = ctx.in_view(ctx.command(&argv)).run()?;
    if let Some(pid) = fs::read_to_string(&file).ok().and_then(|p| p.parse().ok()) {
        let inner = inner_pid(pid).unwrap_or_default();
        fs::write(bundle.inside("target"), format!("{inner}\n"))?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        let _ = crate::harness::command::send(pid, rustix::process::Signal::KILL);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    check!(
        fs::read(&copy)? == before,
        "the runtime's binary was changed"
    );
    check!(
        !attack.stdout_now()?.contains("hit"),
        "the attacker could write"
    );
    Ok(())
}
