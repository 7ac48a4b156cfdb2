//! What clients write: values of all types and sizes, with and without time to live, in several databases.

use super::mix::{self, Mix};
use super::rng::Rng;

/// How a seed's clients behave.
#[derive(Clone, Debug)]
pub struct Habits {
    pub keys: u64,
    /// Of a hundred writes, how many carry a time to live; it is shorter than the simulation.
    pub expiring: u64,
    /// Of a hundred values, how many are large.
    pub large: u64,
    /// Of a hundred writes, how many are about other types than strings, and how those are.
    pub collections: u64,
    pub mix: mix::Habits,
}

/// Databases of a simulated server.
pub const DATABASES: u32 = 4;

type Request = Vec<Vec<u8>>;

/// A few requests that belong together: one write, or a transaction with its MULTI and EXEC.
pub fn writes(rng: &mut Rng, habits: &Habits) -> Vec<Request> {
    let mut requests = Vec::new();
    if rng.percent(25) {
        requests.push(words(&["SELECT", &rng.of(0..u64::from(DATABASES)).to_string()]));
    }
    if rng.percent(15) {
        requests.push(words(&["MULTI"]));
        for _ in 0..rng.of(1..6) {
            if rng.percent(10) {
                requests.push(words(&["SELECT", &rng.of(0..u64::from(DATABASES)).to_string()]));
            }
            let waits = rng.percent(habits.collections / 10);
            // What would wait does not in a transaction.
            requests.push(if waits {
                collections(rng, habits, |mix| mix.blocking("0"))
            } else {
                write(rng, habits)
            });
        }
        requests.push(words(&["EXEC"]));
    } else if rng.percent(habits.collections / 8) {
        requests.extend(collections(rng, habits, |mix| mix.story()));
    } else {
        requests.push(write(rng, habits));
    }
    requests
}

/// What a reader asks any node for; keys that have expired are among it.
pub fn read(rng: &mut Rng, habits: &Habits) -> Request {
    let key = key(rng, habits);
    let of_any_type = any_key(rng, habits);
    match rng.of(0..7) {
        0 => words(&["EXISTS", &of_any_type]),
        4 => words(&["TYPE", &of_any_type]),
        5 => words(&["HGETALL", &format!("hash:{}", rng.of(0..habits.mix.keys))]),
        6 => words(&["SORT", &format!("set:{}", rng.of(0..habits.mix.keys)), "ALPHA"]),
        1 => words(&["SCAN", "0", "COUNT", "1000"]),
        2 => words(&["RANDOMKEY"]),
        _ => words(&["GET", &key]),
    }
}

fn write(rng: &mut Rng, habits: &Habits) -> Request {
    if rng.percent(habits.collections) {
        return collections(rng, habits, |mix| mix.write());
    }
    let (key, other) = (key(rng, habits), key(rng, habits));
    let (key, other) = (key.as_str(), other.as_str());
    let (any, any_other) = (any_key(rng, habits), any_key(rng, habits));
    if rng.percent(habits.expiring) {
        return expiring(rng, habits, key);
    }
    let n = rng.of(0..1000).to_string();
    match rng.of(0..100) {
        0..30 => vec![b"SET".to_vec(), key.into(), value(rng, habits)],
        30..40 => words(&["INCRBY", &format!("n{key}"), &n]),
        40..50 => words(&["APPEND", key, &n]),
        50..56 => words(&["SETRANGE", key, &rng.of(0..60).to_string(), &n]),
        56..66 => words(&["DEL", &any, other]),
        66..72 => words(&["RENAME", &any, &any_other]),
        72..75 => words(&["COPY", &any, &any_other, "REPLACE"]),
        75..78 => words(&["MOVE", &any, &rng.of(0..u64::from(DATABASES)).to_string()]),
        78..83 => words(&["SETBIT", key, &rng.of(0..400).to_string(), "1"]),
        83..88 => words(&["GETDEL", key]),
        88..92 => words(&["INCRBYFLOAT", &format!("f{key}"), "0.1"]),
        92..95 => vec![b"MSET".to_vec(), key.into(), value(rng, habits), other.into(), value(rng, habits)],
        95..97 => words(&["GET", key]),
        97 => words(&["SWAPDB", "0", &rng.of(0..u64::from(DATABASES)).to_string()]),
        98 => words(&["FLUSHDB"]),
        _ if rng.percent(30) => words(&["FLUSHALL"]),
        _ => words(&["PERSIST", &any]),
    }
}

fn expiring(rng: &mut Rng, habits: &Habits, key: &str) -> Request {
    let ms = rng.pick(&[1, 20, 300, 2000, 20_000]) + rng.of(0..50);
    let ms = ms.to_string();
    match rng.of(0..5) {
        0 => words(&["PEXPIRE", &any_key(rng, habits), &ms]),
        1 => words(&["GETEX", key, "PX", &ms]),
        2 => words(&["EXPIRE", key, &rng.of(0..4).to_string()]),
        _ => vec![b"SET".to_vec(), key.into(), value(rng, habits), b"PX".to_vec(), ms.into_bytes()],
    }
}

fn key(rng: &mut Rng, habits: &Habits) -> String {
    format!("k{}", rng.of(0..habits.keys))
}

/// A string's key or, as often as clients write collections, one of those.
fn any_key(rng: &mut Rng, habits: &Habits) -> String {
    const CLASSES: [&str; 7] = ["list", "set", "ints", "hash", "zset", "stream", "log"];
    if rng.percent(habits.collections) {
        format!("{}:{}", rng.pick(&CLASSES), rng.of(0..habits.mix.keys))
    } else {
        key(rng, habits)
    }
}

fn collections<T>(rng: &mut Rng, habits: &Habits, choose: impl FnOnce(&mut Mix<'_>) -> T) -> T {
    choose(&mut Mix::new(habits.mix, &mut |below| rng.of(0..below)))
}

fn value(rng: &mut Rng, habits: &Habits) -> Vec<u8> {
    let len = if rng.percent(habits.large) { rng.pick(&[3_000, 20_000, 40_000]) } else { rng.of(0..60) };
    let seed = rng.next();
    // Half of them compress, half do not.
    (0..len)
        .map(|at| if seed.is_multiple_of(2) { b'a' } else { (seed.rotate_left(at as u32) ^ at) as u8 })
        .collect()
}

fn words(words: &[&str]) -> Request {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}
