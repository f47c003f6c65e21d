//! `process.terminal` and `process.consoleSize`: config.md, Process.

use crate::Attachment;
use crate::builder::Builder;
use kan_op::{HostStep, InitStep};

fn wanted(b: &Builder<'_>) -> bool {
    b.process().is_some_and(|process| process.terminal)
}

/// A terminal needs somebody who takes its other end, and only a terminal does.
pub(crate) fn check(b: &mut Builder<'_>) {
    let has_socket = b.request.console_socket.is_some();
    let detached = b.request.attachment == Attachment::Detached;
    if wanted(b) && detached && !has_socket {
        let why = "cannot allocate tty if kan will detach without setting console socket";
        b.problem("", why);
    }
    if has_socket && !(wanted(b) && detached) {
        b.problem(
            "",
            "cannot use console socket if kan will not detach or allocate tty",
        );
    }
}

/// Host: somebody must listen before anything is made. In the foreground kan itself does.
pub(crate) fn connect(b: &mut Builder<'_>) {
    if !wanted(b) {
        return;
    }
    match b.request.console_socket.clone() {
        Some(path) => b.host(
            "--console-socket",
            HostStep::ConnectConsole { path: Some(path) },
        ),
        None => b.host("process.terminal", HostStep::ConnectConsole { path: None }),
    }
}

/// Init: a terminal from the container's own devpts.
pub(crate) fn open(b: &mut Builder<'_>) {
    let Some(process) = b.process().filter(|process| process.terminal) else {
        return;
    };
    let size = process.console_size.map(|size| (size.width, size.height));
    let uid = process.user.uid;
    let field = if size.is_some() {
        "process.consoleSize"
    } else {
        "process.terminal"
    };
    // In the foreground kan receives it, whose own terminal translates: docs/terminals.md.
    let newlines = b.request.attachment == Attachment::Detached;
    let step = InitStep::OpenTerminal {
        size,
        uid,
        newlines,
    };
    b.init(field, step);
}

/// Init: the container's first terminal is its console as well.
pub(crate) fn bind_console(b: &mut Builder<'_>) {
    if wanted(b) {
        b.init("process.terminal", InitStep::BindConsole);
    }
}

/// Init: the master goes to whoever waits for it.
pub(crate) fn send(b: &mut Builder<'_>) {
    if wanted(b) {
        b.init("process.terminal", InitStep::SendTerminal);
    }
}

/// Init: the terminal becomes stdin, stdout and stderr.
pub(crate) fn use_as_stdio(b: &mut Builder<'_>) {
    if wanted(b) {
        b.init("process.terminal", InitStep::UseTerminal);
        if !b.clones {
            b.init("process.terminal", InitStep::ControlTerminal);
        }
    }
}
