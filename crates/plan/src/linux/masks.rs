//! `linux.maskedPaths` and `linux.readonlyPaths`: config-linux.md.

use crate::builder::Builder;
use crate::hooks;
use crate::linux::namespaces;
use crate::mounts::destination;
use kan_op::init::{NewMount, Parameter};
use kan_op::{InitStep, Slot};
use linux_raw_sys::general::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use std::collections::HashSet;
use std::ffi::CStr;

/// No part of the config.
const NO_ROOT: &str = "/";

/// Init: what will cover masked paths. The empty file system is attached below the root's own
/// mount, because a mount can be copied only while it is attached (before Linux 6.15); it goes
/// when the host's root does.
pub(crate) fn prepare(b: &mut Builder<'_>, root: &CStr) {
    if b.linux().is_none_or(|linux| linux.masked_paths.is_empty()) {
        return;
    }
    const FIELD: &str = "linux.maskedPaths";
    b.init(FIELD, InitStep::OpenNull);
    let empty = empty_filesystem(b);
    b.init(FIELD, empty);
    b.init(
        FIELD,
        InitStep::AttachOnHost {
            tree: Slot::Empty,
            at: root.into(),
        },
    );
}

/// Init: those in /proc, after which only mounts in /sys follow: as much as can be done before the
/// network namespace is there. Hooks find all paths as they are in the root file system.
pub(crate) fn apply_early(b: &mut Builder<'_>) {
    if namespaces::makes_network_apart(b) && !hooks::any_before_pivot(b) {
        b.are_masks_begun = true;
        apply_to(b, is_in_proc);
    }
}

/// Init: read-only paths, then masked ones. It happens while the host's /dev/null is in sight.
pub(crate) fn apply(b: &mut Builder<'_>) {
    let is_begun = b.are_masks_begun;
    apply_to(b, |path| !(is_begun && is_in_proc(path)));
    if b.linux()
        .is_some_and(|linux| !linux.masked_paths.is_empty())
    {
        b.init("linux.maskedPaths", InitStep::Close(Slot::Null));
        b.init("linux.maskedPaths", InitStep::Close(Slot::Empty));
    }
}

fn is_in_proc(path: &str) -> bool {
    destination::parts(path).next() == Some("proc")
        && destination::parts(path).all(|part| part != "..")
}

fn apply_to(b: &mut Builder<'_>, is_wanted: impl Fn(&str) -> bool) {
    let Some(linux) = b.linux() else { return };
    for (index, path) in linux.readonly_paths.iter().enumerate() {
        if is_wanted(path) {
            let at = format!("linux.readonlyPaths[{index}]");
            let path = b.root_path(&at, path);
            b.init(at, InitStep::LockPath { path });
        }
    }
    let mut seen = HashSet::new();
    for (index, path) in linux.masked_paths.iter().enumerate() {
        if seen.insert(path) && is_wanted(path) {
            let at = format!("linux.maskedPaths[{index}]");
            let masked = b.root_path(&at, path);
            b.init(at, InitStep::MaskPath { path: masked });
        }
    }
}

/// The steps that make an empty, read-only file system, for masking directories.
fn empty_filesystem(b: &mut Builder<'_>) -> InitStep {
    let parameter = |key: &str, value: &str, b: &mut Builder<'_>| Parameter {
        key: b.c_string(NO_ROOT, key),
        value: Some(b.c_string(NO_ROOT, value)),
        option: None,
    };
    let mut parameters = vec![parameter("nr_inodes", "2", b), parameter("mode", "0755", b)];
    parameters.extend(crate::process::labels::parameter(b, "tmpfs"));
    InitStep::NewFilesystem(NewMount {
        parameters,
        attributes: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        ..NewMount::plain(Slot::Empty, c"tmpfs".into())
    })
}
