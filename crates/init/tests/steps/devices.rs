//! `MakeNode` and `MakeLink`.

use crate::harness::{Test, alone, tests};
use crate::scene::{
    OUTSIDE, at, attach, c, inside, names, perform, refused, refused_in_part, set, tmpfs,
};
use kan_op::init::NodeKind;
use kan_op::{Failure, Flaw, InitStep, Slot};
use kan_sys::{Errno, Sysno};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

pub const TESTS: &[Test] = &tests![
    crate::devices::nodes_are_as_asked_for,
    crate::devices::the_same_node_is_accepted_as_it_is,
    crate::devices::another_file_is_no_node,
    crate::devices::a_link_to_the_same_node_is_refused,
    crate::devices::a_dev_that_links_out_stays_inside,
    crate::devices::a_node_without_a_name_is_refused,
    crate::devices::a_link_says_what_it_was_told,
    crate::devices::what_lies_at_a_links_place_stays,
    crate::devices::a_link_replaces_a_file,
    crate::devices::a_link_does_not_replace_a_directory,
    crate::devices::a_directory_that_is_covered_is_not_used_any_more,
];

const NULL: NodeKind = NodeKind::Character { major: 1, minor: 3 };

fn node(path: &str, kind: NodeKind, mode: u32, (uid, gid): (u32, u32)) -> InitStep {
    InitStep::MakeNode {
        at: at(path),
        kind,
        mode,
        uid,
        gid,
    }
}

fn link(path: &str, target: &str, replace: bool) -> InitStep {
    InitStep::MakeLink {
        at: at(path),
        target: c(target),
        replace,
    }
}

/// Mode with its type bits, device number, owner and group.
fn found(path: &str) -> (u32, u64, u32, u32) {
    let found = fs::symlink_metadata(inside(path)).unwrap();
    (found.mode(), found.rdev(), found.uid(), found.gid())
}

fn read_link(path: &str) -> String {
    let target = fs::read_link(inside(path)).unwrap();
    target.into_os_string().into_string().unwrap()
}

pub fn nodes_are_as_asked_for() {
    alone(|| {
        set();
        let (major, minor) = (0xabc, 0x12345);
        let steps = [
            InitStep::SetUmask(0),
            node("/dev/null", NULL, 0o666, (0, 0)),
            node(
                "/dev/disk",
                NodeKind::Block { major: 8, minor: 1 },
                0o640,
                (7, 8),
            ),
            node(
                "/far/big",
                NodeKind::Character { major, minor },
                0o600,
                (0, 0),
            ),
            node("/dev/fifo", NodeKind::Fifo, 0o644, (0, 9)),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(found("dev/null"), (0o20666, 0x103, 0, 0));
        assert_eq!(found("dev/disk"), (0o60640, 0x801, 7, 8));
        // makedev(3): the minor's upper 12 bits lie above the major's.
        assert_eq!(found("far/big"), (0o20600, 0x123a_bc45, 0, 0));
        assert_eq!(found("dev/fifo"), (0o10644, 0, 0, 9));
        let wide = rustix::fs::makedev(major, minor);
        let seen = fs::metadata(inside("far/big")).unwrap().rdev();
        assert_eq!(seen, wide);
    });
}

fn the_same_node_is_accepted_as_it_is() {
    alone(|| {
        set();
        let first = [
            InitStep::SetUmask(0),
            node("/dev/null", NULL, 0o600, (5, 5)),
        ];
        assert_eq!(perform(&first), Ok(()));
        let again = [node("/dev/null", NULL, 0o666, (6, 6))];
        assert_eq!(perform(&again), Ok(()));
        assert_eq!(found("dev/null"), (0o20600, 0x103, 5, 5));
    });
}

fn wrong_kind(index: usize) -> crate::scene::Outcome {
    refused_in_part(index, 0, Sysno::mknodat, Errno::EEXIST).map_err(|(index, failure)| {
        let flaw = Flaw::WrongKind;
        (index, Failure { flaw, ..failure })
    })
}

fn another_file_is_no_node() {
    alone(|| {
        set();
        fs::create_dir(inside("dev")).unwrap();
        fs::write(inside("dev/null"), "kept").unwrap();
        fs::create_dir(inside("dev/zero")).unwrap();
        let steps = [node("/dev/null", NULL, 0o666, (0, 0))];
        assert_eq!(perform(&steps), wrong_kind(0));
        let steps = [node("/dev/zero", NULL, 0o666, (0, 0))];
        assert_eq!(perform(&steps), wrong_kind(0));
        assert_eq!(fs::read_to_string(inside("dev/null")).unwrap(), "kept");
        let steps = [
            node(
                "/dev/other",
                NodeKind::Character { major: 1, minor: 5 },
                0o666,
                (0, 0),
            ),
            node("/dev/other", NULL, 0o666, (0, 0)),
        ];
        assert_eq!(perform(&steps), wrong_kind(1), "another number");
        let steps = [node(
            "/dev/other",
            NodeKind::Block { major: 1, minor: 5 },
            0o666,
            (0, 0),
        )];
        assert_eq!(perform(&steps), wrong_kind(0), "a block device");
    });
}

fn a_link_to_the_same_node_is_refused() {
    alone(|| {
        set();
        fs::create_dir(inside("dev")).unwrap();
        symlink("/dev/real", inside("dev/null")).unwrap();
        let steps = [
            node("/dev/real", NULL, 0o666, (0, 0)),
            node("/dev/null", NULL, 0o666, (0, 0)),
        ];
        assert_eq!(perform(&steps), wrong_kind(1));
    });
}

/// CVE-2026-41579, CVE-2026-47766.
fn a_dev_that_links_out_stays_inside() {
    alone(|| {
        set();
        fs::write(format!("{OUTSIDE}/ptmx"), "decoy").unwrap();
        symlink(OUTSIDE, inside("dev")).unwrap();
        symlink("../../../mnt/outside", inside("relative")).unwrap();
        let steps = [
            node("/dev/null", NULL, 0o666, (1, 1)),
            node("/relative/zero", NULL, 0o666, (1, 1)),
            link("/dev/ptmx", "pts/ptmx", true),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(names(inside(OUTSIDE)), ["null", "ptmx", "zero"]);
        assert_eq!(names(OUTSIDE), ["ptmx"]);
        assert_eq!(
            fs::read_to_string(format!("{OUTSIDE}/ptmx")).unwrap(),
            "decoy"
        );
    });
}

fn a_node_without_a_name_is_refused() {
    alone(|| {
        set();
        let slash = perform(&[node("/dev/", NULL, 0o666, (0, 0))]);
        assert_eq!(slash, refused(0, Sysno::mknodat, Errno::ENOENT));
        assert_eq!(
            perform(&[node("/dev/..", NULL, 0o666, (0, 0))]),
            wrong_kind(0)
        );
    });
}

pub fn a_link_says_what_it_was_told() {
    alone(|| {
        set();
        let steps = [
            link("/dev/fd", "/proc/self/fd", false),
            link("/dev/ptmx", "pts/ptmx", true),
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(read_link("dev/fd"), "/proc/self/fd");
        assert_eq!(read_link("dev/ptmx"), "pts/ptmx");
    });
}

fn what_lies_at_a_links_place_stays() {
    alone(|| {
        set();
        fs::write(inside("file"), "kept").unwrap();
        symlink("elsewhere", inside("link")).unwrap();
        fs::create_dir(inside("directory")).unwrap();
        let steps = ["/file", "/link", "/directory"].map(|path| link(path, "new", false));
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(fs::read_to_string(inside("file")).unwrap(), "kept");
        assert_eq!(read_link("link"), "elsewhere");
        assert!(inside("directory").is_dir());
    });
}

fn a_link_replaces_a_file() {
    alone(|| {
        set();
        fs::write(inside("target"), "kept").unwrap();
        fs::write(inside("file"), "").unwrap();
        symlink("target", inside("link")).unwrap();
        let steps = [link("/file", "new", true), link("/link", "new", true)];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(read_link("file"), "new");
        assert_eq!(read_link("link"), "new");
        assert_eq!(fs::read_to_string(inside("target")).unwrap(), "kept");
    });
}

fn a_link_does_not_replace_a_directory() {
    alone(|| {
        set();
        fs::create_dir(inside("directory")).unwrap();
        let found = perform(&[link("/directory", "new", true)]);
        assert_eq!(found, refused(0, Sysno::unlinkat, Errno::EISDIR));
    });
}

/// Next to a mount point that was made the next one is made in the same directory, unless something
/// was mounted on that meanwhile, by whatever name.
fn a_directory_that_is_covered_is_not_used_any_more() {
    for covering in ["/dev", "/dev/self", "/dev/here"] {
        alone(|| {
            set();
            fs::create_dir_all(inside("/dev")).unwrap();
            symlink(".", inside("/dev/here")).unwrap();
            symlink("../dev", inside("/dev/self")).unwrap();
            let mut steps = Vec::new();
            for path in ["/dev/pts", "/dev/shm", covering, "/dev/mqueue"] {
                steps.extend([tmpfs(Slot::Tree), attach(path)]);
            }
            steps.push(node("/dev/null", NULL, 0o666, (0, 0)));
            assert_eq!(perform(&steps), Ok(()));
            assert_eq!(names(inside("/dev")), ["mqueue", "null"], "{covering}");
        });
    }
}
