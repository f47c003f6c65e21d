//! For conformance/fuzz: files and messages that a later command, or the kernel's answer, brings.

use crate::os::netlink;
use crate::resctrl;
use crate::state::container;
use crate::state::process;
use crate::state::record::Record;

/// `state.json`: what was read is written and read again as the same.
///
/// # Panics
/// If it is not, or a cgroup lies outside its hierarchy.
pub fn state(text: &[u8]) {
    let Ok(record) = Record::parse(text) else {
        return;
    };
    for directory in record.cgroups.directories() {
        assert!(directory.path().starts_with(directory.mount()));
        assert_ne!(directory.path(), directory.mount());
    }
    let again = serde_json::to_vec(&record).map(|text| Record::parse(&text));
    assert!(matches!(again, Ok(Ok(again)) if again == record));
}

/// rtnetlink's answers.
pub fn netlink(bytes: &[u8]) {
    netlink::read_every_way(bytes);
}

/// The name of a user in the host's `/etc/passwd`.
#[must_use]
pub fn user_name(passwd: &str, uid: u32) -> Option<String> {
    container::name_in(passwd, uid)
}

/// The mount point of resctrl in `/proc/self/mountinfo`.
pub fn mountinfo(text: &str) {
    let _ = text.lines().find_map(resctrl::mount_point);
}

/// `/proc/PID/stat`.
pub fn stat(text: &[u8]) {
    let _ = process::parse(text).map(|stat| stat.name().len());
}
