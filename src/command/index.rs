//! Names to commands, in any case, in a few nanoseconds: every request asks here.
//!
//! Open addressing over two words made of a name's first and last bytes in lower case, and its length. Up to 16 bytes the
//! words are the name, so that a look-up is a multiplication and mostly one slot; only what is longer is compared byte by
//! byte. The table is at most a quarter full and never changes after it was built. The alternative refused, a
//! `HashMap` of strings, hashes with SipHash (nobody can choose the names in here) over a lower-cased copy.

use super::Command;

/// Finds commands by name.
#[derive(Debug)]
pub struct NameIndex {
    /// A power of two; empty if there are no names.
    slots: Box<[Option<Slot>]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    words: Words,
    name: &'static str,
    command: &'static Command,
}

/// A name's bytes in lower case: the first and the last eight of eight or more, all of fewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Words {
    head: u64,
    tail: u64,
    len: usize,
}

/// Slots per name at least.
const SLOTS_PER_NAME: usize = 4;
/// Names of up to so many bytes are their words.
const WORDS_BYTES: usize = 16;
/// Multiplier of the hash: an odd number with its bits well mixed (2^64 / golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl NameIndex {
    /// An index of `names`, which differ from each other.
    pub fn new(names: &[(&'static str, &'static Command)]) -> NameIndex {
        if names.is_empty() {
            return NameIndex { slots: Box::default() };
        }
        let mut slots = vec![None; (names.len() * SLOTS_PER_NAME).next_power_of_two()].into_boxed_slice();
        for &(name, command) in names {
            let words = Words::of(name.as_bytes());
            let mut at = words.slot(slots.len());
            while slots[at].is_some() {
                at = (at + 1) % slots.len();
            }
            slots[at] = Some(Slot { words, name, command });
        }
        NameIndex { slots }
    }

    /// The command of a name, in any case.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&'static Command> {
        if self.slots.is_empty() {
            return None;
        }
        let words = Words::of(name);
        let mut at = words.slot(self.slots.len());
        while let Some(slot) = self.slots[at] {
            if slot.words == words
                && (name.len() <= WORDS_BYTES || slot.name.as_bytes().eq_ignore_ascii_case(name))
            {
                return Some(slot.command);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }
}

impl Words {
    #[inline]
    fn of(name: &[u8]) -> Words {
        let len = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else if len > 0 {
            let byte = |at: usize| u64::from(name[at]);
            (byte(0) | byte(len / 2) << 8, byte(len - 1))
        } else {
            (0, 0)
        };
        Words { head: lower(head), tail: lower(tail), len }
    }

    #[inline]
    fn slot(self, slots: usize) -> usize {
        let mixed = (self.head ^ self.tail.rotate_left(13) ^ self.len as u64).wrapping_mul(SPREAD);
        (mixed >> 48) as usize & (slots - 1)
    }
}

/// The eight bytes of a word in lower case, ASCII letters only, without a loop: sums that carry into a byte's top bit
/// tell `A` and above from what is above `Z`.
#[inline]
fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (EACH * 0x7f);
    let from_a = low_bits + EACH * (0x80 - b'A' as u64);
    let above_z = low_bits + EACH * (0x7f - b'Z' as u64);
    let upper = (from_a ^ above_z) & !word & (EACH * 0x80);
    word | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

    #[test]
    fn lower_case_of_every_byte() {
        for byte in 0..=255 {
            let word = u64::from_le_bytes([byte, b'Z', byte, 0xff, 0, byte, b'@', byte]);
            let lowered = word.to_le_bytes().map(|byte| byte.to_ascii_lowercase());
            assert_eq!(lower(word).to_le_bytes(), lowered, "{byte:#x}");
        }
    }

    #[test]
    fn finds_each_name_and_nothing_else() {
        let names = [
            "a",
            "ab",
            "abc",
            "abcd",
            "abcdefg",
            "abcdefgh",
            "a_b",
            "one-very-long-name",
            "one-other-long-name",
        ];
        let any = table().commands()[0];
        let index = NameIndex::new(&names.map(|name| (name, any)));
        for name in names {
            assert!(index.get(name.to_ascii_uppercase().as_bytes()).is_some(), "{name}");
        }
        // `_` and DEL differ in the bit of the case; the words hold only the ends of a long name.
        for name in ["", "b", "aa", "abd", "a\x7fb", "abcdefghi", "one-very-lonk-name", "one-vury-long-name"]
        {
            assert!(index.get(name.as_bytes()).is_none(), "{name}");
        }
        assert!(NameIndex::new(&[]).get(b"a").is_none());
    }
}
