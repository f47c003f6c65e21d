//! The command line.

use std::path::PathBuf;

/// The names of all parts, in their order.
pub const PARTS: [&str; 15] = [
    "hybrid",
    "limit",
    "run",
    "seccomp",
    "podman",
    "life",
    "commands",
    "version",
    "memory",
    "calls",
    "instructions",
    "size",
    "items",
    "together",
    "alive",
];

/// What `bench --help` prints.
pub const USAGE: &str = "\
usage: bench [-n SAMPLES] [--full] [--check] [--json FILE] [--svg DIRECTORY] [--counts DIRECTORY]
             [--only PART,...]
             [--kan FILE] [--crun FILE] [--runc FILE] [--peer NAME=FILE]...

  -n SAMPLES   how often `run` is measured per runtime; the rest is measured half as often (200)
  --full       growth as well: with containers alive, mounts, variables, rules, hooks (minutes)
  --only PART,...
               only these parts, and only their bars: hybrid, limit, run, seccomp, podman, life,
               commands, version, memory, calls, instructions, size, items, together, alive
  --check      exit 1 if kan misses a bar
  --json FILE  where the figures are saved (bench.json beside this program)
  --svg DIRECTORY
               where plots are saved: time per phase, and with --full growth
  --counts DIRECTORY
               where kan's counts are saved: counts.json and instructions.json
  --kan FILE, --crun FILE, --runc FILE
               the programs (kan: beside this program; the others: in PATH)
  --peer NAME=FILE
               another runtime with runc's command line, beside the others
";

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Samples of `run` per runtime.
    pub samples: usize,
    /// Where the figures are saved.
    pub json: Option<PathBuf>,
    /// Where plots are saved, if they are.
    pub svg: Option<PathBuf>,
    /// Where kan's counts are saved, if they are.
    pub counts: Option<PathBuf>,
    /// Whether growth is measured as well.
    pub full: bool,
    /// Parts that alone are measured; all where there is none.
    pub only: Vec<String>,
    /// Whether a missed bar is a failure.
    pub check: bool,
    /// Whether only [`USAGE`] is wanted.
    pub help: bool,
    /// Programs named on the command line, by runtime name.
    pub programs: Vec<(String, PathBuf)>,
    /// Further runtimes, by name.
    pub peers: Vec<(String, PathBuf)>,
}

impl Options {
    /// Parses the arguments after the program's name. The error is a sentence for the user.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            samples: 200,
            json: None,
            svg: None,
            counts: None,
            full: false,
            only: Vec::new(),
            check: false,
            help: false,
            programs: Vec::new(),
            peers: Vec::new(),
        };
        while let Some(flag) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{flag} needs a value"))
            };
            match flag.as_str() {
                "-n" => options.samples = samples(&value()?)?,
                "--json" => options.json = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                "--counts" => options.counts = Some(value()?.into()),
                "--only" => options.only = parts(&value()?)?,
                "--full" => options.full = true,
                "--check" => options.check = true,
                "--peer" => options.peers.push(peer(&value()?)?),
                "--kan" | "--crun" | "--runc" => {
                    let name = flag.trim_start_matches('-').to_owned();
                    options.programs.push((name, value()?.into()));
                }
                "-h" | "--help" => options.help = true,
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(options)
    }
}

/// At least 10, so that a 90th percentile means something.
fn samples(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 10 => Ok(number),
        _ => Err(format!("-n {text}: a number from 10 on is needed")),
    }
}

/// Names of parts between commas.
fn parts(text: &str) -> Result<Vec<String>, String> {
    let parts: Vec<String> = text.split(',').map(str::to_owned).collect();
    match parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        Some(part) => Err(format!("--only {part}: no part is called so, see --help")),
        None => Ok(parts),
    }
}

/// `NAME=FILE`. The name becomes part of file names and of containers' names.
fn peer(text: &str) -> Result<(String, PathBuf), String> {
    let usable = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        !name.is_empty() && name.chars().all(fits)
    };
    match text.split_once('=') {
        Some((name, file)) if usable(name) => Ok((name.to_owned(), file.into())),
        _ => Err(format!(
            "--peer {text}: NAME=FILE is needed, the name of letters, digits, - and ."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn flags_are_read_in_any_order() {
        let options = parse(&["--check", "--kan", "/x/kan", "-n", "10", "--json", "f"]).unwrap();
        assert_eq!(
            (options.check, options.samples, options.json),
            (true, 10, Some("f".into()))
        );
        assert_eq!(options.programs, [("kan".to_owned(), "/x/kan".into())]);
        let options = parse(&["--full", "--peer", "crun-1.21=/x/crun", "--svg", "d"]).unwrap();
        assert_eq!((options.full, options.svg), (true, Some("d".into())));
        assert_eq!(options.peers, [("crun-1.21".to_owned(), "/x/crun".into())]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(parse(&["-n"]).unwrap_err(), "-n needs a value");
        assert_eq!(
            parse(&["-n", "9"]).unwrap_err(),
            "-n 9: a number from 10 on is needed"
        );
        assert_eq!(parse(&["run"]).unwrap_err(), "unknown argument run");
        assert_eq!(
            parse(&["--only", "run,x"]).unwrap_err(),
            "--only x: no part is called so, see --help"
        );
        assert!(PARTS.iter().all(|part| USAGE.contains(part)));
        for peer in ["crun", "=crun", "a/b=crun"] {
            let error = parse(&["--peer", peer]).unwrap_err();
            assert!(
                error.starts_with(&format!("--peer {peer}: NAME=FILE")),
                "{error}"
            );
        }
    }
}
