//! Where and when the process runs: scheduler, I/O priority, CPUs, personality, memory, time.

use crate::harness::{Test, alone, skip, tests};
use crate::scene::{c, perform, refused, set};
use kan_op::InitStep;
use kan_op::init::Scheduling;
use kan_sys::namespace::CLONE_NEWTIME;
use kan_sys::{Errno, Sysno, memory};
use rustix::thread::sched_getaffinity;
use std::fs;

pub const TESTS: &[Test] = &tests![
    crate::schedule::the_scheduler_is_set,
    crate::schedule::a_deadline_has_its_three_times,
    crate::schedule::an_unknown_policy_is_refused,
    crate::schedule::the_io_priority_is_set,
    crate::schedule::the_cpus_are_set,
    crate::schedule::no_cpu_at_all_is_refused,
    crate::schedule::the_personality_is_set,
    crate::schedule::the_memory_policy_is_set,
    crate::schedule::the_time_namespace_is_entered,
];

/// A field of /proc/self/stat by its number, proc_pid_stat(5).
fn stat(number: usize) -> String {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    // Counted from behind the name, which is the second and may hold spaces.
    let (_, behind) = text.rsplit_once(") ").unwrap();
    behind.split(' ').nth(number - 3).unwrap().into()
}

const BATCH: Scheduling = Scheduling {
    policy: 3,
    flags: 0,
    nice: 7,
    priority: 0,
    runtime: 0,
    deadline: 0,
    period: 0,
};

pub fn the_scheduler_is_set() {
    alone(|| {
        set();
        assert_ne!((stat(19), stat(41)), ("7".into(), "3".into()));
        assert_eq!(perform(&[InitStep::SetScheduler(BATCH)]), Ok(()));
        assert_eq!((stat(19), stat(41)), ("7".into(), "3".into()));
    });
}

fn deadline(runtime: u64, deadline: u64, period: u64) -> InitStep {
    InitStep::SetScheduler(Scheduling {
        policy: 6,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime,
        deadline,
        period,
    })
}

/// sched(7): runtime <= deadline <= period.
fn a_deadline_has_its_three_times() {
    alone(|| {
        set();
        let invalid = refused(0, Sysno::sched_setattr, Errno::EINVAL);
        let after = deadline(2_000_000, 1_000_000, 3_000_000);
        assert_eq!(perform(&[after]), invalid);
        let beyond = deadline(1_000_000, 3_000_000, 2_000_000);
        assert_eq!(perform(&[beyond]), invalid);
        let found = perform(&[deadline(1_000_000, 2_000_000, 3_000_000)]);
        // A machine that is shared may have no time to promise, sched(7).
        for errno in [Errno::EBUSY, Errno::EPERM] {
            if found == refused(0, Sysno::sched_setattr, errno) {
                skip("no time for a deadline task");
            }
        }
        assert_eq!((found, stat(41)), (Ok(()), "6".into()));
    });
}

fn an_unknown_policy_is_refused() {
    alone(|| {
        set();
        let unknown = Scheduling {
            policy: 99,
            ..BATCH
        };
        let found = perform(&[InitStep::SetScheduler(unknown)]);
        assert_eq!(found, refused(0, Sysno::sched_setattr, Errno::EINVAL));
        let flags = Scheduling {
            flags: 1 << 40,
            ..BATCH
        };
        let found = perform(&[InitStep::SetScheduler(flags)]);
        assert_eq!(found, refused(0, Sysno::sched_setattr, Errno::EINVAL));
    });
}

pub fn the_io_priority_is_set() {
    alone(|| {
        set();
        let (idle, best_effort) = (3 << 13, 2 << 13 | 6);
        for wanted in [idle, best_effort] {
            assert_eq!(perform(&[InitStep::SetIoPriority(wanted)]), Ok(()));
            // SAFETY: plain numbers: IOPRIO_WHO_PROCESS, the calling process.
            let found = unsafe { syscalls::syscall!(Sysno::ioprio_get, 1, 0) };
            assert_eq!(found, Ok(usize::try_from(wanted).unwrap()));
        }
        let found = perform(&[InitStep::SetIoPriority(5 << 13)]);
        assert_eq!(found, refused(0, Sysno::ioprio_set, Errno::EINVAL));
    });
}

pub fn the_cpus_are_set() {
    alone(|| {
        set();
        let own = sched_getaffinity(None).unwrap();
        let first = (0..64).find(|cpu| own.is_set(*cpu)).unwrap();
        let one = InitStep::SetAffinity(vec![1 << first]);
        assert_eq!(perform(&[one]), Ok(()));
        let found = sched_getaffinity(None).unwrap();
        assert!(found.is_set(first) && found.count() == 1);
        // As the plan has it: all that any machine may have.
        let all = InitStep::SetAffinity(vec![u64::MAX; 128]);
        assert_eq!(perform(&[all]), Ok(()));
        assert!(sched_getaffinity(None).unwrap().count() >= own.count());
    });
}

fn no_cpu_at_all_is_refused() {
    alone(|| {
        set();
        for none in [vec![], vec![0], vec![0; 200]] {
            let found = perform(&[InitStep::SetAffinity(none)]);
            assert_eq!(found, refused(0, Sysno::sched_setaffinity, Errno::EINVAL));
        }
    });
}

pub fn the_personality_is_set() {
    alone(|| {
        set();
        // PER_LINUX32 of personality(2): 32-bit programs find a 32-bit machine.
        assert_eq!(perform(&[InitStep::SetPersonality(8)]), Ok(()));
        let found = fs::read_to_string("/proc/self/personality").unwrap();
        assert_eq!(found, "00000008\n");
    });
}

pub fn the_memory_policy_is_set() {
    alone(|| {
        set();
        // MPOL_BIND to the first node, and MPOL_DEFAULT, which takes none.
        let bind = InitStep::SetMemoryPolicy {
            mode: 2,
            nodes: vec![1],
        };
        let found = perform(std::slice::from_ref(&bind));
        if found == refused(0, Sysno::set_mempolicy, Errno::ENOSYS) {
            skip("this kernel has no memory policies");
        }
        assert_eq!((found, memory_policy()), (Ok(()), (2, 1)));
        let default = InitStep::SetMemoryPolicy {
            mode: 0,
            nodes: vec![],
        };
        assert_eq!(perform(&[default]), Ok(()));
        assert_eq!(memory_policy(), (0, 0));
        let nowhere = InitStep::SetMemoryPolicy {
            mode: 2,
            nodes: vec![0, 1 << 63],
        };
        let found = perform(&[nowhere]);
        assert_eq!(found, refused(0, Sysno::set_mempolicy, Errno::EINVAL));
    });
}

/// get_mempolicy(2): the mode and the first 64 nodes.
fn memory_policy() -> (i32, u64) {
    let (mut mode, mut nodes) = (0i32, [0u64; 128]);
    let bits = nodes.len() * 64;
    let (to, mask) = (&raw mut mode, nodes.as_mut_ptr());
    // SAFETY: both are writable, the mask for its bits.
    unsafe { syscalls::syscall!(Sysno::get_mempolicy, to, mask, bits, 0, 0) }.unwrap();
    (mode, nodes[0])
}

pub fn the_time_namespace_is_entered() {
    alone(|| {
        set();
        let namespace = || fs::read_link("/proc/self/ns/time").unwrap();
        let before = namespace();
        let steps = [
            InitStep::Unshare {
                flags: CLONE_NEWTIME,
            },
            InitStep::WriteProc {
                file: c("self/timens_offsets"),
                value: c("monotonic 100000 0\n"),
            },
        ];
        assert_eq!(perform(&steps), Ok(()));
        assert_eq!(namespace(), before, "the children's alone");
        let earlier = memory::monotonic_ns();
        assert_eq!(perform(&[InitStep::EnterTimeNamespace]), Ok(()));
        assert_ne!(namespace(), before);
        let passed = memory::monotonic_ns() - earlier;
        assert!((100_000..100_060).contains(&(passed / 1_000_000_000)));
    });
}
