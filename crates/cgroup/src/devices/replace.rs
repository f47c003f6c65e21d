//! Other rules for a cgroup that is in use.

use std::collections::HashMap;
use std::path::Path;

use kan_op::host::{DeviceKind, DeviceRule};
use kan_sys::bpf;
use std::os::fd::OwnedFd;

use super::list::{Exception, List};
use super::rules::{MKNOD, Pattern, READ, WRITE};
use super::{DevicesError, NAME, failed, list, load, open, write_list};
use crate::error::{Error, Operation};
use crate::file;
use crate::locate::place::{Directory, Placement};
use crate::processes::freeze::{freeze, frozen, thaw};

/// Gives a cgroup other rules than it has. In v2 the new program takes the place of the old one
/// at once. In v1 what both lists allow is never denied and what both deny is never allowed: where
/// one of them allows everything the controller changes its default only from scratch, during
/// which the container is frozen, if this host can do that.
///
/// # Errors
/// As [`super::limit_devices`], and those of freezing.
pub fn replace_devices(placement: &Placement, rules: &[DeviceRule]) -> Result<(), DevicesError> {
    match (placement.v1("devices"), placement.directories()) {
        (Some(dir), _) => replace_list(placement, &dir.path(), rules),
        (None, []) => Ok(()),
        (None, [dir]) if dir.is_v2() => replace_filter(dir, rules),
        (None, _) => Err(DevicesError::NoController),
    }
}

fn replace_list(
    placement: &Placement,
    cgroup: &Path,
    rules: &[DeviceRule],
) -> Result<(), DevicesError> {
    let wanted = list::list(rules)?;
    let present = file::whole(rustix::fs::CWD, cgroup.join("devices.list"))
        .map_err(|errno| Error::call(Operation::Read, &cgroup.join("devices.list"), errno))?;
    let Some(present) = exceptions(&present).filter(|_| !wanted.allows) else {
        return while_frozen(placement, || write_list(cgroup, rules));
    };
    let List {
        exceptions: wanted, ..
    } = wanted;
    for (file, lines) in [
        ("devices.allow", missing(&wanted, &present)),
        ("devices.deny", missing(&present, &wanted)),
    ] {
        for line in lines {
            file::write(&cgroup.join(file), &line.to_string())?;
        }
    }
    Ok(())
}

/// Nobody in the container can use what is open, or miss what is closed, for a moment.
fn while_frozen(
    placement: &Placement,
    change: impl FnOnce() -> Result<(), DevicesError>,
) -> Result<(), DevicesError> {
    let was_frozen = frozen(placement)?;
    match freeze(placement) {
        Err(Error::NoFreezer) => return change(),
        other => other?,
    }
    let changed = change();
    if !was_frozen {
        thaw(placement)?;
    }
    changed
}

/// What `of` has and `from` lacks, device by device: the kernel takes exceptions for the same
/// device together.
fn missing(of: &[Exception], from: &[Exception]) -> Vec<Exception> {
    let mut had = HashMap::<Pattern, u8>::new();
    for exception in from {
        *had.entry(exception.pattern).or_default() |= exception.access;
    }
    let had = |pattern| had.get(pattern).copied().unwrap_or(0);
    let rest = of.iter().map(|exception| Exception {
        access: exception.access & !had(&exception.pattern),
        ..*exception
    });
    rest.filter(|exception| exception.access != 0).collect()
}

/// `devices.list`, a line an exception; `None` if everything is allowed but for exceptions that the
/// kernel does not show.
fn exceptions(text: &str) -> Option<Vec<Exception>> {
    text.lines().map(exception).collect()
}

fn exception(line: &str) -> Option<Exception> {
    let mut words = line.split(' ');
    let kind = match words.next()? {
        "c" => DeviceKind::Character,
        "b" => DeviceKind::Block,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let letters = words.next()?;
    let bit = |letter, bit| if letters.contains(letter) { bit } else { 0 };
    Some(Exception {
        pattern: Pattern {
            kind,
            major: number(major)?,
            minor: number(minor)?,
        },
        access: bit('r', READ) | bit('w', WRITE) | bit('m', MKNOD),
    })
}

fn replace_filter(dir: &Directory, rules: &[DeviceRule]) -> Result<(), DevicesError> {
    let path = dir.path();
    let cgroup = open(&path)?;
    let program = load(&path, rules)?;
    let old = own_filter(&cgroup).map_err(failed("looking up", &path))?;
    bpf::attach_device_filter(&cgroup, &program, old.as_ref()).map_err(failed("replacing", &path))
}

/// kan's own filter among those that are attached: systemd and others may have theirs beside it.
fn own_filter(cgroup: &OwnedFd) -> kan_sys::Result<Option<OwnedFd>> {
    // BPF_CGROUP_MAX_PROGS, kernel/bpf/cgroup.c.
    let mut ids = [0; 64];
    let count = bpf::attached_device_filters(cgroup, &mut ids)?;
    for id in ids.iter().take(count) {
        let program = bpf::program_by_id(*id)?;
        if bpf::program_name(&program)?.starts_with(NAME) {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Exception> {
        exceptions(text).unwrap()
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let text = "c 1:3 rwm\nb *:* m\nc 136:* rw\n";
        let lines: Vec<_> = parsed(text).iter().map(ToString::to_string).collect();
        assert_eq!(lines.join("\n") + "\n", text);
        assert_eq!(exceptions("a *:* rwm\n"), None);
        assert_eq!(exceptions(""), Some(Vec::new()));
    }

    #[test]
    fn only_differences_are_written() {
        let (old, new) = (parsed("c 1:3 rwm\nc 1:5 rw"), parsed("c 1:5 rm\nc 1:7 r"));
        let text =
            |all: Vec<Exception>| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
        assert_eq!(text(missing(&new, &old)), ["c 1:5 m", "c 1:7 r"]);
        assert_eq!(text(missing(&old, &new)), ["c 1:3 rwm", "c 1:5 w"]);
    }
}
