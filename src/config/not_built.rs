//! What a configuration may promise and this server does not keep yet. One table, which shrinks as things are built.
//!
//! The principle: what would lose data or open a door if it were ignored stops the start; what would only be slower or quieter warns.

use super::Config;

/// The promises of a configuration that are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotBuilt {
    /// The server must not run like this.
    pub refuse: Vec<String>,
    /// The server runs, and says this.
    pub warn: Vec<String>,
}

enum Gravity {
    Refuse,
    Warn,
}
use Gravity::{Refuse, Warn};

/// One promise: the directive, how grave it is to break it, when it is made, and what to say.
struct Promise(&'static str, Gravity, fn(&Config) -> bool, &'static str);

const PROMISES: &[Promise] = &[
    Promise(
        "appendonly yes",
        Refuse,
        |c| c.appendonly,
        "there is no append-only file yet: writes would be lost",
    ),
    Promise("tls-port", Refuse, |c| c.tls_port != 0, "there is no TLS yet"),
    Promise("tls-replication yes", Refuse, |c| c.tls_replication, "there is no TLS yet"),
    Promise("cluster-enabled yes", Refuse, |c| c.cluster_enabled, "there is no cluster mode yet"),
    Promise(
        "aclfile",
        Refuse,
        |c| !c.aclfile.is_empty(),
        "there are no ACL files yet: its rules would not hold",
    ),
    Promise("user", Refuse, |c| !c.user.is_empty(), "there are no ACL users yet: the rules would not hold"),
    Promise(
        "rename-command",
        Refuse,
        |c| !c.rename_command.is_empty(),
        "commands can't be renamed yet: what should be hidden would not be",
    ),
    Promise("loadmodule", Refuse, |c| !c.loadmodule.is_empty(), "there are no modules"),
    Promise(
        "maxmemory",
        Warn,
        |c| c.maxmemory > 0,
        "the limit is not enforced yet: nothing is evicted or refused",
    ),
    Promise("activedefrag yes", Warn, |c| c.activedefrag, "there is no active defragmentation"),
    Promise(
        "oom-score-adj",
        Warn,
        |c| c.oom_score_adj != super::enums::OomScoreAdj::No,
        "the score is not set yet",
    ),
    Promise(
        "syslog-enabled yes",
        Warn,
        |c| c.syslog_enabled,
        "the log goes to its file or standard output only",
    ),
    Promise("server_cpulist", Warn, |c| !c.server_cpulist.is_empty(), "threads are not bound to cores yet"),
    Promise("bio_cpulist", Warn, |c| !c.bio_cpulist.is_empty(), "threads are not bound to cores yet"),
    Promise(
        "aof_rewrite_cpulist",
        Warn,
        |c| !c.aof_rewrite_cpulist.is_empty(),
        "threads are not bound to cores yet",
    ),
    Promise("bgsave_cpulist", Warn, |c| !c.bgsave_cpulist.is_empty(), "threads are not bound to cores yet"),
];

impl Config {
    /// What this configuration promises and Redpoll does not do yet.
    pub fn not_built(&self) -> NotBuilt {
        let mut found = NotBuilt::default();
        for Promise(name, gravity, made, why) in PROMISES {
            match gravity {
                _ if !made(self) => {}
                Refuse => found.refuse.push(format!("'{name}' is not supported: {why}.")),
                Warn => found.warn.push(format!("'{name}' has no effect: {why}.")),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, parse_lines};

    #[track_caller]
    fn check(text: &str, refused: usize, warned: usize) {
        let found = parse_lines(text).unwrap().not_built();
        assert_eq!((found.refuse.len(), found.warn.len()), (refused, warned), "{text:?}: {found:?}");
    }

    #[test]
    fn promises() {
        assert_eq!(Config::default().not_built(), Default::default());
        check("appendonly yes\ntls-port 1\naclfile x\nuser a on\nloadmodule x.so\ncluster-enabled yes", 6, 0);
        check("maxmemory 1gb", 0, 1);
        check("maxmemory 1gb\nmaxmemory-policy allkeys-lru\nactivedefrag yes", 0, 2);
        check("oom-score-adj yes\nsyslog-enabled yes\nbgsave_cpulist 1\nbio-cpulist 1", 0, 4);
        check("io-threads-do-reads yes", 0, 0);
        check("rename-command GET G", 1, 0);
    }

    #[test]
    fn texts() {
        let found = parse_lines("appendonly yes").unwrap().not_built();
        let want =
            "'appendonly yes' is not supported: there is no append-only file yet: writes would be lost.";
        assert_eq!(found.refuse, [want]);
    }
}
