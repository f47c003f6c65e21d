//! The config of `RUNTIME spec`, promise by promise, as seen from inside.

use std::fs;

use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "default_config::spec_refuses_to_overwrite",
            spec_refuses_to_overwrite,
        ),
        Case::new(
            "default_config::spec_of_another_bundle",
            spec_of_another_bundle,
        ),
        Case::new("default_config::cgroup_namespace_on_v2", cgroup_namespace),
        Case::new("default_config::mounts", mounts),
        Case::new("default_config::no_other_mounts", no_other_mounts),
        Case::new(
            "default_config::cgroup_mount_is_read_only",
            cgroup_mount_is_read_only,
        ),
        Case::new(
            "default_config::cgroup_tmpfs_is_read_only",
            cgroup_tmpfs_is_read_only,
        )
        .deviates(
            "runc 1.1",
            "config.md, mounts: options of the mount are to be used; \
             the tmpfs that holds the v1 hierarchies stays writable",
            "is not read-only",
        ),
        Case::new("default_config::namespaces", namespaces),
        Case::new("default_config::capabilities", capabilities),
        Case::new("default_config::rlimits", rlimits),
        Case::new("default_config::masked_paths", masked_paths),
        Case::new("default_config::readonly_paths", readonly_paths),
        Case::new("default_config::no_new_privileges", no_new_privileges),
        Case::new("default_config::devices", devices),
        Case::new("default_config::device_links", device_links),
        Case::new("default_config::no_console_without_terminal", no_console),
        Case::new("default_config::hostname", hostname),
        Case::new("default_config::environment_and_cwd", environment_and_cwd),
        Case::new("default_config::root_is_read_only", root_is_read_only),
        Case::new("default_config::host_is_invisible", host_is_invisible),
        Case::new("default_config::processes", processes),
        Case::new(
            "default_config::oom_score_is_untouched",
            oom_score_is_untouched,
        ),
    ]
}

/// The bundle of `RUNTIME spec` with the probe as its program and no terminal.
fn default_bundle(ctx: &Ctx) -> Result<Bundle, Fault> {
    let mut bundle = ctx.bundle()?;
    ctx.default_config(&mut bundle)?;
    bundle.set("/process/terminal", json!(false));
    Ok(bundle)
}

/// The config and the report of a container that it describes.
fn look(ctx: &Ctx) -> Result<(Value, Report), Fault> {
    let mut bundle = default_bundle(ctx)?;
    let report = ctx.report(&mut bundle)?;
    Ok((bundle.config, report))
}

/// The entries of an array in the config.
fn list<'c>(config: &'c Value, pointer: &str) -> &'c [Value] {
    config
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The strings of an array in the config.
fn strings<'c>(config: &'c Value, pointer: &str) -> Vec<&'c str> {
    list(config, pointer)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn spec_refuses_to_overwrite(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    fs::write(bundle.dir.join("config.json"), "mine")?;
    let done = ctx.oci(&["spec"]).cwd(&bundle.dir).run()?;
    check!(done.status.code() != Some(0), "spec overwrites config.json");
    equal(
        "config.json",
        fs::read_to_string(bundle.dir.join("config.json"))?.as_str(),
        "mine",
    )
}

/// A script that adds a cgroup namespace on other hosts must not add a second one.
fn cgroup_namespace(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    let magic = ctx.command(&["stat", "-f", "-c", "%T", "/sys/fs/cgroup"]);
    let is_unified = ctx.in_view(magic).run()?.ok()?.stdout.trim() == "cgroup2fs";
    ctx.oci(&["spec"]).cwd(&bundle.dir).run()?.ok()?;
    let text = fs::read_to_string(bundle.dir.join("config.json"))?;
    let config: Value = serde_json::from_str(&text)?;
    let all = config["linux"]["namespaces"].as_array();
    let mut all = all.into_iter().flatten();
    let has_one = all.any(|entry| entry["type"] == "cgroup");
    equal("cgroup namespace", has_one, is_unified)
}

fn spec_of_another_bundle(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    ctx.oci(&["spec", "--bundle"])
        .arg(&bundle.dir)
        .run()?
        .quiet()?;
    let config: Value = serde_json::from_slice(&fs::read(bundle.dir.join("config.json"))?)?;
    equal("args", &config["process"]["args"], &json!(["sh"]))?;
    equal(
        "root",
        &config["root"],
        &json!({"path": "rootfs", "readonly": true}),
    )?;
    equal("terminal", &config["process"]["terminal"], &json!(true))
}

/// Options that the mount shows in its own words, as opposed to those of the file system.
const FLAGS: [&str; 8] = [
    "ro",
    "rw",
    "nosuid",
    "nodev",
    "noexec",
    "relatime",
    "noatime",
    "nodiratime",
];

/// How one option of the config must show in the mount table; nothing for those that do not.
fn shown(option: &str) -> Option<String> {
    match option {
        // Strict access times are what is left without relatime and noatime.
        "strictatime" | "newinstance" => None,
        // The mode that a tmpfs has anyway is not shown.
        "mode=1777" => None,
        // Numbers are shown without the leading zeros of octal.
        _ => Some(option.replace("=0", "=")),
    }
}

/// Whether a mount entry of the report has an option.
fn has(mount: &Value, kind: &str, option: &str) -> bool {
    mount[kind]
        .as_array()
        .is_some_and(|all| all.iter().any(|o| o == option))
}

fn mounts(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let entries = list(&config, "/mounts");
    check!(entries.len() >= 6, "only {} mounts", entries.len());
    for entry in entries.iter().filter(|e| e["type"] != "cgroup") {
        let point = entry["destination"].as_str().unwrap_or_default();
        let mount = report.mount(point)?;
        equal(
            &format!("fstype of {point}"),
            &mount["fstype"],
            &entry["type"],
        )?;
        for option in strings(entry, "/options").into_iter().filter_map(shown) {
            let kind = if FLAGS.contains(&&*option) {
                "options"
            } else {
                "super_options"
            };
            check!(has(mount, kind, &option), "{point} lacks {option}: {mount}");
        }
    }
    equal("mode of /dev/shm", &report.device("shm")?["mode"], 0o1777)
}

fn no_other_mounts(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let mut known: Vec<&str> = list(&config, "/mounts")
        .iter()
        .filter_map(|m| m["destination"].as_str())
        .collect();
    known.extend(strings(&config, "/linux/maskedPaths"));
    known.extend(strings(&config, "/linux/readonlyPaths"));
    for mount in report.at("/mounts").as_array().into_iter().flatten() {
        let point = mount["mount_point"].as_str().unwrap_or_default();
        let expected = point == "/" || known.contains(&point);
        check!(
            expected || point.starts_with("/sys/fs/cgroup/"),
            "unexpected mount: {mount}"
        );
    }
    Ok(())
}

fn cgroup_mount_is_read_only(ctx: &mut Ctx) -> Outcome {
    let (_, report) = look(ctx)?;
    expect_read_only(&report, |fstype| fstype.starts_with("cgroup"))
}

/// On a v1 machine a tmpfs holds the hierarchies' mount points.
fn cgroup_tmpfs_is_read_only(ctx: &mut Ctx) -> Outcome {
    if ctx.unified {
        skip!("cgroup v2 needs no tmpfs");
    }
    let (_, report) = look(ctx)?;
    expect_read_only(&report, |fstype| fstype == "tmpfs")
}

/// Fails unless there are such mounts at and below /sys/fs/cgroup, and all are read-only.
fn expect_read_only(report: &Report, wanted: impl Fn(&str) -> bool) -> Outcome {
    let mut count = 0;
    for mount in report.at("/mounts").as_array().into_iter().flatten() {
        let point = mount["mount_point"].as_str().unwrap_or_default();
        let fstype = mount["fstype"].as_str().unwrap_or_default();
        if point.starts_with("/sys/fs/cgroup") && wanted(fstype) {
            check!(
                has(mount, "options", "ro"),
                "{point} is not read-only: {mount}"
            );
            count += 1;
        }
    }
    check!(count > 0, "no such mount below /sys/fs/cgroup");
    Ok(())
}

/// Own namespaces of the kinds in the config, the host's of all others.
fn namespaces(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let kinds: Vec<&str> = list(&config, "/linux/namespaces")
        .iter()
        .filter_map(|n| n["type"].as_str())
        .collect();
    for wanted in ["pid", "network", "ipc", "uts", "mount"] {
        check!(
            kinds.contains(&wanted),
            "the default config has no {wanted} namespace"
        );
    }
    let files = [
        ("pid", "pid"),
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("mount", "mnt"),
        ("user", "user"),
        ("cgroup", "cgroup"),
        ("time", "time"),
    ];
    for (kind, file) in files {
        let host = fs::read_link(format!("/proc/self/ns/{file}"))?;
        let inside = report.at(&format!("/namespaces/{file}"));
        let inside = format!("{file}:[{inside}]");
        let same = host.to_string_lossy() == inside;
        check!(
            same != kinds.contains(&kind),
            "{kind}: host {}, container {inside}",
            host.display()
        );
    }
    Ok(())
}

/// Three sets as the config has them; the other two empty, because ambient needs inheritable
/// (capabilities(7)) and the default config has no inheritable ones (CVE-2022-29162).
fn capabilities(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    for set in [
        "bounding",
        "effective",
        "permitted",
        "inheritable",
        "ambient",
    ] {
        let mut want = strings(&config, &format!("/process/capabilities/{set}"));
        if matches!(set, "inheritable" | "ambient") {
            check!(
                set == "ambient" || want.is_empty(),
                "inheritable in the default config"
            );
            want.clear();
        } else {
            check!(
                !want.is_empty(),
                "no {set} capabilities in the default config"
            );
        }
        let mut got = report.strings(&format!("/capabilities/{set}"));
        got.sort_unstable();
        want.sort_unstable();
        equal(set, got, want)?;
    }
    Ok(())
}

fn rlimits(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let limits = list(&config, "/process/rlimits");
    check!(!limits.is_empty(), "the default config has no rlimits");
    for limit in limits {
        let name = limit["type"].as_str().unwrap_or_default();
        report.expect(&format!("/rlimits/{name}/soft"), &limit["soft"])?;
        report.expect(&format!("/rlimits/{name}/hard"), &limit["hard"])?;
    }
    Ok(())
}

/// A JSON pointer to what the report says of a guarded path.
fn guarded(path: &str, key: &str) -> String {
    format!("/guarded/{}/{key}", path.replace('/', "~1"))
}

/// "maskedPaths will mask over the provided paths inside the container so that they cannot be
/// read."
fn masked_paths(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let paths = strings(&config, "/linux/maskedPaths");
    check!(paths.len() > 5, "masked paths: {paths:?}");
    let mut present = 0;
    for path in paths {
        // Paths that newer defaults add are not in the probe's list.
        let Some(read) = report.at(&guarded(path, "read")).as_str() else {
            continue;
        };
        check!(
            matches!(read, "missing" | "empty"),
            "{path} can be read: {read}"
        );
        present += usize::from(read == "empty");
    }
    check!(present > 0, "no masked path exists on this machine");
    Ok(())
}

fn readonly_paths(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let paths = strings(&config, "/linux/readonlyPaths");
    check!(paths.contains(&"/proc/sys"), "read-only paths: {paths:?}");
    for path in paths {
        if report.at(&guarded(path, "write")) != "missing" {
            report.expect(&guarded(path, "read_only_mount"), &json!(true))?;
        }
    }
    Ok(())
}

fn no_new_privileges(ctx: &mut Ctx) -> Outcome {
    let (_, report) = look(ctx)?;
    report.expect("/no_new_privs", &json!(true))?;
    report.expect("/seccomp", &json!(0))
}

/// config-linux.md, Default Devices.
fn devices(ctx: &mut Ctx) -> Outcome {
    let (_, report) = look(ctx)?;
    let numbers = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ];
    for (name, major, minor) in numbers {
        let want = json!({"type": "char", "major": major, "minor": minor, "mode": 0o666,
            "uid": 0, "gid": 0});
        equal(name, report.device(name)?, &want)?;
    }
    Ok(())
}

/// config-linux.md: "/dev/ptmx is a bind-mount or symlink of the container's /dev/pts/ptmx";
/// runtime-linux.md, Dev symbolic links.
fn device_links(ctx: &mut Ctx) -> Outcome {
    let (_, report) = look(ctx)?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, target) in links {
        equal(name, &report.device(name)?["target"], target)?;
    }
    let ptmx = report.device("ptmx")?;
    let linked = matches!(ptmx["target"].as_str(), Some("pts/ptmx" | "/dev/pts/ptmx"));
    check!(
        linked || report.mount("/dev/ptmx").is_ok(),
        "/dev/ptmx: {ptmx}"
    );
    equal(
        "mode of pts/ptmx",
        &report.device("pts/ptmx")?["mode"],
        0o666,
    )
}

fn no_console(ctx: &mut Ctx) -> Outcome {
    let (_, report) = look(ctx)?;
    check!(
        report.device("console").is_err(),
        "/dev/console without a terminal"
    );
    report.expect("/controlling_tty", &json!(0))
}

fn hostname(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    check!(
        config["hostname"].is_string(),
        "the default config has no hostname"
    );
    report.expect("/hostname", &config["hostname"])
}

fn environment_and_cwd(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    let mut env = report.strings("/env");
    // HOME may be added from the container's passwd.
    env.retain(|entry| !entry.starts_with("HOME="));
    equal("environment", env, strings(&config, "/process/env"))?;
    report.expect("/cwd", &json!("/"))?;
    report.expect("/argv", &json!(["/probe", "report"]))?;
    report.expect("/umask", &json!(0o022))
}

fn root_is_read_only(ctx: &mut Ctx) -> Outcome {
    let mut bundle = default_bundle(ctx)?;
    let report = ctx.report(&mut bundle)?;
    check!(
        has(report.mount("/")?, "options", "ro"),
        "/ is not mounted read-only"
    );
    report.expect("/root/~1/read_only_mount", &json!(true))?;
    bundle.probe(&["touch", "/tmp/new"]);
    let done = ctx.run(&bundle)?.exits(99)?;
    check!(
        done.stderr.contains("Read-only file system"),
        "stderr: {}",
        done.stderr
    );
    check!(!bundle.inside("tmp/new").exists(), "the file was made");
    Ok(())
}

/// A path of the host does not exist inside, and nothing of the mount table names one.
fn host_is_invisible(ctx: &mut Ctx) -> Outcome {
    let mut bundle = default_bundle(ctx)?;
    let secret = ctx.dir.join("secret");
    fs::write(&secret, "secret")?;
    let secret = crate::harness::container::text(&secret)?;
    bundle.probe(&["cat", secret]);
    let done = ctx.run(&bundle)?.exits(99)?;
    check!(
        done.stderr.contains("No such file or directory"),
        "stderr: {}",
        done.stderr
    );
    bundle.probe(&["cat", &format!("/proc/1/root{secret}")]);
    ctx.run(&bundle)?.exits(99)?;
    let report = ctx.report(&mut bundle)?;
    for fd in report.at("/fds").as_array().into_iter().flatten() {
        check!(fd["fd"].as_i64() < Some(3), "an open descriptor: {fd}");
    }
    Ok(())
}

fn processes(ctx: &mut Ctx) -> Outcome {
    let (_, report) = look(ctx)?;
    report.expect("/processes", &json!([1]))?;
    report.expect("/pid", &json!(1))?;
    report.expect("/ppid", &json!(0))?;
    report.expect("/sid", &json!(1))
}

/// "If oomScoreAdj is not set, the runtime MUST NOT change the value of oom_score_adj."
fn oom_score_is_untouched(ctx: &mut Ctx) -> Outcome {
    let (config, report) = look(ctx)?;
    check!(
        config["process"]["oomScoreAdj"].is_null(),
        "the default config sets oomScoreAdj"
    );
    let own: i64 = fs::read_to_string("/proc/self/oom_score_adj")?
        .trim()
        .parse()?;
    report.expect("/oom_score_adj", &json!(own))
}
