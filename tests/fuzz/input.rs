//! What a fuzz input means to all targets: how it is cut into pieces, and bytes that stand for long runs.
//!
//! The first four bytes are the seed of the cuts. In the rest, [`RUN`] followed by `n` and `b` stands for `n` times 256 bytes `b`, so that an
//! input of a few bytes reaches limits of 16 and 64 KiB; only targets that have such limits expand it.

/// The byte that begins a run. It occurs in no text protocol.
pub const RUN: u8 = 0xf8;
/// Bytes that one unit of a run's length stands for.
const RUN_UNIT_BYTES: usize = 256;
/// An expanded input ends here, so that it stays quick.
const EXPANDED_MAX_BYTES: usize = 160 << 10;

/// Splits the seed of the cuts off.
pub fn split(data: &[u8]) -> Option<(u32, &[u8])> {
    let (seed, rest) = data.split_first_chunk()?;
    Some((u32::from_le_bytes(*seed), rest))
}

/// Writes runs out.
pub fn expand(mut rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(rest.len());
    // A run of the greatest length more is no harm.
    while all.len() < EXPANDED_MAX_BYTES {
        rest = match rest {
            [] => break,
            [RUN, n, byte, after @ ..] => {
                all.resize(all.len() + usize::from(*n) * RUN_UNIT_BYTES, *byte);
                after
            }
            [byte, after @ ..] => {
                all.push(*byte);
                after
            }
        };
    }
    all
}

/// Cuts `bytes` into pieces of lengths that follow from `seed`; 0 leaves it whole.
pub fn pieces(seed: u32, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut state, mut rest) = (seed, bytes);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Mostly a few bytes, sometimes many; long inputs in fewer pieces.
        let most = 1 << (state >> 28);
        let len = 1 + (state >> 8) as usize % most + bytes.len() / 512;
        let (piece, after) = rest.split_at(if seed == 0 { rest.len() } else { len.min(rest.len()) });
        rest = after;
        Some(piece)
    })
}
