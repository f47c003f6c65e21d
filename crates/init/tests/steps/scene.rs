//! What the steps act on: a root file system beside files that they must not reach, in a mount
//! namespace that goes with the test.

use crate::{host, kinds};
use kan_init::{Init, Slots};
use kan_op::init::{MountPoint, NewMount, Parameter, RootPath, TreeSource};
use kan_op::{Board, Failure, Flaw, InitStep, Slot};
use kan_sys::fd::{AsFd, OwnedFd};
use kan_sys::file::{self, O_DIRECTORY, O_PATH};
use kan_sys::mount::{self, Depth};
use kan_sys::process::{self, Ended};
use kan_sys::{Errno, Sysno, io, memory};
use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The container's root, as the host sees it: a mount of its own.
pub const ROOT: &str = "/mnt/root";
/// A directory of the host, at which nothing may appear.
pub const OUTSIDE: &str = "/mnt/outside";

/// Enters a host to throw away, and makes root and outside there.
pub fn set() {
    host::enter();
    mount_at("tmpfs", "/mnt");
    for directory in [ROOT, OUTSIDE] {
        fs::create_dir(directory).unwrap();
    }
    mount_at("tmpfs", ROOT);
}

/// Mounts a new file system, by calls that are no step.
pub fn mount_at(fstype: &str, at: &str) {
    mount::mount(&c(fstype), &c(at), &c(fstype), 0, c"").unwrap();
}

/// Binds a file on another.
pub fn bind(source: &str, at: &str) {
    let tree = mount::clone_tree_at_path(&c(source), Depth::Single).unwrap();
    mount::attach(tree, path_fd(at)).unwrap();
}

/// A path's descriptor, as slots hold it.
pub fn path_fd(path: &str) -> OwnedFd {
    file::open(&c(path), O_PATH, 0).unwrap()
}

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A path inside the container.
pub fn at(path: &str) -> RootPath {
    RootPath(c(path))
}

/// The same path, as the host sees it.
pub fn inside(path: &str) -> PathBuf {
    Path::new(ROOT).join(path.trim_start_matches('/'))
}

/// The names in a directory, sorted.
pub fn names(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Slots with the root in its place.
pub fn root_slots() -> Slots {
    let mut slots = Slots::default();
    slots.fill(
        Slot::Root,
        file::open(&c(ROOT), O_PATH | O_DIRECTORY, 0).unwrap(),
    );
    slots
}

/// What performing steps comes to: the step that failed, and how.
pub type Outcome = Result<(), (usize, Failure)>;

/// The step at this index failed in a call.
pub fn refused(index: usize, call: Sysno, errno: Errno) -> Outcome {
    refused_in_part(index, 0, call, errno)
}

pub fn refused_in_part(index: usize, part: u16, call: Sysno, errno: Errno) -> Outcome {
    let failure = Failure {
        flaw: Flaw::Call,
        part,
        call: u16::try_from(call.id()).unwrap(),
        errno: u16::try_from(errno.into_raw()).unwrap(),
    };
    Err((index, failure))
}

/// The step at this index found a flaw.
pub fn flawed(index: usize, flaw: Flaw) -> Outcome {
    let failure = Failure {
        flaw,
        part: 0,
        call: 0,
        errno: 0,
    };
    Err((index, failure))
}

/// Performs steps with the root in its slot.
pub fn perform(steps: &[InitStep]) -> Outcome {
    perform_with(steps, root_slots())
}

/// Performs steps with these slots, which are closed afterwards.
pub fn perform_with(steps: &[InitStep], slots: Slots) -> Outcome {
    perform_then(steps, slots, || ())
}

/// Performs steps, then `look` while the slots are as the steps left them.
pub fn perform_then(steps: &[InitStep], slots: Slots, look: impl FnOnce()) -> Outcome {
    let board = Board::new(memory::shared_words(Board::WORDS).unwrap());
    let mut init = Init::new(steps, board, slots);
    let done = init.perform_all();
    assert_eq!(done.err(), board.failure(), "the board says it as well");
    let performed = if done.is_ok() {
        steps.len()
    } else {
        board.step()
    };
    kinds::note(&steps[..performed]);
    look();
    done.map_err(|failure| (board.step(), failure))
}

/// What a child that ran to its end left.
#[derive(Debug)]
pub struct Ran {
    pub ended: Ended,
    pub stdout: String,
    pub stderr: String,
    pub step: usize,
    pub failure: Option<Failure>,
}

/// Runs steps in a child as kan does, up to its exec and to the end of what it executed.
pub fn run(steps: &[InitStep], slots: Slots) -> Ran {
    kinds::note(steps);
    let board = Board::new(memory::shared_words(Board::WORDS).unwrap());
    let ((out, out_end), (err, err_end)) = (io::pipe().unwrap(), io::pipe().unwrap());
    let mut life = (Init::new(steps, board, slots), out_end, err_end);
    let child = process::fork(
        process::Alone::check().unwrap(),
        0,
        None,
        &mut life,
        |(init, out, err)| {
            io::dup_onto(out.as_fd(), io::Standard::Output).unwrap();
            io::dup_onto(err.as_fd(), io::Standard::Error).unwrap();
            kan_init::run(init)
        },
    );
    drop(life);
    let (stdout, stderr) = (read_all(out), read_all(err));
    Ran {
        ended: crate::harness::wait(&child.unwrap()),
        stdout,
        stderr,
        step: board.step(),
        failure: board.failure(),
    }
}

pub fn read_all(from: OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(from).read_to_string(&mut text).unwrap();
    text
}

/// One line of /proc/self/mountinfo, proc_pid_mountinfo(5).
#[derive(Debug)]
pub struct Mount {
    pub point: String,
    pub options: String,
    pub propagation: String,
    pub fstype: String,
    pub super_options: String,
}

/// All mounts of this namespace.
pub fn mounts() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().map(mount_of).collect()
}

fn mount_of(line: &str) -> Mount {
    let (front, back) = line.split_once(" - ").unwrap();
    let front: Vec<_> = front.split(' ').collect();
    let back: Vec<_> = back.split(' ').collect();
    Mount {
        point: front[4].into(),
        options: front[5].into(),
        propagation: front[6..].join(" "),
        fstype: back[0].into(),
        super_options: back[2].into(),
    }
}

/// The topmost mount at a path of the host.
pub fn mount_on(point: impl AsRef<Path>) -> Option<Mount> {
    let point = point.as_ref().to_str().unwrap();
    mounts()
        .into_iter()
        .rev()
        .find(|mount| mount.point == point)
}

// --- Steps that many tests need.

pub fn tmpfs(out: Slot) -> InitStep {
    InitStep::NewFilesystem(NewMount::plain(out, c("tmpfs")))
}

/// A new file system with `key=value` or `key` parameters.
pub fn filesystem(fstype: &str, parameters: &[&str], attributes: u32) -> InitStep {
    let parameter = |text: &&str| {
        let (key, value) = text
            .split_once('=')
            .map_or((*text, None), |(k, v)| (k, Some(v)));
        Parameter {
            key: c(key),
            value: value.map(c),
            option: None,
        }
    };
    InitStep::NewFilesystem(NewMount {
        parameters: parameters.iter().map(parameter).collect(),
        attributes,
        ..NewMount::plain(Slot::Tree, c(fstype))
    })
}

pub fn clone_host(path: &str, out: Slot) -> InitStep {
    InitStep::CloneTree {
        out,
        source: TreeSource::Host(c(path)),
        recursive: false,
    }
}

pub fn attach(path: &str) -> InitStep {
    InitStep::Attach {
        tree: Slot::Tree,
        at: at(path),
        point: MountPoint::Any,
    }
}

pub fn attach_ordinary(path: &str) -> InitStep {
    InitStep::Attach {
        tree: Slot::Tree,
        at: at(path),
        point: MountPoint::Ordinary,
    }
}
