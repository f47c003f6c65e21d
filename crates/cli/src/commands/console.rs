//! `console`: the other end of `--console-socket`.

use crate::ExitCode;
use crate::args::shapes::given_path;
use crate::verb::{Call, Count, Outcome, Verb};
use clap::{Arg, value_parser};
use std::path::PathBuf;

pub(super) const VERB: Verb = Verb {
    name: "console",
    about: "receive the terminal of a container over a console socket",
    examples: &[
        "kan console /tmp/console.sock &",
        "kan create --bundle /containers/shell --console-socket /tmp/console.sock shell",
        "kan start shell",
    ],
    count: Count::Exactly(1),
    args: |command| {
        command.arg(
            Arg::new("socket")
                .value_name("SOCKET")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("where to listen: the path that create --console-socket is given"),
        )
    },
    run,
};

fn run(call: &Call<'_>) -> Outcome {
    let socket = given_path(call.matches, "socket").unwrap_or_default();
    let code = kan_lifecycle::receive_console(&socket)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}
