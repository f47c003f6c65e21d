//! A host to throw away: programs that cannot be written, and all else in memory. A step that
//! breaks out of its root, because somebody broke it, reaches nothing of the machine.

use kan_sys::file::{self, S_IFCHR};
use kan_sys::mount::{self, Change, Depth, MOUNT_ATTR_RDONLY};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;

/// Where it is put together; everybody has it.
const PLACE: &str = "/tmp";
/// What programs need, as far as this machine has it.
const PROGRAMS: [&str; 7] = ["usr", "etc", "bin", "sbin", "lib", "lib32", "lib64"];
/// Directories in memory.
const EMPTY: [&str; 5] = ["dev", "mnt", "proc", "srv", "tmp"];
/// Name, major and minor number, admin-guide/devices.txt.
const DEVICES: [(&str, u32, u32); 5] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("urandom", 1, 9),
    ("tty", 5, 0),
    ("ptmx", 5, 2),
];

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Leaves the machine for it. The mount namespace is the caller's own, and shares no mount.
pub fn enter() {
    mount::mount(c"tmpfs", &c(PLACE), c"tmpfs", 0, c"mode=755").unwrap();
    for name in EMPTY {
        fs::create_dir(format!("{PLACE}/{name}")).unwrap();
    }
    for name in PROGRAMS {
        show(name);
    }
    let dev = file::open(&c(&format!("{PLACE}/dev")), file::O_DIRECTORY, 0).unwrap();
    fs::create_dir(format!("{PLACE}/dev/pts")).unwrap();
    for (name, major, minor) in DEVICES {
        let number = file::device_number(major, minor);
        file::mknodat(&dev, &c(name), S_IFCHR | 0o666, number).unwrap();
    }
    mount::mount(c"proc", &c(&format!("{PLACE}/proc")), c"proc", 0, c"").unwrap();
    file::chdir(&c(PLACE)).unwrap();
    mount::pivot_root(c".", c".").unwrap();
    mount::detach(c".").unwrap();
    file::chdir(c"/").unwrap();
}

/// Shows a directory of the machine, read-only with all that is mounted below, or its link.
fn show(name: &str) {
    let (from, to) = (format!("/{name}"), format!("{PLACE}/{name}"));
    if let Ok(target) = fs::read_link(&from) {
        symlink(target, to).unwrap();
    } else if fs::exists(&from).unwrap() {
        fs::create_dir(&to).unwrap();
        let read_only = Change {
            set: MOUNT_ATTR_RDONLY,
            ..Change::default()
        };
        let tree = mount::clone_tree_at_path(&c(&from), Depth::Recursive).unwrap();
        mount::change(&tree, read_only, Depth::Recursive).unwrap();
        mount::attach(tree, file::open(&c(&to), file::O_PATH, 0).unwrap()).unwrap();
    }
}
