//! The kinds of values a directive can have when the value is one word: numbers, sizes, words of a list, texts.
//!
//! A kind knows four things about its type: how to read it from words (with Redis's error texts), how CONFIG GET shows it, how
//! CONFIG REWRITE writes it, and whether its line may have several words. Invariant: what `lines` writes, `parse` reads back to
//! the same value. Kinds of several words are in `lists`.

use super::enums::Named;
use crate::words::quote;
use std::fmt::Display;

/// Where the words come from: two kinds accumulate while the server starts, and replace once it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// A configuration file or the command line; `repeated` if the directive was seen there before.
    Start {
        /// This is not the directive's first line.
        repeated: bool,
    },
    /// CONFIG SET.
    Run,
}

/// Lines of CONFIG REWRITE: the text, and whether it is written even if the file has no such line yet. None at all: the file's lines go.
pub type Lines = Vec<(Vec<u8>, bool)>;

/// How values of type `T` are read, shown and written. Errors are the text Redis gives.
pub trait Kind<T: PartialEq> {
    /// Whether a line may have more or fewer words than one.
    const MANY: bool = false;

    /// Reads a value; `old` is the value so far. `words` has exactly one element unless `MANY`.
    fn parse(&self, words: &[Vec<u8>], old: &T, at: At) -> Result<T, String>;

    /// The value as CONFIG GET prints it.
    fn show(&self, value: &T) -> Vec<u8>;

    /// The directive's lines in a rewritten file.
    fn lines(&self, name: &str, value: &T, default: &T) -> Lines {
        vec![([name.as_bytes(), b" ", &self.show(value)].concat(), value != default)]
    }
}

/// The single word of a directive that is not `MANY`.
fn only(words: &[Vec<u8>]) -> &[u8] {
    words.first().map_or(b"", Vec::as_slice)
}

/// `yes` or `no`.
pub struct YesNo;

impl Kind<bool> for YesNo {
    fn parse(&self, words: &[Vec<u8>], _: &bool, _: At) -> Result<bool, String> {
        match only(words) {
            word if word.eq_ignore_ascii_case(b"yes") => Ok(true),
            word if word.eq_ignore_ascii_case(b"no") => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn show(&self, value: &bool) -> Vec<u8> {
        if *value { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

/// A decimal integer within bounds (inclusive).
pub struct Int(pub i64, pub i64);

/// Redis's strict reading of integers: no plus, no blanks, no leading zeros, no `-0`.
pub fn strict_i64(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

impl<T: TryFrom<i64> + Display + PartialEq> Kind<T> for Int {
    fn parse(&self, words: &[Vec<u8>], _: &T, _: At) -> Result<T, String> {
        let value = strict_i64(only(words)).ok_or("argument couldn't be parsed into an integer")?;
        let in_range = (self.0..=self.1).contains(&value).then_some(value);
        in_range
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| format!("argument must be between {} and {} inclusive", self.0, self.1))
    }

    fn show(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }
}

/// An integer that is accepted in a range and then moved into a narrower one, silently, as Redis does with `hz`.
pub struct Clamped(pub Int, pub i64, pub i64);

impl Kind<i64> for Clamped {
    fn parse(&self, words: &[Vec<u8>], old: &i64, at: At) -> Result<i64, String> {
        self.0.parse(words, old, at).map(|value: i64| value.clamp(self.1, self.2))
    }

    fn show(&self, value: &i64) -> Vec<u8> {
        self.0.show(value)
    }
}

/// A size in bytes within bounds (inclusive): `100`, `1k` (1000), `1kb` (1024), `1m`, `1mb`, `1g`, `1gb`, in any case.
pub struct Memory(pub u64, pub u64);

/// Reads a size. An empty number is zero, as in Redis; a size past 64 bits is refused, where Redis wraps around.
pub fn memory(word: &[u8]) -> Option<u64> {
    let digits = word.iter().position(|b| !b.is_ascii_digit()).unwrap_or(word.len());
    let (number, unit) = word.split_at(digits);
    let scale: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1000 * 1000,
        b"mb" => 1 << 20,
        b"g" => 1000 * 1000 * 1000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    number.iter().try_fold(0, add)?.checked_mul(scale)
}

/// A size as CONFIG REWRITE writes it: with the largest binary unit that divides it.
pub fn memory_text(bytes: u64) -> String {
    let units = [(1u64 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    match units.iter().find(|(scale, _)| bytes != 0 && bytes.is_multiple_of(*scale)) {
        Some((scale, unit)) => format!("{}{unit}", bytes / scale),
        None => bytes.to_string(),
    }
}

impl Kind<u64> for Memory {
    fn parse(&self, words: &[Vec<u8>], _: &u64, _: At) -> Result<u64, String> {
        let value = memory(only(words)).ok_or("argument must be a memory value")?;
        match (self.0..=self.1).contains(&value) {
            true => Ok(value),
            false => Err(format!("argument must be between {} and {} inclusive", self.0, self.1)),
        }
    }

    fn show(&self, value: &u64) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, name: &str, value: &u64, default: &u64) -> Lines {
        vec![(format!("{name} {}", memory_text(*value)).into_bytes(), value != default)]
    }
}

/// A size that is raised to a floor, silently: `repl-backlog-size` is never under 16 kB.
pub struct MemoryFloor(pub Memory, pub u64);

impl Kind<u64> for MemoryFloor {
    fn parse(&self, words: &[Vec<u8>], old: &u64, at: At) -> Result<u64, String> {
        self.0.parse(words, old, at).map(|value| value.max(self.1))
    }

    fn show(&self, value: &u64) -> Vec<u8> {
        self.0.show(value)
    }

    fn lines(&self, name: &str, value: &u64, default: &u64) -> Lines {
        self.0.lines(name, value, default)
    }
}

/// A size, absolute or as a part of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Bytes.
    Bytes(u64),
    /// Percent of `maxmemory`.
    Percent(u8),
}

/// A size or a percentage: `maxmemory-clients`.
pub struct MemoryOrPercent;

impl Kind<Share> for MemoryOrPercent {
    fn parse(&self, words: &[Vec<u8>], _: &Share, _: At) -> Result<Share, String> {
        let refusal = || "argument must be a memory or percent value".to_string();
        let too_much = || "percentage argument must be less or equal to 100".to_string();
        match only(words).split_last() {
            Some((b'%', number)) => {
                let percent = strict_i64(number).filter(|n| *n >= 0).ok_or_else(refusal)?;
                u8::try_from(percent).ok().filter(|n| *n <= 100).map(Share::Percent).ok_or_else(too_much)
            }
            _ => {
                let bytes = memory(only(words)).ok_or_else(refusal)?;
                i64::try_from(bytes).map(|_| Share::Bytes(bytes)).map_err(|_| too_much())
            }
        }
    }

    fn show(&self, value: &Share) -> Vec<u8> {
        match value {
            Share::Bytes(bytes) => bytes.to_string().into_bytes(),
            Share::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }

    fn lines(&self, name: &str, value: &Share, default: &Share) -> Lines {
        let text = match value {
            Share::Bytes(bytes) => memory_text(*bytes),
            Share::Percent(percent) => format!("{percent}%"),
        };
        vec![(format!("{name} {text}").into_bytes(), value != default)]
    }
}

/// An octal number up to a maximum: file modes.
pub struct Octal(pub u32);

impl Kind<u32> for Octal {
    fn parse(&self, words: &[Vec<u8>], _: &u32, _: At) -> Result<u32, String> {
        let text = std::str::from_utf8(only(words)).unwrap_or("?");
        let value =
            i64::from_str_radix(text, 8).map_err(|_| "argument couldn't be parsed as an octal number")?;
        let small = u32::try_from(value).ok().filter(|value| *value <= self.0);
        small.ok_or_else(|| format!("argument must be between 0 and {:o} inclusive", self.0))
    }

    fn show(&self, value: &u32) -> Vec<u8> {
        format!("{value:o}").into_bytes()
    }
}

/// One of an enum's names, in any case.
pub struct OneOf;

/// The error that lists the choices.
pub fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("argument(s) must be one of the following: {}", names.collect::<Vec<_>>().join(", "))
}

impl<T: Named> Kind<T> for OneOf {
    fn parse(&self, words: &[Vec<u8>], _: &T, _: At) -> Result<T, String> {
        let word = only(words);
        let found = T::ALL.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| *value).ok_or_else(|| one_of(T::ALL.iter().map(|(name, _)| *name)))
    }

    fn show(&self, value: &T) -> Vec<u8> {
        value.name().as_bytes().to_vec()
    }
}

/// A text; empty means not set.
pub struct Text;

/// A text that must pass a check.
pub struct Checked(pub fn(&str) -> Result<(), &'static str>);

/// The line of a text: quoted; none at all if it is empty and so is the default.
fn text_lines(name: &str, value: &[u8], default: &[u8]) -> Lines {
    if value.is_empty() && default.is_empty() {
        return Vec::new();
    }
    vec![([name.as_bytes(), b" ", &quote(value)].concat(), value != default)]
}

impl Kind<String> for Text {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: At) -> Result<String, String> {
        String::from_utf8(only(words).to_vec()).map_err(|_| "argument must be valid UTF-8".into())
    }

    fn show(&self, value: &String) -> Vec<u8> {
        value.clone().into_bytes()
    }

    fn lines(&self, name: &str, value: &String, default: &String) -> Lines {
        text_lines(name, value.as_bytes(), default.as_bytes())
    }
}

impl Kind<String> for Checked {
    fn parse(&self, words: &[Vec<u8>], old: &String, at: At) -> Result<String, String> {
        let text = Text.parse(words, old, at)?;
        (self.0)(&text)?;
        Ok(text)
    }

    fn show(&self, value: &String) -> Vec<u8> {
        Text.show(value)
    }

    fn lines(&self, name: &str, value: &String, default: &String) -> Lines {
        Text.lines(name, value, default)
    }
}

/// A password or user name: any bytes; empty means none.
pub struct Secret;

impl Kind<Vec<u8>> for Secret {
    fn parse(&self, words: &[Vec<u8>], _: &Vec<u8>, _: At) -> Result<Vec<u8>, String> {
        Ok(only(words).to_vec())
    }

    fn show(&self, value: &Vec<u8>) -> Vec<u8> {
        value.clone()
    }

    fn lines(&self, name: &str, value: &Vec<u8>, default: &Vec<u8>) -> Lines {
        text_lines(name, value, default)
    }
}

/// The checks of texts, by directive.
pub mod checks {
    /// `dbfilename`: a name within `dir`.
    pub fn dbfilename(text: &str) -> Result<(), &'static str> {
        if text.contains('/') { Err("dbfilename can't be a path, just a filename") } else { Ok(()) }
    }

    /// `appendfilename`: a name within `appenddirname`.
    pub fn appendfilename(text: &str) -> Result<(), &'static str> {
        match text {
            "" => Err("appendfilename can't be empty"),
            _ if text.contains('/') => Err("appendfilename can't be a path, just a filename"),
            _ => Ok(()),
        }
    }

    /// `appenddirname`: a name within `dir`.
    pub fn appenddirname(text: &str) -> Result<(), &'static str> {
        match text {
            "" => Err("appenddirname can't be empty"),
            _ if text.contains('/') => Err("appenddirname can't be a path, just a dirname"),
            _ => Ok(()),
        }
    }

    /// `cluster-announce-hostname`: a host name's letters, under 256 of them.
    pub fn hostname(text: &str) -> Result<(), &'static str> {
        if text.len() >= 256 {
            return Err("Hostnames must be less than 256 characters");
        }
        match text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
            true => Ok(()),
            false => Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
        }
    }

    /// `proc-title-template`: known variables only, and something besides the title, as it may be empty.
    pub fn proc_title(text: &str) -> Result<(), &'static str> {
        const VARIABLES: [&str; 7] =
            ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
        let refusal = "template format is invalid or contains unknown variables";
        if text.replace("{title}", "").trim().is_empty() {
            return Err(refusal);
        }
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('{') {
            let (variable, after) = after.split_once('}').ok_or(refusal)?;
            if !VARIABLES.contains(&variable) {
                return Err(refusal);
            }
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug, K: Kind<T>>(kind: K, old: T, word: &str, want: Result<T, &str>) {
        let got = kind.parse(&[word.as_bytes().to_vec()], &old, At::Run);
        assert_eq!(got.as_ref().map_err(String::as_str), want.as_ref().map_err(|e| *e), "{word:?}");
    }

    #[test]
    fn integers_are_strict() {
        let refusal = "argument couldn't be parsed into an integer";
        for word in ["+5", " 5", "5 ", "05", "0x5", "", "-0", "5\0", "99999999999999999999"] {
            check(Int(0, 100), 0i64, word, Err(refusal));
        }
        check(Int(0, 65535), 0u16, "65535", Ok(65535));
        check(Int(0, 65535), 0u16, "70000", Err("argument must be between 0 and 65535 inclusive"));
        check(Clamped(Int(0, 1000), 1, 500), 10, "0", Ok(1));
        check(Clamped(Int(0, 1000), 1, 500), 10, "501", Ok(500));
    }

    #[test]
    fn sizes() {
        for (word, bytes) in
            [("5Kb", 5120), ("1b", 1), ("1k", 1000), ("2MB", 2 << 20), ("1g", 1_000_000_000), ("", 0)]
        {
            check(Memory(0, u64::MAX), 0, word, Ok(bytes));
        }
        for word in ["-1", "1.5gb", "1 gb", "0x10", "20000000000gb", "1t"] {
            check(Memory(0, u64::MAX), 0, word, Err("argument must be a memory value"));
        }
        check(Memory(1, 9), 1, "10", Err("argument must be between 1 and 9 inclusive"));
        check(MemoryFloor(Memory(1, 1 << 40), 16384), 1, "1", Ok(16384));
        assert_eq!([memory_text(0), memory_text(3 << 20), memory_text(1500)], ["0", "3mb", "1500"]);
    }

    #[test]
    fn shares() {
        check(MemoryOrPercent, Share::Bytes(0), "5%", Ok(Share::Percent(5)));
        check(MemoryOrPercent, Share::Bytes(0), "1kb", Ok(Share::Bytes(1024)));
        for word in ["%", "-5%", "5.5%", "1g%", "x"] {
            let refusal = Err("argument must be a memory or percent value");
            check(MemoryOrPercent, Share::Bytes(0), word, refusal);
        }
        let too_much = Err("percentage argument must be less or equal to 100");
        check(MemoryOrPercent, Share::Bytes(0), "101%", too_much);
    }

    #[test]
    fn words_of_a_list() {
        use crate::config::enums::AppendFsync;
        check(OneOf, AppendFsync::No, "ALWAYS", Ok(AppendFsync::Always));
        let refusal = "argument(s) must be one of the following: everysec, always, no";
        check(OneOf, AppendFsync::No, "never", Err(refusal));
        check(YesNo, true, "No", Ok(false));
        check(YesNo, true, "1", Err("argument must be 'yes' or 'no'"));
    }

    #[test]
    fn octal() {
        check(Octal(0o777), 0, "700", Ok(0o700));
        check(Octal(0o777), 0, "9", Err("argument couldn't be parsed as an octal number"));
        check(Octal(0o777), 0, "1000", Err("argument must be between 0 and 777 inclusive"));
    }

    #[test]
    fn checked_texts() {
        let text = String::new;
        check(Checked(checks::dbfilename), text(), "a/b", Err("dbfilename can't be a path, just a filename"));
        check(Checked(checks::appenddirname), text(), "", Err("appenddirname can't be empty"));
        let refusal = Err("template format is invalid or contains unknown variables");
        for template in ["{foo}", "{", "", " {title}"] {
            check(Checked(checks::proc_title), text(), template, refusal.clone());
        }
        check(Checked(checks::proc_title), text(), "x{port}y", Ok("x{port}y".into()));
    }
}
