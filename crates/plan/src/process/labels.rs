//! `process.apparmorProfile`, `process.selinuxLabel`, `linux.mountLabel`: config.md, Linux process; proc_pid_attr(5).

use crate::builder::Builder;
use crate::{AppArmor, annotations};
use kan_op::InitStep;
use kan_op::init::Parameter;
use std::ffi::CStr;

/// Init: what the next execve(2) switches to, hooks of startContainer included. Written while the
/// host's /proc is in sight, so that no container can put a file in its place (CVE-2019-16884).
pub(crate) fn of_program(b: &mut Builder<'_>) {
    if let Some(value) = apparmor(b) {
        write(
            b,
            "process.apparmorProfile",
            c"self/attr/apparmor/exec",
            &value,
        );
    }
    if let Some(label) = selinux(b) {
        write(b, "process.selinuxLabel", c"self/attr/exec", label);
    }
}

/// Init: the session keyring belongs to the label too, as in runc.
pub(crate) fn of_keyring(b: &mut Builder<'_>, make: InitStep) {
    let Some(label) = selinux(b).filter(|_| b.facts.selinux) else {
        return b.init("", make);
    };
    write(b, "process.selinuxLabel", c"self/attr/keycreate", label);
    b.init("", make);
    write(b, "process.selinuxLabel", c"self/attr/keycreate", "\n");
}

fn write(b: &mut Builder<'_>, field: &'static str, file: &std::ffi::CStr, value: &str) {
    let value = b.c_string(field, value);
    let file = file.into();
    b.init(field, InitStep::WriteProc { file, value });
}

/// Under no_new_privs the kernel lets a confined process only add to its confinement, so the
/// profile is stacked on the present one then (Documentation/admin-guide/LSM/apparmor.rst).
fn apparmor(b: &mut Builder<'_>) -> Option<String> {
    let process = b.process()?;
    let profile = process.apparmor_profile.as_deref()?;
    let verb = match b.facts.apparmor {
        AppArmor::Absent => {
            let why = "unable to apply apparmor profile: AppArmor is not enabled on this host";
            b.problem("process.apparmorProfile", why);
            return None;
        }
        AppArmor::Confined if process.no_new_privileges => "stack",
        AppArmor::Confined | AppArmor::Unconfined => "exec",
    };
    Some(format!("{verb} {profile}"))
}

fn selinux<'a>(b: &mut Builder<'a>) -> Option<&'a str> {
    b.process()?.selinux_label.as_deref()
}

/// The host can't honour a label; runc's words. Without SELinux a file system refuses that of
/// mounts as an unknown option.
pub(crate) fn check(b: &mut Builder<'_>) {
    let why = "selinux label is specified in config, but selinux is disabled or not supported";
    if selinux(b).is_some() && !b.facts.selinux {
        b.problem("process.selinuxLabel", why);
    }
    if mount_label(b).is_some() && !b.facts.selinux {
        b.problem("linux.mountLabel", why);
    }
    if let Some(kind) = annotations::value(b.config, annotations::MOUNT_CONTEXT_TYPE)
        && !CONTEXTS.contains(&kind)
    {
        let at = annotations::field(annotations::MOUNT_CONTEXT_TYPE);
        b.problem(at, format!("{kind:?} is none of {}", CONTEXTS.join(", ")));
    }
}

/// The options by which a mount gets a label: mount(8), context.
const CONTEXTS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

/// Whether a parameter of a new file system is one of them.
pub(crate) fn is_context(key: &CStr) -> bool {
    CONTEXTS
        .iter()
        .any(|kind| kind.as_bytes() == key.to_bytes())
}

fn mount_label<'a>(b: &Builder<'a>) -> Option<&'a str> {
    b.linux()?.mount_label.as_deref()
}

/// `linux.mountLabel` as an option of a new file system: key and value. procfs, sysfs and cgroups
/// are labelled by the policy alone, and the queues of an IPC namespace may be mounted already.
pub(crate) fn of_mount<'a>(b: &Builder<'a>, fstype: &str) -> Option<(&'a str, &'a str)> {
    if matches!(fstype, "proc" | "sysfs" | "cgroup" | "cgroup2" | "mqueue") {
        return None;
    }
    let label = mount_label(b)?;
    let kind = annotations::value(b.config, annotations::MOUNT_CONTEXT_TYPE);
    Some((kind.unwrap_or("context"), label))
}

/// The same as a parameter of fsconfig(2).
pub(crate) fn parameter(b: &mut Builder<'_>, fstype: &str) -> Option<Parameter> {
    let (key, label) = of_mount(b, fstype)?;
    Some(Parameter {
        key: b.c_string("linux.mountLabel", key),
        value: Some(b.c_string("linux.mountLabel", label)),
        option: None,
    })
}
