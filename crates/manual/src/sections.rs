//! What a manual page says beside a command's options, man-pages(7).

use std::io::{self, Write};

/// EXIT STATUS by command; the others have [`USUAL`].
const EXIT: &[(&str, &[(&str, &str)])] = &[
    (
        "kan-run",
        &[
            ("N", "The container's first process exited with N."),
            (
                "128+N",
                "Signal N ended it, or signal N stopped kan while the container was created.",
            ),
            ("0", "With --detach: the container runs."),
            ("1", "The container could not be created or started."),
        ],
    ),
    (
        "kan-exec",
        &[
            ("N", "The process exited with N."),
            (
                "128+N",
                "Signal N ended it, or signal N stopped kan before it ran.",
            ),
            ("0", "With --detach: it runs."),
            ("255", "It could not be started."),
        ],
    ),
    (
        "kan-check",
        &[
            (
                "0",
                "create and start would succeed; there may be warnings.",
            ),
            (
                "1",
                "create or start would fail, or the bundle cannot be read.",
            ),
        ],
    ),
    (
        "kan-doctor",
        &[
            ("0", "This host can run containers; there may be warnings."),
            ("1", "Something is missing that containers need."),
        ],
    ),
];

const USUAL: &[(&str, &str)] = &[
    ("0", "Success."),
    (
        "1",
        "Failure. One line on standard error says what failed, why, and what to do.",
    ),
    (
        "128+N",
        "Signal N (SIGTERM, SIGINT or SIGHUP) stopped kan while it waited.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "XDG_RUNTIME_DIR",
        "For a user who is not root: the state of containers is below $XDG_RUNTIME_DIR/kan.",
    ),
    (
        "NOTIFY_SOCKET",
        "create, run and start: the container's readiness is reported there, sd_notify(3).",
    ),
    (
        "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
        "create and run: sockets that a service manager passes to the container, sd_listen_fds(3).",
    ),
    (
        "NO_COLOR",
        "check and doctor: no colours, even on a terminal.",
    ),
    (
        "PATH",
        "newuidmap(1), newgidmap(1) and ps(1) are looked up in it.",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("/run/kan/ID", "The state of the container ID; see --root."),
    (
        "config.json",
        "In the bundle: what to run, as the OCI runtime specification defines it.",
    ),
];

/// The sections after OPTIONS.
pub fn write(to: &mut impl Write, name: &str, examples: &[&str], all: &[String]) -> io::Result<()> {
    let own = EXIT.iter().find(|(command, _)| *command == name);
    list(to, "EXIT STATUS", own.map_or(USUAL, |(_, own)| own))?;
    list(to, "ENVIRONMENT", ENVIRONMENT)?;
    list(to, "FILES", FILES)?;
    if !examples.is_empty() {
        writeln!(to, ".SH EXAMPLES\n.nf")?;
        for line in examples {
            writeln!(to, "{}", escaped(line))?;
        }
        writeln!(to, ".fi")?;
    }
    let others = all.iter().map(String::as_str).chain(["kan"]);
    let others = others.filter(|other| *other != name);
    let references: Vec<_> = others
        .map(|other| format!("\\fB{}\\fR(8)", escaped(other)))
        .collect();
    writeln!(to, ".SH \"SEE ALSO\"")?;
    writeln!(to, "{},", references.join(",\n"))?;
    writeln!(to, "https://github.com/opencontainers/runtime-spec")
}

fn list(to: &mut impl Write, title: &str, entries: &[(&str, &str)]) -> io::Result<()> {
    writeln!(to, ".SH \"{title}\"")?;
    for (term, text) in entries {
        writeln!(to, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(text))?;
    }
    Ok(())
}

/// roff(7): a backslash begins an escape, and a hyphen that is typed is not one of the text.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
