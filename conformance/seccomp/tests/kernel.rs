//! Filters in the kernel: it takes them and enforces what they say. No privilege is needed.

#![cfg(target_arch = "x86_64")]
#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(unsafe_code, reason = "system calls of a forked child")]

use kan_conformance_seccomp::profiles::{DOCKER, PODMAN, parse};
use kan_seccomp::{
    Actions, Filter, LONGEST, Scope, SeccompData, Target, compile, flags, number, run,
};
use kan_spec::config::{SeccompArch, SeccompProfile};

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Exited(i32),
    Killed(i32),
}

/// What the child exits with if the kernel refuses the filter.
const REFUSED: i32 = 99;

fn filter(profile: &SeccompProfile) -> Filter {
    let target = Target {
        native: SeccompArch::X86_64,
        scope: Scope::Native,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub: true,
    };
    compile(profile, &target).unwrap()
}

/// Loads the filter; what seccomp(2) returns.
fn load(filter: &Filter) -> i64 {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const kan_seccomp::Instruction,
    }
    let program = Program {
        length: u16::try_from(filter.program.len()).unwrap_or(u16::MAX),
        instructions: filter.program.as_ptr(),
    };
    // SAFETY: the program outlives both calls, and Instruction is laid out as sock_filter.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        libc::syscall(libc::SYS_seccomp, mode, filter.flags, &raw const program)
    }
}

/// Runs `work` under the filter in a child, which exits with its result. `work` must not allocate:
/// the other threads of the test are not there.
fn under(filter: &Filter, work: impl FnOnce(i64) -> i32) -> End {
    // SAFETY: the child makes system calls only, and ends with _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        let loaded = load(filter);
        let code = if loaded < 0 { REFUSED } else { work(loaded) };
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and nobody else waits for it.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFSIGNALED(status) {
        End::Killed(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}

/// Makes a call and returns its errno, 0 for success.
fn errno_of(number: i64, args: [u64; 6]) -> i32 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: called for what a filter denies, or for what needs no memory.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap_or(-1),
        _ => 0,
    }
}

/// Makes a call as a 32-bit program does; the result, or minus the errno.
fn int80(number: u32, first: u32) -> i32 {
    let result: u32;
    // SAFETY: called for what needs no memory. rbx is put back, for LLVM keeps it for itself.
    unsafe {
        std::arch::asm!(
            "xchg {first:r}, rbx",
            "int 0x80",
            "xchg {first:r}, rbx",
            first = inout(reg) u64::from(first) => _,
            inlateout("eax") number => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            in("ecx") 0, in("edx") 0, in("esi") 0, in("edi") 0,
        );
    }
    result.cast_signed()
}

const EVERYTHING_ELSE_EPERM: &str = r#""defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]"#;

fn with(rules: &str) -> SeccompProfile {
    let always = r#"{"names": ["exit_group", "write"], "action": "SCMP_ACT_ALLOW"}"#;
    parse(&format!(
        r#"{{{EVERYTHING_ELSE_EPERM}, "listenerPath": "/agent",
        "syscalls": [{always}, {rules}]}}"#
    ))
}

fn getppid() -> i32 {
    errno_of(libc::SYS_getppid, [0; 6])
}

#[test]
fn errno_is_the_rules_or_the_default() {
    let filter = filter(&with(
        r#"{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
           {"names": ["getpgid"], "action": "SCMP_ACT_ALLOW"}"#,
    ));
    assert_eq!(under(&filter, |_| getppid()), End::Exited(libc::EACCES));
    let acct = |_| errno_of(libc::SYS_acct, [0; 6]);
    assert_eq!(under(&filter, acct), End::Exited(libc::EPERM));
    assert_eq!(
        under(&filter, |_| errno_of(libc::SYS_getpgid, [0; 6])),
        End::Exited(0)
    );
}

#[test]
fn calls_newer_than_the_profile_are_not_implemented() {
    let filter = filter(&with(
        r#"{"names": ["openat2"], "action": "SCMP_ACT_ALLOW"}"#,
    ));
    let newest = libc::SYS_openat2;
    assert_eq!(
        under(&filter, |_| errno_of(newest - 1, [0; 6])),
        End::Exited(libc::EPERM)
    );
    assert_eq!(
        under(&filter, |_| errno_of(newest + 1, [0; 6])),
        End::Exited(libc::ENOSYS)
    );
    assert_eq!(
        under(&filter, |_| errno_of(9999, [0; 6])),
        End::Exited(libc::ENOSYS)
    );
}

#[test]
fn arguments_count_in_all_their_bits() {
    // A descriptor that is none: what gets through fails with EBADF.
    let lseek = |offset: u64| errno_of(libc::SYS_lseek, [9999, offset, 0, 0, 0, 0]);
    let cases = [
        ("EQ", 0x1_0000_0005_u64, 0_u64, 0x1_0000_0005_u64, 5_u64),
        ("NE", 0x1_0000_0005, 0, 5, 0x1_0000_0005),
        ("GT", 0x1_0000_0005, 0, 0x1_0000_0006, 0xffff_ffff),
        ("GE", 0x1_0000_0005, 0, 0x1_0000_0005, 0x1_0000_0004),
        ("LT", 0x1_0000_0005, 0, 0xffff_ffff, 0x1_0000_0005),
        ("LE", 0x1_0000_0005, 0, 0x1_0000_0005, 0x2_0000_0000),
        (
            "MASKED_EQ",
            0xf_0000_000f,
            0x2_0000_0001,
            0x72_0000_0071,
            0x72_0000_0072,
        ),
    ];
    for (operator, value, value_two, holds, fails) in cases {
        let filter = filter(&with(&format!(
            r#"{{"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 1,
                "value": {value}, "valueTwo": {value_two}, "op": "SCMP_CMP_{operator}"}}]}}"#
        )));
        assert_eq!(
            under(&filter, |_| lseek(holds)),
            End::Exited(libc::EBADF),
            "{operator}"
        );
        assert_eq!(
            under(&filter, |_| lseek(fails)),
            End::Exited(libc::EPERM),
            "{operator}"
        );
    }
}

#[test]
fn killing_actions_kill() {
    for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"] {
        let rule = format!(r#"{{"names": ["getppid"], "action": "SCMP_ACT_{action}"}}"#);
        let filter = filter(&with(&rule));
        assert_eq!(
            under(&filter, |_| getppid()),
            End::Killed(libc::SIGSYS),
            "{action}"
        );
    }
}

#[test]
fn trap_can_be_caught_and_kill_can_not() {
    extern "C" fn handler(_: libc::c_int) {
        // SAFETY: ends the child.
        unsafe { libc::_exit(77) };
    }
    for (action, end) in [
        ("TRAP", End::Exited(77)),
        ("KILL", End::Killed(libc::SIGSYS)),
    ] {
        let rule = format!(
            r#"{{"names": ["getppid"], "action": "SCMP_ACT_{action}"}},
            {{"names": ["rt_sigaction"], "action": "SCMP_ACT_ALLOW"}}"#
        );
        let caught = |_| {
            let handler: extern "C" fn(libc::c_int) = handler;
            // SAFETY: the handler does nothing but end the child.
            unsafe { libc::signal(libc::SIGSYS, handler as libc::sighandler_t) };
            getppid()
        };
        assert_eq!(under(&filter(&with(&rule)), caught), end);
    }
}

#[test]
fn trace_without_a_tracer_is_not_implemented_and_log_lets_through() {
    for (action, errno) in [("TRACE", libc::ENOSYS), ("LOG", 0), ("ALLOW", 0)] {
        let rule = format!(r#"{{"names": ["getppid"], "action": "SCMP_ACT_{action}"}}"#);
        let filter = filter(&with(&rule));
        assert_eq!(
            under(&filter, |_| getppid()),
            End::Exited(errno),
            "{action}"
        );
    }
}

#[test]
fn notify_gives_a_listener() {
    let mut profile = with(r#"{"names": ["getppid"], "action": "SCMP_ACT_NOTIFY"}"#);
    let with_listener = filter(&profile);
    assert!(with_listener.needs_listener);
    let descriptor = |loaded| i32::from(loaded > 2);
    assert_eq!(under(&with_listener, descriptor), End::Exited(1));
    profile.flags = Some(vec![kan_spec::config::SeccompFlag::WaitKillableRecv]);
    assert_eq!(under(&filter(&profile), descriptor), End::Exited(1));
}

#[test]
fn the_kernel_takes_all_flags() {
    use kan_spec::config::SeccompFlag as F;
    let mut profile = with(r#"{"names": ["getppid"], "action": "SCMP_ACT_ALLOW"}"#);
    for flags in [
        None,
        Some(vec![]),
        Some(vec![F::Log, F::SpecAllow, F::Tsync, F::WaitKillableRecv]),
    ] {
        profile.flags = flags;
        assert_eq!(
            under(&filter(&profile), |_| getppid()),
            End::Exited(0),
            "{:?}",
            profile.flags
        );
    }
}

#[test]
fn programs_of_32_bits_meet_their_own_numbers() {
    if !runs_32_bits() {
        println!("skipped: the kernel does not run 32-bit programs");
        return;
    }
    let rule = r#"{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}"#;
    let both = filter(&with(rule));
    assert_eq!(under(&both, |_| -int80(64, 0)), End::Exited(libc::EACCES));
    // 64 is semget(2) on x86_64.
    assert_eq!(
        under(&both, |_| errno_of(64, [0; 6])),
        End::Exited(libc::EPERM)
    );
    let mut one = with(rule);
    one.architectures = vec![SeccompArch::X86_64];
    assert_eq!(
        under(&filter(&one), |_| -int80(64, 0)),
        End::Killed(libc::SIGSYS)
    );
}

fn runs_32_bits() -> bool {
    let getpid = filter(&with(
        r#"{"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}"#,
    ));
    under(&getpid, |_| i32::from(int80(20, 0) > 0)) == End::Exited(1)
}

#[test]
fn socket_calls_of_32_bits_go_through_socketcall() {
    let filter = filter(&with(
        r#"{"names": ["listen"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}"#,
    ));
    if !runs_32_bits() {
        println!("skipped: the kernel does not run 32-bit programs");
        return;
    }
    let listen = 4;
    assert_eq!(
        under(&filter, |_| -int80(102, listen)),
        End::Exited(libc::EACCES)
    );
    assert_eq!(
        under(&filter, |_| -int80(102, listen + 1)),
        End::Exited(libc::EPERM)
    );
    assert_eq!(
        under(&filter, |_| -int80(363, 0)),
        End::Exited(libc::EACCES)
    );
}

#[test]
fn x32_is_killed_unless_the_profile_has_it() {
    let rule = r#"{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}"#;
    let mut profile = with(rule);
    let x32 = |_| errno_of(libc::SYS_getppid | 0x4000_0000, [0; 6]);
    assert_eq!(under(&filter(&profile), x32), End::Killed(libc::SIGSYS));
    profile.architectures.push(SeccompArch::X32);
    assert_eq!(under(&filter(&profile), x32), End::Exited(libc::EACCES));
}

/// Every call that an engine's profile denies fails as the interpreter says.
#[test]
fn default_profiles_deny_in_the_kernel_what_the_interpreter_says() {
    for text in [PODMAN, DOCKER] {
        let filter = filter(&parse(text));
        let mut denied = Vec::new();
        // uretprobe and uprobe (Linux 6.14) go past every filter, and kill whoever makes them.
        let numbers = (0..600).filter(|nr| !(335..=336).contains(nr));
        for nr in numbers.chain([0x4000_0000, 0x4000_0200, 0x7fff_ffff]) {
            for args in [[0; 6], [16, 3, 9, 0, 0, 0], [u64::MAX; 6]] {
                let data = SeccompData::new(SeccompArch::X86_64, nr, args);
                let answer = run(&filter.program, &data).unwrap().answer;
                if answer >> 16 == 5 {
                    let errno = i32::try_from(answer & 0xffff).unwrap();
                    denied.push((i64::from(nr), args, errno));
                }
            }
        }
        assert!(denied.len() > 300, "{}", denied.len());
        let wrong = |&(nr, args, errno): &(i64, [u64; 6], i32)| errno_of(nr, args) != errno;
        let end = under(&filter, |_| i32::from(denied.iter().any(wrong)));
        assert_eq!(end, End::Exited(0));
        println!("{} denied calls", denied.len());
    }
}

/// A profile with about as many instructions as the kernel takes.
#[test]
fn a_long_program_jumps_right() {
    let mut rules = Vec::new();
    let getpgid = number(SeccompArch::X86_64, "getpgid").unwrap();
    for value in 0..650_u64 {
        let errno = 1 + value % 100;
        rules.push(format!(
            r#"{{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}, "args":
                [{{"index": 0, "value": {}, "op": "SCMP_CMP_EQ"}}]}}"#,
            value << 32 | (value * 7)
        ));
    }
    let mut profile = with(&rules.join(","));
    profile.architectures.clear();
    let filter = filter(&profile);
    assert!(
        filter.program.len() > LONGEST / 2,
        "{}",
        filter.program.len()
    );
    for value in [0, 1, 99, 100, 333, 648, 649_u64] {
        let args = [value << 32 | (value * 7), 0, 0, 0, 0, 0];
        let errno = i32::try_from(1 + value % 100).unwrap();
        let end = under(&filter, |_| errno_of(i64::from(getpgid), args));
        assert_eq!(end, End::Exited(errno), "{value}");
    }
    println!("{} instructions", filter.program.len());
}
