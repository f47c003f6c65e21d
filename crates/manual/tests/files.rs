//! What is written names every command, and the shell that is here can use it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;

/// A folder with everything, gone afterwards.
struct Share(PathBuf);

impl Share {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kan-manual-{name}-{}", std::process::id()));
        let mut tool = Command::new(env!("CARGO_BIN_EXE_kan-manual"));
        assert!(tool.arg(&path).status().unwrap().success());
        Self(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).unwrap()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_command_has_a_page_and_every_flag_is_on_it() {
    let share = Share::new("pages");
    let kan = kan::command();
    let overview = share.read("man/man8/kan.8");
    assert!(overview.contains(".TH KAN 8"), "{overview}");
    for command in kan.get_subcommands() {
        let name = command.get_name();
        let page = share.read(&format!("man/man8/kan-{name}.8"));
        assert!(overview.contains(name), "{name}");
        for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
            assert!(
                page.contains(&format!(".SH \"{section}\"")),
                "{name}: {section}"
            );
        }
        assert!(page.contains(".SH EXAMPLES"), "{name} has no example");
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            let escaped = flag.replace('-', "\\-");
            assert!(page.contains(&escaped), "{name} --{flag}: {page}");
        }
    }
}

#[test]
fn every_shell_completes_every_command() {
    let share = Share::new("shells");
    for path in [
        "bash-completion/completions/kan",
        "zsh/site-functions/_kan",
        "fish/vendor_completions.d/kan.fish",
        "elvish/lib/kan.elv",
    ] {
        let script = share.read(path);
        for command in kan::command().get_subcommands() {
            assert!(script.contains(command.get_name()), "{path}");
        }
        assert!(script.contains("console-socket"), "{path}");
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let share = Share::new("bash");
    let script = share.0.join("bash-completion/completions/kan");
    let complete = |words: &str, current: &str| {
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _kan kan {current:?} ''; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete("kan sta", "sta"), "start state\n");
    let flags = complete("kan exec --pi", "--pi");
    assert_eq!(flags, "--pid-file --pidfd-socket\n");
}
