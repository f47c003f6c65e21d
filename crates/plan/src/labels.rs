//! `process.apparmorProfile`, `process.selinuxLabel`: config.md, Linux process; proc_pid_attr(5).

use crate::AppArmor;
use crate::builder::Builder;
use kan_op::InitStep;

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

/// The host can't honour a label; runc's words.
pub(crate) fn check(b: &mut Builder<'_>) {
    if selinux(b).is_some() && !b.facts.selinux {
        let why = "selinux label is specified in config, but selinux is disabled or not supported";
        b.problem("process.selinuxLabel", why);
    }
}
