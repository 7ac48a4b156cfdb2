//! The RDB codec against a real redis-server: it loads what the writer wrote, the decoder reads what it saves, and
//! redis-check-rdb agrees with the checker line by line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redpoll::rdb::check::check;
use redpoll::rdb::dump::{OwnedValue, decode_payload, encode_payload};
use redpoll::rdb::{
    Aux, Decoder, Eviction, Item, Options, RecordRef, ReplicationAux, Value, ValueRef, Writer,
};
use redpoll::types::Limits;

/// How long a server may take to load and answer.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// Whether the tests can run; where they must (CI), a missing server is a failure.
fn have_server() -> bool {
    let found = ["redis-server", "redis-check-rdb"].iter().all(|program| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "redis-server not found");
        println!("SKIPPED: redis-server not found");
    }
    found
}

/// A directory of one test's own, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("rdb-interop-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A real server over a directory, and one connection to it.
struct Server {
    child: Child,
    stream: BufReader<TcpStream>,
}

impl Server {
    fn start(dir: &Path, extra: &[&str]) -> Server {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port is free").port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--dir", dir.to_str().expect("the path is UTF-8"), "--dbfilename", "dump.rdb"])
            .args(extra)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let deadline = Instant::now() + START_DEADLINE;
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < deadline && child.try_wait().is_ok_and(|exit| exit.is_none()) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => panic!("redis-server does not listen: {e}"),
            }
        };
        let mut server = Server { child, stream: BufReader::new(stream) };
        while server.call(&[b"PING"]) != b"PONG" {
            assert!(Instant::now() < deadline, "redis-server does not finish loading");
        }
        server
    }

    /// Sends a command; returns a bulk's, status', integer's or error's text, `(nil)` for a null; an array's in a row.
    fn call(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).expect("the server reads");
        self.reply()
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("the server replies");
        let text = line[1..].strip_suffix(b"\r\n").expect("a reply line ends");
        if !matches!(line[0], b'$' | b'*') {
            return text.to_vec();
        }
        let len: i64 = String::from_utf8_lossy(text).parse().expect("a bulk has a length");
        let Ok(len) = usize::try_from(len) else { return b"(nil)".to_vec() };
        if line[0] == b'*' {
            return (0..len).map(|_| self.reply()).collect::<Vec<_>>().join(&b' ');
        }
        let mut body = vec![0; len + 2];
        self.stream.read_exact(&mut body).expect("a bulk comes whole");
        body.truncate(len);
        body
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Strings of every form an RDB has for them.
fn values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> =
        ["", "0", "-1", "127", "128", "-32769", "2147483647", "2147483648", "01", "-0"]
            .iter()
            .chain(&["9223372036854775807", "+1", "a", "hello world"])
            .map(|text| text.as_bytes().to_vec())
            .collect();
    let mut x = 88_172_645_463_325_252u64;
    let mut noise = |len: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .take(len)
        .collect()
    };
    for len in [20, 21, 63, 64, 65, 16_383, 16_384, 70_000, 1 << 20] {
        values.push(noise(len));
        values.push(vec![b'z'; len]);
        values.push(b"{\"name\":\"someone\",\"id\":".iter().copied().cycle().take(len).collect());
        let mut mixed = noise(len / 3);
        mixed.extend_from_slice(&b"0123456789".repeat(len / 20));
        mixed.extend_from_slice(&noise(len / 9));
        values.push(mixed);
    }
    values
}

fn write_file(values: &[Vec<u8>], compress: bool, version: u8, now_ms: i64) -> Vec<u8> {
    let mut writer = Writer::new(Options { compress, version, ..Options::default() });
    writer.header();
    let replication =
        Some(ReplicationAux { stream_db: 0, id: &"c0ffee".repeat(7)[..40], offset: 5_000_000_000 });
    writer.standard_aux(&Aux {
        redis_ver: "7.2.4",
        ctime: 1,
        used_mem: 1 << 33,
        replication,
        aof_base: false,
    });
    for db in [0, 9] {
        writer.select_db(db);
        writer.resize_db(values.len() as u64 + 1, values.len() as u64 / 2);
        for (i, value) in values.iter().enumerate() {
            writer.record(&RecordRef {
                expire_ms: (i % 2 == 1).then_some(now_ms + 1_000_000_000 + i as i64),
                eviction: match i % 3 {
                    0 => Eviction::None,
                    1 => Eviction::IdleSeconds(100_000),
                    _ => Eviction::Frequency(77),
                },
                key: format!("key:{db}:{i}").as_bytes(),
                value: ValueRef::Str(value),
            });
        }
        let (key, value) = (&b"-1234"[..], ValueRef::Int(i64::MIN));
        writer.record(&RecordRef { expire_ms: None, eviction: Eviction::None, key, value });
    }
    writer.eof();
    writer.take()
}

fn now_ms() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("and not that far past")
}

#[test]
fn a_real_server_loads_what_the_writer_wrote() {
    if !have_server() {
        return;
    }
    let values = values();
    for (compress, version) in [(true, 10), (false, 10), (true, 9)] {
        let dir = Dir::new(&format!("load-{compress}-{version}"));
        let now_ms = now_ms();
        fs::write(dir.0.join("dump.rdb"), write_file(&values, compress, version, now_ms))
            .expect("the file can be written");
        let mut server = Server::start(&dir.0, &["--sanitize-dump-payload", "yes"]);
        for db in ["0", "9"] {
            assert_eq!(server.call(&[b"SELECT", db.as_bytes()]), b"OK");
            assert_eq!(server.call(&[b"DBSIZE"]), (values.len() + 1).to_string().into_bytes());
            for (i, value) in values.iter().enumerate() {
                let key = format!("key:{db}:{i}").into_bytes();
                assert!(server.call(&[b"GET", &key]) == *value, "{key:?} differs");
                let expire = if i % 2 == 1 { now_ms + 1_000_000_000 + i as i64 } else { -1 };
                assert_eq!(server.call(&[b"PEXPIRETIME", &key]), expire.to_string().into_bytes());
            }
            assert_eq!(server.call(&[b"GET", b"-1234"]), i64::MIN.to_string().into_bytes());
        }
    }
}

/// (database, key) to (expiry, value).
type Contents = BTreeMap<(u32, Vec<u8>), (Option<i64>, Vec<u8>)>;

/// What the decoder reads in `bytes`.
fn read_file(bytes: &[u8], chunk: usize) -> Contents {
    let mut all = BTreeMap::new();
    let mut db = 0;
    let mut decoder = Decoder::new(true, Limits::default());
    for chunk in bytes.chunks(chunk) {
        let mut feed = decoder.feed(chunk);
        while let Some(item) = feed.next().expect("the server's file is right") {
            match item {
                Item::SelectDb(selected) => db = selected,
                Item::Record { expire_ms, key, value, .. } => {
                    let value = match value {
                        Value::Int(n) => n.to_string().into_bytes(),
                        Value::Str(bytes) => bytes.to_vec(),
                        Value::Owned(bytes) => bytes,
                        other => panic!("no string: {other:?}"),
                    };
                    all.insert((db, key.to_vec()), (expire_ms, value));
                }
                _ => {}
            }
        }
    }
    decoder.finish().expect("the server's file is whole");
    all
}

#[test]
fn the_decoder_reads_what_a_real_server_saved() {
    if !have_server() {
        return;
    }
    let values = values();
    for policy in ["noeviction", "allkeys-lru", "allkeys-lfu"] {
        let dir = Dir::new(&format!("save-{policy}"));
        let mut server = Server::start(&dir.0, &["--maxmemory-policy", policy]);
        let mut expected = BTreeMap::new();
        for db in [0u32, 3] {
            server.call(&[b"SELECT", db.to_string().as_bytes()]);
            for (i, value) in values.iter().enumerate() {
                let key = if i % 5 == 0 { i.to_string() } else { format!("{}{i}", "key:".repeat(i % 12)) };
                let expire = (i % 3 == 0).then(|| now_ms() + 1_000_000_000);
                assert_eq!(server.call(&[b"SET", key.as_bytes(), value]), b"OK");
                if let Some(at) = expire {
                    server.call(&[b"PEXPIREAT", key.as_bytes(), at.to_string().as_bytes()]);
                }
                expected.insert((db, key.into_bytes()), (expire, value.clone()));
            }
        }
        assert_eq!(server.call(&[b"SAVE"]), b"OK");
        let bytes = fs::read(dir.0.join("dump.rdb")).expect("the server saved");
        for chunk in [777, 65_536, usize::MAX] {
            assert!(read_file(&bytes, chunk) == expected, "{policy}, chunks of {chunk}");
        }
    }
}

#[test]
fn payloads_go_both_ways() {
    if !have_server() {
        return;
    }
    let dir = Dir::new("dump");
    let mut server = Server::start(&dir.0, &[]);
    for value in values() {
        server.call(&[b"SET", b"theirs", &value]);
        let payload = server.call(&[b"DUMP", b"theirs"]);
        let back = match decode_payload(&payload, true, &Limits::default()).expect("the payload is right") {
            OwnedValue::Int(n) => n.to_string().into_bytes(),
            OwnedValue::Str(bytes) => bytes,
            other => panic!("no string: {other:?}"),
        };
        assert!(back == value);
        let payload = encode_payload(ValueRef::Str(&value), Options::default());
        assert_eq!(server.call(&[b"RESTORE", b"ours", b"0", &payload, b"REPLACE"]), b"OK");
        assert!(server.call(&[b"GET", b"ours"]) == value);
    }
}

/// Compares the checker's lines with those of redis-check-rdb for `bytes`.
fn compare_checks(dir: &Path, what: &str, bytes: &[u8]) {
    let path = dir.join("checked.rdb");
    fs::write(&path, bytes).expect("the file can be written");
    let theirs = Command::new("redis-check-rdb").arg(&path).output().expect("redis-check-rdb runs");
    let mut ours = Vec::new();
    let report =
        check(path.to_str().expect("UTF-8"), fs::File::open(&path), &Limits::default(), now_ms(), &mut ours)
            .expect("no I/O fails");
    assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs.stdout), "{what}");
    assert_eq!(report.ok, theirs.status.success(), "{what}");
}

#[test]
fn the_checker_says_what_redis_check_rdb_says() {
    if !have_server() {
        return;
    }
    let dir = Dir::new("check");
    let few = [b"12".to_vec(), b"text".to_vec(), vec![b'a'; 300], vec![b'b'; 5], b"99".to_vec()];
    let file = write_file(&few, true, 10, now_ms());
    compare_checks(&dir.0, "a right file", &file);
    compare_checks(&dir.0, "trailing bytes", &[&file[..], b"trailing"].concat());
    let old = write_file(&few, true, 10, 1 - 2_000_000_000);
    compare_checks(&dir.0, "keys that have expired", &old);
    let mut unsummed = file.clone();
    let sum_at = file.len() - 8;
    unsummed[sum_at..].fill(0);
    compare_checks(&dir.0, "no checksum", &unsummed);
    let mut wrong = file.clone();
    wrong[sum_at] ^= 1;
    compare_checks(&dir.0, "a wrong checksum", &wrong);
    let mut signature = file.clone();
    signature[0] = b'r';
    compare_checks(&dir.0, "a wrong signature", &signature);
    let mut unknown = file.clone();
    unknown[9] = 200;
    compare_checks(&dir.0, "an unknown opcode", &unknown);
    for len in (0..file.len()).step_by(3) {
        compare_checks(&dir.0, &format!("the first {len} bytes"), &file[..len]);
    }
}

/// Has the server make a value of every type in every encoding; the keys that its payloads are equal for, byte by byte, are the
/// first of both lists, those that have no order the second.
fn every_encoding(server: &mut Server) -> (Vec<&'static str>, Vec<&'static str>) {
    let lines = [
        "RPUSH list a 1 -5 300 70000 5000000000",
        "RPUSH longlist",
        "SADD ints 1 2 300 -70000",
        "SADD wideints 1 5000000000",
        "SADD members a b 1",
        "HSET hash f v g 12",
        "HSET longhash f",
        "ZADD zset 1 a 2.5 b -inf c 1e300 d 5 12",
        "ZADD longzset",
        "XADD stream 1-1 a 1 b 2",
        "XADD stream 1-2 a 3 b 4",
        "XADD stream 2-0 c 5",
        "XDEL stream 1-2",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g alice COUNT 1 STREAMS stream >",
        "XREADGROUP GROUP g bob STREAMS stream >",
        "XGROUP CREATE stream empty 1-1",
        "XGROUP CREATE nothing g $ MKSTREAM",
    ];
    for line in lines {
        let mut args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        match line.split(' ').nth(1) {
            Some("longlist") => args.extend((0..20_000).map(|n| format!("item {n}").into_bytes())),
            Some("longhash") => args.push(vec![b'v'; 100]),
            Some("longzset") => (0..300).for_each(|n| {
                args.extend([(n * 7 % 300).to_string().into_bytes(), format!("member {n}").into_bytes()]);
            }),
            _ => {}
        }
        let reply = server.call(&args.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(!reply.starts_with(b"ERR"), "{line}: {}", reply.escape_ascii());
    }
    let ordered =
        vec!["list", "longlist", "ints", "wideints", "hash", "zset", "longzset", "stream", "nothing"];
    (ordered, vec!["members", "longhash"])
}

/// What the items of `bytes` are in an RDB of another version.
fn rewrite(bytes: &[u8], version: u8) -> Vec<u8> {
    let mut writer = Writer::new(Options { version, ..Options::default() });
    writer.header();
    let mut decoder = Decoder::new(true, Limits::default());
    let mut feed = decoder.feed(bytes);
    while let Some(item) = feed.next().expect("the server's file is right") {
        match item {
            Item::SelectDb(db) => writer.select_db(db),
            Item::Record { expire_ms, eviction, key, value } => {
                let value = match &value {
                    Value::Int(n) => ValueRef::Int(*n),
                    Value::Str(bytes) => ValueRef::Str(bytes),
                    Value::Owned(bytes) => ValueRef::Str(bytes),
                    Value::Object(object) => ValueRef::Object(object),
                    Value::Empty => panic!("a server writes nothing empty"),
                };
                assert!(writer.can_say(value));
                writer.record(&RecordRef { expire_ms, eviction, key, value });
            }
            _ => {}
        }
    }
    writer.eof();
    writer.take()
}

#[test]
fn a_real_server_loads_every_type_that_it_saved_from_our_file() {
    if !have_server() {
        return;
    }
    let dir = Dir::new("types");
    let mut server = Server::start(&dir.0, &["--enable-debug-command", "yes"]);
    let (ordered, others) = every_encoding(&mut server);
    assert_eq!(server.call(&[b"SAVE"]), b"OK");
    let digest = server.call(&[b"DEBUG", b"DIGEST"]);
    let bytes = fs::read(dir.0.join("dump.rdb")).expect("the server saved");
    for version in [9, 10] {
        let dir = Dir::new(&format!("types-{version}"));
        fs::write(dir.0.join("dump.rdb"), rewrite(&bytes, version)).expect("the file can be written");
        let extra = ["--enable-debug-command", "yes", "--sanitize-dump-payload", "yes"];
        let mut other = Server::start(&dir.0, &extra);
        assert_eq!(other.call(&[b"DEBUG", b"DIGEST"]), digest, "version {version}");
        for key in ordered.iter().chain(&others) {
            let question: [&[u8]; 3] = [b"OBJECT", b"ENCODING", key.as_bytes()];
            assert_eq!(other.call(&question), server.call(&question), "{key}, version {version}");
        }
    }
}

#[test]
fn payloads_of_every_type_go_both_ways() {
    if !have_server() {
        return;
    }
    let dir = Dir::new("payloads");
    let mut server = Server::start(&dir.0, &["--enable-debug-command", "yes", "--rdbcompression", "no"]);
    let (ordered, others) = every_encoding(&mut server);
    for key in ordered.iter().chain(&others) {
        let theirs = server.call(&[b"DUMP", key.as_bytes()]);
        let value = decode_payload(&theirs, true, &Limits::default()).expect("the payload is right");
        let OwnedValue::Object(object) = value else { panic!("{key} is no collection") };
        let options = Options { compress: false, ..Options::default() };
        let ours = encode_payload(ValueRef::Object(&object), options);
        assert!(
            others.contains(key) || ours == theirs,
            "{key}:\n{}\n{}",
            ours.escape_ascii(),
            theirs.escape_ascii()
        );
        let compressed = encode_payload(ValueRef::Object(&object), Options::default());
        for payload in [ours, compressed] {
            assert_eq!(server.call(&[b"RESTORE", b"ours", b"0", &payload, b"REPLACE"]), b"OK", "{key}");
            let mut digest = |key: &str| server.call(&[b"DEBUG", b"DIGEST-VALUE", key.as_bytes()]);
            assert_eq!(digest("ours"), digest(key), "{key}");
        }
    }
}
