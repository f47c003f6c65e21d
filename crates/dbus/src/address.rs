//! D-Bus addresses: D-Bus Specification, Server Addresses.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A socket to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Path(PathBuf),
    /// A name in the abstract namespace, unix(7).
    Abstract(Vec<u8>),
}

/// The first Unix socket of a list such as `unix:path=/run/user/1000/bus,guid=…;tcp:…`.
pub(crate) fn parse(list: &str) -> Option<Address> {
    list.split(';').find_map(|one| {
        let keys = one.strip_prefix("unix:")?.split(',');
        keys.filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| match key {
                "path" => Some(Address::Path(OsString::from_vec(unescape(value)).into())),
                "abstract" => Some(Address::Abstract(unescape(value))),
                _ => None,
            })
    })
}

/// `%xx` is a byte.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unix_socket_is_taken() {
        let path = |text: &str| Some(Address::Path(text.into()));
        assert_eq!(
            parse("unix:path=/run/user/1000/bus"),
            path("/run/user/1000/bus")
        );
        assert_eq!(parse("tcp:host=x;unix:guid=1,path=/a%20b"), path("/a b"));
        assert_eq!(
            parse("unix:abstract=/tmp/x"),
            Some(Address::Abstract(b"/tmp/x".to_vec()))
        );
        assert_eq!(parse("unix:tmpdir=/tmp"), None);
        assert_eq!(parse("unix:path=50%"), path("50%"));
    }
}
