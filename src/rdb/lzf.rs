//! LZF, the compression inside RDB strings.
//!
//! The packed form is a sequence of tokens, told apart by the top three bits of their first byte:
//!
//! ```text
//! 000nnnnn                      n+1 literal bytes follow (1 to 32)
//! lllddddd dddddddd             copy l+2 bytes (3 to 8) from d+1 bytes back
//! 111ddddd llllllll dddddddd    copy l+9 bytes (9 to 264) from d+1 bytes back
//! ```
//!
//! Distances reach 8192 bytes back. The compressor is greedy with a single probe, like the fast mode of liblzf, whose
//! bytes need not be matched: any valid sequence will do. Its hash table outlives a call: positions are stored with a
//! base that moves past the window between inputs, so whatever an earlier input left behind is too far away to be
//! used and the table is cleared only when the 32-bit base wraps. It is 64 KiB, not liblzf's 256: with a window of
//! 8 KiB a larger one only misses the cache more often. On data without repeats the search strides faster and
//! faster, where liblzf tries every position.

/// The shortest match.
const MIN_MATCH: usize = 3;
/// The longest match.
const MAX_MATCH: usize = 264;
/// The longest run of literals.
const MAX_RUN: usize = 32;
/// How far back a match may lie.
const WINDOW: u32 = 8192;
/// Makes a cleared slot, which says 0, lie past the window.
const FIRST_BASE: u32 = WINDOW + 1;
const HASH_BITS: u32 = 14;
/// After 2^this many misses in a row the search takes one more byte at a time.
const STRIDE_SHIFT: usize = 5;
/// The longest stride: what follows a long stretch of noise is still found.
const MAX_STRIDE: usize = 16;
/// Bytes one packed byte can stand for: a three-byte token yields up to 264.
const MAX_EXPANSION: usize = MAX_MATCH / 3;
/// Copies are done in blocks of this size where both sides have room.
const BLOCK: usize = 16;

/// Compresses one string after another.
pub struct Compressor {
    table: Box<[u32; 1 << HASH_BITS]>,
    base: u32,
}

impl Compressor {
    /// Takes 64 KiB.
    pub fn new() -> Compressor {
        let table: Box<[u32]> = vec![0; 1 << HASH_BITS].into_boxed_slice();
        Compressor {
            table: table.try_into().expect("the table has the size it was made with"),
            base: FIRST_BASE,
        }
    }

    /// Appends the packed form of `input` to `out` if that takes at most `limit` bytes. Otherwise `None`, and
    /// `out` is as it was. Returns the packed length. O(n).
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Option<usize> {
        let start = out.len();
        let len = u32::try_from(input.len()).ok().filter(|&len| len < u32::MAX / 4)?;
        if self.base > u32::MAX / 2 {
            self.table.fill(0);
            self.base = FIRST_BASE;
        }
        let limit = limit.min(input.len() + input.len().div_ceil(MAX_RUN));
        let base = self.base;
        self.base += len + WINDOW;
        out.resize(start + limit + MAX_RUN, 0);
        let mut sink = Sink { out: &mut out[start..], len: 0, limit };
        let packed = compress_into(&mut self.table, base, input, &mut sink).map(|()| sink.len);
        out.truncate(start + packed.unwrap_or(0));
        packed
    }
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new()
    }
}

/// The search. `base` is added to positions in the table. `None` when the limit is passed.
fn compress_into(
    table: &mut [u32; 1 << HASH_BITS],
    base: u32,
    input: &[u8],
    sink: &mut Sink<'_>,
) -> Option<()> {
    let mut literals = 0;
    let mut pos = 0;
    let mut misses = 0usize;
    while let Some(here) = load(input, pos) {
        let slot = &mut table[hash(here)];
        let back = base + pos as u32 - *slot;
        *slot = base + pos as u32;
        // Slots of earlier inputs, and cleared ones, are further back than the window.
        if back.wrapping_sub(1) < WINDOW {
            let from = pos - back as usize;
            if load(input, from).is_some_and(|there| (there ^ here) << 8 == 0) {
                sink.literals(&input[literals..], pos - literals)?;
                let len = match_length(input, from, pos);
                sink.repeat(back as usize - 1, len)?;
                pos += len;
                literals = pos;
                misses = 0;
                // Of the positions inside the match the last one alone is remembered.
                if let Some(tail) = load(input, pos - 1) {
                    table[hash(tail)] = base + pos as u32 - 1;
                }
                continue;
            }
        }
        misses += 1;
        pos += (1 + (misses >> STRIDE_SHIFT)).min(MAX_STRIDE);
    }
    sink.literals(&input[literals..], input.len() - literals)
}

/// Four bytes at `pos`, the first three of which count as the low bits.
#[inline(always)]
fn load(input: &[u8], pos: usize) -> Option<u32> {
    input.get(pos..pos + 4).map(|four| u32::from_le_bytes(four.try_into().expect("four bytes were taken")))
}

#[inline(always)]
fn hash(four: u32) -> usize {
    ((four << 8).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How long the bytes at `pos` repeat those at `from`, at least [`MIN_MATCH`] as the caller has seen.
#[inline]
fn match_length(input: &[u8], from: usize, pos: usize) -> usize {
    let max = (input.len() - pos).min(MAX_MATCH);
    let (there, here) = (&input[from..from + max], &input[pos..pos + max]);
    let mut len = MIN_MATCH;
    while let (Some(a), Some(b)) = (there.get(len..len + 8), here.get(len..len + 8)) {
        let a = u64::from_le_bytes(a.try_into().expect("eight bytes were taken"));
        let b = u64::from_le_bytes(b.try_into().expect("eight bytes were taken"));
        let differ = a ^ b;
        if differ != 0 {
            return len + (differ.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    while len < max && there[len] == here[len] {
        len += 1;
    }
    len
}

/// Where tokens go. `out` has room for one longest run past the limit, so that runs can be copied in one block.
struct Sink<'a> {
    out: &'a mut [u8],
    len: usize,
    limit: usize,
}

impl Sink<'_> {
    /// The first `count` bytes of `bytes` as they are.
    #[inline(always)]
    fn literals(&mut self, mut bytes: &[u8], mut count: usize) -> Option<()> {
        if self.len + count + count.div_ceil(MAX_RUN) > self.limit {
            return None;
        }
        while count > 0 {
            let run = count.min(MAX_RUN);
            self.out[self.len] = run as u8 - 1;
            let room = &mut self.out[self.len + 1..];
            if let (Some(block), Some(room)) =
                (bytes.first_chunk::<MAX_RUN>(), room.first_chunk_mut::<MAX_RUN>())
            {
                *room = *block;
            } else {
                room[..run].copy_from_slice(&bytes[..run]);
            }
            self.len += 1 + run;
            bytes = &bytes[run..];
            count -= run;
        }
        Some(())
    }

    /// `len` bytes from `distance + 1` back.
    #[inline(always)]
    fn repeat(&mut self, distance: usize, len: usize) -> Option<()> {
        let (high, low) = ((distance >> 8) as u8, distance as u8);
        let len = len - 2;
        let room = self.out[self.len..].first_chunk_mut::<3>()?;
        if len < 7 {
            *room = [(len as u8) << 5 | high, low, 0];
            self.len += 2;
        } else {
            *room = [7 << 5 | high, (len - 7) as u8, low];
            self.len += 3;
        }
        (self.len <= self.limit).then_some(())
    }
}

/// Expands `packed` into `out`, which it replaces, if the result is exactly `len` bytes; false otherwise, with
/// anything in `out`. A `len` that so few packed bytes cannot stand for is refused before anything is allocated.
pub fn decompress(packed: &[u8], len: usize, out: &mut Vec<u8>) -> bool {
    if len > packed.len().saturating_mul(MAX_EXPANSION) {
        return false;
    }
    out.resize(len, 0);
    expand(packed, out) == Some(len)
}

/// Returns how much of `out` was filled; `None` if the tokens are wrong or want more room.
fn expand(packed: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut from = 0;
    let mut to = 0;
    while let Some(&token) = packed.get(from) {
        from += 1;
        if token < 32 {
            let run = usize::from(token) + 1;
            copy_literals(packed.get(from..)?, &mut out[to..], run)?;
            from += run;
            to += run;
            continue;
        }
        let mut len = usize::from(token >> 5);
        if len == 7 {
            len += usize::from(*packed.get(from)?);
            from += 1;
        }
        let distance = (usize::from(token & 31) << 8 | usize::from(*packed.get(from)?)) + 1;
        from += 1;
        len += 2;
        copy_match(out, to, distance, len)?;
        to += len;
    }
    Some(to)
}

#[inline(always)]
fn copy_literals(packed: &[u8], out: &mut [u8], run: usize) -> Option<()> {
    if let (Some(two), Some(room)) = (packed.first_chunk::<MAX_RUN>(), out.first_chunk_mut::<MAX_RUN>()) {
        *room = *two;
        return Some(());
    }
    out.get_mut(..run)?.copy_from_slice(packed.get(..run)?);
    Some(())
}

/// Copies `len` bytes from `distance` back; the two may overlap, which repeats the bytes between them.
#[inline(always)]
fn copy_match(out: &mut [u8], to: usize, distance: usize, len: usize) -> Option<()> {
    let from = to.checked_sub(distance)?;
    if to + len > out.len() {
        return None;
    }
    if distance == 1 {
        let byte = out[from];
        out[to..to + len].fill(byte);
        return Some(());
    }
    if distance >= BLOCK && to + len + BLOCK <= out.len() {
        let mut done = 0;
        while done < len {
            let block: [u8; BLOCK] = *out[from + done..].first_chunk().expect("a block lies before the end");
            *out[to + done..].first_chunk_mut().expect("a block of room was checked") = block;
            done += BLOCK;
        }
        return Some(());
    }
    let mut done = 0;
    while done < len {
        let step = (len - done).min(distance + done);
        out.copy_within(from..from + step, to + done);
        done += step;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packs, unpacks, and compares; returns the packed size.
    fn check(compressor: &mut Compressor, input: &[u8]) -> Option<usize> {
        let mut packed = b"kept".to_vec();
        let size = compressor.compress(input, &mut packed, input.len() + input.len() / 8 + 8);
        let Some(size) = size else {
            assert_eq!(packed, b"kept");
            return None;
        };
        assert_eq!(packed.len(), 4 + size);
        let mut back = vec![9; 7];
        assert!(decompress(&packed[4..], input.len(), &mut back));
        assert_eq!(back, input);
        assert!(!decompress(&packed[4..], input.len() + 1, &mut back));
        assert!(input.is_empty() || !decompress(&packed[4..], input.len() - 1, &mut back));
        Some(size)
    }

    #[test]
    fn repeats_of_every_period_come_back() {
        let mut compressor = Compressor::new();
        for period in [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 255, 1000] {
            for len in [0, 1, 3, 4, 5, 20, 64, 263, 264, 265, 266, 267, 600, 9000, 20_000] {
                let input: Vec<u8> = (0..len).map(|i| ((i % period) * 37 + (i % period) / 7) as u8).collect();
                let size = check(&mut compressor, &input).expect("room for any input was given");
                assert!(len < 2000 || size < len / 2, "period {period}: {len} packed to {size}");
            }
        }
    }

    #[test]
    fn a_known_packed_string_expands() {
        // Redis 7.0.15's own bytes for 300 times 'a'.
        let packed = [0x01, 0x61, 0x61, 0xe0, 0xff, 0x00, 0xe0, 0x17, 0x00, 0x01, 0x61, 0x61];
        let mut out = Vec::new();
        assert!(decompress(&packed, 300, &mut out));
        assert_eq!(out, [b'a'; 300]);
    }

    #[test]
    fn gives_up_when_the_limit_is_not_met() {
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        let noise: Vec<u8> = (0..1000).map(|_| next()).collect();
        let mut out = vec![1];
        assert_eq!(Compressor::new().compress(&noise, &mut out, noise.len() - 4), None);
        assert_eq!(out, [1]);
    }

    #[test]
    fn an_implausible_length_is_refused_without_allocating() {
        let mut out = Vec::new();
        assert!(!decompress(&[0xe0, 0xff, 0], usize::MAX, &mut out));
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn text_after_noise_is_found() {
        let mut seed = 1u64;
        let mut input: Vec<u8> = Vec::new();
        for _ in 0..50_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            input.push((seed >> 56) as u8);
        }
        input.extend_from_slice(&b"some text, some more text; ".repeat(2000));
        let size = check(&mut Compressor::new(), &input).expect("room for any input was given");
        assert!(size < 54_000, "{size}");
    }

    #[test]
    fn survives_a_wrap_of_the_base() {
        let mut compressor = Compressor::new();
        let input = b"abcabcabcabcabcabcabc--abcabcabc".repeat(20);
        check(&mut compressor, &input);
        compressor.base = u32::MAX / 2;
        check(&mut compressor, &input);
        check(&mut compressor, &input);
        assert!(compressor.base < 1 << 20);
    }

    proptest! {
        #[test]
        fn any_inputs_in_a_row_come_back(inputs in prop::collection::vec(
            prop::collection::vec(0u8..6, 0..600), 1..8)) {
            let mut compressor = Compressor::new();
            for input in &inputs {
                prop_assert!(check(&mut compressor, input).is_some());
            }
        }

        #[test]
        fn hostile_bytes_are_refused_or_expand_to_what_they_say(
            packed in prop::collection::vec(any::<u8>(), 0..200), len in 0usize..4000) {
            let mut out = Vec::new();
            if decompress(&packed, len, &mut out) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
