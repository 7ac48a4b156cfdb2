//! The walk over a shard in short locked slices: entries are copied out under the lock, encoded outside.

use crate::keyspace::shard::WalkStep;
use crate::keyspace::{Blob, Entry, Stored, ValueRef};
use crate::rdb;
use crate::server::Server;
use crate::types::Object;

/// Entries per slice: some 20 to 50 microseconds with the lock.
const SLICE_ENTRIES: usize = 192;

/// Copies of the entries of one slice.
#[derive(Default)]
pub struct Slice {
    bytes: Vec<u8>,
    entries: Vec<Copied>,
}

struct Copied {
    db: u16,
    expiry_ms: Option<i64>,
    access: u32,
    key_end: usize,
    value: CopiedValue,
}

enum CopiedValue {
    Int(i64),
    /// Ends here in `bytes`.
    Inline(usize),
    Large(Blob),
    Object(Object),
}

/// One entry of a slice.
pub struct Record<'s> {
    pub db: u16,
    pub expiry_ms: Option<i64>,
    pub access: u32,
    pub key: &'s [u8],
    pub value: rdb::ValueRef<'s>,
}

impl Slice {
    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    fn push(&mut self, db: u16, entry: &Entry) {
        self.bytes.extend_from_slice(entry.key());
        let key_end = self.bytes.len();
        let value = match entry.stored() {
            Stored::String(ValueRef::Int(n)) => CopiedValue::Int(n),
            Stored::String(ValueRef::Inline { bytes, .. }) => {
                self.bytes.extend_from_slice(bytes);
                CopiedValue::Inline(self.bytes.len())
            }
            Stored::String(ValueRef::Blob(blob)) => CopiedValue::Large(blob.clone()),
            // A small one is copied, a large one shared.
            Stored::Object(object) => CopiedValue::Object(object.read().clone()),
        };
        self.entries.push(Copied {
            db,
            expiry_ms: entry.expiry_ms(),
            access: entry.access(),
            key_end,
            value,
        });
    }

    /// The entries, in the order of the walk.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |copied| {
            let key = &self.bytes[start..copied.key_end];
            start = copied.key_end;
            let value = match &copied.value {
                CopiedValue::Int(n) => rdb::ValueRef::Int(*n),
                CopiedValue::Inline(end) => {
                    start = *end;
                    rdb::ValueRef::Str(&self.bytes[copied.key_end..*end])
                }
                CopiedValue::Large(blob) => rdb::ValueRef::Str(blob),
                CopiedValue::Object(object) => rdb::ValueRef::Object(object),
            };
            Record { db: copied.db, expiry_ms: copied.expiry_ms, access: copied.access, key, value }
        })
    }
}

/// Gives a stored value to `f` in the form in which it is written.
pub fn with_written<R>(value: Stored<'_>, f: impl FnOnce(rdb::ValueRef<'_>) -> R) -> R {
    match value {
        Stored::String(ValueRef::Int(n)) => f(rdb::ValueRef::Int(n)),
        Stored::String(ValueRef::Inline { bytes, .. }) => f(rdb::ValueRef::Str(bytes)),
        Stored::String(ValueRef::Blob(blob)) => f(rdb::ValueRef::Str(blob)),
        Stored::Object(object) => f(rdb::ValueRef::Object(&object.read())),
    }
}

/// Walks one slice of a shard on: its entries are in `slice` then.
pub fn walk_slice(server: &Server, shard: usize, slice: &mut Slice) -> WalkStep {
    slice.clear();
    let mut locked = server.keyspace.slot(shard).lock();
    let since = server.clock.instant();
    crate::hold::mark(since);
    let step = locked.walk(SLICE_ENTRIES, |db, entry| slice.push(db, entry));
    drop(locked);
    server.stats.record_lock(since.elapsed());
    step
}
