//! Limits: writing what the planner decided into the container's cgroup.
//!
//! Some values are bounded by others that are written as well (memory by memory with swap, burst
//! by quota, quota over period by the parent's), and which order works depends on the values
//! before. The kernel says EINVAL to the wrong one, so what it refuses in that way is tried again
//! after the others, as long as that leads on.

mod earlier;
mod error;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use kan_op::{IfMissing, Limits, Setting, Usage};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{self, Errno};

use crate::error::{Error, Operation};
use crate::file;
use crate::tree::controllers;

pub use error::LimitError;

type Result<T> = std::result::Result<T, LimitError>;

/// Sets limits of one controller in a cgroup that is the container's alone and will be removed if
/// this fails.
///
/// # Errors
/// The first setting that the kernel does not take, by field.
pub fn limit(limits: &Limits) -> Result<()> {
    Target::open(limits)?.set_all(None)
}

/// Sets limits of several controllers in a cgroup that is in use, and does what `then` does: all of
/// it, or nothing. What had been set when something failed gets its earlier value back.
///
/// # Errors
/// As [`limit`], and those of `then`.
pub fn update<'l, E: From<LimitError>>(
    all: impl IntoIterator<Item = &'l Limits>,
    then: impl FnOnce() -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let targets = all
        .into_iter()
        .map(Target::open)
        .collect::<Result<Vec<_>>>()?;
    let mut done = Vec::new();
    let result = set_targets(&targets, &mut done).map_err(E::from);
    let result = result.and_then(|()| then());
    if result.is_err() {
        take_back(done);
    }
    result
}

/// The same limits with the values that are in force: what to go back to. Those of which nothing is
/// known to bring them back are left out.
#[must_use]
pub fn present(limits: &Limits) -> Limits {
    let dir = Path::new(&limits.directory.mount).join(&limits.directory.path);
    let settings = limits.settings.iter().filter_map(|setting| {
        let text = file::whole(CWD, dir.join(&*setting.file)).ok()?;
        Some(Setting {
            value: earlier::value(&setting.file, &text, &setting.value)?,
            above: None,
            ..setting.clone()
        })
    });
    Limits {
        settings: settings.collect(),
        ..limits.clone()
    }
}

fn set_targets<'t>(targets: &'t [Target<'_>], done: &mut Vec<Undo<'t>>) -> Result<()> {
    // Before anything is changed.
    for target in targets {
        let mut settings = target.limits.settings.iter();
        settings.try_for_each(|setting| target.check_usage(setting))?;
    }
    targets
        .iter()
        .try_for_each(|target| target.set_all(Some(done)))
}

/// A value to go back to.
#[derive(Debug)]
struct Undo<'t> {
    dir: &'t OwnedFd,
    file: String,
    value: String,
}

/// In whatever order works. Errors here would hide the one that is told.
fn take_back(mut undos: Vec<Undo<'_>>) {
    undos.reverse();
    loop {
        let before = undos.len();
        undos.retain(|undo| {
            let open = for_writing(undo.dir, &undo.file);
            open.and_then(|open| write(&open, &undo.value)).is_err()
        });
        if undos.is_empty() || undos.len() == before {
            return;
        }
    }
}

/// The cgroup of some limits.
struct Target<'l> {
    limits: &'l Limits,
    path: PathBuf,
    dir: OwnedFd,
}

impl<'l> Target<'l> {
    fn open(limits: &'l Limits) -> Result<Self> {
        let directory = &limits.directory;
        let path = Path::new(&directory.mount).join(&directory.path);
        let dir = file::open_dir(CWD, &path).map_err(|errno| {
            let field = limits.settings.first().map_or("", |setting| &setting.field);
            LimitError::call(field, Error::call(Operation::Open, &path, errno))
        })?;
        Ok(Self { limits, path, dir })
    }

    fn set_all<'t>(&'t self, mut journal: Option<&mut Vec<Undo<'t>>>) -> Result<()> {
        let mut left: Vec<&Setting> = self.limits.settings.iter().collect();
        loop {
            let (before, mut first) = (left.len(), None);
            let mut refused = Vec::new();
            for setting in left {
                match self.set(setting, journal.as_deref_mut()) {
                    Err(error) if error.is_invalid() => {
                        refused.push(setting);
                        first.get_or_insert(error);
                    }
                    other => other?,
                }
            }
            match first {
                Some(error) if refused.len() == before => return Err(error),
                Some(_) => left = refused,
                None => return Ok(()),
            }
        }
    }

    fn set<'t>(&'t self, setting: &Setting, journal: Option<&mut Vec<Undo<'t>>>) -> Result<()> {
        if journal.is_none() {
            self.check_usage(setting)?;
        }
        let (file, value, open) = match (self.file(setting, &setting.file)?, &setting.if_missing) {
            (Some(open), _) => (&*setting.file, &setting.value, open),
            (None, IfMissing::Skip) => return Ok(()),
            (None, IfMissing::Instead { file, value }) => match self.file(setting, file)? {
                Some(open) => (*file, value, open),
                None => return Err(self.missing(setting)),
            },
            (None, IfMissing::Fail) => return Err(self.missing(setting)),
        };
        let undo = journal.as_ref().and_then(|_| {
            let text = file::whole(&self.dir, file).ok()?;
            Some(Undo {
                dir: &self.dir,
                file: file.to_owned(),
                value: earlier::value(file, &text, value)?,
            })
        });
        write(&open, value).map_err(|errno| self.refused(setting, file, value, errno))?;
        if let Some(journal) = journal {
            journal.extend(undo);
        }
        Ok(())
    }

    /// Opens a file for writing, if the cgroup has it. In v2 it has if the parents pass the
    /// controller on, which those of a hybrid host have not been asked to before.
    fn file(&self, setting: &Setting, file: &str) -> Result<Option<OwnedFd>> {
        let mut opened = for_writing(&self.dir, file);
        if matches!(opened, Err(Errno::NOENT)) && self.limits.is_v2 {
            let directory = &self.limits.directory;
            controllers::pass_down(
                Path::new(&directory.mount),
                Path::new(&directory.path),
                &self.limits.controller,
            );
            opened = for_writing(&self.dir, file);
        }
        match opened {
            Ok(open) => Ok(Some(open)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(LimitError::call(
                &setting.field,
                Error::call(Operation::Open, &self.path.join(file), errno),
            )),
        }
    }

    fn missing(&self, setting: &Setting) -> LimitError {
        let controllers = self.path.join("cgroup.controllers");
        LimitError::Missing {
            field: setting.field.clone().into_owned(),
            controller: self.limits.controller.clone().into_owned(),
            file: setting.file.clone().into_owned(),
            path: self.path.clone(),
            available: self
                .limits
                .is_v2
                .then(|| file::value(&controllers).unwrap_or_default()),
        }
    }

    fn refused(&self, setting: &Setting, file: &str, value: &str, errno: Errno) -> LimitError {
        let number = |file| {
            file::whole(&self.dir, file)
                .ok()?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let usage = match file {
            "memory.limit_in_bytes" => ["memory.usage_in_bytes", "memory.max_usage_in_bytes"],
            _ => [
                "memory.memsw.usage_in_bytes",
                "memory.memsw.max_usage_in_bytes",
            ],
        };
        // cgroup v1 takes no limit that it cannot reclaim down to.
        if errno == Errno::BUSY
            && file.starts_with("memory.")
            && let [Some(current), Some(peak)] = usage.map(number)
        {
            return LimitError::InUse {
                field: setting.field.clone().into_owned(),
                limit: value.to_owned(),
                current,
                peak,
            };
        }
        let error = Error::call(
            Operation::Write(value.to_owned()),
            &self.path.join(file),
            errno,
        );
        LimitError::call(&setting.field, error)
    }

    /// `memory.checkBeforeUpdate`. What cannot be read is no reason to refuse, as in runc.
    fn check_usage(&self, setting: &Setting) -> Result<()> {
        let Some(Usage { name, limit, file }) = setting.above else {
            return Ok(());
        };
        let usage = file::whole(&self.dir, file).ok();
        match usage.and_then(|text| text.trim().parse::<u64>().ok()) {
            Some(usage) if limit <= usage => Err(LimitError::BelowUsage {
                field: setting.field.clone().into_owned(),
                name,
                limit,
                usage,
            }),
            _ => Ok(()),
        }
    }
}

fn for_writing(dir: &OwnedFd, file: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(dir, file, flags, Mode::empty())
}

/// One write, of a line feed for nothing: an empty write would not reach the file.
fn write(file: &OwnedFd, value: &str) -> io::Result<()> {
    let text = if value.is_empty() { "\n" } else { value };
    io::write(file, text.as_bytes()).map(|_| ())
}
