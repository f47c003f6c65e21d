//! `linux.maskedPaths` and `linux.readonlyPaths`: config-linux.md.

use crate::builder::Builder;
use kan_op::{InitStep, Slot};
use std::ffi::CStr;

/// Init: what will cover masked paths. The empty file system is attached below the root's own
/// mount, because a mount can be copied only while it is attached (before Linux 6.15); it goes
/// when the host's root does.
pub(crate) fn prepare(b: &mut Builder<'_>, root: &CStr) {
    if b.linux().is_none_or(|linux| linux.masked_paths.is_empty()) {
        return;
    }
    const FIELD: &str = "linux.maskedPaths";
    b.init(FIELD, InitStep::OpenNull);
    let empty = crate::root::empty_filesystem(b);
    b.init(FIELD, empty);
    b.init(
        FIELD,
        InitStep::AttachOnHost {
            tree: Slot::Empty,
            at: root.into(),
        },
    );
}

/// Init: read-only paths, then masked ones. It happens while the host's /dev/null is in sight.
pub(crate) fn apply(b: &mut Builder<'_>) {
    let Some(linux) = b.linux() else { return };
    for (index, path) in linux.readonly_paths.iter().enumerate() {
        let at = format!("linux.readonlyPaths[{index}]");
        let path = b.root_path(&at, path);
        b.init(at, InitStep::LockPath { path });
    }
    let mut seen = Vec::new();
    for (index, path) in linux.masked_paths.iter().enumerate() {
        if !seen.contains(&path) {
            let at = format!("linux.maskedPaths[{index}]");
            let masked = b.root_path(&at, path);
            b.init(at, InitStep::MaskPath { path: masked });
        }
        seen.push(path);
    }
    if !linux.masked_paths.is_empty() {
        b.init("linux.maskedPaths", InitStep::Close(Slot::Null));
        b.init("linux.maskedPaths", InitStep::Close(Slot::Empty));
    }
}
