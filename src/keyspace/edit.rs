//! Changing an object in place.
//!
//! An [`Edit`] is the only way to an object that may be changed. It takes the value out of its entry, hands it to a running
//! snapshot first, and when it is dropped puts it back and does what must follow a change: the dirty counter, WATCH,
//! the keyspace event, who waits for the key; a key whose last element went goes too.

use super::events::{self, Event};
use super::table::Position;
use super::view::View;
use crate::types::ObjectType;
use std::ops::Deref;

/// What a change returns: it tells how many changes it was, none included.
pub trait Changes {
    /// How many changes.
    fn count(&self) -> u64;
}

impl Changes for bool {
    fn count(&self) -> u64 {
        u64::from(*self)
    }
}

impl Changes for usize {
    fn count(&self) -> u64 {
        *self as u64
    }
}

impl Changes for u64 {
    fn count(&self) -> u64 {
        *self
    }
}

impl<T> Changes for Option<T> {
    fn count(&self) -> u64 {
        u64::from(self.is_some())
    }
}

/// The number of changes, and what else there is to know.
impl<C: Changes, T> Changes for (C, T) {
    fn count(&self) -> u64 {
        self.0.count()
    }
}

const HELD: &str = "the value is there until the edit is dropped";

/// An object out of its entry.
pub struct Edit<'v, 'k, T: ObjectType> {
    view: &'v mut View<'k>,
    key: &'v [u8],
    hash: u64,
    /// Where the key is; `None`: it is new.
    at: Option<Position>,
    /// There until the edit is dropped.
    value: Option<T>,
    event: Event,
    changes: u64,
    /// The earliest expiry of its elements when it was taken out.
    next_expiry_ms: Option<i64>,
}

impl<'v, 'k, T: ObjectType> Edit<'v, 'k, T> {
    pub(super) fn new(
        view: &'v mut View<'k>,
        (key, hash): (&'v [u8], u64),
        at: Option<Position>,
        value: T,
        event: Event,
    ) -> Edit<'v, 'k, T> {
        let next_expiry_ms = value.next_expiry_ms();
        Edit { view, key, hash, at, value: Some(value), event, changes: 0, next_expiry_ms }
    }

    /// Changes the value. What `change` returns tells whether it did.
    pub fn change<C: Changes>(&mut self, change: impl FnOnce(&mut T) -> C) -> C {
        let result = change(self.value.as_mut().expect(HELD));
        self.changes += result.count();
        result
    }

    /// Is the key new?
    pub fn is_new(&self) -> bool {
        self.at.is_none()
    }

    /// The next random number of the unit.
    pub fn random(&mut self) -> u64 {
        self.view.random()
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.view.now_ms()
    }
}

impl<T: ObjectType> Deref for Edit<'_, '_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(HELD)
    }
}

impl<T: ObjectType> Drop for Edit<'_, '_, T> {
    fn drop(&mut self) {
        let value = self.value.take().expect(HELD);
        let gone = T::VANISHES && value.has_no_elements();
        let (view, key, hash, changes) = (&mut *self.view, self.key, self.hash, self.changes);
        let (before_ms, after_ms) = (self.next_expiry_ms, value.next_expiry_ms());
        match self.at {
            Some(at) => {
                if before_ms != after_ms {
                    view.move_field_expiry(hash, before_ms, after_ms);
                }
                view.end_edit(hash, at, key, value.into_object(), changes);
            }
            None if changes == 0 || gone => return,
            None => view.create_object(hash, key, value.into_object(), changes),
        }
        if changes > 0 {
            view.notify(self.event, key);
        }
        if gone {
            view.drop_emptied(hash, key);
            view.notify(events::DEL, key);
        }
    }
}
