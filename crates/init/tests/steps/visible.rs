//! `EnterPidNamespace` and `LeaveMemory`: the process that others see has nothing of kan's memory.

use crate::harness::{Test, alone, tests};
use crate::kinds;
use crate::scene::{attach, c, inside, perform_with, root_slots, set};
use kan_init::{Init, Slots};
use kan_op::init::{NewMount, Program};
use kan_op::{Board, Flaw, InitStep, NamespaceSlot, Slot, Sync};
use kan_sys::fd::{AsFd, AsRawFd, OwnedFd};
use kan_sys::process::{self, Ended};
use kan_sys::{Errno, Sysno, io, memory, mount, namespace, socket};
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::SeqCst;

pub const TESTS: &[Test] = &tests![
    crate::visible::the_process_has_nothing_of_its_makers_memory,
    crate::visible::a_waiting_process_has_left_its_memory,
    crate::visible::a_step_that_may_not_follow_is_refused,
    crate::visible::a_pid_namespace_without_init_is_an_error,
    crate::visible::a_procfs_shows_a_pid_namespace_that_is_not_entered,
];

/// Never in the file of this program, so that it is found in memory alone.
fn canary() -> String {
    ["kan", "canary", &"x7".repeat(20)].join("-")
}

fn steps() -> Vec<InitStep> {
    let path = c("/bin/true");
    let program = Program {
        candidates: vec![path.clone()],
        args: vec![path],
        env: Vec::new(),
        with_home: true,
    };
    vec![
        InitStep::FindProgram,
        InitStep::HideMemory,
        InitStep::EnterPidNamespace,
        InitStep::NewSession,
        InitStep::Tell(Sync::Ready),
        InitStep::Wait(Sync::Saved),
        InitStep::Execute(program),
    ]
}

/// The mappings of a process: address range and line.
fn mappings(pid: i32) -> Vec<(u64, u64, String)> {
    let all = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let parse = |line: &str| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        (number(start), number(end), line.to_owned())
    };
    all.lines().map(parse).collect()
}

/// Where a text lies in the memory of a process.
fn places(pid: i32, text: &str) -> Vec<String> {
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for (start, end, line) in mappings(pid) {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // The vDSO's data can't be read this way.
        if memory.read_exact_at(&mut bytes, start).is_ok()
            && bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        {
            found.push(line);
        }
    }
    found
}

pub fn the_process_has_nothing_of_its_makers_memory() {
    alone(|| {
        set();
        let secret = canary();
        let steps = steps();
        kinds::note(&steps);
        let (host, channel) = socket::pair().unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, channel);
        let words = memory::shared_words(Board::WORDS).unwrap();
        let sibling = memory::shared_words(1).unwrap();
        let mut init = Init::new(&steps, Board::new(words), slots);
        init.prepare(words, sibling).unwrap();
        let own = process::own_pid();
        assert!(!places(own, &secret).is_empty(), "the control");
        let maker = process::fork(
            process::Alone::check().unwrap(),
            0,
            None,
            &mut init,
            |init| {
                namespace::unshare(namespace::CLONE_NEWPID).unwrap();
                kan_init::run(init)
            },
        );
        let maker = maker.unwrap();
        let ended = process::wait(&maker.pidfd).unwrap();
        assert_eq!(ended, Ended::Exited(0), "{:?}", Board::new(words).failure());
        let pid = i32::try_from(sibling[0].load(SeqCst)).unwrap();
        let mut told = [0];
        assert_eq!(io::read(&host, &mut told), Ok(1));
        assert_eq!(told[0], Sync::Ready as u8);
        assert_eq!(places(pid, &secret), Vec::<String>::new());
        let maps = mappings(pid);
        let names = ["[heap]", "[stack]"];
        let left = maps
            .iter()
            .filter(|(_, _, line)| names.iter().any(|name| line.ends_with(name)));
        // glibc keeps its thread's data where the heap begins.
        let most = usize::from(cfg!(target_env = "gnu"));
        assert!(left.count() <= most, "{maps:#?}");
        // The page that says its pid is not the process' own.
        let at = sibling.as_ptr() as u64;
        assert!(
            !maps
                .iter()
                .any(|(start, end, _)| (*start..*end).contains(&at))
        );
        assert!(
            fs::read(format!("/proc/{pid}/environ"))
                .unwrap_or_default()
                .is_empty()
        );
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(
            status.contains("NSpid:\t") && status.contains("\t1\n"),
            "{status}"
        );
        let pidfd = process::pidfd_open(pid).unwrap();
        io::write(&host, &[Sync::Saved as u8]).unwrap();
        assert_eq!(process::wait(&pidfd), Ok(Ended::Exited(0)));
        drop(secret);
    });
}

/// The same process performs the steps, up to the program, and keeps next to nothing of the image.
pub fn a_waiting_process_has_left_its_memory() {
    alone(|| {
        set();
        let secret = canary();
        let mut steps = steps();
        steps.retain(|step| !matches!(step, InitStep::NewSession));
        for step in &mut steps {
            match step {
                InitStep::EnterPidNamespace => *step = InitStep::LeaveMemory,
                InitStep::Wait(_) => *step = InitStep::AwaitStart,
                _ => {}
            }
        }
        kinds::note(&steps);
        let (host, channel) = socket::pair().unwrap();
        let (fifo, starter) = socket::pair().unwrap();
        let mut slots = Slots::default();
        slots.fill(Slot::Channel, channel);
        slots.fill(Slot::Fifo, fifo);
        let words = memory::shared_words(Board::WORDS + steps.len()).unwrap();
        let mut init = Init::new(&steps, Board::new(words), slots);
        init.prepare(words, &[]).unwrap();
        let own = process::own_pid();
        assert!(!places(own, &secret).is_empty(), "the control");
        let alone = process::Alone::check().unwrap();
        let child = process::fork(alone, 0, None, &mut init, kan_init::run).unwrap();
        let mut told = [0];
        assert_eq!(io::read(&host, &mut told), Ok(1));
        assert_eq!(told[0], Sync::Ready as u8);
        while Board::new(words).step() < 4 {
            std::thread::yield_now();
        }
        // What an optimized build keeps is measured by conformance/bench.
        let (kept, all) = (resident_image(child.pid), resident_image(own));
        assert!(2 * kept < all, "{kept} KiB of {all} KiB");
        assert_eq!(places(child.pid, &secret), Vec::<String>::new());
        io::write(&starter, &[0]).unwrap();
        assert_eq!(process::wait(&child.pidfd), Ok(Ended::Exited(0)));
        // Whatever is performed after the memory was left is traced as well.
        for step in 0..4 {
            assert!(Board::new(words).stamped(step).is_some(), "step {step}");
        }
        drop(secret);
    });
}

/// How much of this program's instructions and constants a process has in memory, KiB.
fn resident_image(pid: i32) -> u64 {
    let own = std::env::current_exe().unwrap();
    let (mut is_image, mut sum) = (false, 0);
    for line in fs::read_to_string(format!("/proc/{pid}/smaps"))
        .unwrap()
        .lines()
    {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Rss:") if is_image => sum += words.next().unwrap().parse::<u64>().unwrap(),
            Some(word) if !word.ends_with(':') => {
                let is_constant = words.next().is_some_and(|rights| !rights.contains('w'));
                is_image = is_constant && line.ends_with(own.to_str().unwrap());
            }
            _ => {}
        }
    }
    sum
}

/// Makes sure that a procfs shows a pid namespace that has a process 1, and not the one of this
/// process, which then would be `self`: proc(5).
fn shows_another(tree: &OwnedFd) {
    let path = format!("/proc/self/fd/{}", tree.as_raw_fd());
    assert!(fs::exists(format!("{path}/1/status")).unwrap());
    let own = fs::read_link(format!("{path}/self"));
    assert_eq!(own.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

fn a_procfs_shows_a_pid_namespace_that_is_not_entered() {
    alone(|| {
        set();
        let waits = |(): &mut ()| -> ! {
            let _ = io::wait_readable(socket::pair().unwrap().0, Some(20));
            process::exit(0)
        };
        let other = process::fork(
            process::Alone::check().unwrap(),
            namespace::CLONE_NEWPID.into(),
            None,
            &mut (),
            waits,
        )
        .unwrap();
        let path = c(&format!("/proc/{}/ns/pid", other.pid));
        let pids = || kan_sys::file::open(&path, 0, 0).unwrap();
        let mount = |context: OwnedFd| {
            mount::fsconfig_create(&context).unwrap();
            mount::fsmount(context, 0).unwrap()
        };
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let from_inside = mount(kan_init::open_procfs_from_inside(pids().as_fd()).unwrap());
        shows_another(&from_inside);
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
        // By the step, in whichever way this kernel has.
        let slot = Slot::Namespace(NamespaceSlot::Pid);
        let mut slots = root_slots();
        slots.fill(slot, pids());
        let step = InitStep::NewFilesystem(NewMount {
            pids: Some(slot),
            ..NewMount::plain(Slot::Tree, c("proc"))
        });
        assert_eq!(perform_with(&[step, attach("/mnt")], slots), Ok(()));
        let attached = kan_sys::file::open(&c(inside("/mnt").to_str().unwrap()), 0, 0).unwrap();
        shows_another(&attached);
        process::pidfd_send_signal(&other.pidfd, 9).unwrap();
        process::wait(&other.pidfd).unwrap();
    });
}

/// What is on the board after these steps, of which the last but one has to fail.
fn failure(steps: &[InitStep], before: fn()) -> kan_op::Failure {
    let words = memory::shared_words(Board::WORDS).unwrap();
    let sibling = memory::shared_words(1).unwrap();
    let mut slots = Slots::default();
    let (_host, channel) = socket::pair().unwrap();
    slots.fill(Slot::Channel, channel);
    let mut init = Init::new(steps, Board::new(words), slots);
    init.prepare(words, sibling).unwrap();
    let mut with = (init, before);
    let maker = process::fork(
        process::Alone::check().unwrap(),
        0,
        None,
        &mut with,
        |(init, before)| {
            before();
            kan_init::run(init)
        },
    );
    let ended = process::wait(&maker.unwrap().pidfd).unwrap();
    assert_eq!(ended, Ended::Exited(255));
    assert_eq!(sibling[0].load(SeqCst), 0);
    Board::new(words).failure().unwrap()
}

fn a_step_that_may_not_follow_is_refused() {
    alone(|| {
        for entry in [InitStep::EnterPidNamespace, InitStep::LeaveMemory] {
            let steps = [entry, InitStep::SetUmask(0)];
            assert_eq!(failure(&steps, || ()).flaw, Flaw::OutOfStep);
        }
    });
}

fn a_pid_namespace_without_init_is_an_error() {
    alone(|| {
        let found = failure(&steps(), || {
            namespace::unshare(namespace::CLONE_NEWPID).unwrap();
            // The namespace's first process is its init, and ends with it.
            let first = process::fork(process::Alone::check().unwrap(), 0, None, &mut (), |()| {
                process::exit(0)
            })
            .unwrap();
            process::wait(&first.pidfd).unwrap();
        });
        assert_eq!(
            (found.call, found.errno),
            (
                u16::try_from(Sysno::clone as i32).unwrap(),
                u16::try_from(Errno::ENOMEM.into_raw()).unwrap(),
            )
        );
    });
}
