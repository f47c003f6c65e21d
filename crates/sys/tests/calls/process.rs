//! Processes: clone3(2), pidfds, waitid(2), execveat(2).

use crate::harness::{Test, alone, ends_within, in_child, start, tests, wait};
use kan_sys::fd::{AsFd, AsRawFd};
use kan_sys::process::{self, Alone, Child, Ended};
use kan_sys::{Errno, Sysno, file, io};
use std::fs;
use std::io::Read;

pub const TESTS: &[Test] = &tests![
    crate::process::an_exit_code_is_told,
    crate::process::a_signal_is_told,
    crate::process::codes_are_a_shells,
    crate::process::a_child_is_reaped_once,
    crate::process::what_leads_no_threads_is_no_process,
    crate::process::any_child_is_reaped_without_waiting,
    crate::process::a_subreaper_gets_orphans,
    crate::process::a_pidfd_stays_with_its_process,
    crate::process::a_descriptor_is_taken_from_another_process,
    crate::process::a_second_thread_forbids_a_fork,
    crate::process::a_helper_has_what_it_is_given,
    crate::process::a_helper_dies_with_its_parent,
    crate::process::a_fork_into_no_cgroup_fails,
    crate::process::an_open_file_is_executed,
    crate::process::what_is_no_program_is_refused,
    crate::process::the_name_is_set,
    crate::process::a_parents_death_ends_a_child,
    crate::process::the_own_pid_is_the_namespaces,
];

/// A child that waits for a signal.
fn sleeper() -> Child {
    start(|| {
        loop {
            std::thread::park();
        }
    })
    .child
}

fn exiting(code: i32) -> Child {
    let mut code = code;
    process::fork(Alone::check().unwrap(), 0, None, &mut code, |code| {
        process::exit(*code)
    })
    .unwrap()
}

fn an_exit_code_is_told() {
    in_child(0, || {
        for code in [0, 1, 42, 255] {
            assert_eq!(process::wait(&exiting(code).pidfd), Ok(Ended::Exited(code)));
        }
        assert_eq!(process::wait(&exiting(256 + 3).pidfd), Ok(Ended::Exited(3)));
    });
}

fn a_signal_is_told() {
    in_child(0, || {
        for signal in [1, 9, 15, 34] {
            let child = sleeper();
            process::pidfd_send_signal(&child.pidfd, signal).unwrap();
            assert_eq!(wait(&child), Ended::Signalled(signal));
        }
    });
}

/// With a core dump or without.
fn codes_are_a_shells() {
    in_child(0, || {
        kan_sys::resource::set_limit(4, 0, 0).unwrap();
        let child = sleeper();
        process::pidfd_send_signal(&child.pidfd, 6).unwrap();
        assert_eq!(wait(&child).code(), 128 + 6);
        assert_eq!(Ended::Exited(7).code(), 7);
        assert_eq!(Ended::Signalled(9).code(), 137);
    });
}

fn a_child_is_reaped_once() {
    in_child(0, || {
        let child = exiting(0);
        assert_eq!(process::wait(&child.pidfd), Ok(Ended::Exited(0)));
        let again = process::wait(&child.pidfd).unwrap_err();
        assert_eq!((again.call, again.errno), (Sysno::waitid, Errno::ECHILD));
        let gone = process::pidfd_send_signal(&child.pidfd, 9).unwrap_err();
        assert_eq!(gone.errno, Errno::ESRCH);
        let open = process::pidfd_open(child.pid).unwrap_err();
        assert_eq!(open.errno, Errno::ESRCH);
    });
}

/// A thread that leads none: to some kernels what a process is that was just reaped.
fn what_leads_no_threads_is_no_process() {
    let (says, heard) = std::sync::mpsc::channel();
    let (ends, waits) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        says.send(rustix::thread::gettid().as_raw_pid()).unwrap();
        let _ = waits.recv();
    });
    let error = process::pidfd_open(heard.recv().unwrap()).unwrap_err();
    assert_eq!(error.errno, Errno::ESRCH);
    drop(ends);
    thread.join().unwrap();
    let error = process::pidfd_open(-1).unwrap_err();
    assert_eq!(error.errno, Errno::EINVAL);
}

fn any_child_is_reaped_without_waiting() {
    in_child(0, || {
        assert_eq!(process::reap_any(), Ok(None), "no child at all");
        let (quiet, other) = (sleeper(), exiting(5));
        assert!(ends_within(&other, 30));
        assert_eq!(process::reap_any(), Ok(Some((other.pid, Ended::Exited(5)))));
        assert_eq!(process::reap_any(), Ok(None), "none has ended");
        process::pidfd_send_signal(&quiet.pidfd, 9).unwrap();
        assert!(ends_within(&quiet, 30));
        let killed = process::reap_any();
        assert_eq!(killed, Ok(Some((quiet.pid, Ended::Signalled(9)))));
    });
}

fn a_subreaper_gets_orphans() {
    in_child(0, || {
        process::set_subreaper().unwrap();
        let parent = start(|| {
            exiting(9);
        });
        parent.pass();
        let orphan = any_end();
        assert_ne!(orphan.0, parent.child.pid);
        assert_eq!(orphan.1, Ended::Exited(9));
    });
}

fn a_pidfd_stays_with_its_process() {
    in_child(0, || {
        let child = sleeper();
        let other = process::pidfd_open(child.pid).unwrap();
        process::pidfd_send_signal(&other, 0).unwrap();
        process::pidfd_send_signal(&other, 9).unwrap();
        assert_eq!(wait(&child), Ended::Signalled(9));
        let gone = process::pidfd_send_signal(&other, 0).unwrap_err();
        assert_eq!(gone.errno, Errno::ESRCH);
    });
}

fn a_descriptor_is_taken_from_another_process() {
    in_child(0, || {
        let (from, to) = io::pipe().unwrap();
        let number = to.as_raw_fd();
        let child = sleeper();
        drop(to);
        let taken = process::pidfd_getfd(&child.pidfd, number).unwrap();
        io::write(&taken, b"taken").unwrap();
        let mut text = [0; 9];
        assert_eq!(io::read(&from, &mut text), Ok(5));
        let closed = process::pidfd_getfd(&child.pidfd, 999).unwrap_err();
        assert_eq!(closed.errno, Errno::EBADF);
        process::pidfd_send_signal(&child.pidfd, 9).unwrap();
        wait(&child);
    });
}

/// Debug builds alone check it.
fn a_second_thread_forbids_a_fork() {
    in_child(0, || {
        Alone::check().unwrap();
        let second = std::thread::spawn(std::thread::park);
        assert_eq!(Alone::check().unwrap_err().errno, Errno::EBUSY);
        second.thread().unpark();
        second.join().unwrap();
    });
}

/// The numbers of all open descriptors.
fn open_numbers() -> Vec<i32> {
    (0..1000).filter(|number| io::is_open(*number)).collect()
}

fn a_helper_has_what_it_is_given() {
    in_child(0, || {
        let open: Vec<_> = (0..20).map(|_| io::pipe().unwrap()).collect();
        let (from, to) = io::pipe().unwrap();
        let kept = [to.as_raw_fd(), open[7].0.as_raw_fd()];
        let mut with = (kept, &to);
        let alone = Alone::check().unwrap();
        let helper = process::fork_helper(
            alone,
            0,
            process::Orphan::Dies,
            &kept,
            &mut with,
            |(kept, to)| {
                let mut expected = vec![0, 1, 2, kept[0], kept[1]];
                expected.sort_unstable();
                let told = [u8::from(open_numbers() == expected)];
                io::write(*to, &told).unwrap();
                process::exit(0)
            },
        );
        let mut told = [0];
        drop(to);
        assert_eq!(io::read(&from, &mut told), Ok(1));
        assert_eq!(told, [1]);
        assert_eq!(process::wait(&helper.unwrap().pidfd), Ok(Ended::Exited(0)));
    });
}

fn a_helper_dies_with_its_parent() {
    in_child(0, || {
        process::set_subreaper().unwrap();
        let parent = start(|| {
            let (ready, tell) = io::pipe().unwrap();
            let mut with = &tell;
            let alone = Alone::check().unwrap();
            process::fork_helper(
                alone,
                0,
                process::Orphan::Dies,
                &[tell.as_raw_fd()],
                &mut with,
                |tell| {
                    io::write(*tell, b"r").unwrap();
                    std::thread::sleep(std::time::Duration::from_secs(10));
                    process::exit(0)
                },
            )
            .unwrap();
            io::read(&ready, &mut [0]).unwrap();
        });
        parent.pass();
        assert_eq!(any_end().1, Ended::Signalled(9));
    });
}

fn a_fork_into_no_cgroup_fails() {
    in_child(0, || {
        let root = file::open(c"/", file::O_DIRECTORY, 0).unwrap();
        let failed = process::fork(
            Alone::check().unwrap(),
            0,
            Some(root.as_fd()),
            &mut (),
            |()| process::exit(0),
        );
        let error = failed.unwrap_err();
        assert_eq!((error.call, error.errno), (Sysno::clone3, Errno::EBADF));
    });
}

fn an_open_file_is_executed() {
    in_child(0, || {
        let (from, to) = io::pipe().unwrap();
        let child = start(|| {
            io::dup_onto(&to, io::Standard::Output).unwrap();
            let shell = file::open(c"/bin/sh", file::O_PATH, 0).unwrap();
            let script = c"echo $0 $1 $A; exit 4";
            let args = [c"name", c"-c", script, c"zero", c"one"].map(Into::into);
            let error = process::execve_file(shell, &args, &[c"A=b".into()]);
            panic!("{error}");
        });
        drop(to);
        let mut said = String::new();
        fs::File::from(from).read_to_string(&mut said).unwrap();
        assert_eq!(said, "zero one b\n");
        assert_eq!(wait(&child.child), Ended::Exited(4));
    });
}

fn what_is_no_program_is_refused() {
    let directory = file::open(c"/", file::O_PATH, 0).unwrap();
    let error = process::execve_file(directory, &[c"x".into()], &[]);
    assert_eq!((error.call, error.errno), (Sysno::execveat, Errno::EACCES));
}

fn the_name_is_set() {
    in_child(0, || {
        process::set_name(c"a name of more than 15").unwrap();
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(name, "a name of more \n");
    });
}

/// prctl(2): the signal comes when the parent ends, and is given up by 0.
fn a_parents_death_ends_a_child() {
    in_child(0, || {
        process::set_subreaper().unwrap();
        assert_eq!(end_of_one_left_behind(&[9]), Ended::Signalled(9));
        assert_eq!(end_of_one_left_behind(&[9, 0]), Ended::Exited(0));
        assert_eq!(end_of_one_left_behind(&[]), Ended::Exited(0));
    });
}

/// How a child ends that asked for these signals, when its parent ends and it is told to end.
fn end_of_one_left_behind(signals: &[u32]) -> Ended {
    let (from, to) = io::pipe().unwrap();
    let parent = start(|| {
        let (ready, tell) = io::pipe().unwrap();
        let mut with = (signals, &from, &tell);
        process::fork(
            Alone::check().unwrap(),
            0,
            None,
            &mut with,
            |(signals, from, tell)| {
                for signal in *signals {
                    process::set_parent_death_signal(*signal).unwrap();
                }
                io::write(tell, b"r").unwrap();
                io::read(from, &mut [0]).unwrap();
                process::exit(0)
            },
        )
        .unwrap();
        io::read(&ready, &mut [0]).unwrap();
    });
    parent.pass();
    // A signal is sent before the parent's end can be seen.
    io::write(&to, b"e").unwrap();
    any_end().1
}

/// The next child that ends.
fn any_end() -> (i32, Ended) {
    loop {
        match process::reap_any().unwrap() {
            Some(found) => return found,
            None => std::thread::yield_now(),
        }
    }
}

fn the_own_pid_is_the_namespaces() {
    let own = process::own_pid();
    assert_eq!(u32::try_from(own), Ok(std::process::id()));
    alone(|| assert_eq!(process::own_pid(), 1));
}
