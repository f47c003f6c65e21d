//! Files: openat2(2), fstatat(2), readlinkat(2) and device numbers.

use crate::harness::{Test, alone, in_child, tests};
use kan_sys::fd::AsFd;
use kan_sys::file::{self, O_DIRECTORY, O_PATH, RESOLVE_BENEATH, S_IFCHR, S_IFDIR, Status};
use kan_sys::{Errno, Sysno, mount, namespace};
use rustix::io::{FdFlags, fcntl_getfd};
use std::os::unix::fs::MetadataExt;

pub const TESTS: &[Test] = &tests![
    crate::file::device_numbers_are_the_kernels,
    crate::file::a_node_with_large_numbers_comes_back,
    crate::file::what_is_opened_is_closed_on_exec,
    crate::file::nothing_above_is_opened,
    crate::file::a_link_that_may_be_cut_is_refused,
    crate::file::status_tells_what_a_file_is,
    crate::file::a_read_only_mount_is_known,
    crate::file::the_current_directory_is_told,
    crate::file::a_namespace_tells_its_kind,
];

/// linux/kdev_t.h, new_encode_dev: mmmM MMmm in hexadecimal digits.
fn device_numbers_are_the_kernels() {
    for (major, minor, number) in [
        (1, 3, 0x103),
        (5, 2, 0x502),
        (136, 255, 0x88ff),
        (8, 256, 0x10_0800),
        (0xfff, 0xf_ffff, 0xffff_ffff),
        (0x123, 0x4_5678, 0x4561_2378),
    ] {
        assert_eq!(file::device_number(major, minor), number);
        assert_eq!(rustix::fs::makedev(major, minor), number.into());
    }
}

fn a_node_with_large_numbers_comes_back() {
    alone(|| {
        mount::mount(c"tmpfs", c"/mnt", c"tmpfs", 0, c"").unwrap();
        let directory = file::open(c"/mnt", O_DIRECTORY, 0).unwrap();
        let number = file::device_number(0xabc, 0xd_ef01);
        file::mknodat(&directory, c"node", S_IFCHR | 0o600, number).unwrap();
        let found = file::status(&directory, c"node").unwrap();
        assert!(found.is(S_IFCHR));
        assert_eq!(found.device, u64::from(number));
        assert_eq!(rustix::fs::major(found.device), 0xabc);
        assert_eq!(rustix::fs::minor(found.device), 0xd_ef01);
    });
}

fn is_closed_on_exec(fd: impl AsFd) -> bool {
    fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC)
}

fn what_is_opened_is_closed_on_exec() {
    let root = file::open(c"/", O_DIRECTORY, 0).unwrap();
    assert!(is_closed_on_exec(&root));
    assert!(is_closed_on_exec(
        file::openat2(&root, c"dev", O_PATH, 0, 0).unwrap()
    ));
    let (from, to) = kan_sys::io::pipe().unwrap();
    assert!(is_closed_on_exec(&from) && is_closed_on_exec(&to));
    assert!(is_closed_on_exec(kan_sys::io::duplicate(&from, 0).unwrap()));
    for pair in [kan_sys::socket::pair(), kan_sys::socket::stream_pair()] {
        let (one, other) = pair.unwrap();
        assert!(is_closed_on_exec(one) && is_closed_on_exec(other));
    }
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(is_closed_on_exec(
        kan_sys::process::pidfd_open(own).unwrap()
    ));
    assert!(is_closed_on_exec(
        kan_sys::memory::sealed_file(c"x", b"").unwrap()
    ));
}

fn nothing_above_is_opened() {
    let dev = file::open(c"/dev", O_DIRECTORY, 0).unwrap();
    let above = file::openat2(&dev, c"../etc", O_PATH, 0, RESOLVE_BENEATH);
    assert_eq!(above.unwrap_err().errno, Errno::EXDEV);
    assert!(file::openat2(&dev, c"../dev/null", O_PATH, 0, 0).is_ok());
}

/// readlink(2) tells a link that was cut from a whole one only by the room that is left.
fn a_link_that_may_be_cut_is_refused() {
    let proc = file::open(c"/proc", O_PATH, 0).unwrap();
    let whole = std::fs::read_link("/proc/self/exe").unwrap();
    let whole = whole.to_str().unwrap().as_bytes();
    let mut buffer = vec![0; whole.len() + 1];
    let found = file::readlinkat(&proc, c"self/exe", &mut buffer).unwrap();
    assert_eq!(found, whole);
    for short in [whole.len(), 1] {
        let refused = file::readlinkat(&proc, c"self/exe", &mut buffer[..short]);
        let error = refused.unwrap_err();
        assert_eq!(
            error,
            mount::refused(Sysno::readlinkat, Errno::ENAMETOOLONG)
        );
    }
}

fn status_tells_what_a_file_is() {
    let dev = file::open(c"/dev", O_PATH, 0).unwrap();
    let null = file::status(&dev, c"null").unwrap();
    assert!(null.is(S_IFCHR) && !null.is(S_IFDIR));
    assert_eq!(null.device, 0x103);
    let same = std::fs::metadata("/dev/null").unwrap();
    let expected = (same.mode(), same.uid(), same.gid(), same.dev(), same.ino());
    let Status {
        mode,
        uid,
        gid,
        filesystem,
        inode,
        ..
    } = null;
    assert_eq!((mode, uid, gid, filesystem, inode), expected);
    assert_eq!(null, file::status_of_path(c"/dev/null").unwrap());
    assert!(
        file::status(&dev, c"").unwrap().is(S_IFDIR),
        "the directory itself"
    );
    // /proc/self is a link, of which one tells itself and the other what it leads to.
    let proc = file::open(c"/proc", O_PATH, 0).unwrap();
    assert!(file::status(&proc, c"self").unwrap().is(file::S_IFLNK));
    assert!(file::status_of_path(c"/proc/self").unwrap().is(S_IFDIR));
}

fn a_read_only_mount_is_known() {
    alone(|| {
        let read_only = mount::Change {
            set: mount::MOUNT_ATTR_RDONLY,
            ..mount::Change::default()
        };
        mount::mount(c"tmpfs", c"/mnt", c"tmpfs", 0, c"").unwrap();
        let open = || file::open(c"/mnt", O_PATH, 0).unwrap();
        assert_eq!(mount::is_read_only(c"/mnt"), Ok(false));
        mount::change_at_path(c"/mnt", read_only, mount::Depth::Single).unwrap();
        assert_eq!(mount::is_read_only(c"/mnt"), Ok(true));
        assert_eq!(mount::filesystem_magic(open()), Ok(0x0102_1994), "tmpfs");
        mount::detach(c"/mnt").unwrap();
        assert_ne!(mount::is_read_only(c"/mnt"), Ok(true));
    });
}

fn the_current_directory_is_told() {
    in_child(0, || {
        file::chdir(c"/dev").unwrap();
        let mut buffer = [0; 64];
        assert_eq!(file::current_directory(&mut buffer).unwrap(), b"/dev");
        let short = file::current_directory(&mut buffer[..3]).unwrap_err();
        assert_eq!((short.call, short.errno), (Sysno::getcwd, Errno::ERANGE));
        file::fchdir(file::open(c"/", O_PATH, 0).unwrap()).unwrap();
        assert_eq!(file::current_directory(&mut buffer).unwrap(), b"/");
    });
}

fn a_namespace_tells_its_kind() {
    for (path, kind) in [
        (c"/proc/self/ns/mnt", namespace::CLONE_NEWNS),
        (c"/proc/self/ns/user", namespace::CLONE_NEWUSER),
        (c"/proc/self/ns/cgroup", namespace::CLONE_NEWCGROUP),
    ] {
        let opened = file::open(path, 0, 0).unwrap();
        assert_eq!(namespace::kind(opened), Ok(kind));
    }
    let other = file::open(c"/dev/null", 0, 0).unwrap();
    assert_eq!(namespace::kind(other).unwrap_err().errno, Errno::ENOTTY);
}
