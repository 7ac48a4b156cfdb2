//! What values mean beyond their bytes. Types know no clients, time or replies.

pub mod bits;
pub mod double;
pub mod element;
pub mod geohash;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod limits;
pub mod list;
pub mod listpack;
pub mod long_double;
pub mod map;
pub mod object;
pub mod packed;
pub mod set;
pub mod stream;
pub mod tree;
pub mod zset;

pub use limits::Limits;
pub use object::{Object, ObjectType};
