//! What goes into the replication stream: Redpoll's compared with the real redis-server's, command by command.
//!
//! An observer is attached to each server; both are given the same scripts, and what their streams carry must be the same,
//! word for word. Only an expiry that is counted from the server's own clock may be some seconds off. What is meant to
//! differ is taken out by a function that says why. Equal data on a replica would not be enough: a stream that says the
//! right thing in words that an older server does not know, or twice, ends in equal data as well.

mod support;

#[path = "interop/observer.rs"]
#[allow(dead_code)]
mod observer;
#[path = "differential/payload.rs"]
#[allow(dead_code)]
mod payload;
#[path = "differential/syntax.rs"]
#[allow(dead_code)]
mod syntax;
#[path = "interop/wire.rs"]
#[allow(dead_code)]
mod wire;

use observer::Observer;
use support::client::Client;
use support::server::Server;

/// How far apart two servers' clocks may be when they run the same command, milliseconds.
const SLACK_MS: i64 = 10_000;

/// The key whose write ends a script in the stream.
const END: &str = "the-end-of-the-script";

/// A script a line, in the manner of the differential tests: every write command with its options, and what must leave no
/// trace.
const SCRIPTS: &str = include_str!("stream/scripts.txt");

/// PEXPIREAT comes without the condition (NX, XX, GT, LT) that was checked before: servers older than 7.0 do not know it.
fn without_conditions(mut stream: Vec<Vec<String>>) -> Vec<Vec<String>> {
    stream.iter_mut().filter(|words| words[0] == "PEXPIREAT").for_each(|words| words.truncate(3));
    stream
}

/// A dead key that is overwritten as a whole needs no DEL before.
fn without_needless_dels(mut stream: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let is = |words: &[String], names: &[&str]| names.iter().any(|name| words[0].eq_ignore_ascii_case(name));
    let needless = |unit: &[Vec<String>]| {
        is(&unit[0], &["MULTI"])
            && is(&unit[1], &["DEL"])
            && is(&unit[2], OVERWRITING)
            && is(&unit[3], &["EXEC"])
            && !unit[2].iter().any(|word| word.eq_ignore_ascii_case("KEEPTTL"))
    };
    while let Some(at) = stream.windows(4).position(needless) {
        let overwriting = stream.remove(at + 2);
        stream.splice(at..at + 3, [overwriting]);
    }
    stream
}

/// Commands that replace what is there, TTL and all.
const OVERWRITING: &[&str] = &["SET", "MSET"];

struct Side {
    _server: Server,
    client: Client,
    other: Client,
    observer: Observer,
}

impl Side {
    fn new(server: Server) -> Side {
        let observer = Observer::attach(server.port());
        Side { client: server.connect(), other: server.connect(), observer, _server: server }
    }

    /// Runs a script; the commands that its stream carries, each as its words.
    fn run(&mut self, script: &str) -> Vec<Vec<String>> {
        for command in script.split(" ; ") {
            let (client, command) = match command.strip_prefix("@1 ") {
                Some(command) => (&mut self.other, command),
                None => (&mut self.client, command),
            };
            client.call(&syntax::parse(command).unwrap_or_else(|problem| panic!("{problem}: {command}")));
        }
        self.client.call(&["SET", END, "1"]);
        let mut stream = Vec::new();
        loop {
            let words: Vec<String> =
                self.observer.next().iter().map(|word| word.escape_ascii().to_string()).collect();
            if words.get(1).is_some_and(|key| key == END) {
                break;
            }
            stream.push(words);
        }
        for line in ["RESET", "DEBUG SET-ACTIVE-EXPIRE 1", "FLUSHALL"] {
            self.client.line(line);
            self.other.line("RESET");
        }
        self.observer.until("FLUSHALL", |words| words[0].eq_ignore_ascii_case("flushall"));
        stream
    }
}

/// The same words; a time of today (in milliseconds) may be some seconds off, but one of long ago or far away may not.
fn same(ours: &[Vec<String>], theirs: &[Vec<String>]) -> bool {
    // The ID of a stream's entry begins with a time.
    let parts = |word: &str| {
        let (ms, seq) = word.split_once('-').map_or((word, None), |(ms, seq)| (ms, Some(seq.to_string())));
        ms.parse::<i64>().ok().map(|ms| (ms, seq))
    };
    let near = |a: &str, b: &str| {
        let (Some((a, behind_a)), Some((b, behind_b))) = (parts(a), parts(b)) else { return false };
        let is_now = a > 1_500_000_000_000 && a < 3_900_000_000_000;
        is_now && (a - b).abs() < SLACK_MS && behind_a == behind_b
    };
    let same_words = |(a, b): (&Vec<String>, &Vec<String>)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || near(a, b))
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same_words)
}

fn shown(stream: &[Vec<String>]) -> String {
    stream.iter().map(|words| format!("    {}\n", words.join(" "))).collect()
}

#[test]
fn streams_are_the_same() {
    const ARGS: &[&str] = &["--enable-debug-command", "yes"];
    let Some(oracle) = Server::redis(ARGS) else { return };
    let (mut oracle, mut tested) = (Side::new(oracle), Side::new(Server::redpoll(ARGS)));
    let mut report = String::new();
    for script in SCRIPTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (ours, theirs) = (oracle.run(script), tested.run(script));
        let expected = without_needless_dels(without_conditions(ours.clone()));
        if !same(&expected, &without_needless_dels(theirs.clone())) {
            report += &format!("{script}\n  oracle:\n{}  tested:\n{}", shown(&ours), shown(&theirs));
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
