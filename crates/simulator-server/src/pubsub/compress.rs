//! The compressed messages of one connection: parts of a single zstd stream that never ends.

use std::io::{self, Write as _};

use zstd::stream::write::Encoder;

/// The level of the reference.
const LEVEL: i32 = 3;

/// A connection's stream.
pub(super) struct Compressor(Encoder<'static, Vec<u8>>);

impl Compressor {
    /// A stream without dictionary, checksum and content size.
    pub(super) fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(false)?;
        encoder.include_contentsize(false)?;
        Ok(Self(encoder))
    }

    /// The part of the stream that is one message. All parts before it have to be decoded first.
    pub(super) fn message(&mut self, text: &str) -> io::Result<Vec<u8>> {
        self.0.write_all(text.as_bytes())?;
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

    use super::*;

    #[test]
    fn continues_one_stream_in_parts_that_can_be_decoded_one_by_one() {
        let mut compressor = Compressor::new().unwrap();
        let texts = [
            "a first message".to_owned(),
            "again ".repeat(100_000),
            String::from("x"),
        ];
        let mut decoder = Decoder::new().unwrap();
        for (index, text) in texts.iter().enumerate() {
            let part = compressor.message(text).unwrap();
            assert_eq!(part.starts_with(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]), index == 0);
            let mut room = vec![0; text.len() + 1];
            let (mut input, mut output) = (InBuffer::around(&part), OutBuffer::around(room.as_mut_slice()));
            while input.pos() < part.len() {
                decoder.run(&mut input, &mut output).unwrap();
            }
            assert_eq!(output.as_slice(), text.as_bytes());
        }
    }
}
