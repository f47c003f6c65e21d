//! Descriptors.

use crate::harness::{Test, in_child, start, tests};
use kan_sys::fd::AsRawFd;
use kan_sys::{Errno, io, terminal};
use std::time::Instant;

pub const TESTS: &[Test] = &tests![
    crate::io::a_duplicate_has_the_number_asked_for_or_more,
    crate::io::a_nonblocking_read_does_not_wait,
    crate::io::waiting_ends_with_data_or_time,
    crate::io::a_pipe_has_no_size,
];

fn a_duplicate_has_the_number_asked_for_or_more() {
    in_child(0, || {
        let one = io::duplicate(io::standard(0), 200).unwrap();
        let two = io::duplicate(io::standard(0), 200).unwrap();
        assert!(one.as_raw_fd() >= 200 && two.as_raw_fd() > one.as_raw_fd());
        let number = two.as_raw_fd();
        assert!(io::is_open(number));
        drop(two);
        assert!(!io::is_open(number));
    });
}

fn a_nonblocking_read_does_not_wait() {
    in_child(0, || {
        let (from, to) = io::pipe().unwrap();
        io::set_nonblocking(&from).unwrap();
        let error = io::read(&from, &mut [0]).unwrap_err();
        assert_eq!(error.errno, Errno::EAGAIN);
        io::write(&to, b"x").unwrap();
        assert_eq!(io::read(&from, &mut [0]), Ok(1));
    });
}

fn waiting_ends_with_data_or_time() {
    let (from, to) = io::pipe().unwrap();
    let begin = Instant::now();
    assert_eq!(io::wait_readable(&from, Some(0)), Ok(false));
    assert!(begin.elapsed().as_millis() < 500);
    assert_eq!(io::wait_readable(&from, Some(1)), Ok(false));
    assert!(begin.elapsed().as_millis() >= 1000);
    io::write(&to, b"x").unwrap();
    assert_eq!(io::wait_readable(&from, None), Ok(true));
    assert_eq!(io::read(&from, &mut [0]), Ok(1));
    drop(to);
    assert_eq!(io::wait_readable(&from, None), Ok(true), "its end");
    in_child(0, || {
        let child = start(|| ());
        assert_eq!(io::wait_readable(&child.child.pidfd, Some(30)), Ok(true));
    });
}

fn a_pipe_has_no_size() {
    let (from, _to) = io::pipe().unwrap();
    assert_eq!(terminal::size(from), None);
}
