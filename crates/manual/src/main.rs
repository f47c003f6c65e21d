//! Writes kan's manual pages and shell completions, from the command line that kan itself reads.
//! A program of its own, so that kan need not carry it.
//!
//! `kan-manual DIR` makes in DIR what an installation has below its `share`.

use clap::Command;
use clap_complete::aot::{Bash, Elvish, Fish, Zsh, generate};
use std::fs::{File, create_dir_all};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(share) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return complain("usage: kan-manual DIR");
    };
    let written = pages(&share.join("man/man8")).and_then(|()| completions(&share));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{}: {error}", share.display())),
    }
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// `kan.8`, and `kan-COMMAND.8` for each command.
fn pages(directory: &Path) -> io::Result<()> {
    create_dir_all(directory)?;
    let mut kan = kan::command();
    kan.build();
    page(kan.clone(), "kan", directory)?;
    for command in kan.get_subcommands() {
        let name = format!("kan-{}", command.get_name());
        page(command.clone(), &name, directory)?;
    }
    Ok(())
}

fn page(command: Command, name: &str, directory: &Path) -> io::Result<()> {
    let mut file = File::create(directory.join(format!("{name}.8")))?;
    // The template for the terminal says nothing to the writer of pages.
    let man = clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .section("8")
        .source(concat!("kan ", env!("CARGO_PKG_VERSION")));
    man.render(&mut file)
}

/// Each where its shell looks for those of programs.
fn completions(share: &Path) -> io::Result<()> {
    let mut kan = kan::command();
    let open = |path: &str| {
        let path = share.join(path);
        path.parent().map_or(Ok(()), create_dir_all)?;
        File::create(path)
    };
    let mut bash = open("bash-completion/completions/kan")?;
    generate(Bash, &mut kan, "kan", &mut bash);
    let mut zsh = open("zsh/site-functions/_kan")?;
    generate(Zsh, &mut kan, "kan", &mut zsh);
    let mut fish = open("fish/vendor_completions.d/kan.fish")?;
    generate(Fish, &mut kan, "kan", &mut fish);
    let mut elvish = open("elvish/lib/kan.elv")?;
    generate(Elvish, &mut kan, "kan", &mut elvish);
    Ok(())
}
