//! Commands as people write them: redis-cli's quoting in both directions, and the few `{…}` forms that
//! edge cases need for what nobody wants to type (long strings, DUMP payloads).

use crate::payload;

/// A command's name and arguments.
pub type Args = Vec<Vec<u8>>;

/// The upper-case name of a command; empty for no arguments.
pub fn name(args: &[Vec<u8>]) -> String {
    word(args, 0)
}

/// The upper-case argument at `index`, lossy; empty where there is none.
pub fn word(args: &[Vec<u8>], index: usize) -> String {
    args.get(index).map(|arg| String::from_utf8_lossy(arg).to_ascii_uppercase()).unwrap_or_default()
}

/// A command in redis-cli's syntax, long arguments cut.
pub fn show(args: &[Vec<u8>]) -> String {
    args.iter().map(|arg| show_arg(arg)).collect::<Vec<_>>().join(" ")
}

fn show_arg(arg: &[u8]) -> String {
    const SHOWN_BYTES: usize = 400;
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\;#{}".contains(byte);
    if !arg.is_empty() && arg.len() <= SHOWN_BYTES && arg.iter().all(plain) {
        return String::from_utf8_lossy(arg).into_owned();
    }
    let mut out = String::from("\"");
    for byte in &arg[..arg.len().min(SHOWN_BYTES)] {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\'' => out.push('\''),
            _ => out.push_str(&byte.escape_ascii().to_string()),
        }
    }
    out.push('"');
    if arg.len() > SHOWN_BYTES {
        out.push_str(&format!("…({} bytes)", arg.len()));
    }
    out
}

/// The words of a line: separated by blanks, `"…"` with escapes, `'…'` without, and then expanded.
///
/// # Errors
///
/// What is wrong with the line.
pub fn parse(line: &str) -> Result<Args, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start().as_bytes();
    while !rest.is_empty() {
        let (word, length) = take_word(rest)?;
        words.push(expand(word)?);
        rest = rest[length..].trim_ascii_start();
    }
    Ok(words)
}

fn take_word(text: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let mut word = Vec::new();
    let mut at = 0;
    while at < text.len() && !text[at].is_ascii_whitespace() {
        match text[at] {
            quote @ (b'"' | b'\'') => at += take_quoted(&text[at + 1..], quote, &mut word)? + 1,
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
    Ok((word, at))
}

/// Unquotes up to and including the closing `quote`; gives how many bytes that were.
fn take_quoted(text: &[u8], quote: u8, word: &mut Vec<u8>) -> Result<usize, String> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            _ if byte == quote => return Ok(at),
            b'\\' if quote == b'"' => at += take_escape(&text[at..], word)?,
            _ => word.push(byte),
        }
    }
    Err("a quote is not closed".into())
}

fn take_escape(text: &[u8], word: &mut Vec<u8>) -> Result<usize, String> {
    let simple = |byte| match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        other => other,
    };
    match text {
        [b'x', high, low, ..] => {
            let digits = [*high, *low];
            let digits = std::str::from_utf8(&digits).map_err(|error| error.to_string())?;
            word.push(u8::from_str_radix(digits, 16).map_err(|error| format!("\\x{digits}: {error}"))?);
            Ok(3)
        }
        [byte, ..] => {
            word.push(simple(*byte));
            Ok(1)
        }
        [] => Err("a backslash at the end".into()),
    }
}

/// `{x*100}` anywhere in a word is a hundred x; a word `{dump…:…}` is a DUMP payload (see `payload`).
fn expand(word: Vec<u8>) -> Result<Vec<u8>, String> {
    if let Some(inside) = word.strip_prefix(b"{dump").and_then(|rest| rest.strip_suffix(b"}")) {
        return payload::from_spec(inside);
    }
    let mut out = Vec::new();
    let mut rest = word.as_slice();
    while let Some((&first, after)) = rest.split_first() {
        if let Some((byte, count, length)) = repetition(rest) {
            out.resize(out.len() + count, byte);
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = after;
        }
    }
    Ok(out)
}

/// `{x*100}` at the start of `text`: the byte, the count, and the length of the form.
fn repetition(text: &[u8]) -> Option<(u8, usize, usize)> {
    let [b'{', byte, b'*', digits @ ..] = text else { return None };
    let end = digits.iter().position(|byte| *byte == b'}')?;
    let count = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
    Some((*byte, count, end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, words: &[&[u8]]) {
        let parsed = parse(line).expect(line);
        assert_eq!(parsed, words.iter().map(|word| word.to_vec()).collect::<Vec<_>>(), "{line}");
        assert_eq!(parse(&show(&parsed)).as_ref(), Ok(&parsed), "{} is read back", show(&parsed));
    }

    #[test]
    fn words_and_quotes() {
        check("SET  key value ", &[b"SET", b"key", b"value"]);
        check(r#"ECHO "a \"b\"\x00\r\n" '' 'c\d'"#, &[b"ECHO", b"a \"b\"\0\r\n", b"", b"c\\d"]);
        check("ECHO a{x*5}b {y*1}", &[b"ECHO", b"axxxxxb", b"y"]);
        assert!(parse("GET \"a").is_err());
    }
}
