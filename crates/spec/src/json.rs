//! A JSON document as a tree that keeps what config.json's rules need: the order of keys, duplicate
//! keys, and the kind of each number. Strings without escapes are borrowed from the text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object: every key as often as it occurs, in document order.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// A JSON number. Go's `encoding/json` refuses `1.0` for a whole number, so the kinds stay apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number from `i64::MIN` to `u64::MAX`.
    Whole(i128),
    /// Everything else: a fraction, an exponent, or beyond 64 bits.
    Float(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n}"),
        }
    }
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes; 0 if the line is empty.
    pub column: usize,
    /// What is wrong there.
    pub why: String,
}

impl<'a> Json<'a> {
    /// Reads exactly one JSON value.
    ///
    /// # Errors
    /// Where the text stops being JSON (RFC 8259) in UTF-8, nests deeper than 128 levels, or goes
    /// on after the value.
    pub fn parse(text: &'a [u8]) -> Result<Self, SyntaxError> {
        serde_json::from_slice(text).map_err(|e| SyntaxError::new(&e))
    }

    /// The value of a key of an object; the last one, if it occurs more than once.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(entries) = self else {
            return None;
        };
        entries
            .iter()
            .rfind(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Like [`Json::get`], to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Self::Object(entries) = self else {
            return None;
        };
        entries
            .iter_mut()
            .rfind(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The items of an array, to change them.
    pub const fn list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value as text with one line for each item, and a newline at the end.
    #[must_use]
    pub fn pretty(&self, indent: &str) -> String {
        pretty(self, indent) + "\n"
    }

    /// The kind of value, with its article, for error messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl SyntaxError {
    /// serde_json puts the position at the end of its message; kan says it in front.
    fn new(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let position = format!(" at line {line} column {column}");
        let why = said.strip_suffix(&position).unwrap_or(&said);
        let why = match why {
            "invalid unicode code point" => "not valid UTF-8",
            "EOF while parsing a value" if line <= 1 && column == 0 => "the file is empty",
            other => other,
        };
        Self {
            line,
            column,
            why: why.to_owned(),
        }
    }
}

/// Anything as JSON with one line for each item. No newline at the end.
pub(crate) fn pretty(value: &impl Serialize, indent: &str) -> String {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    // Writing to memory can't fail, and our documents have no keys but strings.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(text).unwrap_or_default()
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number::Whole(n)) => serializer.serialize_i128(*n),
            Self::Number(Number::Float(n)) => serializer.serialize_f64(*n),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Whole(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Whole(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Float(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Json<'de>, Json<'de>>()? {
            let Json::Text(key) = key else {
                return Err(A::Error::custom("a key must be a string"));
            };
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}
