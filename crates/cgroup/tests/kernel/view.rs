//! This test program again, with another `/sys/fs/cgroup`.

use std::process::Command;

use kan_cgroup::Pid;

/// Set in the program that runs inside a view, to the view's name.
pub const VIEW: &str = "KAN_CGROUP_VIEW";

/// Whether this program was started by [`rerun`] or [`again`] for the given view.
pub fn is(view: &str) -> bool {
    std::env::var_os(VIEW).is_some_and(|name| name == view)
}

/// This test program, behind a shell that reads one line before it runs `setup` in a mount
/// namespace of its own.
pub fn again(view: &str, setup: &str, args: &[&str]) -> Command {
    let script = format!("read line && {setup} && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(["-m", "--propagation", "private", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(args)
        .env(VIEW, view)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

/// Starts a command of [`again`] after `before` was done with its pid, and asserts that `least`
/// tests or more ran and passed.
pub fn passes(mut command: Command, least: usize, before: impl FnOnce(Pid)) {
    let mut child = command.spawn().unwrap();
    before(Pid::from_child(&child));
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let passed = stdout
        .split_once("test result: ok. ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .and_then(|count| count.parse::<usize>().ok());
    assert!(passed.unwrap_or(0) >= least, "{stdout}\n{stderr}");
}

/// Runs all tests in a view, if this is not one already.
fn rerun(view: &str, setup: &str) {
    if std::env::var_os(VIEW).is_some() || !crate::scratch::is_root() {
        return;
    }
    passes(again(view, setup, &["--test-threads=2"]), 20, |_| {});
}

#[test]
fn everything_again_in_a_pure_v2_view() {
    if std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        rerun("v2", "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup");
    }
}

#[test]
fn everything_again_in_a_pure_v1_view() {
    if std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        rerun("v1", "mount -t tmpfs none /sys/fs/cgroup/unified");
    }
}

#[test]
fn the_views_are_what_they_are_called() {
    let Some(scratch) = crate::scratch::Scratch::new("views") else {
        return;
    };
    let (v1, v2) = (
        scratch.placement.v1("freezer").is_some(),
        scratch.placement.v2().is_some(),
    );
    if is("v2") {
        assert!(!v1 && v2);
    }
    if is("v1") {
        assert!(v1 && !v2);
    }
}
