//! `Attach` and `MakeDirectory`: which mount points are found, made and refused.

use crate::harness::{Test, alone, tests};
use crate::scene::{
    OUTSIDE, at, attach, attach_ordinary, clone_host, flawed, inside, mount_on, names, perform,
    refused, set, tmpfs,
};
use kan_op::{Flaw, InitStep, Slot};
use kan_sys::{Errno, Sysno};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

pub const TESTS: &[Test] = &tests![
    crate::attach::makes_a_missing_directory,
    crate::attach::makes_a_missing_file,
    crate::attach::uses_what_is_there,
    crate::attach::goes_through_dangling_links,
    crate::attach::a_dangling_last_link_leads_to_the_mount_point,
    crate::attach::absolute_links_stay_inside,
    crate::attach::dot_dot_stays_inside,
    crate::attach::a_file_on_the_way_is_refused,
    crate::attach::links_in_a_circle_are_refused,
    crate::attach::what_a_link_makes_too_long_is_refused,
    crate::attach::magic_links_are_refused,
    crate::attach::an_ordinary_directory_is_used_or_made,
    crate::attach::a_link_is_no_ordinary_directory,
    crate::attach::a_refused_tree_is_closed,
    crate::attach::make_directory_makes_its_parents,
    crate::attach::make_directory_leaves_what_is_there,
];

/// A tmpfs at a path of the container.
fn tmpfs_at(path: &str) -> [InitStep; 2] {
    [tmpfs(Slot::Tree), attach(path)]
}

fn is_mounted(path: &str) -> bool {
    mount_on(inside(path)).is_some_and(|mount| mount.fstype == "tmpfs")
}

pub fn makes_a_missing_directory() {
    alone(|| {
        set();
        assert_eq!(perform(&tmpfs_at("/a/b/c")), Ok(()));
        assert!(is_mounted("/a/b/c"));
        assert_eq!(fs::metadata(inside("/a/b")).unwrap().mode(), 0o40755);
    });
}

pub fn makes_a_missing_file() {
    alone(|| {
        set();
        fs::write("/mnt/source", "from the host").unwrap();
        let steps = [clone_host("/mnt/source", Slot::Tree), attach("/a/file")];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(
            fs::read_to_string(inside("/a/file")).unwrap(),
            "from the host"
        );
    });
}

fn uses_what_is_there() {
    alone(|| {
        set();
        fs::create_dir(inside("there")).unwrap();
        fs::write(inside("there/below"), "").unwrap();
        assert_eq!(perform(&tmpfs_at("/there")), Ok(()));
        assert!(is_mounted("/there"));
        assert!(names(inside("there")).is_empty(), "covered");
    });
}

fn goes_through_dangling_links() {
    alone(|| {
        set();
        symlink("/made/here", inside("absolute")).unwrap();
        symlink("../../made/there", inside("relative")).unwrap();
        assert_eq!(perform(&tmpfs_at("/absolute/deep")), Ok(()));
        assert_eq!(perform(&tmpfs_at("/relative/./deep/")), Ok(()));
        assert!(is_mounted("/made/here/deep"));
        assert!(is_mounted("/made/there/deep"));
        fs::create_dir(inside("sub")).unwrap();
        symlink("/top", inside("sub/absolute")).unwrap();
        symlink("beside", inside("sub/relative")).unwrap();
        assert_eq!(perform(&tmpfs_at("/sub/absolute/deep")), Ok(()));
        assert_eq!(perform(&tmpfs_at("/sub/relative/deep")), Ok(()));
        assert!(is_mounted("/top/deep"));
        assert!(is_mounted("/sub/beside/deep"));
        assert!(!Path::new("/made").exists(), "not in the host's root");
    });
}

fn a_dangling_last_link_leads_to_the_mount_point() {
    alone(|| {
        set();
        fs::write("/mnt/source", "resolv").unwrap();
        symlink("second", inside("first")).unwrap();
        symlink("/run/file", inside("second")).unwrap();
        let steps = [clone_host("/mnt/source", Slot::Tree), attach("/first")];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(fs::read_to_string(inside("/run/file")).unwrap(), "resolv");
        assert!(inside("first").is_symlink(), "the link stays");
    });
}

fn absolute_links_stay_inside() {
    alone(|| {
        set();
        symlink(OUTSIDE, inside("out")).unwrap();
        assert_eq!(perform(&tmpfs_at("/out/deep")), Ok(()));
        assert!(is_mounted("/mnt/outside/deep"));
        // Now the link leads to a directory inside.
        assert_eq!(perform(&tmpfs_at("/out")), Ok(()));
        assert!(is_mounted("/mnt/outside"));
        assert!(names(OUTSIDE).is_empty());
        assert!(mount_on(OUTSIDE).is_none());
    });
}

fn dot_dot_stays_inside() {
    alone(|| {
        set();
        assert_eq!(perform(&tmpfs_at("/missing/../../../outside/x")), Ok(()));
        assert!(is_mounted("/outside/x"));
        fs::create_dir(inside("there")).unwrap();
        assert_eq!(perform(&tmpfs_at("/there/../../outside/y")), Ok(()));
        assert!(is_mounted("/outside/y"));
        assert!(names(OUTSIDE).is_empty());
    });
}

fn a_file_on_the_way_is_refused() {
    alone(|| {
        set();
        fs::write(inside("file"), "").unwrap();
        let way = perform(&tmpfs_at("/file/below"));
        assert_eq!(way, refused(1, Sysno::openat2, Errno::ENOTDIR));
        let end = perform(&tmpfs_at("/file"));
        let (step, failure) = end.unwrap_err();
        assert_eq!((step, failure.flaw), (1, Flaw::KindsDiffer));
        assert_eq!(failure.part, 1, "the mount is the directory");
    });
}

fn links_in_a_circle_are_refused() {
    alone(|| {
        set();
        symlink("b", inside("a")).unwrap();
        symlink("a", inside("b")).unwrap();
        let circle = perform(&tmpfs_at("/a/x"));
        assert_eq!(circle, refused(1, Sysno::openat2, Errno::ELOOP));
    });
}

/// The kernel takes both the path and the link; joined they exceed PATH_MAX.
fn what_a_link_makes_too_long_is_refused() {
    alone(|| {
        set();
        symlink("missing/".repeat(300), inside("link")).unwrap();
        let path = format!("/link/{}", "x/".repeat(1000));
        assert_eq!(perform(&tmpfs_at(&path)), flawed(1, Flaw::PathTooLong));
    });
}

fn magic_links_are_refused() {
    alone(|| {
        set();
        fs::create_dir(inside("proc")).unwrap();
        crate::scene::mount_at("proc", inside("proc").to_str().unwrap());
        for path in ["/proc/self/cwd", "/proc/self/root/x", "/proc/1/fd/0"] {
            let magic = perform(&tmpfs_at(path));
            assert_eq!(magic, refused(1, Sysno::openat2, Errno::ELOOP), "{path}");
        }
    });
}

fn an_ordinary_directory_is_used_or_made() {
    alone(|| {
        set();
        fs::create_dir(inside("proc")).unwrap();
        for path in ["/proc", "/sys", "/deep/proc"] {
            let steps = [tmpfs(Slot::Tree), attach_ordinary(path)];
            assert_eq!(perform(&steps), Ok(()), "{path}");
            assert!(is_mounted(path), "{path}");
        }
    });
}

/// CVE-2019-19921, CVE-2023-27561.
fn a_link_is_no_ordinary_directory() {
    alone(|| {
        set();
        fs::create_dir_all(inside("elsewhere/proc")).unwrap();
        symlink("/elsewhere", inside("proc")).unwrap();
        symlink("elsewhere", inside("way")).unwrap();
        symlink("nowhere", inside("dangling")).unwrap();
        fs::write(inside("file"), "").unwrap();
        for path in ["/proc", "/way/proc", "/dangling", "/dangling/proc", "/file"] {
            let steps = [tmpfs(Slot::Tree), attach_ordinary(path)];
            let found = perform(&steps);
            assert_eq!(found, flawed(1, Flaw::NotOrdinaryDirectory), "{path}");
        }
        assert!(!inside("nowhere").exists());
        assert!(mount_on(inside("elsewhere")).is_none());
        assert!(mount_on(inside("elsewhere/proc")).is_none());
    });
}

/// Its slot is empty, so that the next step that wants it is out of step.
fn a_refused_tree_is_closed() {
    alone(|| {
        set();
        let steps = [tmpfs(Slot::Tree), attach("/a"), attach("/b")];
        assert_eq!(perform(&steps), flawed(2, Flaw::OutOfStep));
        assert!(is_mounted("/a"));
    });
}

fn make_directory(path: &str) -> InitStep {
    InitStep::MakeDirectory { at: at(path) }
}

pub fn make_directory_makes_its_parents() {
    alone(|| {
        set();
        symlink("/linked", inside("link")).unwrap();
        let steps = [make_directory("/a/b/c"), make_directory("/link/d")];
        assert_eq!(perform(&steps), Ok(()));
        for path in ["a/b/c", "linked/d"] {
            assert_eq!(
                fs::metadata(inside(path)).unwrap().mode(),
                0o40755,
                "{path}"
            );
        }
    });
}

fn make_directory_leaves_what_is_there() {
    alone(|| {
        set();
        fs::create_dir(inside("there")).unwrap();
        fs::write(inside("there/file"), "kept").unwrap();
        assert_eq!(perform(&[make_directory("/there")]), Ok(()));
        assert_eq!(fs::read_to_string(inside("there/file")).unwrap(), "kept");
    });
}
