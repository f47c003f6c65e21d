//! The plan of every bundle, against `plan.txt` beside it. `KAN_GOLDEN=write` writes the files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use kan_plan::{Attachment, Facts, Request, lines, plan_create, table};
use std::path::{Path, PathBuf};

fn bundles() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bundles");
    let entries = std::fs::read_dir(all)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut bundles: Vec<_> = entries
        .filter(|path| path.join("config.json").is_file())
        .collect();
    bundles.sort();
    bundles
}

/// Fixed facts and paths, so that the plan does not depend on the machine.
fn plan_text(bundle: &Path) -> String {
    let id = bundle.file_name().unwrap().to_str().unwrap();
    let config = kan_spec::Bundle::open(bundle, None).unwrap().config;
    let terminal = config
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    let request = Request {
        id: id.to_owned(),
        bundle: format!("/bundles/{id}"),
        wait_for_start: true,
        attachment: Attachment::Detached,
        pid_file: None,
        console_socket: terminal.then(|| "SOCKET".to_owned()),
        pidfd_socket: None,
        notify: false,
        preserve_fds: 0,
        no_pivot: false,
        new_keyring: true,
    };
    table(&lines(
        &plan_create(&config, &Facts::example(id), &request).unwrap(),
    ))
}

#[test]
fn golden() {
    assert!(bundles().len() >= 2);
    for bundle in bundles() {
        let (path, text) = (bundle.join("plan.txt"), plan_text(&bundle));
        if std::env::var_os("KAN_GOLDEN").is_some_and(|mode| mode == "write") {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == golden,
            "{} is not the plan of today; `just golden` writes it anew, look at the difference",
            path.display()
        );
    }
}
