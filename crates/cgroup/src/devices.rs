//! Which devices a container may use: `linux.resources.devices` (runtime-spec, config-linux.md
//! "Allowed Device List").
//!
//! A list of rules means the same on every host: of each access that is asked for (read, write,
//! mknod) the last rule that speaks of it decides, and what no rule speaks of is allowed. v2 runs
//! a program that says exactly that. v1 knows one default and exceptions from it, so a list may be
//! beyond it and is refused then; the kernel would silently ignore the rule.

mod error;
mod filter;
mod list;
#[cfg(test)]
mod model;
mod replace;
mod rules;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use kan_op::host::DeviceRule;
use kan_sys::bpf;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::error::{Error, Operation};
use crate::file;
use crate::locate::place::{Directory, Placement};

pub use error::DevicesError;
pub use replace::replace_devices;

/// Limits the devices of a cgroup that was just made and holds no process: of each access that is
/// asked for, the last rule that speaks of it decides; what no rule speaks of is allowed. On a
/// hybrid host v1's controller does it, and without cgroups nothing does. `opened` is what
/// [`Placement::open`] gave, if that was called.
///
/// # Errors
/// [`DevicesError::NoController`] and [`DevicesError::Inexpressible`] on v1; else the call that
/// failed. [`DevicesError::is_permission`] tells what a rootless container can do without.
pub fn limit_devices(
    placement: &Placement,
    opened: Option<BorrowedFd<'_>>,
    rules: &[DeviceRule],
) -> Result<(), DevicesError> {
    match (placement.v1("devices"), placement.directories()) {
        (Some(dir), _) => write_list(&dir.path(), rules),
        (None, []) => Ok(()),
        (None, [dir]) if dir.is_v2() => attach_filter(dir, opened, rules),
        (None, _) => Err(DevicesError::NoController),
    }
}

/// v1: cgroup-v1/devices.rst. One rule a write, in two files.
fn write_list(cgroup: &Path, rules: &[DeviceRule]) -> Result<(), DevicesError> {
    let list = list::list(rules)?;
    let (default, exceptions) = match list.allows {
        true => ("devices.allow", "devices.deny"),
        false => ("devices.deny", "devices.allow"),
    };
    // Even where it says what is so already, it takes away what an earlier user may have left.
    file::write(&cgroup.join(default), "a")?;
    if list.exceptions.is_empty() {
        return Ok(());
    }
    let path = cgroup.join(exceptions);
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(CWD, &path, flags, Mode::empty())
        .map_err(|errno| Error::call(Operation::Open, &path, errno))?;
    for exception in &list.exceptions {
        let line = exception.to_string();
        rustix::io::write(&file, line.as_bytes())
            .map_err(|errno| Error::call(Operation::Write(line), &path, errno))?;
    }
    Ok(())
}

/// By this people and [`replace_devices`] know the program.
const NAME: &[u8] = b"kan_devices";

fn attach_filter(
    dir: &Directory,
    opened: Option<BorrowedFd<'_>>,
    rules: &[DeviceRule],
) -> Result<(), DevicesError> {
    let path = dir.path();
    let program = load(&path, rules)?;
    let attached = match opened {
        Some(cgroup) => bpf::attach_device_filter(cgroup, &program, None),
        None => bpf::attach_device_filter(open(&path)?, &program, None),
    };
    attached.map_err(failed("attaching", &path))
}

fn open(path: &Path) -> Result<OwnedFd, DevicesError> {
    Ok(file::open_dir(CWD, path).map_err(|errno| Error::call(Operation::Open, path, errno))?)
}

fn load(path: &Path, rules: &[DeviceRule]) -> Result<OwnedFd, DevicesError> {
    bpf::load_device_filter(&filter::program(rules), NAME, c"Apache-2.0")
        .map_err(failed("loading", path))
}

fn failed(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(kan_sys::Error) -> DevicesError + use<> {
    let path = path.to_path_buf();
    move |source| DevicesError::Filter {
        operation,
        path,
        source,
    }
}
