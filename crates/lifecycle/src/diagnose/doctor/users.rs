//! Privileges, user namespaces, subordinate ids: user_namespaces(7), subuid(5).

use super::look::{fails, in_path, limited, read, works};
use crate::diagnose::finding::Finding;
use kan_sys::credentials::effective_uid;

pub(super) fn examine() -> Vec<Finding> {
    let mut all = vec![privileges(), user_namespaces(), subordinate_ids()];
    all.extend(state_directory());
    all
}

/// Where a user's containers are, without `--root`.
fn state_directory() -> Option<Finding> {
    crate::state::store::lacks_runtime_directory().then(|| {
        limited("state directory", "XDG_RUNTIME_DIR is not set")
            .advise(crate::state::store::RUNTIME_DIRECTORY)
    })
}

/// What root needs for all of kan, capabilities(7).
const WANTED: [(u32, &str); 6] = [
    (0, "CAP_CHOWN"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (21, "CAP_SYS_ADMIN"),
    (24, "CAP_SYS_RESOURCE"),
    (27, "CAP_MKNOD"),
];

fn privileges() -> Finding {
    let about = "privileges";
    if effective_uid() != 0 {
        return limited(about, "not root").advise(
            "containers need a user namespace with mappings: kan spec --rootless writes such \
             a config",
        );
    }
    let status = read("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mask = mask.unwrap_or(0);
    let missing: Vec<_> = WANTED
        .iter()
        .filter(|(bit, _)| mask >> bit & 1 == 0)
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        return works(about, "root");
    }
    let found = format!("root without {}", missing.join(", "));
    match missing.as_slice() {
        ["CAP_SYS_RESOURCE"] => limited(about, found)
            .advise("limits and oom scores can't be raised above kan's own: ask for less"),
        _ => fails(about, found).advise("give kan these capabilities, or use a user namespace"),
    }
}

fn user_namespaces() -> Finding {
    let about = "user namespaces";
    let most = read("/proc/sys/user/max_user_namespaces");
    match most.as_deref() {
        None => return limited(about, "the kernel has none").advise("use one that has"),
        Some("0") => {
            return limited(about, "none may be created")
                .advise("sysctl user.max_user_namespaces=15000");
        }
        Some(_) => {}
    }
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return limited(about, "for root only").advise("sysctl kernel.unprivileged_userns_clone=1");
    }
    if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        return limited(about, "for root, and for programs that AppArmor lets")
            .advise("load an AppArmor profile for kan that has the rule `userns,`");
    }
    works(about, "for everybody")
}

/// Ids of users who are not root come from there, by newuidmap(1).
fn subordinate_ids() -> Finding {
    let about = "subordinate ids";
    let tools = ["newuidmap", "newgidmap"];
    let missing: Vec<_> = tools
        .into_iter()
        .filter(|name| in_path(name).is_none())
        .collect();
    if !missing.is_empty() {
        return limited(about, format!("{} not installed", missing.join(" and "))).advise(
            "install the package uidmap (shadow): without it a user who is not root maps one id",
        );
    }
    let uid = effective_uid().to_string();
    let names = read("/etc/passwd").unwrap_or_default();
    let name = names.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| uid.clone());
    let has = |file: &str| {
        let text = read(file).unwrap_or_default();
        text.lines().any(|line| {
            line.split(':')
                .next()
                .is_some_and(|user| user == name || user == uid)
        })
    };
    if has("/etc/subuid") && has("/etc/subgid") {
        return works(about, format!("user {name} has some"));
    }
    let advice = format!("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}");
    limited(about, format!("user {name} has none")).advise(if uid == "0" {
        "root needs none: configs name the ids".to_owned()
    } else {
        advice
    })
}
