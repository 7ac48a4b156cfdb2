//! Bits of a string, numbered from the first byte's highest: counting, searching and combining by words, and the integers
//! of any width that BITFIELD reads and writes.
//!
//! Everything here works on bytes alone and is written so that the compiler vectorises it: loops over whole words without
//! a branch, the odd bytes at the ends apart.

const WORD_BYTES: usize = 8;
const LANES: usize = 4;
/// What one round of counting takes: eight times all lanes.
const GROUP_BYTES: usize = 8 * LANES * WORD_BYTES;

/// As many words as are handled side by side: two SSE registers.
type Lanes = [u64; LANES];

/// Number of ones, at memory speed.
///
/// Eight words are added up bit by bit with full adders (Harley and Seal), so that only one word in eight has its ones counted:
/// without a machine instruction for it, which not every x86-64 has, counting costs a dozen operations.
pub fn count(bytes: &[u8]) -> u64 {
    let (groups, rest) = bytes.as_chunks::<GROUP_BYTES>();
    let (mut ones, mut twos, mut fours, mut eights) = ([0; LANES], [0; LANES], [0; LANES], 0);
    for group in groups {
        let [a, b, c, d, e, f, g, h] = lanes_of(group);
        let (carry_ab, sum) = add(ones, a, b);
        let (carry_cd, sum) = add(sum, c, d);
        let (carry_abcd, sum_twos) = add(twos, carry_ab, carry_cd);
        let (carry_ef, sum) = add(sum, e, f);
        let (carry_gh, sum) = add(sum, g, h);
        let (carry_efgh, sum_twos) = add(sum_twos, carry_ef, carry_gh);
        let (carry, sum_fours) = add(fours, carry_abcd, carry_efgh);
        (ones, twos, fours) = (sum, sum_twos, sum_fours);
        eights += count_lanes(carry);
    }
    let whole = 8 * eights + 4 * count_lanes(fours) + 2 * count_lanes(twos) + count_lanes(ones);
    whole + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

#[inline]
fn lanes_of(group: &[u8; GROUP_BYTES]) -> [Lanes; 8] {
    let (words, _) = group.as_chunks::<WORD_BYTES>();
    std::array::from_fn(|row| std::array::from_fn(|lane| u64::from_ne_bytes(words[row * LANES + lane])))
}

/// Adds three bits in each place: carry and sum.
#[inline]
fn add(a: Lanes, b: Lanes, c: Lanes) -> (Lanes, Lanes) {
    let half: Lanes = std::array::from_fn(|i| a[i] ^ b[i]);
    let carry = std::array::from_fn(|i| (a[i] & b[i]) | (half[i] & c[i]));
    (carry, std::array::from_fn(|i| half[i] ^ c[i]))
}

#[inline]
fn count_lanes(lanes: Lanes) -> u64 {
    lanes.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Number of ones among the bits from `first` to `last`, both of which are there.
pub fn count_range(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    let (head, tail) = (head_mask(first), tail_mask(last));
    if from == to {
        return u64::from((bytes[from] & head & tail).count_ones());
    }
    let ends = (bytes[from] & head).count_ones() + (bytes[to] & tail).count_ones();
    u64::from(ends) + count(&bytes[from + 1..to])
}

/// The bits of a byte from bit `first` of a string on.
fn head_mask(first: u64) -> u8 {
    0xff >> (first % 8)
}

/// The bits of a byte up to bit `last` of a string.
fn tail_mask(last: u64) -> u8 {
    0xff << (7 - last % 8)
}

/// The first bit that is `wanted`, among the bits from `first` to `last`, both of which are there.
pub fn find(bytes: &[u8], wanted: bool, first: u64, last: u64) -> Option<u64> {
    let flip = if wanted { 0 } else { 0xff };
    let (from, to) = ((first / 8) as usize, (last / 8) as usize);
    let in_byte = |at: usize, mask: u8| {
        let byte = (bytes[at] ^ flip) & mask;
        (byte != 0).then(|| at as u64 * 8 + u64::from(byte.leading_zeros()))
    };
    if from == to {
        return in_byte(from, head_mask(first) & tail_mask(last));
    }
    in_byte(from, head_mask(first))
        .or_else(|| find_other(&bytes[from + 1..to], flip).and_then(|at| in_byte(from + 1 + at, 0xff)))
        .or_else(|| in_byte(to, tail_mask(last)))
}

/// The first byte that is not `dull`.
fn find_other(bytes: &[u8], dull: u8) -> Option<usize> {
    let dull_word = u64::from_ne_bytes([dull; WORD_BYTES]);
    let (words, _) = bytes.as_chunks::<WORD_BYTES>();
    // Four words at a time: one test per 32 bytes.
    let quads = words.chunks_exact(4).position(|quad| {
        quad.iter().fold(0, |seen, word| seen | (u64::from_ne_bytes(*word) ^ dull_word)) != 0
    });
    let from = quads.unwrap_or(words.len() / 4) * 4 * WORD_BYTES;
    bytes[from..].iter().position(|byte| *byte != dull).map(|at| from + at)
}

/// How BITOP combines strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    And,
    Or,
    Xor,
}

/// Combines `into` with `other`, which is as if filled with zeros to the same length.
pub fn combine(into: &mut [u8], other: &[u8], how: Combine) {
    let common = into.len().min(other.len());
    let (both, beyond) = into.split_at_mut(common);
    let other = &other[..common];
    match how {
        Combine::And => {
            both.iter_mut().zip(other).for_each(|(a, b)| *a &= b);
            beyond.fill(0);
        }
        Combine::Or => both.iter_mut().zip(other).for_each(|(a, b)| *a |= b),
        Combine::Xor => both.iter_mut().zip(other).for_each(|(a, b)| *a ^= b),
    }
}

/// Inverts every bit.
pub fn invert(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
}

/// One bit; bits beyond the end are zero.
#[inline]
pub fn get(bytes: &[u8], bit: u64) -> bool {
    bytes.get((bit / 8) as usize).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
}

/// Sets one bit, which is there.
#[inline]
pub fn set(bytes: &mut [u8], bit: u64, on: bool) {
    let (byte, mask) = (&mut bytes[(bit / 8) as usize], 0x80 >> (bit % 8));
    *byte = if on { *byte | mask } else { *byte & !mask };
}

/// The unsigned integer of `width` (1 to 64) bits from `offset` on; bits beyond the end are zero.
pub fn read(bytes: &[u8], offset: u64, width: u32) -> u64 {
    let from = usize::try_from(offset / 8).unwrap_or(usize::MAX);
    let mut window = [0; 16];
    if let Some(rest) = bytes.get(from..) {
        let n = rest.len().min(9);
        window[..n].copy_from_slice(&rest[..n]);
    }
    let shifted = u128::from_be_bytes(window) << (offset % 8);
    (shifted >> (u128::BITS - width)) as u64
}

/// Writes the low `width` (1 to 64) bits of `value` at `offset`; all of them are there.
pub fn write(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    let (from, to) = ((offset / 8) as usize, ((offset + u64::from(width) - 1) / 8) as usize);
    let span = &mut bytes[from..=to];
    let mut window = [0; 16];
    window[..span.len()].copy_from_slice(span);
    let shift = u128::BITS - width - (offset % 8) as u32;
    let mask = (u128::MAX >> (u128::BITS - width)) << shift;
    let old = u128::from_be_bytes(window);
    let new = (old & !mask) | (u128::from(value) << shift & mask);
    span.copy_from_slice(&new.to_be_bytes()[..span.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8).map(|bit| get(bytes, bit)).collect()
    }

    /// Strings that often have long runs of equal bytes.
    fn strings() -> impl Strategy<Value = Vec<u8>> {
        let run = (prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..80usize);
        prop::collection::vec(run, 1..6)
            .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| vec![byte; n]).collect())
    }

    proptest! {
        #[test]
        fn counting_and_finding_agree_with_bit_by_bit(bytes in strings(), a in any::<u64>(), b in any::<u64>()) {
            let n = bytes.len() as u64 * 8;
            let (first, last) = ((a % n).min(b % n), (a % n).max(b % n));
            let model = &bits(&bytes)[first as usize..=last as usize];
            prop_assert_eq!(count_range(&bytes, first, last), model.iter().filter(|bit| **bit).count() as u64);
            for wanted in [true, false] {
                let expected = model.iter().position(|bit| *bit == wanted).map(|at| at as u64 + first);
                prop_assert_eq!(find(&bytes, wanted, first, last), expected);
            }
        }

        #[test]
        fn integers_agree_with_bit_by_bit(bytes in strings(), offset in any::<u64>(), width in 1..=64u32, value in any::<u64>()) {
            let model = bits(&bytes);
            let offset = offset % (model.len() as u64 + 80);
            let expected = (0..u64::from(width)).fold(0, |n, bit| {
                n << 1 | u64::from(model.get((offset + bit) as usize).copied().unwrap_or(false))
            });
            prop_assert_eq!(read(&bytes, offset, width), expected);
            if offset + u64::from(width) <= model.len() as u64 {
                let mut written = bytes.clone();
                write(&mut written, offset, width, value);
                prop_assert_eq!(read(&written, offset, width), value & (u64::MAX >> (64 - width)));
                let mut expected = bytes;
                (0..u64::from(width)).for_each(|bit| set(&mut expected, offset + bit, value >> (u64::from(width) - 1 - bit) & 1 == 1));
                prop_assert_eq!(written, expected);
            }
        }
    }

    #[test]
    fn long_strings_are_counted_whole() {
        let bytes: Vec<u8> = (0..100_003u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(count(&bytes), bytes.iter().map(|b| u64::from(b.count_ones())).sum::<u64>());
    }

    #[test]
    fn a_shorter_string_is_combined_as_if_filled_with_zeros() {
        for (how, expected) in
            [(Combine::And, [0b1000, 0]), (Combine::Or, [0b1110, 7]), (Combine::Xor, [0b0110, 7])]
        {
            let mut into = [0b1100, 7];
            combine(&mut into, &[0b1010], how);
            assert_eq!(into, expected, "{how:?}");
        }
    }
}
