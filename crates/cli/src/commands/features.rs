//! `kan features`: features.md.

use crate::ExitCode;
use crate::output;
use crate::verb::{Call, Count, Outcome, Verb};
use kan_seccomp::flags;
use kan_spec::config::{ClosedSet, SeccompFlag};
use kan_sys::credentials::knows_filter_flags;

pub(super) const VERB: Verb = Verb {
    name: "features",
    about: "print the features of kan as JSON (features.md)",
    examples: &["kan features | jq .linux.seccomp"],
    count: Count::Exactly(0),
    args: |command| command,
    run,
};

fn run(_: &Call<'_>) -> Outcome {
    let flags = SeccompFlag::VALUES.iter().map(|(_, flag)| *flag);
    let mut implemented = kan_plan::implemented();
    implemented.seccomp_flags = flags.filter(|flag| knows(*flag)).collect();
    implemented.annotations = vec![
        ("kan.commit", option_env!("KAN_COMMIT").unwrap_or("unknown")),
        ("kan.version", env!("CARGO_PKG_VERSION")),
    ];
    output::print(&kan_spec::features::features(&implemented));
    Ok(ExitCode::SUCCESS)
}

/// Whether the running kernel takes the flag, or need not.
fn knows(flag: SeccompFlag) -> bool {
    knows_filter_flags(match flag {
        // Nothing is asked of the kernel for it.
        SeccompFlag::Tsync => return true,
        SeccompFlag::Log => flags::LOG,
        SeccompFlag::SpecAllow => flags::SPEC_ALLOW,
        SeccompFlag::WaitKillableRecv => flags::WAIT_KILLABLE_RECV | flags::NEW_LISTENER,
    })
}
