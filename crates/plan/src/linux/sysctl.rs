//! `linux.sysctl`: config-linux.md, Sysctl; namespaces(7).

use crate::builder::Builder;
use crate::linux::namespaces;
use kan_op::InitStep;

/// Init: each key, through the host's /proc, whose files follow the namespaces of who opens them.
/// That it belongs to a namespace of the container has been checked when config.json was read.
pub(crate) fn write(b: &mut Builder<'_>) {
    let Some(linux) = b.linux() else { return };
    for (key, value) in &linux.sysctl {
        let at = kan_spec::member("linux.sysctl", key);
        let path = path(key);
        if path.starts_with("net/") {
            namespaces::enter_network(b);
        }
        let file = b.c_string(&at, format!("sys/{path}"));
        let value = b.c_string(&at, value.as_str());
        b.init(at, InitStep::WriteProc { file, value });
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
