//! Commands as data: one [`Row`] per command or subcommand, from which everything else about it is derived.
//!
//! A row stands beside its function in the family's file under `crate::commands`; this module only says what a row
//! is. Implicit facts are never written twice: ACL categories that follow from flags, the legacy first/last/step
//! key range that follows from the key specs, "may this run while loading", arity errors and all of COMMAND's
//! replies come from here. The alternative, a table in one file and functions in others, makes every new command a
//! change in two places that drift apart.

use crate::error::Error;
use crate::executor::Call;

pub mod docs;
#[cfg(test)]
mod facts;
pub mod finders;
mod index;
pub mod introspect;
pub mod keys;
pub mod table;

pub use keys::{Begin, Find, FoundKeys, KeyFinder, KeyFlags, KeySpec, Reach};
pub use table::{Command, Lookup, Table, table};

/// What runs a command: a plain function without I/O, lock or clock. The reply goes to `call.reply`.
pub type Handler = fn(&mut Call<'_, '_>) -> Result<(), Error>;

bitflags::bitflags! {
    /// A command's flags, named as COMMAND INFO prints them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        const WRITE = 1 << 0;
        const READONLY = 1 << 1;
        const DENYOOM = 1 << 2;
        const ADMIN = 1 << 3;
        const PUBSUB = 1 << 4;
        const NOSCRIPT = 1 << 5;
        const BLOCKING = 1 << 6;
        const LOADING = 1 << 7;
        const STALE = 1 << 8;
        const SKIP_MONITOR = 1 << 9;
        const SKIP_SLOWLOG = 1 << 10;
        const ASKING = 1 << 11;
        const FAST = 1 << 12;
        const NO_AUTH = 1 << 13;
        const MAY_REPLICATE = 1 << 14;
        const NO_ASYNC_LOADING = 1 << 15;
        const NO_MULTI = 1 << 16;
        const ALLOW_BUSY = 1 << 17;
        const NO_MANDATORY_KEYS = 1 << 18;
        const MOVABLEKEYS = 1 << 19;
        /// Redpoll's own: the executor locks every shard (keys that cannot be known, or all of them).
        const ALL_SHARDS = 1 << 20;
        /// Redpoll's own: the executor locks the shards of the queued commands' keys (EXEC).
        const QUEUED_SHARDS = 1 << 24;
        /// Redpoll's own: the executor locks the shards of the client's watched keys.
        const WATCHED_SHARDS = 1 << 25;
        /// Redpoll's own: where it runs inside EXEC, the executor locks every shard; alone, none: it looks at one after the other.
        const EXEC_ALL_SHARDS = 1 << 26;
        /// Redpoll's own: allowed while a RESP2 connection is subscribed.
        const SUBSCRIBED = 1 << 21;
        /// Redpoll's own: asks after the server's health (Sentinel), so it is refused when nothing can be saved, as writes are.
        const HEALTH = 1 << 27;
        /// Redpoll's own: runs at once inside MULTI instead of being queued.
        const NOT_QUEUED = 1 << 22;
    }

    /// ACL categories, named as ACL CAT prints them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Acl: u32 {
        const KEYSPACE = 1 << 0;
        const READ = 1 << 1;
        const WRITE = 1 << 2;
        const SET = 1 << 3;
        const SORTEDSET = 1 << 4;
        const LIST = 1 << 5;
        const HASH = 1 << 6;
        const STRING = 1 << 7;
        const BITMAP = 1 << 8;
        const HYPERLOGLOG = 1 << 9;
        const GEO = 1 << 10;
        const STREAM = 1 << 11;
        const PUBSUB = 1 << 12;
        const ADMIN = 1 << 13;
        const FAST = 1 << 14;
        const SLOW = 1 << 15;
        const BLOCKING = 1 << 16;
        const DANGEROUS = 1 << 17;
        const CONNECTION = 1 << 18;
        const TRANSACTION = 1 << 19;
        const SCRIPTING = 1 << 20;
    }
}

/// The documentation group of a command, as COMMAND DOCS prints it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// The name that COMMAND DOCS prints.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Hyperloglog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }
}

/// One command or subcommand. Built by the const methods below, so that a row reads as a sentence.
#[derive(Debug)]
pub struct Row {
    /// Lower case; a subcommand's is `container|sub`.
    pub name: &'static str,
    /// Number of arguments with the name; negative: at least that many.
    pub arity: i16,
    pub flags: Flags,
    /// Explicit categories only; [`Row::acl`] adds those that follow from the flags.
    pub explicit_acl: Acl,
    pub keys: &'static [KeySpec],
    /// Finds the keys for COMMAND GETKEYS where the specs cannot tell all about them.
    pub key_finder: Option<KeyFinder>,
    /// Finds the keys whose shards are locked where the specs cannot tell.
    pub reach: Option<Reach>,
    /// Where the first element stands that the command looks up in a collection; 0: nowhere. A hint, for its memory to be asked for
    /// in time.
    pub element: usize,
    pub group: Group,
    /// The version of Redis that introduced it.
    pub since: &'static str,
    pub tips: &'static [&'static str],
    pub subcommands: &'static [Row],
    pub handler: Handler,
}

impl Row {
    /// A row with no flags, keys or categories. `arity` counts the name (and, for a subcommand, the container).
    pub const fn new(
        name: &'static str,
        arity: i16,
        group: Group,
        since: &'static str,
        handler: Handler,
    ) -> Row {
        Row {
            name,
            arity,
            flags: Flags::empty(),
            explicit_acl: Acl::empty(),
            keys: &[],
            key_finder: None,
            reach: None,
            element: 0,
            group,
            since,
            tips: &[],
            subcommands: &[],
            handler,
        }
    }

    /// Sets the flags.
    pub const fn flags(mut self, flags: Flags) -> Row {
        self.flags = flags;
        self
    }

    /// Sets the explicit ACL categories.
    pub const fn categories(mut self, acl: Acl) -> Row {
        self.explicit_acl = acl;
        self
    }

    /// Sets the key specs.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Row {
        self.keys = keys;
        self
    }

    /// Sets the function that knows the keys better than the specs.
    pub const fn key_finder(mut self, finder: KeyFinder) -> Row {
        self.key_finder = Some(finder);
        self
    }

    /// Sets the function that knows which keys are used, where the specs do not.
    pub const fn reach(mut self, reach: Reach) -> Row {
        self.reach = Some(reach);
        self
    }

    /// Says where the first element stands that is looked up.
    pub const fn element(mut self, at: usize) -> Row {
        self.element = at;
        self
    }

    /// Sets the tips of COMMAND INFO.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Row {
        self.tips = tips;
        self
    }

    /// Makes this a container of subcommands.
    pub const fn subcommands(mut self, subcommands: &'static [Row]) -> Row {
        self.subcommands = subcommands;
        self
    }

    /// All ACL categories: the explicit ones and those implied by the flags. A read-only flag implies `read` except for
    /// scripts, whose reads are those of the commands they call; what is not fast is slow.
    pub fn acl(&self) -> Acl {
        let implied = [
            (Flags::WRITE, Acl::WRITE),
            (Flags::ADMIN, Acl::ADMIN.union(Acl::DANGEROUS)),
            (Flags::PUBSUB, Acl::PUBSUB),
            (Flags::FAST, Acl::FAST),
            (Flags::BLOCKING, Acl::BLOCKING),
        ];
        let mut acl = self.explicit_acl;
        for (flag, categories) in implied {
            if self.flags.contains(flag) {
                acl |= categories;
            }
        }
        if self.flags.contains(Flags::READONLY) && !acl.contains(Acl::SCRIPTING) {
            acl |= Acl::READ;
        }
        if !acl.contains(Acl::FAST) {
            acl |= Acl::SLOW;
        }
        acl
    }

    /// The name without its container's.
    pub fn subname(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, sub)| sub)
    }

    /// Is `argc` (with the name) a right number of arguments?
    pub fn arity_ok(&self, argc: usize) -> bool {
        if self.arity >= 0 { argc == self.arity as usize } else { argc >= self.arity.unsigned_abs() as usize }
    }

    /// A write command in the sense of read-only replicas and propagation.
    pub fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }
}
