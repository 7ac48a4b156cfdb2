//! What can be wrong with RDB bytes, in the words of the server's log.
//!
//! A [`Fault`] says what is wrong, an [`Error`] adds where and, inside a record, at which key. Texts that Redis has
//! are Redis's; the others say what an operator must know to act (which key, which type, that it is not supported
//! rather than corrupt).

use std::fmt;

use super::wire::type_name;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The first bytes are not an RDB's.
    WrongSignature,
    /// The version is none the decoder reads.
    UnsupportedVersion(u32),
    /// The input ended before the RDB did.
    UnexpectedEof,
    /// The trailing checksum is not that of the bytes.
    WrongChecksum {
        /// As computed.
        expected: u64,
        /// As the file says.
        got: u64,
    },
    /// A type that exists, but cannot be read yet.
    UnsupportedType {
        /// The type byte.
        value_type: u8,
        /// Whether the file is Valkey's, where some numbers mean other types.
        valkey: bool,
    },
    /// A byte that is neither a known opcode nor a known type.
    UnknownType(u8),
    /// An opcode that exists, but cannot be read.
    UnsupportedOpcode(u8),
    /// A function library in the form that only release candidates of 7.0 wrote.
    PreReleaseFunction,
    /// A module's data has a part of a kind that does not exist.
    BadModuleData(u64),
    /// A byte that starts no length.
    BadLength(u8),
    /// A length this machine cannot address.
    LengthOutOfRange(u64),
    /// A special string form that does not exist.
    BadStringEncoding(u8),
    /// A collection without elements, where there must be some.
    EmptyValue,
    /// A value is damaged: what of it, in Redis's words.
    Corrupt(&'static str),
    /// A compressed string does not expand to what it declares.
    BadLzf,
    /// A database index past 32 bits.
    BadDatabase(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::WrongSignature => f.write_str("Wrong signature trying to load DB from file"),
            Fault::UnsupportedVersion(version) => write!(f, "Can't handle RDB format version {version}"),
            Fault::UnexpectedEof => f.write_str("Unexpected EOF reading RDB file"),
            Fault::WrongChecksum { expected, got } => {
                write!(f, "Wrong RDB checksum expected: ({expected:x}) but got ({got:x}). Aborting now.")
            }
            Fault::UnsupportedType { value_type, valkey } => {
                let name = type_name(value_type, valkey).unwrap_or("unknown");
                write!(f, "RDB value type {value_type} ({name}) is not supported")
            }
            Fault::UnknownType(byte) => write!(f, "Unknown RDB encoding type {byte}"),
            Fault::UnsupportedOpcode(byte) => {
                write!(f, "RDB opcode {byte} (slot import or key metadata) is not supported")
            }
            Fault::PreReleaseFunction => f.write_str("Pre-release function format not supported."),
            Fault::BadModuleData(kind) => write!(f, "Unknown module data opcode {kind}"),
            Fault::BadLength(byte) => write!(f, "Unknown length encoding {byte} in RDB file"),
            Fault::LengthOutOfRange(len) => {
                write!(f, "String of {len} bytes in RDB file is too long for this machine")
            }
            Fault::BadStringEncoding(enc) => write!(f, "Unknown RDB string encoding type {enc}"),
            Fault::EmptyValue => f.write_str("Value without elements"),
            Fault::Corrupt(what) => f.write_str(what),
            Fault::BadLzf => f.write_str("Invalid LZF compressed string"),
            Fault::BadDatabase(db) => write!(f, "Database index {db} in RDB file is out of range"),
        }
    }
}

/// What was being read when a fault was found. The texts are those of `redis-check-rdb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The header.
    Start,
    /// The opcode or type byte of an item, or a small item that has no name of its own.
    ReadType,
    /// An expiry.
    ReadExpire,
    /// A key.
    ReadKey,
    /// A value.
    ReadObjectValue,
    /// The checksum.
    CheckSum,
    /// A database's number or size.
    ReadLen,
    /// A named fact.
    ReadAux,
    /// A module's data.
    ReadModuleAux,
    /// A function library.
    ReadFunctions,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doing::Start => "start",
            Doing::ReadType => "read-type",
            Doing::ReadExpire => "read-expire",
            Doing::ReadKey => "read-key",
            Doing::ReadObjectValue => "read-object-value",
            Doing::CheckSum => "check-sum",
            Doing::ReadLen => "read-len",
            Doing::ReadAux => "read-aux",
            Doing::ReadModuleAux => "read-module-aux",
            Doing::ReadFunctions => "read-functions",
        })
    }
}

/// What is wrong, where, and at which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub fault: Fault,
    /// Bytes of the RDB that were read without fault.
    pub offset: u64,
    /// What was being read.
    pub doing: Doing,
    /// The type byte of the record that was being read.
    pub value_type: Option<u8>,
    /// Its key, if that could be read.
    pub key: Option<Vec<u8>>,
}

impl fmt::Display for Error {
    /// The fault, with the key's name where there is one; the offset is left to whoever prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        match &self.key {
            Some(key) => write!(f, " (key '{}')", key.escape_ascii()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
