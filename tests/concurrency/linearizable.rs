//! Rounds of a few clients on a few keys; each round's history must be linearizable.
//!
//! Steps are sent in bursts: several of each client are under way at once, and the server's threads work on them side by
//! side. A compare-and-set sends WATCH and GET, waits, and sends a transaction that depends on what came.

use super::checker::assert_linearizable;
use super::compare::assert_same;
use super::history::{Event, History, Step, one, record};
use super::model::State;
use super::snapshots::while_saving;
use super::steps::{Steps, select};
use super::topology::{Kind, Node};
use super::{IO_THREADS, many_threads, seeds};
use crate::support::client::{Client, Value};
use std::ops::Range;
use std::sync::Barrier;
use std::time::Instant;

/// Rounds without REDPOLL_CONCURRENCY_ROUNDS.
const ROUNDS: u64 = 500;
/// Steps of one client in a round, or a few more.
const STEPS_PER_CLIENT: usize = 12;

#[test]
fn concurrent_histories_are_linearizable() {
    run_rounds(&many_threads(), seeds(ROUNDS));
}

/// With a log to write, and with snapshots to which what is about to change is handed over first.
#[test]
fn histories_beside_snapshots_and_a_replica_are_linearizable() {
    let server = many_threads();
    assert_eq!(server.call("DEBUG POPULATE 5000 still").text(), "OK");
    assert_eq!(server.call("SWAPDB 0 7").text(), "OK");
    let replica = Node::start(Kind::Redpoll, 1, &IO_THREADS).expect("the server under test");
    replica.follow(server.port());
    while_saving(&server, || run_rounds(&server, offset(seeds(ROUNDS / 3))));
    assert_same(&[&server, &replica]);
}

/// Other seeds than the first test's.
fn offset(seeds: Range<u64>) -> Range<u64> {
    seeds.start + 1_000_000..seeds.end + 1_000_000
}

fn run_rounds(server: &Node, seeds: Range<u64>) {
    let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    let (mut rounds, mut overlapping) = (0, 0);
    for seed in seeds {
        let count = 4 + (seed % 3) as usize;
        let history = round(&mut clients[..count], seed);
        rounds += 1;
        overlapping += u64::from(overlaps(&history));
        assert_linearizable(&history, &format!("seed {seed}"));
    }
    assert!(overlapping * 2 > rounds, "only {overlapping} rounds of {rounds} were concurrent at all");
}

/// Prepares the keyspace and lets all clients go at once.
fn round(clients: &mut [Client], seed: u64) -> History {
    let mut steps = Steps::new(seed);
    let databases: Vec<usize> = (0..clients.len()).map(|client| usize::from(client % 4 == 3)).collect();
    for db in 0..2 {
        expect_ok(&mut clients[0], &select(db));
        expect_ok(&mut clients[0], &one("FLUSHDB"));
    }
    for step in steps.planting() {
        expect_ok(&mut clients[0], &step);
    }
    for (client, db) in clients.iter_mut().zip(&databases) {
        expect_ok(client, &one("UNWATCH"));
        expect_ok(client, &select(*db));
    }
    let initial = steps.initial(&databases);
    let (barrier, began) = (Barrier::new(clients.len()), Instant::now());
    let events = std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for (number, client) in clients.iter_mut().enumerate() {
            let (mut steps, barrier) = (steps.for_client(number as u64), &barrier);
            workers.push(scope.spawn(move || {
                barrier.wait();
                play(client, &mut steps, began)
            }));
        }
        workers.into_iter().map(|worker| worker.join().expect("a client's thread")).collect()
    });
    History { initial, clients: events }
}

/// One client's part in a round.
fn play(client: &mut Client, steps: &mut Steps, began: Instant) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < STEPS_PER_CLIENT {
        if steps.is_compare_and_set() {
            let key = steps.key();
            let watch = [&b"WATCH"[..], b"GET"].map(|name| Step::One(vec![name.to_vec(), key.clone()]));
            record(client, watch.into(), began, &mut events);
            let old = events.last().and_then(|event| event.reply.bytes()).unwrap_or_default().to_vec();
            let new = [&old[..], b"0"].concat();
            let set = Step::Transaction(vec![vec![b"SET".to_vec(), key, new]]);
            record(client, vec![set], began, &mut events);
        } else {
            record(client, steps.burst(), began, &mut events);
        }
    }
    events
}

fn expect_ok(client: &mut Client, step: &Step) {
    let mut bytes = Vec::new();
    step.encode(&mut bytes);
    client.send_raw(&bytes).expect("send");
    let reply = step.read_reply(client).expect("a reply");
    assert_eq!(reply, Value::Simple(b"OK".to_vec()), "{step}");
}

/// Whether two clients had steps under way at the same time.
fn overlaps(history: &History) -> bool {
    let span = |events: &Vec<Event>| Some((events.first()?.called_ns, events.last()?.answered_ns));
    let mut spans: Vec<(u64, u64)> = history.clients.iter().filter_map(span).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

/// One step at a time, by several sessions in turn: the model and the servers must say the same.
#[test]
fn the_model_answers_as_servers_do() {
    check_model(&many_threads());
    if let Some(redis) = Node::start(Kind::Redis, 1, &IO_THREADS) {
        check_model(&redis);
    }
}

fn check_model(node: &Node) {
    const SESSIONS: [usize; 3] = [0, 0, 1];
    let mut clients: Vec<Client> = SESSIONS.iter().map(|_| node.connect()).collect();
    for seed in 0..40 {
        let mut steps = Steps::new(seed);
        assert_eq!(clients[0].line("FLUSHALL").text(), "OK");
        let mut state = State::new(&SESSIONS);
        let planted = steps.planting().into_iter().map(|step| (0, step));
        let selected = SESSIONS.iter().enumerate().map(|(session, db)| (session, select(*db)));
        let unwatched = (0..SESSIONS.len()).map(|session| (session, one("UNWATCH")));
        let mut script: Vec<(usize, Step)> = planted.chain(selected).chain(unwatched).collect();
        script.extend((0..100).map(|turn| ((turn * 7 + seed as usize) % 11 % SESSIONS.len(), steps.next())));
        for (turn, (session, step)) in script.iter().enumerate() {
            let mut events = Vec::new();
            record(&mut clients[*session], vec![step.clone()], Instant::now(), &mut events);
            let expected = state.run(*session, step);
            assert_eq!(
                events[0].reply, expected,
                "{node}, seed {seed}, turn {turn}, session {session}: {step}"
            );
        }
    }
}
