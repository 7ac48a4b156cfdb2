//! A shard against a naive model: random changes, with snapshots begun at random moments and walked in random slices.
//!
//! The laws: what a snapshot gets, walked and captured together, is exactly the data at its beginning, each key once; when it
//! is through, all marks are equal again, abandoned or not; the expiry index knows every key with a TTL and nothing else; a
//! watcher is told if and only if its key was touched; every change is counted once.

use super::entry::{Entry, NewValue};
use super::shard::{Captured, Shard, Ttl, WalkStep};
use super::table::Position;
use super::watch::WatchFlag;
use super::{BLOB_MIN_BYTES, Blob, Hasher, Reaper};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};

const DBS: u16 = 3;
const HASHER: Hasher = Hasher { keys: (1, 2) };
/// Later expiries never come, by the index.
const LATEST_MS: i64 = (1 << 44) - 1;

/// The keys: short ones, one of a length of its own, and pairs that the expiry index cannot tell apart (20 equal bits).
static KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut keys: Vec<Vec<u8>> = (0..12).map(|n| format!("k{n}").into_bytes()).collect();
    keys.push(vec![b'l'; 300]);
    let mut seen: HashMap<u64, Vec<u8>> = HashMap::new();
    for n in 0..5_000 {
        let key = format!("pair{n}").into_bytes();
        if let Some(twin) = seen.insert(HASHER.hash(&key) & 0xf_ffff, key.clone()) {
            keys.extend([twin, key]);
        }
    }
    assert!(keys.len() > 20, "twins were found");
    keys.truncate(20);
    keys
});

static REAPER: LazyLock<Reaper> = LazyLock::new(Reaper::start);

#[derive(Clone, Debug)]
enum Value {
    Int(i64),
    Bytes { len: usize, byte: u8, raw: bool },
    Blob { len: usize, byte: u8 },
}

impl Value {
    fn text(&self) -> Vec<u8> {
        match self {
            Value::Int(n) => n.to_string().into_bytes(),
            Value::Bytes { len, byte, .. } | Value::Blob { len, byte } => vec![*byte; *len],
        }
    }

    /// Calls `store` with what is to be stored.
    fn with(&self, store: impl FnOnce(NewValue<'_>)) {
        match self {
            Value::Int(n) => store(NewValue::Int(*n)),
            Value::Bytes { raw, .. } => store(NewValue::Bytes { bytes: &self.text(), raw: *raw }),
            Value::Blob { .. } => store(NewValue::Blob(Blob::new(self.text()))),
        }
    }
}

/// A database and the number of a key.
type Name = (u16, usize);

#[derive(Clone, Debug)]
enum Step {
    Put(Name, Value, Ttl),
    PutAt(Name, Value),
    Remove(Name),
    Rename(Name, Name),
    SetExpiry(Name, Option<i64>),
    /// Makes a string at least so long and changes one of its bytes.
    Edit(Name, usize),
    Access(Name, u32),
    /// Many keys beside the named ones, so that buckets split; or takes them away, so that they merge.
    Fill(u16, usize),
    Drain(u16, usize),
    Clear(u16),
    Swap(u16, u16),
    /// A data set of so many keys takes the place of all.
    Adopt(usize),
    Expire(i64),
    Watch(Name),
    Unwatch(usize),
    Begin,
    Walk(usize),
    /// Nobody wants the snapshot any more.
    Abandon,
}

fn value() -> impl Strategy<Value = Value> {
    let len = prop_oneof![
        8 => 0..60usize,
        1 => 60..2_000usize,
        1 => BLOB_MIN_BYTES - 2..BLOB_MIN_BYTES + 2,
    ];
    prop_oneof![
        2 => any::<i64>().prop_map(Value::Int),
        5 => (len, any::<u8>(), any::<bool>()).prop_map(|(len, byte, raw)| Value::Bytes { len, byte, raw }),
        1 => (prop_oneof![Just(BLOB_MIN_BYTES), Just(70_000)], any::<u8>())
            .prop_map(|(len, byte)| Value::Blob { len, byte }),
    ]
}

fn expiry() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1..30i64, 2 => 30..3_000i64, 1 => Just(LATEST_MS - 1), 1 => Just(i64::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || (0..DBS, 0..20usize);
    let ttl = prop_oneof![Just(Ttl::Keep), Just(Ttl::Clear), expiry().prop_map(Ttl::At)];
    let len = prop_oneof![6 => 0..80usize, 1 => Just(BLOB_MIN_BYTES - 1), 1 => Just(BLOB_MIN_BYTES + 7)];
    prop_oneof![
        24 => (name(), value(), ttl).prop_map(|(name, value, ttl)| Step::Put(name, value, ttl)),
        6 => (name(), value()).prop_map(|(name, value)| Step::PutAt(name, value)),
        10 => name().prop_map(Step::Remove),
        5 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        10 => (name(), proptest::option::of(expiry())).prop_map(|(name, at)| Step::SetExpiry(name, at)),
        8 => (name(), len).prop_map(|(name, len)| Step::Edit(name, len)),
        2 => (name(), 0..1u32 << 24).prop_map(|(name, access)| Step::Access(name, access)),
        3 => (0..DBS, 0..200usize).prop_map(|(db, keys)| Step::Fill(db, keys)),
        2 => (0..DBS, 0..200usize).prop_map(|(db, keys)| Step::Drain(db, keys)),
        2 => (0..DBS).prop_map(Step::Clear),
        3 => (0..DBS, 0..DBS).prop_map(|(a, b)| Step::Swap(a, b)),
        1 => (0..40usize).prop_map(Step::Adopt),
        4 => (0..60i64).prop_map(Step::Expire),
        5 => name().prop_map(Step::Watch),
        2 => any::<usize>().prop_map(Step::Unwatch),
        6 => Just(Step::Begin),
        15 => (0..40usize).prop_map(Step::Walk),
        1 => Just(Step::Abandon),
    ]
}

/// What is stored under a key: its text and expiry.
type Stored = (Vec<u8>, Option<i64>);
type Data = BTreeMap<(u16, Vec<u8>), Stored>;

fn stored(entry: &Entry) -> Stored {
    (entry.string().expect("a string").text(&mut itoa::Buffer::new()).to_vec(), entry.expiry_ms())
}

struct Snapshot {
    /// The data at its beginning.
    expected: Data,
    got: Vec<((u16, Vec<u8>), Stored)>,
    /// `None` once it was abandoned.
    captured: Option<Receiver<Captured>>,
}

struct Watcher {
    db: u16,
    key: Vec<u8>,
    flag: WatchFlag,
    expired: bool,
    told: bool,
}

/// A shard and what it should be.
struct Pair {
    shard: Shard,
    data: Data,
    snapshot: Option<Snapshot>,
    watchers: Vec<Watcher>,
    now_ms: i64,
    dirty: u64,
}

fn filler(n: usize) -> Vec<u8> {
    format!("filler{n}").into_bytes()
}

impl Pair {
    fn new() -> Pair {
        Pair {
            shard: Shard::new(usize::from(DBS), HASHER, REAPER.clone()),
            data: Data::new(),
            snapshot: None,
            watchers: Vec::new(),
            now_ms: 10,
            dirty: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Put((db, n), value, ttl) => self.put(*db, &KEYS[*n], value, *ttl),
            Step::PutAt((db, n), value) => self.put_at(*db, &KEYS[*n], value),
            Step::Remove((db, n)) => self.remove(*db, &KEYS[*n]),
            Step::Rename((from_db, from), (to_db, to)) => {
                self.rename(*from_db, &KEYS[*from], *to_db, &KEYS[*to])
            }
            Step::SetExpiry((db, n), at) => self.set_expiry(*db, &KEYS[*n], *at),
            Step::Edit((db, n), len) => self.edit(*db, &KEYS[*n], *len),
            Step::Access((db, n), access) => {
                let hash = HASHER.hash(&KEYS[*n]);
                self.shard.find_accessing(*db, hash, &KEYS[*n], |_| Some(*access));
            }
            Step::Fill(db, keys) => {
                (0..*keys).for_each(|n| self.put(*db, &filler(n), &Value::Int(n as i64), Ttl::Keep));
            }
            Step::Drain(db, keys) => (0..*keys).for_each(|n| self.remove(*db, &filler(n))),
            Step::Clear(db) => self.clear(*db),
            Step::Swap(a, b) => self.swap(*a, *b),
            Step::Adopt(keys) => self.adopt(*keys),
            Step::Expire(ms) => self.expire(*ms),
            Step::Watch((db, n)) => self.watch(*db, &KEYS[*n]),
            Step::Unwatch(n) => self.unwatch(*n),
            Step::Begin => self.begin(),
            Step::Walk(entries) => self.walk(*entries),
            Step::Abandon => {
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.captured = None;
                }
            }
        }
    }

    fn find(&self, db: u16, key: &[u8]) -> Option<Position> {
        self.shard.find(db, HASHER.hash(key), key)
    }

    /// The model's watchers of a key learn of a change or, if it is gone, of its deletion.
    fn touch(&mut self, db: u16, key: &[u8], deleted: bool) {
        for watcher in self.watchers.iter_mut().filter(|w| w.db == db && w.key == key) {
            if watcher.expired && deleted {
                watcher.expired = false;
            } else {
                watcher.told = true;
            }
        }
    }

    fn put(&mut self, db: u16, key: &[u8], value: &Value, ttl: Ttl) {
        value.with(|value| {
            self.shard.put(db, HASHER.hash(key), key, value, ttl, 7);
        });
        let slot = self.data.entry((db, key.to_vec())).or_default();
        let expiry = match ttl {
            Ttl::Keep => slot.1,
            Ttl::Clear => None,
            Ttl::At(at) => Some(at),
        };
        *slot = (value.text(), expiry);
        self.dirty += 1;
        self.touch(db, key, false);
    }

    fn put_at(&mut self, db: u16, key: &[u8], value: &Value) {
        let Some(at) = self.find(db, key) else { return };
        value.with(|value| self.shard.put_at(db, HASHER.hash(key), at, key, value));
        self.data.get_mut(&(db, key.to_vec())).expect("found above").0 = value.text();
        self.dirty += 1;
        self.touch(db, key, false);
    }

    fn remove(&mut self, db: u16, key: &[u8]) {
        let there = self.data.remove(&(db, key.to_vec())).is_some();
        assert_eq!(self.shard.remove(db, HASHER.hash(key), key), there);
        if there {
            self.dirty += 1;
            self.touch(db, key, true);
        }
    }

    fn rename(&mut self, from_db: u16, from: &[u8], to_db: u16, to: &[u8]) {
        let taken = self.shard.take(from_db, HASHER.hash(from), from);
        let expected = self.data.remove(&(from_db, from.to_vec()));
        assert_eq!(taken.as_ref().map(stored), expected);
        let Some(entry) = taken else { return };
        self.touch(from_db, from, true);
        let ttl = entry.expiry_ms().map_or(Ttl::Clear, Ttl::At);
        self.shard.put(
            to_db,
            HASHER.hash(to),
            to,
            NewValue::from_stored(entry.stored()),
            ttl,
            entry.access(),
        );
        self.data.insert((to_db, to.to_vec()), stored(&entry));
        self.dirty += 1;
        self.touch(to_db, to, false);
    }

    fn set_expiry(&mut self, db: u16, key: &[u8], at: Option<i64>) {
        let slot = self.data.get_mut(&(db, key.to_vec()));
        assert_eq!(self.shard.set_expiry(db, HASHER.hash(key), key, at), slot.is_some());
        if let Some(slot) = slot {
            slot.1 = at;
            self.dirty += 1;
            self.touch(db, key, false);
        }
    }

    fn edit(&mut self, db: u16, key: &[u8], len: usize) {
        let hash = HASHER.hash(key);
        let bytes = match self.find(db, key) {
            Some(at) => self.shard.bytes_mut(db, hash, at, key, len),
            None => self.shard.new_bytes(db, hash, key, len, 7),
        };
        let slot = self.data.entry((db, key.to_vec())).or_default();
        let grown = slot.0.len().max(len);
        slot.0.resize(grown, 0);
        assert_eq!(bytes, slot.0);
        if let Some(last) = bytes.last_mut() {
            *last ^= 0x55;
            *slot.0.last_mut().expect("as long as the bytes") ^= 0x55;
        }
        self.dirty += 1;
        self.touch(db, key, false);
    }

    fn clear(&mut self, db: u16) {
        let (gone, left) = std::mem::take(&mut self.data).into_iter().partition(|((of, _), _)| *of == db);
        self.data = left;
        let gone: Data = gone;
        assert_eq!(self.shard.clear(db), gone.len());
        self.dirty += gone.len() as u64;
        gone.keys().for_each(|(_, key)| self.touch(db, key, true));
    }

    fn swap(&mut self, a: u16, b: u16) {
        if a == b {
            return;
        }
        self.shard.swap(a, b, |_| false);
        let other = |db: u16| match db {
            db if db == a => b,
            db if db == b => a,
            db => db,
        };
        let before = std::mem::take(&mut self.data);
        self.data =
            before.iter().map(|((db, key), slot)| ((other(*db), key.clone()), slot.clone())).collect();
        for at in 0..self.watchers.len() {
            let (db, key) = (self.watchers[at].db, self.watchers[at].key.clone());
            let was = before.contains_key(&(db, key.clone()));
            let is = self.data.contains_key(&(db, key));
            let watcher = &mut self.watchers[at];
            if db != a && db != b || !was && !is {
                continue;
            }
            if watcher.expired && !is {
                watcher.expired = false;
            } else {
                watcher.told = true;
            }
        }
    }

    fn adopt(&mut self, keys: usize) {
        let mut other = Shard::new(usize::from(DBS), HASHER, REAPER.clone());
        let mut data = Data::new();
        for n in 0..keys {
            let (db, key, at) = (n as u16 % DBS, &KEYS[n % KEYS.len()], (n % 3 == 0).then_some(n as i64 + 1));
            if data.insert((db, key.clone()), (b"1".to_vec(), at)).is_none() {
                let hash = HASHER.hash(key);
                other.insert(db, hash, Entry::new(hash, key, NewValue::Int(1), at, 0));
            } else {
                data.remove(&(db, key.clone()));
                assert!(other.remove(db, HASHER.hash(key), key));
            }
        }
        self.dirty += 1 + self.data.len() as u64;
        let old = std::mem::replace(&mut self.data, data);
        let new: Vec<_> = self.data.keys().cloned().collect();
        new.iter().for_each(|(db, key)| self.touch(*db, key, false));
        old.keys().for_each(|(db, key)| self.touch(*db, key, true));
        self.shard.adopt(other);
    }

    /// Time passes; what is due goes, as the expiry cycle does it: all of it, and nothing before its time.
    fn expire(&mut self, ms: i64) {
        self.now_ms += ms;
        for db in 0..DBS {
            while let Some(key) = self.shard.first_due(db, self.now_ms) {
                let at = self.data[&(db, key.clone())].1.expect("due keys have a TTL");
                assert!(at < self.now_ms, "{at} is not due at {}", self.now_ms);
                self.remove(db, &key);
            }
            let now_ms = self.now_ms;
            assert!(self.expiries(db).all(|at| at >= now_ms), "a key is due and was not found");
        }
    }

    fn expiries(&self, db: u16) -> impl Iterator<Item = i64> {
        self.data.iter().filter(move |((of, _), _)| *of == db).filter_map(|(_, (_, at))| *at)
    }

    fn watch(&mut self, db: u16, key: &[u8]) {
        let expired =
            self.data.get(&(db, key.to_vec())).is_some_and(|(_, at)| at.is_some_and(|at| at < self.now_ms));
        let flag = WatchFlag::default();
        self.shard.watches.add(db, key, &flag, expired);
        self.watchers.push(Watcher { db, key: key.to_vec(), flag, expired, told: false });
    }

    fn unwatch(&mut self, n: usize) {
        if !self.watchers.is_empty() {
            let watcher = self.watchers.swap_remove(n % self.watchers.len());
            self.shard.watches.remove(watcher.db, &watcher.key, &watcher.flag);
        }
    }

    fn begin(&mut self) {
        if self.snapshot.is_none() {
            let (sender, receiver) = channel();
            self.shard.begin_snapshot(sender);
            let (expected, captured) = (self.data.clone(), Some(receiver));
            self.snapshot = Some(Snapshot { expected, got: Vec::new(), captured });
        }
    }

    fn walk(&mut self, entries: usize) {
        let Some(snapshot) = &mut self.snapshot else { return };
        let got = &mut snapshot.got;
        let done = self.shard.walk(entries, |db, entry| {
            got.push(((db, entry.key().to_vec()), stored(entry)));
            entry.key().len()
        });
        if done == WalkStep::Done {
            let snapshot = self.snapshot.take().expect("seen above");
            check_snapshot(snapshot);
            self.check_marks();
        }
    }

    /// At rest all marks are equal, those of new entries too.
    fn check_marks(&mut self) {
        self.put(0, b"probe", &Value::Int(0), Ttl::Clear);
        self.put(DBS - 1, b"another probe", &Value::Int(0), Ttl::Clear);
        let mut marks = Vec::new();
        (0..DBS).for_each(|db| self.shard.db(db).table().for_each(|entry| marks.push(entry.mark())));
        assert!(marks.iter().all(|mark| *mark == marks[0]), "marks differ at rest");
    }

    fn check(&self) {
        assert_eq!(self.shard.stats.dirty, self.dirty);
        for watcher in &self.watchers {
            assert_eq!(watcher.flag.load(Relaxed), watcher.told, "{} {:?}", watcher.db, watcher.key);
        }
        for db in 0..DBS {
            let part = self.shard.db(db);
            assert_eq!(part.len(), self.data.keys().filter(|(of, _)| *of == db).count());
            assert_eq!(part.expires(), self.expiries(db).count());
            // The index by itself, at the moment before and the moment after the earliest expiry.
            if let Some(earliest) = self.expiries(db).min().filter(|at| *at < LATEST_MS) {
                assert_eq!(self.shard.first_due(db, earliest), None);
                let due = self.shard.first_due(db, earliest + 1).expect("one is due");
                assert_eq!(self.data[&(db, due)].1, Some(earliest));
            } else {
                assert_eq!(self.shard.first_due(db, i64::MAX), None);
            }
        }
    }

    fn check_data(&self) {
        let mut all = Vec::new();
        for db in 0..DBS {
            self.shard.db(db).table().for_each(|entry| all.push(((db, entry.key().to_vec()), stored(entry))));
        }
        all.sort_unstable();
        assert_eq!(all, self.data.clone().into_iter().collect::<Vec<_>>());
    }
}

/// The snapshot law: what was walked and what was captured are together what was there at the beginning, each key once.
fn check_snapshot(snapshot: Snapshot) {
    let Some(captured) = snapshot.captured else { return };
    let mut got = snapshot.got;
    for captured in captured.try_iter() {
        match captured {
            Captured::Entry { db, entry } => got.push(((db, entry.key().to_vec()), stored(&entry))),
            Captured::Table { db, table, seen } => table.for_each(|entry| {
                if entry.mark() != seen {
                    got.push(((db, entry.key().to_vec()), stored(entry)));
                }
            }),
        }
    }
    got.sort_unstable();
    let expected: Vec<_> = snapshot.expected.into_iter().collect();
    assert!(
        got == expected,
        "got {:?} instead of {:?}",
        got.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        expected.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shard_is_what_the_model_says(steps in proptest::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
            pair.check();
        }
        pair.check_data();
        while pair.snapshot.is_some() {
            pair.walk(5);
        }
        pair.expire(LATEST_MS);
        pair.check_data();
        // A leak detector cannot see entries, whose pointers are tagged, in the hands of another thread.
        while REAPER.pending() > 0 {
            std::thread::yield_now();
        }
    }
}
