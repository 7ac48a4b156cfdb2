//! The x87 long double: how INCRBYFLOAT reads, adds and prints numbers.
//!
//! Redis computes with the C compiler's `long double`, which on x86-64 is the 80-bit format, and prints with
//! `%.17Lf`: exactly, to 17 decimal places, rounded half to even, trailing zeros cut. The result is what goes to replicas,
//! so it has to agree to the last digit. An `f64` would differ in the 16th. Arithmetic and the rounding of decimal input are
//! `rustc_apfloat`'s; which texts are numbers (those of `strtold`, and no more) and how they are printed stands here.
//!
//! Observed: redis-server 7.0.15, INCRBYFLOAT.

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};

/// Longest text of a number, bytes: Redis copies it to a buffer of 5 KiB with its terminator.
const TEXT_MAX_BYTES: usize = 5 * 1024 - 1;
/// Decimal places that are printed.
const PLACES: u32 = 17;
/// Limbs of a printed integer hold nine digits each.
const LIMB: u64 = 1_000_000_000;
/// No exponent beyond this many digits changes whether a number overflows or underflows.
const EXPONENT_MAX: i64 = 1_000_000;

/// A long double. Infinite, perhaps, but never NaN when it was read from text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LongDouble(X87DoubleExtended);

impl From<i64> for LongDouble {
    fn from(n: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(i128::from(n)).value)
    }
}

impl LongDouble {
    /// Reads a number as `strtold` does, if all of `text` is one: decimal, hexadecimal, `inf`. Refused are NaN, white space,
    /// an overflow and an underflow to zero.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.is_empty() || text.len() > TEXT_MAX_BYTES {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude = if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            X87DoubleExtended::INFINITY
        } else {
            finite(rest)?
        };
        Some(LongDouble(if negative { -magnitude } else { magnitude }))
    }

    /// The sum, unless it is infinite or not a number.
    pub fn checked_add(self, other: LongDouble) -> Option<LongDouble> {
        let sum = self.0.add_r(other.0, Round::NearestTiesToEven).value;
        sum.is_finite().then_some(LongDouble(sum))
    }

    /// The number times `factor`, rounded up to an integer; `None` if that has more than 64 bits.
    pub fn scaled_up(self, factor: i64) -> Option<i64> {
        let product = self.0.mul_r(LongDouble::from(factor).0, Round::NearestTiesToEven).value;
        let rounded = product.to_i128_r(64, Round::TowardPositive, &mut false);
        (!rounded.status.contains(Status::INVALID_OP)).then_some(rounded.value as i64)
    }

    /// The finite number's text: its exact value to 17 decimal places, rounded half to even, without trailing zeros.
    pub fn to_text(self) -> String {
        let bits = self.0.to_bits();
        let significand = bits as u64;
        // A subnormal number has the exponent of the smallest normal one.
        let exponent = ((bits >> 64) as i32 & 0x7fff).max(1) - 16_383 - 63;
        let (whole, places) = if exponent >= 0 {
            (shifted_digits(significand, exponent as u32), 0)
        } else {
            let (whole, places) = split(significand, exponent.unsigned_abs());
            (whole.to_string(), places)
        };
        let text = if places == 0 {
            whole
        } else {
            format!("{whole}.{}", format!("{places:017}").trim_end_matches('0'))
        };
        if self.0.is_negative() && text != "0" { format!("-{text}") } else { text }
    }
}

/// Reads a number without its sign.
fn finite(text: &[u8]) -> Option<X87DoubleExtended> {
    let (radix, mark, body) = match text {
        [b'0', b'x' | b'X', body @ ..] => (16, b'p', body),
        body => (10, b'e', body),
    };
    let end = body.iter().position(|b| b.eq_ignore_ascii_case(&mark));
    let (digits, exponent) = match end {
        Some(end) => (&body[..end], exponent(&body[end + 1..])?),
        None => (body, 0),
    };
    let is_digit = |b: u8| char::from(b).is_digit(radix);
    let dots = digits.iter().filter(|b| **b == b'.').count();
    if dots > 1 || digits.len() == dots || !digits.iter().all(|b| *b == b'.' || is_digit(*b)) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    let prefix = if radix == 16 { "0x" } else { "" };
    let text = format!("{prefix}{digits}{}{exponent}", char::from(mark));
    let value = X87DoubleExtended::from_str_r(&text, Round::NearestTiesToEven).ok()?.value;
    let is_zero = digits.bytes().all(|b| matches!(b, b'0' | b'.'));
    (value.is_finite() && value.is_zero() == is_zero).then_some(value)
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n = digits.iter().fold(0, |n, digit| (n * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    Some(if negative { -n } else { n })
}

/// `significand` / 2^`shift` as its whole part and its 17 decimal places, rounded half to even. `shift` is at least 1.
fn split(significand: u64, shift: u32) -> (u64, u64) {
    const ONE: u128 = 10u128.pow(PLACES);
    let whole = significand.checked_shr(shift).unwrap_or(0);
    let fraction = significand & 1u64.checked_shl(shift).map_or(u64::MAX, |bit| bit - 1);
    // 64 bits times 57: far from the top of 128, so that with a shift of 128 or more less than half is left.
    let scaled = u128::from(fraction) * ONE;
    let Some(mut places) = scaled.checked_shr(shift) else { return (whole, 0) };
    let (rest, half) = (scaled & ((1 << shift) - 1), 1 << (shift - 1));
    if rest > half || rest == half && places % 2 == 1 {
        places += 1;
    }
    if places == ONE { (whole + 1, 0) } else { (whole, places as u64) }
}

/// `significand` · 2^`shift` in decimal.
fn shifted_digits(significand: u64, mut shift: u32) -> String {
    let mut limbs = vec![significand % LIMB, significand / LIMB % LIMB, significand / LIMB / LIMB];
    while shift > 0 {
        let step = shift.min(32);
        let mut carry = 0;
        for limb in &mut limbs {
            let n = (*limb << step) + carry;
            (*limb, carry) = (n % LIMB, n / LIMB);
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
        shift -= step;
    }
    let digits: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { "0".into() } else { trimmed.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &str, b: &str, sum: Option<&str>) {
        let [x, y] = [a, b].map(|text| LongDouble::parse(text.as_bytes()).expect(text));
        assert_eq!(x.checked_add(y).map(LongDouble::to_text).as_deref(), sum, "{a} + {b}");
    }

    #[test]
    fn products_are_rounded_up_within_64_bits() {
        for (text, millis) in [
            ("0.0001", Some(1)),
            ("-0.0001", Some(0)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.9", None),
            ("-1e300", None),
            ("inf", None),
        ] {
            let number = LongDouble::parse(text.as_bytes()).expect("a number");
            assert_eq!(number.scaled_up(1000), millis, "{text}");
        }
    }

    #[test]
    fn sums_are_those_of_the_real_server() {
        check("10.5", "0.1", Some("10.6"));
        check("3.0e3", "1", Some("3001"));
        check("0", "0x10", Some("16"));
        check("3017", "0X1.P-3", Some("3017.125"));
        check("0", "-0", Some("0"));
        check("0", "1e-20", Some("0"));
        check("-1e-20", "0", Some("0"));
        check("0", "0.00000000000000001", Some("0.00000000000000001"));
        check("1e18", "0.1", Some("1000000000000000000.125"));
        check("1.2345678901234567890123", "0", Some("1.23456789012345679"));
        check("0.999999999999999999", "0", Some("1"));
        check("5e3", "2.0e2", Some("5200"));
        check("-5.25", "+.25", Some("-5"));
        check("1e19", "1", Some("10000000000000000001"));
        check("18446744073709551616", "0", Some("18446744073709551616"));
        check("1e4932", "1e4932", None);
        check("inf", "1", None);
        check("INFINITY", "-inf", None);
    }

    #[test]
    fn subnormal_numbers_are_numbers_and_print_as_zero() {
        check("1e-4940", "-1e-4940", Some("0"));
        check("3.6e-4951", "0", Some("0"));
    }

    #[test]
    fn the_largest_number_prints_all_its_digits() {
        let text = LongDouble::parse(b"1.18973149535723176502e4932").expect("finite").to_text();
        assert_eq!(text.len(), 4933);
        assert!(text.starts_with("118973149535723176502126385303097020516906332229462420044032373389173700"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", " 1", "1 ", "abc", "nan", "-nan", "nan(1)", "1e5000", "-1e5000", "1e-5000", "0x", "0xp1",
            ".", "-", "+", "1e", "1e+", "1.2.3", "--1", "infi", "0x1g", "1e5.0", "1_000", "e5", "1p5",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert!(LongDouble::parse(&[b'0'; TEXT_MAX_BYTES]).is_some());
        assert!(LongDouble::parse(&[b'0'; TEXT_MAX_BYTES + 1]).is_none());
    }

    #[test]
    fn extreme_exponents_are_no_trouble() {
        for (text, is_some) in [
            ("0e99999999999999999999", true),
            ("1e-99999999999999999999", false),
            ("0x1p99999999999999999", false),
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()).is_some(), is_some, "{text}");
        }
        let tiny = format!("0.{}1e4000", "0".repeat(3_999));
        assert_eq!(LongDouble::parse(tiny.as_bytes()).map(LongDouble::to_text).as_deref(), Some("1"));
    }
}
