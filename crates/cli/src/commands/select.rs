//! Which containers a command is about: those that are named, or with crun's `--regex` those
//! whose ids fit.

use crate::args::shapes::{flag, has};
use crate::verb::{Call, Failure, failure};
use clap::Arg;
use regex_lite::Regex;

pub(super) fn regex() -> Arg {
    flag(
        "regex",
        "treat ID as a regular expression that may match several containers",
    )
    .short('r')
}

/// The ids, in order.
pub(super) fn ids(call: &Call<'_>, named: Vec<String>) -> Result<Vec<String>, Failure> {
    if !has(call.matches, "regex") {
        return Ok(named);
    }
    let mut patterns = Vec::new();
    for text in named {
        let pattern = Regex::new(&text);
        patterns.push(pattern.map_err(|error| failure(format!("--regex {text:?}: {error}")))?);
    }
    let mut ids = call.store.ids(false)?;
    ids.retain(|id| patterns.iter().any(|pattern| pattern.is_match(id)));
    Ok(ids)
}

/// The first error, after all were tried.
pub(super) fn first_error<T>(all: Vec<kan_lifecycle::Result<T>>) -> Result<Vec<T>, Failure> {
    Ok(all.into_iter().collect::<Result<Vec<T>, _>>()?)
}
