//! `OpenTerminal`, `BindConsole`, `SendTerminal`, `UseTerminal`.

use crate::harness::{Test, alone, start, tests};
use crate::scene::{
    OUTSIDE, c, flawed, inside, mount_at, mount_on, names, perform, perform_then, perform_with,
    refused, root_slots, set,
};
use kan_op::{Flaw, InitStep, Slot};
use kan_sys::fd::OwnedFd;
use kan_sys::{Errno, Sysno, io, mount, socket, terminal};
use rustix::termios::{OutputModes, tcgetattr, tcgetsid};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

pub const TESTS: &[Test] = &tests![
    crate::terminal::the_master_arrives_with_its_size,
    crate::terminal::the_terminal_belongs_to_the_user,
    crate::terminal::a_root_without_devpts_has_no_terminal,
    crate::terminal::another_file_is_no_terminal,
    crate::terminal::a_ptmx_beside_devpts_is_no_terminal,
    crate::terminal::nobody_takes_the_master,
    crate::terminal::console_is_the_terminal,
    crate::terminal::console_is_made_where_dev_leads,
    crate::terminal::a_link_is_no_console,
    crate::terminal::a_directory_is_no_console,
    crate::terminal::the_terminal_becomes_stdio,
];

const OPEN: InitStep = InitStep::OpenTerminal {
    size: Some((132, 43)),
    uid: 1234,
    newlines: true,
};

/// A devpts as containers have it.
fn devpts_at(path: &str) {
    fs::create_dir_all(inside(path)).unwrap();
    let at = c(inside(path).to_str().unwrap());
    let data = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount::mount(c"devpts", &at, c"devpts", 0, data).unwrap();
}

fn with_devpts() {
    set();
    devpts_at("dev/pts");
}

/// Performs the steps and receives the master that they send.
fn master_of(steps: &[InitStep]) -> OwnedFd {
    let (ours, theirs) = socket::stream_pair().unwrap();
    let mut slots = root_slots();
    slots.fill(Slot::ConsoleSocket, theirs);
    assert_eq!(perform_with(steps, slots), Ok(()));
    socket::receive_descriptor(ours).unwrap()
}

pub fn the_master_arrives_with_its_size() {
    alone(|| {
        with_devpts();
        let master = master_of(&[OPEN, InitStep::SendTerminal]);
        assert_eq!(terminal::size(&master), Some((132, 43)));
        assert_eq!(mount::filesystem_magic(&master), Ok(0x1cd1));
        let no_size = InitStep::OpenTerminal {
            size: None,
            uid: 0,
            newlines: false,
        };
        let master = master_of(&[no_size, InitStep::SendTerminal]);
        assert_eq!(terminal::size(&master), None);
        let settings = tcgetattr(&master).unwrap();
        assert!(!settings.output_modes.contains(OutputModes::ONLCR));
    });
}

fn the_terminal_belongs_to_the_user() {
    alone(|| {
        with_devpts();
        let done = perform_then(&[OPEN], root_slots(), || {
            let found = fs::metadata(inside("dev/pts/0")).unwrap();
            assert_eq!((found.uid(), found.gid()), (1234, 5));
            assert_eq!(found.mode() & 0o7777, 0o620);
            let peer = fs::File::open(inside("dev/pts/0")).unwrap();
            let settings = tcgetattr(&peer).unwrap();
            assert!(settings.output_modes.contains(OutputModes::ONLCR));
        });
        assert_eq!(done, Ok(()));
    });
}

fn a_root_without_devpts_has_no_terminal() {
    alone(|| {
        set();
        assert_eq!(perform(&[OPEN]), refused(0, Sysno::openat2, Errno::ENOENT));
    });
}

/// CVE-2025-52565.
fn another_file_is_no_terminal() {
    alone(|| {
        set();
        fs::create_dir_all(inside("dev/pts")).unwrap();
        let ptmx = inside("dev/pts/ptmx");
        fs::write(&ptmx, "").unwrap();
        assert_eq!(perform(&[OPEN]), flawed(0, Flaw::NotTerminal), "a file");
        fs::remove_file(&ptmx).unwrap();
        symlink("/dev/null", &ptmx).unwrap();
        let null = InitStep::MakeNode {
            at: crate::scene::at("/dev/null"),
            kind: kan_op::init::NodeKind::Character { major: 1, minor: 3 },
            mode: 0o666,
            uid: 0,
            gid: 0,
        };
        let found = perform(&[null, OPEN]);
        assert_eq!(found, flawed(1, Flaw::NotTerminal), "another device");
    });
}

/// A node 5:2 opens the devpts at `pts` beside it, which may be anybody's.
fn a_ptmx_beside_devpts_is_no_terminal() {
    alone(|| {
        set();
        devpts_at("evil/pts");
        fs::create_dir(inside("dev")).unwrap();
        symlink("/evil", inside("dev/pts")).unwrap();
        let node = InitStep::MakeNode {
            at: crate::scene::at("/evil/ptmx"),
            kind: kan_op::init::NodeKind::Character { major: 5, minor: 2 },
            mode: 0o666,
            uid: 0,
            gid: 0,
        };
        assert_eq!(perform(&[node, OPEN]), flawed(1, Flaw::NotTerminal));
    });
}

fn nobody_takes_the_master() {
    alone(|| {
        with_devpts();
        let (ours, theirs) = socket::stream_pair().unwrap();
        drop(ours);
        let mut slots = root_slots();
        slots.fill(Slot::ConsoleSocket, theirs);
        let found = perform_with(&[OPEN, InitStep::SendTerminal], slots);
        assert_eq!(found, refused(1, Sysno::sendmsg, Errno::EPIPE));
    });
}

pub fn console_is_the_terminal() {
    alone(|| {
        with_devpts();
        let done = perform_then(&[OPEN, InitStep::BindConsole], root_slots(), || {
            let console = fs::metadata(inside("dev/console")).unwrap();
            let peer = fs::metadata(inside("dev/pts/0")).unwrap();
            assert!(console.file_type().is_char_device());
            assert_eq!((console.rdev(), console.ino()), (peer.rdev(), peer.ino()));
            assert!(mount_on(inside("dev/console")).is_some());
        });
        assert_eq!(done, Ok(()));
    });
}

fn console_is_made_where_dev_leads() {
    alone(|| {
        set();
        devpts_at("mnt/outside/pts");
        symlink(OUTSIDE, inside("dev")).unwrap();
        assert_eq!(perform(&[OPEN, InitStep::BindConsole]), Ok(()));
        assert!(mount_on(inside("mnt/outside/console")).is_some());
        assert!(names(OUTSIDE).is_empty());
    });
}

/// CVE-2026-88264.
fn a_link_is_no_console() {
    alone(|| {
        with_devpts();
        fs::write(inside("target"), "kept").unwrap();
        for target in ["/mnt/outside/new", "../../outside/new", "/target"] {
            symlink(target, inside("dev/console")).unwrap();
            let found = perform(&[OPEN, InitStep::BindConsole]);
            assert_eq!(found, flawed(1, Flaw::WrongKind), "{target}");
            fs::remove_file(inside("dev/console")).unwrap();
        }
        assert!(names(OUTSIDE).is_empty());
        assert_eq!(fs::read_to_string(inside("target")).unwrap(), "kept");
    });
}

fn a_directory_is_no_console() {
    alone(|| {
        with_devpts();
        fs::create_dir(inside("dev/console")).unwrap();
        let found = perform(&[OPEN, InitStep::BindConsole]);
        assert_eq!(found, flawed(1, Flaw::WrongKind));
    });
}

pub fn the_terminal_becomes_stdio() {
    alone(|| {
        with_devpts();
        mount_at("devpts", "/dev/pts");
        let (ours, theirs) = socket::stream_pair().unwrap();
        let mut slots = root_slots();
        slots.fill(Slot::ConsoleSocket, theirs);
        let child = start(|| {
            let steps = [
                InitStep::NewSession,
                OPEN,
                InitStep::SendTerminal,
                InitStep::UseTerminal,
                InitStep::ControlTerminal,
            ];
            assert_eq!(perform_with(&steps, slots), Ok(()));
            for number in 0..=2 {
                assert_eq!(terminal::size(io::standard(number)), Some((132, 43)));
            }
            let session = tcgetsid(io::standard(0)).unwrap();
            assert_eq!(
                session,
                rustix::process::getpid(),
                "the controlling terminal"
            );
            io::write(io::standard(1), b"one\ntwo\n").unwrap();
        });
        let master = socket::receive_descriptor(ours).unwrap();
        let mut said = [0; 32];
        let length = io::read(&master, &mut said).unwrap();
        assert_eq!(&said[..length], b"one\r\ntwo\r\n");
        child.pass();
        let no_session = perform(&[OPEN, InitStep::UseTerminal, InitStep::ControlTerminal]);
        assert_eq!(no_session, refused(2, Sysno::ioctl, Errno::EPERM));
    });
}
