//! `CopyUp`.

use crate::harness::{Test, alone, tests};
use crate::scene::{at, attach, c, inside, names, perform, set, tmpfs};
use kan_op::{InitStep, Slot};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};

pub const TESTS: &[Test] = &tests![
    crate::copy_up::what_lies_there_is_copied,
    crate::copy_up::nothing_there_is_nothing_to_copy,
    crate::copy_up::many_names_and_long_files_are_whole,
    crate::copy_up::a_deep_tree_needs_no_stack,
    crate::copy_up::a_listing_goes_on_after_each_subdirectory,
];

fn copied() -> [InitStep; 3] {
    let from = at("/full");
    let tree = Slot::Tree;
    [
        tmpfs(tree),
        InitStep::CopyUp { tree, from },
        attach("/copy"),
    ]
}

pub fn what_lies_there_is_copied() {
    alone(|| {
        set();
        kan_sys::file::umask(0);
        fs::create_dir_all(inside("full/sub")).unwrap();
        fs::write(inside("full/sub/file"), "text").unwrap();
        chown(inside("full/sub/file"), Some(7), Some(8)).unwrap();
        fs::set_permissions(inside("full/sub/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        chown(inside("full/sub"), Some(9), Some(10)).unwrap();
        fs::set_permissions(inside("full/sub"), fs::Permissions::from_mode(0o2750)).unwrap();
        symlink("/nowhere", inside("full/link")).unwrap();
        lchown(inside("full/link"), Some(5), Some(6)).unwrap();
        let full = kan_sys::file::open(&c(inside("full").to_str().unwrap()), 0, 0).unwrap();
        kan_sys::file::mknodat(&full, c"fifo", kan_sys::file::S_IFIFO | 0o640, 0).unwrap();
        chown(inside("full"), Some(3), Some(4)).unwrap();
        fs::set_permissions(inside("full"), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(perform(&copied()), Ok(()));
        let seen = |path: &str| {
            let found = fs::symlink_metadata(inside(path)).unwrap();
            (found.mode() & 0o7777, found.uid(), found.gid())
        };
        assert_eq!(names(inside("copy")), ["fifo", "link", "sub"]);
        assert_eq!(seen("copy"), (0o711, 3, 4));
        assert_eq!(seen("copy/sub"), (0o2750, 9, 10));
        assert_eq!(seen("copy/sub/file"), (0o4751, 7, 8));
        assert_eq!(seen("copy/link"), (0o777, 5, 6));
        assert_eq!(seen("copy/fifo"), (0o640, 0, 0));
        let kind = fs::symlink_metadata(inside("copy/fifo"))
            .unwrap()
            .file_type();
        assert!(kind.is_fifo());
        let target = fs::read_link(inside("copy/link")).unwrap();
        assert_eq!(target.to_str(), Some("/nowhere"));
        assert_eq!(fs::read(inside("copy/sub/file")).unwrap(), b"text");
    });
}

fn nothing_there_is_nothing_to_copy() {
    alone(|| {
        set();
        assert_eq!(perform(&copied()), Ok(()));
        assert!(names(inside("copy")).is_empty());
    });
}

fn many_names_and_long_files_are_whole() {
    alone(|| {
        set();
        fs::create_dir(inside("full")).unwrap();
        let long: Vec<u8> = (0..100_000_u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        for number in 0..700 {
            fs::write(inside(&format!("full/a-rather-long-name-{number}")), "").unwrap();
        }
        fs::write(inside("full/long"), &long).unwrap();
        assert_eq!(perform(&copied()), Ok(()));
        assert_eq!(names(inside("copy")), names(inside("full")));
        assert_eq!(fs::read(inside("copy/long")).unwrap(), long);
    });
}

/// One of `ulimit -s 256`, and few descriptors.
fn a_deep_tree_needs_no_stack() {
    const RLIMIT_STACK: u32 = 3;
    const RLIMIT_NOFILE: u32 = 7;
    alone(|| {
        set();
        let deep = "d/".repeat(1000);
        fs::create_dir_all(inside(&format!("full/{deep}"))).unwrap();
        fs::write(inside(&format!("full/{deep}file")), "text").unwrap();
        kan_sys::resource::set_limit(RLIMIT_STACK, 256 << 10, 256 << 10).unwrap();
        kan_sys::resource::set_limit(RLIMIT_NOFILE, 64, 64).unwrap();
        assert_eq!(perform(&copied()), Ok(()));
        let copy = fs::read(inside(&format!("copy/{deep}file"))).unwrap();
        assert_eq!(copy, b"text");
    });
    alone(|| {
        set();
        fs::create_dir_all(inside(&format!("full/{}", "d/".repeat(1025)))).unwrap();
        let failure = perform(&copied()).unwrap_err();
        assert_eq!(failure.1.flaw, kan_op::Flaw::PathTooLong);
    });
}

fn a_listing_goes_on_after_each_subdirectory() {
    alone(|| {
        set();
        for number in 0..300 {
            let name = format!("full/directory-{number}");
            fs::create_dir_all(inside(&name)).unwrap();
            fs::write(inside(&format!("{name}/file")), &name).unwrap();
            fs::write(inside(&format!("full/file-{number}")), &name).unwrap();
        }
        assert_eq!(perform(&copied()), Ok(()));
        assert_eq!(names(inside("copy")), names(inside("full")));
        for number in 0..300 {
            let name = format!("full/directory-{number}");
            for copy in [format!("directory-{number}/file"), format!("file-{number}")] {
                let text = fs::read_to_string(inside(&format!("copy/{copy}"))).unwrap();
                assert_eq!(text, name);
            }
        }
    });
}
