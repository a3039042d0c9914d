//! Numbers that look random and are the same in every run: SplitMix64, which needs no crate and never changes.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator of numbers. Equal seeds give equal numbers, in every version of this crate and on every machine.
#[derive(Clone, Debug)]
pub struct Seeded {
    state: u64,
}

impl Seeded {
    /// A generator for `seed`. A test prints its seed when it fails.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator for one `item` of one `stream` of a seed, so that an item can be had without those before it.
    pub fn for_item(seed: u64, stream: u64, item: u64) -> Self {
        let stream = mix(seed ^ mix(stream.wrapping_add(GOLDEN_GAMMA)));
        Self::new(mix(stream ^ mix(item.wrapping_add(GOLDEN_GAMMA))))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        self.number() % bound
    }

    /// An index into something of this length.
    ///
    /// # Panics
    /// When it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("it is below a length")
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("it is below 256")
    }

    /// Damages a message a little: cuts it off, inserts, removes or changes a byte, or repeats a part of it.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.index(bytes.len() + 1);
        match self.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, self.byte()),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => bytes.extend_from_within(at..),
        }
    }

    /// 32 bytes, for a hash or a secret key.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes());
        }
        bytes
    }
}

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut numbers = Seeded::new(1_234_567);
        assert_eq!(numbers.number(), 6_457_827_717_110_365_317);
        assert_eq!(numbers.number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn items_and_streams_differ() {
        let first = Seeded::for_item(1, 0, 0).bytes();
        assert_eq!(first, Seeded::for_item(1, 0, 0).bytes());
        assert_ne!(first, Seeded::for_item(1, 0, 1).bytes());
        assert_ne!(first, Seeded::for_item(1, 1, 0).bytes());
        assert_ne!(first, Seeded::for_item(2, 0, 0).bytes());
    }

    #[test]
    fn a_bound_holds() {
        let mut numbers = Seeded::new(7);
        assert!((0..100).all(|_| numbers.below(3) < 3));
    }
}
