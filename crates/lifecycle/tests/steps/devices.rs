//! Network devices.

use crate::harness::{Test, skip, tests};
use crate::scene::{clone, with_scene};
use kan_op::HostStep;
use kan_sys::namespace::CLONE_NEWNET;
use std::process::Command;

pub const TESTS: [Test; 1] = tests![a_device_moves_with_its_address];

fn ip(arguments: &str) -> bool {
    let ran = Command::new("ip").args(arguments.split(' ')).output();
    ran.is_ok_and(|ran| ran.status.success())
}

fn a_device_moves_with_its_address() {
    with_scene(|scene| {
        let is_made =
            ip("link add kan0 type veth peer name kan1") || ip("link add kan0 type dummy");
        if !is_made {
            skip("no network device can be created: ip(8), or veth and dummy of the kernel");
        }
        assert!(ip("addr add 10.9.8.7/24 dev kan0") && ip("link set kan0 up"));
        let step = HostStep::MoveNetDevice {
            name: "kan0".into(),
            new_name: "eth0".into(),
            namespace: None,
        };
        let done = scene.perform([clone(CLONE_NEWNET), step], |seen| {
            let routes = std::fs::read_to_string(format!("/proc/{}/net/fib_trie", seen.child));
            assert!(routes.unwrap().contains("10.9.8.7"));
            let devices = std::fs::read_to_string(format!("/proc/{}/net/dev", seen.child));
            assert!(devices.unwrap().contains("eth0"));
            let own = std::fs::read_to_string("/proc/self/net/dev").unwrap();
            assert!(!own.contains("kan0"));
        });
        done.unwrap();
    });
}
