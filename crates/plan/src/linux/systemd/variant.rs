//! Typed values in text: the text format of GVariant, as far as properties of units need it, in
//! which engines write `org.systemd.property.*` annotations.

use kan_op::unit::{Property, Value};

/// A property by name and text. `…Sec` is a time in seconds and becomes `…USec`, as in unit files.
///
/// # Errors
/// Why it is none.
pub(crate) fn property(name: &str, text: &str) -> Result<Property, String> {
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err("a property's name is three letters or more".into());
    }
    let value = parse(text)?;
    match name.strip_suffix("Sec") {
        Some(stem) if !stem.is_empty() && !stem.ends_with('U') => {
            let micros =
                microseconds(&value).ok_or("a time in seconds is a number, not negative")?;
            let name = format!("{stem}USec");
            Ok(Property::new(&name, Value::Uint64(micros)))
        }
        _ => Ok(Property::new(name, value)),
    }
}

fn microseconds(value: &Value) -> Option<u64> {
    let whole: u64 = match value {
        Value::Double(bits) => return from_seconds(f64::from_bits(*bits)),
        Value::Byte(n) => (*n).into(),
        Value::Uint16(n) => (*n).into(),
        Value::Uint32(n) => (*n).into(),
        Value::Uint64(n) => *n,
        Value::Int16(n) => (*n).try_into().ok()?,
        Value::Int32(n) => (*n).try_into().ok()?,
        Value::Int64(n) => (*n).try_into().ok()?,
        _ => return None,
    };
    whole.checked_mul(1_000_000)
}

/// By way of a duration, which knows what a fraction can be.
fn from_seconds(seconds: f64) -> Option<u64> {
    let duration = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    duration.as_micros().try_into().ok()
}

/// Reads one value, and nothing after it.
fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text };
    let value = parser.value(0)?;
    parser.space();
    if parser.rest.is_empty() {
        Ok(value)
    } else {
        Err(format!("not understood from {:?} on", parser.rest))
    }
}

/// How deep arrays and tuples may be in each other.
const DEEPEST: usize = 8;

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, start: &str) -> bool {
        self.space();
        let after = self.rest.strip_prefix(start);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Letters, digits and what else numbers are made of.
    fn word(&mut self) -> &'t str {
        self.space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err("values in values, too deep".into());
        }
        self.space();
        match self.rest.chars().next() {
            None => Err("is empty".into()),
            Some('\'' | '"') => self.text().map(Value::Text),
            Some('[') => self.array(depth, None),
            Some('(') => self.tuple(depth),
            Some('@') => self.annotated(depth),
            Some(_) => self.scalar(),
        }
    }

    /// `true`, `12`, `uint64 12`, `1.5`.
    fn scalar(&mut self) -> Result<Value, String> {
        let word = self.word();
        match word {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "boolean" | "string" => self.value(DEEPEST),
            "" => Err(format!("not understood from {:?} on", self.rest)),
            kind if kind.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let digits = self.word();
                number(kind, digits).ok_or_else(|| format!("{kind} {digits}: no such value"))
            }
            digits if digits.contains(['.', 'e', 'E']) && !digits.starts_with("0x") => {
                number("double", digits).ok_or_else(|| format!("{digits}: not a number"))
            }
            digits => number("int32", digits).ok_or_else(|| format!("{digits}: not an int32")),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let mut chars = self.rest.chars();
        let quote = chars.next();
        let mut text = String::new();
        loop {
            let next = chars.next();
            match next {
                None => return Err("a quote is not closed".into()),
                Some('\0') => return Err("contains a NUL character".into()),
                Some('\\') => text.push(escaped(chars.next())?),
                next if next == quote => break,
                Some(next) => text.push(next),
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }

    fn items(&mut self, depth: usize, close: &str) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        self.rest = &self.rest[1..];
        while !self.eat(close) {
            if !items.is_empty() && !self.eat(",") {
                return Err(format!("not understood from {:?} on", self.rest));
            }
            // One comma may be the last: a tuple of one needs it.
            if self.eat(close) {
                break;
            }
            items.push(self.value(depth + 1)?);
        }
        Ok(items)
    }

    /// All items of an array are of one type.
    fn array(&mut self, depth: usize, of: Option<&str>) -> Result<Value, String> {
        let items = self.items(depth, "]")?;
        let first = items.first().map(Value::signature);
        let Some(of) = of.map(str::to_owned).or(first) else {
            return Err("an empty array needs its type, such as @as []".into());
        };
        if items.iter().any(|item| item.signature() != of) {
            return Err(format!("an array of different types (the first is {of})"));
        }
        Ok(Value::Array(of, items))
    }

    fn tuple(&mut self, depth: usize) -> Result<Value, String> {
        match self.items(depth, ")")? {
            fields if fields.is_empty() => Err("an empty tuple".into()),
            fields => Ok(Value::Struct(fields)),
        }
    }

    /// `@as []`: the type in front, needed only where the array is empty.
    fn annotated(&mut self, depth: usize) -> Result<Value, String> {
        let (signature, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        let wanted = &signature[1..];
        let value = match wanted.strip_prefix('a') {
            Some(of) if self.rest.starts_with('[') => self.array(depth, Some(of))?,
            _ => self.value(depth + 1)?,
        };
        let is_so = value.signature() == wanted && is_known(wanted);
        let why = || format!("{} is not of type {wanted}", value.signature());
        if is_so { Ok(value) } else { Err(why()) }
    }
}

/// Whether a signature is made of types that have a place here.
fn is_known(signature: &str) -> bool {
    signature
        .bytes()
        .all(|byte| b"abdinqstuxy()".contains(&byte))
}

fn escaped(next: Option<char>) -> Result<char, String> {
    match next {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some(c @ ('\\' | '\'' | '"')) => Ok(c),
        _ => Err("an unknown escape".into()),
    }
}

fn number(kind: &str, digits: &str) -> Option<Value> {
    match kind {
        "double" => {
            let value: f64 = digits
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())?;
            Some(Value::Double(value.to_bits()))
        }
        _ => whole(kind, integer(digits)?),
    }
}

fn integer(digits: &str) -> Option<i128> {
    match digits.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

fn whole(kind: &str, value: i128) -> Option<Value> {
    Some(match kind {
        "byte" => Value::Byte(value.try_into().ok()?),
        "int16" => Value::Int16(value.try_into().ok()?),
        "uint16" => Value::Uint16(value.try_into().ok()?),
        "int32" => Value::Int32(value.try_into().ok()?),
        "uint32" => Value::Uint32(value.try_into().ok()?),
        "int64" => Value::Int64(value.try_into().ok()?),
        "uint64" => Value::Uint64(value.try_into().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> (String, String, String) {
        let property = property(name, text).unwrap();
        let signature = property.value.signature();
        (property.name, signature, property.value.to_string())
    }

    #[test]
    fn what_engines_write_is_read() {
        for (name, text, want) in [
            (
                "TimeoutStopUSec",
                "uint64 10000000",
                ("TimeoutStopUSec", "t", "10000000"),
            ),
            ("TimeoutStopSec", "10", ("TimeoutStopUSec", "t", "10000000")),
            ("TimeoutStopSec", "1.5", ("TimeoutStopUSec", "t", "1500000")),
            (
                "TimeoutStopSec",
                "uint64 7",
                ("TimeoutStopUSec", "t", "7000000"),
            ),
            (
                "CollectMode",
                "'inactive-or-failed'",
                ("CollectMode", "s", "inactive-or-failed"),
            ),
            (
                "DefaultDependencies",
                "true",
                ("DefaultDependencies", "b", "true"),
            ),
            (
                "After",
                "['crio.service', \"a.b\"]",
                ("After", "as", "[crio.service a.b]"),
            ),
            ("After", "@as []", ("After", "as", "[]")),
            ("TasksMax", "-3", ("TasksMax", "i", "-3")),
            ("CPUWeight", "uint64 0x10", ("CPUWeight", "t", "16")),
            (
                "DeviceAllow",
                "[('/dev/kvm', 'rw')]",
                ("DeviceAllow", "a(ss)", "[(/dev/kvm rw)]"),
            ),
            ("Environment", "'a\\'b'", ("Environment", "s", "a'b")),
        ] {
            let got = read(name, text);
            assert_eq!((&*got.0, &*got.1, &*got.2), want, "{name}={text}");
        }
    }

    #[test]
    fn what_is_no_value_is_told() {
        for text in [
            "",
            " ",
            "abc",
            "'abc",
            "[1, 'a']",
            "[]",
            "[1",
            "()",
            "uint64 -1",
            "uint32 4294967296",
            "5000000000",
            "1 2",
            "double x",
            "@s 5",
            "@ay [1]",
            "nan",
            "'\\q'",
            "true false",
            "[[[[[[[[[[[1]]]]]]]]]]]",
            "[1,,2]",
        ] {
            assert!(property("TasksMax", text).is_err(), "{text}");
        }
        for name in ["", "ab", "Tasks Max", "Tasks-Max", "Exec.Start"] {
            assert!(property(name, "1").is_err(), "{name}");
        }
        assert!(property("TimeoutStopSec", "-1").is_err());
        assert!(property("TimeoutStopSec", "'a'").is_err());
    }
}
