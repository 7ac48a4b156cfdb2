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

    /// An `ERR` with a text made at run time. Line ends become spaces, as in Redis.
    pub fn err(text: impl AsRef<[u8]>) -> Error {
        Error::with_code(&[b"ERR ", text.as_ref()].concat())
    }

    /// An error with a text made at run time, code included. Line ends become spaces, as in Redis.
    pub fn with_code(text: &[u8]) -> Error {
        let mut text = text.to_vec();
        text.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
        Error(Cow::Owned(text))
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

    /// `EXECABORT Transaction discarded because of: …`: EXEC itself was refused.
    pub fn exec_aborted(reason: &Error) -> Error {
        let reason = reason.0.strip_prefix(b"ERR ").unwrap_or(&reason.0);
        Error(Cow::Owned([b"EXECABORT Transaction discarded because of: ", reason].concat()))
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
    DECREMENT_OVERFLOW = "ERR decrement would overflow";
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    BIT_OFFSET = "ERR bit offset is not an integer or out of range";
    BIT_VALUE = "ERR bit is not an integer or out of range";
    BITPOS_BIT = "ERR The bit argument must be 1 or 0.";
    BITOP_NOT = "ERR BITOP NOT must be called with a single source key.";
    BITFIELD_TYPE =
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    BITFIELD_OVERFLOW = "ERR Invalid OVERFLOW type specified";
    BITFIELD_READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand";
    LCS_IDX_AND_LEN = "ERR If you want both the length and indexes, please just use IDX.";
    LCS_TOO_LONG = "ERR String too long for LCS";
    LCS_TOO_LARGE = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    INVALID_CURSOR = "ERR invalid cursor";
    INVALID_FIRST_DB = "ERR invalid first DB index";
    INVALID_SECOND_DB = "ERR invalid second DB index";
    EXPIRE_NX_AND_OTHERS = "ERR NX and XX, GT or LT options at the same time are not compatible";
    EXPIRE_GT_AND_LT = "ERR GT and LT options at the same time are not compatible";
    NO_FREQUENCY = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    NO_IDLE_TIME = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";
    RESTORE_TTL = "ERR Invalid TTL value, must be >= 0";
    RESTORE_IDLE_TIME = "ERR Invalid IDLETIME value, must be >= 0";
    RESTORE_FREQUENCY = "ERR Invalid FREQ value, must be >= 0 and <= 255";
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    RESP2_UNSUPPORTED = "ERR RESP2 is not supported by this command";
    PROTOCOL_TYPE = "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false";
    DEBUG_NOT_ALLOWED = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.";
    INVALID_DB = "ERR invalid DB index";
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    SAME_OBJECT = "ERR source and destination objects are the same";
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    READ_ONLY = "READONLY You can't write against a read only replica.";
    AUTH_WITHOUT_PASSWORD = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    NO_AUTH = "NOAUTH Authentication required.";
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    LOADING = "LOADING Redis is loading the dataset in memory";
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    CANNOT_SAVE = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    ENDING = "ERR The server is shutting down";
    SAVE_FAILED = "ERR";
    NO_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    NESTED_MULTI = "ERR MULTI calls can not be nested";
    WATCH_INSIDE_MULTI = "ERR WATCH inside MULTI is not allowed";
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
}
