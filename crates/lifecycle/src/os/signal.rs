//! Signals by name or number.

use crate::{Error, Result};
use nix::sys::signal::Signal;

/// The first and last realtime signal, as the C library counts them: signal(7).
const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;

/// Reads `9`, `KILL`, `SIGKILL`, `RTMIN+3` or `RTMAX-1`, in any case; 0 only asks whether the
/// process is there.
///
/// # Errors
/// [`Error::UnknownSignal`].
pub fn parse(text: &str) -> Result<i32> {
    let unknown = || Error::UnknownSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=SIGRTMAX).contains(&number) {
            Ok(number)
        } else {
            Err(unknown())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = realtime(name) {
        return Ok(number);
    }
    let alias = match name {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        other => other,
    };
    let signal = format!("SIG{alias}")
        .parse::<Signal>()
        .map_err(|_| unknown())?;
    Ok(signal as i32)
}

fn realtime(name: &str) -> Option<i32> {
    let (base, offset) = if let Some(offset) = name.strip_prefix("RTMIN") {
        (SIGRTMIN, offset)
    } else {
        (SIGRTMAX, name.strip_prefix("RTMAX")?)
    };
    let offset = if offset.is_empty() {
        0
    } else {
        offset.parse::<i32>().ok()?
    };
    let number = base.checked_add(offset)?;
    (SIGRTMIN..=SIGRTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("0", 0),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("CLD", 17),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "SIG", "FOO", "65", "-1", "RTMIN+31", "RTMAX+1", "9x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
