//! Keys that clients wait for, by ticket: who holds a ticket is not the keyspace's business.
//!
//! A change to a key for which somebody has a ticket makes the key ready; whoever holds the shard looks afterwards and lets the
//! holders try again, in the order of their tickets.

use std::collections::HashMap;

/// A place in the queue. Smaller numbers came first.
pub type Ticket = u64;

/// The awaited keys of a shard.
#[derive(Default)]
pub struct Waiting {
    keys: HashMap<Box<[u8]>, Vec<(u16, Ticket)>>,
    ready: Vec<(u16, Box<[u8]>)>,
}

impl Waiting {
    /// Nobody waits for anything here?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of awaited keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Puts a ticket into a key's queue.
    pub fn add(&mut self, db: u16, key: &[u8], ticket: Ticket) {
        let queue = self.keys.entry(key.into()).or_default();
        if !queue.contains(&(db, ticket)) {
            queue.push((db, ticket));
        }
    }

    /// Takes a ticket out of a key's queue.
    pub fn remove(&mut self, db: u16, key: &[u8], ticket: Ticket) {
        let Some(queue) = self.keys.get_mut(key) else { return };
        queue.retain(|held| *held != (db, ticket));
        if queue.is_empty() {
            self.keys.remove(key);
        }
    }

    /// The tickets of a key, first come first.
    pub fn tickets(&self, db: u16, key: &[u8]) -> Vec<Ticket> {
        let queue = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        queue.iter().filter(|(of, _)| *of == db).map(|(_, ticket)| *ticket).collect()
    }

    /// The tickets of a key in any database.
    pub fn tickets_anywhere(&self, key: &[u8]) -> impl Iterator<Item = Ticket> {
        self.keys.get(key).into_iter().flatten().map(|(_, ticket)| *ticket)
    }

    /// Something happened to a key.
    pub fn touch(&mut self, db: u16, key: &[u8]) {
        let awaited = self.keys.get(key).is_some_and(|queue| queue.iter().any(|(of, _)| *of == db));
        if awaited && !self.ready.iter().any(|(of, ready)| *of == db && **ready == *key) {
            self.ready.push((db, key.into()));
        }
    }

    /// Something happened to a whole database.
    pub fn touch_all(&mut self, db: u16) {
        let keys: Vec<_> = self.keys.keys().cloned().collect();
        keys.iter().for_each(|key| self.touch(db, key));
    }

    /// The keys that have become ready since the last call, in that order.
    pub fn take_ready(&mut self) -> Vec<(u16, Box<[u8]>)> {
        std::mem::take(&mut self.ready)
    }

    /// Has a key become ready?
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_key_is_ready_once_for_those_of_its_database() {
        let mut waiting = Waiting::default();
        waiting.add(0, b"k", 7);
        waiting.add(0, b"k", 7);
        waiting.add(1, b"k", 8);
        waiting.touch(0, b"other");
        waiting.touch(2, b"k");
        assert!(!waiting.has_ready());
        waiting.touch(0, b"k");
        waiting.touch(0, b"k");
        waiting.touch_all(1);
        assert_eq!(waiting.take_ready(), [(0, b"k"[..].into()), (1, b"k"[..].into())]);
        assert_eq!((waiting.tickets(0, b"k"), waiting.tickets(1, b"k")), (vec![7], vec![8]));
        waiting.remove(0, b"k", 7);
        waiting.remove(1, b"k", 8);
        assert!(waiting.is_empty() && !waiting.has_ready());
    }
}
