//! Splitting a line into arguments as a shell would: inline commands and lines of redis.conf.

/// Splits at white space; `"…"` with \n \r \t \b \a \xHH and \-escapes, `'…'` with \'. `None` when quotes do not balance or
/// a closing quote is followed by something else than a space (Redis's `sdssplitargs`).
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() || rest[0] == 0 {
            return Some(args);
        }
        let (arg, after) = one_arg(rest)?;
        args.push(arg);
        rest = after;
    }
}

fn one_arg(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut arg = Vec::new();
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t' | 0, ..] => return Some((arg, rest)),
            [b'"', after @ ..] => return double_quoted(arg, after),
            [b'\'', after @ ..] => return single_quoted(arg, after),
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
        }
    }
}

fn closed(arg: Vec<u8>, after: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let ends = after.first().is_none_or(|b| b.is_ascii_whitespace() || *b == 0x0b || *b == 0);
    ends.then_some((arg, after))
}

fn double_quoted(mut arg: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        match rest {
            [] => return None,
            [b'"', after @ ..] => return closed(arg, after),
            [b'\\', b'x', a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                arg.push(hex(*a) << 4 | hex(*b));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
        }
    }
}

fn single_quoted(mut arg: Vec<u8>, mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    loop {
        match rest {
            [] => return None,
            [b'\'', after @ ..] => return closed(arg, after),
            [b'\\', b'\'', after @ ..] => {
                arg.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                arg.push(*byte);
                rest = after;
            }
        }
    }
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use super::split_args;

    #[track_caller]
    fn check(line: &str, expected: Option<&[&[u8]]>) {
        let expected = expected.map(|args| args.iter().map(|arg| arg.to_vec()).collect());
        assert_eq!(split_args(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn quotes_and_escapes() {
        check("", Some(&[]));
        check("  set  a b ", Some(&[b"set", b"a", b"b"]));
        check(r#"set "a b" 'c d'"#, Some(&[b"set", b"a b", b"c d"]));
        check(r#""\x41\n\q\"" '\'\n'"#, Some(&[b"A\nq\"", b"'\\n"]));
        check(r#"pre"fix""#, Some(&[b"prefix"]));
        check(r#""\xZZ""#, Some(&[b"xZZ"]));
        check(r#""""#, Some(&[b""]));
    }

    #[test]
    fn quotes_that_do_not_balance() {
        [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\"#].into_iter().for_each(|line| check(line, None));
    }
}
