//! runtime.md, "create": what is made, what is not run yet, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::harness::command::Done;
use crate::harness::container::{in_own_mounts, text};
use crate::harness::prelude::*;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("create::does_not_run_the_program", does_not_run_the_program),
        Case::new("create::config_is_read_once", config_is_read_once),
        Case::new("create::prints_nothing", prints_nothing),
        Case::new("create::taken_id_is_refused", taken_id_is_refused),
        Case::new(
            "create::taken_id_of_stopped_is_refused",
            taken_id_of_stopped_is_refused,
        ),
        Case::new(
            "create::bundle_is_the_current_directory",
            bundle_is_the_current_directory,
        ),
        Case::new("create::two_containers_are_apart", two_containers_are_apart),
        Case::new("create::options_after_the_id", options_after_the_id).deviates(
            "crun",
            "not in the spec; crun has its own command line",
            "requires a maximum of",
        ),
        Case::new("create::pid_file", pid_file),
        Case::new(
            "create::pid_file_is_relative_to_the_caller",
            pid_file_is_relative,
        )
        .deviates(
            "crun 1.8",
            "not in the spec; crun has its own command line",
            "No such file or directory",
        ),
        Case::new("create::bundle_missing", bundle_missing),
        Case::new("create::config_missing", config_missing),
        Case::new("create::config_is_no_json", config_is_no_json),
        Case::new("create::config_is_null", config_is_null).deviates(
            "runc 1.1",
            "config.md: the configuration is a JSON object; runc dereferences a nil pointer",
            "invalid memory address or nil pointer dereference",
        ),
        Case::new("create::root_missing", root_missing),
        Case::new("create::program_not_in_path", program_not_in_path),
        Case::new("create::program_missing", program_missing),
        Case::new("create::program_not_executable", program_not_executable),
        Case::new("create::program_is_a_directory", program_is_a_directory),
        Case::new("create::own_keyring", own_keyring),
        Case::new("create::no_pivot", no_pivot),
        Case::new(
            "create::no_pivot_hides_every_proc",
            no_pivot_hides_every_proc,
        )
        .deviates(
            "crun 1.8",
            "user_namespaces(7): none that would show more; runc's way, not in the spec",
            "got \"bare\"",
        ),
        Case::new("create::no_pivot_hides_the_hosts_proc", no_pivot_hides),
        Case::new(
            "create::same_directory_for_engines",
            same_directory_for_engines,
        ),
        Case::new("create::default_state_directory", default_state_directory),
    ]
}

fn does_not_run_the_program(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["touch", "/ran"]);
    ctx.create(&bundle)?;
    ctx.expect_status("created")?;
    // An absence can only be watched for a while.
    std::thread::sleep(Duration::from_millis(100));
    check!(
        !bundle.inside("ran").exists(),
        "the program ran before start"
    );
    ctx.start()?;
    ctx.wait_stopped()?;
    check!(
        bundle.inside("ran").exists(),
        "the program did not run after start"
    );
    Ok(())
}

/// "Any changes made to the config.json file after this operation will not have an effect on
/// the container."
fn config_is_read_once(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle
        .probe(&["write", "/out", "first"])
        .set("/annotations/test.key", json!("first"));
    ctx.create(&bundle)?;
    bundle
        .probe(&["write", "/out", "second"])
        .set("/annotations/test.key", json!("second"));
    bundle.save()?;
    ctx.start()?;
    ctx.wait_stopped()?;
    equal(
        "what the program wrote",
        bundle.read("out")?.as_str(),
        "first\n",
    )?;
    equal(
        "annotation",
        &ctx.state()?["annotations"]["test.key"],
        "first",
    )
}

fn prints_nothing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    let created = ctx.create(&bundle)?.quiet()?;
    equal("stdout of create", created.stdout.as_str(), "")?;
    let started = ctx.verb(&["start"])?.quiet()?;
    equal("stdout of start", started.stdout.as_str(), "")?;
    ctx.wait_stopped()?;
    let deleted = ctx.verb(&["delete"])?.quiet()?;
    equal("stdout of delete", deleted.stdout.as_str(), "")
}

/// "If the ID is not unique, create MUST generate an error and a new container MUST NOT be
/// created."
fn taken_id_is_refused(ctx: &mut Ctx) -> Outcome {
    ctx.launch_sleeper()?;
    let pid = ctx.pid()?;
    let second = ctx.bundle_named("second")?;
    ctx.try_create(&second)?
        .refuses(&["container with given ID already exists"])?;
    ctx.run(&second)?
        .refuses(&["container with given ID already exists"])?;
    equal("pid of the first", ctx.pid()?, pid)?;
    ctx.expect_status("running")
}

fn taken_id_of_stopped_is_refused(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["exit", "0"]);
    ctx.launch(&bundle)?;
    ctx.wait_stopped()?;
    ctx.try_create(&bundle)?
        .refuses(&["container with given ID already exists"])?;
    ctx.delete()?;
    ctx.create(&bundle).map(drop)
}

fn bundle_is_the_current_directory(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    bundle.save()?;
    ctx.oci(&["create", &ctx.id]).cwd(&bundle.dir).run()?.ok()?;
    let state = ctx.state()?;
    equal("bundle", state["bundle"].as_str(), Some(text(&bundle.dir)?))
}

/// Deleting one container leaves the other alone, also where they share a bundle.
fn two_containers_are_apart(ctx: &mut Ctx) -> Outcome {
    let second = ctx.another_id();
    let bundle = ctx.launch_sleeper()?;
    ctx.oci(&["run", "--detach", "--bundle"])
        .arg(&bundle.dir)
        .arg(&second)
        .run()?
        .ok()?;
    let pid = ctx.pid()?;
    ctx.oci(&["delete", "--force", &second]).run()?.ok()?;
    ctx.oci(&["state", &second])
        .run()?
        .refuses(&["container does not exist"])?;
    equal("pid of the other", ctx.pid()?, pid)?;
    ctx.expect_status("running")
}

fn options_after_the_id(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    bundle.save()?;
    let dir = text(&bundle.dir)?;
    ctx.oci(&["create", &ctx.id, "--bundle", dir, "--pid-file", "pid"])
        .run()?
        .ok()?;
    check!(
        ctx.dir.join("pid").exists(),
        "--pid-file after the id has no effect"
    );
    ctx.expect_status("created")
}

/// Decimal digits and nothing else: conmon and the containerd shim read it whole.
fn pid_file(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    let file = ctx.dir.join("the-pid");
    ctx.with_bundle("create", &["--pid-file", text(&file)?], &bundle)?
        .run()?
        .ok()?;
    let written = fs::read_to_string(&file)?;
    equal("pid file", written, ctx.pid()?.to_string())
}

fn pid_file_is_relative(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    let cwd = ctx.dir.join("elsewhere");
    fs::create_dir(&cwd)?;
    ctx.with_bundle("create", &["--pid-file", "pid"], &bundle)?
        .cwd(&cwd)
        .run()?
        .ok()?;
    equal(
        "pid file",
        fs::read_to_string(cwd.join("pid"))?,
        ctx.pid()?.to_string(),
    )
}

fn bundle_missing(ctx: &mut Ctx) -> Outcome {
    let gone = ctx.dir.join("nowhere");
    let done = ctx
        .oci(&["create", "--bundle"])
        .arg(gone)
        .arg(&ctx.id)
        .run()?;
    done.refuses(&["no such file or directory"])?;
    ctx.expect_nothing_left()
}

fn config_missing(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    let done = ctx
        .oci(&["create", "--bundle"])
        .arg(&bundle.dir)
        .arg(&ctx.id)
        .run()?;
    check!(
        done.stderr.contains("config.json"),
        "does not name the file: {}",
        done.stderr
    );
    done.refuses(&["not found"])?;
    ctx.expect_nothing_left()
}

fn config_is_no_json(ctx: &mut Ctx) -> Outcome {
    let bundle = ctx.bundle()?;
    for broken in ["", "{", "[]", "{\"ociVersion\": 1}"] {
        fs::write(bundle.dir.join("config.json"), broken)?;
        let done = ctx
            .oci(&["create", "--bundle"])
            .arg(&bundle.dir)
            .arg(&ctx.id)
            .run()?;
        done.refuses(&[""])?;
        ctx.expect_nothing_left()?;
    }
    Ok(())
}

fn config_is_null(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("", Value::Null);
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

fn root_missing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.set("/root/path", json!("nowhere"));
    ctx.try_create(&bundle)?.refuses(&[""])?;
    ctx.expect_nothing_left()
}

/// Creates a container of that program, which must be refused at once: at start it is too late
/// for the caller of `create`.
fn program_refused(ctx: &Ctx, bundle: &mut Bundle, program: &str, texts: &[&str]) -> Outcome {
    bundle.args(&[program]);
    ctx.try_create(bundle)?.refuses(texts)?;
    ctx.expect_nothing_left()?;
    ctx.run(bundle)?.refuses(texts)?;
    ctx.expect_nothing_left()
}

fn program_not_in_path(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let text = "exec: \"nosuch\": executable file not found in $PATH";
    program_refused(ctx, &mut bundle, "nosuch", &[text])
}

fn program_missing(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    let text = "exec: \"/nope\": stat /nope: no such file or directory";
    program_refused(ctx, &mut bundle, "/nope", &[text])
}

fn program_not_executable(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::write(bundle.inside("plain"), "text")?;
    fs::set_permissions(bundle.inside("plain"), fs::Permissions::from_mode(0o644))?;
    program_refused(ctx, &mut bundle, "/plain", &["permission denied"])
}

fn program_is_a_directory(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    // Go's words for a directory were those for a missing permission until runc 1.1.5.
    program_refused(
        ctx,
        &mut bundle,
        "/tmp",
        &["is a directory", "permission denied"],
    )
}

/// keyctl(2): a session keyring that is inherited would give the container the caller's keys.
fn own_keyring(ctx: &mut Ctx) -> Outcome {
    ctx.need_busybox()?;
    if !std::path::Path::new("/proc/keys").exists() {
        skip!("a kernel without /proc/keys");
    }
    let mut bundle = ctx.bundle()?;
    bundle.shell("cat /proc/keys").remove("/linux/maskedPaths");
    let keys = ctx.run(&bundle)?.ok()?.stdout;
    check!(keys.contains(&ctx.id), "keys: {keys}");
    let id = ctx.another_id();
    bundle.save()?;
    let run = [
        "run",
        "--no-new-keyring",
        "--bundle",
        text(&bundle.dir)?,
        &id,
    ];
    let keys = ctx.oci(&run).run()?.ok()?.stdout;
    check!(!keys.contains(&id), "a keyring of its own: {keys}");
    Ok(())
}

/// Without pivot_root the rootfs must still be the container's only world.
fn no_pivot(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["report"]);
    let done = ctx
        .with_bundle("run", &["--no-pivot"], &bundle)?
        .run()?
        .ok()?;
    let report = crate::harness::report::Report::parse(&done.stdout)?;
    report.expect("/cwd", &json!("/"))?;
    equal("/proc", &report.mount("/proc")?["fstype"], "proc")?;
    report.expect("/guarded/~1proc~1sys/read_only_mount", &json!(true))
}

/// A bundle whose program says `none` if it may not mount another /proc.
fn mounting_another_proc(ctx: &Ctx) -> Result<Bundle, Fault> {
    ctx.need_busybox()?;
    let mut bundle = ctx.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        let names = json!(["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETFCAP"]);
        bundle.set(&format!("/process/capabilities/{set}"), names);
    }
    bundle.shell(
        "busybox unshare -r true || echo no user namespace; \
         busybox unshare -r -m -p -f mount -t proc bare /tmp 2>/dev/null && echo bare || echo none",
    );
    Ok(bundle)
}

/// As the next, where the host has another procfs: that of a chroot, or of a container without a mount
/// namespace.
fn no_pivot_hides_every_proc(ctx: &mut Ctx) -> Outcome {
    let bundle = mounting_another_proc(ctx)?;
    let elsewhere = ctx.dir.join("proc");
    fs::create_dir(&elsewhere)?;
    let script = format!(
        "mount -t proc proc {} && exec \"$0\" \"$@\"",
        text(&elsewhere)?
    );
    let run = ctx.with_bundle("run", &["--no-pivot"], &bundle)?;
    let done = run.wrapped(&in_own_mounts(&script)).run()?.ok()?;
    equal("another /proc", done.stdout.trim_end(), "none")
}

/// The host's /proc lies below the root then. Whoever has one without masks in his mount namespace
/// may mount another in a user namespace of his own.
fn no_pivot_hides(ctx: &mut Ctx) -> Outcome {
    let host = fs::read_to_string("/proc/self/mountinfo")?;
    let bundle = mounting_another_proc(ctx)?;
    for option in [&[][..], &["--no-pivot"]] {
        let done = ctx.with_bundle("run", option, &bundle)?.run()?.ok()?;
        equal("another /proc", done.stdout.trim_end(), "none")?;
    }
    let now = fs::read_to_string("/proc/self/mountinfo")?;
    let has_proc = |table: &str| {
        table
            .lines()
            .filter(|line| line.contains(" /proc "))
            .count()
    };
    equal("/proc on the host", has_proc(&now), has_proc(&host))
}

/// Runs a script as `sh -c SCRIPT RUNTIME BUNDLE ID` with an empty /run of its own.
fn with_empty_run(ctx: &Ctx, script: &str) -> Result<Done, Fault> {
    let mut bundle = ctx.bundle()?;
    bundle.probe(&["sleep"]).save()?;
    let script = format!("mount -t tmpfs tmpfs /run && {script}");
    let runtime = text(&ctx.runtime().path)?;
    let argv = [&in_own_mounts(&script)[..], &[runtime]].concat();
    let cmd = ctx.command(&argv).arg(&bundle.dir).arg(&ctx.id);
    ctx.in_view(cmd).run()?.ok()
}

/// conmon creates with an XDG_RUNTIME_DIR, podman itself calls with an almost empty environment: for
/// root both mean one container.
fn same_directory_for_engines(ctx: &mut Ctx) -> Outcome {
    if !ctx.runtime().speaks_like_runc() {
        skip!("crun follows XDG_RUNTIME_DIR for root, too");
    }
    let script = "XDG_RUNTIME_DIR=\"$1\" _OCI_SYNCPIPE=3 \"$0\" create -b \"$1\" \"$2\" && \
                  env -i \"$0\" start \"$2\" && env -i \"$0\" state \"$2\" && \
                  env -i \"$0\" kill \"$2\" 9 && env -i \"$0\" delete --force \"$2\"";
    let done = with_empty_run(ctx, script)?;
    check!(
        done.stdout.contains("\"running\""),
        "state says: {}",
        done.stdout
    );
    equal("stderr", done.stderr.as_str(), "")
}

/// Without `--root` there is a default; it lies below /run, here in a private tmpfs.
fn default_state_directory(ctx: &mut Ctx) -> Outcome {
    let script = "\"$0\" create -b \"$1\" \"$2\" && \
                  \"$0\" start \"$2\" && \"$0\" state \"$2\" && ls -R /run >&2 && \
                  \"$0\" delete --force \"$2\"";
    let done = with_empty_run(ctx, script)?;
    check!(
        done.stdout.contains("\"running\""),
        "state says: {}",
        done.stdout
    );
    check!(
        done.stderr.contains(&ctx.id),
        "no state of the container below /run"
    );
    Ok(())
}
