//! Collections out: which form each takes, and its bytes piece by piece.
//!
//! The form follows from the version that is written. Version 10, the default, is what Redis 7.0 reads: packed values are
//! their listpacks, but for a set's, which 7.0 does not know and which is written member by member. Version 9, for Redis 5
//! and 6, knows no listpacks at all; instead of ziplists, which would have to be built anew, it gets the plain forms that every
//! server has always read and packs by itself. Versions 11 and 12 add what 7.2 and 7.4 brought.
//!
//! A value of any size is written in pieces: after every element the owner of the buffer may drain it. What is written is a clone
//! that shares its nodes with the stored value, so nobody waits meanwhile.

use super::build::{NODE_PACKED, NODE_PLAIN};
use super::encode::{Drain, Writer};
use super::stream;
use crate::types::Object;
use crate::types::element::Element;
use crate::types::hash::Hash;
use crate::types::list::{Direction, List, NodeRef};
use crate::types::set::Set;
use crate::types::zset::{self, Zset};
use std::ops::ControlFlow;

/// The first version with listpacks.
pub(super) const VERSION_LISTPACKS: u8 = 10;
/// The first version with sets as listpacks, and with consumers' activity.
pub(super) const VERSION_7_2: u8 = 11;

const LIST: u8 = 1;
const SET: u8 = 2;
const HASH: u8 = 4;
const ZSET: u8 = 5;
const SET_INTSET: u8 = 11;
const HASH_LISTPACK: u8 = 16;
const ZSET_LISTPACK: u8 = 17;
const LIST_NODES: u8 = 18;
const SET_LISTPACK: u8 = 20;
const HASH_EXPIRING: u8 = 24;
const HASH_LISTPACK_EXPIRING: u8 = 25;

/// The type byte of a collection in an RDB of this version.
pub(super) fn type_of(object: &Object, version: u8) -> u8 {
    let packed = version >= VERSION_LISTPACKS;
    match object {
        Object::List(_) if packed => LIST_NODES,
        Object::List(_) => LIST,
        Object::Set(Set::Ints(_)) => SET_INTSET,
        Object::Set(Set::Packed(_)) if version >= VERSION_7_2 => SET_LISTPACK,
        Object::Set(_) => SET,
        Object::Zset(Zset::Packed(_)) if packed => ZSET_LISTPACK,
        Object::Zset(_) => ZSET,
        Object::Hash(Hash::Packed(_)) if packed => HASH_LISTPACK,
        // Older servers read it too.
        Object::Hash(hash) if hash.next_expiry_ms().is_none() => HASH,
        Object::Hash(Hash::PackedTtl(_)) => HASH_LISTPACK_EXPIRING,
        Object::Hash(_) => HASH_EXPIRING,
        Object::Stream(_) => stream::type_of(version),
    }
}

/// Is there a form for the collection in an RDB of this version?
pub(super) fn can_say(object: &Object, version: u8) -> bool {
    match object {
        Object::Hash(hash) => version >= VERSION_LISTPACKS || hash.next_expiry_ms().is_none(),
        _ => true,
    }
}

impl Writer {
    /// Writes a collection behind its type byte and key.
    pub(super) fn object(&mut self, object: &Object, drain: Drain<'_>) {
        match (object, type_of(object, self.version())) {
            (Object::List(list), LIST_NODES) => self.list_nodes(list, drain),
            (Object::List(list), _) => self.list(list, drain),
            (Object::Set(Set::Ints(ints)), _) => self.string(&ints.to_bytes()),
            (Object::Set(Set::Packed(pack)), SET_LISTPACK) => self.string(pack.bytes()),
            (Object::Set(set), _) => {
                self.length(set.len() as u64);
                set.iter().for_each(|member| self.element(member, drain));
            }
            (Object::Zset(Zset::Packed(pack)), ZSET_LISTPACK) => self.string(pack.bytes()),
            (Object::Zset(zset), _) => self.zset(zset, drain),
            (Object::Hash(Hash::Packed(pack)), HASH_LISTPACK) => self.string(pack.bytes()),
            (Object::Hash(hash @ Hash::PackedTtl(pack)), HASH_LISTPACK_EXPIRING) => {
                self.bare(&hash.next_expiry_ms().unwrap_or(0).to_le_bytes());
                self.string(pack.bytes());
            }
            (Object::Hash(hash), HASH_EXPIRING) => self.expiring_hash(hash, drain),
            (Object::Hash(hash), _) => self.hash(hash, drain),
            (Object::Stream(stream), _) => self.stream(stream, drain),
        }
    }

    /// An element, behind which the owner may drain.
    fn element(&mut self, element: Element<'_>, drain: Drain<'_>) {
        match element {
            Element::Int(n) => self.int(n),
            Element::Str(text) => self.string(text),
        }
        self.offer(drain);
    }

    fn list_nodes(&mut self, list: &List, drain: Drain<'_>) {
        self.length(list.nodes() as u64);
        list.for_each_node(|node| {
            match node {
                NodeRef::Packed(pack) => {
                    self.length(NODE_PACKED);
                    self.string(pack.bytes());
                }
                NodeRef::Plain(item) => {
                    self.length(NODE_PLAIN);
                    self.long_string(item, drain);
                }
                NodeRef::Squeezed(squeezed) => {
                    self.length(NODE_PACKED);
                    self.lzf(&squeezed.lzf, squeezed.byte_len);
                }
            }
            self.offer(drain);
        });
    }

    fn list(&mut self, list: &List, drain: Drain<'_>) {
        self.length(list.len() as u64);
        list.walk(0, Direction::Forward, |item| {
            self.element(item, drain);
            ControlFlow::Continue(())
        });
    }

    /// From the largest to the smallest, as Redis does: the reader then inserts each before all others.
    fn zset(&mut self, zset: &Zset, drain: Drain<'_>) {
        self.length(zset.len() as u64);
        for (member, score) in zset.range(0..zset.len(), zset::Direction::Backward) {
            match member {
                Element::Int(n) => self.int(n),
                Element::Str(text) => self.string(text),
            }
            self.bare(&score.to_le_bytes());
            self.offer(drain);
        }
    }

    fn hash(&mut self, hash: &Hash, drain: Drain<'_>) {
        self.length(hash.len() as u64);
        for field in hash.iter() {
            self.element(field.name, drain);
            self.element(field.value, drain);
        }
    }

    /// Expiries are counted from the earliest; 0 stands for none.
    fn expiring_hash(&mut self, hash: &Hash, drain: Drain<'_>) {
        let earliest_ms = hash.next_expiry_ms().unwrap_or(0);
        self.bare(&earliest_ms.to_le_bytes());
        self.length(hash.len() as u64);
        for field in hash.iter() {
            self.length(field.expiry_ms.map_or(0, |at| (at - earliest_ms + 1) as u64));
            self.element(field.name, drain);
            self.element(field.value, drain);
        }
    }
}
