//! Bytes as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::decode::{Decode, Fields, deserialize_by_decoding};
use crate::decode_error::excerpt;
use crate::{DecodeError, Problem};

/// How bytes are written as text. Base64 (standard alphabet, padded) is the only way there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BinaryEncoding {
    /// Base64 with the standard alphabet and padding.
    #[default]
    Base64,
}

/// Bytes as text, with the name of the encoding: `{"data": "AQID", "encoding": "base64"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EncodedBinary {
    /// The encoded bytes. Nothing checks them before [`EncodedBinary::decode`].
    pub data: String,
    /// How they are encoded.
    pub encoding: BinaryEncoding,
}

/// Text that is not what its encoding says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not valid base64: {source}")]
pub struct BinaryDecodeError {
    #[from]
    source: base64::DecodeError,
}

impl BinaryEncoding {
    /// Writes bytes as text.
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(bytes),
        }
    }

    /// Reads bytes from text.
    ///
    /// # Errors
    ///
    /// [`BinaryDecodeError`] if the text is not in this encoding.
    pub fn decode(self, text: &str) -> Result<Vec<u8>, BinaryDecodeError> {
        match self {
            Self::Base64 => Ok(STANDARD.decode(text)?),
        }
    }
}

impl EncodedBinary {
    /// Takes text that is already encoded, unchecked.
    pub fn new(data: String, encoding: BinaryEncoding) -> Self {
        Self { data, encoding }
    }

    /// Encodes bytes.
    pub fn from_bytes(bytes: &[u8], encoding: BinaryEncoding) -> Self {
        Self {
            data: encoding.encode(bytes),
            encoding,
        }
    }

    /// The bytes.
    ///
    /// # Errors
    ///
    /// [`BinaryDecodeError`] if the text is not in the encoding that it names.
    pub fn decode(&self) -> Result<Vec<u8>, BinaryDecodeError> {
        self.encoding.decode(&self.data)
    }
}

impl Decode for BinaryEncoding {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        match String::decode(raw)? {
            name if name == "base64" => Ok(Self::Base64),
            encoding => Err(Problem::Encoding {
                encoding: excerpt(encoding),
            }
            .into()),
        }
    }
}

impl Decode for EncodedBinary {
    fn decode(raw: &RawValue) -> Result<Self, DecodeError> {
        let fields = Fields::of(raw)?;
        Ok(Self {
            data: fields.required("data")?,
            encoding: fields.required("encoding")?,
        })
    }
}

deserialize_by_decoding!(EncodedBinary);
