//! What is sent over sockets: a pidfd, the terminal, the seccomp listener.

use crate::harness::{Test, tests};
use crate::scene::{clone, with_scene};
use kan_op::init::{FilterInstruction, Listener};
use kan_op::{HostStep, InitStep, Slot, Sync};
use kan_sys::socket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

pub const TESTS: [Test; 3] = tests![
    a_pidfd_is_sent,
    a_console_is_connected,
    a_listener_reaches_its_agent,
];

fn a_pidfd_is_sent() {
    with_scene(|scene| {
        let receiver = UnixListener::bind(scene.path("socket")).unwrap();
        let send = HostStep::SendPidfd {
            path: scene.text("socket"),
            what: c"container",
        };
        let child = scene.perform([clone(0), send], |seen| {
            let (from, _) = receiver.accept().unwrap();
            let pidfd = socket::receive_descriptor(&from).unwrap();
            let about = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
            let about = std::fs::read_to_string(about).unwrap();
            let pid = about.lines().find_map(|line| line.strip_prefix("Pid:"));
            assert_eq!(pid.unwrap().trim(), seen.child.to_string());
        });
        child.unwrap();
    });
}

fn a_console_is_connected() {
    with_scene(|scene| {
        let receiver = UnixListener::bind(scene.path("socket")).unwrap();
        let connect = |path| HostStep::ConnectConsole { path };
        let theirs = scene.perform([connect(Some(scene.text("socket")))], |seen| {
            receiver.accept().unwrap();
            seen.has_console
        });
        assert!(!theirs.unwrap());
        let own = scene.perform([connect(None)], |seen| seen.has_console);
        assert!(own.unwrap(), "kan receives the terminal itself");
        let error = scene
            .perform([connect(Some(scene.text("none")))], |_| ())
            .unwrap_err();
        assert!(error.contains(&scene.text("none")), "{error}");
    });
}

fn a_listener_reaches_its_agent() {
    with_scene(|scene| {
        let agent = UnixListener::bind(scene.path("agent")).unwrap();
        let program = vec![FilterInstruction {
            code: 0x06,
            jt: 0,
            jf: 0,
            k: 0x7fff_0000,
        }];
        for listener in [Listener::Sent, Listener::Offered] {
            const NEW_LISTENER: u32 = 8;
            scene.init_steps = vec![
                InitStep::LoadFilter {
                    program: program.clone(),
                    flags: NEW_LISTENER,
                    listener: Some(listener),
                },
                InitStep::Tell(Sync::Listening),
                InitStep::Close(Slot::Listener),
                InitStep::Wait(Sync::Saved),
            ];
            let send = HostStep::SendListener {
                path: scene.text("agent"),
                metadata: Some("about it".into()),
            };
            let mut steps = vec![crate::scene::make_container(), clone(0)];
            if listener == Listener::Sent {
                steps.push(HostStep::ReceiveListener);
            }
            let take = HostStep::TakeListener;
            steps.extend([HostStep::Wait(Sync::Listening), take, send]);
            if listener == Listener::Offered {
                // It is taken while init still has it.
                scene.init_steps.swap_remove(2);
            }
            let done = scene.perform(steps, |seen| {
                let (from, _) = agent.accept().unwrap();
                let sent = socket::receive_descriptor(&from).unwrap();
                let link = format!("/proc/self/fd/{}", sent.as_raw_fd());
                let link = std::fs::read_link(link).unwrap();
                assert_eq!(link.to_str(), Some("anon_inode:seccomp notify"));
                assert!(seen.child > 0);
            });
            done.unwrap();
        }
    });
}
