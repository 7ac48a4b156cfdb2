//! What values mean beyond their bytes. Types know no clients, time or replies.

pub mod bits;
pub mod element;
pub mod listpack;
pub mod long_double;
pub mod packed;
