//! `ociVersion`: config.md, Specification version.

/// The oldest version of the runtime specification whose bundles kan takes.
pub const OLDEST: &str = "1.0.0";
/// The version of the runtime specification that kan implements.
pub const NEWEST: &str = "1.3.0";

/// Whether a bundle of this version can be run: every 1.x, pre-releases included, because the
/// specification promises compatibility within a major version and unknown keys are passed over.
/// Other runtimes do not look at the version, so that `1.0`, `v1.0.0` and an empty one occur: they
/// count as 1.x ([`is_exact`]).
///
/// # Errors
/// Why not, as a sentence that follows the field's name.
pub fn supported(version: &str) -> Result<(), String> {
    if version.is_empty() || major(version).or_else(|| loose_major(version)) == Some("1") {
        return Ok(());
    }
    if major(version).is_none() {
        return Err(format!(
            "{version:?} is not a version in the form of SemVer 2.0.0"
        ));
    }
    Err(format!(
        "unknown version {version:?}: kan supports 1.x ({OLDEST} to {NEWEST})"
    ))
}

/// Whether the version has the form that the specification requires: SemVer 2.0.0.
#[must_use]
pub fn is_exact(version: &str) -> bool {
    major(version).is_some()
}

/// The major number of `1`, `1.0` or `v1.0.0`.
fn loose_major(version: &str) -> Option<&str> {
    let core = version.strip_prefix('v').unwrap_or(version);
    let (core, _) = split_off(core, '+');
    let (core, _) = split_off(core, '-');
    let mut numbers = core
        .split('.')
        .map(|digits| number(digits).then_some(digits));
    let major = numbers.next()??;
    (numbers.clone().count() <= 2 && numbers.all(|number| number.is_some())).then_some(major)
}

/// The major number of a SemVer 2.0.0 version: `1` of `1.0.2-dev+build`.
fn major(version: &str) -> Option<&str> {
    let (version, build) = split_off(version, '+');
    let (core, pre_release) = split_off(version, '-');
    let mut numbers = core.split('.');
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let plain = numbers.next().is_none() && [major, minor, patch].into_iter().all(number);
    let sound = pre_release.is_none_or(identifiers) && build.is_none_or(identifiers);
    (plain && sound).then_some(major)
}

fn split_off(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn number(digits: &str) -> bool {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain && (digits == "0" || !digits.starts_with('0'))
}

fn identifiers(list: &str) -> bool {
    list.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}
