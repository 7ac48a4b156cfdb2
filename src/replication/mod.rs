//! Replication: the log and its ids, the master's side of PSYNC, the replica's link.

pub mod log;

/// What a replica asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyncRequest {
    /// SYNC: a bare RDB with its length, then the stream.
    Sync,
    /// PSYNC with the id and the first byte wanted (`?` and -1 for a full resync).
    Psync { id: Vec<u8>, offset: i64 },
}
