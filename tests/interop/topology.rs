//! Servers in a row, each the replica of the one before it, with a proxy on every link.
//!
//! A scenario is written once against a [`Topology`] and runs for each list of [`Kind`]s: what holds for redis → redis
//! must hold for every mixture. Links always go through a proxy, so that any scenario can break any of them, and so
//! that a server's place (its port) is not what its replica remembers.

use super::proxy::Proxy;
use crate::support::client::{Client, Value};
use crate::support::server::{Server, binary_under_test, find_redis};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long any condition may take to come true; far above what it takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// What all nodes are started with. The backlog is larger than anything a scenario writes while a link is down: a
/// full resync in place of a partial one is then always a fault.
const COMMON_ARGS: [&str; 8] = [
    "--enable-debug-command",
    "yes",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-backlog-size",
    "64mb",
    "--loglevel",
    "verbose",
];

/// Which program a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The real redis-server.
    Redis,
    /// The server under test.
    Redpoll,
}

/// One server and what the tests want to know of it.
pub struct Node {
    kind: Kind,
    place: usize,
    server: Server,
}

/// Nodes in a row; `links[i]` leads from `nodes[i + 1]` up to `nodes[i]`.
pub struct Topology {
    pub nodes: Vec<Node>,
    pub links: Vec<Proxy>,
}

impl Node {
    /// Starts a server; `None` where redis-server is wanted and missing (which was said on the way).
    pub fn start(kind: Kind, place: usize, args: &[&str]) -> Option<Node> {
        let args = [&COMMON_ARGS[..], args].concat();
        let server = match kind {
            Kind::Redis => Server::redis(&args)?,
            Kind::Redpoll => Server::redpoll(&args),
        };
        Some(Node { kind, place, server })
    }

    /// Whether this is the real thing: itself, or in the place of the server under test to prove the tests.
    pub fn is_oracle(&self) -> bool {
        self.kind == Kind::Redis || oracle_is_under_test()
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    pub fn dir(&self) -> &Path {
        self.server.dir()
    }

    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Waits for a text in the log: what a client sees may come before the line that tells of it.
    pub fn wait_for_log(&self, text: &str) {
        eventually_ok(|| {
            let log = self.log();
            if log.contains(text) {
                Ok(())
            } else {
                Err(format!("{self}'s log does not say {text:?}:\n{log}"))
            }
        });
    }

    pub fn connect(&self) -> Client {
        self.server.connect()
    }

    /// One command on a connection of its own; an error reply fails the test.
    pub fn call(&self, line: &str) -> Value {
        let reply = self.connect().line(line);
        assert!(!reply.is_error(), "{self}: {line}: {reply}");
        reply
    }

    /// A field of INFO as text, empty if there is none of that name.
    pub fn info(&self, field: &str) -> String {
        self.connect().info(field)
    }

    /// A field of INFO that is a number.
    pub fn number(&self, field: &str) -> i64 {
        let text = self.info(field);
        text.parse().unwrap_or_else(|_| panic!("{self}: INFO's {field} is not a number: {text:?}"))
    }

    pub fn offset(&self) -> i64 {
        self.number("master_repl_offset")
    }

    pub fn link_is_up(&self) -> bool {
        self.info("master_link_status") == "up"
    }

    /// `REPLICAOF 127.0.0.1 port`.
    pub fn follow(&self, port: u16) {
        self.call(&format!("REPLICAOF 127.0.0.1 {port}"));
    }

    /// SHUTDOWN SAVE, and wait for the end of the process.
    pub fn shut_down_with_save(&mut self) {
        self.shut_down(&["SAVE"]);
    }

    /// SHUTDOWN, and wait for the end of the process.
    pub fn shut_down(&mut self, options: &[&str]) {
        let mut client = self.connect();
        client.set_deadline(PATIENCE);
        client.send(&[&["SHUTDOWN"][..], options].concat()).expect("send SHUTDOWN");
        if let Ok(reply) = client.read_reply() {
            panic!("{self} refused to shut down: {}\n{}", reply.value, self.log());
        }
        self.server.wait_for_end();
    }

    /// SIGKILL.
    pub fn crash(&mut self) {
        self.server.crash();
    }

    /// Starts it again in its directory and on its port.
    pub fn start_again(&mut self) {
        self.server.start_again();
    }

    /// Starts it again as a replica of what listens on `port`.
    pub fn start_again_following(&mut self, port: u16) {
        let port = port.to_string();
        self.server.set_args(&[&COMMON_ARGS[..], &["--replicaof", "127.0.0.1", &port]].concat());
        self.server.start_again();
    }

    /// How many syncs of each sort this node has given: (full, partial).
    pub fn syncs_given(&self) -> (i64, i64) {
        (self.number("sync_full"), self.number("sync_partial_ok"))
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} ({:?}, port {})", self.place, self.kind, self.port())
    }
}

impl Topology {
    /// Starts one node per kind and the proxies between them; nobody follows anybody yet.
    pub fn start(kinds: &[Kind], args: &[&str]) -> Option<Topology> {
        let mut topology = Topology { nodes: Vec::new(), links: Vec::new() };
        for &kind in kinds {
            topology.add(kind, args)?;
        }
        Some(topology)
    }

    /// [`Topology::start`] and [`Topology::attach`].
    pub fn start_attached(kinds: &[Kind], args: &[&str]) -> Option<Topology> {
        let topology = Topology::start(kinds, args)?;
        topology.attach();
        Some(topology)
    }

    /// Starts each node but the first with `--replicaof` on its command line.
    pub fn start_as_replicas(first: Node, kinds: &[Kind]) -> Option<Topology> {
        let mut topology = Topology { nodes: vec![first], links: Vec::new() };
        for (place, &kind) in kinds.iter().enumerate().skip(1) {
            let link = Proxy::to(topology.last().port());
            let port = link.port().to_string();
            topology.nodes.push(Node::start(kind, place, &["--replicaof", "127.0.0.1", &port])?);
            topology.links.push(link);
        }
        Some(topology)
    }

    fn add(&mut self, kind: Kind, args: &[&str]) -> Option<()> {
        if let Some(above) = self.nodes.last() {
            self.links.push(Proxy::to(above.port()));
        }
        self.nodes.push(Node::start(kind, self.nodes.len(), args)?);
        Some(())
    }

    /// REPLICAOF on each node but the first, from the top down, and wait for all links.
    pub fn attach(&self) {
        for (node, link) in self.nodes[1..].iter().zip(&self.links) {
            node.follow(link.port());
        }
        self.wait_for_links();
    }

    /// Waits until all links are up.
    pub fn wait_for_links(&self) {
        for node in &self.nodes[1..] {
            eventually(&format!("the link of {node} is up"), || node.link_is_up());
        }
    }

    pub fn master(&self) -> &Node {
        &self.nodes[0]
    }

    pub fn last(&self) -> &Node {
        self.nodes.last().expect("a topology has nodes")
    }
}

/// What a failing scenario leaves behind for its reader; the servers add the ends of their logs.
impl Drop for Topology {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for node in &self.nodes {
            let info = Client::connect(([127, 0, 0, 1], node.port()).into()).and_then(|mut client| {
                client.send(&["INFO", "replication"])?;
                client.read_reply()
            });
            match info {
                Ok(reply) => eprintln!("--- {node} ---\n{}", reply.value.text()),
                Err(error) => eprintln!("--- {node} --- {error}"),
            }
        }
    }
}

/// Polls until `holds`; panics with `what` when patience runs out.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_some(what, || holds().then_some(()));
}

/// Polls until there is something.
pub fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    eventually_ok(|| look().ok_or_else(|| what.to_owned()))
}

/// Polls until there is no error; the last one is what the panic says.
pub fn eventually_ok<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(problem) => assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {problem}"),
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Whether a redis-server stands in for the server under test.
pub fn oracle_is_under_test() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let version = Command::new(binary_under_test()).arg("--version").output();
        version.is_ok_and(|output| output.stdout.starts_with(b"Redis server v=7.0."))
    })
}

/// Whether the peer for interop is there; says SKIPPED (or panics, in CI) if not.
pub fn peer_is_installed() -> bool {
    find_redis().is_some()
}
