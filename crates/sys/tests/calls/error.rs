//! What a failure says.

use crate::harness::{Test, tests};
use kan_sys::{Errno, Error, Sysno, file, mount};

pub const TESTS: &[Test] = &tests![
    crate::error::call_and_reason_are_told_in_lower_case,
    crate::error::an_unknown_number_is_told_as_it_is,
    crate::error::a_failed_call_names_itself,
];

fn call_and_reason_are_told_in_lower_case() {
    let error = |errno| mount::refused(Sysno::openat2, errno).to_string();
    assert_eq!(error(Errno::ENOENT), "openat2: no such file or directory");
    assert_eq!(error(Errno::EACCES), "openat2: permission denied");
    assert_eq!(error(Errno::EINVAL), "openat2: invalid argument");
}

fn an_unknown_number_is_told_as_it_is() {
    let error = Error {
        call: Sysno::mount_setattr,
        errno: Errno::new(3999),
    };
    assert_eq!(error.to_string(), "mount_setattr: error 3999");
}

fn a_failed_call_names_itself() {
    let error = file::open(c"/nowhere/at/all", 0, 0).unwrap_err();
    assert_eq!((error.call, error.errno), (Sysno::openat, Errno::ENOENT));
    let error = file::chdir(c"/dev/null").unwrap_err();
    assert_eq!((error.call, error.errno), (Sysno::chdir, Errno::ENOTDIR));
}
