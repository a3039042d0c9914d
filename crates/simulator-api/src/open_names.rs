//! Enums of names that may grow.

/// Defines an enum whose cases are texts on the wire, with an `Unknown` case for all other texts.
macro_rules! open_names {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$case_meta:meta])* $case:ident = $text:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$case_meta])* $case,)*
            /// A name that this version does not know.
            Unknown(String),
        }

        impl $name {
            /// Every name that this version knows.
            pub const KNOWN: &[Self] = &[$(Self::$case),*];

            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$case => $text,)*
                    Self::Unknown(name) => name,
                }
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($text => Self::$case,)*
                    _ => Self::Unknown(name),
                }
            }
        }

        /// The name on the wire.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}
pub(crate) use open_names;
