//! Where in a document a field is.

/// The line and column, both from 1, at which the value of a field begins, such as
/// `mounts[3].options[1]`. Of a field that is not there it is the position of what would hold it.
/// `None` if the text is no JSON.
#[must_use]
pub fn position(text: &[u8], field: &str) -> Option<(usize, usize)> {
    let mut finder = Finder {
        text,
        at: 0,
        found: 0,
        unmatched: usize::MAX,
    };
    finder.value(Some(field))?;
    let before = text.get(..finder.found)?;
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n');
    Some((
        line,
        finder.found - start.map_or(0, |newline| newline + 1) + 1,
    ))
}

/// Goes through the text, along the way of the field.
struct Finder<'t> {
    text: &'t [u8],
    at: usize,
    /// The beginning of the value that is nearest to the field.
    found: usize,
    /// How much of the field's name did not lead there.
    unmatched: usize,
}

impl Finder<'_> {
    /// Reads a value. `rest` is the part of the field's name that is still to come, if the value
    /// is on its way.
    fn value(&mut self, rest: Option<&str>) -> Option<()> {
        self.skip_space();
        if let Some(rest) = rest
            && rest.len() <= self.unmatched
        {
            (self.found, self.unmatched) = (self.at, rest.len());
        }
        match self.peek()? {
            b'{' => self.object(rest),
            b'[' => self.list(rest),
            b'"' => self.string().map(drop),
            _ => {
                let ends = |byte: &u8| b",]} \t\r\n".contains(byte);
                let left = self.text.get(self.at..)?;
                self.at += left.iter().position(ends).unwrap_or(left.len());
                Some(())
            }
        }
    }

    fn object(&mut self, rest: Option<&str>) -> Option<()> {
        self.at += 1;
        loop {
            self.skip_space();
            match self.peek()? {
                b'}' => return self.step(),
                b',' => self.step()?,
                _ => {
                    let key = self.string()?;
                    self.skip_space();
                    self.step()?;
                    // Keys may have dots in them, as those of sysctl, and are quoted then.
                    let below = rest.and_then(|rest| {
                        let quoted = format!("[\"{key}\"]");
                        rest.strip_prefix(&key)
                            .or_else(|| rest.strip_prefix(&quoted))
                    });
                    let below = below.and_then(|below| match below.chars().next() {
                        None | Some('[') => Some(below),
                        Some('.') => below.get(1..),
                        Some(_) => None,
                    });
                    self.value(below)?;
                }
            }
        }
    }

    fn list(&mut self, rest: Option<&str>) -> Option<()> {
        self.at += 1;
        let mut index = 0;
        loop {
            self.skip_space();
            match self.peek()? {
                b']' => return self.step(),
                b',' => self.step()?,
                _ => {
                    let below = rest.and_then(|rest| rest.strip_prefix(&format!("[{index}]")));
                    self.value(below.map(|below| below.strip_prefix('.').unwrap_or(below)))?;
                    index += 1;
                }
            }
        }
    }

    /// A string's text, escapes as they are written: names of fields have none.
    fn string(&mut self) -> Option<String> {
        let start = self.at + 1;
        self.step()?;
        while self.peek()? != b'"' {
            self.at += if self.peek()? == b'\\' { 2 } else { 1 };
        }
        let text = self.text.get(start..self.at)?;
        self.step()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) -> Option<()> {
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    const TEXT: &[u8] = br#"{
  "mounts": [
    {"destination": "/a", "options": ["ro", "x\"y", "mode=banana"]},
    {"destination": "/b"}
  ],
  "linux": {"sysctl": {"net.ipv4": 1, "net.ipv4.ip_forward": "1"}}
}"#;

    #[test]
    fn a_field_has_a_line_and_a_column() {
        for (field, place) in [
            ("mounts[0].options[2]", (3, 53)),
            ("mounts[1].destination", (4, 21)),
            ("linux.sysctl[\"net.ipv4.ip_forward\"]", (6, 62)),
            ("", (1, 1)),
        ] {
            assert_eq!(position(TEXT, field), Some(place), "{field}");
        }
    }

    #[test]
    fn what_is_missing_is_where_it_would_be() {
        assert_eq!(position(TEXT, "mounts[1].source"), Some((4, 5)));
        assert_eq!(position(TEXT, "root.path"), Some((1, 1)));
        assert_eq!(position(b"{\"a\": ", "a.b"), None);
    }
}
