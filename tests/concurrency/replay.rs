//! The one log is the truth: whoever follows it from anywhere ends with the master's data.
//!
//! The log of a storm, captured by a raw reader and sent to empty servers as plain commands, gives the data set; so does a
//! full sync in the middle of the storm and the log from there on.

use super::compare::{assert_same, data_difference};
use super::observer::Observer;
use super::snapshots::while_saving;
use super::storm::{Storm, encode_command};
use super::topology::{Kind, Node, eventually, peer_is_installed};
use super::wire::{Command, words};
use super::{IO_THREADS, many_threads, seeds};

/// Rounds of each test without REDPOLL_CONCURRENCY_ROUNDS.
const ROUNDS: u64 = 2;
/// Units (commands and transactions) of a round, at least.
const UNITS: u64 = 12_000;
/// Commands of a replay sent in one write.
const REPLAY_BATCH: usize = 200;
/// The last message of a captured stream.
const END: &str = "the end of the storm";

#[test]
fn the_stream_replayed_gives_the_same_data() {
    for seed in seeds(ROUNDS) {
        let master = many_threads();
        let mut observer = Observer::attach(master.port());
        let capture = std::thread::spawn(move || capture(&mut observer));
        // What redis-server 7.0 does not know is in every second stream.
        let fields_expire = seed % 2 == 1;
        let storm = match fields_expire {
            true => Storm::start_with_fields_that_expire(&master, seed),
            false => Storm::start(&master, seed),
        };
        storm.wait_for(UNITS);
        storm.stop();
        master.connect().call(&["PUBLISH", "end", END]);
        let stream = capture.join().expect("the capture's thread");
        let redis = !fields_expire && peer_is_installed();
        let kinds = [Some(Kind::Redpoll), redis.then_some(Kind::Redis)];
        for (place, kind) in kinds.into_iter().flatten().enumerate() {
            let copy = Node::start(kind, place + 1, &[]).expect("a server");
            replay(&stream, &copy);
            assert_equal(&master, &copy, seed);
        }
    }
}

fn capture(observer: &mut Observer) -> Vec<Command> {
    let mut stream = Vec::new();
    loop {
        let command = observer.next();
        if command.last().is_some_and(|word| word == END.as_bytes()) {
            return stream;
        }
        stream.push(as_a_client_says_it(&command));
    }
}

/// What clients may not say: the stream has LIMIT behind an exact threshold, as in Redis, where it limits nothing any more.
fn as_a_client_says_it(command: &Command) -> Command {
    match command.windows(3).position(|words| words[0] == b"=" && words[2] == b"LIMIT") {
        Some(at) => [&command[..at + 2], &command[at + 4..]].concat(),
        None => command.clone(),
    }
}

/// Sends the stream's commands as an ordinary client. None may fail: on a master, each of them had an effect.
fn replay(stream: &[Command], node: &Node) {
    let mut client = node.connect();
    for batch in stream.chunks(REPLAY_BATCH) {
        let bytes: Vec<u8> = batch.iter().flat_map(encode_command).collect();
        client.send_raw(&bytes).expect("send a batch");
        for command in batch {
            let reply = client.read_reply().expect("a reply").value;
            let failed =
                reply.items().unwrap_or(std::slice::from_ref(&reply)).iter().any(|part| part.is_error());
            assert!(!failed, "{node}: {:.200}: {reply}", words(command).join(" "));
        }
    }
}

fn assert_equal(master: &Node, copy: &Node, seed: u64) {
    if let Some(difference) = data_difference(master, copy) {
        panic!("seed {seed}: {difference}");
    }
}

#[test]
fn replicas_that_attach_in_the_storm_end_with_the_masters_data() {
    for seed in seeds(ROUNDS) {
        let master = many_threads();
        plant(&master);
        let kinds = [Some(Kind::Redpoll), peer_is_installed().then_some(Kind::Redis)];
        let start = |(place, kind)| Node::start(kind, place + 1, &IO_THREADS).expect("a server");
        let replicas: Vec<Node> = kinds.into_iter().flatten().enumerate().map(start).collect();
        let storm = Storm::start(&master, 1000 + seed);
        storm.wait_for(UNITS / 8);
        while_saving(&master, || {
            for replica in &replicas {
                replica.follow(master.port());
                storm.wait_for(UNITS / 8);
            }
            for replica in &replicas {
                eventually(&format!("the link of {replica} is up"), || replica.link_is_up());
            }
            // Not for long: what is flushed and replaced later hides what went wrong.
            storm.wait_for(UNITS / 100);
        });
        storm.stop();
        assert_same(&[&master].into_iter().chain(&replicas).collect::<Vec<_>>());
    }
}

/// Keys that nobody touches (unless somebody flushes), so that the walk of a snapshot takes a while.
fn plant(master: &Node) {
    assert_eq!(master.call("DEBUG POPULATE 60000 still 20").text(), "OK");
    assert_eq!(master.call("SWAPDB 0 7").text(), "OK");
}
