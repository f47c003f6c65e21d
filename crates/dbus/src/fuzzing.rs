//! For conformance/fuzz: what a bus sends, read as a connection reads it.

use crate::address;
use crate::message::{FIXED, Received, rest_length};

/// Reads a message: the fixed part first, which gives the length of the rest.
pub fn message(bytes: &[u8]) {
    if let Some(fixed) = bytes.first_chunk::<FIXED>()
        && let Ok(rest) = rest_length(fixed)
        && let Some(whole) = bytes.get(..FIXED + rest)
        && let Ok(received) = Received::decode(whole)
    {
        let _ = received.texts();
        let _ = received.into_error().to_string();
    }
    let _ = address::parse(&String::from_utf8_lossy(bytes));
    // A message that ends early, or states another length than it has.
    if let Ok(received) = Received::decode(bytes) {
        let _ = received.texts();
    }
}
