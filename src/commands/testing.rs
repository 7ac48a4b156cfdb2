//! A client and a server in one thread, for the families' tests.

use crate::client::{Client, Shared};
use crate::config::Config;
use crate::executor::{PATIENCE, execute};
use crate::replication::log;
use crate::resp::parser::Arg;
use crate::resp::{Out, Proto};
use crate::server::Server;
use crate::words::split_args;
use std::sync::Arc;

/// One server at a frozen time, and one client of it.
pub struct Bench {
    pub server: Arc<Server>,
    pub client: Client,
}

/// The frozen time, Unix milliseconds.
pub const NOW_MS: i64 = 1_700_000_000_000;

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

impl Bench {
    /// An empty server that keeps a log.
    pub fn new() -> Bench {
        Bench::with(Config { enable_debug_command: crate::config::enums::Allow::Yes, ..Config::default() })
    }

    /// An empty server with this configuration that keeps a log.
    pub fn with(config: Config) -> Bench {
        let server = Server::new(config);
        server.clock.freeze(NOW_MS);
        server.log.want();
        let client = Bench::client(&server);
        Bench { server, client }
    }

    /// Another client of a server.
    pub fn client(server: &Server) -> Client {
        let id = server.clients.next_id();
        let shared = Arc::new(Shared::new(id, format!("127.0.0.1:{id}"), "127.0.0.1:6379".into(), 8, NOW_MS));
        Client::new(shared, true)
    }

    /// Runs a line and returns the reply as text, its line ends shown as spaces.
    pub fn run(&mut self, line: &str) -> String {
        Bench::run_as(&self.server, &mut self.client, line)
    }

    /// Runs a line as another client.
    pub fn run_as(server: &Arc<Server>, client: &mut Client, line: &str) -> String {
        let args = split_args(line.as_bytes()).expect("quotes balance");
        let args: Vec<Arg<'_>> = args.iter().map(|arg| Arg::Slice(arg)).collect();
        let mut out = Out::default();
        execute(client, server, &args[..], &mut out, PATIENCE).expect("nobody else locks");
        text(out)
    }

    /// What has been posted to a client since the last call, as text.
    pub fn mail(client: &Client) -> String {
        let mut out = Out::default();
        client.shared.collect_mail(&mut out);
        text(out)
    }

    /// What the log has got since the last call, as words.
    pub fn logged(&mut self) -> String {
        let mut ring = self.server.log.lock();
        let from = ring.start();
        let pin = ring.pin(from).expect("the start is kept");
        let pieces = ring.read(pin, usize::MAX >> 1).expect("it is kept");
        let text = log::concat(pieces).expect("in memory");
        ring.unpin(pin);
        let end = ring.end();
        let selected = ring.selected();
        ring.restart(end);
        ring.set_selected(selected);
        let text = String::from_utf8_lossy(&text).into_owned();
        let words = text.split("\r\n").filter(|w| !w.starts_with(['*', '$']) && !w.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Runs `line` and compares its reply.
    #[track_caller]
    pub fn check(&mut self, line: &str, reply: &str) {
        assert_eq!(self.run(line), reply, "{line}");
    }

    /// Runs lines, separated by `; `, and compares the reply of the last one and what that leaves in the log.
    #[track_caller]
    pub fn check_logged(&mut self, lines: &str, reply: &str, logged: &str) {
        let (before, last) = lines.rsplit_once("; ").unwrap_or(("select 0", lines));
        before.split("; ").for_each(|line| {
            self.run(line);
        });
        self.logged();
        self.server.log.lock().set_selected(Some(self.client.db));
        self.check(last, reply);
        assert_eq!(self.logged(), logged, "{lines}");
    }

    /// Speaks RESP3 from now on.
    pub fn resp3(mut self) -> Bench {
        self.client.proto = Proto::Resp3;
        self
    }
}

/// Runs lines on an empty server, and compares the reply of each.
#[track_caller]
pub fn check(script: &[(&str, &str)]) {
    let mut bench = Bench::new();
    for (line, reply) in script {
        bench.check(line, reply);
    }
}

fn text(mut out: Out) -> String {
    let mut all = Vec::new();
    let _ = out.drain(|slices| {
        slices.iter().for_each(|slice| all.extend_from_slice(slice));
        Ok::<_, ()>(slices.iter().map(|slice| slice.len()).sum())
    });
    String::from_utf8_lossy(&all).trim_end_matches("\r\n").replace("\r\n", " ")
}

#[test]
fn a_set_is_read_and_logged() {
    let mut bench = Bench::new();
    bench.check("set k v", "+OK");
    bench.check("get k", "$1 v");
    bench.check("get missing", "$-1");
    bench.check("nothing at all", "-ERR unknown command 'nothing', with args beginning with: 'at' 'all' ");
    assert_eq!(bench.logged(), "SELECT 0 set k v");
    assert_eq!(bench.resp3().run("get missing"), "_");
}
