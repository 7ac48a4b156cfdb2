//! Redis's glob, as KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL patterns use it: `*`, `?`, `[a-z]`, `[^a-z]` and `\x`, over bytes.
//!
//! Invariant: time is at most `pattern.len() * text.len()`, with no recursion and no allocation. The matcher walks both with
//! two cursors and remembers only the last `*`: when something after it fails, that `*` takes one more byte. Going back to an
//! earlier `*` can never help, because whatever the later one could reach from there it reaches from here as well.
//! The alternative refused is recursion per `*`, which is exponential in their number and lets one KEYS stop a server.
//!
//! Oddities kept, observed on redis-server 7.0.15: `[a-]` is a range up to `]`; a `[` without `]` takes all the rest of the pattern as its set; a range may be
//! written backwards; a `\` at the very end stands for itself; `[]` matches nothing and `[^]` anything; nothing but the empty pattern matches
//! the empty text, `*` neither (KEYS and SCAN take a lone `*` for no pattern at all).

/// True if `text` as a whole matches `pattern`; `nocase` folds ASCII letters. O(pattern × text) at worst.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            let Some(from) = candidate(pattern, p, text, t, nocase) else { return false };
            star = Some((p, from));
            t = from;
        }
        match text.get(t) {
            None if p == pattern.len() => return true,
            None => return false,
            Some(&byte) => {
                if let Some(next) = one(pattern, p, byte, nocase) {
                    p = next;
                    t += 1;
                    continue;
                }
            }
        }
        let Some((after, taken)) = star else { return false };
        let Some(from) = candidate(pattern, after, text, taken + 1, nocase) else { return false };
        p = after;
        t = from;
        star = Some((after, from));
    }
}

/// Where, from `from` on, the element at `p` behind a `*` may match next: for a literal its next occurrence, found at memchr's speed.
fn candidate(pattern: &[u8], p: usize, text: &[u8], from: usize, nocase: bool) -> Option<usize> {
    let rest = text.get(from..)?;
    match pattern[p] {
        b'?' | b'[' | b'\\' => Some(from),
        literal if nocase => {
            let (low, high) = (literal.to_ascii_lowercase(), literal.to_ascii_uppercase());
            memchr::memchr2(low, high, rest).map(|skip| from + skip)
        }
        literal => memchr::memchr(literal, rest).map(|skip| from + skip),
    }
}

/// Matches one byte against the pattern element at `p`; gives the position after that element if it fits.
fn one(pattern: &[u8], p: usize, byte: u8, nocase: bool) -> Option<usize> {
    let fits = |yes: bool, next: usize| yes.then_some(next);
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (inside, next) = class(pattern, p + 1, byte, nocase);
            fits(inside, next)
        }
        b'\\' if p + 1 < pattern.len() => fits(same(pattern[p + 1], byte, nocase), p + 2),
        literal => fits(same(literal, byte, nocase), p + 1),
    }
}

/// Whether `byte` is in the class whose first member is at `p`, and the position after the class.
fn class(pattern: &[u8], mut p: usize, byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p..] {
            [] => break,
            [b']', ..] => {
                p += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [from, b'-', to, ..] => {
                found |= in_range(from, to, byte, nocase);
                p += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, nocase);
                p += 1;
            }
        }
    }
    (found != negated, p)
}

fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    let (low, high) = if from <= to { (from, to) } else { (to, from) };
    let fold = |b: u8| if nocase { b.to_ascii_lowercase() } else { b };
    (fold(low)..=fold(high)).contains(&fold(byte))
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} should match {text:?}");
        }
        for text in no {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes(), false),
                "{pattern} should not match {text:?}"
            );
        }
    }

    #[test]
    fn literals_and_wildcards() {
        check("", &[""], &["a"]);
        check("abc", &["abc"], &["ab", "abcd", "ABC"]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("*", &["anything"], &[""]);
        check("**", &["x"], &[""]);
        check("h*llo", &["hllo", "heeeello", "hllollo"], &["hllox"]);
        check("*a*b*c*", &["abc", "xaxbxcx", "aabbcc"], &["acb", "ab"]);
        check("a*?", &["ab", "abc"], &["a"]);
        check("*.txt", &["a.txt", ".txt.txt"], &["a.txt "]);
    }

    #[test]
    fn classes() {
        check("[ae]", &["a", "e"], &["b", "", "ae"]);
        check("[^e]", &["a", "^"], &["e", ""]);
        check("[a-c]x", &["ax", "cx"], &["dx", "-x"]);
        check("[c-a]", &["b"], &["d"]);
        check("[a-]", &["a", "]", "^"], &["-", "b"]); // a range up to `]`, and no end
        check("[\\]]", &["]"], &["\\"]);
        check("[\\-a]", &["-", "a"], &["b"]);
        check("[]", &[], &["", "]", "a"]);
        check("[^]", &["a"], &[""]);
        check("[ab", &["a", "b"], &["c", "[ab"]);
        check("a[", &[], &["a", "a["]);
        check("*[0-9]", &["x1", "1"], &["x"]);
    }

    #[test]
    fn escapes() {
        check("\\*", &["*"], &["a", "\\*"]);
        check("a\\?", &["a?"], &["ab"]);
        check("a\\", &["a\\"], &["a"]);
        check("*\\", &["x\\"], &["x"]);
    }

    #[test]
    fn case_folding() {
        for (pattern, text) in [("ABC", "abc"), ("[A-C]", "b"), ("[a-c]", "B"), ("[X]", "x"), ("\\A", "a")] {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), true), "{pattern} {text}");
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_stay_polynomial() {
        let text = vec![b'a'; 20_000];
        let pattern = [b"a*".repeat(30), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &text, false));
    }

    /// The definition itself, exponential as it is: the model that `matches` is held against.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|skip| model(&pattern[1..], &text[skip..])),
            Some(_) => match text.first().and_then(|&byte| one(pattern, 0, byte, false)) {
                Some(next) => model(&pattern[next..], &text[1..]),
                None => false,
            },
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\]^-]{1,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), model(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn never_panics(pattern in proptest::collection::vec(any::<u8>(), 0..20), text in proptest::collection::vec(any::<u8>(), 0..20), nocase: bool) {
            matches(&pattern, &text, nocase);
        }
    }
}
