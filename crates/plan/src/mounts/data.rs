//! The data of mount(2): how the kernel splits it into parameters, and the types that accept unknown
//! ones in silence.

/// Mount parameters of SELinux, whose values may be quoted: security/selinux/hooks.c, `tokens`. They
/// hold commas where a label has categories.
const LABELS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

/// Splits at commas as the kernel does: generic_parse_monolithic() of fs/fs_context.c, where LSMs first
/// take their quoted labels out, and ovl_next_opt() of fs/overlayfs/params.c, where a backslash keeps
/// the next character from separating. Empty parameters are dropped: podman 5 passes `""` for the tmpfs
/// mounts of containers with systemd.
pub(crate) fn split<'o>(data: &'o str, fstype: &str) -> Vec<&'o str> {
    let (mut all, mut start) = (Vec::new(), 0);
    let (mut is_escaped, mut is_quoted) = (false, false);
    for (at, letter) in data.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if fstype == "overlay" => is_escaped = true,
            '"' if is_label(data.get(start..at).unwrap_or_default()) => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                all.push(data.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(data.get(start..).unwrap_or_default());
    all.retain(|word| !word.is_empty());
    all
}

/// Whether a parameter, or its beginning, is a label with its value.
fn is_label(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| LABELS.contains(&name))
}

/// Name and value. fsconfig(2) takes a label without its quotes.
pub(crate) fn parameter(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) if LABELS.contains(&name) => {
            (name.to_owned(), Some(value.replace('"', "")))
        }
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

/// The parameter as mount(2) takes it.
pub(crate) fn join(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) if LABELS.contains(&name) => format!("{name}=\"{value}\""),
        Some(value) => format!("{name}={value}"),
        None => name.to_owned(),
    }
}

/// Whether mount(2) has to pass the value: fsconfig(2) takes 255 bytes, and where the kernel still
/// reads parameters in the old way, as overlay before Linux 6.5 does, no comma (legacy_parse_param() of
/// fs/fs_context.c).
pub(crate) fn takes_mount(name: &str, value: &str) -> bool {
    const LONGEST: usize = 255;
    value.len() > LONGEST || value.contains(',') && !LABELS.contains(&name)
}

/// Whether filesystems of a type pass over a parameter that they do not know, as ramfs, debugfs,
/// tracefs and bpf do: "We might like to report bad mount options here; but traditionally
/// ramfs has ignored all mount options" (fs/ramfs/inode.c). The filesystem's own flags and labels are
/// read before it sees them.
pub(crate) fn is_ignored(fstype: &str, name: &str) -> bool {
    let known: &[&str] = match fstype {
        "ramfs" => &["mode"],
        "debugfs" | "tracefs" => &["uid", "gid", "mode"],
        "bpf" => &[
            "uid",
            "gid",
            "mode",
            "delegate_cmds",
            "delegate_maps",
            "delegate_progs",
            "delegate_attachs",
        ],
        _ => return false,
    };
    let flags = ["sync", "dirsync", "lazytime", "mand", "ro", "rw"];
    let is_of_the_kernel = flags.contains(&name) || LABELS.contains(&name) || name == "seclabel";
    !known.contains(&name) && !is_of_the_kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_separate_as_in_mount_2() {
        let data = "lowerdir=/a,upperdir=/b";
        assert_eq!(split(data, "overlay"), ["lowerdir=/a", "upperdir=/b"]);
        let label = "context=\"u:r:t:s0:c1,c2\",size=1m";
        let parts = ["context=\"u:r:t:s0:c1,c2\"", "size=1m"];
        assert_eq!(split(label, "tmpfs"), parts);
        assert_eq!(
            parameter(parts[0]),
            ("context".into(), Some("u:r:t:s0:c1,c2".into()))
        );
        assert_eq!(join("context", Some("u:r:t:s0:c1,c2")), parts[0]);
        // A quote in any other value is a letter.
        assert_eq!(split("a=\"1,b=2\"", "tmpfs"), ["a=\"1", "b=2\""]);
    }

    #[test]
    fn a_backslash_escapes_in_overlay_alone() {
        let data = r"lowerdir=/a\,b:/c,upperdir=/u\\,workdir=/w";
        let parts = [r"lowerdir=/a\,b:/c", r"upperdir=/u\\", "workdir=/w"];
        assert_eq!(split(data, "overlay"), parts);
        assert_eq!(split(r"size=1\,mode=7", "tmpfs"), [r"size=1\", "mode=7"]);
        assert!(takes_mount("lowerdir", r"/a\,b") && !takes_mount("context", "s0:c1,c2"));
    }

    #[test]
    fn what_a_type_ignores_is_known() {
        assert!(is_ignored("ramfs", "size") && is_ignored("debugfs", "banana"));
        assert!(!is_ignored("ramfs", "mode") && !is_ignored("ramfs", "sync"));
        assert!(!is_ignored("tmpfs", "banana"));
    }
}
