//! The configuration as TOML: a file whose name ends in `.toml`, with the directives as keys.
//!
//! Values become the words that redis.conf would have, and go through the same checks: `port = 6380`, `appendonly = true`,
//! `maxmemory = "1gb"`, `bind = ["127.0.0.1", "::1"]`, `save = [[900, 1], [300, 10]]` or `["900 1", "300 10"]`. Invariant: there is no
//! check here that redis.conf does not have. The alternative refused is a serde structure, a second list of directives.

use super::Config;
use super::directive::Directive;
use super::file::{Reader, StartError};
use crate::words::split_args;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys of which an array's texts are a line each: they may stand several times in redis.conf.
const REPEATED: &[&str] =
    &["save", "client-output-buffer-limit", "rename-command", "include", "user", "loadmodule"];

/// Reads a TOML text over the defaults.
pub fn parse_toml(text: impl AsRef<[u8]>) -> Result<Config, StartError> {
    let mut reader = Reader::default();
    read(&mut reader, text.as_ref())?;
    reader.finish()
}

/// Reads a TOML text into the reader, key by key in the file's order.
pub(super) fn read(reader: &mut Reader, toml: &[u8]) -> Result<(), StartError> {
    let text = std::str::from_utf8(toml)
        .map_err(|error| wrong(toml, error.valid_up_to(), "the file must be valid UTF-8"))?;
    let table = DeTable::parse(text).map_err(|error| {
        wrong(toml, error.span().map_or(0, |span| span.start), error.message().trim_end())
    })?;
    let mut entries: Vec<_> = table.into_inner().into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let name = key.get_ref().as_ref();
        let at = |reason: String| wrong(toml, key.span().start, &format!("{name}: {reason}"));
        for mut words in lines(name, &value).map_err(&at)? {
            words.insert(0, name.as_bytes().to_vec());
            reader.line(&words).map_err(|problem| match problem.at(0, b"") {
                StartError::Line { line: 0, reason, .. } => at(reason),
                elsewhere => elsewhere,
            })?;
        }
    }
    Ok(())
}

/// An error at the line around a position.
fn wrong(toml: &[u8], position: usize, reason: &str) -> StartError {
    let before = &toml[..position.min(toml.len())];
    let line = before.iter().filter(|b| **b == b'\n').count();
    let text = toml.split(|b| *b == b'\n').nth(line).unwrap_or_default().trim_ascii();
    let text = String::from_utf8_lossy(text).into_owned();
    StartError::Line { line: line + 1, text, reason: reason.into() }
}

/// The lines that a key's value stands for: their words after the name.
fn lines(name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let DeValue::Array(items) = value.get_ref() else { return Ok(vec![single(name, value.get_ref())?]) };
    let repeated = REPEATED.iter().any(|known| known.eq_ignore_ascii_case(name));
    let nested = !items.is_empty() && items.iter().all(|item| matches!(item.get_ref(), DeValue::Array(_)));
    let texts = !items.is_empty() && items.iter().all(|item| matches!(item.get_ref(), DeValue::String(_)));
    if nested && repeated {
        return items.iter().map(|item| words(item.get_ref())).collect();
    }
    if texts && repeated {
        return items.iter().map(|item| single(name, item.get_ref())).collect();
    }
    let all = words(value.get_ref())?;
    // An empty array is what an empty word is in redis.conf: none at all.
    Ok(vec![if all.is_empty() { vec![Vec::new()] } else { all }])
}

/// The words of a value that is no array. A text is cut where redis.conf would have cut it: for what is no directive of one word.
fn single(name: &str, value: &DeValue<'_>) -> Result<Vec<Vec<u8>>, String> {
    let word = scalar(value)?;
    let keyword =
        ["rename-command", "user", "loadmodule"].iter().any(|known| known.eq_ignore_ascii_case(name));
    if keyword && Directive::find(name.as_bytes()).is_none() {
        return split_args(&word).ok_or_else(|| "Unbalanced quotes in configuration line".into());
    }
    Ok(vec![word])
}

fn words(value: &DeValue<'_>) -> Result<Vec<Vec<u8>>, String> {
    match value {
        DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect(),
        other => Ok(vec![scalar(other)?]),
    }
}

/// The word of a text, number or boolean.
fn scalar(value: &DeValue<'_>) -> Result<Vec<u8>, String> {
    match value {
        DeValue::String(text) => Ok(text.as_bytes().to_vec()),
        DeValue::Boolean(true) => Ok(b"yes".to_vec()),
        DeValue::Boolean(false) => Ok(b"no".to_vec()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string().into_bytes())
            .map_err(|_| "argument couldn't be parsed into an integer".into()),
        DeValue::Float(number) => Ok(number.as_str().as_bytes().to_vec()),
        _ => Err("the value must be a string, an integer, a boolean, or an array of these".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_lines;

    /// The same as this redis.conf.
    #[track_caller]
    fn check(toml: &str, conf: &str) {
        assert_eq!(parse_toml(toml), Ok(parse_lines(conf).unwrap()), "{toml}");
    }

    #[track_caller]
    fn wrong(toml: &str, line: usize, text: &str, reason: &str) {
        let want = StartError::Line { line, text: text.into(), reason: reason.into() };
        assert_eq!(parse_toml(toml).unwrap_err(), want);
    }

    #[test]
    fn values() {
        check(
            "port = 6_380\nrdbcompression = false\nmaxmemory = '1gb'",
            "port 6380\nrdbcompression no\nmaxmemory 1gb",
        );
        check("latency-tracking-info-percentiles = [50, 99.9]", "latency-tracking-info-percentiles 50 99.9");
        check("unixsocketperm = '700'\nmasterauth = \"a b\"", "unixsocketperm 700\nmasterauth 'a b'");
        check("slaveof = 'h 1'", "replicaof h 1");
        check("replicaof = ['h', 1]", "replicaof h 1");
        check("bind = ['::1', '127.0.0.1']", "bind ::1 127.0.0.1");
        check("bind = []", "bind \"\"");
    }

    #[test]
    fn arrays_of_lines() {
        for save in ["[[900, 1], [300, 10]]", "['900 1', '300 10']", "[900, 1, 300, 10]", "'900 1 300 10'"] {
            check(&format!("save = {save}"), "save 900 1\nsave 300 10");
        }
        check("save = []", "save \"\"");
        check("save = ''", "save \"\"");
        check(
            "client-output-buffer-limit = ['replica 1 2 3', 'pubsub 1mb 1mb 6']",
            "client-output-buffer-limit replica 1 2 3 pubsub 1mb 1mb 6",
        );
        check("rename-command = [['GET', ''], ['SET', 'S']]", "rename-command GET ''\nrename-command SET S");
        check("rename-command = 'GET G'", "rename-command GET G");
        check("user = ['a on', 'b off']", "user a on\nuser b off");
    }

    #[test]
    fn errors_name_key_and_line() {
        wrong("\nport = 70000", 2, "port = 70000", "port: argument must be between 0 and 65535 inclusive");
        wrong("prot = 1", 1, "prot = 1", "prot: Bad directive or wrong number of arguments");
        wrong("port = [1, 2]", 1, "port = [1, 2]", "port: wrong number of arguments");
        let reason = "the value must be a string, an integer, a boolean, or an array of these";
        wrong("timeout = 1\n[port]\nx = 1", 2, "[port]", &format!("port: {reason}"));
        assert!(matches!(parse_toml("a = = 1"), Err(StartError::Line { line: 1, .. })));
    }
}
