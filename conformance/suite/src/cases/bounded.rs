//! What somebody else prepared, an image or a config.json, decides neither how long a runtime works
//! nor how much it prints.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::config::mount;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("bounded::passwd_without_an_end", endless_passwd)
            .only("kan", "other runtimes read all of it"),
        Case::new("bounded::copy_up_of_a_deep_tree", deep_copy_up),
        Case::new("bounded::many_entries", many_entries)
            .only("kan", "other runtimes take their time"),
        Case::new("bounded::no_control_characters", no_control_characters)
            .only("kan", "other runtimes print some of them"),
    ]
}

/// A sparse file of a terabyte costs an image nothing.
fn endless_passwd(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let path = bundle.inside("etc/passwd");
    let _ = fs::remove_file(&path);
    fs::File::create(&path)?.set_len(1 << 40)?;
    ctx.try_create(&bundle)?
        .refuses(&["/etc/passwd is larger than 16 MiB"])?;
    ctx.expect_nothing_left()
}

fn deep_copy_up(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let deep = format!("full/{}", "d/".repeat(190));
    fs::create_dir_all(bundle.inside(&deep))?;
    fs::write(bundle.inside(&format!("{deep}file")), "text")?;
    bundle.set("/mounts/-", mount("/full", "tmpfs", &["tmpcopyup"]));
    bundle.probe(&["exit", "0"]);
    let run = ctx.with_bundle("run", &[], &bundle)?;
    let little = ["sh", "-c", "ulimit -s 256; exec \"$@\"", "sh"];
    run.wrapped(&little).run()?.ok()?;
    Ok(())
}

const MANY: usize = 20_000;

fn names(prefix: &str) -> Value {
    (0..MANY).map(|n| format!("{prefix}{n}")).collect()
}

fn each(value: impl Fn(usize) -> Value) -> Value {
    (0..MANY).map(value).collect()
}

/// Twenty thousand of whatever config.json may have many of. Some are refused; either way it
/// takes seconds, and what is printed of it is little.
fn many_entries(ctx: &mut Ctx) -> Outcome {
    /// On a slow machine, of a build without optimisation. Longer than that the suite does not wait;
    /// what is quadratic takes a minute.
    const LONGEST: Duration = Duration::from_secs(20);
    let calls = |args: fn(usize) -> Value| {
        let rule = |n| json!({"names": ["getpid"], "action": "SCMP_ACT_ALLOW", "args": args(n)});
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": each(rule)})
    };
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let sound = bundle.config.clone();
    for (pointer, value) in [
        ("/process/capabilities/bounding", names("CAP_X")),
        ("/process/env", each(|n| json!(format!("A={n}")))),
        (
            "/process/rlimits",
            each(|_| json!({"type": "RLIMIT_CORE", "soft": 0, "hard": 0})),
        ),
        ("/process/user/additionalGids", each(|n| json!(n))),
        ("/linux/maskedPaths", names("/nowhere/")),
        ("/linux/readonlyPaths", names("/nowhere/")),
        ("/linux/namespaces", each(|_| json!({"type": "pid"}))),
        (
            "/linux/sysctl",
            (0..MANY).map(|n| (format!("x.{n}"), json!("1"))).collect(),
        ),
        (
            "/linux/resources/unified",
            (0..MANY).map(|n| (format!("x{n}"), json!("1"))).collect(),
        ),
        (
            "/linux/netDevices",
            (0..MANY)
                .map(|n| (format!("a-long-name-{n}"), json!({})))
                .collect(),
        ),
        (
            "/linux/seccomp",
            calls(|n| json!([{"index": 0, "value": n, "op": "SCMP_CMP_EQ"}])),
        ),
        ("/linux/seccomp", calls(|_| json!([]))),
        (
            "/linux/resources/devices",
            each(|n| {
                json!({"allow": n % 2 == 0, "type": "c", "major": n % 999, "minor": n,
                    "access": "rwm"})
            }),
        ),
        ("/hooks", json!({"prestart": each(|n| json!({"path": n}))})),
        (
            "/annotations",
            (0..MANY).map(|n| (format!("a{n}"), json!("b"))).collect(),
        ),
        ("/unknown", json!({})),
    ] {
        bundle.config = sound.clone();
        bundle.set(pointer, value);
        let began = Instant::now();
        let done = ctx.try_create(&bundle)?;
        let took = began.elapsed();
        check!(took < LONGEST, "{pointer}: took {took:?}");
        let lines = done.stderr.lines().count();
        check!(lines <= 501, "{pointer}: {lines} lines on stderr");
        let longest = done.stderr.lines().map(str::len).max().unwrap_or(0);
        check!(
            longest < 500,
            "{pointer}: a line of {longest} bytes on stderr"
        );
        ctx.verb(&["delete", "--force"])?.ok()?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

/// Whatever has a name in an error or in a table, a terminal reads nothing but text.
fn no_control_characters(ctx: &mut Ctx) -> Outcome {
    let evil = "\u{1b}[2J\u{9b}31m\r";
    let mut bundle = ctx.bundle_named(&format!("b{evil}"))?;
    bundle.probe(&["exit", "0"]);
    let sound = bundle.config.clone();
    let text = |text: &str, what: &str| {
        let found = text
            .chars()
            .find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        check!(found.is_none(), "{what}: {found:?} in {text:?}");
        Ok(())
    };
    for (pointer, value) in [
        ("/process/args/0", json!(format!("/nowhere/{evil}"))),
        ("/process/cwd", json!(format!("relative{evil}"))),
        ("/process/env/-", json!(evil)),
        ("/root/path", json!(evil)),
        (
            "/mounts/-",
            json!({"destination": "/x", "type": "bind", "source": format!("/{evil}"), "options": ["bind"]}),
        ),
        ("/mounts/-", json!({"destination": "/x", "type": evil})),
        (
            "/mounts/-",
            json!({"destination": "/x", "type": "tmpfs", "options": [evil]}),
        ),
        ("/linux/sysctl", json!({ evil: "1" })),
        (
            "/linux/namespaces/-",
            json!({"type": "network", "path": format!("/{evil}")}),
        ),
        ("/linux/cgroupsPath", json!(format!("/../{evil}"))),
        (
            "/hooks",
            json!({"createRuntime": [{"path": format!("/{evil}")}]}),
        ),
    ] {
        bundle.config = sound.clone();
        bundle.set(pointer, value);
        let done = ctx.with_bundle("run", &[], &bundle)?.run()?;
        text(&done.stderr, pointer)?;
    }
    bundle.config = sound;
    bundle.probe(&["sleep"]);
    bundle.set("/annotations", json!({ evil: evil }));
    ctx.create(&bundle)?;
    for command in [&["list"][..], &["list", "-f", "json"]] {
        text(&ctx.oci(command).run()?.ok()?.stdout, "list")?;
    }
    let state = ctx.verb(&["state"])?.ok()?.stdout;
    text(&state, "state")?;
    equal(
        "annotation",
        &ctx.state()?["annotations"][evil],
        &json!(evil),
    )?;
    ctx.delete()
}
