//! Streams, both ways.
//!
//! ```text
//! nodes n | (ID of 16 bytes | listpack) …
//! length | last ID
//! v2: first ID | largest deleted ID | entries ever added
//! groups n | (name | last ID | v2: entries read | pending n | (ID of 16 bytes | delivered | deliveries) …
//!             consumers n | (name | seen | v3: active | pending n | (ID of 16 bytes) …) …) …
//! ```
//!
//! IDs outside of nodes and pending lists are two lengths; times are 8 bytes of Unix milliseconds. Version 2 came with Redis 7.0,
//! version 3 with 7.2. What a version does not tell is estimated as Redis does.
//!
//! A pending entry stands in its group's list with all that is known of it, and in a consumer's list as a mere ID; reading
//! takes it from the first when the second claims it. Claimed twice, or by nobody, it is an error.

use super::encode::{Drain, Writer};
use super::error::Fault;
use super::object::VERSION_LISTPACKS;
use super::string::{bytes_at, text};
use super::wire::{Cursor, Halt};
use crate::types::stream::{Group, Marks, Node, Pending, Stream, StreamId};
use std::collections::BTreeMap;

const TYPE_V1: u8 = 15;
const TYPE_V2: u8 = 19;
const TYPE_V3: u8 = 21;

/// What the count of entries read says when it is not known.
const ENTRIES_READ_UNKNOWN: u64 = u64::MAX;
/// An active time that says that there was no activity yet.
const NEVER_ACTIVE: i64 = -1;

/// The type's versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Version {
    V1,
    V2,
    V3,
}

impl Version {
    fn of(value_type: u8) -> Version {
        match value_type {
            TYPE_V1 => Version::V1,
            TYPE_V2 => Version::V2,
            _ => Version::V3,
        }
    }
}

/// What the next piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    NodeCount,
    Node,
    Marks,
    Group,
    Pending,
    ConsumerCount,
    Consumer,
    /// An entry that is pending for the consumer that was read last.
    Claim,
}

/// Reads a stream, a piece at a time.
pub(super) struct StreamReader {
    version: Version,
    stage: Stage,
    /// Nodes or pending entries that are still to come.
    left: u64,
    consumers_left: u64,
    groups_left: u64,
    nodes: Vec<Node>,
    /// Nodes that were looked at.
    blocks: u64,
    stream: Stream,
    group: Vec<u8>,
    consumer: Vec<u8>,
    /// The group's pending entries that no consumer has claimed: when they were delivered, and how often.
    unclaimed: BTreeMap<StreamId, (i64, u64)>,
    scratch: Vec<u8>,
}

impl StreamReader {
    /// For one of the three types.
    pub fn new(value_type: u8) -> StreamReader {
        StreamReader {
            version: Version::of(value_type),
            stage: Stage::NodeCount,
            left: 0,
            consumers_left: 0,
            groups_left: 0,
            nodes: Vec::new(),
            blocks: 0,
            stream: Stream::default(),
            group: Vec::new(),
            consumer: Vec::new(),
            unclaimed: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Reads one piece; true when it was the last.
    pub fn step(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<bool, Halt> {
        match self.stage {
            Stage::NodeCount => self.left = cursor.length()?,
            Stage::Node => self.node(src, cursor)?,
            Stage::Marks => self.marks(cursor)?,
            Stage::Group => self.group(src, cursor)?,
            Stage::Pending => self.pending(cursor)?,
            Stage::ConsumerCount => self.consumers_left = cursor.length()?,
            Stage::Consumer => self.consumer(src, cursor)?,
            Stage::Claim => self.claim(cursor)?,
        }
        self.advance()
    }

    /// Nodes that were looked at so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The stream.
    pub fn finish(self) -> Stream {
        self.stream
    }

    /// Goes to the next stage that has something to read; true when there is none.
    fn advance(&mut self) -> Result<bool, Halt> {
        self.stage = match self.stage {
            Stage::NodeCount | Stage::Node if self.left > 0 => Stage::Node,
            Stage::NodeCount | Stage::Node => Stage::Marks,
            Stage::Group | Stage::Pending if self.left > 0 => Stage::Pending,
            Stage::Group | Stage::Pending => Stage::ConsumerCount,
            Stage::Consumer | Stage::Claim if self.left > 0 => Stage::Claim,
            Stage::ConsumerCount | Stage::Consumer | Stage::Claim if self.consumers_left > 0 => {
                Stage::Consumer
            }
            Stage::ConsumerCount | Stage::Consumer | Stage::Claim if !self.unclaimed.is_empty() => {
                return Err(corrupt("NACK entry without consumer"));
            }
            Stage::Marks | Stage::ConsumerCount | Stage::Consumer | Stage::Claim if self.groups_left > 0 => {
                Stage::Group
            }
            Stage::Marks | Stage::ConsumerCount | Stage::Consumer | Stage::Claim => return Ok(true),
        };
        Ok(false)
    }

    fn node(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Halt> {
        let key = text(src, cursor, &mut self.group)?;
        let bytes = text(src, cursor, &mut self.scratch)?;
        let key = bytes_at(key, src, &self.group).try_into();
        let key = key.map_err(|_| corrupt("Stream node key entry is not the size of a stream ID"))?;
        let bytes = bytes_at(bytes, src, &self.scratch);
        self.blocks += 1;
        let node = Node::from_bytes(StreamId::from_bytes(key), bytes);
        self.nodes.push(node.ok_or_else(|| corrupt("Stream listpack integrity check failed."))?);
        self.left -= 1;
        Ok(())
    }

    fn marks(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Halt> {
        let mut marks = Marks { len: cursor.length()?, last_id: id(cursor)?, ..Marks::default() };
        marks.entries_added = marks.len;
        if self.version >= Version::V2 {
            marks.first_id = id(cursor)?;
            marks.max_deleted_id = id(cursor)?;
            marks.entries_added = cursor.length()?;
        }
        self.groups_left = cursor.length()?;
        let stream = Stream::from_nodes(std::mem::take(&mut self.nodes), marks);
        self.stream = stream.ok_or_else(|| corrupt("Stream length inconsistent with rax entries"))?;
        Ok(())
    }

    fn group(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Halt> {
        let name = text(src, cursor, &mut self.scratch)?;
        let last_id = id(cursor)?;
        let entries_read = match self.version {
            Version::V1 => self.stream.marks().entries_up_to(last_id),
            _ => Some(cursor.length()?).filter(|read| *read != ENTRIES_READ_UNKNOWN),
        };
        self.left = cursor.length()?;
        self.group.clear();
        self.group.extend_from_slice(bytes_at(name, src, &self.scratch));
        self.groups_left -= 1;
        if self.stream.create_group(&self.group, last_id, entries_read) {
            Ok(())
        } else {
            Err(corrupt("Duplicated consumer group name"))
        }
    }

    fn pending(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Halt> {
        let id = StreamId::from_bytes(cursor.array()?);
        let delivered_ms = i64::from_le_bytes(cursor.array()?);
        let deliveries = cursor.length()?;
        self.left -= 1;
        match self.unclaimed.insert(id, (delivered_ms, deliveries)) {
            None => Ok(()),
            Some(_) => Err(corrupt("Duplicated global PEL entry loading stream consumer group")),
        }
    }

    fn consumer(&mut self, src: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Halt> {
        let name = text(src, cursor, &mut self.scratch)?;
        let seen_ms = i64::from_le_bytes(cursor.array()?);
        let active_ms = match self.version {
            Version::V3 => i64::from_le_bytes(cursor.array()?),
            // The best that can be said.
            Version::V1 | Version::V2 => seen_ms,
        };
        self.left = cursor.length()?;
        self.consumer.clear();
        self.consumer.extend_from_slice(bytes_at(name, src, &self.scratch));
        self.consumers_left -= 1;
        let group = self.stream.group_mut(&self.group).expect("the group was created");
        if group.find_consumer(&self.consumer).is_some() {
            return Err(corrupt("Duplicate stream consumer detected."));
        }
        let number = group.add_consumer(&self.consumer, seen_ms);
        group.consumer_mut(number).active_ms = Some(active_ms).filter(|at| *at != NEVER_ACTIVE);
        Ok(())
    }

    fn claim(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Halt> {
        let id = StreamId::from_bytes(cursor.array()?);
        self.left -= 1;
        let Some((delivered_ms, deliveries)) = self.unclaimed.remove(&id) else {
            return Err(corrupt("Consumer entry not found in group global PEL"));
        };
        let group = self.stream.group_mut(&self.group).expect("the group was created");
        let consumer = group.find_consumer(&self.consumer).expect("the consumer was added");
        group.set_pending(id, Pending { consumer, delivered_ms, deliveries });
        Ok(())
    }
}

fn corrupt(what: &'static str) -> Halt {
    Fault::Corrupt(what).into()
}

/// An ID as two lengths.
fn id(cursor: &mut Cursor<'_>) -> Result<StreamId, Halt> {
    Ok(StreamId { ms: cursor.length()?, seq: cursor.length()? })
}

/// The type byte of a stream in an RDB of this version.
pub(super) fn type_of(version: u8) -> u8 {
    match version {
        ..VERSION_LISTPACKS => TYPE_V1,
        VERSION_LISTPACKS => TYPE_V2,
        _ => TYPE_V3,
    }
}

impl Writer {
    /// A stream behind its type byte and key.
    pub(super) fn stream(&mut self, stream: &Stream, drain: Drain<'_>) {
        let version = Version::of(type_of(self.version()));
        self.length(stream.nodes_len() as u64);
        for node in stream.nodes() {
            self.string(&node.id().to_bytes());
            self.string(node.bytes());
            self.offer(drain);
        }
        let marks = stream.marks();
        self.length(marks.len);
        self.id(marks.last_id);
        if version >= Version::V2 {
            self.id(marks.first_id);
            self.id(marks.max_deleted_id);
            self.length(marks.entries_added);
        }
        self.length(stream.groups().len() as u64);
        for (name, group) in stream.groups() {
            self.string(name);
            self.group(group, version, drain);
        }
    }

    fn group(&mut self, group: &Group, version: Version, drain: Drain<'_>) {
        self.id(group.last_id);
        if version >= Version::V2 {
            self.length(group.entries_read.unwrap_or(ENTRIES_READ_UNKNOWN));
        }
        self.length(group.pending_len() as u64);
        for (id, pending) in group.pending_from(StreamId::MIN) {
            self.bare(&id.to_bytes());
            self.bare(&pending.delivered_ms.to_le_bytes());
            self.length(pending.deliveries);
            self.offer(drain);
        }
        self.length(group.consumers_len() as u64);
        for (_, consumer) in group.consumers() {
            self.string(consumer.name());
            self.bare(&consumer.seen_ms.to_le_bytes());
            if version >= Version::V3 {
                self.bare(&consumer.active_ms.unwrap_or(NEVER_ACTIVE).to_le_bytes());
            }
            self.length(consumer.pending_len() as u64);
            for id in consumer.pending_from(StreamId::MIN) {
                self.bare(&id.to_bytes());
                self.offer(drain);
            }
        }
    }

    fn id(&mut self, id: StreamId) {
        self.length(id.ms);
        self.length(id.seq);
    }
}
