//! `linux.sysctl`: config-linux.md, Sysctl; namespaces(7).

use crate::builder::Builder;
use kan_op::InitStep;
use kan_spec::config::NamespaceType;

/// System V IPC settings that belong to an IPC namespace, ipc_namespaces(7).
const IPC_KEYS: [&str; 7] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Init: each key, through the host's /proc, whose files follow the namespaces of who opens them.
pub(crate) fn write(b: &mut Builder<'_>) {
    let Some(linux) = b.linux() else { return };
    for (key, value) in &linux.sysctl {
        let at = format!("linux.sysctl.{key}");
        match namespace_of(key) {
            Some(kind) if b.has_namespace(kind) => {
                let file = b.c_string(&at, format!("sys/{}", path(key)));
                let value = b.c_string(&at, value.as_str());
                b.init(at, InitStep::WriteProc { file, value });
            }
            Some(kind) => {
                let kind = kind.name();
                b.problem(at, format!("needs a {kind} namespace in linux.namespaces"));
            }
            None => b.problem(at, "is not in a separate kernel namespace"),
        }
    }
}

/// The namespace that a key belongs to; any other key would change the host.
fn namespace_of(key: &str) -> Option<NamespaceType> {
    let dotted = key.replace('/', ".");
    if dotted
        .split('.')
        .any(|part| part.is_empty() || part == "..")
    {
        return None;
    }
    if IPC_KEYS.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        return Some(NamespaceType::Ipc);
    }
    match dotted.as_str() {
        "kernel.domainname" => Some(NamespaceType::Uts),
        _ if dotted.starts_with("kernel.shm_rmid_forced") => Some(NamespaceType::Ipc),
        _ if dotted.starts_with("net.") => Some(NamespaceType::Network),
        _ if dotted.starts_with("user.") => Some(NamespaceType::User),
        _ => None,
    }
}

/// sysctl(8): with `/` as separator names may hold dots, such as those of network devices.
fn path(key: &str) -> String {
    let first = key.find(['.', '/']).map(|at| &key[at..=at]);
    match first {
        Some("/") => key.to_owned(),
        _ => key.chars().map(swap).collect(),
    }
}

const fn swap(letter: char) -> char {
    match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_a_namespace_are_accepted() {
        assert_eq!(
            namespace_of("net.ipv4.ip_forward"),
            Some(NamespaceType::Network)
        );
        assert_eq!(
            namespace_of("net/ipv4/ip_forward"),
            Some(NamespaceType::Network)
        );
        assert_eq!(namespace_of("kernel.shmmax"), Some(NamespaceType::Ipc));
        for key in [
            "kernel.core_pattern",
            "vm.overcommit_memory",
            "net.../kernel",
            "net..x",
            "",
        ] {
            assert_eq!(namespace_of(key), None, "{key}");
        }
    }

    #[test]
    fn the_first_separator_tells_which_one_is_meant() {
        assert_eq!(
            path("net.ipv4.conf.eth0/1.forwarding"),
            "net/ipv4/conf/eth0.1/forwarding"
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.1/forwarding"),
            "net/ipv4/conf/eth0.1/forwarding"
        );
    }
}
