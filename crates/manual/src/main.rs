//! Writes kan's manual pages and shell completions, from the command line that kan itself reads.
//! A program of its own, so that kan need not carry it.
//!
//! `kan-manual DIR` makes in DIR what an installation has below its `share`.

mod sections;

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
    let names: Vec<_> = kan.get_subcommands().map(page_name).collect();
    page(kan.clone(), "kan", &names, directory)?;
    for command in kan.get_subcommands() {
        page(command.clone(), &page_name(command), &names, directory)?;
    }
    Ok(())
}

fn page_name(command: &Command) -> String {
    format!("kan-{}", command.get_name())
}

fn page(command: Command, name: &str, all: &[String], directory: &Path) -> io::Result<()> {
    let mut file = File::create(directory.join(format!("{name}.8")))?;
    // The template for the terminal says nothing to the writer of pages.
    let examples = kan::examples(command.get_name());
    let command = command.after_help("");
    let man = clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .section("8")
        .source(concat!("kan ", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut file)?;
    man.render_name_section(&mut file)?;
    man.render_synopsis_section(&mut file)?;
    man.render_description_section(&mut file)?;
    man.render_options_section(&mut file)?;
    if name == "kan" {
        man.render_subcommands_section(&mut file)?;
    }
    sections::write(&mut file, name, examples, all)
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
