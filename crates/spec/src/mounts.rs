//! Mounts on their own, as `mounts add FILE` gives them.

use crate::config::Mount;
use crate::read::{Cursor, Object};
use crate::{Document, Error};

/// What the file holds besides a plain list: an object like config.json, of which the mounts
/// count.
#[derive(Debug, Default)]
struct Section {
    mounts: Vec<Mount>,
}

impl Object for Section {
    const REQUIRED: &'static [&'static str] = &["mounts"];

    fn blank() -> Self {
        Self::default()
    }

    fn field(&mut self, key: &str, at: &Cursor<'_>) -> bool {
        if key == "mounts" {
            crate::read::Read::read(&mut self.mounts, at);
        }
        true
    }
}

/// Reads the `mounts` section of a config.json, or the list alone. The same rules hold as there.
///
/// # Errors
/// If it is not JSON, or says something that the specification forbids; then with every problem.
pub fn parse(text: &[u8]) -> Result<Vec<Mount>, Error> {
    let is_list = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_list {
        return Document::parse("mounts", text).map(|document| document.value);
    }
    let section: Document<Section> = Document::parse("mounts", text)?;
    Ok(section.value.mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_or_a_section() {
        let list = br#" [{"destination": "/a", "type": "tmpfs", "source": "tmpfs"}]"#;
        let section = [br#"{"ociVersion": "1.0.0", "mounts":"#, &list[..], b"}"].concat();
        assert_eq!(parse(list).unwrap(), parse(&section).unwrap());
        assert_eq!(parse(list).unwrap()[0].destination, "/a");
        assert!(parse(b"{}").is_err());
        assert!(parse(br#"[{"destination": 7}]"#).is_err());
    }
}
