//! The command line.

use std::path::PathBuf;

/// What `bench --help` prints.
pub const USAGE: &str = "\
usage: bench [-n SAMPLES] [--json FILE] [--counts FILE] [--check] [--kan FILE] [--crun FILE] [--runc FILE]

  -n SAMPLES   how often `run` is measured per runtime; the rest is measured half as often (200)
  --json FILE  where the figures are saved (bench.json beside this program)
  --counts FILE  where kan's counts of system calls are saved, as counts.json has them
  --check      exit 1 if kan misses a bar
  --kan FILE, --crun FILE, --runc FILE
               the programs (kan: beside this program; the others: in PATH)
";

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Samples of `run` per runtime.
    pub samples: usize,
    /// Where the figures are saved.
    pub json: Option<PathBuf>,
    /// Where kan's counts are saved, if they are.
    pub counts: Option<PathBuf>,
    /// Whether a missed bar is a failure.
    pub check: bool,
    /// Whether only [`USAGE`] is wanted.
    pub help: bool,
    /// Programs named on the command line, by runtime name.
    pub programs: Vec<(&'static str, PathBuf)>,
}

impl Options {
    /// Parses the arguments after the program's name. The error is a sentence for the user.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            samples: 200,
            json: None,
            counts: None,
            check: false,
            help: false,
            programs: Vec::new(),
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
                "--counts" => options.counts = Some(value()?.into()),
                "--check" => options.check = true,
                "-h" | "--help" => options.help = true,
                "--kan" => options.programs.push(("kan", value()?.into())),
                "--crun" => options.programs.push(("crun", value()?.into())),
                "--runc" => options.programs.push(("runc", value()?.into())),
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
        assert_eq!(options.programs, [("kan", "/x/kan".into())]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(parse(&["-n"]).unwrap_err(), "-n needs a value");
        assert_eq!(
            parse(&["-n", "9"]).unwrap_err(),
            "-n 9: a number from 10 on is needed"
        );
        assert_eq!(parse(&["run"]).unwrap_err(), "unknown argument run");
    }
}
