//! DUMP payloads made by hand: what RESTORE reads, and what it must refuse.
//!
//! A payload is an RDB type byte and value, the RDB version (two bytes, little endian), and the CRC-64 of all
//! that. The checksum here is a few lines of its own, bit by bit: borrowing the server's would let both
//! be wrong together.

/// The RDB version of the payloads: the one that every supported peer reads.
const RDB_VERSION: u16 = 10;

/// CRC-64/Jones, reflected, as RDB uses it.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL_REFLECTED: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL_REFLECTED * (crc & 1)))
    })
}

/// A type byte and value, with a version and a good checksum.
pub fn seal(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&version.to_le_bytes());
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    payload
}

/// The payload of a plain string shorter than 16 KiB.
pub fn string(content: &[u8]) -> Vec<u8> {
    seal(&string_body(content), RDB_VERSION)
}

fn string_body(content: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    match content.len() {
        length @ 0..64 => body.push(length as u8),
        length => body.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]),
    }
    body.extend_from_slice(content);
    body
}

/// The payload of a string that RDB keeps as a 32-bit integer.
pub fn int32(number: i32) -> Vec<u8> {
    let mut body = vec![0, 0xc2];
    body.extend_from_slice(&number.to_le_bytes());
    seal(&body, RDB_VERSION)
}

/// What an edge case writes as `{dump…:…}`: `:text` a string, `-int:n` an integer, `-crc:text` with a wrong
/// checksum, `-version:n:text` of another RDB version, `-body:hex` any type byte and value.
///
/// # Errors
///
/// For a form that is none of these.
pub fn from_spec(spec: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(spec).map_err(|error| error.to_string())?;
    let (form, rest) = text.split_once(':').ok_or("{dump…:…} without a colon")?;
    match form {
        "" => Ok(string(rest.as_bytes())),
        "-int" => rest.parse().map(int32).map_err(|error| format!("{rest}: {error}")),
        "-crc" => {
            let mut payload = string(rest.as_bytes());
            *payload.last_mut().expect("a payload has a checksum") ^= 1;
            Ok(payload)
        }
        "-version" => {
            let (version, content) = rest.split_once(':').ok_or("{dump-version:n:text}")?;
            let version = version.parse().map_err(|error| format!("{version}: {error}"))?;
            Ok(seal(&string_body(content.as_bytes()), version))
        }
        "-body" => Ok(seal(&from_hex(rest)?, RDB_VERSION)),
        _ => Err(format!("{{dump{form}:…}} is not a form")),
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = |at| text.get(at..at + 2).ok_or("an odd number of hex digits".to_string());
    let byte = |at| u8::from_str_radix(digits(at)?, 16).map_err(|error| error.to_string());
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_one_of_rdb() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }
}
