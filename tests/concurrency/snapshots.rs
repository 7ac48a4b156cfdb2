//! A dump.rdb is the data set at one moment: whatever transactions keep true is true in every one of them.
//!
//! Clients keep sums constant, pairs equal, tokens unique and one counter ahead of another, in several databases, while one
//! BGSAVE follows the other over a keyspace that takes a while to walk. Each file is decoded and held against all that.

use super::storm::encode_command;
use super::topology::{Node, eventually};
use super::wire::Command;
use super::{many_threads, seeds};
use crate::support::client::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redpoll::rdb::{Decoder, Item, Value};
use redpoll::types::element::Element;
use redpoll::types::stream::{Entry, StreamId};
use redpoll::types::{Limits, Object};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Files looked at without REDPOLL_CONCURRENCY_ROUNDS.
const ROUNDS: u64 = 25;
/// Keys beside the ones that matter: what the walk has to pass between them.
const FILLER_KEYS: u32 = 40_000;
/// Accounts in each of the first two databases, and what is on each at first.
const ACCOUNTS: u32 = 40;
const START_BALANCE: i64 = 1000;
/// Tokens, each under one of two names in one of two databases.
const TOKENS: u32 = 20;
/// Pairs of equal values, every second one of them large.
const PAIRS: u32 = 10;
/// Members of each collection, which are large to the server: their nodes are shared with a running snapshot.
const MEMBERS: u32 = 4000;
/// What each field and each member has at first.
const START_SHARE: i64 = 100;
/// The collections' database, which is never swapped.
const COLLECTIONS_DB: u32 = 3;
/// Counters that go up one after the other, by a client that waits for neither transaction nor reply in between.
const STAIRS: u32 = 16;

#[test]
fn every_dump_shows_one_moment() {
    let server = many_threads();
    plant(&server);
    let over = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let jobs: [fn(&mut Client, &mut StdRng); 7] =
            [transfer, transfer, pair, token, climb, collection, collection];
        for (number, job) in jobs.into_iter().enumerate() {
            let (mut client, over, written) = (server.connect(), &over, &written);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(number as u64);
                while !over.load(Ordering::Relaxed) {
                    job(&mut client, &mut rng);
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look_at_dumps(&server, &written)));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs `f` while one BGSAVE follows the other.
pub fn while_saving(server: &Node, f: impl FnOnce()) {
    let (over, mut client) = (AtomicBool::new(false), server.connect());
    std::thread::scope(|scope| {
        let saving = scope.spawn(|| {
            let mut begun = 0;
            while !over.load(Ordering::Relaxed) {
                let reply = client.line("BGSAVE").text();
                begun += u32::from(reply == "Background saving started");
                eventually("a snapshot ends", || client.info("rdb_bgsave_in_progress") == "0");
            }
            begun
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        over.store(true, Ordering::Relaxed);
        let begun = saving.join().expect("the saving thread");
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(begun > 0, "no BGSAVE ever began");
    });
}

/// What is written after BGSAVE is not in its file, even if it comes with the same packet.
#[test]
fn a_background_save_shows_the_moment_of_its_command() {
    let server = many_threads();
    let mut client = server.connect();
    for round in 0..20 {
        client.line("SET before 1");
        let _ = std::fs::remove_file(server.dir().join("dump.rdb"));
        send(&mut client, &lines(&["BGSAVE".into(), "DEL before".into(), "SET after 1".into()]));
        let dump = decode(&finish_save(&server)).expect("a whole file");
        let mut keys: Vec<&String> = dump.strings[0].keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["before"], "round {round}");
        client.line("DEL after");
    }
}

fn look_at_dumps(server: &Node, written: &AtomicU64) {
    let mut busy = 0;
    for round in seeds(ROUNDS) {
        let before = written.load(Ordering::Relaxed);
        let dump = save(server);
        busy += u64::from(written.load(Ordering::Relaxed) > before);
        if let Err(problem) = decode(&dump).and_then(|dump| check(&dump)) {
            panic!("dump {round}: {problem}");
        }
        eventually("the clients go on", || written.load(Ordering::Relaxed) > before + 5);
    }
    assert!(busy * 2 > ROUNDS, "only {busy} snapshots had writers beside them");
}

fn plant(server: &Node) {
    let mut client = server.connect();
    client.line(&format!("DEBUG POPULATE {FILLER_KEYS} filler 10"));
    for db in 0..2 {
        client.line(&format!("SELECT {db}"));
        for n in 0..ACCOUNTS {
            client.line(&format!("SET account:{n} {START_BALANCE}"));
        }
    }
    client.line("SELECT 0");
    for n in 0..TOKENS {
        client.line(&format!("SET token:{n}:x {n}"));
    }
    plant_collections(&mut client);
}

fn plant_collections(client: &mut Client) {
    let words = |word: &dyn Fn(u32) -> String| (0..MEMBERS).map(word).collect::<Vec<_>>().join(" ");
    let commands = [
        format!("SELECT {COLLECTIONS_DB}"),
        format!("HSET ledger {}", words(&|n| format!("{n} {START_SHARE}"))),
        format!("ZADD scores {}", words(&|n| format!("{START_SHARE} {n}"))),
        format!("SADD set:left {}", words(&|n| format!("member:{n}"))),
        format!("RPUSH list:left {}", words(&|n| format!("element:{n}"))),
        "XGROUP CREATE stream:left group 0 MKSTREAM".into(),
        "XGROUP CREATE stream:right group 0 MKSTREAM".into(),
    ];
    send(client, &lines(&commands));
}

/// Sends commands in one write and reads all replies; none may be an error.
fn send(client: &mut Client, commands: &[Command]) {
    let bytes: Vec<u8> = commands.iter().flat_map(encode_command).collect();
    client.send_raw(&bytes).expect("send");
    for _ in commands {
        let reply = client.read_reply().expect("a reply").value;
        assert!(!reply.is_error(), "{reply}");
    }
}

fn lines(lines: &[String]) -> Vec<Command> {
    lines.iter().map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()).collect()).collect()
}

/// Moves money between two accounts, of one database or of two: the sum stays.
fn transfer(client: &mut Client, rng: &mut StdRng) {
    let amount = rng.random_range(1..100);
    let mut side = |verb: &str| {
        let (db, account) = (rng.random_range(0..2), rng.random_range(0..ACCOUNTS));
        [format!("SELECT {db}"), format!("{verb} account:{account} {amount}")]
    };
    let [from_db, take] = side("DECRBY");
    let [to_db, give] = side("INCRBY");
    send(client, &lines(&["MULTI".into(), from_db, take, to_db, give, "EXEC".into()]));
}

/// Writes the same to both halves of a pair, whole or by a little.
fn pair(client: &mut Client, rng: &mut StdRng) {
    let n = rng.random_range(0..PAIRS);
    let [left, right] = ["left", "right"].map(|half| format!("pair:{n}:{half}").into_bytes());
    let length = if n % 2 == 0 { 20_000 } else { 20 };
    let value = vec![rng.random_range(b'a'..=b'z'); length];
    if rng.random_bool(0.3) {
        return send(client, &[vec![b"MSET".to_vec(), left, value.clone(), right, value]]);
    }
    let change = |key: Vec<u8>| match value[0] % 3 {
        0 => vec![b"APPEND".to_vec(), key, vec![value[0]]],
        1 => vec![b"SETRANGE".to_vec(), key, b"7".to_vec(), vec![value[0]; 3]],
        _ => vec![b"SETBIT".to_vec(), key, b"77".to_vec(), vec![b'0' + value[0] % 2]],
    };
    send(client, &[vec![b"MULTI".to_vec()], change(left), change(right), vec![b"EXEC".to_vec()]]);
}

/// Gives a token another name, or another database: it is always there, once.
fn token(client: &mut Client, rng: &mut StdRng) {
    let n = rng.random_range(0..TOKENS);
    let db = rng.random_range(0..2);
    let (x, y) = (format!("token:{n}:x"), format!("token:{n}:y"));
    client.line(&format!("SELECT {db}"));
    match rng.random_range(0..4) {
        0 => drop(client.line(&format!("RENAME {x} {y}"))),
        1 => drop(client.line(&format!("RENAME {y} {x}"))),
        2 => drop(client.line(&format!("MOVE {x} {}", 1 - db))),
        // The accounts, filler and pairs go with it: what is checked does not depend on the database's number.
        _ => drop(client.line("SWAPDB 0 1")),
    }
}

/// Changes one of the collections: sums stay, members and elements are always there, once, and streams are equal.
fn collection(client: &mut Client, rng: &mut StdRng) {
    let (n, m, amount) =
        (rng.random_range(0..MEMBERS), rng.random_range(0..MEMBERS), rng.random_range(1..50));
    let sides = if rng.random_bool(0.5) { ["left", "right"] } else { ["right", "left"] };
    let [from, to] = sides;
    let unit = |commands: [String; 2]| {
        let [one, other] = commands;
        vec!["MULTI".into(), one, other, "EXEC".into()]
    };
    let both = |command: &dyn Fn(&str) -> String| unit([command("left"), command("right")]);
    let commands: Vec<String> = match rng.random_range(0..8) {
        0 => unit([format!("HINCRBY ledger {n} -{amount}"), format!("HINCRBY ledger {m} {amount}")]),
        1 => unit([format!("ZINCRBY scores -{amount} {n}"), format!("ZINCRBY scores {amount} {m}")]),
        2 => vec![format!("SMOVE set:{from} set:{to} member:{n}")],
        3 => vec![format!("LMOVE list:{from} list:{to} LEFT RIGHT")],
        4 => vec![format!("LMOVE list:{from} list:{to} RIGHT LEFT")],
        5 => both(&|side| format!("XADD stream:{side} * number {n}")),
        6 => both(&|side| format!("XTRIM stream:{side} MAXLEN = {MEMBERS}")),
        _ => vec!["XREADGROUP GROUP group reader COUNT 1 STREAMS stream:left stream:right > >".into()],
    };
    send(client, &[lines(&[format!("SELECT {COLLECTIONS_DB}")]), lines(&commands)].concat());
}

/// Raises all stairs by one, the first one first, with plain commands: a moment shows them descending by at most one.
fn climb(client: &mut Client, _: &mut StdRng) {
    let mut commands = lines(&["SELECT 2".into()]);
    commands.extend(lines(&(0..STAIRS).map(|n| format!("INCR stair:{n}")).collect::<Vec<_>>()));
    send(client, &commands);
}

/// A BGSAVE from begin to end: its file.
fn save(server: &Node) -> Vec<u8> {
    let path = server.dir().join("dump.rdb");
    let _ = std::fs::remove_file(&path);
    server.call("BGSAVE");
    finish_save(server)
}

/// Waits for the end of a background save; its file.
fn finish_save(server: &Node) -> Vec<u8> {
    let path = server.dir().join("dump.rdb");
    eventually("the snapshot ends", || server.number("rdb_bgsave_in_progress") == 0);
    assert_eq!(server.info("rdb_last_bgsave_status"), "ok");
    std::fs::read(path).expect("the file of a snapshot")
}

/// What a file holds.
#[derive(Clone, Default)]
struct Dump {
    /// Strings by key, for each database.
    strings: Vec<HashMap<String, Vec<u8>>>,
    collections: HashMap<String, Vec<Part>>,
}

/// A field and its value, a member and its score, an element or member and nothing, an entry's first value and nothing; then, of
/// a stream, `pending` and how many are.
type Part = (String, i64);

fn decode(bytes: &[u8]) -> Result<Dump, String> {
    let mut dump = Dump { strings: vec![HashMap::new(); 16], ..Dump::default() };
    let mut db = 0;
    let mut decoder = Decoder::new(true, Limits::default());
    let mut feed = decoder.feed(bytes);
    while let Some(item) = feed.next().map_err(|error| error.to_string())? {
        match item {
            Item::SelectDb(number) => db = number as usize,
            Item::Record { key, value, .. } => {
                let key = String::from_utf8_lossy(key).into_owned();
                let value = match value {
                    Value::Int(number) => number.to_string().into_bytes(),
                    Value::Str(bytes) => bytes.to_vec(),
                    Value::Owned(bytes) => bytes,
                    Value::Object(object) => {
                        dump.collections.insert(key, parts_of(&object)?);
                        continue;
                    }
                    Value::Empty => return Err(format!("{key} is empty")),
                };
                if dump.strings[db].insert(key.clone(), value).is_some() {
                    return Err(format!("db {db} has {key} twice"));
                }
            }
            _ => {}
        }
    }
    drop(feed);
    if decoder.is_done() { Ok(dump) } else { Err("the file is cut".into()) }
}

fn parts_of(object: &Object) -> Result<Vec<Part>, String> {
    let text = |element: Element<'_>| String::from_utf8_lossy(&element.to_vec()).into_owned();
    let number = |element: Element<'_>| element.as_int().ok_or("a field that is not a number".to_owned());
    match object {
        Object::Hash(hash) => hash.iter().map(|field| Ok((text(field.name), number(field.value)?))).collect(),
        Object::Zset(zset) => Ok(zset.iter().map(|(member, score)| (text(member), score as i64)).collect()),
        Object::Set(set) => Ok(set.iter().map(|member| (text(member), 0)).collect()),
        Object::List(list) => {
            Ok(list.to_vecs().iter().map(|e| (String::from_utf8_lossy(e).into_owned(), 0)).collect())
        }
        Object::Stream(stream) => {
            let first = |entry: Entry<'_>| entry.pairs().next().map_or(String::new(), |pair| text(pair.1));
            let entries = stream.range(StreamId::MIN, StreamId::MAX).map(|entry| (first(entry), 0));
            let pending = stream.groups().map(|(_, group)| ("pending".into(), group.pending_len() as i64));
            Ok(entries.chain(pending).collect())
        }
    }
}

/// What is not as the clients keep it.
fn check(dump: &Dump) -> Result<(), String> {
    let number =
        |value: &Vec<u8>| String::from_utf8_lossy(value).parse::<i64>().map_err(|error| error.to_string());
    let all = |start: &'static str| {
        dump.strings
            .iter()
            .flatten()
            .filter(move |(key, _)| key.starts_with(start))
            .map(|(_, value)| number(value))
    };
    let money = all("account:").sum::<Result<i64, String>>()?;
    expect("sum of the accounts", money, START_BALANCE * 2 * i64::from(ACCOUNTS))?;
    expect("accounts", all("account:").count(), 2 * ACCOUNTS as usize)?;
    expect(
        "filler keys",
        dump.strings.iter().flatten().filter(|(key, _)| key.starts_with("filler:")).count(),
        FILLER_KEYS as usize,
    )?;
    let mut tokens = all("token:").collect::<Result<Vec<i64>, String>>()?;
    tokens.sort_unstable();
    expect("tokens", tokens, (0..i64::from(TOKENS)).collect())?;
    for n in 0..PAIRS {
        // The pairs are in the database of their writer, whichever number that has after the swaps.
        for db in &dump.strings[..2] {
            let [left, right] = ["left", "right"].map(|half| db.get(&format!("pair:{n}:{half}")));
            if left != right {
                return Err(format!("pair {n} differs"));
            }
        }
    }
    let stairs: Result<Vec<i64>, String> =
        (0..STAIRS).map(|n| dump.strings[2].get(&format!("stair:{n}")).map_or(Ok(0), number)).collect();
    let stairs = stairs?;
    let descends =
        stairs.windows(2).all(|pair| pair[0] >= pair[1]) && stairs[0] - stairs[stairs.len() - 1] <= 1;
    if !descends {
        return Err(format!("the stairs: {stairs:?}"));
    }
    check_collections(&dump.collections)
}

fn check_collections(collections: &HashMap<String, Vec<Part>>) -> Result<(), String> {
    let parts = |key: &str| collections.get(key).map_or(&[][..], Vec::as_slice);
    for key in ["ledger", "scores"] {
        expect(key, parts(key).len(), MEMBERS as usize)?;
        expect(key, parts(key).iter().map(|part| part.1).sum(), START_SHARE * i64::from(MEMBERS))?;
    }
    for (kind, name) in [("set", "member"), ("list", "element")] {
        let sides = [parts(&format!("{kind}:left")), parts(&format!("{kind}:right"))].concat();
        let mut found: Vec<String> = sides.into_iter().map(|part| part.0).collect();
        let mut expected: Vec<String> = (0..MEMBERS).map(|n| format!("{name}:{n}")).collect();
        found.sort_unstable();
        expected.sort_unstable();
        if found != expected {
            return Err(format!("{kind}: {} are there, some twice or not at all", found.len()));
        }
    }
    if parts("stream:left") != parts("stream:right") {
        return Err("the streams differ".into());
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

/// Each invariant can be seen broken.
#[test]
fn a_dump_of_two_moments_is_caught() {
    let mut whole = Dump { strings: vec![HashMap::new(); 16], collections: whole_collections() };
    let mut put =
        |db: usize, key: String, value: i64| whole.strings[db].insert(key, value.to_string().into_bytes());
    (0..ACCOUNTS)
        .for_each(|n| drop((put(0, format!("account:{n}"), 1), put(1, format!("account:{n}"), 1999))));
    (0..TOKENS).for_each(|n| drop(put(1, format!("token:{n}:y"), i64::from(n))));
    (0..STAIRS).for_each(|n| drop(put(2, format!("stair:{n}"), 4 + i64::from(n < 3))));
    (0..FILLER_KEYS).for_each(|n| drop(put(0, format!("filler:{n}"), 1)));
    let _ = ["left", "right"].map(|half| put(0, format!("pair:1:{half}"), 5));
    assert_eq!(check(&whole), Ok(()));
    let broken = [
        (0, "account:3", Some("2")),
        (0, "account:3", None),
        (1, "token:7:y", None),
        (0, "token:7:x", Some("7")),
        (2, "stair:5", Some("5")),
        (2, "stair:15", Some("3")),
        (0, "filler:9", None),
        (0, "pair:1:left", None),
        (0, "pair:1:right", Some("6")),
    ];
    for (db, key, value) in broken {
        let mut dump = whole.clone();
        match value {
            Some(value) => drop(dump.strings[db].insert(key.into(), value.into())),
            None => drop(dump.strings[db].remove(key)),
        }
        assert!(check(&dump).is_err(), "{db} {key} {value:?}");
    }
    for key in whole.collections.keys() {
        let mut dump = whole.clone();
        dump.collections.get_mut(key).expect("it is there").pop();
        assert!(check(&dump).is_err(), "one part less of {key}");
        let mut dump = whole.clone();
        let parts = dump.collections.get_mut(key).expect("it is there");
        parts[0] = (parts[1].0.clone(), parts[0].1 + 1);
        assert!(check(&dump).is_err(), "another part of {key}");
    }
}

fn whole_collections() -> HashMap<String, Vec<Part>> {
    let parts = |name: &str, from: u32, to: u32, value: i64| -> Vec<Part> {
        (from..to).map(|n| (format!("{name}{n}"), value)).collect()
    };
    let stream = [parts("", 0, 9, 0), vec![("pending".into(), 3)]].concat();
    let collections = [
        ("ledger", parts("", 0, MEMBERS, START_SHARE)),
        ("scores", parts("", 0, MEMBERS, START_SHARE)),
        ("set:left", parts("member:", 0, 7, 0)),
        ("set:right", parts("member:", 7, MEMBERS, 0)),
        ("list:left", parts("element:", 0, 7, 0)),
        ("list:right", parts("element:", 7, MEMBERS, 0)),
        ("stream:left", stream.clone()),
        ("stream:right", stream),
    ];
    collections.into_iter().map(|(key, parts)| (key.to_owned(), parts)).collect()
}
