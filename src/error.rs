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

    /// An error with a text made at run time, code included. Line ends become spaces, at the end nothing, as in Redis.
    pub fn made(text: impl AsRef<[u8]>) -> Error {
        let line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let text = text.as_ref();
        let text = &text[..text.iter().rposition(|byte| !line_end(byte)).map_or(0, |last| last + 1)];
        Error(Cow::Owned(text.iter().map(|byte| if line_end(byte) { b' ' } else { *byte }).collect()))
    }

    /// An `ERR` that repeats what a client sent, byte for byte but only up to a NUL, as C's `%s` does.
    pub fn quoting(before: &str, quoted: &[u8], after: &str) -> Error {
        Error::err([before.as_bytes(), until_nul(quoted), after.as_bytes()].concat())
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

    /// `ERR unknown subcommand or wrong number of arguments for 'sub'. Try CONTAINER HELP.`
    pub fn subcommand_syntax(container: &str, sub: &[u8]) -> Error {
        let sub = &sub[..sub.len().min(128)];
        let help = format!("'. Try {container} HELP.");
        Error::quoting("unknown subcommand or wrong number of arguments for '", sub, &help)
    }

    /// `EXECABORT Transaction discarded because of: …`: EXEC itself was refused.
    pub fn exec_aborted(reason: &Error) -> Error {
        let text = reason.text();
        let reason = text.strip_prefix("ERR ").unwrap_or(&text);
        Error(Cow::Owned(format!("EXECABORT Transaction discarded because of: {reason}").into_bytes()))
    }

    /// `NOGROUP No such key '…' or consumer group '…'`, and what follows.
    pub fn no_group(key: &[u8], group: &[u8], after: &str) -> Error {
        let parts =
            [b"NOGROUP No such key '", until_nul(key), b"' or consumer group '", until_nul(group), b"'"];
        Error::made([&parts.concat(), after.as_bytes()].concat())
    }

    /// `NOGROUP No such consumer group '…' for key name '…'`.
    pub fn no_group_of_key(group: &[u8], key: &[u8]) -> Error {
        let parts = [
            b"NOGROUP No such consumer group '",
            until_nul(group),
            b"' for key name '",
            until_nul(key),
            b"'",
        ];
        Error::made(parts.concat())
    }

    /// `ERR invalid expire time in 'name' command`.
    pub fn invalid_expire(name: &str) -> Error {
        Error::err(format!("invalid expire time in '{name}' command"))
    }
}

/// The text as C reads it.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
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
    NX_AND_XX = "ERR XX and NX options at the same time are not compatible";
    GT_LT_NX = "ERR GT, LT, and/or NX options at the same time are not compatible";
    INCR_SINGLE_PAIR = "ERR INCR option supports a single increment-element pair";
    SCORE_NAN = "ERR resulting score is not a number (NaN)";
    RANGE_NOT_FLOAT = "ERR min or max is not a float";
    RANGE_NOT_STRING = "ERR min or max not valid string range item";
    RANK_LIMIT = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    LEX_WITHSCORES = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    GEO_UNIT = "ERR unsupported unit provided. please use M, KM, FT, MI";
    GEO_RADIUS = "ERR need numeric radius";
    GEO_RADIUS_NEGATIVE = "ERR radius cannot be negative";
    GEO_WIDTH = "ERR need numeric width";
    GEO_HEIGHT = "ERR need numeric height";
    GEO_SIDE_NEGATIVE = "ERR height or width cannot be negative";
    GEO_MEMBER = "ERR could not decode requested zset member";
    COUNT_BELOW_ONE = "ERR COUNT must be > 0";
    GEO_ANY = "ERR the ANY argument requires COUNT argument";
    WEIGHT_NOT_FLOAT = "ERR weight value is not a float";
    LIMIT_NEGATIVE = "ERR LIMIT can't be negative";
    NUMKEYS_NOT_POSITIVE = "ERR numkeys should be greater than 0";
    COUNT_NOT_POSITIVE = "ERR count should be greater than 0";
    VALUE_OUT_OF_RANGE = "ERR value is out of range";
    NOT_INTEGER = "ERR value is not an integer or out of range";
    NOT_FLOAT = "ERR value is not a valid float";
    NO_SUCH_KEY = "ERR no such key";
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    OVERFLOW = "ERR increment or decrement would overflow";
    DECREMENT_OVERFLOW = "ERR decrement would overflow";
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    NAN_OR_INFINITY_GIVEN = "ERR value is NaN or Infinity";
    HASH_NOT_INTEGER = "ERR hash value is not an integer";
    HASH_NOT_FLOAT = "ERR hash value is not a float";
    FIELDS_MISSING = "ERR Mandatory argument FIELDS is missing or not at the right position";
    FIELDS_NOT_POSITIVE = "ERR Number of fields must be a positive integer";
    NUM_FIELDS_NOT_POSITIVE = "ERR Parameter `numFields` should be greater than 0";
    FIELDS_MISMATCH = "ERR The `numfields` parameter must match the number of arguments";
    FIELDS_INVALID = "ERR invalid number of fields";
    FIELD_EXPIRY_NEGATIVE = "ERR invalid expire time, must be >= 0";
    HGETEX_ONE_TIME = "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified";
    HSETEX_ONE_TIME = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    HSETEX_ONE_CONDITION = "ERR Only one of FXX or FNX arguments can be specified";
    NO_EXPIRE_TIME = "ERR missing expire time";
    BIT_OFFSET = "ERR bit offset is not an integer or out of range";
    BIT_VALUE = "ERR bit is not an integer or out of range";
    BITPOS_BIT = "ERR The bit argument must be 1 or 0.";
    BITOP_NOT = "ERR BITOP NOT must be called with a single source key.";
    BITFIELD_TYPE =
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    BITFIELD_OVERFLOW = "ERR Invalid OVERFLOW type specified";
    BITFIELD_READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand";
    /// The string is not a sketch at all.
    NOT_HLL = "WRONGTYPE Key is not a valid HyperLogLog string value.";
    CORRUPTED_HLL = "INVALIDOBJ Corrupted HLL object detected";
    HLL_NOT_SPARSE = "ERR HLL encoding is not sparse";
    NO_SPECIFIED_KEY = "ERR The specified key does not exist";
    NOT_A_DIGEST = "ERR must be exactly 16 hexadecimal characters";
    DELEX_CONDITION = "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE";
    INVALID_NUMKEYS = "ERR invalid numkeys value";
    WRONG_PAIRS = "ERR wrong number of key-value pairs";
    CLUSTER_DISABLED = "ERR This instance has cluster support disabled";
    LCS_IDX_AND_LEN = "ERR If you want both the length and indexes, please just use IDX.";
    LCS_NOT_STRINGS = "ERR The specified keys must contain string values";
    LCS_TOO_LONG = "ERR String too long for LCS";
    LCS_TOO_LARGE = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    LPOS_RANK_ZERO = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list";
    LPOS_COUNT = "ERR COUNT can't be negative";
    LPOS_MAXLEN = "ERR MAXLEN can't be negative";
    SORT_NOT_NUMBERS = "ERR One or more scores can't be converted into double";
    NOT_LISTPACK = "ERR Not a listpack encoded object.";
    NOT_QUICKLIST = "ERR Not a quicklist encoded object.";
    RELOAD_OPTIONS = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
    RELOAD_FAILED = "ERR Error trying to load the RDB dump";
    PACKED_THRESHOLD = "ERR argument must be a memory value bigger than 1 and smaller than 4gb";
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
    LONG_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    NUMKEYS_TOO_MANY = "ERR Number of keys can't be greater than number of args";
    RESP2_UNSUPPORTED = "ERR RESP2 is not supported by this command";
    PROTOCOL_TYPE = "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false";
    DEBUG_NOT_ALLOWED = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.";
    NO_CONFIG_FILE = "ERR The server is running without a config file";
    TOML_CONFIG_FILE = "ERR Rewriting config file: a TOML file can't be rewritten, only a redis.conf";
    LISTEN_IN_TRANSACTION = "ERR CONFIG SET can't change where the server listens inside a transaction";
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    SAME_OBJECT = "ERR source and destination objects are the same";
    MIGRATE_KEYS = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string";
    MIGRATE_CONNECT = "IOERR error or timeout connecting to the client";
    MIGRATE_IN_TRANSACTION = "ERR MIGRATE is not allowed inside a transaction";
    MIGRATE_RESTLESS = "ERR Keys changed all the time while they were sent: they are on both instances";
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    READ_ONLY = "READONLY You can't write against a read only replica.";
    AUTH_WITHOUT_PASSWORD = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    INT_OUT_OF_RANGE = "ERR value is out of range, value must between -2147483648 and 2147483647";
    NO_AUTH = "NOAUTH Authentication required.";
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
    HELLO_NO_AUTH = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
    NO_PROTO = "NOPROTO unsupported protocol version";
    PROTO_NOT_INTEGER = "ERR Protocol version is not an integer or out of range";
    RESET_NOT_NORMAL = "ERR can only reset normal client connections";
    /// A client in MONITOR counts as a replica.
    MONITOR_KEYSPACE = "ERR Replica can't interact with the keyspace";
    MONITOR_IN_MULTI = "ERR MONITOR isn't allowed for DENY BLOCKING client";
    CLIENT_NAME = "ERR Client names cannot contain spaces, newlines or special characters.";
    CLIENT_ID = "ERR Invalid client ID";
    CLIENT_ID_NOT_POSITIVE = "ERR client-id should be greater than 0";
    NO_SUCH_CLIENT = "ERR No such client";
    LOADING = "LOADING Redis is loading the dataset in memory";
    MASTER_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    CANNOT_SAVE = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    SAVE_FAILED = "ERR";
    SAVE_RUNNING = "ERR Background save already in progress";
    NO_SHUTDOWN = "ERR No shutdown in progress.";
    INVALID_MASTER_PORT = "ERR Invalid master port";
    FAILOVER_TO_MASTER = "ERR PSYNC FAILOVER can't be sent to a master.";
    FAILOVER_OF_OTHERS = "ERR PSYNC FAILOVER replid must match my replid.";
    NO_MASTER_LINK = "NOMASTERLINK Can't SYNC while not connected with my master";
    WAIT_ON_REPLICA = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.";
    TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range";
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    UNBLOCK_REASON = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
    UNBLOCKED_BY_CLIENT = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    UNBLOCKED_BY_ROLE =
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    ENDING = "ERR The server is shutting down";
    NO_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    NESTED_MULTI = "ERR MULTI calls can not be nested";
    WATCH_INSIDE_MULTI = "ERR WATCH inside MULTI is not allowed";
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    INVALID_STREAM_ID = "ERR Invalid stream ID specified as stream command argument";
    INTERVAL_START = "ERR invalid start ID for the interval";
    INTERVAL_END = "ERR invalid end ID for the interval";
    XADD_ZERO = "ERR The ID specified in XADD must be greater than 0-0";
    XADD_EXHAUSTED =
        "ERR The stream has exhausted the last possible ID, unable to add more items";
    XADD_TOO_SMALL = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    XADD_TOO_LARGE = "ERR Elements are too large to be stored";
    TRIM_TWICE = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";
    TRIM_MAXLEN = "ERR The MAXLEN argument must be >= 0.";
    TRIM_LIMIT = "ERR The LIMIT argument must be >= 0.";
    TRIM_LIMIT_ALONE = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    TRIM_LIMIT_EXACT = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    TRIM_NOTHING = "ERR syntax error, XTRIM must be called with a trimming strategy";
    XSETID_ADDED = "ERR entries_added must be positive";
    XSETID_BELOW_GIVEN = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
    XSETID_BELOW_TOP = "ERR The ID specified in XSETID is smaller than the target stream top item";
    XSETID_FEWER =
        "ERR The entries_added specified in XSETID is smaller than the target stream length";
    XREAD_GROUP = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
    XREAD_NOACK = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
    XREAD_NEW = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
    XREADGROUP_STREAM_GONE = "UNBLOCKED the stream key no longer exists";
    XREADGROUP_GROUP_GONE = "NOGROUP the consumer group this client was blocked on no longer exists";
    XREADGROUP_WITHOUT_GROUP = "ERR Missing GROUP option for XREADGROUP";
    XREADGROUP_END = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.";
    XREADGROUP_LAST = "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.";
    XGROUP_NO_KEY = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.";
    XGROUP_ENTRIES_READ = "ERR value for ENTRIESREAD must be positive or -1";
    BUSY_GROUP = "BUSYGROUP Consumer Group name already exists";
    XCLAIM_MIN_IDLE = "ERR Invalid min-idle-time argument for XCLAIM";
    XCLAIM_IDLE = "ERR Invalid IDLE option argument for XCLAIM";
    XCLAIM_TIME = "ERR Invalid TIME option argument for XCLAIM";
    XCLAIM_RETRY_COUNT = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
    XAUTOCLAIM_MIN_IDLE = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
    IDS_NOT_POSITIVE = "ERR Number of IDs must be a positive integer";
    IDS_MISMATCH = "ERR The `numids` parameter must match the number of arguments";
}
