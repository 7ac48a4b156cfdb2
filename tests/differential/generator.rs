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
use crate::patterns::{COMMANDS, FLUSHES, SESSION_COMMANDS, SUBSCRIBER_COMMANDS, Weighted};
use crate::pools::*;
use crate::support::client::encode_command;
use crate::syntax::{Args, name};

/// The paired connections, by the protocol they start in.
pub const CONNECTIONS: [u8; 5] = [2, 3, 2, 3, 2];

/// Subscribes among other things, in RESP3; the other connections before [`SUBSCRIBER`] never do.
const RESP3_SUBSCRIBER: usize = 3;

/// Does little but subscribe, as RESP2 wants it.
const SUBSCRIBER: usize = 4;

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

    /// The next `count` commands or a few more. An ERANGE that an earlier command has left behind (a size, a cursor or a float
    /// beyond its type) is what the oracle's SORT takes for its own: something that sets errno to zero goes before it.
    pub fn steps(&mut self, count: usize) -> Vec<Step> {
        let mut steps = Vec::with_capacity(count + 3);
        while steps.len() < count {
            if self.left_in_burst == 0 {
                self.connection = self.rng.below(CONNECTIONS.len());
                self.left_in_burst = 1 + self.rng.below(40);
            }
            self.left_in_burst -= 1;
            let connection = self.connection;
            for args in self.commands() {
                if name(&args).starts_with("SORT") {
                    steps.push(Step { connection, args: sets_errno_to_zero() });
                }
                steps.push(Step { connection, args });
            }
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

    fn from(&mut self, table: &[Weighted]) -> Args {
        let total: usize = table.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.rng.below(total);
        let pattern = table.iter().find(|(weight, _)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        let mut args = self.expand(pattern.expect("a draw below the total").1);
        if self.rng.chance(3) && !is_stateful(&args) {
            let whole = args.clone();
            self.spoil(&mut args);
            if waits_for_ever(&args) || leaves_some_members(&args) {
                return whole;
            }
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
            "fieldvalue" => &[
                "A value",
                "A value B value",
                "A value B value",
                "fieldname value fieldname value fieldname value",
                "A",
            ],
            "streamtrim" => &[
                "MAXLEN small",
                "MAXLEN = small",
                "MAXLEN ~ small",
                "MAXLEN ~ small LIMIT small",
                "MINID streamid",
                "MINID ~ streamid",
                "MINID streamid LIMIT small",
            ],
            "field" => &[
                "GET width fieldoffset",
                "SET width fieldoffset int",
                "INCRBY width fieldoffset int",
                "OVERFLOW overflow INCRBY width fieldoffset int",
            ],
            // One with arguments: COMMAND GETKEYS with a bare name is refused by the oracle's arity, by 7.2 only when it runs,
            // which is not the same inside MULTI.
            "anycommand" => &[
                "GET key",
                "MSET key value key value",
                "COPY key key",
                "BITOP AND key key key",
                "LCS key key",
                "RENAME key key",
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
            "zkey" => format!("z{}", rng.below(6)),
            "lexkey" => format!("lex{}", rng.below(2)),
            "zmember" if rng.chance(50) => format!("m{}", rng.below(300)),
            "zmember" => rng.pick(MEMBERS).into(),
            "score" if rng.chance(50) => rng.below(20).to_string(),
            "score" => rng.pick(SCORES).into(),
            "scoreend" => format!("{}{}", rng.pick(&["", "", "("]), rng.pick(SCORES)),
            "lexend" => rng.pick(LEX_ENDS).into(),
            "geokey" => format!("geo{}", rng.below(3)),
            "place" => format!("p{}", rng.below(60)),
            "longitude" => format!("{}.{:05}", rng.below(362) as i64 - 181, rng.below(100_000)),
            "latitude" => format!("{}.{:05}", rng.below(172) as i64 - 86, rng.below(100_000)),
            "radius" => rng.pick(&["0", "1", "100", "1000", "5000", "20000", "1e9", "0.5", "-1", "x"]).into(),
            "unit" => rng.pick(&["m", "km", "ft", "mi", "KM", "junk"]).into(),
            // Few, so that groups and entries meet.
            "stream" => format!("x{}", rng.below(4)),
            "streamid" => stream_id(rng),
            "bound" => match rng.below(6) {
                0 => "-".into(),
                1 => "+".into(),
                2 => format!("({}", stream_id(rng)),
                _ => stream_id(rng),
            },
            "readfrom" => {
                if rng.chance(50) {
                    rng.pick(&["$", "0"]).into()
                } else {
                    stream_id(rng)
                }
            }
            "new" => ">".into(),
            "group" => format!("g{}", rng.below(3)),
            "consumer" => format!("c{}", rng.below(3)),
            "fieldname" => rng.pick(&["a", "b", "field"]).into(),
            "value" => return value(rng),
            // A key of another type now and then.
            "hashkey" if rng.chance(3) => format!("k{}", rng.below(30)),
            "hashkey" => format!("hash{}", rng.below(8)),
            "hashfield" if rng.chance(3) => return value(rng),
            "hashfield" => rng.below(25).to_string(),
            // Keys of their own: of a sketch that a string command has spoilt, the oracle changes a part before it finds out.
            "sketch" => format!("h{}", rng.below(4)),
            "anysketch" => format!("{}{}", rng.pick(&["h", "h", "h", "h", "h", "k"]), rng.below(4)),
            "element" => rng.below(3000).to_string(),
            "sketchword" => rng.pick(&["ENCODING", "DECODE", "GETREG", "TODENSE", "junk"]).into(),
            // A key of another type now and then.
            "setkey" if rng.chance(3) => format!("k{}", rng.below(30)),
            "setkey" => format!("set{}", rng.below(8)),
            "member" => return member(rng),
            "listkey" if rng.chance(3) => format!("k{}", rng.below(30)),
            "listkey" => format!("list{}", rng.below(8)),
            "side" => rng.pick(&["LEFT", "RIGHT", "LEFT", "RIGHT", "left", "junk"]).into(),
            "position" => near_zero(rng, 12, INDEXES),
            "sortpattern" => rng.pick(SORT_PATTERNS).into(),
            "nonpositive" => rng.pick(&["0", "-1", "x", ""]).into(),
            "int" => return rng.pick(INTS).into(),
            "float" => return if rng.chance(60) { rng.pick(FLOATS).into() } else { random_float(rng) },
            "small" => rng.below(7).to_string(),
            "bit" => rng.pick(&["0", "1", "0", "1", "0", "1", "2", "-1", "x"]).into(),
            "db" => rng.pick(&["0", "1", "2", "0", "1", "2", "0", "1", "2", "16", "-1", "x"]).into(),
            "offset" => near_zero(rng, 300, OFFSETS),
            "bitoffset" => near_zero(rng, 2000, BIT_OFFSETS),
            "index" => rng.pick(INDEXES).into(),
            "width" => rng.pick(WIDTHS).into(),
            "fieldoffset" => rng.pick(FIELD_OFFSETS).into(),
            // Not FAIL: when nothing fits, the oracle makes or lengthens the string all the same, but tells neither WATCH nor
            // its replicas. Redpoll tells both. (edge/bitmaps.txt has FAIL.)
            "overflow" => rng.pick(&["WRAP", "SAT", "sat", "wrap", "junk"]).into(),
            "bitop" => rng.pick(&["AND", "OR", "XOR", "and", "NOT", "junk"]).into(),
            "seconds" => far_away(rng, "000", SECONDS),
            "millis" => far_away(rng, "000000", MILLIS),
            "restorettl" => {
                if rng.chance(60) {
                    "0".into()
                } else {
                    far_away(rng, "000000", MILLIS)
                }
            }
            "future" => fixed_time(rng, 1, false),
            "futuremillis" => fixed_time(rng, 1000, false),
            "time" => fixed_time(rng, 1, true),
            "timemillis" => fixed_time(rng, 1000, true),
            "pattern" => rng.pick(PATTERNS).into(),
            "type" => rng.pick(&["string", "STRING", "hash", "list", "junk"]).into(),
            "cursor" => rng.pick(&["0", "0", "0", "x", "-1", "18446744073709551615", "1.5", ""]).into(),
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

/// Refused, but not before its cursor has been read.
fn sets_errno_to_zero() -> Args {
    ["SCAN", "0", "COUNT", "0"].map(|word| word.as_bytes().to_vec()).into()
}

/// Would the command wait without a limit, if it found nothing?
fn waits_for_ever(args: &[Vec<u8>]) -> bool {
    let timeout = match name(args).as_str() {
        "BLPOP" | "BRPOP" | "BLMOVE" | "BRPOPLPUSH" | "BZPOPMIN" | "BZPOPMAX" => args.last(),
        "BLMPOP" | "BZMPOP" => args.get(1),
        _ => None,
    };
    let seconds = timeout.and_then(|text| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
    seconds == Some(0.0)
}

/// May SPOP choose what it takes and what it leaves? The two servers would never have the same set again.
fn leaves_some_members(args: &[Vec<u8>]) -> bool {
    let count = args.get(2).map(|text| std::str::from_utf8(text).ok()?.parse::<i64>().ok());
    name(args) == "SPOP" && matches!(count, None | Some(Some(1..10_000)))
}

/// Commands that are not spoilt: a spoilt one might change the state that the generator keeps in mind, or expire just now,
/// or (with an argument more since 7.2: ZRANK) make only the oracle abort a transaction, or give the members that ranges by
/// text are asked of different scores: what such a range finds is unspecified.
fn is_stateful(args: &[Vec<u8>]) -> bool {
    const COMMANDS: &[&str] = &[
        "HELLO",
        "RESET",
        "QUIT",
        "CLIENT",
        "COMMAND",
        "RESTORE",
        "SUBSCRIBE",
        "PSUBSCRIBE",
        "FLUSHALL",
        "FLUSHDB",
        "ZRANK",
        "ZREVRANK",
    ];
    let scores_texts = name(args) == "ZADD" && args[1].starts_with(b"lex");
    scores_texts || COMMANDS.contains(&name(args).as_str())
}

/// A stream of commands as bytes, with some of them broken: for the parser's sake.
pub fn broken_stream(seed: u64) -> Vec<u8> {
    const INLINE: &[&str] =
        &["PING\r\n", "SET k1 'a b'\r\n", "GET k1\n", "PING \"\\x41\"\r\n", "\r\n", "FOO bar\r\n"];
    const BYTES: &[u8] = b"*$\r\n:0123456789-+ \"'\\xk\0";
    const TABLE: &[Weighted] =
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
