//! Commands that write every type, from any source of chance; and a key of each shape that a value can have.
//!
//! Keys fall into classes by type (`list:`, `ints:`, `log:` …), so that commands succeed. What some of them do depends on the
//! server's chance, its clock, or what was delivered before (SPOP, XADD *, XREADGROUP): whoever follows the log must come to the
//! same data all the same. Streams of the class `log:` have IDs that can be guessed, for XDEL, XACK and XCLAIM.

/// A request's words.
pub type Command = Vec<Vec<u8>>;

/// How the commands of a [`Mix`] are.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Keys of a class.
    pub keys: u64,
    /// Different members, fields and elements, and the most that one command writes.
    pub members: u64,
    pub most_at_once: u64,
    /// Large elements are so long.
    pub large_bytes: usize,
    /// Some times to live end within two seconds.
    pub short_lives: bool,
    /// Fields get times to live, which redis-server 7.0 does not know.
    pub fields_expire: bool,
}

/// Errors that depend on what else has happened.
pub const EXPECTED_ERRORS: [&str; 6] = [
    "ERR no such key",
    "ERR index out of range",
    "ERR source and destination objects are the same",
    "BUSYGROUP",
    "NOGROUP",
    "ERR The XGROUP subcommand requires the key to exist",
];

/// The one millisecond of all IDs in `log:` streams.
const LOG_MS: u64 = 7;

/// A source of commands.
pub struct Mix<'r> {
    habits: Habits,
    /// A number below another one.
    chance: &'r mut dyn FnMut(u64) -> u64,
}

impl<'r> Mix<'r> {
    /// The commands that `chance` chooses.
    pub fn new(habits: Habits, chance: &'r mut dyn FnMut(u64) -> u64) -> Mix<'r> {
        Mix { habits, chance }
    }

    /// A command that changes a value or a key.
    pub fn write(&mut self) -> Command {
        match self.below(100) {
            0..10 => self.whole_key(),
            _ => self.in_place(),
        }
    }

    /// A command that adds to a value, takes from it or changes it, and neither removes nor replaces it as a whole (unless it
    /// takes the last element).
    pub fn in_place(&mut self) -> Command {
        match self.below(100) {
            0..20 => self.on_lists(),
            20..36 => self.on_sets(),
            36..52 => self.on_hashes(),
            52..68 => self.on_zsets(),
            68..88 => self.on_streams(),
            88..95 => self.on_sketches(),
            _ => self.on_bits(),
        }
    }

    /// A command that waits for an element, `timeout` seconds at most, if there is none. `XREADGROUP` waits as long in ms.
    pub fn blocking(&mut self, timeout: &str) -> Command {
        let (key, other) = (self.key("list"), self.key("list"));
        let (zset, other_zset) = (self.key("zset"), self.key("zset"));
        match self.below(9) {
            0 => line(&format!("BLPOP {key} {other} {timeout}")),
            1 => line(&format!("BRPOP {key} {timeout}")),
            2 => line(&format!("BLMOVE {key} {other} LEFT RIGHT {timeout}")),
            3 => line(&format!("BRPOPLPUSH {key} {other} {timeout}")),
            4 => line(&format!("BLMPOP {timeout} 2 {key} {other} RIGHT COUNT 3")),
            5 => line(&format!("BZPOPMIN {zset} {other_zset} {timeout}")),
            6 => line(&format!("BZMPOP {timeout} 2 {zset} {other_zset} MAX COUNT 2")),
            _ => {
                let ms = timeout.parse::<f64>().expect("seconds") * 1000.0;
                let (stream, group, consumer) = (self.stream(), self.group(), self.consumer());
                line(&format!("XREADGROUP GROUP {group} {consumer} BLOCK {ms} STREAMS {stream} >"))
            }
        }
    }

    /// Commands that build on each other: entries that a group is given, or fields that get times to live.
    pub fn story(&mut self) -> Vec<Command> {
        if self.habits.fields_expire && self.below(2) == 0 {
            let (key, ttl_ms) = (self.key("hash"), self.ttl_ms());
            let fields = [self.member(), self.member()];
            let set =
                [line(&format!("HSET {key}")), fields.iter().flat_map(|f| [f.clone(), f.clone()]).collect()];
            let expire = [line(&format!("HPEXPIRE {key} {ttl_ms} FIELDS 2")), fields.to_vec()];
            return vec![set.concat(), expire.concat()];
        }
        let (key, group, consumer) = (self.stream(), self.group(), self.consumer());
        let create = line(&format!("XGROUP CREATE {key} {group} 0 MKSTREAM"));
        let read = line(&format!("XREADGROUP GROUP {group} {consumer} COUNT 2 STREAMS {key} >"));
        vec![self.entry(&key), self.entry(&key), create, read, self.ids(&format!("XACK {{log}} {group}"), "")]
    }

    fn on_lists(&mut self) -> Command {
        let (key, other) = (self.key("list"), self.key("list"));
        let at = self.below(40) as i64 - 20;
        match self.below(20) {
            0..=2 => self.elements(&format!("RPUSH {key}")),
            3..=5 => self.elements(&format!("LPUSH {key}")),
            6 => self.elements(&format!("LPUSHX {key}")),
            7 => line(&format!("LPOP {key}")),
            8 => line(&format!("RPOP {key} 3")),
            9 => line(&format!("LMOVE {key} {other} LEFT RIGHT")),
            10 => line(&format!("LMOVE {key} {other} RIGHT LEFT")),
            11 => line(&format!("RPOPLPUSH {key} {key}")),
            12 => line(&format!("LTRIM {key} 1 -2")),
            13 => line(&format!("LMPOP 2 {key} {other} LEFT COUNT 2")),
            14 | 15 => with(&format!("LSET {key} {at}"), self.element()),
            16 | 17 => {
                let head = with(&format!("LINSERT {key} BEFORE"), self.element());
                [head, vec![self.element()]].concat()
            }
            _ => with(&format!("LREM {key} {at}"), self.element()),
        }
    }

    fn on_sets(&mut self) -> Command {
        let class = ["set", "set", "ints"][self.below(3) as usize];
        let (key, other) = (self.key(class), self.key(class));
        match self.below(14) {
            0..=6 => self.members(&format!("SADD {key}"), class),
            7..=8 => self.members(&format!("SREM {key}"), class),
            9 => line(&format!("SPOP {key}")),
            10 => line(&format!("SPOP {key} {}", self.below(4))),
            _ => with(&format!("SMOVE {key} {other}"), self.member_of(class)),
        }
    }

    fn on_hashes(&mut self) -> Command {
        let key = self.key("hash");
        let (n, m, ttl_ms) = (self.below(2000), self.below(10), self.ttl_ms());
        match self.below(if self.habits.fields_expire { 22 } else { 15 }) {
            0..=6 => {
                let mut command = line(&format!("HSET {key}"));
                for _ in 0..=self.below(self.habits.most_at_once) {
                    command.extend([self.member(), self.element()]);
                }
                command
            }
            7 => [with(&format!("HSETNX {key}"), self.member()), vec![self.element()]].concat(),
            8 | 9 => self.members(&format!("HDEL {key}"), "hash"),
            10..=12 => line(&format!("HINCRBY {key} n{m} {}", n as i64 - 1000)),
            13 | 14 => line(&format!("HINCRBYFLOAT {key} x{m} {n}.25")),
            15 | 16 => self.fields(&format!("HPEXPIRE {key} {ttl_ms}")),
            17 => self.fields(&format!("HEXPIRE {key} {} NX", ttl_ms / 1000)),
            18 => self.fields(&format!("HPEXPIREAT {key} 4{ttl_ms:012} GT")),
            19 => self.fields(&format!("HEXPIRE {key} 0")),
            _ => self.fields(&format!("HPERSIST {key}")),
        }
    }

    fn on_zsets(&mut self) -> Command {
        let (key, other) = (self.key("zset"), self.key("zset"));
        let n = self.below(2000) as i64 - 1000;
        match self.below(20) {
            0..=5 => self.scored(&format!("ZADD {key}")),
            6 => self.scored(&format!("ZADD {key} GT CH")),
            7 => self.scored(&format!("ZADD {key} NX")),
            8 | 9 => with(&format!("ZINCRBY {key} {n}.5"), self.member()),
            10 => with(&format!("ZADD {key} INCR {n}"), self.member()),
            11 | 12 => self.members(&format!("ZREM {key}"), "zset"),
            13 => line(&format!("ZPOPMIN {key}")),
            14 => line(&format!("ZPOPMAX {key} 2")),
            15 => line(&format!("ZMPOP 2 {key} {other} MIN COUNT 2")),
            16 => line(&format!("ZREMRANGEBYRANK {key} 2 3")),
            17 => line(&format!("ZREMRANGEBYSCORE {key} {n} ({}", n + 3)),
            _ => self.on_equal_scores(),
        }
    }

    /// Ranges by text mean something only where all scores are the same: in the class `lex:`.
    fn on_equal_scores(&mut self) -> Command {
        let (key, n) = (self.key("lex"), self.below(self.habits.members));
        match self.below(4) {
            0 => line(&format!("ZREMRANGEBYLEX {key} [m{n} (m{n}1")),
            1 => line(&format!("ZRANGESTORE {key} {key} [m{n} + BYLEX")),
            _ => {
                let members = self.members("", "lex");
                let scored = members[1..].iter().flat_map(|member| [b"0".to_vec(), member.clone()]);
                line(&format!("ZADD {key}")).into_iter().chain(scored).collect()
            }
        }
    }

    fn on_streams(&mut self) -> Command {
        let (key, group, consumer) = (self.stream(), self.group(), self.consumer());
        let count = self.below(self.habits.most_at_once) + 1;
        match self.below(45) {
            0..=13 => self.entry(&key),
            14 => line(&format!("XTRIM {key} MAXLEN = {}", self.below(self.habits.members))),
            15 => line(&format!("XTRIM {key} MAXLEN ~ {}", self.below(self.habits.members))),
            16 => line(&format!("XTRIM {key} MINID = {LOG_MS}-{}", self.below(20))),
            17..=21 => line(&format!("XGROUP CREATE {key} {group} 0 MKSTREAM")),
            22 => line(&format!("XGROUP CREATE {key} {group} $ MKSTREAM")),
            23 => line(&format!("XGROUP CREATECONSUMER {key} {group} {consumer}")),
            24 => line(&format!("XGROUP SETID {key} {group} {LOG_MS}-{count}")),
            25 => match self.below(6) {
                0 => line(&format!("XGROUP DESTROY {key} {group}")),
                _ => line(&format!("XGROUP DELCONSUMER {key} {group} {consumer}")),
            },
            26..=34 => line(&format!("XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS {key} >")),
            35 => line(&format!("XREADGROUP GROUP {group} {consumer} COUNT {count} NOACK STREAMS {key} >")),
            36 | 37 => line(&format!("XAUTOCLAIM {key} {group} {consumer} 0 0 COUNT {count}")),
            38 => line(&format!("XAUTOCLAIM {key} {group} {consumer} 0 - COUNT {count} JUSTID")),
            39 | 40 => self.ids(&format!("XCLAIM {{log}} {group} {consumer} 0"), ""),
            41 => self.ids(&format!("XCLAIM {{log}} {group} {consumer} 0"), " FORCE"),
            42 => self.ids("XDEL {log}", ""),
            _ => self.ids(&format!("XACK {{log}} {group}"), ""),
        }
    }

    /// XADD, with each way to trim.
    fn entry(&mut self, key: &str) -> Command {
        let trim = match self.below(12) {
            0 => format!("MAXLEN ~ {} ", self.below(self.habits.members)),
            1 => format!("MAXLEN = {} ", self.below(self.habits.members)),
            2 => format!("MAXLEN ~ {} LIMIT 150 ", self.below(self.habits.members)),
            3 => format!("MINID ~ {LOG_MS}-{} ", self.below(50)),
            4 => "NOMKSTREAM ".into(),
            _ => String::new(),
        };
        let id = if key.starts_with("log") { format!("{LOG_MS}-*") } else { "*".into() };
        let mut command = line(&format!("XADD {key} {trim}{id}"));
        let same_fields = self.below(3) > 0;
        for n in 0..=self.below(4) {
            let field = if same_fields { format!("field{n}").into_bytes() } else { self.member() };
            command.extend([field, self.element()]);
        }
        command
    }

    /// A command on a `log:` stream (`{log}`) and some of its IDs.
    fn ids(&mut self, head: &str, tail: &str) -> Command {
        let mut text = head.replace("{log}", &self.key("log"));
        let from = self.below(2 * self.habits.members);
        for n in 0..=self.below(5) {
            text.push_str(&format!(" {LOG_MS}-{}", from + n));
        }
        line(&(text + tail))
    }

    fn on_sketches(&mut self) -> Command {
        let (hll, other) = (self.key("hll"), self.key("hll"));
        let geo = self.key("geo");
        match self.below(12) {
            0..=4 => self.elements(&format!("PFADD {hll}")),
            5 => line(&format!("PFMERGE {hll} {other}")),
            6 => line(&format!("PFCOUNT {hll}")),
            7..=10 => {
                let (longitude, latitude) = (self.below(359) as i64 - 179, self.below(169) as i64 - 84);
                with(&format!("GEOADD {geo} {longitude}.123 {latitude}.456"), self.member())
            }
            _ => with(&format!("ZREM {geo}"), self.member()),
        }
    }

    fn on_bits(&mut self) -> Command {
        let (key, at) = (self.key("bits"), self.below(16 * self.habits.members));
        match self.below(6) {
            0..=2 => line(&format!("SETBIT {key} {at} {}", self.below(2))),
            3 => line(&format!("SETRANGE {key} {} xyz", at / 8)),
            _ => line(&format!("BITFIELD {key} SET u8 {at} 7 INCRBY i5 #3 1 OVERFLOW FAIL INCRBY u2 {at} 1")),
        }
    }

    /// Keys that go, come, or get a time to live.
    fn whole_key(&mut self) -> Command {
        const CLASSES: [&str; 9] = ["list", "set", "ints", "hash", "zset", "stream", "log", "hll", "geo"];
        let class = CLASSES[self.below(CLASSES.len() as u64) as usize];
        let (key, other) = (self.key(class), self.key(class));
        match self.below(24) {
            0 => line(&format!("DEL {key} {other}")),
            1 => line(&format!("UNLINK {key}")),
            2 | 3 => line(&format!("RENAME {key} {other}")),
            4 => line(&format!("RENAMENX {key} {other}")),
            5 | 6 => line(&format!("COPY {key} {other} REPLACE")),
            7 | 8 => line(&format!("PEXPIRE {key} {}", self.ttl_ms())),
            9 => line(&format!("EXPIRE {key} {} GT", 1 + self.ttl_ms() / 1000)),
            10 => line(&format!("PERSIST {key}")),
            _ => self.store(),
        }
    }

    /// What is computed from some keys becomes another one's value.
    fn store(&mut self) -> Command {
        let [a, b, c] = ["set", "set", "set"].map(|class| self.key(class));
        let [x, y, z] = ["zset", "zset", "zset"].map(|class| self.key(class));
        let n = self.below(20);
        let (ints, list, geo) = (self.key("ints"), self.key("list"), self.key("geo"));
        match self.below(15) {
            0 => line(&format!("SINTERSTORE {a} {b} {c}")),
            1 => line(&format!("SUNIONSTORE {a} {b} {ints}")),
            2 => line(&format!("SDIFFSTORE {a} {b} {c}")),
            3 => line(&format!("SUNIONSTORE {ints} {ints} {}", self.key("ints"))),
            4 => line(&format!("ZRANGESTORE {x} {y} 1 -{}", n + 1)),
            5 => line(&format!("ZRANGESTORE {x} {y} -inf ({n} BYSCORE LIMIT 0 {n}")),
            6 => line(&format!("ZUNIONSTORE {x} 2 {y} {z} WEIGHTS 2 0.5 AGGREGATE MAX")),
            7 => line(&format!("ZUNIONSTORE {x} 2 {y} {b}")),
            8 => line(&format!("ZINTERSTORE {x} 2 {y} {z} AGGREGATE MIN")),
            9 => line(&format!("ZDIFFSTORE {x} 2 {y} {z}")),
            10 => line(&format!("SORT {b} ALPHA LIMIT 0 50 DESC STORE {list}")),
            11 => line(&format!("SORT {ints} LIMIT {n} 100 STORE {list}")),
            12 => {
                line(&format!("GEOSEARCHSTORE {} {geo} FROMLONLAT 10 {n} BYRADIUS 9000 km", self.key("geo")))
            }
            13 => line(&format!(
                "GEOSEARCHSTORE {x} {geo} FROMLONLAT 10 {n} BYBOX 9000 5000 km COUNT 9 STOREDIST"
            )),
            _ => {
                let [one, two, to] = ["bits", "bits", "bits"].map(|class| self.key(class));
                let operation = ["XOR", "AND", "OR"][(n % 3) as usize];
                line(&format!("BITOP {operation} {to} {one} {two}"))
            }
        }
    }

    fn elements(&mut self, head: &str) -> Command {
        let mut command = line(head);
        command.push(self.element());
        command.extend((0..self.below(self.habits.most_at_once)).map(|_| self.element()));
        command
    }

    fn members(&mut self, head: &str, class: &str) -> Command {
        let mut command = line(head);
        command.extend((0..=self.below(self.habits.most_at_once)).map(|_| self.member_of(class)));
        command
    }

    fn scored(&mut self, head: &str) -> Command {
        let mut command = line(head);
        for _ in 0..=self.below(self.habits.most_at_once) {
            let score = match self.below(20) {
                0 => "inf".into(),
                1 => "-inf".into(),
                2..5 => format!("{}e{}", self.below(1000), self.below(20)),
                5..10 => format!("{}.{:03}", self.below(1000), self.below(1000)),
                _ => (self.below(2000) as i64 - 1000).to_string(),
            };
            command.extend([score.into_bytes(), self.member()]);
        }
        command
    }

    fn fields(&mut self, head: &str) -> Command {
        let count = 1 + self.below(3);
        let mut command = line(&format!("{head} FIELDS {count}"));
        command.extend((0..count).map(|_| self.member()));
        command
    }

    fn key(&mut self, class: &str) -> String {
        format!("{class}:{}", self.below(self.habits.keys))
    }

    fn stream(&mut self) -> String {
        let class = ["stream", "log"][self.below(2) as usize];
        self.key(class)
    }

    fn group(&mut self) -> String {
        format!("group{}", self.below(4) / 3)
    }

    fn consumer(&mut self) -> String {
        format!("consumer{}", self.below(3))
    }

    fn member_of(&mut self, class: &str) -> Vec<u8> {
        match class {
            "ints" => self.int(),
            _ => self.member(),
        }
    }

    /// What can be met again; mostly short.
    fn member(&mut self) -> Vec<u8> {
        let n = self.below(self.habits.members);
        match n % 50 {
            0 => format!("{n:0100}").into_bytes(),
            1..10 => n.to_string().into_bytes(),
            _ => format!("m{n}").into_bytes(),
        }
    }

    /// Any value; now and then a large one.
    fn element(&mut self) -> Vec<u8> {
        match self.below(100) {
            0 => vec![b'a' + self.below(26) as u8; self.habits.large_bytes],
            1 => (0..self.habits.large_bytes).map(|_| self.below(256) as u8).collect(),
            2 => Vec::new(),
            3..20 => self.int(),
            _ => self.member(),
        }
    }

    /// Of each width that intsets and listpacks know.
    fn int(&mut self) -> Vec<u8> {
        let n = self.below(2 * self.habits.members) as i64;
        let n = match self.below(40) {
            0 => n << 40,
            1..4 => -n << 20,
            4..10 => n << 9,
            _ => n - 100,
        };
        n.to_string().into_bytes()
    }

    fn ttl_ms(&mut self) -> u64 {
        match self.below(2) {
            0 if self.habits.short_lives => 1 + self.below(1500),
            _ => 600_000 + self.below(9_000_000),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.chance)(bound)
    }
}

/// Commands that make a key of every type in every encoding, in the selected database.
pub fn shapes() -> Vec<Command> {
    let mut commands = Vec::new();
    let mut make = |head: &str, words: Vec<String>| {
        let mut command = line(head);
        command.extend(words.into_iter().map(String::into_bytes));
        commands.push(command);
    };
    let numbers = |from: i64, to: i64| (from..to).map(|n| n.to_string()).collect::<Vec<_>>();
    let names = |count: i64| (0..count).map(|n| format!("name {n}")).collect::<Vec<_>>();
    let pairs =
        |count: i64| (0..count).flat_map(|n| [n.to_string(), format!("name {n}")]).collect::<Vec<_>>();
    let long = |letter: &str, bytes: usize| letter.repeat(bytes);
    make("RPUSH shape:list-of-one", vec![String::new()]);
    make("RPUSH shape:list-small", [names(5), numbers(-3, 300)].concat());
    make("RPUSH shape:list-of-nodes", [names(3000), numbers(0, 3000)].concat());
    make("RPUSH shape:list-of-large", (0..9).map(|n| long(&n.to_string(), 5000 * n)).collect());
    make("SADD shape:set-int16", numbers(-5, 40));
    make("SADD shape:set-int32", [numbers(-5, 40), vec!["70000".into()]].concat());
    make("SADD shape:set-int64", [numbers(0, 400), vec![i64::MIN.to_string()]].concat());
    make("SADD shape:set-many-ints", numbers(0, 1000));
    make("SADD shape:set-small", [names(20), numbers(0, 20)].concat());
    make("SADD shape:set-table", [names(400), numbers(0, 400)].concat());
    make("SADD shape:set-long", vec![long("s", 70), String::new()]);
    make("HSET shape:hash-small", pairs(20));
    make("HSET shape:hash-table", pairs(700));
    make("HSET shape:hash-long", vec!["f".into(), long("h", 70), String::new(), String::new()]);
    make("ZADD shape:zset-small", pairs(20));
    make("ZADD shape:zset-skiplist", pairs(300));
    let edges = ["inf", "-inf", "-0", "0.1", "1e300", "5e-324"].iter().zip(names(6));
    make("ZADD shape:zset-edges", edges.flat_map(|(score, name)| [score.to_string(), name]).collect());
    make("ZADD shape:zset-long", vec!["1".into(), long("z", 70)]);
    make("PFADD shape:hll-sparse", names(20));
    make("PFADD shape:hll-dense", names(6000));
    make("GEOADD shape:geo 13.361389 38.115556 Palermo -179.9 -85 corner 0 0 middle", Vec::new());
    make("SETBIT shape:bits 40000 1", Vec::new());
    make("XGROUP CREATE shape:stream-empty group $ MKSTREAM", Vec::new());
    make("XGROUP CREATECONSUMER shape:stream-empty group idle", Vec::new());
    for n in 0..350 {
        let fields = if n % 70 < 60 { vec!["field".into(), n.to_string()] } else { pairs(n % 5 + 1) };
        make(&format!("XADD shape:stream {}-{n}", n / 9 + 1), fields);
    }
    make("XADD shape:stream 900-0 large", vec![long("x", 9000)]);
    for command in [
        "XDEL shape:stream 1-3 4-30 39-349",
        "XTRIM shape:stream MINID = 2-0",
        "XGROUP CREATE shape:stream group 0",
        "XGROUP CREATE shape:stream other 5-0 ENTRIESREAD 36",
        "XREADGROUP GROUP group alice COUNT 120 STREAMS shape:stream >",
        "XREADGROUP GROUP group bob COUNT 60 STREAMS shape:stream >",
        "XREADGROUP GROUP other carol COUNT 10 NOACK STREAMS shape:stream >",
        "XCLAIM shape:stream group bob 0 3-20 3-21 3-22",
        "XACK shape:stream group 3-23 3-24",
        "XDEL shape:stream 3-25",
        "XADD shape:stream-of-zero 1-1 f v",
        "XDEL shape:stream-of-zero 1-1",
    ] {
        make(command, Vec::new());
    }
    for shape in
        ["list-of-nodes", "set-int64", "set-table", "hash-small", "hash-table", "zset-skiplist", "stream"]
    {
        make(&format!("COPY shape:{shape} shape:{shape}-timed"), Vec::new());
        make(&format!("PEXPIREAT shape:{shape}-timed 4102444800123"), Vec::new());
    }
    commands
}

/// A command from words between spaces.
pub fn line(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn with(start: &str, last: Vec<u8>) -> Command {
    let mut command = line(start);
    command.push(last);
    command
}
