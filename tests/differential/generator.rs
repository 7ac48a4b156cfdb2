//! Endless commands from a seed.
//!
//! What can be generated is a table of patterns, one line each: a capital word is itself (in any case of
//! letters), a small word is a slot that draws from a pool, `[a|b c]` is one of these or nothing, `slot+` is
//! one or several. A new command is a new line. Then, now and then, a command is spoilt: an argument lost,
//! doubled or replaced by junk.
//!
//! Pools are small, so that commands meet on the same keys, and are made of borders: of integers, of the
//! encodings (44 and 45 bytes), of the reply buffer (16 KiB). A generated expiry is over since long or far
//! away: none can race with the comparison. The generator is its own (splitmix64), so that a seed means the
//! same for ever.

use crate::pair::{CHANGED_DIRECTIVES, Step};
use crate::payload;
use crate::support::client::encode_command;
use crate::syntax::{Args, name};

/// The paired connections, by the protocol they start in.
pub const CONNECTIONS: [u8; 5] = [2, 3, 2, 3, 2];

/// Subscribes among other things, in RESP3; the other connections before [`SUBSCRIBER`] never do.
const RESP3_SUBSCRIBER: usize = 3;

/// Does little but subscribe, as RESP2 wants it.
const SUBSCRIBER: usize = 4;

/// Splitmix64.
pub struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// What may be said on any connection, transactions included: a weight and a pattern.
const COMMANDS: &[(usize, &str)] = &[
    // Strings.
    (40, "SET key value"),
    (25, "SET key value [NX|XX] [GET] [futureexpiry|KEEPTTL]"),
    (5, "SET key value option+"),
    (25, "GET key"),
    (6, "SETNX key value"),
    (6, "SETEX key seconds value"),
    (6, "PSETEX key millis value"),
    (6, "GETSET key value"),
    (5, "GETDEL key"),
    (12, "GETEX key [expiry|PERSIST]"),
    (2, "GETEX key option+"),
    (8, "MGET key+"),
    (8, "MSET key value key value [key value]"),
    (6, "MSETNX key value [key value]"),
    (14, "APPEND key value"),
    (8, "STRLEN key"),
    (14, "SETRANGE key offset value"),
    (12, "GETRANGE key index index"),
    (3, "SUBSTR key index index"),
    (12, "INCR key"),
    (8, "DECR key"),
    (12, "INCRBY key int"),
    (8, "DECRBY key int"),
    (16, "INCRBYFLOAT key float"),
    (8, "LCS key key [LEN|IDX] [MINMATCHLEN small] [WITHMATCHLEN]"),
    (2, "LCS key key option+"),
    // Bitmaps.
    (14, "SETBIT key bitoffset bit"),
    (10, "GETBIT key bitoffset"),
    (10, "BITCOUNT key [index index|index index BYTE|index index BIT]"),
    (10, "BITPOS key bit [index|index index|index index BYTE|index index BIT]"),
    (6, "BITOP bitop key key+"),
    (4, "BITOP NOT key key"),
    (12, "BITFIELD key field field field field"),
    (8, "BITFIELD key OVERFLOW overflow field field"),
    (4, "BITFIELD_RO key GET width fieldoffset [GET width fieldoffset]"),
    (1, "BITFIELD_RO key field"),
    // Keys.
    (8, "DEL key+"),
    (5, "UNLINK key+"),
    (6, "EXISTS key+"),
    (12, "EXPIRE key seconds [NX|XX|GT|LT]"),
    (8, "PEXPIRE key millis [NX|XX|GT|LT]"),
    (8, "EXPIREAT key time [NX|XX|GT|LT]"),
    (8, "PEXPIREAT key timemillis [NX|XX|GT|LT]"),
    (1, "EXPIRE key seconds option+"),
    (6, "TTL key"),
    (6, "PTTL key"),
    (6, "EXPIRETIME key"),
    (6, "PEXPIRETIME key"),
    (6, "PERSIST key"),
    (5, "TYPE key"),
    (6, "RENAME key key"),
    (5, "RENAMENX key key"),
    (9, "COPY key key [DB db] [REPLACE]"),
    (5, "MOVE key db"),
    (1, "SWAPDB db db"),
    (4, "TOUCH key+"),
    (3, "KEYS pattern"),
    (4, "SCAN 0 COUNT 1000 [MATCH pattern] [TYPE type]"),
    (1, "SCAN cursor [MATCH pattern|COUNT int|TYPE type]"),
    (2, "RANDOMKEY"),
    (3, "DBSIZE"),
    (6, "OBJECT ENCODING key"),
    (2, "OBJECT objectword key"),
    (5, "DUMP key"),
    (8, "RESTORE key restorettl payload [REPLACE]"),
    (3, "RESTORE key 0 payload REPLACE [IDLETIME small|FREQ small]"),
    (3, "RESTORE key timemillis payload ABSTTL [REPLACE]"),
    (1, "RESTORE key restorettl payload option+"),
    // Connection and server.
    (6, "SELECT db"),
    (3, "PING [value]"),
    (2, "ECHO value"),
    (1, "AUTH value [value]"),
    (1, "TIME"),
    (1, "WAIT 0 0"),
    (1, "ROLE"),
    (1, "COMMAND GETKEYS anycommand"),
    (1, "COMMAND GETKEYSANDFLAGS anycommand"),
    (2, "CONFIG GET directive"),
    (2, "CONFIG SET directive directivevalue"),
    (1, "CONFIG RESETSTAT"),
    (1, "CONFIG junk [junk] [junk]"),
    (1, "CLIENT ID"),
    (1, "CLIENT INFO"),
    (1, "CLIENT LIST [TYPE NORMAL|TYPE PUBSUB|ID 999999999]"),
    (2, "CLIENT GETNAME"),
    (2, "CLIENT SETNAME clientname"),
    (1, "CLIENT NO-EVICT [ON|OFF|junk]"),
    (1, "CLIENT KILL [ID 999999999|USER NOBODY|TYPE REPLICA|ADDR 1.2.3.4:5|junk]"),
    (1, "CLIENT junk"),
    (1, "DEBUG OBJECT key"),
    (1, "DEBUG DIGEST-VALUE key+"),
    (1, "DEBUG SLEEP 0"),
    (1, "DEBUG SET-ACTIVE-EXPIRE 1"),
    (6, "PUBLISH channel value"),
    (1, "PUBSUB CHANNELS [channelpattern]"),
    (1, "PUBSUB NUMSUB [channel channel]"),
    (1, "PUBSUB NUMPAT"),
    (1, "PUBSUB junk"),
    (4, "WATCH key+"),
    (2, "UNWATCH"),
    (2, "junk [value] [value]"),
    (1, "OBJECT junk key"),
    (1, "COMMAND junk"),
];

/// What changes a connection's state: never inside MULTI, where the replies could not be told apart.
const SESSION_COMMANDS: &[(usize, &str)] = &[
    (3, "HELLO [2|3|4|junk]"),
    (2, "HELLO [2|3] SETNAME clientname"),
    (2, "RESET"),
    (1, "QUIT"),
    (3, "CLIENT REPLY ON"),
    (2, "CLIENT REPLY junk"),
    (3, "DISCARD"),
    (3, "EXEC"),
    (2, "UNSUBSCRIBE [channel]"),
    (2, "PUNSUBSCRIBE [channelpattern]"),
];

/// What subscribers say most of the time.
const SUBSCRIBER_COMMANDS: &[(usize, &str)] = &[
    (6, "SUBSCRIBE channel+"),
    (6, "PSUBSCRIBE channelpattern+"),
    (3, "UNSUBSCRIBE channel+"),
    (2, "UNSUBSCRIBE"),
    (3, "PUNSUBSCRIBE channelpattern+"),
    (2, "PUNSUBSCRIBE"),
    (2, "PING [value]"),
    (2, "GET key"),
    (2, "PUBLISH channel value"),
    (3, "RESET"),
];

/// What empties databases: rare, so that they fill.
const FLUSHES: &[(usize, &str)] =
    &[(6, "FLUSHDB [ASYNC|SYNC|junk]"), (2, "FLUSHALL [ASYNC|SYNC]"), (1, "FLUSHALL junk junk")];

/// Generates the commands of one run.
pub struct Generator {
    rng: Rng,
    connection: usize,
    left_in_burst: usize,
    transactions: [bool; CONNECTIONS.len()],
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator {
            rng: Rng(seed),
            connection: 0,
            left_in_burst: 0,
            transactions: [false; CONNECTIONS.len()],
        }
    }

    /// The next `count` commands or a few more.
    pub fn steps(&mut self, count: usize) -> Vec<Step> {
        let mut steps = Vec::with_capacity(count + 3);
        while steps.len() < count {
            if self.left_in_burst == 0 {
                self.connection = self.rng.below(CONNECTIONS.len());
                self.left_in_burst = 1 + self.rng.below(40);
            }
            self.left_in_burst -= 1;
            let connection = self.connection;
            steps.extend(self.commands().into_iter().map(|args| Step { connection, args }));
        }
        steps
    }

    /// One command for the present connection, or a few that belong together.
    fn commands(&mut self) -> Vec<Args> {
        if self.transactions[self.connection] {
            return vec![self.in_transaction()];
        }
        match self.rng.below(1000) {
            0..25 => {
                self.transactions[self.connection] = true;
                vec![vec![b"MULTI".to_vec()]]
            }
            25..40 => vec![self.from(SESSION_COMMANDS)],
            40 if self.rng.chance(50) => vec![self.from(FLUSHES)],
            42..45 if self.connection < RESP3_SUBSCRIBER => self.unanswered(),
            45..800 if self.connection == SUBSCRIBER => vec![self.from(SUBSCRIBER_COMMANDS)],
            45..300 if self.connection == RESP3_SUBSCRIBER => vec![self.from(SUBSCRIBER_COMMANDS)],
            300..310 if self.connection == RESP3_SUBSCRIBER => vec![self.expand("HELLO 3")],
            _ => vec![self.from(COMMANDS)],
        }
    }

    /// Within a transaction nobody publishes to himself: in RESP3 the oracle puts that message into the middle
    /// of EXEC's reply, which 7.2 no longer does.
    fn in_transaction(&mut self) -> Args {
        let end = match self.rng.below(100) {
            0..12 => "EXEC",
            12..14 => "DISCARD",
            14 => "RESET",
            15 => return vec![b"MULTI".to_vec()],
            _ => {
                let args = self.from(COMMANDS);
                let is_heard = self.connection >= RESP3_SUBSCRIBER && name(&args) == "PUBLISH";
                return if is_heard { self.expand("GET key") } else { args };
            }
        };
        self.transactions[self.connection] = false;
        vec![end.as_bytes().to_vec()]
    }

    /// Commands between CLIENT REPLY OFF and ON, or behind SKIP.
    fn unanswered(&mut self) -> Vec<Args> {
        let reply = |mode: &str| vec![b"CLIENT".to_vec(), b"REPLY".to_vec(), mode.as_bytes().to_vec()];
        let write = self.expand("SET key value");
        if self.rng.chance(50) {
            return vec![reply("SKIP"), write];
        }
        vec![reply("OFF"), write, self.expand("INCR key"), reply("ON")]
    }

    fn from(&mut self, table: &[(usize, &str)]) -> Args {
        let total: usize = table.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.rng.below(total);
        let pattern = table.iter().find(|(weight, _)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        let mut args = self.expand(pattern.expect("a draw below the total").1);
        if self.rng.chance(3) && !is_stateful(&args) {
            self.spoil(&mut args);
        }
        args
    }

    fn spoil(&mut self, args: &mut Args) {
        let at = self.rng.below(args.len());
        match self.rng.below(4) {
            0 if args.len() > 1 && at > 0 => drop(args.remove(at)),
            1 => args.push(self.slot("junk")),
            2 if at > 0 => args[at] = self.slot("junk"),
            _ => args.push(args[args.len() - 1].clone()),
        }
    }

    /// The words of a pattern, drawn.
    fn expand(&mut self, pattern: &str) -> Args {
        let mut args = Vec::new();
        let mut rest = pattern.trim_start();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (choices, after) = inside.split_once(']').expect("a pattern closes its brackets");
                let choices: Vec<&str> = choices.split('|').collect();
                if self.rng.chance(60) {
                    let choice = self.rng.pick(&choices);
                    args.extend(self.expand(choice));
                }
                rest = after.trim_start();
            } else {
                let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
                self.expand_word(word, &mut args);
                rest = after.trim_start();
            }
        }
        args
    }

    fn expand_word(&mut self, word: &str, args: &mut Args) {
        match word.strip_suffix('+') {
            Some(slot) => (0..1 + self.rng.below(3)).for_each(|_| self.expand_word(slot, args)),
            None if word.starts_with(|first: char| first.is_ascii_lowercase()) => match self.group(word) {
                Some(pattern) => args.extend(self.expand(pattern)),
                None => args.push(self.slot(word)),
            },
            None => args.push(self.literal(word)),
        }
    }

    /// Slots that stand for several words.
    fn group(&mut self, slot: &str) -> Option<&'static str> {
        let patterns: &[&str] = match slot {
            // A SET that is over before it begins would be there until something looks: nothing to compare.
            "futureexpiry" => &["EX seconds", "PX millis", "EXAT future", "PXAT futuremillis"],
            "expiry" => &["EX seconds", "PX millis", "EXAT time", "PXAT timemillis"],
            "field" => &[
                "GET width fieldoffset",
                "SET width fieldoffset int",
                "INCRBY width fieldoffset int",
                "OVERFLOW overflow INCRBY width fieldoffset int",
            ],
            "anycommand" => &[
                "GET key",
                "MSET key value key value",
                "COPY key key",
                "BITOP AND key key key",
                "LCS key key",
                "PING",
                "RENAME key key",
                "GET",
                "junk key",
                "SET key value",
                "BITFIELD key GET U8 0",
                "DEL key key key",
            ],
            "option" => &[
                "NX",
                "XX",
                "GT",
                "LT",
                "GET",
                "KEEPTTL",
                "PERSIST",
                "REPLACE",
                "ABSTTL",
                "EX seconds",
                "PX millis",
                "EX",
                "LEN",
                "IDX",
                "MINMATCHLEN small",
                "WITHMATCHLEN",
                "IDLETIME small",
                "FREQ small",
                "FREQ int",
                "IDLETIME int",
                "junk",
                "EXAT future",
                "BIT",
                "BYTE",
            ],
            _ => return None,
        };
        Some(self.rng.pick(patterns))
    }

    /// A literal in capitals, in small letters, or mixed.
    fn literal(&mut self, word: &str) -> Vec<u8> {
        let style = self.rng.below(10);
        let letter = |byte: u8| match style {
            0..7 => byte,
            7..9 => byte.to_ascii_lowercase(),
            _ if byte.is_multiple_of(2) => byte.to_ascii_lowercase(),
            _ => byte,
        };
        word.bytes().map(letter).collect()
    }

    fn slot(&mut self, slot: &str) -> Vec<u8> {
        let rng = &mut self.rng;
        let text = match slot {
            "key" => format!("k{}", rng.below(30)),
            "value" => return value(rng),
            "int" => return rng.pick(INTS).into(),
            "float" => return if rng.chance(60) { rng.pick(FLOATS).into() } else { random_float(rng) },
            "small" => rng.below(7).to_string(),
            "bit" => rng.pick(&["0", "1", "0", "1", "0", "1", "2", "-1", "x"]).into(),
            "db" => rng.pick(&["0", "1", "2", "0", "1", "2", "0", "1", "2", "16", "-1", "x"]).into(),
            "offset" => number(rng, 300, OFFSETS),
            "bitoffset" => number(rng, 2000, BIT_OFFSETS),
            "index" => rng.pick(INDEXES).into(),
            "width" => rng.pick(WIDTHS).into(),
            "fieldoffset" => rng.pick(FIELD_OFFSETS).into(),
            "overflow" => rng.pick(&["WRAP", "SAT", "FAIL", "wrap", "junk"]).into(),
            "bitop" => rng.pick(&["AND", "OR", "XOR", "and", "NOT", "junk"]).into(),
            // Thousands apart, so that two of them are never equal within a clock's tick (GT, LT).
            "seconds" => number(rng, 0, SECONDS),
            "millis" => number(rng, 0, MILLIS),
            "restorettl" => {
                if rng.chance(60) {
                    "0".into()
                } else {
                    number(rng, 0, MILLIS)
                }
            }
            "future" => fixed_time(rng, 1, false),
            "futuremillis" => fixed_time(rng, 1000, false),
            "time" => fixed_time(rng, 1, true),
            "timemillis" => fixed_time(rng, 1000, true),
            "pattern" => rng.pick(PATTERNS).into(),
            "type" => rng.pick(&["string", "STRING", "hash", "list", "junk"]).into(),
            "cursor" => rng.pick(&["0", "0", "0", "x", "-1", "18446744073709551616", "1.5", ""]).into(),
            "objectword" => rng.pick(&["REFCOUNT", "IDLETIME", "FREQ", "HELP", "encoding"]).into(),
            "channel" => format!("ch{}", rng.below(6)),
            "channelpattern" => rng.pick(&["ch*", "ch[12]", "*", "ch?", "x*", "ch\\*"]).into(),
            "clientname" => rng.pick(&["name", "", "a b", "n\n", "name-2", "n\x7f"]).into(),
            "directive" => CHANGED_DIRECTIVES[rng.below(CHANGED_DIRECTIVES.len())].0.into(),
            "directivevalue" => rng.pick(&["1", "100", "0", "1mb", "-1", "x", "", "1048576"]).into(),
            "payload" => return payload(rng),
            "junk" => rng.pick(JUNK).into(),
            other => panic!("no slot is called {other}"),
        };
        text.into_bytes()
    }
}

/// Commands that are not spoilt: a spoilt one might change the state that the generator keeps in mind.
fn is_stateful(args: &[Vec<u8>]) -> bool {
    ["HELLO", "RESET", "QUIT", "CLIENT", "SUBSCRIBE", "PSUBSCRIBE", "FLUSHALL", "FLUSHDB"]
        .contains(&name(args).as_str())
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(100) {
        0..5 => Vec::new(),
        5..25 => rng.below(200).to_string().into_bytes(),
        25..40 => rng.pick(INTS).into(),
        40..52 => rng.pick(FLOATS).into(),
        52..70 => (0..rng.below(12)).map(|_| b"abcAB01 "[rng.below(8)]).collect(),
        70..82 => (0..rng.below(40)).map(|_| rng.below(256) as u8).collect(),
        82..84 => b"a\r\nb\0c\n".to_vec(),
        84..94 => vec![b'a' + rng.below(3) as u8; [20, 43, 44, 45, 63, 64, 65, 100, 255][rng.below(9)]],
        94..98 => (0..100 + rng.below(200)).map(|_| b"abcd"[rng.below(4)]).collect(),
        98 => (0..1000 + rng.below(2000)).map(|_| rng.below(256) as u8).collect(),
        _ => (0..15_000 + rng.below(5_000)).map(|_| b"abcd"[rng.below(4)]).collect(),
    }
}

fn payload(rng: &mut Rng) -> Vec<u8> {
    let mut payload = match rng.below(4) {
        0 => payload::int32([0, 1, -1, 127, -128, 128, 65536, i32::MAX, i32::MIN][rng.below(9)]),
        _ => {
            let mut content = value(rng);
            content.truncate(16_000);
            payload::string(&content)
        }
    };
    let at = rng.below(payload.len());
    match rng.below(20) {
        0 => payload[at] ^= 1 << rng.below(8),
        1 => payload.truncate(at),
        2 => return payload::seal(&[rng.below(256) as u8, 0xc3, 0xff], 9999),
        _ => {}
    }
    payload
}

fn number(rng: &mut Rng, usual_bound: usize, borders: &[&str]) -> String {
    if usual_bound > 0 && rng.chance(85) {
        return rng.below(usual_bound).to_string();
    }
    if usual_bound == 0 && rng.chance(70) {
        let thousands = 1 + rng.below(99_999);
        return if borders == MILLIS { format!("{thousands}000000") } else { format!("{thousands}000") };
    }
    rng.pick(borders).into()
}

/// An absolute time: fixed, hence independent of when this runs.
fn fixed_time(rng: &mut Rng, per_second: u64, or_past: bool) -> String {
    match rng.below(10) {
        0 if or_past => "1".into(),
        1 if or_past => (1_500_000_000 * per_second).to_string(),
        2 => rng.pick(&["0", "-1", "x", "9223372036854775807", "9223372036854775808", "1.5", ""]).into(),
        _ => ((4_000_000_000 + 1000 * rng.below(100_000) as u64) * per_second).to_string(),
    }
}

fn random_float(rng: &mut Rng) -> Vec<u8> {
    let sign = rng.pick(&["", "-", "+"]);
    let whole = rng.next() >> (1 + rng.below(63));
    let fraction = rng.next() >> (1 + rng.below(63));
    let exponent = rng.pick(&["", "", "", "e5", "e-7", "E17"]);
    format!("{sign}{whole}.{fraction}{exponent}").into_bytes()
}

const INTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-10",
    "100",
    "255",
    "256",
    "32767",
    "32768",
    "-32768",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "99999999999999999999999",
    "+1",
    " 1",
    "1 ",
    "01",
    "-0",
    "",
    "1.0",
    "0x10",
    "x",
    "1e3",
];

const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "1.5",
    "-1.5",
    "0.1",
    "0.2",
    "0.3",
    "3.0e3",
    "1e5",
    "1E5",
    "1e-5",
    "1e17",
    "1e18",
    "1e300",
    "1e308",
    "1e4000",
    "1e5000",
    "-1e5000",
    "1e-300",
    "1e-4940",
    "1e-5000",
    "nan",
    "NaN",
    "-nan",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    " 1",
    "1 ",
    "+1.5",
    ".5",
    "5.",
    ".",
    "",
    "-",
    "0x10",
    "0x1p3",
    "0x1.8p1",
    "1e",
    "1e+",
    "1.2.3",
    "3.14159265358979323846264338327950288",
    "123456789012345678901234567890",
    "0.000000000000000001",
    "5.0e-20",
    "1,5",
    "1\u{0}",
    "10.00",
    "00001.5",
    "-0",
    "-0.0",
    "9007199254740993",
    "18446744073709551617.5",
    "0.99999999999999999999",
    "1e-17",
    "4.9e-17",
    "5e-18",
];

const OFFSETS: &[&str] = &["16383", "16384", "-1", "536870912", "9223372036854775807", "x", "", "1.5"];

const BIT_OFFSETS: &[&str] =
    &["65535", "131072", "-1", "4294967296", "42949672960", "9223372036854775807", "x", "", "1.5"];

const INDEXES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "5",
    "8",
    "10",
    "63",
    "100",
    "-1",
    "-2",
    "-3",
    "-10",
    "-100",
    "7",
    "15",
    "16",
    "17",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "x",
    "",
    "1.5",
];

const WIDTHS: &[&str] = &[
    "u1", "u2", "u7", "u8", "u9", "u16", "u31", "u32", "u63", "i1", "i2", "i7", "i8", "i9", "i16", "i32",
    "i63", "i64", "i5", "u5", "u64", "i65", "u0", "i0", "x8", "u", "8", "",
];

const FIELD_OFFSETS: &[&str] = &[
    "0",
    "1",
    "3",
    "7",
    "8",
    "13",
    "64",
    "100",
    "1000",
    "#0",
    "#1",
    "#2",
    "#10",
    "-1",
    "#-1",
    "#",
    "x",
    "4294967296",
    "9223372036854775807",
    "#9223372036854775807",
];

const SECONDS: &[&str] = &[
    "0",
    "-1",
    "-1000",
    "x",
    "",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "9223372036854776",
    "9223370000000000",
];

const MILLIS: &[&str] = &[
    "0",
    "-1",
    "-1000",
    "x",
    "",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "9223370000000000000",
];

const PATTERNS: &[&str] = &[
    "*",
    "k*",
    "k1*",
    "k?",
    "k[0-3]",
    "k[^0-3]",
    "k[3-0]*",
    "k\\1",
    "",
    "k",
    "*1*2*",
    "[",
    "k[",
    "k[1",
    "\\",
    "??",
    "k[a-z]",
    "**",
    "K*",
    "k[^",
    "k[0-9][0-9]",
];

const JUNK: &[&str] = &[
    "junk",
    "",
    "0",
    "-1",
    "NX",
    "x\r\ny",
    "\u{0}",
    "999999999999999999999",
    "k1",
    "'quoted'",
    "nan",
    "GET",
];

/// A stream of commands as bytes, with some of them broken: for the parser's sake.
pub fn broken_stream(seed: u64) -> Vec<u8> {
    const INLINE: &[&str] =
        &["PING\r\n", "SET k1 'a b'\r\n", "GET k1\n", "PING \"\\x41\"\r\n", "\r\n", "FOO bar\r\n"];
    const BYTES: &[u8] = b"*$\r\n:0123456789-+ \"'\\xk\0";
    const TABLE: &[(usize, &str)] =
        &[(2, "SET key value"), (2, "GET key"), (1, "APPEND key value"), (1, "ECHO value"), (1, "MGET key+")];
    let mut generator = Generator::new(seed);
    let mut stream = Vec::new();
    for _ in 0..1 + generator.rng.below(8) {
        if generator.rng.chance(25) {
            stream.extend_from_slice(generator.rng.pick(INLINE).as_bytes());
        } else {
            stream.extend(encode_command(&generator.from(TABLE)));
        }
    }
    let rng = &mut generator.rng;
    for _ in 0..rng.below(4) {
        let at = rng.below(stream.len().max(1));
        match rng.below(4) {
            _ if stream.is_empty() => break,
            0 => drop(stream.remove(at)),
            1 => stream.insert(at, BYTES[rng.below(BYTES.len())]),
            2 => stream[at] = BYTES[rng.below(BYTES.len())],
            _ => stream.truncate(at.max(1)),
        }
    }
    stream
}
