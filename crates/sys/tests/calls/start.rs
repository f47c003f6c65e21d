//! What a program begins with.

use crate::harness::{Test, in_child, tests};
use kan_sys::{Errno, io, signal, start};
use std::fs;

pub const TESTS: &[Test] = &tests![
    crate::start::closed_standard_descriptors_become_the_null_device,
    crate::start::open_ones_stay_as_they_are,
    crate::start::a_lost_reader_is_an_error,
];

fn closed_standard_descriptors_become_the_null_device() {
    in_child(0, || {
        for number in [0, 2] {
            // SAFETY: the standard descriptors have no owner.
            unsafe { io::close_range(number, number) }.unwrap();
        }
        start::prepare().unwrap();
        for number in [0, 2] {
            let link = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
            assert_eq!(link.to_str(), Some("/dev/null"));
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
            // O_RDWR | O_LARGEFILE at most: 02000000 would be O_CLOEXEC.
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
            assert_eq!(flags & 0o2_000_003, 0o2, "{flags:o}");
        }
    });
}

fn open_ones_stay_as_they_are() {
    in_child(0, || {
        let links = || [0, 1, 2].map(|n| fs::read_link(format!("/proc/self/fd/{n}")).unwrap());
        let before = links();
        let (lowest, _other) = io::pipe().unwrap();
        start::prepare().unwrap();
        assert_eq!(links(), before);
        let (next, _other) = io::pipe().unwrap();
        use std::os::fd::AsRawFd;
        assert_eq!(
            next.as_raw_fd(),
            lowest.as_raw_fd() + 2,
            "nothing was opened"
        );
    });
}

fn a_lost_reader_is_an_error() {
    in_child(0, || {
        signal::set_default(13).unwrap();
        start::prepare().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(io::write(&writer, b"x").unwrap_err().errno, Errno::EPIPE);
    });
}
