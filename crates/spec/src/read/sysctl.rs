//! `linux.sysctl`: which parameters belong to a namespace (config-linux.md, Sysctl).

use crate::config::{Linux, NamespaceType};

/// The parameters of the IPC namespace beside `fs.mqueue.*` (kernel, ipc/ipc_sysctl.c).
const IPC: [&str; 11] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.msg_next_id",
    "kernel.sem_next_id",
    "kernel.shm_next_id",
];

/// Whether the parameter lies in a namespace that the container has of its own. Anything else
/// would change the host. That a joined network namespace is the host's own is not visible here.
pub fn namespaced(name: &str, linux: &Linux) -> Result<(), String> {
    let dotted = dotted(name);
    // The empty part would be no name, the other two would be `.` and `..` in the path.
    if dotted
        .split('.')
        .any(|part| matches!(part, "" | "/" | "//"))
    {
        return Err("is not the name of a kernel parameter".to_owned());
    }
    if dotted == "kernel.hostname" {
        return Err("conflicts with the field hostname".to_owned());
    }
    let kind = match owner(&dotted) {
        Some(kind) => kind,
        None => return Err("is not in a namespace of its own".to_owned()),
    };
    match linux.namespace(kind) {
        Some(_) => Ok(()),
        None => Err(format!("needs a namespace of type {kind}")),
    }
}

fn owner(dotted: &str) -> Option<NamespaceType> {
    match dotted {
        "kernel.domainname" => Some(NamespaceType::Uts),
        _ if dotted.starts_with("net.") => Some(NamespaceType::Network),
        _ if dotted.starts_with("user.") => Some(NamespaceType::User),
        _ if dotted.starts_with("fs.mqueue.") || IPC.contains(&dotted) => Some(NamespaceType::Ipc),
        _ => None,
    }
}

/// The name in its dotted form. sysctl(8) also takes slashes: whichever separator comes first in
/// the name decides, and the other one then stands for itself (`net/ipv4/conf/eno2.100/rp_filter`).
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(first) if name.as_bytes()[first] == b'/' => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}
