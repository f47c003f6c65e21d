//! `OpenNull`, `MaskPath` and `LockPath`: linux.maskedPaths and linux.readonlyPaths.

use crate::harness::{Test, alone, tests};
use crate::scene::{
    OUTSIDE, at, bind, c, flawed, inside, mount_on, mounts, names, perform, refused, set, tmpfs,
};
use kan_op::{Flaw, InitStep, Slot};
use kan_sys::{Errno, Sysno};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

pub const TESTS: &[Test] = &tests![
    crate::masks::a_masked_file_is_the_null_device,
    crate::masks::a_masked_directory_is_empty,
    crate::masks::a_missing_path_needs_no_mask,
    crate::masks::a_mask_goes_where_the_link_leads_inside,
    crate::masks::a_path_that_cannot_be_seen_is_no_missing_one,
    crate::masks::the_containers_own_null_is_not_used,
    crate::masks::another_file_at_dev_null_is_refused,
    crate::masks::a_locked_path_is_read_only,
    crate::masks::a_missing_path_needs_no_lock,
    crate::masks::an_unseen_path_is_not_left_unlocked,
];

/// What the plan does before and after its masks.
fn mask(paths: &[&str]) -> Vec<InitStep> {
    let on_host = InitStep::AttachOnHost {
        tree: Slot::Empty,
        at: c("/srv"),
    };
    let mut steps = vec![InitStep::OpenNull, tmpfs(Slot::Empty), on_host];
    steps.extend(
        paths
            .iter()
            .map(|path| InitStep::MaskPath { path: at(path) }),
    );
    steps
}

fn lock(path: &str) -> InitStep {
    InitStep::LockPath { path: at(path) }
}

fn is_null(path: &str) -> bool {
    let found = fs::metadata(inside(path)).unwrap();
    found.file_type().is_char_device() && found.rdev() == 0x103
}

pub fn a_masked_file_is_the_null_device() {
    alone(|| {
        set();
        fs::write(inside("secret"), "secret").unwrap();
        assert_eq!(perform(&mask(&["/secret"])), Ok(()));
        assert!(is_null("secret"));
        assert_eq!(fs::read(inside("secret")).unwrap(), b"");
    });
}

pub fn a_masked_directory_is_empty() {
    alone(|| {
        set();
        for directory in ["one", "two"] {
            fs::create_dir(inside(directory)).unwrap();
            fs::write(inside(directory).join("secret"), "secret").unwrap();
        }
        assert_eq!(perform(&mask(&["/one", "/two"])), Ok(()));
        assert!(names(inside("one")).is_empty());
        assert!(names(inside("two")).is_empty());
    });
}

fn a_missing_path_needs_no_mask() {
    alone(|| {
        set();
        symlink("nowhere", inside("dangling")).unwrap();
        let before = mounts().len();
        assert_eq!(
            perform(&mask(&["/missing", "/missing/below", "/dangling"])),
            Ok(())
        );
        assert_eq!(mounts().len(), before + 1, "the empty directory alone");
    });
}

fn a_mask_goes_where_the_link_leads_inside() {
    alone(|| {
        set();
        fs::write(format!("{OUTSIDE}/file"), "outside").unwrap();
        fs::create_dir_all(inside(OUTSIDE)).unwrap();
        fs::write(inside(OUTSIDE).join("file"), "inside").unwrap();
        symlink(OUTSIDE, inside("link")).unwrap();
        assert_eq!(perform(&mask(&["/link/file"])), Ok(()));
        assert!(is_null("mnt/outside/file"));
        assert_eq!(
            fs::read_to_string(format!("{OUTSIDE}/file")).unwrap(),
            "outside"
        );
    });
}

/// Only a missing path is passed over (CVE-2025-31133).
fn a_path_that_cannot_be_seen_is_no_missing_one() {
    alone(|| {
        set();
        fs::write(inside("file"), "").unwrap();
        symlink("circle", inside("circle")).unwrap();
        let found = perform(&mask(&["/file/below"]));
        assert_eq!(found, refused(3, Sysno::openat2, Errno::ENOTDIR));
        let found = perform(&mask(&["/circle"]));
        assert_eq!(found, refused(3, Sysno::openat2, Errno::ELOOP));
    });
}

/// CVE-2025-31133: the container's /dev/null may be anything.
fn the_containers_own_null_is_not_used() {
    alone(|| {
        set();
        fs::write(format!("{OUTSIDE}/decoy"), "decoy").unwrap();
        fs::create_dir(inside("dev")).unwrap();
        symlink("/secret", inside("dev/null")).unwrap();
        fs::write(inside("secret"), "secret").unwrap();
        fs::write(inside("masked"), "masked").unwrap();
        assert_eq!(perform(&mask(&["/masked"])), Ok(()));
        assert!(is_null("masked"));
    });
}

fn another_file_at_dev_null_is_refused() {
    alone(|| {
        set();
        for other in ["/dev/zero", "/mnt/file"] {
            fs::write("/mnt/file", "").unwrap();
            bind(other, "/dev/null");
            let found = perform(&[InitStep::OpenNull]);
            assert_eq!(found, flawed(0, Flaw::NotNull), "{other}");
        }
    });
}

pub fn a_locked_path_is_read_only() {
    alone(|| {
        set();
        fs::create_dir(inside("locked")).unwrap();
        fs::write(inside("locked/in"), "there").unwrap();
        fs::write(inside("file"), "there").unwrap();
        assert_eq!(perform(&[lock("/locked"), lock("/file")]), Ok(()));
        for path in ["locked/new", "locked/in", "file"] {
            let error = fs::write(inside(path), "x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{path}");
        }
        assert_eq!(fs::read_to_string(inside("locked/in")).unwrap(), "there");
        fs::write(inside("beside"), "writable").unwrap();
    });
}

fn a_missing_path_needs_no_lock() {
    alone(|| {
        set();
        let before = mounts().len();
        assert_eq!(perform(&[lock("/missing")]), Ok(()));
        assert_eq!(mounts().len(), before);
        assert!(mount_on(inside("missing")).is_none());
    });
}

fn an_unseen_path_is_not_left_unlocked() {
    alone(|| {
        set();
        fs::write(inside("file"), "").unwrap();
        let found = perform(&[lock("/file/below")]);
        assert_eq!(found, refused(0, Sysno::openat2, Errno::ENOTDIR));
    });
}
