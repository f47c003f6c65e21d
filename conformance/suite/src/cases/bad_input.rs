//! A config.json that can't be: refused before anything is made, with the field's name.

use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    // Older versions check little, and the old crun leaves cgroups behind where it does.
    let strict = |case: Case| {
        case.lacks("runc 1.1", "such checks", "want exit code 1")
            .lacks("crun 1.8", "such checks", "want exit code 1")
            .lacks("crun 1.8", "such checks", "left behind")
    };
    vec![
        strict(Case::new("bad_input::contradictions", contradictions)),
        Case::new("bad_input::wrong_types", wrong_types).lacks(
            "crun 1.8",
            "such checks",
            "want exit code 1",
        ),
        strict(Case::new("bad_input::out_of_range", out_of_range)),
        strict(Case::new("bad_input::unknown_names", unknown_names)),
        Case::new("bad_input::no_id", no_id)
            .only("kan", "other runtimes run the program as root then"),
        Case::new("bad_input::all_at_once", all_at_once)
            .only("kan", "other runtimes stop at the first problem"),
        Case::new("bad_input::in_engines_log_it_is_one_record", one_record)
            .only("kan", "other runtimes stop at the first problem"),
    ]
}

/// Creates with each of the changes alone, which must be refused and leave nothing.
fn refused_each(ctx: &Ctx, changes: &[(&str, Value)]) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]);
    let sound = bundle.config.clone();
    for (pointer, value) in changes {
        bundle.config = sound.clone();
        bundle.set(pointer, value.clone());
        let done = ctx.try_create(&bundle)?;
        if done.status.success() {
            ctx.verb(&["delete", "--force"])?.ok()?;
        }
        match done.refuses(&[""]) {
            Err(Fault::Failed(why)) => fail!("{pointer} = {value}: {why}"),
            other => other?,
        }
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// The namespaces of the suite's default config without one kind, and one of its fields set.
fn contradictions(ctx: &mut Ctx) -> Outcome {
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    refused_each(
        ctx,
        &[
            ("/linux/uidMappings", map.clone()),
            ("/linux/namespaces/-", json!({"type": "pid"})),
            ("/linux/sysctl", json!({"kernel.panic": "1"})),
            ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}})),
        ],
    )?;
    for (kind, pointer, value) in [
        ("uts", "/hostname", json!("name")),
        ("mount", "/linux/maskedPaths", json!(["/proc/kcore"])),
        ("mount", "/linux/readonlyPaths", json!(["/proc/sys"])),
        (
            "network",
            "/linux/sysctl",
            json!({"net.ipv4.ip_forward": "1"}),
        ),
        ("ipc", "/linux/sysctl", json!({"kernel.shmmax": "1"})),
    ] {
        let mut bundle = ctx.bundle_named(&format!("{kind}{}", pointer.replace('/', "-")))?;
        bundle.without_namespace(kind).set(pointer, value);
        ctx.try_create(&bundle)?.refuses(&[""])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

fn wrong_types(ctx: &mut Ctx) -> Outcome {
    refused_each(
        ctx,
        &[
            ("/ociVersion", json!(1)),
            ("/process/args", json!("one")),
            ("/process/terminal", json!("yes")),
            ("/process/user/uid", json!("root")),
            ("/process/env", json!({"A": "b"})),
            ("/root", json!("rootfs")),
            ("/mounts", json!({"/": "tmpfs"})),
            ("/hooks", json!([])),
            ("/linux/namespaces", json!(["pid"])),
            ("/linux/resources/pids", json!({"limit": "many"})),
        ],
    )
}

fn out_of_range(ctx: &mut Ctx) -> Outcome {
    refused_each(
        ctx,
        &[
            ("/process/user/uid", json!(-1)),
            ("/process/oomScoreAdj", json!(1001)),
            ("/process/cwd", json!("relative")),
            ("/process/env", json!(["without a value"])),
            (
                "/process/rlimits",
                json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
            ),
            (
                "/hooks",
                json!({"prestart": [{"path": "/bin/true", "timeout": 0}]}),
            ),
            ("/hooks", json!({"prestart": [{"path": "bin/true"}]})),
            ("/linux/maskedPaths", json!(["relative"])),
        ],
    )
}

/// To setresuid(2), setresgid(2) and chown(2) 4294967295 is "leave it unchanged".
fn no_id(ctx: &mut Ctx) -> Outcome {
    let none = u32::MAX;
    let device = |key: &str| json!([{"path": "/dev/x", "type": "p", key: none}]);
    refused_each(
        ctx,
        &[
            ("/process/user/uid", json!(none)),
            ("/process/user/gid", json!(none)),
            ("/process/user/additionalGids", json!([1, none])),
            ("/linux/devices", device("uid")),
            ("/linux/devices", device("gid")),
        ],
    )?;
    let mut bundle = ctx.bundle_named("sound")?;
    bundle.probe(&["sleep"]);
    ctx.create(&bundle)?;
    for options in [
        &["--user", "4294967295"][..],
        &["--user", "1:4294967295"],
        &["--additional-gids", "4294967295"],
    ] {
        ctx.exec(options, &["/probe", "exit", "0"])
            .run()?
            .refuses_with(255, &["no id"])?;
    }
    ctx.verb(&["delete", "--force"])?.ok().map(drop)
}

fn unknown_names(ctx: &mut Ctx) -> Outcome {
    refused_each(
        ctx,
        &[
            ("/linux/namespaces/-", json!({"type": "dreams"})),
            (
                "/process/rlimits",
                json!([{"type": "RLIMIT_DREAMS", "soft": 1, "hard": 1}]),
            ),
            ("/linux/rootfsPropagation", json!("sideways")),
            ("/linux/devices", json!([{"path": "/dev/x", "type": "q"}])),
            ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_DREAM"})),
            ("/linux/personality", json!({"domain": "ATARI"})),
        ],
    )
}

/// Fields with something wrong about each, in the order of the document.
fn broken(ctx: &Ctx) -> Result<(Bundle, Vec<&'static str>), Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.config = json!({
        "ociVersion": "7.0.0",
        "process": {
            "args": [],
            "cwd": "here",
            "env": ["A=b", "="],
            "user": {"uid": -1},
            "capabilities": {"bounding": "all"},
            "rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}],
        },
        "root": {},
        "hostname": "x".repeat(65),
        "mounts": [{"destination": "/a"}, {"type": "tmpfs"}],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "mount"}],
            "resources": {"memory": {"limit": 1.5}},
        },
    });
    let fields = vec![
        "ociVersion",
        "process.args",
        "process.cwd",
        "process.env[1]",
        "process.user.uid",
        "process.capabilities.bounding",
        "process.rlimits[0].type",
        "root.path",
        "hostname",
        "mounts[1].destination",
        "linux.namespaces[1]",
        "linux.resources.memory.limit",
    ];
    Ok((bundle, fields))
}

/// A line for each problem, with its position, all of them, and nothing made.
fn all_at_once(ctx: &mut Ctx) -> Outcome {
    let (bundle, fields) = broken(ctx)?;
    let done = ctx.try_create(&bundle)?;
    let lines: Vec<_> = done.stderr.lines().map(str::to_owned).collect();
    done.refuses(&[""])?;
    for field in &fields {
        let begin = format!("kan: config.json: {field}: ");
        check!(
            lines.iter().any(|line| line.starts_with(&begin)),
            "no line for {field}: {lines:#?}"
        );
    }
    equal("lines", lines.len(), fields.len())?;
    ctx.expect_nothing_left()
}

/// podman parses the whole log as one object.
fn one_record(ctx: &mut Ctx) -> Outcome {
    let (bundle, fields) = broken(ctx)?;
    bundle.save()?;
    let log = ctx.dir.join("log.json");
    let global = ["--log-format=json", "--log", &log.to_string_lossy()];
    let cmd = ctx
        .oci_with(&global, &["create", "--bundle"])
        .arg(&bundle.dir)
        .arg(&ctx.id);
    cmd.run()?.refuses(&[""])?;
    let record: Value = serde_json::from_str(&crate::harness::bundle::read(&log)?)?;
    let said = record["msg"].as_str().unwrap_or_default();
    for field in fields {
        check!(
            said.contains(&format!("{field}: ")),
            "{field} is not in {said}"
        );
    }
    ctx.expect_nothing_left()
}
