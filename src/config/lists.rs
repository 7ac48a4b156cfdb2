//! The kinds of values that take several words: save points, addresses, limits per class, flags, percentiles, the master's address.
//!
//! In a file the words are the line's; in CONFIG SET they are the value cut at every single blank, so that two blanks in a row make
//! an empty word (observed: redis-server 7.0.15 refuses `save "900  1"` there, and takes it in a file).

use super::enums::{Events, ShutdownFlags};
use super::kinds::{At, Kind, Lines, memory, memory_text, one_of, strict_i64};
use crate::words::quote;
use std::path::Path;

/// One `save` rule: a snapshot when `changes` writes have come and `secs` seconds passed since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds, at least 1.
    pub secs: i64,
    /// Changes, at least 0.
    pub changes: i64,
}

/// The bounds of a client's output buffer; zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes at which the client is cut off at once.
    pub hard: u64,
    /// Bytes that may not be exceeded for `soft_secs` on end.
    pub soft: u64,
    /// Seconds.
    pub soft_secs: i64,
}

/// `client-output-buffer-limit`'s classes, in the order of its array: index with `ClientClass as usize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Ordinary clients.
    Normal,
    /// Replicas.
    Replica,
    /// Subscribers.
    Pubsub,
}

fn joined(words: impl Iterator<Item = String>) -> Vec<u8> {
    words.collect::<Vec<_>>().join(" ").into_bytes()
}

/// What C's strtoll makes of a word that must end with the number; past 64 bits it saturates. A word without digits is refused here.
fn saturating_i64(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?.trim_start();
    let value: i128 = match text.parse() {
        Ok(value) => value,
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => i128::MAX,
        Err(_) => return None,
    };
    Some(value.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// A word as a line has it: quoted if it would not be read back as it is.
fn word_of(text: &str) -> String {
    let plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte));
    if plain { text.into() } else { String::from_utf8_lossy(&quote(text.as_bytes())).into_owned() }
}

fn is_empty_word(words: &[Vec<u8>]) -> bool {
    matches!(words, [word] if word.is_empty())
}

/// `save <secs> <changes> ...`: accumulates over the lines of a start; one empty word removes all.
pub struct SavePoints;

impl Kind<Vec<SavePoint>> for SavePoints {
    const MANY: bool = true;

    fn parse(&self, words: &[Vec<u8>], old: &Vec<SavePoint>, at: At) -> Result<Vec<SavePoint>, String> {
        if is_empty_word(words) {
            return Ok(Vec::new());
        }
        let mut points = if at == (At::Start { repeated: true }) { old.clone() } else { Vec::new() };
        for pair in words.chunks(2) {
            let numbers = match pair {
                [secs, changes] => saturating_i64(secs).zip(saturating_i64(changes)),
                _ => None,
            };
            match numbers {
                Some((secs, changes)) if secs >= 1 && changes >= 0 => {
                    points.push(SavePoint { secs, changes })
                }
                _ => return Err("Invalid save parameters".into()),
            }
        }
        Ok(points)
    }

    fn show(&self, value: &Vec<SavePoint>) -> Vec<u8> {
        joined(value.iter().map(|point| format!("{} {}", point.secs, point.changes)))
    }

    fn lines(&self, name: &str, value: &Vec<SavePoint>, _: &Vec<SavePoint>) -> Lines {
        if value.is_empty() {
            return vec![(format!("{name} \"\"").into_bytes(), true)];
        }
        let line = |point: &SavePoint| format!("{name} {} {}", point.secs, point.changes).into_bytes();
        value.iter().map(|point| (line(point), true)).collect()
    }
}

/// `bind`: up to 16 addresses; one empty word is none.
pub struct Addresses;

impl Kind<Vec<String>> for Addresses {
    const MANY: bool = true;

    fn parse(&self, words: &[Vec<u8>], _: &Vec<String>, _: At) -> Result<Vec<String>, String> {
        if words.len() > 16 {
            return Err("Too many bind addresses specified.".into());
        }
        if is_empty_word(words) {
            return Ok(Vec::new());
        }
        let address = |word: &Vec<u8>| String::from_utf8(word.clone());
        words.iter().map(address).collect::<Result<_, _>>().map_err(|_| "argument must be valid UTF-8".into())
    }

    fn show(&self, value: &Vec<String>) -> Vec<u8> {
        joined(value.iter().cloned())
    }

    fn lines(&self, name: &str, value: &Vec<String>, default: &Vec<String>) -> Lines {
        let words = match value.as_slice() {
            [] => word_of("").into_bytes(),
            value => joined(value.iter().map(|address| word_of(address))),
        };
        vec![([name.as_bytes(), b" ", &words].concat(), value != default)]
    }
}

/// `client-output-buffer-limit <class> <hard> <soft> <soft seconds> ...`: classes that are not named keep what they had.
pub struct Limits;

impl Limits {
    fn class(word: &[u8]) -> Option<ClientClass> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Some(ClientClass::Normal),
            b"slave" | b"replica" => Some(ClientClass::Replica),
            b"pubsub" => Some(ClientClass::Pubsub),
            _ => None,
        }
    }

    fn limit(hard: &[u8], soft: &[u8], secs: &[u8]) -> Option<Limit> {
        let soft_secs = saturating_i64(secs).filter(|secs| *secs >= 0)?;
        Some(Limit { hard: memory(hard)?, soft: memory(soft)?, soft_secs })
    }
}

impl Kind<[Limit; 3]> for Limits {
    const MANY: bool = true;

    fn parse(&self, words: &[Vec<u8>], old: &[Limit; 3], _: At) -> Result<[Limit; 3], String> {
        let mut limits = *old;
        if is_empty_word(words) {
            return Ok(limits);
        }
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        for four in words.chunks_exact(4) {
            let class = Limits::class(&four[0])
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            limits[class as usize] = Limits::limit(&four[1], &four[2], &four[3])
                .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        }
        Ok(limits)
    }

    fn show(&self, value: &[Limit; 3]) -> Vec<u8> {
        let named = ["normal", "slave", "pubsub"].into_iter().zip(value);
        joined(
            named.map(|(class, limit)| format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_secs)),
        )
    }

    fn lines(&self, name: &str, value: &[Limit; 3], default: &[Limit; 3]) -> Lines {
        let line = |(index, class): (usize, &str)| {
            let limit = value[index];
            let (hard, soft) = (memory_text(limit.hard), memory_text(limit.soft));
            let text = format!("{name} {class} {hard} {soft} {}", limit.soft_secs);
            (text.into_bytes(), limit != default[index])
        };
        ["normal", "replica", "pubsub"].into_iter().enumerate().map(line).collect()
    }
}

/// `oom-score-adj-values`: three numbers, for a master, a replica and a child.
pub struct OomScores;

impl Kind<[i32; 3]> for OomScores {
    const MANY: bool = true;

    fn parse(&self, words: &[Vec<u8>], _: &[i32; 3], _: At) -> Result<[i32; 3], String> {
        let words: &[Vec<u8>; 3] = words.try_into().map_err(|_| "wrong number of arguments")?;
        let mut values = [0; 3];
        for (value, word) in values.iter_mut().zip(words) {
            let number = saturating_i64(word).filter(|n| (-2000..=2000).contains(n));
            *value = number.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?
                as i32;
        }
        Ok(values)
    }

    fn show(&self, value: &[i32; 3]) -> Vec<u8> {
        joined(value.iter().map(i32::to_string))
    }
}

/// `latency-tracking-info-percentiles`: numbers from 0 to 100, or one empty word for none.
pub struct Percentiles;

impl Kind<Vec<f64>> for Percentiles {
    const MANY: bool = true;

    fn parse(&self, words: &[Vec<u8>], _: &Vec<f64>, _: At) -> Result<Vec<f64>, String> {
        if is_empty_word(words) {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(words.len());
        for word in words {
            let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
            match number.filter(|n| !n.is_nan()) {
                None => return Err("Invalid latency-tracking-info-percentiles parameters".into()),
                Some(n) if (0.0..=100.0).contains(&n) => values.push(n),
                Some(_) => {
                    let text = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
                    return Err(text.into());
                }
            }
        }
        Ok(values)
    }

    fn show(&self, value: &Vec<f64>) -> Vec<u8> {
        let text = |n: &f64| format!("{n:.6}").trim_end_matches('0').trim_end_matches('.').to_string();
        joined(value.iter().map(text))
    }

    fn lines(&self, name: &str, value: &Vec<f64>, _: &Vec<f64>) -> Lines {
        let words = if value.is_empty() { b"\"\"".to_vec() } else { self.show(value) };
        vec![([name.as_bytes(), b" ", &words].concat(), true)]
    }
}

/// `replicaof <host> <port>`, or `no one`.
pub struct Master;

impl Kind<Option<(String, u16)>> for Master {
    const MANY: bool = true;

    fn parse(
        &self,
        words: &[Vec<u8>],
        _: &Option<(String, u16)>,
        _: At,
    ) -> Result<Option<(String, u16)>, String> {
        let [host, port] = words else { return Err("wrong number of arguments".into()) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            return Ok(None);
        }
        let number = strict_i64(port).and_then(|port| u16::try_from(port).ok());
        let port = number.ok_or("Invalid master port")?;
        let host = String::from_utf8(host.clone()).map_err(|_| "argument must be valid UTF-8")?;
        Ok(Some((host, port)))
    }

    fn show(&self, value: &Option<(String, u16)>) -> Vec<u8> {
        value.as_ref().map_or_else(Vec::new, |(host, port)| format!("{host} {port}").into_bytes())
    }

    fn lines(&self, name: &str, value: &Option<(String, u16)>, _: &Option<(String, u16)>) -> Lines {
        let line =
            |(host, port): &(String, u16)| (format!("{name} {} {port}", word_of(host)).into_bytes(), true);
        value.iter().map(line).collect()
    }
}

/// `shutdown-on-sigint` and `-sigterm`: `default`, or some of `save`, `nosave`, `now`, `force`.
pub struct Shutdown;

impl Kind<ShutdownFlags> for Shutdown {
    const MANY: bool = true;

    fn parse(&self, words: &[Vec<u8>], _: &ShutdownFlags, _: At) -> Result<ShutdownFlags, String> {
        let mut flags = ShutdownFlags::empty();
        for word in words {
            let found =
                ShutdownFlags::WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
            flags |= found.ok_or_else(|| one_of(ShutdownFlags::WORDS.iter().map(|(name, _)| *name)))?.1;
        }
        if flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE) {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        Ok(flags)
    }

    fn show(&self, value: &ShutdownFlags) -> Vec<u8> {
        let fits = |flag: ShutdownFlags| {
            if value.is_empty() { flag.is_empty() } else { !flag.is_empty() && value.contains(flag) }
        };
        let names = ShutdownFlags::WORDS.iter().filter(|(_, flag)| fits(*flag));
        joined(names.map(|(name, _)| name.to_string()))
    }
}

/// `notify-keyspace-events`: letters.
pub struct EventLetters;

impl Kind<Events> for EventLetters {
    fn parse(&self, words: &[Vec<u8>], _: &Events, _: At) -> Result<Events, String> {
        let letters = words.first().map_or(b"".as_slice(), Vec::as_slice);
        Events::parse(letters)
            .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_string())
    }

    fn show(&self, value: &Events) -> Vec<u8> {
        value.letters().into_bytes()
    }

    fn lines(&self, name: &str, value: &Events, default: &Events) -> Lines {
        vec![([name.as_bytes(), b" ", &quote(&self.show(value))].concat(), value != default)]
    }
}

/// `dir`: an existing directory, kept as an absolute path; a relative one is taken from the directory so far. To go there is the caller's.
pub struct Directory;

impl Directory {
    fn absolute(path: &str) -> String {
        let found =
            std::fs::canonicalize(path).ok().and_then(|path| path.into_os_string().into_string().ok());
        found.unwrap_or_else(|| path.to_string())
    }
}

impl Kind<String> for Directory {
    fn parse(&self, words: &[Vec<u8>], old: &String, _: At) -> Result<String, String> {
        let word = words.first().map_or(b"".as_slice(), Vec::as_slice);
        let text = std::str::from_utf8(word).map_err(|_| "argument must be valid UTF-8")?;
        if text.is_empty() {
            return Err("No such file or directory".into());
        }
        let path = Path::new(old).join(text);
        let found = std::fs::canonicalize(&path).map_err(|error| os_text(&error))?;
        if !found.is_dir() {
            return Err("Not a directory".into());
        }
        if found.as_os_str() == Directory::absolute(old).as_str() {
            return Ok(old.clone());
        }
        found.into_os_string().into_string().map_err(|_| "argument must be valid UTF-8".into())
    }

    fn show(&self, value: &String) -> Vec<u8> {
        Directory::absolute(value).into_bytes()
    }

    fn lines(&self, name: &str, value: &String, _: &String) -> Lines {
        vec![([name.as_bytes(), b" ", &quote(&self.show(value))].concat(), true)]
    }
}

/// What C's strerror says, without Rust's `(os error 2)`.
pub fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as CONFIG SET cuts them.
    #[track_caller]
    fn check<T: PartialEq, K: Kind<T>>(kind: &K, old: &T, at: At, text: &str, want: Result<&str, &str>) {
        let words: Vec<Vec<u8>> = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let got = kind.parse(&words, old, at).map(|value| String::from_utf8(kind.show(&value)).unwrap());
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{text:?}");
    }

    #[test]
    fn save_points() {
        let old = vec![SavePoint { secs: 7, changes: 7 }];
        let run = |text, want| check(&SavePoints, &old, At::Run, text, want);
        run("900 1", Ok("900 1"));
        run("", Ok(""));
        run("900 0", Ok("900 0"));
        run("99999999999999999999 1", Ok("9223372036854775807 1"));
        run("+9 1", Ok("9 1"));
        for text in ["900 1 300", "0 1", "900  1", "-1 3", "900 -1", "900 1x", " ", "900 1 ", "0x9 1"] {
            run(text, Err("Invalid save parameters"));
        }
        check(&SavePoints, &old, At::Start { repeated: true }, "1 2", Ok("7 7 1 2"));
        check(&SavePoints, &old, At::Start { repeated: false }, "1 2", Ok("1 2"));
        check(&SavePoints, &old, At::Start { repeated: true }, "", Ok(""));
    }

    #[test]
    fn buffer_limits() {
        let old = [Limit { hard: 0, soft: 0, soft_secs: 0 }; 3];
        let run = |text, want| check(&Limits, &old, At::Run, text, want);
        run("Normal 1mb 2kb 60", Ok("normal 1048576 2048 60 slave 0 0 0 pubsub 0 0 0"));
        run("slave 5 6 7 pubsub 1 1 1", Ok("normal 0 0 0 slave 5 6 7 pubsub 1 1 1"));
        run("", Ok("normal 0 0 0 slave 0 0 0 pubsub 0 0 0"));
        run("foo 1 1 1", Err("Invalid client class specified in buffer limit configuration."));
        run("normal 1 1", Err("Wrong number of arguments in buffer limit configuration."));
        for text in ["normal x 1 1", "normal 1 1 1.5", "normal 1 1 -1", "normal -1 1 1", "normal 1 1 1k"] {
            run(text, Err("Error in hard, soft or soft_seconds setting in buffer limit configuration."));
        }
    }

    #[test]
    fn strange_words_are_quoted_in_lines() {
        let bind = vec!["a".to_string(), String::new(), "b \"c".into(), "d'".into(), "é".into()];
        let lines = Addresses.lines("bind", &bind, &vec![]);
        assert_eq!(lines, [(br#"bind a "" "b \"c" "d'" "\xc3\xa9""#.to_vec(), true)]);
        let lines = Master.lines("replicaof", &Some(("a b".into(), 1)), &None);
        assert_eq!(lines, [(b"replicaof \"a b\" 1".to_vec(), true)]);
    }

    #[test]
    fn addresses_and_masters() {
        check(&Addresses, &vec![], At::Run, "127.0.0.1 -::1", Ok("127.0.0.1 -::1"));
        check(&Addresses, &vec!["*".into()], At::Run, "", Ok(""));
        check(&Addresses, &vec![], At::Run, &["a"; 17].join(" "), Err("Too many bind addresses specified."));
        check(&Master, &None, At::Run, "h 0", Ok("h 0"));
        check(&Master, &Some(("h".into(), 1)), At::Run, "no ONE", Ok(""));
        check(&Master, &None, At::Run, "h 70000", Err("Invalid master port"));
        check(&Master, &None, At::Run, "h", Err("wrong number of arguments"));
    }

    #[test]
    fn numbers() {
        check(&OomScores, &[0; 3], At::Run, "3 2 -1", Ok("3 2 -1"));
        check(&OomScores, &[0; 3], At::Run, "1 2", Err("wrong number of arguments"));
        let refusal = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
        check(&OomScores, &[0; 3], At::Run, "1 2 a", Err(refusal));
        check(&OomScores, &[0; 3], At::Run, "0 0 2001", Err(refusal));
        check(&Percentiles, &vec![], At::Run, "0.1 33.333333333 1e1", Ok("0.1 33.333333 10"));
        check(&Percentiles, &vec![], At::Run, "", Ok(""));
        let refusal = "Invalid latency-tracking-info-percentiles parameters";
        check(&Percentiles, &vec![], At::Run, "50 a", Err(refusal));
        check(&Percentiles, &vec![], At::Run, "nan", Err(refusal));
        let refusal = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        check(&Percentiles, &vec![], At::Run, "101", Err(refusal));
    }

    #[test]
    fn flags() {
        let run = |text, want| check(&Shutdown, &ShutdownFlags::empty(), At::Run, text, want);
        run("SAVE now", Ok("save now"));
        run("default", Ok("default"));
        run("default save", Ok("save"));
        run("save nosave", Err("shutdown options SAVE and NOSAVE can't be used simultaneously"));
        let refusal = "argument(s) must be one of the following: default, save, nosave, now, force";
        run("", Err(refusal));
        let refusal = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
        check(&EventLetters, &Events::empty(), At::Run, "KEq", Err(refusal));
    }

    #[test]
    fn directories() {
        let root = std::env::temp_dir().canonicalize().unwrap().into_os_string().into_string().unwrap();
        check(&Directory, &".".into(), At::Run, &root, Ok(&root));
        check(&Directory, &".".into(), At::Run, "/nonexistent", Err("No such file or directory"));
        check(&Directory, &".".into(), At::Run, "/dev/null", Err("Not a directory"));
        assert_eq!(Directory.parse(&[b"./".to_vec()], &".".into(), At::Run), Ok(".".to_string()));
    }
}
