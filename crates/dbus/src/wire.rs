//! Values as bytes: D-Bus Specification, Marshaling. Each value lies at a multiple of its size,
//! counted from the beginning of the message (of the body, which begins at a multiple of 8).

use crate::{Error, Result};
use kan_op::unit::Value;

/// Writes values, least significant byte first.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// An array or text was longer than D-Bus allows, or a text holds a NUL.
    is_bad: bool,
}

/// The longest array, in bytes, by the specification.
const LONGEST: usize = 64 << 20;

impl Writer {
    /// What was written, unless some of it can't be sent.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        if self.is_bad {
            return Err(Error::Protocol("a value that D-Bus can't carry"));
        }
        Ok(self.bytes)
    }

    pub(crate) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.number(&number.to_le_bytes());
    }

    fn number<const SIZE: usize>(&mut self, bytes: &[u8; SIZE]) {
        self.align(SIZE);
        self.bytes.extend_from_slice(bytes);
    }

    /// `s` and `o`
    pub(crate) fn text(&mut self, text: &str) {
        let length = self.length(text.len());
        self.is_bad |= text.contains('\0');
        self.u32(length);
        self.bytes.extend_from_slice(text.as_bytes());
        self.byte(0);
    }

    /// `g`
    pub(crate) fn signature(&mut self, text: &str) {
        let length = u8::try_from(text.len());
        self.is_bad |= length.is_err();
        self.byte(length.unwrap_or(0));
        self.bytes.extend_from_slice(text.as_bytes());
        self.byte(0);
    }

    fn length(&mut self, length: usize) -> u32 {
        self.is_bad |= length > LONGEST;
        u32::try_from(length).unwrap_or(0)
    }

    /// An array whose items `write` writes. Its length counts neither itself nor the gap after it.
    pub(crate) fn array(&mut self, item_alignment: usize, write: impl FnOnce(&mut Self)) {
        self.u32(0);
        let place = self.bytes.len() - 4;
        self.align(item_alignment);
        let begin = self.bytes.len();
        write(self);
        let length = self.length(self.bytes.len() - begin);
        self.bytes[place..place + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Byte(value) => self.byte(*value),
            Value::Int16(value) => self.number(&value.to_le_bytes()),
            Value::Uint16(value) => self.number(&value.to_le_bytes()),
            Value::Int32(value) => self.number(&value.to_le_bytes()),
            Value::Uint32(value) => self.number(&value.to_le_bytes()),
            Value::Int64(value) => self.number(&value.to_le_bytes()),
            Value::Uint64(value) | Value::Double(value) => self.number(&value.to_le_bytes()),
            Value::Text(text) => self.text(text),
            Value::Array(of, items) => {
                self.array(alignment(of), |w| {
                    items.iter().for_each(|item| w.value(item))
                });
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }
}

/// The alignment of a type, by the first letter of its signature.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

/// Reads values of either byte order. What is cut short is an error, never a panic: the other end
/// is not kan's own.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    is_big: bool,
}

const CUT: Error = Error::Protocol("a message that ends too early");

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], is_big: bool) -> Self {
        Self {
            bytes,
            at: 0,
            is_big,
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let end = self.at.checked_add(count).ok_or(CUT)?;
        let taken = self.bytes.get(self.at..end).ok_or(CUT)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().ok_or(CUT)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| CUT)?;
        Ok(if self.is_big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    pub(crate) fn length(&mut self) -> Result<usize> {
        usize::try_from(self.u32()?).map_err(|_| CUT)
    }

    /// `s` and `o`
    pub(crate) fn text(&mut self) -> Result<&'b str> {
        let length = self.length()?;
        self.text_of(length)
    }

    /// `g`
    pub(crate) fn signature(&mut self) -> Result<&'b str> {
        let length = self.byte()?.into();
        self.text_of(length)
    }

    fn text_of(&mut self, length: usize) -> Result<&'b str> {
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).map_err(|_| Error::Protocol("a text that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.value(value);
        writer.finish().unwrap()
    }

    /// The gap between an array's length and its first item does not count, and is there even if
    /// the array is empty.
    #[test]
    fn arrays_of_structs_are_aligned() {
        let pair = Value::Struct(vec![Value::Text("a".into()), Value::Uint64(2)]);
        let bytes = written(&Value::array("(st)", vec![pair]));
        assert_eq!(
            bytes,
            [
                16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0
            ]
        );
        assert_eq!(written(&Value::array("(st)", vec![])), [0; 8]);
        assert_eq!(written(&Value::array("s", vec![])), [0; 4]);
    }

    #[test]
    fn a_variant_says_its_type() {
        let value = Value::Variant(Box::new(Value::Bool(true)));
        assert_eq!(written(&value), [1, b'b', 0, 0, 1, 0, 0, 0]);
        let value = Value::Variant(Box::new(Value::array("y", vec![Value::Byte(7)])));
        assert_eq!(written(&value), [2, b'a', b'y', 0, 1, 0, 0, 0, 7]);
    }

    #[test]
    fn a_nul_can_not_be_sent() {
        let mut writer = Writer::default();
        writer.value(&Value::Text("a\0b".into()));
        assert!(writer.finish().is_err());
    }

    #[test]
    fn both_byte_orders_are_read_and_nothing_past_the_end() {
        let mut reader = Reader::new(&[0, 0, 0, 1, b'x', 0], true);
        assert_eq!(reader.text().unwrap(), "x");
        assert!(reader.byte().is_err());
        let mut reader = Reader::new(&[255, 255, 255, 255, 1], false);
        assert!(reader.text().is_err());
        let mut reader = Reader::new(&[1, 0, 0, 0, 0xff, 0], false);
        assert!(reader.text().is_err());
    }
}
