//! Collections of millions: a full synchronization while they are written to, and what freeing them costs.
//!
//! ```text
//! cargo bench --bench collections [-- --elements 5000000 --rounds 1] [--apart] [--smoke]
//! ```
//!
//! A master with one sorted set and one hash serves a steady load of writes to both (an open loop), first alone, then while a
//! replica is attached. Then a sorted set and a hash of that size are freed in every way that there is. `lock_hold_max_usec` is
//! the longest time in processor time that a lock was held for; redis-server has no such figure, and the command's own time tells
//! about the same there.

mod harness;
#[path = "harness/load.rs"]
mod load;
#[path = "harness/sync.rs"]
mod sync;

use harness::support::client::Client;
use harness::support::server::Server;
use harness::support::wait_until;
use harness::{Figures, Kind, Noise, connect, is_smoke, memory_mb, option, pipeline, print_table};
use load::{Lateness, Load};
use std::thread;
use std::time::{Duration, Instant};
use sync::{DEADLINE, is_in_step};

/// Elements that one command adds while the collections are filled.
const ADDED_AT_ONCE: usize = 50;

fn main() {
    load::stay_apart();
    let (elements, idle) = if is_smoke() { (20_000, 200) } else { (5_000_000, 5_000) };
    let (elements, idle) = (option("--elements", elements), Duration::from_millis(idle));
    let (mut redis, mut redpoll) = (Figures::default(), Figures::default());
    for _ in 0..option("--rounds", 1) {
        for kind in Kind::all() {
            let figures = if kind == Kind::Redis { &mut redis } else { &mut redpoll };
            synchronize(kind, elements, idle, figures);
            free(kind, elements, figures);
        }
    }
    print_table(&redis, &redpoll);
}

fn synchronize(kind: Kind, elements: usize, idle: Duration, figures: &mut Figures) {
    let master = kind.start(&["--repl-diskless-sync-delay", "0"]);
    let replica = kind.start(&[]);
    let (mut at_master, mut at_replica) = (connect(&master), connect(&replica));
    add_sorted_set(&mut at_master, elements);
    add_hash(&mut at_master, elements);
    let memory_before = memory_mb(master.pid().expect("it runs"));

    let load = writes(&master, elements);
    thread::sleep(idle);
    note(figures, ["latency before, max ms", "latest waking before, ms"], &load.stop());
    assert_eq!(at_master.line("CONFIG RESETSTAT").text(), "OK");
    let load = writes(&master, elements);
    let (peak, ()) = sync::synchronize(figures, &master, [&mut at_master, &mut at_replica], |_| ());
    note(figures, ["latency during it, max ms", "latest waking during it, ms"], &load.stop());
    figures.add("master's memory above before, %", (peak / memory_before - 1.0) * 100.0);
    figures.add_lock_hold("lock_hold_max_usec during it", &mut at_master);
    wait_until("the replica has the last writes", DEADLINE, || is_in_step(&mut at_master, &mut at_replica));
    for line in ["ZCARD z", "HLEN h", "ZRANGE z 0 99 WITHSCORES", "HGET h f7", "ZSCORE z m7"] {
        assert_eq!(at_replica.line(line), at_master.line(line), "{line}");
    }
}

/// Frees a sorted set and a hash in every way.
fn free(kind: Kind, elements: usize, figures: &mut Figures) {
    let server = kind.start(&[]);
    let mut client = connect(&server);
    let ways: [(&[&str], [&'static str; 2]); 5] = [
        (&["DEL z", "DEL h"], ["DEL of both, ms", "DEL, lock_hold_max_usec"]),
        (&["UNLINK z", "UNLINK h"], ["UNLINK of both, ms", "UNLINK, lock_hold_max_usec"]),
        (&["PEXPIRE z 1", "PEXPIRE h 1"], ["expiry of both, ms", "expiry, lock_hold_max_usec"]),
        (&["RENAME a z", "RENAME b h"], ["RENAME over both, ms", "RENAME, lock_hold_max_usec"]),
        (&["FLUSHALL"], ["FLUSHALL, ms", "FLUSHALL, lock_hold_max_usec"]),
    ];
    for (lines, [time, lock]) in ways {
        assert_eq!(client.line("FLUSHALL").text(), "OK");
        add_sorted_set(&mut client, elements);
        add_hash(&mut client, elements);
        assert_eq!(client.line("MSET a 1 b 1").text(), "OK");
        assert_eq!(client.line("CONFIG RESETSTAT").text(), "OK");
        let began = Instant::now();
        for line in lines {
            client.line(line);
        }
        wait_until("they are gone", DEADLINE, || {
            client.line("TYPE z").text() != "zset" && client.line("TYPE h").text() != "hash"
        });
        figures.add(time, began.elapsed().as_secs_f64() * 1000.0);
        figures.add_lock_hold(lock, &mut client);
    }
}

fn writes(master: &Server, elements: usize) -> Load {
    Load::start(master.addr(), move |noise: &mut Noise| {
        let (n, value) = (noise.number() as usize % elements, noise.number() % 1_000_000_000);
        let words = match value % 2 {
            0 => ["ZADD".into(), "z".into(), value.to_string(), format!("m{n}")],
            _ => ["HSET".into(), "h".into(), format!("f{n}"), value.to_string()],
        };
        words.map(String::into_bytes).into()
    })
}

fn add_sorted_set(client: &mut Client, elements: usize) {
    let element = |n: usize| [(n * 7919 % 999_999_937).to_string(), format!("m{n}")];
    add(client, ["ZADD", "z"], elements, element);
    assert_eq!(client.line("ZCARD z").int(), Some(elements as i64));
}

fn add_hash(client: &mut Client, elements: usize) {
    add(client, ["HSET", "h"], elements, |n| [format!("f{n}"), n.to_string()]);
    assert_eq!(client.line("HLEN h").int(), Some(elements as i64));
}

fn add(client: &mut Client, head: [&str; 2], elements: usize, element: impl Fn(usize) -> [String; 2]) {
    let commands = (0..elements).step_by(ADDED_AT_ONCE).map(|from| {
        let rest = (from..elements.min(from + ADDED_AT_ONCE)).flat_map(&element);
        head.map(String::from).into_iter().chain(rest).map(String::into_bytes).collect()
    });
    pipeline(client, commands, |reply| assert!(reply.int().is_some(), "{reply:?}"));
}

fn note(figures: &mut Figures, [replies, waking]: [&'static str; 2], lateness: &Lateness) {
    figures.add(replies, lateness.replies.as_secs_f64() * 1000.0);
    figures.add(waking, lateness.waking.as_secs_f64() * 1000.0);
}
