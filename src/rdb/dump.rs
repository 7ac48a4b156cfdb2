//! The payload of DUMP, RESTORE and MIGRATE: one value, a version, a checksum.
//!
//! ```text
//! type byte | value | version, 2 bytes little-endian | CRC-64 of all before it, 8 bytes little-endian
//! ```
//!
//! The value is parsed by the functions that read whole files. As in Redis, bytes between the value's end and the footer are not looked at.

use std::fmt;

use super::crc64::crc64;
use super::decode::Value;
use super::encode::{Options, ValueRef, Writer};
use super::error::Fault;
use super::{MAX_REDIS_VERSION, VALKEY_VERSION, string};
use crate::types::{Limits, Object};

/// The version and the checksum.
const FOOTER_BYTES: usize = 10;

/// A value with its own bytes.
#[derive(Clone, Debug)]
pub enum OwnedValue {
    /// A string that is this integer's text.
    Int(i64),
    /// A string.
    Str(Vec<u8>),
    /// A collection.
    Object(Object),
}

/// Why a payload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// The footer: too short, too new, or the checksum does not fit.
    Footer,
    /// The value.
    Data(Fault),
}

impl fmt::Display for PayloadError {
    /// The text of the error reply, without its `ERR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::Footer => f.write_str("DUMP payload version or checksum are wrong"),
            PayloadError::Data(_) => f.write_str("Bad data format"),
        }
    }
}

impl std::error::Error for PayloadError {}

/// The payload for `value`. `options` gives the compression and the version: Redis refuses a payload whose version is
/// newer than its own (7.0 writes and accepts 10).
pub fn encode_payload(value: ValueRef<'_>, options: Options) -> Vec<u8> {
    let mut writer = Writer::new(Options { checksum: false, ..options });
    writer.bare_value(value);
    let mut payload = writer.take();
    payload.extend_from_slice(&u16::from(options.version).to_le_bytes());
    let crc = crc64(&payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// The value of `payload`; `verify` says whether the checksum must be right.
///
/// # Errors
/// [`PayloadError::Footer`] before anything is parsed, [`PayloadError::Data`] after.
pub fn decode_payload(payload: &[u8], verify: bool, limits: &Limits) -> Result<OwnedValue, PayloadError> {
    decode_counting(payload, verify, limits, &mut 0)
}

/// [`decode_payload`]; `blocks` gets how many packed blocks (listpacks, intsets and their kin) were validated, the one at fault
/// included.
///
/// # Errors
/// As [`decode_payload`].
pub fn decode_counting(
    payload: &[u8],
    verify: bool,
    limits: &Limits,
    blocks: &mut u64,
) -> Result<OwnedValue, PayloadError> {
    let valkey = check_footer(payload, verify)?;
    let body = &payload[..payload.len() - FOOTER_BYTES];
    let owned = |value: Value<'_>| match value {
        Value::Int(n) => Ok(OwnedValue::Int(n)),
        Value::Str(bytes) => Ok(OwnedValue::Str(bytes.to_vec())),
        Value::Owned(bytes) => Ok(OwnedValue::Str(bytes)),
        Value::Object(object) => Ok(OwnedValue::Object(object)),
        Value::Empty => Err(PayloadError::Data(Fault::EmptyValue)),
    };
    string::bare_value(body, valkey, limits, blocks, owned).map_err(PayloadError::Data)?
}

/// Whether the footer is Valkey's rather than Redis's, if it is right.
fn check_footer(payload: &[u8], verify: bool) -> Result<bool, PayloadError> {
    let (rest, crc) = payload.split_last_chunk::<8>().ok_or(PayloadError::Footer)?;
    let (_, version) = rest.split_last_chunk::<2>().ok_or(PayloadError::Footer)?;
    let version = u32::from(u16::from_le_bytes(*version));
    if version > MAX_REDIS_VERSION && version != VALKEY_VERSION {
        return Err(PayloadError::Footer);
    }
    if verify && u64::from_le_bytes(*crc) != crc64(rest) {
        return Err(PayloadError::Footer);
    }
    Ok(version == VALKEY_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(payload: &[u8], verify: bool) -> Result<OwnedValue, PayloadError> {
        decode_payload(payload, verify, &Limits::default())
    }

    /// The value as text.
    fn shown(value: Result<OwnedValue, PayloadError>) -> String {
        format!("{value:?}")
    }

    fn check(value: ValueRef<'_>, expected: &OwnedValue) {
        for compress in [false, true] {
            let payload = encode_payload(value, Options { compress, ..Options::default() });
            assert_eq!(shown(decode(&payload, true)), shown(Ok(expected.clone())));
            for short in 0..payload.len() {
                assert_eq!(decode(&payload[..short], true).err(), Some(PayloadError::Footer));
            }
            let mut wrong = payload.clone();
            wrong[0] ^= 1;
            assert_eq!(decode(&wrong, true).err(), Some(PayloadError::Footer));
            let _ = decode(&wrong, false);
        }
    }

    #[test]
    fn strings_come_back() {
        check(ValueRef::Int(-70_000), &OwnedValue::Int(-70_000));
        check(ValueRef::Str(b"123"), &OwnedValue::Int(123));
        check(ValueRef::Int(i64::MIN), &OwnedValue::Str(b"-9223372036854775808".to_vec()));
        check(ValueRef::Str(b""), &OwnedValue::Str(Vec::new()));
        check(ValueRef::Str(&[7; 700]), &OwnedValue::Str(vec![7; 700]));
        check(ValueRef::Str(&[7; 70_000]), &OwnedValue::Str(vec![7; 70_000]));
    }

    #[test]
    fn the_payload_is_the_real_servers() {
        // DUMP of a key set to "bar", as redis-server 7.0.15 replies.
        let payload = encode_payload(ValueRef::Str(b"bar"), Options::default());
        assert_eq!(payload, b"\x00\x03bar\n\x00\xe6\xbeI`\xeef\xfd\x17");
    }

    #[test]
    fn versions_too_new_are_refused() {
        for (version, fine) in [(0u16, true), (10, true), (15, true), (16, false), (80, true), (81, false)] {
            let mut payload = encode_payload(ValueRef::Str(b"x"), Options::default());
            payload.truncate(payload.len() - FOOTER_BYTES);
            payload.extend_from_slice(&version.to_le_bytes());
            let crc = crc64(&payload);
            payload.extend_from_slice(&crc.to_le_bytes());
            assert_eq!(decode(&payload, true).is_ok(), fine, "version {version}");
        }
    }

    #[test]
    fn data_that_ends_early_is_bad_data() {
        for body in [&b""[..], b"\x00", b"\x00\x05abc", b"\x00\xc3\x01\x40\xff\x00", b"\x0e\x00", b"\xff"] {
            let mut payload = body.to_vec();
            payload.extend_from_slice(&10u16.to_le_bytes());
            let crc = crc64(&payload);
            payload.extend_from_slice(&crc.to_le_bytes());
            let error = decode(&payload, true).expect_err("the value is not whole");
            assert!(error.to_string().starts_with("Bad data format"), "{error}");
        }
    }
}
