//! The container's directory and what lies in it.

use crate::harness::{Test, tests};
use crate::scene::{clone, make_container, mode, proc_file, with_scene};
use kan_op::HostStep;
use std::os::unix::fs::FileTypeExt;

pub const TESTS: [Test; 5] = tests![
    the_directory_holds_what_later_commands_need,
    an_id_is_taken_once,
    the_fifo_appears_under_its_name_at_the_end,
    the_state_names_the_child,
    a_directory_for_sd_notify,
];

fn the_directory_holds_what_later_commands_need() {
    with_scene(|scene| {
        let steps = [make_container(), HostStep::SaveState, HostStep::SaveConfig];
        let directory = scene.perform(steps, |seen| {
            let directory = seen.directory.clone().unwrap();
            assert_eq!(mode(&directory), 0o711);
            for name in ["state.json", "config.json"] {
                assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
            }
            let state = std::fs::read_to_string(directory.join("state.json")).unwrap();
            assert!(state.contains(r#""id":"c""#) && state.contains(r#""init":null"#));
            let config = std::fs::read(directory.join("config.json")).unwrap();
            assert_eq!(config, b"{}");
            directory
        });
        assert!(!directory.unwrap().exists(), "it is taken back");
    });
}

fn an_id_is_taken_once() {
    with_scene(|scene| {
        let twice = [make_container(), HostStep::SaveState, make_container()];
        let error = scene.perform(twice, |_| ()).unwrap_err();
        assert!(error.contains("exist"), "{error}");
    });
}

fn the_fifo_appears_under_its_name_at_the_end() {
    with_scene(|scene| {
        let is_there = |seen: &kan_lifecycle::trial::Seen| {
            let path = seen.directory.clone().unwrap().join("exec.fifo");
            std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
        };
        let made = [make_container(), HostStep::MakeFifo];
        assert!(!scene.perform(made, is_there).unwrap());
        let published = [make_container(), HostStep::MakeFifo, HostStep::PublishFifo];
        assert!(scene.perform(published, is_there).unwrap());
    });
}

fn the_state_names_the_child() {
    with_scene(|scene| {
        let steps = [make_container(), clone(0), HostStep::SaveState];
        let done = scene.perform(steps, |seen| {
            let path = seen.directory.clone().unwrap().join("state.json");
            let state = std::fs::read_to_string(path).unwrap();
            assert!(state.contains(&format!(r#""pid":{}"#, seen.child)));
            let stat = proc_file(seen.child, "stat");
            let start = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap();
            assert!(
                state.contains(&format!(r#""start_time":{start}"#)),
                "{state}"
            );
        });
        done.unwrap();
    });
}

fn a_directory_for_sd_notify() {
    with_scene(|scene| {
        let steps = [
            make_container(),
            HostStep::MakeNotifySocket { listen: false },
        ];
        let done = scene.perform(steps, |seen| {
            let path = seen.directory.clone().unwrap().join("notify");
            assert_eq!(mode(&path), 0o755);
            assert!(!path.join("notify.sock").exists(), "`start` listens");
        });
        done.unwrap();
    });
}
