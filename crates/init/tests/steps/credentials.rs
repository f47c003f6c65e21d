//! Users, groups, capabilities, keyring.

use crate::harness::{Test, alone, in_child, tests};
use crate::scene::{c, perform, perform_with, refused, refused_in_part, set};
use kan_init::Slots;
use kan_op::InitStep;
use kan_op::init::Ids;
use kan_sys::{Errno, Sysno};
use std::fs;

pub const TESTS: &[Test] = &tests![
    crate::credentials::capabilities_survive_the_change_of_user,
    crate::credentials::groups_stay_unless_given,
    crate::credentials::a_user_cannot_become_root,
    crate::credentials::each_set_is_as_asked_for,
    crate::credentials::what_is_not_permitted_is_refused,
    crate::credentials::ambient_capabilities_are_raised,
    crate::credentials::the_refused_ambient_capability_is_named,
    crate::credentials::bounding_capabilities_are_dropped,
    crate::credentials::an_unknown_capability_is_refused,
    crate::credentials::no_new_privileges_are_allowed,
    crate::credentials::a_new_keyring_replaces_the_callers,
];

const CHOWN: u64 = 1 << 0;
const KILL: u64 = 1 << 5;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;

/// A line of /proc/self/status, proc_pid_status(5).
fn status(name: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let rest = line.unwrap().trim_start_matches(':');
    rest.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn set_of(name: &str) -> u64 {
    u64::from_str_radix(&status(name), 16).unwrap()
}

fn ids(uid: u32, gid: u32, groups: Option<Vec<u32>>) -> InitStep {
    InitStep::SetIds(Ids {
        uid,
        gid,
        groups,
        groups_may_stay: false,
    })
}

fn capabilities(effective: u64, permitted: u64, inheritable: u64) -> InitStep {
    InitStep::SetCapabilities {
        effective,
        permitted,
        inheritable,
    }
}

pub fn capabilities_survive_the_change_of_user() {
    alone(|| {
        set();
        let permitted = set_of("CapPrm");
        assert_ne!(permitted, 0);
        assert_eq!(perform(&[ids(1000, 1001, Some(vec![7, 8]))]), Ok(()));
        assert_eq!(status("Uid"), "1000 1000 1000 1000");
        assert_eq!(status("Gid"), "1001 1001 1001 1001");
        assert_eq!(status("Groups"), "7 8");
        assert_eq!(set_of("CapPrm"), permitted);
        assert_eq!(set_of("CapEff"), 0, "capabilities(7)");
        let keeps = rustix::thread::get_keep_capabilities();
        assert_eq!(keeps, Ok(false), "for this once");
    });
}

fn groups_stay_unless_given() {
    alone(|| {
        set();
        let steps = [ids(0, 0, Some(vec![3, 4])), ids(0, 5, None)];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(status("Groups"), "3 4");
        assert_eq!(perform(&[ids(0, 0, Some(Vec::new()))]), Ok(()));
        assert_eq!(status("Groups"), "");
    });
}

fn a_user_cannot_become_root() {
    alone(|| {
        set();
        let found = perform(&[capabilities(0, 0, 0), ids(0, 0, Some(vec![1]))]);
        assert_eq!(found, refused(1, Sysno::setgroups, Errno::EPERM));
        let found = perform(&[ids(0, 9, None)]);
        assert_eq!(found, refused(0, Sysno::setresgid, Errno::EPERM));
        let found = perform(&[ids(9, 0, None)]);
        assert_eq!(found, refused(0, Sysno::setresuid, Errno::EPERM));
    });
}

pub fn each_set_is_as_asked_for() {
    alone(|| {
        set();
        let high = 1 << 38;
        let step = capabilities(KILL | high, KILL | CHOWN | high, CHOWN | high);
        assert_eq!(perform(&[step]), Ok(()));
        assert_eq!(set_of("CapEff"), KILL | high);
        assert_eq!(set_of("CapPrm"), KILL | CHOWN | high);
        assert_eq!(set_of("CapInh"), CHOWN | high);
    });
}

fn what_is_not_permitted_is_refused() {
    alone(|| {
        set();
        let found = perform(&[capabilities(KILL, KILL, 0), capabilities(CHOWN, CHOWN, 0)]);
        assert_eq!(found, refused(1, Sysno::capset, Errno::EPERM));
    });
}

pub fn ambient_capabilities_are_raised() {
    alone(|| {
        set();
        let all = KILL | CHOWN;
        let ambient = InitStep::RaiseAmbient { capabilities: all };
        assert_eq!(perform(&[capabilities(all, all, all), ambient]), Ok(()));
        assert_eq!(set_of("CapAmb"), all);
    });
}

/// Permitted but not inheritable, prctl(2): the part is its place in the set.
fn the_refused_ambient_capability_is_named() {
    alone(|| {
        set();
        let steps = [
            capabilities(KILL | CHOWN | SETUID, KILL | CHOWN | SETUID, CHOWN | KILL),
            InitStep::RaiseAmbient {
                capabilities: CHOWN | KILL | SETUID,
            },
        ];
        let expected = refused_in_part(1, 2, Sysno::prctl, Errno::EPERM);
        assert_eq!(perform(&steps), expected);
    });
}

pub fn bounding_capabilities_are_dropped() {
    alone(|| {
        set();
        let before = set_of("CapBnd");
        let drop = SETGID | 1 << 40;
        assert_eq!(perform(&[InitStep::DropBounding { drop }]), Ok(()));
        assert_eq!(set_of("CapBnd"), before & !drop);
    });
}

fn an_unknown_capability_is_refused() {
    alone(|| {
        set();
        let found = perform(&[InitStep::DropBounding { drop: 1 << 63 }]);
        assert_eq!(found, refused(0, Sysno::prctl, Errno::EINVAL));
    });
}

pub fn no_new_privileges_are_allowed() {
    in_child(0, || {
        assert_eq!(status("NoNewPrivs"), "0");
        let steps = [InitStep::NoNewPrivileges];
        assert_eq!(perform_with(&steps, Slots::default()), Ok(()));
        assert_eq!(status("NoNewPrivs"), "1");
    });
}

/// The session keyring as keyctl(2) KEYCTL_DESCRIBE tells it: `type;uid;gid;permissions;name`.
fn session_keyring() -> Result<String, Errno> {
    const KEYCTL_DESCRIBE: u32 = 6;
    const KEY_SPEC_SESSION_KEYRING: isize = -3;
    let (key, mut text) = (KEY_SPEC_SESSION_KEYRING, [0u8; 256]);
    let (to, size) = (text.as_mut_ptr(), text.len());
    // SAFETY: the buffer is writable for its length.
    let length = unsafe { syscalls::syscall!(Sysno::keyctl, KEYCTL_DESCRIBE, key, to, size) }?;
    let text = text[..length].strip_suffix(b"\0").unwrap();
    Ok(String::from_utf8(text.to_vec()).unwrap())
}

pub fn a_new_keyring_replaces_the_callers() {
    alone(|| {
        set();
        if session_keyring() == Err(Errno::ENOSYS) {
            crate::harness::skip("this kernel has no keyrings");
        }
        let keyring = |name: &str| InitStep::NewKeyring { name: c(name) };
        for name in ["_ses.first", "_ses.second"] {
            assert_eq!(perform(&[keyring(name)]), Ok(()));
            // All for the possessor; view, read and search for the user.
            let expected = format!("keyring;0;0;3f0b0000;{name}");
            assert_eq!(session_keyring(), Ok(expected));
        }
    });
}
