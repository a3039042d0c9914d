//! What a server reports when something goes wrong.

use serde::Serialize;
use serde::ser::Serializer;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::decode::{Decode, Fields, decode_text, deserialize_by_decoding, unexpected};
use crate::{DecodeError, RawJson};

/// Defines the errors, and reads and writes them from one list.
///
/// On the wire an error without fields is its bare name, an error with fields an object with its name as only key.
macro_rules! errors {
    (
        unit { $($(#[$unit_meta:meta])* $unit:ident = $unit_name:literal,)* }
        fields {
            $($(#[$meta:meta])* $case:ident = $name:literal {
                $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
            },)*
        }
    ) => {
        /// An error that a server reports to its client.
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        pub enum BacktestError {
            $($(#[$unit_meta])* $unit,)*
            $($(#[$meta])* $case { $($(#[$field_meta])* $field: $type,)* },)*
            /// An error that this version does not know: its text as it was received.
            #[error("unknown error {0:?}")]
            Unknown(RawJson),
        }

        impl BacktestError {
            fn from_unit(name: &str) -> Option<Self> {
                match name {
                    $($unit_name => Some(Self::$unit),)*
                    _ => None,
                }
            }

            fn from_fields(name: &str, content: &RawValue) -> Result<Option<Self>, DecodeError> {
                match name {
                    $($name => {
                        let fields = Fields::of(content)?;
                        Ok(Some(Self::$case { $($field: fields.required(stringify!($field))?,)* }))
                    })*
                    _ => Ok(None),
                }
            }
        }

        impl Serialize for BacktestError {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$unit => serializer.serialize_str($unit_name),)*
                    $(Self::$case { $($field),* } => {
                        #[derive(Serialize)]
                        struct Content<'a> { $($field: &'a $type,)* }
                        serializer.collect_map([($name, Content { $($field),* })])
                    })*
                    Self::Unknown(raw) => raw.serialize(serializer),
                }
            }
        }
    };
}

errors! {
    unit {
        /// A continue went past the end of the range. Final.
        #[error("no more blocks: the session is at the end of its range")]
        NoMoreBlocks = "noMoreBlocks",
        /// The session belongs to another key.
        #[error("the session belongs to another key")]
        SessionOwnerMismatch = "sessionOwnerMismatch",
    }
    fields {
        /// A transaction of a continue is not base64.
        #[error("transaction {index} is not valid base64: {error}")]
        InvalidTransactionEncoding = "invalidTransactionEncoding" {
            /// Its index in the request.
            index: u64,
            /// What is wrong.
            error: String,
        },
        /// A transaction of a continue does not decode.
        #[error("transaction {index} does not decode: {error}")]
        InvalidTransactionFormat = "invalidTransactionFormat" {
            /// Its index in the request.
            index: u64,
            /// What is wrong.
            error: String,
        },
        /// The data of an account to modify does not decode.
        #[error("data of account {address} is not valid {encoding}: {error}")]
        InvalidAccountEncoding = "invalidAccountEncoding" {
            /// The account.
            address: String,
            /// The encoding that the request named.
            encoding: String,
            /// What is wrong.
            error: String,
        },
        /// The owner of an account to modify is not an address.
        #[error("owner of account {address} is not valid: {error}")]
        InvalidAccountOwner = "invalidAccountOwner" {
            /// The account.
            address: String,
            /// What is wrong.
            error: String,
        },
        /// An account to modify is not named by an address.
        #[error("account address {address:?} is not valid: {error}")]
        InvalidAccountPubkey = "invalidAccountPubkey" {
            /// The text that was sent.
            address: String,
            /// What is wrong.
            error: String,
        },
        /// There is no data for the range (0.28). Final.
        #[error("no data for slots {start_slot} to {end_slot}")]
        BundleNotFound = "bundleNotFound" {
            /// First slot that was asked for.
            start_slot: u64,
            /// Last slot that was asked for.
            end_slot: u64,
        },
        /// A slot could not be opened. Final.
        #[error("could not advance to slot {slot}: {error}")]
        AdvanceSlotFailed = "advanceSlotFailed" {
            /// The slot.
            slot: u64,
            /// What is wrong.
            error: String,
        },
        /// A slot could not be closed. Final.
        #[error("could not finish slot {slot}: {error}")]
        FinalizeSlotFailed = "finalizeSlotFailed" {
            /// The slot.
            slot: u64,
            /// What is wrong.
            error: String,
        },
        /// The request makes no sense, or not now.
        #[error("invalid request: {error}")]
        InvalidRequest = "invalidRequest" {
            /// What is wrong.
            error: String,
        },
        /// The server failed. Final.
        #[error("internal error: {error}")]
        Internal = "internal" {
            /// What is wrong.
            error: String,
        },
        /// The record holds a blockhash that is none.
        #[error("blockhash of slot {slot} is not valid: {error}")]
        InvalidBlockhashFormat = "invalidBlockhashFormat" {
            /// The slot.
            slot: u64,
            /// What is wrong.
            error: String,
        },
        /// The sysvars of a slot could not be set up.
        #[error("could not set up the sysvars of slot {slot}: {error}")]
        InitializingSysvarsFailed = "initializingSysvarsFailed" {
            /// The slot.
            slot: u64,
            /// What is wrong.
            error: String,
        },
        /// The history store failed.
        #[error("history store failed: {error}")]
        ClerkError = "clerkError" {
            /// What is wrong.
            error: String,
        },
        /// One transaction could not be simulated; the session goes on.
        #[error("simulation failed: {error}")]
        SimulationError = "simulationError" {
            /// What is wrong.
            error: String,
        },
        /// There is no such session.
        #[error("session {session_id} not found")]
        SessionNotFound = "sessionNotFound" {
            /// The id as it was sent.
            session_id: String,
        },
        /// Another owner of the session has not let go yet; an attach may be tried again.
        #[error("session is still owned by another connection: {reason}")]
        SessionOwnershipBusy = "sessionOwnershipBusy" {
            /// Why.
            reason: String,
        },
        /// Every slot of the range was skipped (0.28). Final.
        #[error("no blocks were produced in slots {start_slot} to {end_slot}")]
        NoProducedBlocksInRange = "noProducedBlocksInRange" {
            /// First slot that was asked for.
            start_slot: u64,
            /// Last slot that was asked for.
            end_slot: u64,
        },
        /// Another session has this name (0.28).
        #[error("session name {session_name:?} is taken")]
        SessionNameTaken = "sessionNameTaken" {
            /// The name.
            session_name: String,
        },
    }
}

impl BacktestError {
    /// Decodes the content of an `error` message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the text is not JSON, or a known error has wrong fields.
    pub fn from_json(text: &str) -> Result<Self, DecodeError> {
        decode_text(text)
    }

    /// Whether the session has ended. Errors of an unknown kind are not taken as the end.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::NoMoreBlocks
                | Self::BundleNotFound { .. }
                | Self::AdvanceSlotFailed { .. }
                | Self::FinalizeSlotFailed { .. }
                | Self::Internal { .. }
                | Self::NoProducedBlocksInRange { .. }
        )
    }
}

impl Decode for BacktestError {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let known = match raw.get().as_bytes().first() {
            Some(b'"') => Self::from_unit(&String::decode(raw)?),
            Some(b'{') => Self::from_object(raw)?,
            _ => return Err(unexpected("the name of an error or an object with it", raw)),
        };
        Ok(match known {
            Some(error) => error,
            None => Self::Unknown(RawJson::decode(raw)?),
        })
    }
}

deserialize_by_decoding!(BacktestError);

impl BacktestError {
    /// An object is an error of a known kind if it has exactly one key; `{"noMoreBlocks": null}` is accepted too.
    fn from_object(raw: &RawValue) -> Result<Option<Self>, DecodeError> {
        let mut entries = Fields::of(raw)?.into_entries().into_iter();
        let (Some((name, content)), None) = (entries.next(), entries.next()) else {
            return Ok(None);
        };
        if content.get() == "null"
            && let Some(error) = Self::from_unit(&name)
        {
            return Ok(Some(error));
        }
        Self::from_fields(&name, content).map_err(|error| error.within(&name))
    }
}
