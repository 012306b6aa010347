//! A gzip stream that inflates to a huge run of blanks, made piece by piece while it is sent.
//! It never holds more than one piece, so that only a careless client pays for it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Blanks compressed between two looks at the output: about 1 KiB of gzip.
const PIECE: usize = 1 << 20;
/// What it inflates to: blanks are valid before a JSON value, so that no parser gives up early.
const FILLER: u8 = b' ';

/// A gzip stream under way.
pub struct Bomb {
    /// None once the trailer was made.
    encoder: Option<GzEncoder<Vec<u8>>>,
    left: u64,
    piece: Vec<u8>,
}

impl Bomb {
    /// A stream that inflates to this many bytes.
    #[must_use]
    pub fn new(inflated: u64) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Self { encoder: Some(encoder), left: inflated, piece: vec![FILLER; PIECE] }
    }

    /// The next compressed bytes, never empty; none after the end.
    pub fn next_bytes(&mut self) -> Option<Bytes> {
        while self.left > 0 {
            let encoder = self.encoder.as_mut()?;
            let size = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
            // Writing into a vector cannot fail; if it did, the stream would just end here.
            encoder.write_all(self.piece.get(..size)?).ok()?;
            self.left -= size as u64;
            let made = std::mem::take(encoder.get_mut());
            if !made.is_empty() {
                return Some(made.into());
            }
        }
        self.encoder.take()?.finish().ok().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::Bomb;

    #[test]
    fn it_inflates_to_the_size_asked_for_and_weighs_little() {
        let mut bomb = Bomb::new(5_000_001);
        let mut packed = Vec::new();
        while let Some(bytes) = bomb.next_bytes() {
            assert!(!bytes.is_empty());
            packed.extend_from_slice(&bytes);
        }
        let mut inflated = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated.len(), 5_000_001);
        assert!(packed.len() < 50_000, "{}", packed.len());
    }
}
