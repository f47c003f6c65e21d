//! External programs that the runtime runs outside the container: they have nothing of its own, and
//! one that hangs can be ended. Hooks are in `hooks` and `interrupt`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::interrupt::{REASON, expect_end, written};
use super::rootless::{Home, USER};
use crate::harness::command::{Cmd, wait_for_exit};
use crate::harness::container::text;
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    let case = |name, body| Case::new(name, body).only("kan", REASON);
    vec![
        case("programs::newuidmap_that_hangs", newuidmap_that_hangs),
        case(
            "programs::newuidmap_dies_with_the_runtime",
            newuidmap_dies_with_the_runtime,
        ),
        case("programs::newuidmap_inherits_nothing", |ctx| {
            inherits_nothing(ctx, "newuidmap")
        }),
        case("programs::ps_inherits_nothing", |ctx| {
            inherits_nothing(ctx, "ps")
        }),
        case("programs::ps_dies_with_the_runtime", ps_dies),
        case("programs::hook_output_without_a_reader", hook_output),
    ]
}

/// A directory for the beginning of PATH with one program in it, and where it writes.
struct Tool {
    dir: PathBuf,
    file: PathBuf,
}

impl Tool {
    /// `script` writes to `$out`.
    fn new(ctx: &Ctx, name: &str, script: &str) -> Result<Self, Fault> {
        let dir = ctx.dir.join("tools");
        fs::create_dir(&dir)?;
        let (program, file) = (dir.join(name), dir.join("out"));
        fs::write(
            &program,
            format!("#!/bin/sh\nout={}\n{script}\n", text(&file)?),
        )?;
        for (path, mode) in [(&dir, 0o777), (&program, 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(Self { dir, file })
    }

    fn on_path(&self, cmd: Cmd) -> Result<Cmd, Fault> {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", text(&self.dir)?);
        Ok(cmd.env("PATH", &path).checked(false))
    }

    fn pid(&self) -> Result<i32, Fault> {
        written(&self.file)?;
        Ok(fs::read_to_string(&self.file)?.trim().parse()?)
    }
}

const HANG: &str = "echo $$ >$out; exec sleep 60";

/// A user whose mappings the kernel does not take from himself.
fn with_two_ids(ctx: &Ctx) -> Result<Home, Fault> {
    let mut home = Home::new(ctx)?;
    let mappings = json!([{"containerID": 0, "hostID": USER, "size": 1},
                          {"containerID": 1, "hostID": 100_000, "size": 1000}]);
    home.bundle
        .probe(&["pause"])
        .set("/linux/uidMappings", mappings.clone())
        .set("/linux/gidMappings", mappings);
    Ok(home)
}

fn newuidmap_that_hangs(ctx: &mut Ctx) -> Outcome {
    let home = with_two_ids(ctx)?;
    let tool = Tool::new(ctx, "newuidmap", HANG)?;
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        for verb in ["create", "run"] {
            let _ = fs::remove_file(&tool.file);
            let running = tool.on_path(home.making(ctx, &[verb])?)?.spawn()?;
            let pid = tool.pid()?;
            expect_end(running, signal, number)?;
            check!(
                wait_for_exit(pid, Duration::from_secs(1))?,
                "newuidmap goes on"
            );
            ctx.expect_nothing_left()?;
        }
    }
    Ok(())
}

fn newuidmap_dies_with_the_runtime(ctx: &mut Ctx) -> Outcome {
    let home = with_two_ids(ctx)?;
    let tool = Tool::new(ctx, "newuidmap", HANG)?;
    let running = tool.on_path(home.making(ctx, &["create"])?)?.spawn()?;
    let pid = tool.pid()?;
    running.signal(Signal::KILL)?;
    running.wait()?;
    check!(
        wait_for_exit(pid, Duration::from_secs(1))?,
        "newuidmap goes on"
    );
    home.delete(ctx)?;
    ctx.expect_nothing_left()
}

/// No descriptor but the standard ones, no signal blocked or ignored.
fn inherits_nothing(ctx: &mut Ctx, name: &str) -> Outcome {
    // As number 10 dash(1) has the script open.
    let script = "
        exec >$out.new
        grep -E '^Sig(Blk|Ign)' /proc/self/status
        env | grep -i kan_
        ls /proc/$$/fd
        mv $out.new $out
        exit 7";
    let tool = Tool::new(ctx, name, script)?;
    // What the caller ignores and leaks.
    let hostile = ["sh", "-c", "trap '' USR1 PIPE; exec 7</ \"$@\"", "sh"];
    let done = if name == "ps" {
        ctx.launch_sleeper()?;
        let ps = tool.on_path(ctx.oci(&["ps", &ctx.id]))?;
        ps.wrapped(&hostile).run()?
    } else {
        let home = with_two_ids(ctx)?;
        let create = tool.on_path(home.making(ctx, &["create"])?)?;
        create.wrapped(&hostile).run()?
    };
    done.refuses(&["exit status"])?;
    let seen = fs::read_to_string(&tool.file)?;
    let nothing = "0000000000000000";
    let want = format!("SigBlk:\t{nothing}\nSigIgn:\t{nothing}\n0\n1\n10\n2\n");
    equal("signals and descriptors", seen, want)
}

fn ps_dies(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let tool = Tool::new(ctx, "ps", HANG)?;
    for signal in [Signal::TERM, Signal::KILL] {
        let _ = fs::remove_file(&tool.file);
        let running = tool.on_path(ctx.oci(&["ps", &ctx.id]))?.spawn()?;
        let pid = tool.pid()?;
        running.signal(signal)?;
        running.wait()?;
        check!(wait_for_exit(pid, Duration::from_secs(1))?, "ps goes on");
    }
    Ok(())
}

/// Opening a FIFO waits for a reader, unless asked otherwise.
fn hook_output(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["pause"]);
    let fifo = ctx.dir.join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0)?;
    let path = text(&fifo)?.to_owned();
    bundle.set("/annotations", json!({"run.oci.hooks.stdout": path}));
    super::hooks::add(
        &mut bundle,
        "createRuntime",
        super::hooks::hook("echo words"),
    );
    let create = ctx.with_bundle("create", &[], &bundle)?.checked(false);
    create.run()?.refuses(&["no such device or address"])?;
    ctx.expect_nothing_left()
}
