//! Steps of mounts, devices and links in words.

use crate::words::format::{path, ranges, text};
use crate::words::names::{attribute_names, flag_list};
use kan_op::Slot;
use kan_op::host::{IdRanges, MappedIds, StagedTree};
use kan_op::init::{
    MountChange, MountPoint, MountTarget, NewMount, NodeKind, Parameter, RootPath, TreeSource,
};
use linux_raw_sys::general as raw;
use std::ffi::CStr;
use std::fmt::Write as _;

pub(crate) fn new_filesystem(new: &NewMount) -> String {
    let purpose = if new.out == Slot::Empty {
        ", for masking"
    } else {
        ""
    };
    let (data, flags) = (data(&new.parameters), attribute_names(new.attributes));
    let fstype = text(&new.fstype);
    let like = match &new.mode_of {
        Some(at) => format!(", with the mode of {}", path(at)),
        None => String::new(),
    };
    let or = match &new.instead {
        Some(instead) => format!(", or if not permitted clone {}", text(instead)),
        None => String::new(),
    };
    format!("new file system {fstype}{data}{flags}{like}{purpose}{or}")
}

pub(crate) fn by_path(fstype: &CStr, flags: u32, data: &CStr, at: &RootPath) -> String {
    let (data, at) = (text(data), path(at));
    let data = if data.is_empty() {
        data
    } else {
        format!(" ({data})")
    };
    let what = if flags & raw::MS_REMOUNT == 0 {
        format!("mount {}{data} at {at}", text(fstype))
    } else {
        format!("remount {at}{data}")
    };
    format!("{what}, flags {flags:#x}")
}

pub(crate) fn mount_point(point: MountPoint) -> &'static str {
    match point {
        MountPoint::Any | MountPoint::Directory => "",
        MountPoint::Ordinary => ", which must be an ordinary directory",
        MountPoint::Link => ", on the link itself if that is one",
        MountPoint::CopiedLink => ", or if it is a link create the same there",
    }
}

pub(crate) fn staged_tree(tree: &StagedTree) -> String {
    let below = if tree.recursive {
        ", with what is mounted below"
    } else {
        ""
    };
    let link = if tree.follow {
        ""
    } else {
        ", its last link not followed"
    };
    let mut all = format!(
        "stage the mount of {}{link}{below}, as {}",
        tree.source, tree.name
    );
    for change in &tree.changes {
        let _ = write!(all, "; {}", mount_change(*change));
    }
    match &tree.ids {
        None => {}
        Some(MappedIds { ranges: None, .. }) => all += "; ids as in the joined user namespace",
        Some(MappedIds {
            ranges: Some(ids), ..
        }) => {
            let _ = write!(all, "; {}", mappings(ids));
        }
    }
    all
}

pub(crate) fn mappings((uids, gids): &IdRanges) -> String {
    format!("users {}, groups {}", ranges(uids), ranges(gids))
}

fn data(parameters: &[Parameter]) -> String {
    let mut all = String::new();
    for (index, parameter) in parameters.iter().enumerate() {
        let separator = if index == 0 { " (" } else { "," };
        let _ = write!(all, "{separator}{}", parameter_text(parameter));
    }
    if all.is_empty() { all } else { all + ")" }
}

pub(crate) fn parameter_text(parameter: &Parameter) -> String {
    let key = text(&parameter.key);
    match &parameter.value {
        Some(value) => format!("{key}={}", text(value)),
        None => key,
    }
}

pub(crate) fn mount_target(target: &MountTarget) -> String {
    match target {
        MountTarget::HostRoot => "all mounts that init sees".into(),
        MountTarget::Holding(path) => format!("the mount that holds {}", text(path)),
        MountTarget::EnteredRoot => "the root".into(),
        MountTarget::Slot(Slot::Root) => "the root".into(),
        MountTarget::Slot(_) => "it".into(),
        MountTarget::Container(at) => format!("the mount at {}", path(at)),
    }
}

/// The options that ask for the opposite of what may be locked, or for another access time.
pub(crate) fn opposites(change: MountChange) -> String {
    const ACCESS_TIMES: u32 = raw::MOUNT_ATTR__ATIME | raw::MOUNT_ATTR_NODIRATIME;
    const OPPOSITES: [(u32, &str); 4] = [
        (raw::MOUNT_ATTR_RDONLY, "rw"),
        (raw::MOUNT_ATTR_NOSUID, "suid"),
        (raw::MOUNT_ATTR_NODEV, "dev"),
        (raw::MOUNT_ATTR_NOEXEC, "exec"),
    ];
    let asked = OPPOSITES
        .iter()
        .filter(|(flag, _)| change.clear & flag != 0);
    let mut names: Vec<_> = asked.map(|(_, name)| *name).collect();
    if (change.set | change.clear) & ACCESS_TIMES != 0 {
        names.push("access times");
    }
    names.join(", ")
}

pub(crate) fn mount_change(change: MountChange) -> String {
    let mut parts: Vec<String> = flag_list(change.set).into_iter().map(Into::into).collect();
    parts.extend(
        flag_list(change.clear)
            .into_iter()
            .map(|name| format!("not {name}")),
    );
    let unlocked = flag_list(change.clear_unlocked).join("/");
    if !unlocked.is_empty() {
        parts.push(format!("not {unlocked} unless locked"));
    }
    let propagation = match change.propagation {
        raw::MS_SHARED => "shared",
        raw::MS_SLAVE => "slave",
        raw::MS_PRIVATE => "private",
        raw::MS_UNBINDABLE => "unbindable",
        _ => "",
    };
    if !propagation.is_empty() {
        parts.push(propagation.into());
    }
    let below = if change.recursive {
        ", recursively"
    } else {
        ""
    };
    format!("{}{below}", parts.join(","))
}

pub(crate) fn tree_source(source: &TreeSource) -> String {
    match source {
        TreeSource::Host(path) => text(path),
        TreeSource::HostLink(path) => format!("{}, its last link not followed", text(path)),
        TreeSource::Staged(name) => format!("tree {} on the stage", text(name)),
        TreeSource::Container(at) => format!("{} in the container", path(at)),
        TreeSource::Slot(slot) => format!("{slot:?}"),
    }
}

pub(crate) fn node(kind: NodeKind) -> String {
    match kind {
        NodeKind::Character { major, minor } => format!("character device {major}:{minor}"),
        NodeKind::Block { major, minor } => format!("block device {major}:{minor}"),
        NodeKind::Fifo => "FIFO".into(),
    }
}
