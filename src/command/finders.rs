//! Key finders: COMMAND GETKEYS for the commands whose key specs cannot tell all.
//!
//! A row names one of these with [`Row::key_finder`](super::Row::key_finder) where an argument decides what is done to a
//! key, or where keys may stand anywhere. Locks do not depend on them: a row whose specs miss keys says so by its flags.
//! Observed on redis-server 7.0.15.

use super::{FoundKeys, KeyFlags};
use crate::executor::Args;
use smallvec::smallvec;

const READ: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const OVERWRITE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
const READ_WRITE: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);
const MOVE_AWAY: KeyFlags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);

/// SET reads its key only with GET or a condition on its value.
pub fn set(args: Args<'_>) -> FoundKeys {
    const READING: [&str; 5] = ["GET", "IFEQ", "IFNE", "IFDEQ", "IFDNE"];
    let reads = (3..args.len()).any(|at| READING.iter().any(|word| args.is(at, word)));
    smallvec![(1, if reads { READ_WRITE } else { OVERWRITE })]
}

/// DELEX reads its key only with a condition.
pub fn delex(args: Args<'_>) -> FoundKeys {
    const REMOVE: KeyFlags = KeyFlags::RM.union(KeyFlags::DELETE);
    smallvec![(1, if args.len() > 2 { MOVE_AWAY } else { REMOVE })]
}

/// BITFIELD writes its key unless it only gets.
pub fn bitfield(args: Args<'_>) -> FoundKeys {
    let mut at = 2;
    let mut reads_only = true;
    while at < args.len() {
        let left = args.len() - at - 1;
        match () {
            () if args.is(at, "GET") && left >= 2 => at += 3,
            () if args.is(at, "OVERFLOW") && left >= 1 => at += 2,
            () => {
                reads_only = false;
                break;
            }
        }
    }
    smallvec![(1, if reads_only { READ } else { READ_WRITE })]
}

/// SORT writes where the last STORE says.
pub fn sort(args: Args<'_>) -> FoundKeys {
    let mut store = None;
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "LIMIT") {
            at += 2;
        } else if args.is(at, "GET") || args.is(at, "BY") {
            at += 1;
        } else if args.is(at, "STORE") && at + 1 < args.len() {
            store = Some(at + 1);
            at += 1;
        }
        at += 1;
    }
    std::iter::once((1, READ)).chain(store.map(|at| (at, OVERWRITE))).collect()
}

/// MIGRATE moves one key, or those after KEYS where the one is empty; with both there is none.
pub fn migrate(args: Args<'_>) -> FoundKeys {
    let one = smallvec![(3, MOVE_AWAY)];
    let mut at = 6;
    while at < args.len() {
        if args.is(at, "KEYS") {
            return match (at + 1..args.len(), args.at(3)) {
                (keys, _) if keys.is_empty() => one,
                (keys, b"") => keys.map(|at| (at, MOVE_AWAY)).collect(),
                _ => FoundKeys::new(),
            };
        }
        let words = if args.is(at, "AUTH") { 2 } else { 1 };
        at += if args.is(at, "AUTH2") { 3 } else { words };
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::parser::Arg;

    #[track_caller]
    fn check(finder: super::super::KeyFinder, line: &str, expected: &[(&str, KeyFlags)]) {
        let args: Vec<Arg<'_>> = line.split(' ').map(|word| Arg::Slice(word.as_bytes())).collect();
        let found = finder(Args(&args));
        let found: Vec<_> =
            found.iter().map(|(at, flags)| (line.split(' ').nth(*at).expect("there"), *flags)).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn as_observed() {
        check(set, "set a b", &[("a", OVERWRITE)]);
        check(set, "set a b get", &[("a", READ_WRITE)]);
        check(set, "set a b ifne c", &[("a", READ_WRITE)]);
        check(delex, "delex a ifeq b", &[("a", MOVE_AWAY)]);
        check(delex, "delex a", &[("a", KeyFlags::RM.union(KeyFlags::DELETE))]);
        check(bitfield, "bitfield a", &[("a", READ)]);
        check(bitfield, "bitfield a get u8 1 overflow wrap get u8 0", &[("a", READ)]);
        check(bitfield, "bitfield a get u8 1 set u8 1 1", &[("a", READ_WRITE)]);
        check(bitfield, "bitfield a junk", &[("a", READ_WRITE)]);
        check(sort, "sort a", &[("a", READ)]);
        check(sort, "sort a by b store c get d store e limit store f", &[("a", READ), ("e", OVERWRITE)]);
        check(sort, "sort a get store b", &[("a", READ)]);
        check(sort, "sort a store", &[("a", READ)]);
        check(migrate, "migrate h p k 0 1", &[("k", MOVE_AWAY)]);
        check(migrate, "migrate h p  0 1 keys a b", &[("a", MOVE_AWAY), ("b", MOVE_AWAY)]);
        check(migrate, "migrate h p  0 1 auth keys keys a", &[("a", MOVE_AWAY)]);
        check(migrate, "migrate h p  0 1 auth2 keys keys keys a", &[("a", MOVE_AWAY)]);
        check(migrate, "migrate h p  0 1 keys", &[("", MOVE_AWAY)]);
        check(migrate, "migrate h p k 0 1 keys a", &[]);
    }
}
