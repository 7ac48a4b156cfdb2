//! The directives whose value is one of a few words, as enums; and two that are sets of letters or words, as flags.
//!
//! Invariant: a value's text stands once, beside its variant; parsing, CONFIG GET and the error that lists the choices follow from it.

use bitflags::bitflags;

/// An enum whose variants have names in the configuration.
pub trait Named: Copy + PartialEq + 'static {
    /// All values with their names, in the order in which Redis lists them in errors.
    const ALL: &'static [(&'static str, Self)];

    /// This value's name.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

macro_rules! named {
    ($( $(#[$doc:meta])* $ty:ident { $($variant:ident = $name:literal),* $(,)? } )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum $ty { $($variant),* }
        impl Named for $ty {
            const ALL: &'static [(&'static str, Self)] = &[$(($name, $ty::$variant)),*];
        }
    )*};
}

named! {
    /// `acl-pubsub-default`: what channels a new user may use.
    AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }
    /// `appendfsync`: when the AOF reaches the disk.
    AppendFsync { EverySec = "everysec", Always = "always", No = "no" }
    /// `compatible-encodings` (Redpoll): the encodings of which version are used and named.
    Encodings { Of7_2 = "7.2", Of7_0 = "7.0" }
    /// `cluster-preferred-endpoint-type`.
    EndpointType { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }
    /// `enable-debug-command`, `enable-module-command`, `enable-protected-configs`: for nobody, everybody, or local connections.
    Allow { No = "no", Yes = "yes", Local = "local" }
    /// `loglevel`: the least severe line that is written.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing" }
    /// `log-format` (Valkey).
    LogFormat { Legacy = "legacy", Logfmt = "logfmt" }
    /// `log-timestamp-format` (Valkey).
    LogTimestamp { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds" }
    /// `maxmemory-policy`: which keys may be evicted, and in which order.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu", VolatileRandom = "volatile-random", VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu", AllkeysRandom = "allkeys-random", NoEviction = "noeviction",
    }
    /// `oom-score-adj`.
    OomScoreAdj { No = "no", Yes = "yes", Relative = "relative", Absolute = "absolute" }
    /// `propagation-error-behavior`: what a replica does when its master's command fails.
    PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
    /// `repl-diskless-load`: how a replica takes a full sync in.
    DisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", SwapDb = "swapdb" }
    /// `sanitize-dump-payload`: whose payloads are checked deeply.
    Sanitize { No = "no", Yes = "yes", Clients = "clients" }
    /// `supervised`: which supervisor is told that the server is ready.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    /// `syslog-facility`.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3", Local4 = "local4",
        Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
    /// `tls-auth-clients`.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
}

impl MaxmemoryPolicy {
    /// Whether reaching the limit removes keys at all.
    pub fn evicts(self) -> bool {
        self != MaxmemoryPolicy::NoEviction
    }
}

bitflags! {
    /// `notify-keyspace-events`: two channels and the classes of events.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Events: u32 {
        /// `K`: publish on `__keyspace@<db>__:<key>`.
        const KEYSPACE = 1 << 0;
        /// `E`: publish on `__keyevent@<db>__:<event>`.
        const KEYEVENT = 1 << 1;
        /// `g`: commands of no type, such as DEL and EXPIRE.
        const GENERIC = 1 << 2;
        /// `$`
        const STRING = 1 << 3;
        /// `l`
        const LIST = 1 << 4;
        /// `s`
        const SET = 1 << 5;
        /// `h`
        const HASH = 1 << 6;
        /// `z`
        const ZSET = 1 << 7;
        /// `x`: a key expired.
        const EXPIRED = 1 << 8;
        /// `e`: a key was evicted.
        const EVICTED = 1 << 9;
        /// `t`
        const STREAM = 1 << 10;
        /// `m`: a read missed; not part of `A`.
        const KEY_MISS = 1 << 11;
        /// `d`: modules' types.
        const MODULE = 1 << 12;
        /// `n`: a key is new; not part of `A`.
        const NEW = 1 << 13;
        /// `A`: all classes but `m` and `n`.
        const ALL_CLASSES = 0b1_0111_1111_1100;
    }

    /// `shutdown-on-sigint`, `shutdown-on-sigterm`: SHUTDOWN's options; none is `default`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShutdownFlags: u8 {
        /// Save even where no save point asks for it.
        const SAVE = 1;
        /// Do not save.
        const NOSAVE = 2;
        /// Do not wait for lagging replicas.
        const NOW = 4;
        /// Stop even if saving fails.
        const FORCE = 8;
    }
}

const CLASSES: &[(u8, Events)] = &[
    (b'g', Events::GENERIC),
    (b'$', Events::STRING),
    (b'l', Events::LIST),
    (b's', Events::SET),
    (b'h', Events::HASH),
    (b'z', Events::ZSET),
    (b'x', Events::EXPIRED),
    (b'e', Events::EVICTED),
    (b't', Events::STREAM),
    (b'd', Events::MODULE),
    (b'n', Events::NEW),
];
const CHANNELS: &[(u8, Events)] =
    &[(b'K', Events::KEYSPACE), (b'E', Events::KEYEVENT), (b'm', Events::KEY_MISS)];

impl Events {
    /// The classes that are told: none without a channel to tell them by.
    pub fn told(self) -> Events {
        if self.intersects(Events::KEYSPACE | Events::KEYEVENT) { self } else { Events::empty() }
    }

    /// The flags of a string of letters; `None` if a letter is none of `Ag$lshzxeKEtmdn`.
    pub fn parse(text: &[u8]) -> Option<Events> {
        text.iter().try_fold(Events::empty(), |flags, letter| {
            let class = match letter {
                b'A' => Events::ALL_CLASSES,
                _ => CLASSES.iter().chain(CHANNELS).find(|(name, _)| name == letter)?.1,
            };
            Some(flags | class)
        })
    }

    /// The letters, in Redis's order; `n` is left out beside `A` (observed: redis-server 7.0.15).
    pub fn letters(self) -> String {
        let all = self.contains(Events::ALL_CLASSES);
        let classes: &[_] = if all { &[(b'A', Events::ALL_CLASSES)] } else { CLASSES };
        let set = classes.iter().chain(CHANNELS).filter(|(_, class)| self.contains(*class));
        set.map(|(letter, _)| *letter as char).collect()
    }
}

impl ShutdownFlags {
    /// The words with their flags, in the order in which Redis lists them.
    pub const WORDS: &'static [(&'static str, ShutdownFlags)] = &[
        ("default", ShutdownFlags::empty()),
        ("save", ShutdownFlags::SAVE),
        ("nosave", ShutdownFlags::NOSAVE),
        ("now", ShutdownFlags::NOW),
        ("force", ShutdownFlags::FORCE),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_letters() {
        for (text, shown) in [
            ("KEA", "AKE"),
            ("Kg", "gK"),
            ("KEg$lshzxetmdn", "AKEm"),
            ("n", "n"),
            ("KElm", "lKEm"),
            ("", ""),
            ("AKEn", "AKE"),
        ] {
            assert_eq!(Events::parse(text.as_bytes()).unwrap().letters(), shown, "{text}");
        }
        assert_eq!(Events::parse(b"q"), None);
    }

    #[test]
    fn names_are_found_back() {
        assert_eq!(MaxmemoryPolicy::AllkeysLfu.name(), "allkeys-lfu");
        assert_eq!(LogLevel::Nothing.name(), "nothing");
    }
}
