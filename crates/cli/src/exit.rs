//! The exit code, as a number that can be handed to the C library.

/// What kan ends with. (That of the standard library does not tell its number.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// All went well.
    pub const SUCCESS: Self = Self(0);
    /// It did not.
    pub const FAILURE: Self = Self(1);

    /// The number, for exit(3).
    #[must_use]
    pub fn number(self) -> i32 {
        self.0.into()
    }
}

impl From<u8> for ExitCode {
    fn from(number: u8) -> Self {
        Self(number)
    }
}
