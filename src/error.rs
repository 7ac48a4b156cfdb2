//! Error replies: the exact text that a client sees, each typed once.
//!
//! A client's mistake is a value, never a panic. The text carries its code (`ERR`, `WRONGTYPE` …) but not the leading
//! `-`. It is bytes, not characters: what a client sent is repeated to it as it came. Sources: observed on redis-server
//! 7.0.15.

use std::borrow::Cow;
use std::fmt;

/// An error reply.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(pub Cow<'static, [u8]>);

impl Error {
    /// An error with a fixed text, code included.
    pub const fn new(text: &'static str) -> Error {
        Error(Cow::Borrowed(text.as_bytes()))
    }

    /// An error with a text made at run time, code included. Line ends become spaces, as in Redis.
    pub fn made(text: impl AsRef<[u8]>) -> Error {
        let line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        Error(Cow::Owned(
            text.as_ref().iter().map(|byte| if line_end(byte) { b' ' } else { *byte }).collect(),
        ))
    }

    /// An `ERR` with a text made at run time.
    pub fn err(text: impl AsRef<[u8]>) -> Error {
        Error::made([b"ERR ", text.as_ref()].concat())
    }

    /// The text as characters, for people.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The first word of the text, as INFO errorstats counts it.
    pub fn code(&self) -> &str {
        let word = self.0.split(|byte| *byte == b' ').next().unwrap_or_default();
        std::str::from_utf8(word).unwrap_or("ERR")
    }

    /// `ERR wrong number of arguments for 'name' command`.
    pub fn arity(name: &str) -> Error {
        Error::err(format!("wrong number of arguments for '{name}' command"))
    }

    /// `ERR invalid expire time in 'name' command`.
    pub fn invalid_expire(name: &str) -> Error {
        Error::err(format!("invalid expire time in '{name}' command"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?})", self.text())
    }
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Error = Error::new($text);)*
    };
}

errors! {
    /// A value of another type stands at the key.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    SYNTAX = "ERR syntax error";
    NOT_INTEGER = "ERR value is not an integer or out of range";
    NOT_FLOAT = "ERR value is not a valid float";
    NO_SUCH_KEY = "ERR no such key";
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    OVERFLOW = "ERR increment or decrement would overflow";
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    BIT_OFFSET = "ERR bit offset is not an integer or out of range";
    BIT_VALUE = "ERR bit is not an integer or out of range";
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    INVALID_DB = "ERR invalid DB index";
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    SAME_OBJECT = "ERR source and destination objects are the same";
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    READ_ONLY = "READONLY You can't write against a read only replica.";
    NO_AUTH = "NOAUTH Authentication required.";
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    LOADING = "LOADING Redis is loading the dataset in memory";
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    NO_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
}
