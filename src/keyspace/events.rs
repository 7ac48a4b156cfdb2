//! Keyspace events: what happens to keys, by name, for those who subscribe to it (`notify-keyspace-events`).
//!
//! Whoever changes a key says what that is called; whether anybody is to hear of it is decided in one place, the executor,
//! after the command has run.

pub use crate::config::enums::Events as Class;

/// What happened, as subscribers read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    pub class: Class,
    pub name: &'static str,
}

impl Event {
    /// An event of a class.
    pub const fn new(class: Class, name: &'static str) -> Event {
        Event { class, name }
    }
}

/// A key is gone because somebody deleted it, or its last element.
pub const DEL: Event = Event::new(Class::GENERIC, "del");
/// A key is gone because its time had come.
pub const EXPIRED: Event = Event::new(Class::EXPIRED, "expired");
/// A key is there that was not.
pub const NEW: Event = Event::new(Class::NEW, "new");
/// A key has a TTL, or another one.
pub const EXPIRE: Event = Event::new(Class::GENERIC, "expire");
/// A key has no TTL any more.
pub const PERSIST: Event = Event::new(Class::GENERIC, "persist");
/// A string was set as a whole.
pub const SET: Event = Event::new(Class::STRING, "set");
/// Bits of a string were set.
pub const SETBIT: Event = Event::new(Class::STRING, "setbit");
/// A key that somebody wanted to read is not there.
pub const KEY_MISS: Event = Event::new(Class::KEY_MISS, "keymiss");

/// An event of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyEvent {
    pub event: Event,
    pub db: u16,
    pub key: Box<[u8]>,
}
