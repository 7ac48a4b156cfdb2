//! The compact forms that Redis wrote before listpacks: read always, and written where an old server must understand.
//!
//! [`ziplist`] is what lists, hashes and sorted sets were packed in up to 6.2 (RDB types 10, 12, 13, 14), [`zipmap`] what
//! hashes were packed in before 2.6 (type 9). Nothing is kept in these forms: they are validated whole, then read element
//! by element into the types of today. So they need no editing, only a check and an iterator, and both are safe code over
//! borrowed bytes.

pub mod ziplist;
pub mod zipmap;
