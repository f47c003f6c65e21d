//! `create`, and what `run` has in common with it.

use super::timed::{record, seal, timeline, warn};
use crate::ExitCode;
use crate::args::shapes::{self, absolute, bundle, flag, has, id, path};
use crate::verb::{Call, Count, Failure, Outcome, Verb};
use clap::Command;
use kan_lifecycle::{Activation, CreateOptions};

pub(super) const VERB: Verb = Verb {
    name: "create",
    about: "create a container that waits for start",
    examples: &[
        "kan create --bundle /containers/web --pid-file /run/web.pid web",
        "kan start web",
    ],
    count: Count::Exactly(1),
    args: making,
    run,
};

/// The flags of `create` and `run`.
pub(super) fn making(command: Command) -> Command {
    command.args([
        shapes::bundle_arg(),
        shapes::config_arg(),
        path("pid-file", "FILE", "write the container's pid to a file"),
        path(
            "console-socket",
            "SOCKET",
            "send the PTY master over this socket",
        ),
        path(
            "pidfd-socket",
            "SOCKET",
            "send a pidfd of the container over this socket",
        ),
        shapes::preserve_fds(),
        flag(
            "no-pivot",
            "do not use pivot_root; for hosts that run from an initramfs",
        ),
        flag("no-new-keyring", "keep the caller's session keyring"),
        shapes::id_arg(),
    ])
}

/// What these flags say.
pub(super) fn options(call: &Call<'_>) -> Result<CreateOptions, Failure> {
    let matches = call.matches;
    Ok(CreateOptions {
        id: id(matches).to_owned(),
        bundle: bundle(matches),
        config: absolute(matches, "config")?,
        pid_file: absolute(matches, "pid-file")?,
        console_socket: absolute(matches, "console-socket")?,
        pidfd_socket: absolute(matches, "pidfd-socket")?,
        activation: Activation::from_environment(),
        preserve_fds: matches.get_one("preserve-fds").copied().unwrap_or(0),
        cgroups: call.globals.cgroups,
        no_pivot: has(matches, "no-pivot"),
        no_new_keyring: has(matches, "no-new-keyring"),
        detach: has(matches, "detach"),
        keep: has(matches, "keep"),
        no_subreaper: has(matches, "no-subreaper"),
    })
}

fn run(call: &Call<'_>) -> Outcome {
    seal(call)?;
    let options = options(call)?;
    let mut timeline = timeline(call);
    let made = kan_lifecycle::create(&call.store, &options, &mut timeline);
    let recorded = record(call, &timeline);
    made?;
    warn(call, &timeline);
    recorded.map(|()| ExitCode::SUCCESS)
}
