//! Figures of the default profiles, and the bar on the time to compile them; built with `--release`.
//!
//! The exit status is 1 if the bar is missed.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kan_conformance_seccomp::profiles::{DOCKER, PODMAN, parse};
use kan_seccomp::{Actions, Instruction, Scope, SeccompData, Target, compile, flags, number, run};
use kan_spec::config::{SeccompArch, SeccompProfile};

/// The bar for the median time to compile a default profile.
const BAR: Duration = Duration::from_micros(500);
/// Rounds of which the median is taken.
const ROUNDS: usize = 501;

/// Calls that programs make all the time, and some that the profiles deny.
const HOT: [&str; 20] = [
    "read",
    "write",
    "close",
    "fstat",
    "lseek",
    "mmap",
    "mprotect",
    "brk",
    "rt_sigaction",
    "ioctl",
    "pread64",
    "readv",
    "writev",
    "poll",
    "futex",
    "epoll_wait",
    "recvfrom",
    "sendto",
    "openat",
    "clock_gettime",
];
const DENIED: [&str; 6] = [
    "bpf",
    "kexec_load",
    "init_module",
    "open_by_handle_at",
    "acct",
    "mseal",
];

fn main() -> ExitCode {
    let mut held = true;
    for (name, text) in [("podman", PODMAN), ("docker", DOCKER)] {
        match figures(name, &parse(text)) {
            Ok(median) => held &= median <= BAR,
            Err(error) => return failed(&error),
        }
    }
    if held {
        ExitCode::SUCCESS
    } else {
        failed("compiling takes longer than the bar")
    }
}

fn failed(why: &str) -> ExitCode {
    // Nothing is left to do if that fails, too.
    let _ = writeln!(io::stderr(), "{why}");
    ExitCode::FAILURE
}

fn figures(name: &str, profile: &SeccompProfile) -> Result<Duration, String> {
    let target = Target {
        native: SeccompArch::X86_64,
        scope: Scope::Native,
        flags: flags::ALL,
        actions: Actions::ALL,
        stub: true,
    };
    let filter = compile(profile, &target).map_err(|problems| format!("{problems:?}"))?;
    let median = median(|| {
        let compiled = compile(profile, &target).map(|filter| filter.program.len());
        std::hint::black_box(compiled).is_ok()
    });
    let mut lines = vec![format!("{name}: compiled in {} us", micros(median))];
    lines.push(steps("kan", &filter.program));
    #[cfg(feature = "libseccomp")]
    libseccomp(profile, &mut lines)?;
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").map_err(|error| error.to_string())?;
    }
    Ok(median)
}

#[cfg(feature = "libseccomp")]
fn libseccomp(profile: &SeccompProfile, lines: &mut Vec<String>) -> Result<(), String> {
    use kan_conformance_seccomp::libseccomp::{Layout, compile};
    for (name, layout) in [
        ("libseccomp", Layout::Linear),
        ("libseccomp tree", Layout::Tree),
    ] {
        let begin = Instant::now();
        let program = compile(profile, &profile.architectures, layout)
            .map_err(|status| format!("libseccomp: {status}"))?;
        lines.push(format!(
            "{}, {} us",
            steps(name, &program),
            micros(begin.elapsed())
        ));
    }
    Ok(())
}

fn micros(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

fn median(mut work: impl FnMut() -> bool) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            assert!(work(), "compiled before");
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// How many instructions a program has and executes.
fn steps(name: &str, program: &[Instruction]) -> String {
    let of = |calls: &[&str]| {
        let steps = calls.iter().filter_map(|call| {
            let number = number(SeccompArch::X86_64, call)?;
            let data = SeccompData::new(SeccompArch::X86_64, number, [1; 6]);
            Some(run(program, &data).ok()?.steps)
        });
        let steps: Vec<_> = steps.collect();
        let sum: usize = steps.iter().sum();
        format!(
            "{} ({} at most)",
            sum / steps.len(),
            steps.iter().max().unwrap_or(&0)
        )
    };
    format!(
        "  {name}: {} instructions, executed for hot calls {}, for denied ones {}",
        program.len(),
        of(&HOT),
        of(&DENIED)
    )
}
