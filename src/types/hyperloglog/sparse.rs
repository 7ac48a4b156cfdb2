//! The sparse form of a sketch: runs of registers.
//!
//! ```text
//! 00llllll            1 to 64 registers at 0
//! 01llllll llllllll   1 to 16,384 registers at 0
//! 1rrrrrll            1 to 4 registers at rank 1 to 32
//! ```
//!
//! All lengths and ranks are stored less one. How a change splits and joins runs is a part of the format: two servers that
//! are given the same elements must hold the same bytes.

use super::{Corrupted, Mark};

/// The longest run of zeros that takes one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// The longest run of values.
const VALUES_MAX: usize = 4;
/// The greatest rank that a run can say.
const RANK_MAX: u8 = 32;
/// Runs that are looked at for joining after a change, from the one before it.
const JOINED_RUNS: usize = 5;

/// One run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Registers at 0 in the form of one byte.
    ShortZeros(usize),
    /// Registers at 0 in the form of two bytes.
    Zeros(usize),
    /// Registers that hold the same rank.
    Values { rank: u8, len: usize },
}

impl Op {
    /// The run at the beginning of `bytes` and how many bytes it takes.
    fn read(bytes: &[u8]) -> Option<(usize, Op)> {
        match *bytes {
            [byte, ..] if byte & 0x80 != 0 => {
                Some((1, Op::Values { rank: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 0x3) + 1 }))
            }
            [byte, ..] if byte & 0x40 == 0 => Some((1, Op::ShortZeros(usize::from(byte) + 1))),
            [high, low, ..] => Some((2, Op::Zeros(usize::from(u16::from_be_bytes([high & 0x3f, low])) + 1))),
            _ => None,
        }
    }

    /// So many zeros in the shorter form.
    fn zeros(len: usize) -> Op {
        if len > SHORT_ZEROS_MAX { Op::Zeros(len) } else { Op::ShortZeros(len) }
    }

    /// Appends the run's bytes.
    pub(super) fn append_to(self, bytes: &mut Vec<u8>) {
        match self {
            Op::ShortZeros(len) => bytes.push((len - 1) as u8),
            Op::Zeros(len) => bytes.extend_from_slice(&((len - 1) as u16 | 0x4000).to_be_bytes()),
            Op::Values { rank, len } => bytes.push(value_byte(rank, len)),
        }
    }

    /// How many registers it covers.
    pub fn len(self) -> usize {
        match self {
            Op::ShortZeros(len) | Op::Zeros(len) | Op::Values { len, .. } => len,
        }
    }

    /// Never: every run covers something.
    pub fn is_empty(self) -> bool {
        false
    }

    /// What its registers hold.
    pub fn rank(self) -> u8 {
        match self {
            Op::ShortZeros(_) | Op::Zeros(_) => 0,
            Op::Values { rank, .. } => rank,
        }
    }
}

fn value_byte(rank: u8, len: usize) -> u8 {
    0x80 | (rank - 1) << 2 | (len - 1) as u8
}

/// The runs, each with the bytes that it takes, up to one that is cut off.
pub(super) fn ops(mut body: &[u8]) -> impl Iterator<Item = (usize, Op)> {
    std::iter::from_fn(move || {
        let (bytes, op) = Op::read(body)?;
        body = &body[bytes..];
        Some((bytes, op))
    })
}

/// What became of a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    /// The register holds as much already.
    Nothing,
    Changed,
    /// There is no room for it in this form; nothing has changed.
    MustBeDense,
}

/// Adds a mark to the runs that follow the first `header` of `bytes`, which may become `max_bytes` long in all.
///
/// # Errors
/// [`Corrupted`] when the runs do not reach the register.
pub(super) fn add(
    bytes: &mut Vec<u8>,
    header: usize,
    mark: Mark,
    max_bytes: usize,
) -> Result<Added, Corrupted> {
    if mark.rank > RANK_MAX {
        return Ok(Added::MustBeDense);
    }
    let (mut at, mut before, mut first) = (header, header, 0);
    let (taken, op) = loop {
        let (taken, op) = Op::read(&bytes[at..]).ok_or(Corrupted)?;
        if mark.register < first + op.len() {
            break (taken, op);
        }
        before = at;
        at += taken;
        first += op.len();
    };
    if op.rank() >= mark.rank {
        return Ok(Added::Nothing);
    }
    let split = split(op, first, mark);
    if split.len() > taken && bytes.len() - taken + split.len() > max_bytes {
        return Ok(Added::MustBeDense);
    }
    bytes.splice(at..at + taken, split);
    join(bytes, before);
    Ok(Added::Changed)
}

/// The runs that take the place of `op`, which begins at register `first`, once the mark is in it.
fn split(op: Op, first: usize, mark: Mark) -> Vec<u8> {
    let part = |len| match op {
        Op::Values { rank, .. } => Op::Values { rank, len },
        Op::ShortZeros(_) | Op::Zeros(_) => Op::zeros(len),
    };
    let (left, right) = (mark.register - first, first + op.len() - 1 - mark.register);
    let mut runs = Vec::with_capacity(5);
    if left > 0 {
        part(left).append_to(&mut runs);
    }
    Op::Values { rank: mark.rank, len: 1 }.append_to(&mut runs);
    if right > 0 {
        part(right).append_to(&mut runs);
    }
    runs
}

/// Joins neighbouring runs of the same rank, from the run at `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS {
        let Some((taken, op)) = Op::read(&bytes[at..]) else { return };
        let next = Op::read(&bytes[at + taken..]).map(|(_, next)| next);
        match (op, next) {
            (Op::Values { rank, len }, Some(Op::Values { rank: same, len: more }))
                if rank == same && len + more <= VALUES_MAX =>
            {
                bytes[at + 1] = value_byte(rank, len + more);
                bytes.remove(at);
            }
            _ => at += taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs, a mark at register 4, and the runs that come of it.
    #[track_caller]
    fn check(runs: &[Op], rank: u8, max_bytes: usize, expected: Result<Added, Corrupted>, after: &[Op]) {
        let mut bytes = Vec::new();
        runs.iter().for_each(|run| run.append_to(&mut bytes));
        assert_eq!(add(&mut bytes, 0, Mark { register: 4, rank }, max_bytes), expected, "{runs:?}");
        assert_eq!(ops(&bytes).map(|(_, op)| op).collect::<Vec<_>>(), after, "{runs:?}");
    }

    fn values(rank: u8, len: usize) -> Op {
        Op::Values { rank, len }
    }

    use Op::{ShortZeros, Zeros};

    #[test]
    fn runs_are_split() {
        let changed = Ok(Added::Changed);
        check(&[Zeros(100)], 3, 9, changed, &[ShortZeros(4), values(3, 1), Zeros(95)]);
        check(&[ShortZeros(4), Zeros(100)], 3, 9, changed, &[ShortZeros(4), values(3, 1), Zeros(99)]);
        check(&[ShortZeros(5)], 3, 9, changed, &[ShortZeros(4), values(3, 1)]);
        check(&[ShortZeros(4), ShortZeros(1)], 3, 2, changed, &[ShortZeros(4), values(3, 1)]);
        check(
            &[ShortZeros(3), values(2, 3)],
            3,
            9,
            changed,
            &[ShortZeros(3), values(2, 1), values(3, 1), values(2, 1)],
        );
    }

    #[test]
    fn runs_are_joined() {
        let changed = Ok(Added::Changed);
        check(&[values(2, 4), values(1, 1), values(2, 1)], 2, 9, changed, &[values(2, 4), values(2, 2)]);
        check(&[values(3, 1), values(2, 3), ShortZeros(1)], 2, 9, changed, &[values(3, 1), values(2, 4)]);
        check(
            &[ShortZeros(2), values(2, 2), ShortZeros(1), values(2, 1)],
            2,
            9,
            changed,
            &[ShortZeros(2), values(2, 4)],
        );
    }

    #[test]
    fn nothing_to_do_no_room_or_nowhere_to_do_it() {
        let zeros = [Zeros(100)];
        check(&[values(2, 4), values(2, 1)], 2, 9, Ok(Added::Nothing), &[values(2, 4), values(2, 1)]);
        check(&zeros, 3, 3, Ok(Added::MustBeDense), &zeros);
        check(&zeros, 33, 9, Ok(Added::MustBeDense), &zeros);
        check(&zeros, 32, 9, Ok(Added::Changed), &[ShortZeros(4), values(32, 1), Zeros(95)]);
        check(&[ShortZeros(4)], 3, 9, Err(Corrupted), &[ShortZeros(4)]);
        check(&[], 3, 9, Err(Corrupted), &[]);
    }
}
