//! seccomp and the security modules.

use super::look::{fails, limited, read, works};
use crate::diagnose::finding::Finding;
use crate::host::{labels, seal};
use kan_plan::AppArmor;
use kan_sys::Errno;

pub(super) fn examine() -> Vec<Finding> {
    vec![seccomp(), modules(), own_binary()]
}

fn seccomp() -> Finding {
    match read("/proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) => works("seccomp", actions),
        None => limited("seccomp", "the kernel has none")
            .advise("use a kernel with CONFIG_SECCOMP_FILTER, or configs without linux.seccomp"),
    }
}

fn modules() -> Finding {
    let mut active = Vec::new();
    match labels::apparmor() {
        AppArmor::Absent => {}
        AppArmor::Confined => active.push("AppArmor (kan is under a profile itself)"),
        AppArmor::Unconfined => active.push("AppArmor"),
    }
    if labels::selinux() {
        active.push("SELinux");
    }
    if active.is_empty() {
        return limited("security modules", "neither AppArmor nor SELinux")
            .advise("configs with their labels are refused; for others nothing is missing");
    }
    works("security modules", active.join(", "))
}

/// How kan's own binary is kept from containers: docs/protocol.md.
fn own_binary() -> Finding {
    match seal::clone_own_mount() {
        Ok(_) => works("seal", "a read-only mount of kan's binary"),
        Err(error) if error.errno != Errno::EPERM => fails("seal", error.to_string()).advise(
            "commands that start processes fail: kan cannot keep its binary from containers",
        ),
        Err(error) => limited("seal", format!("a copy in memory: {error}"))
            .advise("as safe, and a little slower: cloning mounts takes CAP_SYS_ADMIN"),
    }
}
