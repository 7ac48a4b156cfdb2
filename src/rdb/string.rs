//! Strings inside the bytes that are being parsed: where they lie, or where they were made.
//!
//! Parsing must not borrow: the decoder may still find that the item is not whole. So a string is first a place
//! ([`Text`]), and becomes a slice when the item is delivered. A string that stands in the bytes as it is stays there;
//! an integer's text and an expanded LZF string go to a scratch that is reused.

use super::build::Builder;
use super::decode::{OWNED_FROM_BYTES, Value};
use super::error::Fault;
use super::lzf;
use super::wire::{Cursor, Halt, Head, TYPE_STRING, type_name};
use crate::types::{Limits, Object};

/// Where a text lies, so that it can be borrowed once no more parsing is done.
#[derive(Clone, Copy)]
pub(super) enum Text {
    /// In the bytes that were parsed.
    Source { start: usize, len: usize },
    /// In the scratch that belongs to its role (key or value).
    Scratch,
}

pub(super) enum StepValue {
    Int(i64),
    Text(Text),
    Owned(Vec<u8>),
    Object(Object),
    Empty,
}

impl StepValue {
    #[inline]
    pub(super) fn borrowed<'a>(self, src: &'a [u8], scratch: &'a [u8]) -> Value<'a> {
        match self {
            StepValue::Int(n) => Value::Int(n),
            StepValue::Text(place) => Value::Str(bytes_at(place, src, scratch)),
            StepValue::Owned(bytes) => Value::Owned(bytes),
            StepValue::Object(object) => Value::Object(object),
            StepValue::Empty => Value::Empty,
        }
    }
}

/// Reads a type byte and a value that `src` begins with, as DUMP has them; `take` gets the value, and `blocks` how many packed
/// blocks were looked at, whatever came of it.
pub(super) fn bare_value<T>(
    src: &[u8],
    valkey: bool,
    limits: &Limits,
    blocks: &mut u64,
    take: impl FnOnce(Value<'_>) -> T,
) -> Result<T, Fault> {
    let mut cursor = Cursor::new(src, 0);
    let mut scratch = Vec::new();
    let mut read = || match cursor.byte()? {
        TYPE_STRING => {
            let head = cursor.head()?;
            string_body(head, src, &mut cursor, &mut scratch)
        }
        value_type => {
            let unknown = match type_name(value_type, valkey) {
                Some(_) => Fault::UnsupportedType { value_type, valkey },
                None => Fault::UnknownType(value_type),
            };
            let mut builder = Builder::new(value_type, valkey).ok_or(unknown)?;
            let read = loop {
                match builder.step(src, &mut cursor, limits) {
                    Ok(false) => {}
                    end => break end,
                }
            };
            *blocks = builder.blocks();
            read?;
            Ok(builder.finish(limits).map_or(StepValue::Empty, StepValue::Object))
        }
    };
    match read() {
        Ok(value) => Ok(take(value.borrowed(src, &scratch))),
        Err(Halt::Need(_)) => Err(Fault::UnexpectedEof),
        Err(Halt::Fault(fault)) => Err(fault),
    }
}

/// Reads a text: where it lies in `src`, or, when it has to be made, `scratch` has it.
#[inline]
pub(super) fn text(src: &[u8], cursor: &mut Cursor<'_>, scratch: &mut Vec<u8>) -> Result<Text, Halt> {
    match cursor.head()? {
        Head::Plain { len } => Ok(Text::Source { start: cursor.span(len)?, len }),
        Head::Int(n) => {
            scratch.clear();
            scratch.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            Ok(Text::Scratch)
        }
        Head::Lzf { packed, len } => {
            unpack(src, cursor, packed, len, scratch)?;
            Ok(Text::Scratch)
        }
    }
}

/// Reads a string value after its head.
#[inline]
pub(super) fn string_body(
    head: Head,
    src: &[u8],
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Result<StepValue, Halt> {
    Ok(match head {
        Head::Int(n) => StepValue::Int(n),
        Head::Plain { len } => {
            let start = cursor.span(len)?;
            if len < OWNED_FROM_BYTES {
                StepValue::Text(Text::Source { start, len })
            } else {
                StepValue::Owned(src[start..start + len].to_vec())
            }
        }
        Head::Lzf { packed, len } if len < OWNED_FROM_BYTES => {
            unpack(src, cursor, packed, len, scratch)?;
            StepValue::Text(Text::Scratch)
        }
        Head::Lzf { packed, len } => {
            let mut out = Vec::new();
            unpack(src, cursor, packed, len, &mut out)?;
            StepValue::Owned(out)
        }
    })
}

/// Expands the compressed string that lies at the cursor.
fn unpack(
    src: &[u8],
    cursor: &mut Cursor<'_>,
    packed: usize,
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), Halt> {
    let start = cursor.span(packed)?;
    if lzf::decompress(&src[start..start + packed], len, out) { Ok(()) } else { Err(Fault::BadLzf.into()) }
}

#[inline]
pub(super) fn bytes_at<'a>(place: Text, src: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
    match place {
        Text::Source { start, len } => &src[start..start + len],
        Text::Scratch => scratch,
    }
}
