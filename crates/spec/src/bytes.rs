//! Bytes as text and back. Arguments, environment and paths of Linux are bytes (execve(2)), while
//! config.json, and so [`crate::config`], has text.

/// Characters that stand for a byte each, the last 256 of Unicode's private use: what is not UTF-8 is
/// written with them, and so are they themselves, so that every string of bytes comes back as it was.
const FIRST: u32 = 0x10_ff00;

/// The bytes as text: themselves as far as they are UTF-8.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let stand_in = |byte: &u8| char::from_u32(FIRST + u32::from(*byte));
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if u32::from(letter) < FIRST {
                text.push(letter);
            } else {
                let mut own = [0; 4];
                let own = letter.encode_utf8(&mut own).as_bytes();
                text.extend(own.iter().filter_map(stand_in));
            }
        }
        text.extend(chunk.invalid().iter().filter_map(stand_in));
    }
    text
}

/// The bytes that [`encode`] was given.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for letter in text.chars() {
        match u32::from(letter).checked_sub(FIRST).map(u8::try_from) {
            Some(Ok(byte)) => bytes.push(byte),
            _ => bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_of_bytes_comes_back() {
        for bytes in [
            &b""[..],
            b"plain",
            "\u{e9}\u{10ff41}\u{10ffff}\u{10feff}".as_bytes(),
            b"\xff\xfe=\x80a\xc3",
        ] {
            assert_eq!(decode(&encode(bytes)), bytes);
        }
        assert_eq!(encode("A=\u{e9}".as_bytes()), "A=\u{e9}");
    }
}
