//! `EnterDirectory` and `ConfirmDirectory`: process.cwd.

use crate::harness::{Test, alone, tests};
use crate::scene::{
    OUTSIDE, c, flawed, inside, mount_at, perform, perform_with, refused, root_slots, set,
};
use kan_op::init::{Ids, RootEntry};
use kan_op::{Flaw, InitStep};
use kan_sys::fd::IntoRawFd;
use kan_sys::{Errno, Sysno, file};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

pub const TESTS: &[Test] = &tests![
    crate::directory::the_working_directory_is_entered,
    crate::directory::a_missing_directory_is_refused,
    crate::directory::the_user_enters_what_root_may_not,
    crate::directory::a_directory_of_nobody_is_refused,
    crate::directory::an_inherited_directory_is_outside,
    crate::directory::what_an_inherited_directory_leads_to_is_outside,
    crate::directory::a_directory_that_is_gone_is_outside,
    crate::directory::what_was_entered_is_not_looked_at_again,
];

fn enter(path: &str) -> InitStep {
    InitStep::EnterDirectory(c(path))
}

fn confirm(path: &str) -> InitStep {
    InitStep::ConfirmDirectory(c(path))
}

const PIVOT: InitStep = InitStep::EnterRoot(RootEntry::Pivot { slave_first: false });

pub fn the_working_directory_is_entered() {
    alone(|| {
        set();
        fs::create_dir_all(inside("work/here")).unwrap();
        let steps = [PIVOT, enter("/work/here"), confirm("/work/here")];
        assert_eq!(perform(&steps), Ok(()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(here.to_str(), Some("/work/here"));
    });
}

fn a_missing_directory_is_refused() {
    alone(|| {
        set();
        fs::write(inside("file"), "").unwrap();
        let found = perform(&[PIVOT, enter("/missing")]);
        assert_eq!(found, refused(1, Sysno::chdir, Errno::ENOENT));
        let found = perform_with(&[enter("/file")], kan_init::Slots::default());
        assert_eq!(found, refused(0, Sysno::chdir, Errno::ENOTDIR));
    });
}

/// Root without CAP_DAC_OVERRIDE, as on a network file system that maps root to nobody.
fn as_user(owner: u32) -> [InitStep; 4] {
    let path = inside("home");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&path, Some(owner), None).unwrap();
    // CAP_SETGID and CAP_SETUID.
    let set = 1 << 6 | 1 << 7;
    [
        InitStep::SetCapabilities {
            effective: set,
            permitted: set,
            inheritable: 0,
        },
        enter(path.to_str().unwrap()),
        InitStep::SetIds(Ids {
            uid: 1000,
            gid: 1000,
            groups: Some(Vec::new()),
            groups_may_stay: false,
        }),
        confirm(path.to_str().unwrap()),
    ]
}

pub fn the_user_enters_what_root_may_not() {
    alone(|| {
        set();
        let before = std::env::current_dir().unwrap();
        let steps = as_user(1000);
        assert_ne!(before, inside("home"));
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(std::env::current_dir().unwrap(), inside("home"));
    });
}

fn a_directory_of_nobody_is_refused() {
    alone(|| {
        set();
        let found = perform(&as_user(2000));
        assert_eq!(found, refused(3, Sysno::chdir, Errno::EACCES));
    });
}

/// CVE-2024-21626: a descriptor of a host directory that was left open.
fn with_a_leak(path: &str) {
    alone(|| {
        set();
        fs::create_dir(inside("proc")).unwrap();
        mount_at("proc", inside("proc").to_str().unwrap());
        fs::create_dir(format!("{OUTSIDE}/below")).unwrap();
        let leaked = file::open(&c(OUTSIDE), 0, 0).unwrap().into_raw_fd();
        let path = path.replace("{fd}", &leaked.to_string());
        let found = perform(&[PIVOT, enter(&path), confirm(&path)]);
        assert_eq!(found, flawed(1, Flaw::OutsideRoot));
    });
}

fn an_inherited_directory_is_outside() {
    with_a_leak("/proc/self/fd/{fd}");
}

fn what_an_inherited_directory_leads_to_is_outside() {
    with_a_leak("/proc/self/fd/{fd}/below");
    with_a_leak("/proc/self/fd/{fd}/../..");
}

fn a_directory_that_is_gone_is_outside() {
    alone(|| {
        set();
        fs::create_dir(inside("gone")).unwrap();
        let path = inside("gone");
        let gone = file::open(&c(path.to_str().unwrap()), 0, 0).unwrap();
        fs::remove_dir(path).unwrap();
        let path = format!("/proc/self/fd/{}", gone.into_raw_fd());
        let found = perform_with(&[enter(&path)], root_slots());
        assert_eq!(found, flawed(0, Flaw::OutsideRoot));
    });
}

/// A filter without no_new_privileges is loaded before the user is set, and may forbid getcwd(2).
fn what_was_entered_is_not_looked_at_again() {
    alone(|| {
        set();
        fs::create_dir(inside("here")).unwrap();
        let path = inside("here");
        assert_eq!(perform(&[enter(path.to_str().unwrap())]), Ok(()));
        assert_eq!(perform(&[confirm("/missing")]), Ok(()));
    });
}
