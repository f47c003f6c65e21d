//! `kan check`: one mistake at a time, of those that reading config.json does not show. That it agrees
//! with `create` and `run` is tested by all other cases, with `SUITE_CHECKS=1`.

use crate::harness::config::mount;
use crate::harness::leftovers;
use crate::harness::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("check::mistakes", mistakes).only("kan", "others have no check"),
        Case::new("check::leaves_nothing", leaves_nothing).only("kan", "others have no check"),
        Case::new("check::misspelt_keys", misspelt_keys).only("kan", "others have no check"),
    ]
}

fn check_of(ctx: &Ctx, bundle: &Bundle, fails: bool) -> Result<String, Fault> {
    bundle.save()?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    let done = ctx.oci(&["check", "--bundle", dir]).run()?;
    Ok(done.exits(i32::from(fails))?.stdout)
}

/// A program that execve(2) refuses.
fn program(bundle: &mut Bundle, name: &str, content: &[u8]) -> Outcome {
    let path = bundle.inside(name);
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    bundle.set("/process/args", json!([format!("/{name}")]));
    Ok(())
}

fn mistakes(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    check_of(ctx, &bundle, false)?;
    let sound = bundle.config.clone();
    let changes: [(&str, Value, &str); 7] = [
        ("/mounts/-", mount("/tmp", "tmpfs", &["banana"]), "banana"),
        ("/mounts/-", mount("/tmp", "nosuchfs", &[]), "nosuchfs"),
        (
            "/linux/namespaces/-",
            json!({"type": "cgroup", "path": "/proc/self/ns/net"}),
            "not a namespace of this type",
        ),
        (
            "/linux/sysctl",
            json!({"net.ipv4.nosuch": "1"}),
            "linux.sysctl[\"net.ipv4.nosuch\"]",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]}),
            "linux.seccomp denies execve",
        ),
        (
            "/hooks",
            json!({"startContainer": [{"path": "/nowhere"}]}),
            "hooks.startContainer[0]",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1_u64 << 40}]),
            "process.rlimits[0]",
        ),
    ];
    let mut missed = Vec::new();
    for (pointer, value, words) in changes {
        bundle.config = sound.clone();
        if pointer == "/linux/namespaces/-"
            && let Some(list) = bundle.config["linux"]["namespaces"].as_array_mut()
        {
            list.retain(|one| one["type"] != "cgroup");
        }
        bundle.set(pointer, value);
        if let Err(said) = says(ctx, &bundle, words)? {
            missed.push(format!("{pointer}: no {words:?} in {said}"));
        }
    }
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf7\0\x01\0\0\0";
    for (content, words) in [
        (&elf[..], "it is for "),
        (b"#!/no/such/interpreter\n", "/no/such/interpreter"),
        (b"text", "format error"),
    ] {
        bundle.config = sound.clone();
        program(&mut bundle, "refused", content)?;
        if let Err(said) = says(ctx, &bundle, words)? {
            missed.push(format!("a program: no {words:?} in {said}"));
        }
    }
    check!(missed.is_empty(), "{}", missed.join("\n"));
    Ok(())
}

/// Whether `check` fails with these words; otherwise what it says.
fn says(ctx: &Ctx, bundle: &Bundle, words: &str) -> Result<Result<(), String>, Fault> {
    bundle.save()?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    let done = ctx.oci(&["check", "--bundle", dir]).run()?;
    let is_told = done.status.code() == Some(1) && done.stdout.contains(words);
    Ok(if is_told { Ok(()) } else { Err(done.stdout) })
}

/// Mount points and devices that `create` would add to the root filesystem are not there afterwards.
fn leaves_nothing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    bundle.set("/mounts/-", mount("/new/point", "tmpfs", &[]));
    let before = fs::read_dir(bundle.inside(""))?.count();
    bundle.save()?;
    let dir = crate::harness::container::text(&bundle.dir)?;
    // What it makes for itself is named after its pid, which exec keeps.
    let pid_of = ["sh", "-c", "echo $$ && exec \"$@\"", "sh"];
    let check = ctx.oci(&["check", "--bundle", dir]).wrapped(&pid_of);
    let said = check.run()?.ok()?.stdout;
    let pid = said.lines().next().unwrap_or_default().to_owned();
    check!(pid.parse::<i32>().is_ok(), "no pid: {said}");
    equal(
        "entries of the root",
        fs::read_dir(bundle.inside(""))?.count(),
        before,
    )?;
    let name = format!("kan-check-{pid}");
    let temporary = std::env::temp_dir().join(&name);
    check!(!temporary.exists(), "left: {}", temporary.display());
    let left = leftovers::find(&name, &ctx.dir, &ctx.state_dir());
    check!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
    ctx.expect_nothing_left()
}

fn misspelt_keys(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    for (pointer, meant) in [
        ("/hostnme", "hostname"),
        ("/process/arg", "args"),
        ("/linux/maskedPath", "maskedPaths"),
        ("/linux/reosurces", "resources"),
        ("/process/nonewPrivileges", "noNewPrivileges"),
    ] {
        bundle.set(pointer, json!([]));
        let said = check_of(ctx, &bundle, false)?;
        let words = format!("did you mean {meant:?}?");
        check!(said.contains(&words), "{pointer}: no {words:?} in {said}");
    }
    Ok(())
}
