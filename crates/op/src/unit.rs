//! Properties of a systemd unit: names and typed values, as they go over D-Bus.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A value with its D-Bus type (D-Bus Specification, Type System), of the types that units have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`: the number's bits, so that values can be compared.
    Double(u64),
    /// `s`
    Text(String),
    /// `a`, with the signature of its items, which an empty array cannot tell.
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// An array of pairs `(st)` or `(ss)`, of texts `s`, of bytes `y`: all items are of one type.
    #[must_use]
    pub fn array(of: &str, items: Vec<Self>) -> Self {
        Self::Array(of.into(), items)
    }

    /// Its type as D-Bus writes it.
    #[must_use]
    pub fn signature(&self) -> String {
        let basic = match self {
            Self::Bool(_) => "b",
            Self::Byte(_) => "y",
            Self::Int16(_) => "n",
            Self::Uint16(_) => "q",
            Self::Int32(_) => "i",
            Self::Uint32(_) => "u",
            Self::Int64(_) => "x",
            Self::Uint64(_) => "t",
            Self::Double(_) => "d",
            Self::Text(_) => "s",
            Self::Variant(_) => "v",
            Self::Array(of, _) => return ["a", of].concat(),
            Self::Struct(fields) => {
                let fields: String = fields.iter().map(Self::signature).collect();
                return ["(", &fields, ")"].concat();
            }
        };
        basic.into()
    }
}

/// One property of a unit, such as `MemoryMax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name as in systemd's D-Bus interface, org.freedesktop.systemd1(5), which is not always
    /// that of unit files.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Property {
    /// A property.
    #[must_use]
    pub fn new(name: &str, value: Value) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// The greatest number stands for no limit, as in systemd's own interface.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Byte(value) => write!(f, "{value}"),
            Self::Int16(value) => write!(f, "{value}"),
            Self::Uint16(value) => write!(f, "{value}"),
            Self::Int32(value) => write!(f, "{value}"),
            Self::Uint32(value) => write!(f, "{value}"),
            Self::Int64(value) => write!(f, "{value}"),
            Self::Uint64(u64::MAX) => f.write_str("infinity"),
            Self::Uint64(value) => write!(f, "{value}"),
            Self::Double(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Self::Text(text) => f.write_str(text),
            Self::Variant(value) => value.fmt(f),
            Self::Array(_, items) => list(f, ["[", "]"], items),
            Self::Struct(fields) => list(f, ["(", ")"], fields),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, ends: [&str; 2], items: &[Value]) -> fmt::Result {
    f.write_str(ends[0])?;
    for (index, item) in items.iter().enumerate() {
        let before = if index == 0 { "" } else { " " };
        write!(f, "{before}{item}")?;
    }
    f.write_str(ends[1])
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}
