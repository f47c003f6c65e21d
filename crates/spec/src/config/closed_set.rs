//! Values that the specification takes from a fixed list of names.

/// A type whose values are exactly the names that the specification lists.
pub trait ClosedSet: Copy + PartialEq + 'static {
    /// What the set is, for error messages: "namespace type".
    const NOUN: &'static str;
    /// Each allowed name with its value, in the order of the specification.
    const VALUES: &'static [(&'static str, Self)];

    /// The value with this name as config.json spells it, case included.
    fn from_name(name: &str) -> Option<Self> {
        let found = Self::VALUES.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }
}

/// Declares an enum together with the names of its values in config.json.
macro_rules! closed_set {
    ($(#[$about:meta])* $set:ident($noun:literal) {
        $($(#[$doc:meta])* $variant:ident = $name:literal $(| $old:literal)*,)+
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $set { $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)+ }

        impl $crate::config::ClosedSet for $set {
            const NOUN: &'static str = $noun;
            const VALUES: &'static [(&'static str, Self)] =
                &[$(($name, Self::$variant), $(($old, Self::$variant),)*)+];
        }

        impl $set {
            /// The name as config.json spells it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl core::fmt::Display for $set {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use closed_set;
