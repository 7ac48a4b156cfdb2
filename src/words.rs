//! Lines of quoted words: a line into its words, a value back into a quoted word.
//!
//! One lexical level for all that people write and read: redis.conf, inline requests, MONITOR.
//!
//! Invariant: `split_args(quote(x)) == [x]` for every byte string `x`, which is what makes CONFIG REWRITE safe.
//! Words are bytes, not text: `"\xff"` is a legal password.

/// Splits a line into words: blanks separate; double quotes know `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and `\` before anything else;
/// single quotes know `\'` alone. `None` when quotes are unbalanced, or a closing one is not followed by a blank or the end.
/// A zero byte ends the line, as it does where lines are C strings.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let end = line.iter().position(|&b| b == 0).unwrap_or(line.len());
    let mut rest = &line[..end];
    let mut words = Vec::new();
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            return Some(words);
        }
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after;
    }
}

/// What may stand between words: the blanks of C's `isspace`. A word that is not quoted ends at fewer (observed: redis-server 7.0.15
/// takes `8\v9` for one word).
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn skip_blanks(rest: &[u8]) -> &[u8] {
    let start = rest.iter().position(|&b| !is_blank(b)).unwrap_or(rest.len());
    &rest[start..]
}

/// One word and what follows it.
fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    loop {
        match rest {
            [] => return Some((out, rest)),
            [b'"', after @ ..] => return closed(double_quoted(after, &mut out)?, out),
            [b'\'', after @ ..] => return closed(single_quoted(after, &mut out)?, out),
            [b' ' | b'\t' | b'\r' | b'\n', ..] => return Some((out, rest)),
            [b, after @ ..] => {
                out.push(*b);
                rest = after;
            }
        }
    }
}

/// After a closing quote only a blank or the end may come.
fn closed(rest: &[u8], out: Vec<u8>) -> Option<(Vec<u8>, &[u8])> {
    rest.first().is_none_or(|&b| is_blank(b)).then_some((out, rest))
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                out.push(unescape(*escaped));
                rest = after;
            }
            [b, after @ ..] => {
                out.push(*b);
                rest = after;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => {
                out.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return Some(after),
            [b, after @ ..] => {
                out.push(*b);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// A value as a double-quoted word that `split_args` reads back to the same bytes.
pub fn quote(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 2);
    quote_into(&mut out, value);
    out
}

/// Appends what [`quote`] gives.
pub fn quote_into(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for &byte in value {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &str, words: Option<&[&str]>) {
        let got = split_args(line.as_bytes());
        let want = words.map(|w| w.iter().map(|s| s.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn words_and_quotes() {
        check("", Some(&[]));
        check(" \t port \x0b1\x0b2 ", Some(&["port", "1\x0b2"]));
        check("\x0becho\x0b \x0c'a'\x0b\"b\"\x0cc", Some(&["echo\x0b", "a", "b", "c"]));
        check("a\rb", Some(&["a", "b"]));
        check(r#"a "b c" 'd e'"#, Some(&["a", "b c", "d e"]));
        check(r#"a"b c""#, Some(&["ab c"]));
        check(r#""" ''"#, Some(&["", ""]));
        check(r#""\x41\n\t\"\q""#, Some(&["A\n\t\"q"]));
        check(r#""\x4""#, Some(&["x4"]));
        check(r"'it\'s \n'", Some(&["it's \\n"]));
        check("a\0b", Some(&["a"]));
    }

    #[test]
    fn unbalanced() {
        for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\\"", "x \"", "\"\\"] {
            check(line, None);
        }
    }

    proptest! {
        #[test]
        fn quote_round_trips(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(split_args(&quote(&value)), Some(vec![value]));
        }

        #[test]
        fn never_panics(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            split_args(&line);
        }
    }
}
