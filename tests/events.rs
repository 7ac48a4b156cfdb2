//! Keyspace events: Redpoll's compared with the real redis-server's, script by script.
//!
//! The scripts are those whose replication streams are compared (`stream.rs`): every write command with its options. A listener
//! to all classes of events is attached to each server, and both must hear the same events of the same keys in the same
//! order.

mod support;

#[path = "differential/payload.rs"]
#[allow(dead_code)]
mod payload;
#[path = "differential/syntax.rs"]
#[allow(dead_code)]
mod syntax;

use support::client::Client;
use support::server::Server;

const SCRIPTS: &str = include_str!("stream/scripts.txt");

/// The key whose write ends a script.
const END: &str = "the-end-of-the-script";

struct Side {
    client: Client,
    other: Client,
    listener: Client,
    _server: Server,
}

impl Side {
    fn new(server: Server) -> Side {
        let mut listener = server.connect();
        listener.line("PSUBSCRIBE __keyevent*");
        Side { client: server.connect(), other: server.connect(), listener, _server: server }
    }

    /// Runs a script and returns the events that it caused: `database event key`.
    fn run(&mut self, script: &str) -> Vec<String> {
        for command in script.split(" ; ") {
            let (client, command) = match command.strip_prefix("@1 ") {
                Some(command) => (&mut self.other, command),
                None => (&mut self.client, command),
            };
            client.call(&syntax::parse(command).unwrap_or_else(|problem| panic!("{problem}: {command}")));
        }
        self.client.line("RESET");
        self.client.call(&["SET", END, "1"]);
        let mut heard = Vec::new();
        loop {
            let message = self.listener.read_reply().expect("events come").value;
            let words = message.items().expect("a message");
            let [channel, key] = [words[2].text(), words[3].text()];
            if key == END && channel.ends_with(":set") {
                break;
            }
            let event = channel.strip_prefix("__keyevent@").expect("an event's channel");
            heard.push(format!("{} {key}", event.replace("__:", " ")));
        }
        for line in ["DEBUG SET-ACTIVE-EXPIRE 1", "FLUSHALL"] {
            self.client.line(line);
            self.other.line("RESET");
        }
        heard
    }
}

#[test]
fn events_are_the_same() {
    const ARGS: &[&str] = &["--enable-debug-command", "yes", "--notify-keyspace-events", "EAmn"];
    let Some(oracle) = Server::redis(ARGS) else { return };
    let (mut oracle, mut tested) = (Side::new(oracle), Side::new(Server::redpoll(ARGS)));
    let mut report = String::new();
    for script in SCRIPTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (theirs, ours) = (oracle.run(script), tested.run(script));
        if theirs != ours {
            report += &format!("{script}\n  oracle: {theirs:?}\n  tested: {ours:?}\n");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
