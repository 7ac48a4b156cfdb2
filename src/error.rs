//! Error replies: the exact text that a client sees, each typed once.
//!
//! A client's mistake is a value, never a panic. The text carries its code (`ERR`, `WRONGTYPE` …) but not the leading
//! `-`. Sources: observed on redis-server 7.0.15.

use std::borrow::Cow;

/// An error reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(pub Cow<'static, str>);

impl Error {
    /// An error with a fixed text, code included.
    pub const fn new(text: &'static str) -> Error {
        Error(Cow::Borrowed(text))
    }

    /// An `ERR` with a text made at run time. Line ends become spaces, as in Redis.
    pub fn err(text: impl AsRef<str>) -> Error {
        Error(Cow::Owned(format!("ERR {}", text.as_ref()).replace(['\r', '\n'], " ")))
    }

    /// The whole text as bytes.
    pub fn text(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The first word of the text, as INFO errorstats counts it.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or("ERR")
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
    NO_CONFIG_FILE = "ERR The server is running without a config file";
    TOML_CONFIG_FILE = "ERR Rewriting config file: a TOML file can't be rewritten, only a redis.conf";
    LISTEN_IN_TRANSACTION = "ERR CONFIG SET can't change where the server listens inside a transaction";
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
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
}
