//! Names to commands, in any case, in a few nanoseconds: every request asks here.
//!
//! Open addressing over two words made of a name's first and last bytes, folded to lower case, and its length. The words
//! hold all of a name of up to 16 bytes, so that a look-up is a multiplication, mostly one slot, and the comparison that
//! makes sure. The table is at most a quarter full and never changes after it was built. The alternative refused, a
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

/// A name's folded bytes: the first and the last eight of eight or more, all of fewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Words {
    head: u64,
    tail: u64,
    len: usize,
}

/// Slots per name at least.
const SLOTS_PER_NAME: usize = 4;
/// Sets bit 5 of each byte: letters become lower case. What else it makes equal is told apart by the full comparison.
const FOLD: u64 = 0x2020_2020_2020_2020;
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
            if slot.words == words && slot.name.as_bytes().eq_ignore_ascii_case(name) {
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
        Words { head: head | FOLD, tail: tail | FOLD, len }
    }

    #[inline]
    fn slot(self, slots: usize) -> usize {
        let mixed = (self.head ^ self.tail.rotate_left(29) ^ self.len as u64).wrapping_mul(SPREAD);
        (mixed >> 40) as usize & (slots - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table;

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
        // `_` and DEL differ in bit 5 alone; the words hold only the ends of a long name.
        for name in ["", "b", "aa", "abd", "a\x7fb", "abcdefghi", "one-very-lonk-name", "one-vury-long-name"]
        {
            assert!(index.get(name.as_bytes()).is_none(), "{name}");
        }
        assert!(NameIndex::new(&[]).get(b"a").is_none());
    }
}
