//! The stage.

use crate::harness::{Test, tests};
use crate::scene::{clone, make_container, with_scene};
use kan_op::HostStep;
use kan_op::host::StagedTree;
use kan_op::init::MountChange;
use kan_sys::mount::MOUNT_ATTR_RDONLY;
use kan_sys::namespace::CLONE_NEWNS;

pub const TESTS: [Test; 2] = tests![
    a_tree_waits_in_inits_first_directory,
    without_a_stage_nothing_is_staged_or_locked,
];

fn a_tree_waits_in_inits_first_directory() {
    with_scene(|scene| {
        std::fs::create_dir(scene.path("source")).unwrap();
        std::fs::write(scene.path("source/file"), "staged").unwrap();
        let tree = StagedTree {
            name: "0".into(),
            source: scene.text("source"),
            follow: true,
            recursive: false,
            changes: vec![MountChange {
                set: MOUNT_ATTR_RDONLY,
                ..MountChange::default()
            }],
            ids: None,
        };
        let own = std::env::current_dir().unwrap();
        let steps = [
            make_container(),
            HostStep::OpenStage,
            HostStep::StageTree(tree),
            clone(CLONE_NEWNS),
        ];
        let done = scene.perform(steps, |seen| {
            let staged = format!("/proc/{}/cwd/0", seen.child);
            let text = std::fs::read_to_string(format!("{staged}/file")).unwrap();
            assert_eq!(text, "staged");
            let denied = std::fs::write(format!("{staged}/other"), "").unwrap_err();
            assert_eq!(denied.raw_os_error(), Some(30), "EROFS");
            // kan has left the stage with the clone.
            assert_eq!(std::env::current_dir().unwrap(), own);
        });
        done.unwrap();
        std::fs::write(scene.path("source/other"), "").unwrap();
    });
}

fn without_a_stage_nothing_is_staged_or_locked() {
    with_scene(|scene| {
        let error = scene.perform([HostStep::LockStage], |_| ()).unwrap_err();
        assert!(error.contains("stage"), "{error}");
    });
}
