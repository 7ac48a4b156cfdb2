//! What arguments are drawn from: chance itself, and pools made of borders.

use crate::payload;

/// Splitmix64.
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
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

/// A string value: from empty to beyond a reply buffer.
pub fn value(rng: &mut Rng) -> Vec<u8> {
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

/// A member of a set: few, so that sets have some in common, and at the borders of the encodings.
pub fn member(rng: &mut Rng) -> Vec<u8> {
    match rng.below(100) {
        0..55 => rng.below(20).to_string().into_bytes(),
        55..65 => rng.pick(INTS).into(),
        65..75 => rng.below(2000).to_string().into_bytes(),
        75..95 => vec![b"abc"[rng.below(3)]; rng.below(4)],
        _ => vec![b"abc"[rng.below(3)]; [63, 64, 65, 5000][rng.below(4)]],
    }
}

/// A DUMP payload, one in seven of them broken.
pub fn payload(rng: &mut Rng) -> Vec<u8> {
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

/// An ID of an entry, near those of others or a border. Small ones are few, so that they meet; what is added goes up.
pub fn stream_id(rng: &mut Rng) -> String {
    let (ms, seq) = (rng.below(60), rng.below(4));
    match rng.below(20) {
        0..12 => format!("{ms}-{seq}"),
        12..15 => ms.to_string(),
        15..17 => format!("{ms}-*"),
        17 | 18 => format!("{}-{seq}", 100 + rng.below(900)),
        _ => rng.pick(STREAM_IDS).into(),
    }
}

pub const STREAM_IDS: &[&str] = &[
    "0",
    "0-0",
    "0-1",
    "x",
    "",
    "-1",
    "1-",
    "1--5",
    "007-1",
    "1-+1",
    "18446744073709551616",
    "5000-18446744073709551615",
];

/// A number below `bound`, sometimes a border.
pub fn near_zero(rng: &mut Rng, bound: usize, borders: &[&str]) -> String {
    if rng.chance(85) { rng.below(bound).to_string() } else { rng.pick(borders).into() }
}

/// A relative time of many thousand seconds, or a border. They are thousands apart, so that two of them are never
/// equal within a clock's tick (GT, LT); `zeros` make it seconds or milliseconds.
pub fn far_away(rng: &mut Rng, zeros: &str, borders: &[&str]) -> String {
    if rng.chance(70) { format!("{}{zeros}", 1 + rng.below(99_999)) } else { rng.pick(borders).into() }
}

/// An absolute time: fixed, hence independent of when this runs.
pub fn fixed_time(rng: &mut Rng, per_second: u64, or_past: bool) -> String {
    match rng.below(10) {
        0 if or_past => "1".into(),
        1 if or_past => (1_500_000_000 * per_second).to_string(),
        2 => rng.pick(&["0", "-1", "x", "9223372036854775807", "9223372036854775808", "1.5", ""]).into(),
        _ => ((4_000_000_000 + 1000 * rng.below(100_000) as u64) * per_second).to_string(),
    }
}

/// A number with digits enough to be rounded.
pub fn random_float(rng: &mut Rng) -> Vec<u8> {
    let sign = rng.pick(&["", "-", "+"]);
    let whole = rng.next() >> (1 + rng.below(63));
    let fraction = rng.next() >> (1 + rng.below(63));
    let exponent = rng.pick(&["", "", "", "e5", "e-7", "E17"]);
    format!("{sign}{whole}.{fraction}{exponent}").into_bytes()
}

pub const INTS: &[&str] = &[
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

/// What SORT looks for under the keys that elements (see [`member`]) name.
pub const SORT_PATTERNS: &[&str] = &["k*", "k1*", "#", "nosort", "none*", "set*", "k*->f", "*", ""];

/// None beyond a double: the oracle's SORT takes the ERANGE that an earlier command left in errno for its own
/// (edge/strings.txt and edge/hashes.txt have them).
pub const FLOATS: &[&str] = &[
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
    "1e-300",
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

pub const OFFSETS: &[&str] = &["16383", "16384", "-1", "536870912", "9223372036854775807", "x", "", "1.5"];

pub const BIT_OFFSETS: &[&str] =
    &["65535", "131072", "-1", "4294967296", "42949672960", "9223372036854775807", "x", "", "1.5"];

pub const INDEXES: &[&str] = &[
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

pub const WIDTHS: &[&str] = &[
    "u1", "u2", "u7", "u8", "u9", "u16", "u31", "u32", "u63", "i1", "i2", "i7", "i8", "i9", "i16", "i32",
    "i63", "i64", "i5", "u5", "u64", "i65", "u0", "i0", "x8", "u", "8", "",
];

pub const FIELD_OFFSETS: &[&str] = &[
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

pub const SECONDS: &[&str] = &[
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

pub const MILLIS: &[&str] = &[
    "0",
    "-1",
    "-1000",
    "x",
    "",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    // Not a thousand times the border of the seconds: the two would be apart by no more than what the clock has moved.
    "9223360000000000000",
];

pub const PATTERNS: &[&str] = &[
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

pub const JUNK: &[&str] = &[
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

/// Members of sorted sets: integers and not, empty, around the length that a listpack may hold.
pub const MEMBERS: &[&str] = &[
    "a",
    "b",
    "c",
    "aa",
    "ab",
    "",
    "0",
    "10",
    "-5",
    "007",
    "a b",
    "b\0x",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// Scores, and what is none. None that leaves ERANGE in redis-server's errno, which its SORT would take for its own some
/// commands later; the edge cases have them.
pub const SCORES: &[&str] = &[
    "0",
    "-0",
    "1",
    "2",
    "-1",
    "0.1",
    "1.5",
    "3.0",
    "inf",
    "-inf",
    "+inf",
    "1e3",
    "1e-5",
    "1e16",
    "1e17",
    "1e300",
    "-1e300",
    "1e-300",
    "0.3333333333333333",
    "4503599627370497",
    "9007199254740993",
    "123456789012345678",
    "0x10",
    "nan",
    "x",
    "",
    " 1",
];

/// Ends of ranges of members.
pub const LEX_ENDS: &[&str] =
    &["-", "+", "-", "+", "[", "(", "[a", "(b", "[m", "(m2", "[m300", "[\u{ff}", "x", "", "++"];
