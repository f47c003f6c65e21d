//! Every command and flag of the runc that is installed is there, and docs/cli.md says so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and speak"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is not made yet.
const LATER: [&str; 2] = ["checkpoint", "restore"];

const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- end of table -->";

/// A program with a command line like runc's.
struct Program(PathBuf);

impl Program {
    fn ask(&self, args: &[&str]) -> String {
        let output = Command::new(&self.0).args(args).output().unwrap();
        assert!(output.status.success(), "{}: {args:?}", self.0.display());
        String::from_utf8(output.stdout).unwrap()
    }

    fn commands(&self) -> BTreeSet<String> {
        let help = self.ask(&["--help"]);
        let names = help
            .lines()
            .skip_while(|line| !line.starts_with("COMMANDS"));
        let names = names.skip(1).take_while(|line| !line.trim().is_empty());
        names
            .map(|line| line.trim().split([',', ' ']).next().unwrap().to_owned())
            .collect()
    }

    /// The long options that a help names at the beginning of a line.
    fn flags(&self, args: &[&str]) -> BTreeSet<String> {
        let help = self.ask(args);
        let flags = help.lines().filter_map(|line| {
            let line = line.trim();
            let line = match line.strip_prefix('-') {
                Some(rest) if !rest.starts_with('-') => rest.split_once(", ")?.1,
                _ => line,
            };
            let name = line.strip_prefix("--")?;
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            Some(name[..end.unwrap_or(name.len())].to_owned())
        });
        flags.filter(|name| name != "help").collect()
    }

    fn flags_of(&self, command: &str) -> BTreeSet<String> {
        let mut all = self.flags(&[command, "--help"]);
        // clap lists global options with every command.
        let own = command == "spec";
        for global in self.flags(&["--help"]) {
            if !(own && global == "rootless") {
                all.remove(&global);
            }
        }
        all
    }
}

fn runc() -> Option<Program> {
    let path = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&path).map(|dir| dir.join("runc"));
    all.find(|file| file.is_file()).map(Program)
}

fn listed(flags: impl Iterator<Item = String>) -> String {
    let flags: Vec<_> = flags.map(|flag| format!("`--{flag}`")).collect();
    flags.join(" ")
}

/// A row: what both have and what kan alone has.
fn row(name: &str, theirs: &BTreeSet<String>, ours: &BTreeSet<String>) -> String {
    let missing: Vec<_> = theirs.difference(ours).collect();
    assert!(missing.is_empty(), "{name}: kan lacks {missing:?}");
    let both = listed(theirs.iter().cloned());
    let alone = listed(ours.difference(theirs).cloned());
    format!("| {name} | {both} | {alone} |\n")
}

fn table(kan: &Program, runc: &Program, version: &str) -> String {
    let mut table = format!("| | as in {version} | in kan only |\n|---|---|---|\n");
    // Hidden in kan, which has no use for it: a flag of old engines.
    let mut globals = kan.flags(&["--help"]);
    globals.insert("criu".into());
    table += &row("global options", &runc.flags(&["--help"]), &globals);
    let (theirs, ours) = (runc.commands(), kan.commands());
    for name in &theirs {
        let shown = format!("`{name}`");
        if LATER.contains(&name.as_str()) {
            assert!(!ours.contains(name), "{name} is there now");
            let _ = writeln!(table, "| {shown} | not yet | |");
            continue;
        }
        assert!(ours.contains(name), "kan lacks {name}");
        let flags = if name == "help" {
            Default::default()
        } else {
            runc.flags_of(name)
        };
        table += &row(&shown, &flags, &kan.flags_of(name));
    }
    for name in ours.difference(&theirs) {
        table += &row(&format!("`{name}`"), &BTreeSet::new(), &kan.flags_of(name));
    }
    table
}

#[test]
fn every_command_and_flag_of_runc_is_there() {
    let Some(runc) = runc() else {
        println!("skipped: no runc in PATH");
        return;
    };
    let version = runc.ask(&["--version"]);
    let version = version.lines().next().unwrap().replace(" version", "");
    let kan = Program(env!("CARGO_BIN_EXE_kan").into());
    let fresh = table(&kan, &runc, &version);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KAN_GOLDEN").is_some() {
        std::fs::write(&path, [before, BEGIN, &fresh, END, after].concat()).unwrap();
    } else if written.contains(&version) {
        assert!(
            written == fresh,
            "docs/cli.md is not what it should be:\n{fresh}"
        );
    } else {
        println!("docs/cli.md was made with another runc than {version}: not compared");
    }
}
