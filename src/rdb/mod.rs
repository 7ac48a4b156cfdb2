//! The RDB format, both ways, without I/O: bytes in, items out; items in, bytes out.
//!
//! RDB is the form in which a data set travels: the snapshot file, the body of a full resync, the base of an
//! append-only file, and, one value at a time, the payload of DUMP and RESTORE. This module knows the format and
//! nothing else: no files, no sockets, no clock, no keyspace. Whoever has bytes feeds a [`Decoder`]; whoever needs
//! bytes drains a [`Writer`]. That is what lets the same code serve a file, a replica's socket and a test that cuts
//! the stream at every byte.
//!
//! Invariants: a decoder's items do not depend on how its input was cut into chunks; nothing that arrives from
//! outside makes it panic or allocate more than the arrived bytes justify; and what the writer wrote, the decoder
//! reads back, and so does the real server.
//!
//! Refused: a decoder over `std::io::Read`. It would be shorter, but blocks a thread per resync, and tests could
//! not stop it between two bytes.
//!
//! Reading order: [`wire`] (numbers, lengths, names), [`crc64`], [`lzf`], [`encode`] with `object` and `stream` (values out),
//! `string` and [`decode`] with `build`, `adopt` and [`legacy`] (values in), [`dump`], [`check`].

mod adopt;
mod batch;
mod build;
pub mod check;
pub mod crc64;
pub mod decode;
pub mod dump;
pub mod encode;
pub mod error;
pub mod legacy;
pub mod lzf;
mod object;
mod stream;
mod string;
pub mod wire;

pub use decode::{Checksum, Decoder, Feed, Item, Value};
pub use encode::{Aux, Options, RecordRef, ReplicationAux, ValueRef, Writer};
pub use error::{Doing, Error, Fault};
pub use wire::Eviction;

/// The newest `REDISnnnn` version whose frame the decoder reads. A value type it does not know is an error of its own.
pub const MAX_REDIS_VERSION: u32 = 15;

/// The version Valkey gave its own format, under the magic `VALKEY`.
pub const VALKEY_VERSION: u32 = 80;

/// The version written unless the caller asks for another: Redis 7.0 and everything later reads it.
pub const DEFAULT_WRITE_VERSION: u8 = 10;
