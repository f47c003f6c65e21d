//! A bundle on disk: bundle.md, and reading its config.json.

use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::json::Json;
use crate::{Error, Problem, read};

/// A config.json larger than this is refused before it fills the memory. Podman's are 40 KB.
pub const LARGEST: u64 = 16 << 20;

/// A document that was read without a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<T> {
    /// What it says.
    pub value: T,
    /// The paths of keys that the specification does not know. They are passed over (config.md,
    /// Extensibility) and worth a debug line.
    pub ignored: Vec<String>,
}

impl<T: read::Read> Document<T> {
    pub(crate) fn parse(name: &str, text: &[u8]) -> Result<Self, Error> {
        let json = Json::parse(text).map_err(|at| Error::syntax(name, at))?;
        let (value, ignored) =
            read::document(&json).map_err(|problems| Error::invalid(name, problems))?;
        Ok(Self { value, ignored })
    }
}

/// A bundle with a sound config.json.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The bundle's directory: absolute, without symlinks.
    pub path: PathBuf,
    /// What config.json says.
    pub config: Config,
    /// The file as it was read. The specification wants later changes of it to have no effect
    /// (runtime.md, Lifecycle), so a copy is kept with the container's state.
    pub text: Vec<u8>,
    /// The paths of keys that the specification does not know, see [`Document::ignored`].
    pub ignored: Vec<String>,
}

impl Bundle {
    /// Reads and checks the bundle in `dir`. `config` is another file to read in place of
    /// config.json, absolute or relative to the bundle.
    ///
    /// # Errors
    /// If the directory or the file is missing or can't be read, is not JSON, or says something
    /// that the specification forbids; then with every problem.
    pub fn open(dir: &Path, config: Option<&Path>) -> Result<Self, Error> {
        let read = |name: &str, text: &[u8]| {
            let Document { value, ignored } = Document::parse(name, text)?;
            Ok((value, ignored, ()))
        };
        Self::read(dir, config, read).map(|(bundle, ())| bundle)
    }

    /// The same with a config.json that need not be sound, and everything that is wrong with it.
    /// What can't be read is blank: such a config is for looking at, never for a container.
    ///
    /// # Errors
    /// If the directory or the file is missing or can't be read, or is not JSON.
    pub fn open_unsound(dir: &Path, config: Option<&Path>) -> Result<(Self, Vec<Problem>), Error> {
        Self::read(dir, config, |name, text| {
            let json = Json::parse(text).map_err(|at| Error::syntax(name, at))?;
            Ok(read::as_far_as_possible(&json))
        })
    }

    fn read<T>(
        dir: &Path,
        config: Option<&Path>,
        read: impl FnOnce(&str, &[u8]) -> Result<(Config, Vec<String>, T), Error>,
    ) -> Result<(Self, T), Error> {
        let opened = open(CWD, dir, OFlags::PATH | OFlags::DIRECTORY);
        let opened = opened.map_err(|e| Error::bundle(dir, &e))?;
        let path = path_of(&opened).or_else(|_| dir.canonicalize());
        let path = path.map_err(|e| Error::bundle(dir, &e))?;
        let file = path.join(config.unwrap_or(Path::new("config.json")));
        let text = read_file(&file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let (config, ignored, rest) = read(&name, &text)?;
        let bundle = Self {
            path,
            config,
            text,
            ignored,
        };
        Ok((bundle, rest))
    }
}

/// Reads a bundle's config.json from memory: for the copy kept with the container's state, and for
/// tests.
///
/// # Errors
/// Like [`Bundle::open`], except for the file.
pub fn parse_config(text: &[u8]) -> Result<Document<Config>, Error> {
    Document::parse("config.json", text)
}

/// What the unknown keys of a config.json were probably meant to be: the path of each, and the key of the
/// specification that differs from it in one letter. Empty for what is not JSON.
#[must_use]
pub fn suggestions(text: &[u8]) -> Vec<(String, String)> {
    Json::parse(text).map_or_else(|_| Vec::new(), |json| read::suggestions::<Config>(&json))
}

fn open(at: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(at, path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

/// The path of an open directory as the kernel has it: absolute, without links, at the price of one
/// call however many parts it has.
fn path_of(directory: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// Reads a regular file up to its end or [`LARGEST`], with room for what is expected to be in it. A
/// read that leaves room was the last one.
fn read_all(file: File, room: usize) -> io::Result<Vec<u8>> {
    let mut text = vec![0; room];
    let count = (&file).read(&mut text)?;
    text.truncate(count);
    if count == room {
        file.take(LARGEST + 1).read_to_end(&mut text)?;
    }
    Ok(text)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    // Opening a FIFO would wait for a writer.
    let opened = open(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK);
    let file = File::from(opened.map_err(|e| Error::file(path, &e))?);
    let about = file.metadata().map_err(|e| Error::file(path, &e))?;
    if !about.is_file() {
        return Err(Error::unreadable(path, "not a regular file"));
    }
    let size = usize::try_from(about.len().min(LARGEST)).unwrap_or(0);
    let text = read_all(file, size + 1).map_err(|e| Error::file(path, &e))?;
    if text.len() as u64 > LARGEST {
        return Err(Error::unreadable(
            path,
            format!("larger than {LARGEST} bytes"),
        ));
    }
    Ok(text)
}
