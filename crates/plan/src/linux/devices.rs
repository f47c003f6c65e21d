//! `linux.devices` and the default devices: config-linux.md, Devices, Default Devices; and the
//! links of runtime-linux.md, Dev symbolic links.

use crate::builder::Builder;
use crate::linux::user_namespace;
use crate::mounts::destination;
use kan_op::init::{MountPoint, NodeKind, TreeSource};
use kan_op::{InitStep, Slot};
use kan_spec::config::{Device, DeviceType};

/// The devices of config-linux.md, Default Devices: path and minor or major number.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links of runtime-linux.md.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Init: nodes and links. A /dev that is bound from elsewhere has its own.
pub(crate) fn make(b: &mut Builder<'_>) {
    if has_foreign_dev(b) {
        return;
    }
    let devices = b.linux().map_or(&[][..], |linux| &linux.devices);
    for (path, major, minor) in DEFAULTS {
        if !devices.iter().any(|device| tidied(&device.path) == path) {
            let kind = NodeKind::Character { major, minor };
            place(b, "", path, kind, (0o666, 0, 0));
        }
    }
    for (index, device) in devices.iter().enumerate() {
        node(b, &format!("linux.devices[{index}]"), device);
    }
    for (path, target) in LINKS {
        link(b, path, target, false);
    }
    link(b, "/dev/ptmx", "pts/ptmx", true);
}

/// Whether a device or a link is made below a directory, whose path ends in a slash.
pub(crate) fn any_below(b: &Builder<'_>, directory: &str) -> bool {
    let devices = b.linux().map_or(&[][..], |linux| &linux.devices);
    let mut all = devices.iter().map(|device| device.path.as_str());
    let is_default = !has_foreign_dev(b) && "/dev/".starts_with(directory);
    is_default || all.any(|path| path.starts_with(directory))
}

/// runc's rule: a bind mount on /dev means that its maker takes care of it.
fn has_foreign_dev(b: &Builder<'_>) -> bool {
    b.config.mounts.iter().any(|mount| {
        let is_bind = mount.r#type.as_deref() == Some("bind")
            || mount
                .options
                .iter()
                .any(|option| option == "bind" || option == "rbind");
        is_bind && destination::parts(&destination::inside(b, mount)).eq(["dev"])
    })
}

fn link(b: &mut Builder<'_>, path: &str, target: &str, replace: bool) {
    let at = b.root_path("", path);
    let target = b.c_string("", target);
    b.init(
        "",
        InitStep::MakeLink {
            at,
            target,
            replace,
        },
    );
}

fn node(b: &mut Builder<'_>, at: &str, device: &Device) {
    let Some(kind) = kind(b, at, device) else {
        return;
    };
    let mode = device.file_mode.unwrap_or(0o666) & 0o7777;
    let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
    let path = tidied(&device.path);
    if path.is_empty() {
        return b.problem(format!("{at}.path"), "a device can't be the root directory");
    }
    place(b, at, &path, kind, (mode, uid, gid));
}

/// The path without what means nothing in it: a slash at its end would ask for a directory.
fn tidied(path: &str) -> String {
    let names = destination::parts(path);
    names.fold(String::new(), |all, name| all + "/" + name)
}

/// A node of its own, or where mknod(2) is not permitted, inside a user namespace, the host's.
fn place(
    b: &mut Builder<'_>,
    at: &str,
    path: &str,
    kind: NodeKind,
    (mode, uid, gid): (u32, u32, u32),
) {
    let inside = b.root_path(at, path);
    let is_permitted = !user_namespace::is_used(b) && !b.facts.is_rootless;
    if is_permitted || kind == NodeKind::Fifo {
        let step = InitStep::MakeNode {
            at: inside,
            kind,
            mode,
            uid,
            gid,
        };
        return b.init(at.to_owned(), step);
    }
    let source = TreeSource::Host(b.c_string(at, path));
    b.init(
        at.to_owned(),
        InitStep::CloneTree {
            out: Slot::Tree,
            source,
            recursive: false,
        },
    );
    let point = MountPoint::Any;
    b.init(
        at.to_owned(),
        InitStep::Attach {
            tree: Slot::Tree,
            at: inside,
            point,
        },
    );
}

fn kind(b: &mut Builder<'_>, at: &str, device: &Device) -> Option<NodeKind> {
    let (Ok(major), Ok(minor)) = (u32::try_from(device.major), u32::try_from(device.minor)) else {
        b.problem(format!("{at}.major"), "a device number is not negative");
        return None;
    };
    if major >= 1 << 12 || minor >= 1 << 20 {
        b.problem(
            format!("{at}.major"),
            "Linux has 12 bits for the major and 20 for the minor number",
        );
        return None;
    }
    Some(match device.r#type {
        DeviceType::Char | DeviceType::Unbuffered => NodeKind::Character { major, minor },
        DeviceType::Block => NodeKind::Block { major, minor },
        DeviceType::Fifo => NodeKind::Fifo,
    })
}
