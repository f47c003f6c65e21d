//! Container ids.

use crate::{Error, Result};

/// The longest name of a directory, bytes: NAME_MAX, limits.h.
const LONGEST: usize = 255;

/// Checks an id as runc does: it names a directory, and nothing but its own.
///
/// # Errors
/// [`Error::EmptyId`] or [`Error::BadId`].
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::EmptyId);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.len() > LONGEST || id == "." || id == ".." || !id.bytes().all(allowed) {
        return Err(Error::BadId(id.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_name() {
        for id in ["a", "0", "web-1", "a.b_c+d", "...", &"x".repeat(255)] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        for id in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "a b",
            "a\n",
            "é",
            &"x".repeat(256),
        ] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
