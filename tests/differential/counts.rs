//! What servers count and tell of commands, beside the replies: INFO's counters, MONITOR's lines, LFU frequencies, the traces
//! that a command leaves at keys.
//!
//! The same scripts run on the oracle and on the server under test (`counts/*.txt`, written as those of `edge`; one reply a
//! command), and what each then shows is compared line by line, without what no two servers have in common: durations,
//! clocks, ports. The random runs cannot compare these: they leave the counters of two servers far apart.

use crate::support::client::{Client, Value};
use crate::support::server::{Server, find_redis};
use crate::syntax;
use std::collections::BTreeMap;

/// Lines of `INFO stats` that depend on commands alone.
const COUNTED: &[&str] = &[
    "total_connections_received",
    "total_commands_processed",
    "rejected_connections",
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
    "expired_keys",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
    "pubsub_channels",
    "pubsub_patterns",
    "unexpected_error_replies",
    "total_error_replies",
];

/// What is set back after each script.
const DIRECTIVES: &[&str] =
    &["requirepass ", "maxmemory-policy noeviction", "lfu-log-factor 10", "notify-keyspace-events "];

/// Counters that a command on keys moves, compared after each command.
const TRACED: &[&str] = &["keyspace_hits", "keyspace_misses", "expired_keys", "rdb_changes_since_last_save"];

/// Keys of a script that are watched while it runs.
const WATCHED: &[&str] = &["k", "n", "d", "w"];

/// A server, its administrator's connection and those of the running script.
struct Side {
    server: Server,
    admin: Client,
    clients: Vec<Client>,
}

impl Side {
    fn new(server: Server) -> Side {
        Side { admin: server.connect(), clients: Vec::new(), server }
    }

    /// Runs a script; the replies, each with its command.
    fn run(&mut self, script: &str) -> Vec<String> {
        script.split(" ; ").map(|command| format!("{command} → {}", self.call(command))).collect()
    }

    fn call(&mut self, command: &str) -> Value {
        let (number, text) = match command.strip_prefix('@') {
            Some(rest) => (usize::from(rest.as_bytes()[0] - b'0'), &rest[2..]),
            None => (0, command),
        };
        while self.clients.len() <= number {
            self.clients.push(self.server.connect());
        }
        let args = syntax::parse(text).unwrap_or_else(|problem| panic!("{problem}: {command}"));
        self.clients[number].call(&args)
    }

    /// Runs a script; each command with what it counted, the events that it caused and the watched keys that it touched.
    fn traced(&mut self, script: &str) -> Vec<String> {
        let mut listener = self.server.connect();
        listener.line("PSUBSCRIBE __keyevent* end");
        self.admin.line("CONFIG SET notify-keyspace-events EAmn");
        let mut watchers: Vec<_> = WATCHED.iter().map(|key| (key, self.server.connect())).collect();
        let trace = |command: &str| {
            watchers.iter_mut().for_each(|(key, watcher)| {
                watcher.call(&["WATCH", key]);
            });
            let before = self.moved();
            self.call(command);
            let counted: Vec<i64> =
                self.moved().iter().zip(before).map(|(after, before)| after - before).collect();
            self.admin.line("PUBLISH end of-the-command");
            let heard: Vec<String> = std::iter::from_fn(|| next_event(&mut listener)).collect();
            let touched = watchers.iter_mut().filter_map(|(key, watcher)| {
                watcher.line("MULTI");
                (watcher.line("EXEC") == Value::NullArray).then_some(**key)
            });
            let touched: Vec<&str> = touched.collect();
            format!("{command} → {TRACED:?} {counted:?}, told {heard:?}, touched {touched:?}")
        };
        script.split(" ; ").map(trace).collect()
    }

    /// The values of [`TRACED`].
    fn moved(&mut self) -> Vec<i64> {
        let info = self.admin.line("INFO everything").text();
        let value = |name: &&str| {
            let line = info.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'));
            line.and_then(|value| value.parse().ok()).expect("INFO has a number of that name")
        };
        TRACED.iter().map(value).collect()
    }

    /// Begins to count from nothing.
    fn reset(&mut self) {
        self.clients.clear();
        for directive in DIRECTIVES {
            let (name, value) = directive.split_once(' ').expect("a name and a value");
            self.admin.call(&["CONFIG", "SET", name, value]);
        }
        ["FLUSHALL", "DEBUG SET-ACTIVE-EXPIRE 0", "CONFIG RESETSTAT"].iter().for_each(|line| {
            self.admin.line(line);
        });
    }

    /// The counters, by name, without durations.
    fn counters(&mut self) -> BTreeMap<String, String> {
        let info = self.admin.line("INFO everything").text();
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        let counted = lines.filter_map(|(name, value)| match name {
            _ if name.starts_with("cmdstat_") => Some((name.to_string(), without_durations(value))),
            _ if name.starts_with("errorstat_") || COUNTED.contains(&name) => {
                Some((name.to_string(), value.to_string()))
            }
            _ => None,
        });
        counted.collect()
    }

    /// What another connection sees of a script in MONITOR, with the clients' numbers for their ports.
    fn monitored(&mut self, script: &str) -> Vec<String> {
        const END: &str = "the-end-of-the-script";
        let mut monitor = self.server.connect();
        assert_eq!(monitor.line("MONITOR"), Value::Simple(b"OK".to_vec()));
        self.run(script);
        self.admin.call(&["ECHO", END]);
        let mut lines = Vec::new();
        loop {
            let line = monitor.read_line().expect("a line before the deadline");
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains(END) {
                return lines;
            }
            lines.push(self.without_clock_and_ports(&line));
        }
    }

    fn without_clock_and_ports(&self, line: &str) -> String {
        let (clock, mut line) =
            line.split_once(' ').map(|(clock, rest)| (clock, rest.to_string())).expect("a clock");
        for (number, client) in self.clients.iter().enumerate() {
            line = line.replace(&client.local_addr().to_string(), &format!("@{number}"));
        }
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = clock.strip_prefix('+').and_then(|clock| clock.split_once('.'));
        assert!(well_formed.is_some_and(|(s, us)| digits(s) && us.len() == 6 && digits(us)), "{clock}");
        line
    }
}

/// The event that a listener hears next; `None` for the message that ends a command's.
fn next_event(listener: &mut Client) -> Option<String> {
    let message = listener.read_reply().expect("a message before the deadline").value;
    let [_, _, channel, key] = message.items().expect("a message has parts") else {
        return next_event(listener);
    };
    let event = channel.text().strip_prefix("__keyevent@")?.replace("__:", " ");
    Some(format!("{event} {}", key.text()))
}

fn without_durations(fields: &str) -> String {
    fields.split(',').filter(|field| !field.starts_with("usec")).collect::<Vec<_>>().join(",")
}

/// Runs each script of `text` on both servers and compares what `look` gives.
///
/// # Panics
///
/// With every difference, if there is one.
fn compare(file: &str, text: &str, mut look: impl FnMut(&mut Side, &str) -> Vec<String>) {
    const ARGS: &[&str] = &["--enable-debug-command", "yes"];
    let Some(oracle) = find_redis() else { return };
    let mut sides = [Side::new(Server::start(&oracle, ARGS)), Side::new(Server::redpoll(ARGS))];
    let mut report = String::new();
    for (at, script) in
        text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let [ours, theirs] = sides.each_mut().map(|side| {
            side.reset();
            look(side, script)
        });
        let only = |some: &[String], others: &[String]| -> String {
            some.iter().filter(|line| !others.contains(line)).map(|line| format!("    {line}\n")).collect()
        };
        if ours != theirs {
            let (oracle, tested) = (only(&ours, &theirs), only(&theirs, &ours));
            report += &format!("{file}:{}: {script}\n  oracle:\n{oracle}  tested:\n{tested}", at + 1);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// Scripts after which INFO shows the same counters.
pub fn info(text: &str) {
    compare("info.txt", text, |side, script| {
        side.run(script);
        side.counters().iter().map(|(name, value)| format!("{name}:{value}")).collect()
    });
}

/// Scripts whose commands leave the same traces.
pub fn traces(text: &str) {
    compare("traces.txt", text, Side::traced);
}

/// Scripts of which MONITOR shows the same lines.
pub fn monitor(text: &str) {
    compare("monitor.txt", text, Side::monitored);
}

/// Scripts whose replies are the same, OBJECT FREQ's exactly (elsewhere it depends on chance).
pub fn frequencies(text: &str) {
    compare("frequencies.txt", text, Side::run);
}
