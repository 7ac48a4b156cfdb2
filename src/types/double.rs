//! Doubles as text, to the last digit as C has them: scores, coordinates, range limits.
//!
//! Rust's own parser and printer round as correctly as C's; what differs is the syntax, which is this module's subject. Texts are
//! those of `%.17g` (observed: redis-server 7.0.15 replies and stores them so): not the shortest that read back as the
//! same number, but 17 digits without trailing zeros.

/// Room for a double's text.
#[derive(Clone, Copy, Default)]
pub struct Buffer {
    bytes: [u8; Buffer::BYTES],
    len: usize,
}

impl Buffer {
    /// The longest text is `-1.2345678901234567e-308`.
    const BYTES: usize = 24;

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// The text of a double: `%.17g`, and `inf`, `-inf`, `nan`.
    pub fn format(&mut self, value: f64) -> &[u8] {
        self.len = 0;
        if value.is_nan() {
            self.push(b"nan");
        } else if value.is_infinite() {
            self.push(if value > 0.0 { b"inf" } else { b"-inf" });
        } else if value.fract() == 0.0 && value.abs() < 1e17 && (value != 0.0 || value.is_sign_positive()) {
            self.push(itoa::Buffer::new().format(value as i64).as_bytes());
        } else {
            self.push_general(value);
        }
        &self.bytes[..self.len]
    }

    fn push_general(&mut self, value: f64) {
        if value.is_sign_negative() {
            self.push(b"-");
        }
        let (digits, exponent) = significant_digits(value.abs());
        let end = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
        let digits = &digits[..end];
        match exponent {
            -4..=-1 => {
                self.push(&b"0.000"[..1 + exponent.unsigned_abs() as usize]);
                self.push(digits);
            }
            0..=16 => {
                let (whole, fraction) = digits.split_at(digits.len().min(exponent as usize + 1));
                self.push(whole);
                self.push(&[b'0'; 17][..exponent as usize + 1 - whole.len()]);
                self.push_fraction(fraction);
            }
            _ => {
                self.push(&digits[..1]);
                self.push_fraction(&digits[1..]);
                self.push(if exponent < 0 { b"e-" } else { b"e+" });
                let magnitude = exponent.unsigned_abs();
                self.push(if magnitude < 10 { b"0" } else { b"" });
                self.push(itoa::Buffer::new().format(magnitude).as_bytes());
            }
        }
    }

    fn push_fraction(&mut self, digits: &[u8]) {
        if !digits.is_empty() {
            self.push(b".");
            self.push(digits);
        }
    }
}

/// The seventeen digits of a finite number, and the decimal exponent of the first.
fn significant_digits(value: f64) -> ([u8; 17], i32) {
    use std::io::Write;
    let mut text = [0; 32];
    let mut rest = &mut text[..];
    write!(rest, "{value:.16e}").expect("there is room");
    let left = rest.len();
    let text = &text[..32 - left];
    let mut digits = [b'0'; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..18]);
    let exponent = std::str::from_utf8(&text[19..]).ok().and_then(|text| text.parse().ok());
    (digits, exponent.expect("an exponent follows the digits"))
}

/// A number at the beginning of a text, as `strtod` finds it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Prefix {
    pub value: f64,
    /// Bytes read; 0: there is no number.
    pub len: usize,
    /// The number is too large or too small for a double.
    pub out_of_range: bool,
}

/// What `strtod` reads: blanks, a sign, a decimal or hexadecimal number, `inf`, `infinity`, `nan`, in any case.
pub fn prefix(text: &[u8]) -> Prefix {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let blanks = text.iter().take_while(|byte| is_blank(byte)).count();
    let rest = &text[blanks..];
    let (negative, sign) = match rest.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    match magnitude(&rest[sign..]) {
        Some((value, len, out_of_range)) => {
            Prefix { value: if negative { -value } else { value }, len: blanks + sign + len, out_of_range }
        }
        None => Prefix { value: 0.0, len: 0, out_of_range: false },
    }
}

/// A whole text as a number; no blanks before it, nothing behind it, no NaN, nothing out of range. `None` is Redis's
/// `value is not a valid float`.
pub fn parse(text: &[u8]) -> Option<f64> {
    if text.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'..=b'\r')) {
        return None;
    }
    let Prefix { value, len, out_of_range } = prefix(text);
    let lost = out_of_range && (value == 0.0 || value.is_infinite());
    (len == text.len() && !lost && !value.is_nan()).then_some(value)
}

fn magnitude(text: &[u8]) -> Option<(f64, usize, bool)> {
    let begins = |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    if begins(b"infinity") {
        Some((f64::INFINITY, 8, false))
    } else if begins(b"inf") {
        Some((f64::INFINITY, 3, false))
    } else if begins(b"nan") {
        Some((f64::NAN, 3 + nan_payload(&text[3..]), false))
    } else if begins(b"0x") {
        hexadecimal(&text[2..])
            .map_or(Some((0.0, 1, false)), |(value, len, lost)| Some((value, 2 + len, lost)))
    } else {
        decimal(text)
    }
}

/// `(…)` behind `nan`.
fn nan_payload(text: &[u8]) -> usize {
    let Some((b'(', rest)) = text.split_first() else { return 0 };
    let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if rest.get(len) == Some(&b')') { len + 2 } else { 0 }
}

/// Digits, perhaps with a point among them: how many bytes, how many digits.
fn mantissa(text: &[u8], is_digit: fn(&u8) -> bool) -> (usize, usize) {
    let whole = text.iter().take_while(|byte| is_digit(byte)).count();
    if text.get(whole) != Some(&b'.') {
        return (whole, whole);
    }
    let fraction = text[whole + 1..].iter().take_while(|byte| is_digit(byte)).count();
    (whole + 1 + fraction, whole + fraction)
}

/// An exponent behind a mantissa: its value (saturated) and its length.
fn exponent(text: &[u8], mark: u8) -> (i32, usize) {
    let Some((first, rest)) = text.split_first() else { return (0, 0) };
    if !first.eq_ignore_ascii_case(&mark) {
        return (0, 0);
    }
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    let digits = rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let magnitude = rest[sign..sign + digits]
        .iter()
        .fold(0i32, |n, digit| n.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    (if rest[0] == b'-' { -magnitude } else { magnitude }, 1 + sign + digits)
}

fn decimal(text: &[u8]) -> Option<(f64, usize, bool)> {
    let (mantissa_len, digits) = mantissa(text, u8::is_ascii_digit);
    if digits == 0 {
        return None;
    }
    let (_, exponent_len) = exponent(&text[mantissa_len..], b'e');
    let len = mantissa_len + exponent_len;
    let value: f64 = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    let is_zero = text[..mantissa_len].iter().all(|byte| matches!(byte, b'0' | b'.'));
    Some((value, len, value.is_infinite() || (!is_zero && value < f64::MIN_POSITIVE)))
}

/// What follows `0x`.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize, bool)> {
    let (mantissa_len, digits) = mantissa(text, u8::is_ascii_hexdigit);
    if digits == 0 {
        return None;
    }
    let (mut bits, mut binary, mut in_fraction) = (0u64, 0i64, false);
    for byte in &text[..mantissa_len] {
        let Some(digit) = char::from(*byte).to_digit(16) else {
            in_fraction = true;
            continue;
        };
        if bits >> 60 == 0 {
            bits = bits << 4 | u64::from(digit);
            binary -= if in_fraction { 4 } else { 0 };
        } else {
            // Beyond what a double holds; one bit remembers for the rounding that something was there.
            bits |= u64::from(digit != 0);
            binary += if in_fraction { 0 } else { 4 };
        }
    }
    let (power, exponent_len) = exponent(&text[mantissa_len..], b'p');
    let (whole, power) = (bits as f64, binary + i64::from(power));
    let value = scale(whole, power);
    // A subnormal number is within C's range if it is exact.
    let is_exact = || scale(value, -power) == whole && whole as u64 == bits;
    let lost = value.is_infinite() || (value < f64::MIN_POSITIVE && !is_exact());
    Some((value, mantissa_len + exponent_len, lost))
}

/// `value · 2^power`.
fn scale(value: f64, power: i64) -> f64 {
    let mut left = power.clamp(-4000, 4000) as i32;
    let mut value = value;
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(step);
        left -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: f64, text: &str) {
        assert_eq!(std::str::from_utf8(Buffer::default().format(value)), Ok(text));
    }

    #[test]
    fn texts_are_those_of_c() {
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-12.5, "-12.5");
        check(0.1, "0.10000000000000001");
        check(3.0e-5, "3.0000000000000001e-05");
        check(0.0001, "0.0001");
        check(99_999_999_999_999_999.0, "1e+17");
        check(12_345_678_901_234_568.0, "12345678901234568");
        check(1e16, "10000000000000000");
        check(1e17, "1e+17");
        check(123_456_789_012_345_680_000.0, "1.2345678901234568e+20");
        check(f64::MAX, "1.7976931348623157e+308");
        check(-2.225_073_858_507_201_4e-308, "-2.2250738585072014e-308");
        check(5e-324, "4.9406564584124654e-324");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        // Halfway between two texts: to the even one.
        check(4_938_271_560_493_825.0 / 4.0, "1234567890123456.2");
        check(4_938_271_560_493_827.0 / 4.0, "1234567890123456.8");
    }

    #[test]
    fn syntax_is_that_of_c() {
        let number = |value, len| Prefix { value, len, out_of_range: false };
        assert_eq!(prefix(b""), number(0.0, 0));
        assert_eq!(prefix(b" \t+1.5e3x"), number(1500.0, 8));
        assert_eq!(prefix(b"1e"), number(1.0, 1));
        assert_eq!(prefix(b"1e+"), number(1.0, 1));
        assert_eq!(prefix(b"."), number(0.0, 0));
        assert_eq!(prefix(b"-.5."), number(-0.5, 3));
        assert_eq!(prefix(b"5."), number(5.0, 2));
        assert_eq!(prefix(b"infin"), number(f64::INFINITY, 3));
        assert_eq!(prefix(b"-INFINITY"), number(f64::NEG_INFINITY, 9));
        assert_eq!(prefix(b"0x1F"), number(31.0, 4));
        assert_eq!(prefix(b"0x.8p1"), number(1.0, 6));
        assert_eq!(prefix(b"0xg"), number(0.0, 1));
        assert_eq!(prefix(b"0x"), number(0.0, 1));
        assert_eq!(prefix(b"0x1.fffffffffffff8p0").value, 2.0);
        assert_eq!(prefix(b"nan(12)x").len, 7);
        assert!(prefix(b"1e400").out_of_range && prefix(b"1e-400").out_of_range);
        assert!(!prefix(b"0e-400").out_of_range);
        assert!(!prefix(b"0x1p-1060").out_of_range && !prefix(b"0x0p-9999").out_of_range);
        assert!(prefix(b"0x3p-1075").out_of_range && prefix(b"0x1p-9999").out_of_range);
    }

    #[test]
    fn a_whole_text_is_a_number_or_not() {
        for text in ["", " 1", "1 ", "nan", "1e400", "1e-400", "1x", "x"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse(b"0x10"), Some(16.0));
        // Subnormal numbers are out of C's range, but not lost.
        assert_eq!(parse(b"1e-310"), Some(1e-310));
    }

    proptest! {
        #[test]
        fn a_text_reads_back(value: f64) {
            prop_assume!(!value.is_nan());
            let mut buffer = Buffer::default();
            prop_assert_eq!(parse(buffer.format(value)).map(f64::to_bits), Some(value.to_bits()));
        }

        #[test]
        fn any_text_may_be_tried(text: Vec<u8>) {
            prop_assert!(prefix(&text).len <= text.len());
        }
    }
}
