//! Key specs: where the keys stand among a command's arguments, as data.
//!
//! The executor asks here which shards a request needs, COMMAND GETKEYS and the legacy key range of COMMAND INFO are
//! derived from the same specs. Positions count from 0 = the command's name.

use crate::executor::Args;
use smallvec::SmallVec;

bitflags::bitflags! {
    /// What a command does to a key, as COMMAND INFO's key specifications print it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct KeyFlags: u16 {
        const RO = 1 << 0;
        const RW = 1 << 1;
        const OW = 1 << 2;
        const RM = 1 << 3;
        const ACCESS = 1 << 4;
        const UPDATE = 1 << 5;
        const INSERT = 1 << 6;
        const DELETE = 1 << 7;
        const NOT_KEY = 1 << 8;
        const INCOMPLETE = 1 << 9;
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Where the search for keys begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At a fixed position.
    Index(usize),
    /// After a keyword, searched from `from` on (negative: from the end, backwards).
    Keyword { word: &'static str, from: i32 },
    /// No rule can say: the row's own lock flags and key finder know.
    Unknown,
}

/// How the keys go on from the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Find {
    /// From the beginning to `last` (relative to the beginning when ≥ 0, to the end of the arguments when
    /// negative: -1 is the last argument), each `step`; `limit` divides the range (2: its first half) when `last` is -1.
    Range { last: i32, step: usize, limit: u32 },
    /// The argument at `index` from the beginning says how many keys there are, the first stands at `first`.
    KeyNum { index: usize, first: usize, step: usize },
    /// No rule can say.
    Unknown,
}

/// One key specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    pub flags: KeyFlags,
    pub begin: Begin,
    pub find: Find,
    pub notes: Option<&'static str>,
}

impl KeySpec {
    /// Keys that a keyword precedes.
    pub const fn keyword(word: &'static str, from: i32, find: Find, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Keyword { word, from }, find, notes: None }
    }

    /// One key at `index`.
    pub const fn one(index: usize, flags: KeyFlags) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from `index` to `last` (see [`Find::Range`]), each `step`.
    pub const fn range(index: usize, last: i32, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, notes: None }
    }

    /// Adds COMMAND INFO's `notes`.
    pub const fn notes(mut self, notes: &'static str) -> KeySpec {
        self.notes = Some(notes);
        self
    }

    /// Positions of the keys in `args`, which the arity check has passed; `None` when the arguments contradict the
    /// spec (a key count that is not a number, is zero or exceeds what is there). None either way for what is not a key but a channel
    /// ([`KeyFlags::NOT_KEY`]) or cannot be known.
    pub fn positions<'a>(&self, argc: usize, arg: impl Fn(usize) -> &'a [u8]) -> Option<Positions> {
        if self.flags.contains(KeyFlags::NOT_KEY) {
            return Some(Positions::new());
        }
        let start = match self.begin {
            Begin::Index(index) => index,
            Begin::Unknown => return Some(Positions::new()),
            Begin::Keyword { word, from } => match find_keyword(argc, &arg, word, from) {
                Some(at) => at + 1,
                None => return Some(Positions::new()),
            },
        };
        if start >= argc {
            return Some(Positions::new());
        }
        match self.find {
            Find::Unknown => Some(Positions::new()),
            Find::Range { last, step, limit } => Some(range_positions(argc, start, last, step, limit)),
            Find::KeyNum { index, first, step } => {
                if start + index >= argc {
                    return None;
                }
                let count: usize = std::str::from_utf8(arg(start + index)).ok()?.parse().ok()?;
                let first = start + first;
                if count == 0 || count > argc || first + (count - 1) * step >= argc {
                    return None;
                }
                Some((0..count).map(|n| first + n * step).collect())
            }
        }
    }
}

/// Positions of keys among the arguments.
pub type Positions = SmallVec<[usize; 8]>;

/// Positions of keys and what the command does to each.
pub type FoundKeys = SmallVec<[(usize, KeyFlags); 8]>;

/// Finds a request's keys where its specs say too little: arguments that decide what is done to a key, keys that stand
/// anywhere. The arity is right.
pub type KeyFinder = fn(Args<'_>) -> FoundKeys;

/// The positions of the keys that a request uses, where its specs cannot tell; `None`: any key. The arity is right.
pub type Reach = fn(Args<'_>) -> Option<Positions>;

/// The key range that clients older than key specs understand: `first`, `last` (negative: from the end) and `step`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LegacyRange {
    pub first: i64,
    pub last: i64,
    pub step: i64,
}

/// Reduces key specs to one range, and says if that is not the whole truth (the flag `movablekeys`).
///
/// Specs at fixed positions that follow one another without a gap become one range; all others are left out.
pub fn legacy_range(specs: &[KeySpec]) -> (LegacyRange, bool) {
    let mut movable = specs.iter().any(|spec| spec.flags.contains(KeyFlags::INCOMPLETE));
    let mut range: Option<LegacyRange> = None;
    for spec in specs {
        let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
            movable = true;
            continue;
        };
        let (first, step) = (first as i64, step as i64);
        let last = if last < 0 { i64::from(last) } else { first + i64::from(last) };
        match &mut range {
            None if step == 1 || specs.len() == 1 => range = Some(LegacyRange { first, last, step }),
            Some(range) if step == 1 && range.last == first - 1 => range.last = last,
            _ => movable = true,
        }
    }
    (range.unwrap_or_default(), movable)
}

fn range_positions(argc: usize, start: usize, last: i32, step: usize, limit: u32) -> Positions {
    let end = if last >= 0 {
        start + last as usize
    } else if limit <= 1 {
        (argc as i64 + i64::from(last)).max(0) as usize
    } else {
        start + (argc - start) / limit as usize - 1
    };
    (start..=end.min(argc - 1)).step_by(step).collect()
}

fn find_keyword<'a>(argc: usize, arg: &impl Fn(usize) -> &'a [u8], word: &str, from: i32) -> Option<usize> {
    let matches = |at: &usize| arg(*at).eq_ignore_ascii_case(word.as_bytes());
    if from >= 0 {
        (from as usize..argc).find(matches)
    } else {
        let end = argc.saturating_sub(from.unsigned_abs() as usize);
        (1..=end).rev().find(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: KeySpec = KeySpec::one(1, KeyFlags::RO);

    /// `keys`: the words found; `None` if the arguments contradict the spec.
    #[track_caller]
    fn check(begin: Begin, find: Find, line: &str, keys: Option<&str>) {
        let words: Vec<&str> = line.split(' ').collect();
        let found = KeySpec { begin, find, ..SPEC }.positions(words.len(), |at| words[at].as_bytes());
        let found = found.map(|at| at.iter().map(|at| words[*at]).collect::<Vec<_>>().join(" "));
        assert_eq!(found.as_deref(), keys, "{line}");
    }

    #[test]
    fn ranges() {
        let range = |last, step, limit| Find::Range { last, step, limit };
        check(Begin::Index(1), range(0, 1, 0), "get a", Some("a"));
        check(Begin::Index(1), range(-1, 1, 0), "del a b c", Some("a b c"));
        check(Begin::Index(1), range(-2, 1, 0), "blpop a b 0", Some("a b"));
        check(Begin::Index(1), range(-1, 2, 0), "mset a 1 b 2", Some("a b"));
        check(Begin::Index(1), range(-1, 2, 0), "mset a 1 b", Some("a b"));
        check(Begin::Index(3), range(0, 1, 0), "get a", Some(""));
    }

    #[test]
    fn keywords() {
        let streams = Begin::Keyword { word: "STREAMS", from: 1 };
        let half = Find::Range { last: -1, step: 1, limit: 2 };
        check(streams, half, "xread count 1 streams a b 0 0", Some("a b"));
        check(streams, half, "xread streams a b 0", Some("a"));
        check(streams, half, "xread streams", Some(""));
        check(streams, half, "xread block 1 a", Some(""));
        let keys = Begin::Keyword { word: "KEYS", from: -2 };
        check(keys, Find::Range { last: -1, step: 1, limit: 0 }, "migrate h p  0 1 keys a b", Some("a b"));
    }

    #[test]
    fn key_numbers() {
        let find = Find::KeyNum { index: 0, first: 1, step: 1 };
        check(Begin::Index(1), find, "zunion 2 a b weights 1 2", Some("a b"));
        check(Begin::Index(2), find, "eval x 0", None);
        for wrong in
            ["zunion 3 a b", "zunion nope a", "zunion 0 a", "zunion -1 a", "zunion 99999999999999999999 a"]
        {
            check(Begin::Index(1), find, wrong, None);
        }
    }

    #[test]
    fn channels_and_the_unknown_are_not_found() {
        check(Begin::Unknown, Find::Unknown, "sort a store b", Some(""));
        let channel = KeySpec { flags: KeyFlags::NOT_KEY, ..SPEC };
        assert_eq!(channel.positions(2, |_| b"x").map(|found| found.len()), Some(0));
    }
}
