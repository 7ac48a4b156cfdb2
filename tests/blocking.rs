//! Clients that wait for keys: Redpoll's replies compared with the real redis-server's.
//!
//! A script has several clients. `a> COMMAND` sends and reads the reply; `a> COMMAND &` sends, and the client is known to wait before
//! the script goes on (CLIENT LIST says so); `a<` reads the reply that was not there then; `a-` says that there is none yet.
//! All replies of both servers must be the same, to the last byte.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;
use support::client::Client;
use support::server::Server;
use support::wait_until;

const SCRIPTS: &[(&str, &str)] = &[
    ("one waits, one pushes", "a> BLPOP k 0 & | b> RPUSH k x y | a< | b> LRANGE k 0 -1"),
    (
        "first come, first served",
        "a> BLPOP k 0 & | b> BLPOP k 0 & | c> RPUSH k 1 2 3 | a< | b< | c> LRANGE k 0 -1",
    ),
    ("of several keys the one that came", "a> BLPOP k l 0 & | b> RPUSH l x | a<"),
    ("the first of several keys that are there", "b> RPUSH l x | b> RPUSH k y | a> BLPOP k l 0"),
    ("from the other end", "a> BRPOP k 0 & | b> RPUSH k x y z | a< | b> LRANGE k 0 -1"),
    (
        "a list made in a transaction",
        "a> BLPOP k 0 & | b> MULTI | b> RPUSH k x | b> DEL k | b> RPUSH k y z | b> EXEC | a< | b> LRANGE k 0 -1",
    ),
    (
        "a list that a transaction takes back",
        "a> BLPOP k 0 & | b> MULTI | b> RPUSH k x | b> DEL k | b> EXEC | a- | b> RPUSH k y | a<",
    ),
    (
        "a list that expires before its transaction ends",
        "a> BLPOP k 0 & | b> MULTI | b> RPUSH k x | b> PEXPIRE k 20 | b> DEBUG SLEEP 0.1 | b> EXEC | a- | b> EXISTS k | b> RPUSH k y | a<",
    ),
    (
        "a key of another type leaves them waiting",
        "a> BLPOP k 0 & | b> SET k x | a- | b> DEL k | b> RPUSH k y | a<",
    ),
    ("a list that comes by RENAME", "a> BLPOP k 0 & | b> RPUSH l x | b> RENAME l k | a< | b> EXISTS k l"),
    ("a list that comes by COPY", "a> BLPOP k 0 & | b> RPUSH l x | b> COPY l k | a< | b> EXISTS k l"),
    ("a list that comes by SWAPDB", "a> BLPOP k 0 & | b> SELECT 1 | b> RPUSH k x | b> SWAPDB 0 1 | a<"),
    ("a list that comes by MOVE", "a> BLPOP k 0 & | b> SELECT 1 | b> RPUSH k x | b> MOVE k 0 | a<"),
    (
        "a list that comes by SORT",
        "a> BLPOP k 0 & | b> RPUSH l 2 1 | b> SORT l STORE k | a< | b> LRANGE k 0 -1",
    ),
    (
        "another database's list is not theirs",
        "a> BLPOP k 0 & | b> SELECT 1 | b> RPUSH k x | a- | b> SELECT 0 | b> RPUSH k y | a<",
    ),
    ("from list to list", "a> BLMOVE k l LEFT RIGHT 0 & | b> RPUSH k x | a< | b> LRANGE l 0 -1"),
    (
        "along a chain of waiters",
        "a> BLMOVE k l LEFT RIGHT 0 & | b> BLMOVE l m LEFT RIGHT 0 & | c> BLPOP m 0 & | d> RPUSH k x | a< | b< | c< | d> EXISTS k l m",
    ),
    ("in a circle", "a> BRPOPLPUSH k k 0 & | b> RPUSH k x | a< | b> LRANGE k 0 -1"),
    (
        "a destination of another type",
        "a> BLMOVE k l LEFT RIGHT 0 & | b> SET l x | b> RPUSH k y | a< | b> LRANGE k 0 -1",
    ),
    (
        "several elements at once",
        "a> BLMPOP 0 2 k l LEFT COUNT 2 & | b> RPUSH l 1 2 3 | a< | b> LRANGE l 0 -1",
    ),
    (
        "no waiting in a transaction",
        "a> MULTI | a> BLPOP k 0 | a> BLMOVE k l LEFT LEFT 0 | a> BZPOPMIN z 0 | a> EXEC",
    ),
    (
        "time runs out",
        "a> BLPOP k 0.01 | a> BLMOVE k l LEFT LEFT 0.01 | a> BLMPOP 0.01 1 k LEFT | a> BZPOPMIN z 0.01 | a> BZMPOP 0.01 1 z MIN",
    ),
    (
        "what is no time",
        "a> BLPOP k -1 | a> BLPOP k x | a> BLPOP k 1e400 | a> BLPOP k nan | a> BLPOP k inf | a> BLPOP k 99999999999999999 | a> BLPOP k 0x",
    ),
    (
        "the smallest of a sorted set",
        "a> BZPOPMIN z 0 & | b> BZPOPMAX z 0 & | c> ZADD z 1 x 2 y 3 w | a< | b< | c> ZRANGE z 0 -1",
    ),
    (
        "several of a sorted set",
        "a> BZMPOP 0 2 y z MAX COUNT 2 & | b> ZADD z 1 x 2 y 3 w | a< | b> ZRANGE z 0 -1",
    ),
    (
        "a sorted set that comes by ZUNIONSTORE",
        "a> BZPOPMIN z 0 & | b> ZADD y 1 x | b> ZUNIONSTORE z 1 y | a<",
    ),
    (
        "the next entry of a stream",
        "a> XREAD BLOCK 0 STREAMS s $ & | b> XADD s 1-1 f v | a< | a> XREAD BLOCK 10 STREAMS s 1-1",
    ),
    (
        "all readers get it",
        "a> XREAD BLOCK 0 STREAMS s $ & | b> XREAD BLOCK 0 STREAMS s $ & | c> XADD s 1-1 f v | a< | b<",
    ),
    ("not what was there", "b> XADD s 1-1 f v | a> XREAD BLOCK 0 STREAMS s $ & | b> XADD s 1-2 f w | a<"),
    (
        "one of a group gets it",
        "c> XGROUP CREATE s g $ MKSTREAM | a> XREADGROUP GROUP g A BLOCK 0 STREAMS s > & | b> XREADGROUP GROUP g B BLOCK 0 STREAMS s > & | c> XADD s 1-1 f v | a< | c> XADD s 1-2 f v | b< | c> XPENDING s g",
    ),
    (
        "a group that is destroyed",
        "c> XGROUP CREATE s g $ MKSTREAM | a> XREADGROUP GROUP g A BLOCK 0 STREAMS s > & | c> XGROUP DESTROY s g | a<",
    ),
    (
        "waiting again after waiting",
        "a> BLPOP k 0 & | b> RPUSH k x | a< | a> BLPOP k 0 & | b> RPUSH k y | a<",
    ),
    ("what was sent meanwhile is answered after", "a> BLPOP k 0 & | a> PING & | b> RPUSH k x | a< | a<"),
    (
        "in the third version of the protocol",
        "a> HELLO 3 & | a< | a> BLPOP k 0.01 | a> BLPOP k 0 & | b> RPUSH k x | a< | a> BZPOPMIN z 0 & | b> ZADD z 1.5 x | a<",
    ),
    (
        "unblocked by another",
        "a> BLPOP k 0 & | b> UNBLOCK a | a< | a> BLMOVE k l LEFT LEFT 0 & | b> UNBLOCK a TIMEOUT | a< | a> BLPOP k 0 & | b> UNBLOCK a ERROR | a< | b> UNBLOCK a",
    ),
    (
        "a push of many for many",
        "a> BLPOP k 0 & | b> BRPOP k 0 & | c> BLMOVE k l RIGHT LEFT 0 & | d> RPUSH k 1 2 3 4 5 | a< | b< | c< | d> LRANGE k 0 -1 | d> LRANGE l 0 -1",
    ),
];

/// How long a client may take to wait, or to stop waiting.
const PATIENCE: Duration = Duration::from_secs(10);

struct Side {
    server: Server,
    clients: BTreeMap<String, Client>,
    ids: BTreeMap<String, i64>,
}

impl Side {
    fn client(&mut self, name: &str) -> &mut Client {
        let Side { server, clients, ids } = self;
        clients.entry(name.to_string()).or_insert_with(|| {
            let mut client = server.connect();
            ids.insert(name.to_string(), client.line("CLIENT ID").int().expect("a number"));
            client
        })
    }

    fn blocked(&mut self) -> i64 {
        self.client("the-observer").info("blocked_clients").parse().expect("a number")
    }

    /// Runs a script and returns what was replied, step by step.
    fn run(&mut self, script: &str) -> Vec<String> {
        let mut replies = Vec::new();
        for step in script.split(" | ").map(str::trim) {
            let (name, rest) = step.split_at(1);
            let ids = self.ids.clone();
            match (&rest[..1], rest[1..].trim()) {
                (">", command) => {
                    let (command, waits) = match command.strip_suffix(" &") {
                        Some(command) => (command, true),
                        None => (command, false),
                    };
                    let command = match command.strip_prefix("UNBLOCK ") {
                        Some(rest) => format!("CLIENT UNBLOCK {}{}", ids[&rest[..1]], &rest[1..]),
                        None => command.to_string(),
                    };
                    let before = if waits { self.blocked() } else { 0 };
                    let words: Vec<&str> = command.split(' ').collect();
                    self.client(name).send(&words).expect("the command is sent");
                    if waits && words[0].starts_with(['B', 'X']) {
                        wait_until("the client waits", PATIENCE, || self.blocked() > before);
                    } else if !waits {
                        replies.push(format!("{step}: {}", self.read(name)));
                    }
                }
                ("<", _) => replies.push(format!("{step}: {}", self.read(name))),
                ("-", _) => {
                    // Whatever it was due is there before the reply to what another asks later.
                    self.client("the-observer").line("PING");
                    assert!(self.client(name).unread().is_empty(), "{script}: {name} has got something");
                }
                (other, _) => panic!("no such step: {other}"),
            }
        }
        self.clients.retain(|name, _| name == "the-observer");
        let observer = self.client("the-observer");
        observer.line("FLUSHALL");
        wait_until("nobody waits", PATIENCE, || self.blocked() == 0);
        replies
    }

    fn read(&mut self, name: &str) -> String {
        let reply = self.client(name).read_reply();
        reply.map_or_else(|error| error.to_string(), |reply| reply.raw.escape_ascii().to_string())
    }
}

#[test]
fn those_who_wait_get_what_they_get_from_the_real_server() {
    const ARGS: &[&str] = &["--enable-debug-command", "yes"];
    let Some(oracle) = Server::redis(ARGS) else { return };
    let side = |server| Side { server, clients: BTreeMap::new(), ids: BTreeMap::new() };
    let (mut oracle, mut tested) = (side(oracle), side(Server::redpoll(ARGS)));
    let mut report = String::new();
    for (story, script) in SCRIPTS {
        let (theirs, ours) = (oracle.run(script), tested.run(script));
        // The client's number, and what HELLO says of the server.
        let same = |(a, b): (&String, &String)| a == b || a.contains("HELLO") || a.starts_with("a<: %");
        if theirs.len() != ours.len() || !theirs.iter().zip(&ours).all(same) {
            report += &format!("{story}: {script}\n  oracle: {theirs:#?}\n  tested: {ours:#?}\n");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
