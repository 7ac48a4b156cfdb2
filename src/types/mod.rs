//! What values mean beyond their bytes. Types know no clients, time or replies.

pub mod bits;
pub mod hyperloglog;
pub mod long_double;
