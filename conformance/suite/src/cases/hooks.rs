//! config.md, POSIX-platform hooks: when they run, where, and what they are given.

use std::fs;
use std::path::Path;

use super::streams::LEAKY;
use crate::harness::bundle::read;
use crate::harness::config::mount;
use crate::harness::container::text;
use crate::harness::prelude::*;
use crate::harness::report::Report;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hooks::run_in_order", run_in_order).lacks("crun 1.8", "an order of startContainer and poststart hooks", "after start").deviates("runc 1.1", "config.md, Poststart: called after the program is executed; runc calls it within create", "poststart0 poststart1\", want"),
        Case::new("hooks::run_with_run", run_with_run).lacks("crun 1.8", "an order of startContainer and poststart hooks", "hooks: got").deviates("runc 1.1", "config.md, Poststart: called after the program is executed; runc calls it within create", "\"poststart\", \"startContainer\""),
        Case::new("hooks::namespaces", namespaces),
        Case::new("hooks::state_on_stdin", state_on_stdin).deviates("crun 1.8", "runtime.md, State: the environment is being created when prestart hooks run", "status for prestart: got String(\"created\")").deviates("runc 1.1", "config.md, Poststart: called after the program is executed; runc calls it within create", "status for poststart: got String(\"created\")"),
        Case::new(
            "hooks::arguments_and_environment",
            arguments_and_environment,
        ),
        Case::new("hooks::environment_of_start_container", environment_inside),
        Case::new("hooks::descriptors", descriptors).deviates("runc 1.1", "CVE-2024-21626's class: no descriptor of the runtime may reach what runs inside", "descriptors of createContainer"),
        Case::new("hooks::descriptors_outside", descriptors_outside),
        Case::new("hooks::under_the_filter", under_the_filter),
        Case::new("hooks::output_in_files", output_in_files).lacks("runc 1.1", "the annotations", "No such file"),
        Case::new("hooks::stdin_need_not_be_read", stdin_need_not_be_read).lacks("crun 1.8", "hooks that do not read their state", "want exit code 0"),
        Case::new(
            "hooks::output_is_not_the_runtimes",
            output_is_not_the_runtimes,
        ).lacks("kan", "a place for the output of hooks inside", "stdout of create: got \"from a hook"),
        Case::new("hooks::many_words_on_stderr_inside", many_words_inside).lacks("kan", "a reader of what hooks say inside", "hook ran past specified timeout"),
        Case::new("hooks::many_words_on_stderr", many_words_on_stderr).lacks("kan", "a reader of what hooks say", "hook ran past specified timeout"),
        Case::new(
            "hooks::mount_from_create_runtime",
            mount_from_create_runtime,
        ),
        Case::new(
            "hooks::mount_from_create_container",
            mount_from_create_container,
        ),
        Case::new(
            "hooks::start_container_is_the_process",
            start_container_is_the_process,
        ),
    ]
}

/// All kinds, in the order in which they run.
pub const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// A shell that runs a script after it has read the state. Its path is the same on the host and
/// inside.
pub fn hook(script: &str) -> Value {
    shell(&format!("cat >/dev/null; {script}"))
}

/// The same with the state still to be read.
pub fn shell(script: &str) -> Value {
    json!({
        "path": "/bin/sh",
        "args": ["sh", "-c", script],
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
    })
}

/// Adds a hook.
pub fn add(bundle: &mut Bundle, kind: &str, hook: Value) {
    bundle.set(&format!("/hooks/{kind}/-"), hook);
}

/// A bundle that sees the case's directory under the same path as the host, so that all hooks
/// can write to the same files; and that directory.
fn bundle_with_shared(ctx: &Ctx) -> Result<(Bundle, String), Fault> {
    ctx.need_busybox()?;
    let shared = ctx.dir.join("shared");
    fs::create_dir(&shared)?;
    let mut bundle = ctx.bundle()?;
    let path = text(&shared)?.to_owned();
    let mut entry = mount(&path, "bind", &["rbind", "rw"]);
    entry["source"] = json!(path);
    bundle.set("/mounts/-", entry);
    Ok((bundle, path))
}

/// Creates, starts, ends and deletes a container.
fn live(ctx: &Ctx, bundle: &mut Bundle) -> Outcome {
    bundle.probe(&["sleep"]);
    ctx.launch(bundle)?.wait_for("ready")?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    ctx.delete()
}

/// "Hooks MUST be called in the listed order."
fn run_in_order(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    for kind in KINDS {
        for index in 0..2 {
            let script = format!("echo {kind}{index} >>{shared}/log");
            add(&mut bundle, kind, hook(&script));
        }
    }
    bundle.shell(&format!("echo program >>{shared}/log; exec /probe sleep"));
    let log = Path::new(&shared).join("log");
    let created = ctx.create(&bundle)?;
    let before =
        "prestart0 prestart1 createRuntime0 createRuntime1 createContainer0 createContainer1";
    equal("after create", words(&log)?.join(" "), before)?;
    ctx.start()?;
    created.wait_for("ready")?;
    let mut said = words(&log)?;
    let program = said.iter().position(|word| word == "program");
    check!(
        program >= Some(8),
        "the program ran before the hooks: {said:?}"
    );
    said.retain(|word| word != "program");
    let started = "startContainer0 startContainer1 poststart0 poststart1";
    equal("after start", said[6..].join(" "), started)?;
    ctx.kill("TERM")?.ok()?;
    ctx.wait_stopped()?;
    equal("before delete", words(&log)?.len(), 11)?;
    ctx.delete()?;
    equal(
        "after delete",
        words(&log)?[11..].join(" "),
        "poststop0 poststop1",
    )
}

/// The lines of a file.
fn words(file: &Path) -> Result<Vec<String>, Fault> {
    Ok(read(file)?.lines().map(str::to_owned).collect())
}

fn run_with_run(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    for kind in KINDS {
        add(
            &mut bundle,
            kind,
            hook(&format!("echo {kind} >>{shared}/log")),
        );
    }
    bundle.probe(&["exit", "0"]);
    // Where the program ends at once, the hooks after it run all the same.
    let done = ctx.run(&bundle)?;
    done.ok()?;
    equal("hooks", words(&Path::new(&shared).join("log"))?, KINDS)
}

/// Adds a hook of each kind that writes the probe's report to a file, and answers the reports
/// after a container's life. The container's init is between the two.
fn reports_of_hooks(
    ctx: &Ctx,
    (bundle, shared): (&mut Bundle, &str),
    env: Option<Value>,
) -> Result<(Vec<String>, Vec<Report>), Fault> {
    let probe = format!("{shared}/probe");
    fs::hard_link(bundle.inside("probe"), &probe)?;
    for kind in KINDS {
        let args = [
            "a name",
            "report-to",
            &format!("{shared}/{kind}"),
            "two words",
            "",
        ];
        let mut hook = json!({"path": probe, "args": args});
        if let Some(env) = &env {
            hook["env"] = env.clone();
        }
        add(bundle, kind, hook);
    }
    bundle.probe(&["sleep"]);
    let created = ctx.with_bundle("create", &[], bundle)?.wrapped(LEAKY);
    let created = created.run()?.ok()?;
    ctx.oci(&["start", &ctx.id]).wrapped(LEAKY).run()?.ok()?;
    created.wait_for("ready")?;
    let inside = namespaces_of(&ctx.pid()?.to_string())?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    let reports = KINDS.map(|kind| Report::parse(&read(&Path::new(shared).join(kind))?));
    Ok((inside, reports.into_iter().collect::<Result<_, _>>()?))
}

/// The namespaces of which containers have their own, but for the mount namespace: where the view
/// of the cgroups is a private one, the runtime's is not the suite's.
const NAMESPACES: [&str; 5] = ["pid", "pid_for_children", "net", "ipc", "uts"];

/// The inodes of a process's namespaces, `kind:[inode]`.
fn namespaces_of(pid: &str) -> Result<Vec<String>, Fault> {
    let link = |kind| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    let names = NAMESPACES.map(|kind| link(kind).map(|l| l.to_string_lossy().into_owned()));
    Ok(names.into_iter().collect::<Result<_, _>>()?)
}

/// createContainer and startContainer belong to the container's namespaces, the others to the
/// runtime's; and so do their children.
fn namespaces(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    let (inside, reports) = reports_of_hooks(ctx, (&mut bundle, &shared), None)?;
    let host = namespaces_of("self")?;
    let mounts = reports[0].at("/namespaces/mnt");
    for (kind, report) in KINDS.into_iter().zip(&reports) {
        let entered = matches!(kind, "createContainer" | "startContainer");
        let name = |n| format!("{}:[{}]", n, report.at(&format!("/namespaces/{n}")));
        let seen = NAMESPACES.map(|n| name(n).replace("_for_children:", ":"));
        equal(kind, &seen[..], if entered { &inside } else { &host })?;
        let own = report.at("/namespaces/mnt");
        check!(entered == (own != mounts), "{kind}: mount namespace {own}");
    }
    Ok(())
}

/// "The state of the container MUST be passed to hooks over stdin."
fn state_on_stdin(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    for kind in KINDS {
        add(&mut bundle, kind, shell(&format!("cat >{shared}/{kind}")));
    }
    bundle
        .probe(&["sleep"])
        .set("/annotations/test.key", json!("with \"quotes\" and\nlines"));
    ctx.launch(&bundle)?.wait_for("ready")?;
    let pid = ctx.pid()?;
    ctx.verb(&["delete", "--force"])?.ok()?;
    let statuses = [
        "creating", "creating", "creating", "created", "running", "stopped",
    ];
    // Inside it is PID 1; a stopped container has no process.
    let pids = [Some(pid), Some(pid), Some(1), Some(1), Some(pid), None];
    for ((kind, status), pid) in KINDS.into_iter().zip(statuses).zip(pids) {
        let state: Value = serde_json::from_str(&read(&Path::new(&shared).join(kind))?)?;
        let about = |key: &str| format!("{key} for {kind}");
        equal(&about("status"), &state["status"], status)?;
        equal(&about("id"), state["id"].as_str(), Some(&*ctx.id))?;
        equal(
            &about("bundle"),
            state["bundle"].as_str(),
            Some(text(&bundle.dir)?),
        )?;
        equal(
            &about("annotation"),
            &state["annotations"]["test.key"],
            "with \"quotes\" and\nlines",
        )?;
        check!(state["ociVersion"].is_string(), "{kind}: no ociVersion");
        if let Some(pid) = pid {
            equal(&about("pid"), &state["pid"], pid)?;
        }
    }
    Ok(())
}

/// `args` "with the same semantics as IEEE Std 1003.1-2008 execv's argv": the first is the name.
fn arguments_and_environment(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    let env = json!(["ONE=1=1", "EMPTY=", "TWO=two words"]);
    let (_, reports) = reports_of_hooks(ctx, (&mut bundle, &shared), Some(env.clone()))?;
    for (kind, report) in KINDS.into_iter().zip(&reports) {
        let argv = report.strings("/argv");
        equal(kind, &argv[..2], ["a name", "report-to"])?;
        equal(kind, &argv[3..], ["two words", ""])?;
        let mut got = report.strings("/env");
        got.sort_unstable();
        let want = ["EMPTY=", "ONE=1=1", "TWO=two words"];
        equal(&format!("environment of {kind}"), got, want)?;
    }
    Ok(())
}

/// Without `env` in the config it is that of the process.
fn environment_inside(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    bundle.set("/process/env/-", json!("FROM=config"));
    let (_, reports) = reports_of_hooks(ctx, (&mut bundle, &shared), None)?;
    let env = reports[3].strings("/env");
    check!(env.contains(&"FROM=config"), "environment: {env:?}");
    Ok(())
}

/// CVE-2024-21626's class: what the caller leaks is no business of what runs inside.
fn descriptors(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    let (_, reports) = reports_of_hooks(ctx, (&mut bundle, &shared), None)?;
    for index in [2, 3] {
        let what = format!("descriptors of {}", KINDS[index]);
        equal(&what, reports[index].open_fds(), [0, 1, 2])?;
    }
    Ok(())
}

/// A hook that ends at once while the runtime writes more than a pipe holds.
fn stdin_need_not_be_read(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    bundle.set("/annotations/long", json!("x".repeat(100_000)));
    for kind in KINDS {
        add(&mut bundle, kind, json!({"path": "/bin/true"}));
    }
    live(ctx, &mut bundle)
}

fn output_is_not_the_runtimes(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    for kind in KINDS.into_iter().filter(|kind| *kind != "startContainer") {
        add(
            &mut bundle,
            kind,
            hook("echo from a hook; echo error of a hook >&2"),
        );
    }
    bundle.probe(&["exit", "0"]);
    let created = ctx.create(&bundle)?;
    equal("stdout of create", created.stdout.as_str(), "")?;
    equal(
        "stdout of start",
        ctx.verb(&["start"])?.ok()?.stdout.as_str(),
        "",
    )?;
    ctx.wait_stopped()?;
    equal(
        "stdout of delete",
        ctx.verb(&["delete"])?.ok()?.stdout.as_str(),
        "",
    )
}

/// More than a pipe holds: a runtime that reads only afterwards waits for ever.
fn expect_patience(ctx: &Ctx, kind: &str) -> Outcome {
    let mut bundle = ctx.bundle_named(kind)?;
    let mut talkative = hook("head -c 200000 /dev/zero >&2");
    talkative["timeout"] = json!(3);
    add(&mut bundle, kind, talkative);
    live(ctx, &mut bundle)
}

fn many_words_on_stderr(ctx: &mut Ctx) -> Outcome {
    for kind in ["prestart", "createRuntime", "poststart"] {
        expect_patience(ctx, kind)?;
    }
    Ok(())
}

fn many_words_inside(ctx: &mut Ctx) -> Outcome {
    expect_patience(ctx, "createContainer")
}

/// Fails unless the container has a tmpfs on /hooked, and the host none on what is beneath.
fn expect_hooked(ctx: &Ctx, bundle: &mut Bundle) -> Outcome {
    let report = ctx.report(bundle)?;
    equal("fstype", &report.mount("/hooked")?["fstype"], "tmpfs")?;
    ctx.expect_nothing_left()
}

/// As hooks for graphics cards do: into the container's mount namespace, by the path of the root
/// on the host, before pivot_root.
fn mount_from_create_runtime(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir(bundle.inside("hooked"))?;
    let root = bundle.rootfs();
    let script = format!(
        "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/') && \
         nsenter --target $pid --mount mount -t tmpfs hooked {}/hooked",
        text(&root)?
    );
    add(&mut bundle, "createRuntime", shell(&script));
    expect_hooked(ctx, &mut bundle)
}

fn mount_from_create_container(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    fs::create_dir(bundle.inside("hooked"))?;
    let root = bundle.rootfs();
    let script = format!("mount -t tmpfs hooked {}/hooked", text(&root)?);
    add(&mut bundle, "createContainer", hook(&script));
    expect_hooked(ctx, &mut bundle)
}

/// "MUST be executed as part of the start operation … after the container environment has been
/// created", in the process's root.
fn start_container_is_the_process(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    add(&mut bundle, "startContainer", hook("/probe report >/seen"));
    let own = ctx.report(&mut bundle)?;
    let seen = Report::parse(&bundle.read("seen")?)?;
    for pointer in ["/root", "/hostname", "/namespaces", "/cgroups"] {
        seen.expect(pointer, own.at(pointer))?;
    }
    equal(
        "mounts",
        seen.at("/mounts").as_array().map(Vec::len),
        own.at("/mounts").as_array().map(Vec::len),
    )
}

/// The same for hooks in the runtime's namespaces.
fn descriptors_outside(ctx: &mut Ctx) -> Outcome {
    let (mut bundle, shared) = bundle_with_shared(ctx)?;
    let (_, reports) = reports_of_hooks(ctx, (&mut bundle, &shared), None)?;
    for index in [0, 1, 4] {
        let what = format!("descriptors of {}", KINDS[index]);
        equal(&what, reports[index].open_fds(), [0, 1, 2])?;
    }
    Ok(())
}

/// A startContainer hook runs under the container's filter, and a profile that knows no clone3(2),
/// as those of engines answer, does not keep it from running.
fn under_the_filter(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    for no_new_privileges in [true, false] {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 123},
            ],
        });
        bundle
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .set("/linux/seccomp", profile)
            .remove("/hooks");
        add(
            &mut bundle,
            "startContainer",
            hook("mkdir /made 2>/seen; true"),
        );
        bundle.probe(&["exit", "4"]);
        ctx.run(&bundle)?.exits(4)?;
        let seen = bundle.read("seen")?;
        check!(seen.contains("No medium found"), "the hook's mkdir: {seen}");
    }
    Ok(())
}

/// crun's annotations, which engines set: what hooks say is added to files.
fn output_in_files(ctx: &mut Ctx) -> Outcome {
    let mut bundle = ctx.bundle()?;
    ctx.need_busybox()?;
    let (out, err) = (ctx.dir.join("hooks.out"), ctx.dir.join("hooks.err"));
    bundle.set(
        "/annotations",
        json!({"run.oci.hooks.stdout": text(&out)?, "run.oci.hooks.stderr": text(&err)?}),
    );
    let kinds = ["prestart", "createRuntime", "createContainer", "poststart"];
    for kind in kinds {
        add(
            &mut bundle,
            kind,
            hook(&format!("echo {kind}; echo no {kind} >&2")),
        );
    }
    live(ctx, &mut bundle)?;
    equal("stdout", words(&out)?, kinds)?;
    equal(
        "stderr",
        words(&err)?,
        kinds.map(|kind| format!("no {kind}")),
    )?;
    // A place that can't be written to is an error, with nothing left.
    bundle.set(
        "/annotations",
        json!({"run.oci.hooks.stderr": "/nowhere/file"}),
    );
    ctx.try_create(&bundle)?.refuses(&["/nowhere/file"])?;
    ctx.expect_nothing_left()
}
