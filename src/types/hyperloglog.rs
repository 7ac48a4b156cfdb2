//! HyperLogLog: an estimate of how many different elements were added, in at most 12 KiB.
//!
//! The value is a string, byte for byte Redis's: clients read and write it with GET and SET, replicas and dumps carry it as
//! any string. A header of 16 bytes (`HYLL`, the encoding, three unused bytes, the last estimate with its highest
//! bit for "out of date"), then 16,384 registers of 6 bits: all of them, packed ([dense](DENSE_BYTES)), or as runs
//! ([sparse]), which a sketch of few elements begins with.
//!
//! A register holds the longest run of zeros, plus one, that any hash that falls to it begins with; the estimate follows
//! from how many registers hold which number (Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches", arXiv:1702.01284).
//!
//! Invariant: whatever bytes a client has stored, nothing here panics or reads beyond them; what is not a sketch
//! is `None`, what says it is one and is not is [`Corrupted`]. A type of its own beside strings would have been the
//! alternative: GET, APPEND and SETRANGE of a sketch would then need an answer too.

pub mod sparse;

use sparse::Op;

/// Number of registers.
pub const REGISTERS: usize = 1 << REGISTER_BITS;
/// Bits of the hash that choose the register.
const REGISTER_BITS: u32 = 14;
/// The greatest number in a register: the rest of the hash is all zeros.
const RANK_MAX: usize = 64 - REGISTER_BITS as usize + 1;

/// Bytes before the registers.
const HEADER_BYTES: usize = 16;
/// Bytes of a dense sketch.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// Where the last estimate stands, little endian.
const CACHE: std::ops::Range<usize> = 8..16;
/// The estimate's bit that says that it is out of date.
const OUT_OF_DATE: u64 = 1 << 63;

/// The registers' bytes contradict themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupted;

/// Where an element falls, and what it wants there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub register: usize,
    pub rank: u8,
}

impl Mark {
    /// An element's register and rank.
    pub fn of(element: &[u8]) -> Mark {
        let hash = murmur(element);
        let rest = hash >> REGISTER_BITS | 1 << (RANK_MAX - 1);
        Mark { register: hash as usize % REGISTERS, rank: rest.trailing_zeros() as u8 + 1 }
    }
}

/// MurmurHash64A with the seed that Redis gives it; the bytes are taken as little endian.
fn murmur(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xadc8_3b19;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(M);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> SHIFT
}

/// A stored sketch, for reading. Its header is right; a sparse one's runs may not be.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a>(&'a [u8]);

impl<'a> Stored<'a> {
    /// A string's bytes as a sketch, if they are one at all.
    pub fn new(bytes: &'a [u8]) -> Option<Stored<'a>> {
        let is_sketch = bytes.len() >= HEADER_BYTES && bytes.starts_with(MAGIC);
        let fits = match *bytes.get(ENCODING_AT)? {
            DENSE => bytes.len() == DENSE_BYTES,
            SPARSE => true,
            _ => false,
        };
        (is_sketch && fits).then_some(Stored(bytes))
    }

    /// Is it in the dense form?
    pub fn is_dense(&self) -> bool {
        self.0[ENCODING_AT] == DENSE
    }

    fn body(&self) -> &'a [u8] {
        &self.0[HEADER_BYTES..]
    }

    /// The last estimate, if nothing was added since.
    pub fn cached(&self) -> Option<u64> {
        let cache = self.0[CACHE].try_into().expect("eight bytes");
        Some(u64::from_le_bytes(cache)).filter(|estimate| estimate & OUT_OF_DATE == 0)
    }

    /// Would adding `mark` to the dense registers change them?
    pub fn dense_wants(&self, mark: Mark) -> bool {
        self.is_dense() && dense_get(self.body(), mark.register) < mark.rank
    }

    /// The runs of a sparse sketch, up to one that is cut off.
    pub fn runs(&self) -> impl Iterator<Item = Op> + 'a {
        let body = if self.is_dense() { &[] } else { self.body() };
        sparse::ops(body).map(|(_, op)| op)
    }

    /// Calls `see` with each stretch of equal registers: where it begins, how many, and their number.
    fn for_each_run(&self, mut see: impl FnMut(usize, usize, u8)) -> Result<(), Corrupted> {
        if self.is_dense() {
            for register in 0..REGISTERS {
                see(register, 1, dense_get(self.body(), register));
            }
            return Ok(());
        }
        let mut at = 0;
        let mut read = 0;
        for (bytes, op) in sparse::ops(self.body()) {
            if at + op.len() > REGISTERS {
                return Err(Corrupted);
            }
            see(at, op.len(), op.rank());
            at += op.len();
            read += bytes;
        }
        if at == REGISTERS && read == self.body().len() { Ok(()) } else { Err(Corrupted) }
    }

    /// All registers.
    ///
    /// # Errors
    /// [`Corrupted`].
    pub fn registers(&self) -> Result<Box<[u8]>, Corrupted> {
        let mut union = Union::default();
        union.merge(*self)?;
        Ok(union.0)
    }

    /// The estimate, from the registers. O(registers).
    ///
    /// # Errors
    /// [`Corrupted`].
    pub fn count(&self) -> Result<u64, Corrupted> {
        let mut histogram = Histogram::default();
        self.for_each_run(|_, len, rank| histogram.0[usize::from(rank)] += len)?;
        Ok(histogram.estimate())
    }

    /// The same sketch in the dense form, cached estimate included.
    ///
    /// # Errors
    /// [`Corrupted`].
    pub fn to_dense(self) -> Result<Sketch, Corrupted> {
        let mut dense = vec![0; DENSE_BYTES];
        dense[..HEADER_BYTES].copy_from_slice(&self.0[..HEADER_BYTES]);
        dense[ENCODING_AT] = DENSE;
        let registers = &mut dense[HEADER_BYTES..];
        self.for_each_run(|at, len, rank| {
            if rank > 0 {
                (at..at + len).for_each(|register| dense_set(registers, register, rank));
            }
        })?;
        Ok(Sketch(dense))
    }
}

/// A sketch of our own, for changing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sketch(Vec<u8>);

impl Default for Sketch {
    /// Nothing added yet: sparse, with an estimate of 0.
    fn default() -> Sketch {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING_AT] = SPARSE;
        Op::Zeros(REGISTERS).append_to(&mut bytes);
        Sketch(bytes)
    }
}

impl From<Stored<'_>> for Sketch {
    fn from(stored: Stored<'_>) -> Sketch {
        Sketch(stored.0.to_vec())
    }
}

impl Sketch {
    /// The bytes to store.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes, for reading.
    pub fn stored(&self) -> Stored<'_> {
        Stored(&self.0)
    }

    /// Adds an element's mark. A sparse sketch becomes dense when it would be longer than `sparse_max_bytes`, or the rank is
    /// greater than runs can say. Returns whether a register changed; the cached estimate is then out of date.
    /// O(length) in the sparse form.
    ///
    /// # Errors
    /// [`Corrupted`]; then nothing has changed.
    pub fn add(&mut self, mark: Mark, sparse_max_bytes: usize) -> Result<bool, Corrupted> {
        let changed = if self.stored().is_dense() {
            add_dense(&mut self.0, mark)
        } else {
            match sparse::add(&mut self.0, HEADER_BYTES, mark, sparse_max_bytes)? {
                sparse::Added::Nothing => false,
                sparse::Added::Changed => true,
                sparse::Added::MustBeDense => {
                    *self = self.stored().to_dense()?;
                    add_dense(&mut self.0, mark)
                }
            }
        };
        if changed {
            forget_estimate(&mut self.0);
        }
        Ok(changed)
    }

    /// The cached estimate is out of date.
    pub fn forget_estimate(&mut self) {
        forget_estimate(&mut self.0);
    }
}

/// Adds a mark to a dense sketch's bytes in place, and forgets its estimate. Returns whether a register changed.
pub fn add_dense(bytes: &mut [u8], mark: Mark) -> bool {
    let registers = &mut bytes[HEADER_BYTES..];
    let grows = dense_get(registers, mark.register) < mark.rank;
    if grows {
        dense_set(registers, mark.register, mark.rank);
        forget_estimate(bytes);
    }
    grows
}

fn forget_estimate(bytes: &mut [u8]) {
    bytes[CACHE.end - 1] |= 0x80;
}

/// Keeps an estimate in a sketch's bytes.
pub fn keep_estimate(bytes: &mut [u8], estimate: u64) {
    bytes[CACHE].copy_from_slice(&estimate.to_le_bytes());
}

/// The register's 6 bits lie from its bit `6 * register` on, lowest first, in one byte or two.
fn dense_get(registers: &[u8], register: usize) -> u8 {
    let (at, shift) = (register * 6 / 8, register * 6 % 8);
    let next = registers.get(at + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([registers[at], next]) >> shift) as u8 & 0x3f
}

fn dense_set(registers: &mut [u8], register: usize, rank: u8) {
    let (at, shift) = (register * 6 / 8, register * 6 % 8);
    let [low, high] = (u16::from(rank) << shift).to_le_bytes();
    let [low_mask, high_mask] = (0x3f_u16 << shift).to_le_bytes();
    registers[at] = registers[at] & !low_mask | low;
    if let Some(next) = registers.get_mut(at + 1) {
        *next = *next & !high_mask | high;
    }
}

/// Adds random elements and looks at the estimates on the way, in both forms.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn self_test(seed: u64) -> Result<(), String> {
    const ELEMENTS: u64 = 100_000;
    const SPARSE_MAX_BYTES: usize = 3000;
    /// Six standard errors (1.04 / √registers each), and one element for small numbers.
    const TOLERANCE: f64 = 6.0 * 1.04 / 128.0;
    let (mut changing, mut dense) = (Sketch::default(), Sketch::default());
    let mut checked_at = 1;
    for added in 1..=ELEMENTS {
        let mark = Mark::of(&(seed ^ added).to_le_bytes());
        let results = [changing.add(mark, SPARSE_MAX_BYTES), dense.add(mark, 0)];
        if results[0] != results[1] {
            return Err(format!("the forms differ about element {added}"));
        }
        if added == checked_at {
            checked_at *= 10;
            let counts = [changing.stored().count(), dense.stored().count()];
            let near = |count: u64| count.abs_diff(added) as f64 <= 1.0 + added as f64 * TOLERANCE;
            if counts[0] != counts[1] || !counts[0].is_ok_and(near) {
                return Err(format!("{counts:?} after {added} elements"));
            }
        }
    }
    Ok(())
}

/// The union of sketches: each register's greatest number.
pub struct Union(Box<[u8]>);

impl Default for Union {
    fn default() -> Union {
        Union(vec![0; REGISTERS].into())
    }
}

impl Union {
    /// Takes a sketch in.
    ///
    /// # Errors
    /// [`Corrupted`].
    pub fn merge(&mut self, stored: Stored<'_>) -> Result<(), Corrupted> {
        stored.for_each_run(|at, len, rank| {
            self.0[at..at + len].iter_mut().for_each(|register| *register = rank.max(*register));
        })
    }

    /// The registers that are not 0.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        let all = self.0.iter().enumerate().map(|(register, rank)| Mark { register, rank: *rank });
        all.filter(|mark| mark.rank > 0)
    }

    /// The estimate.
    pub fn count(&self) -> u64 {
        let mut histogram = Histogram::default();
        self.0.iter().for_each(|rank| histogram.0[usize::from(*rank)] += 1);
        histogram.estimate()
    }
}

/// How many registers hold which number.
struct Histogram([usize; 64]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([0; 64])
    }
}

impl Histogram {
    /// Ertl's estimator.
    fn estimate(&self) -> u64 {
        /// 0.5 / ln 2.
        const ALPHA: f64 = 0.721_347_520_444_481_7;
        let registers = REGISTERS as f64;
        let share = |n: usize| n as f64 / registers;
        let mut z = registers * tau(share(REGISTERS.saturating_sub(self.0[RANK_MAX])));
        for rank in (1..RANK_MAX).rev() {
            z = (z + self.0[rank] as f64) * 0.5;
        }
        z += registers * sigma(share(self.0[0]));
        (ALPHA * registers * registers / z).round() as u64
    }
}

/// What the registers at the greatest number contribute.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        let before = z;
        x = x.sqrt();
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// What the registers at 0 contribute.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        let before = z;
        x *= x;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sketch of the elements `0..n`, as text.
    fn sketch_of(n: usize, sparse_max_bytes: usize) -> Sketch {
        let mut sketch = Sketch::default();
        for element in 0..n {
            sketch.add(Mark::of(element.to_string().as_bytes()), sparse_max_bytes).unwrap();
        }
        sketch
    }

    /// Observed: redis-server 7.0.15, PFDEBUG DECODE after PFADD key a b c.
    #[test]
    fn elements_fall_where_they_fall_in_redis() {
        let mut sketch = Sketch::default();
        for element in [b"a", b"b", b"c"] {
            assert_eq!(sketch.add(Mark::of(element), 3000), Ok(true));
            assert_eq!(sketch.add(Mark::of(element), 3000), Ok(false));
        }
        let runs: Vec<Op> = sketch.stored().runs().collect();
        let value = |rank| Op::Values { rank, len: 1 };
        let expected =
            [Op::Zeros(8436), value(1), Op::Zeros(4274), value(2), Op::Zeros(3068), value(1), Op::Zeros(603)];
        assert_eq!(runs, expected);
        assert_eq!(sketch.stored().count(), Ok(3));
    }

    #[test]
    fn the_estimate_is_near_and_the_same_in_both_forms() {
        for n in [0, 1, 10, 100, 500, 1_000, 20_000, 200_000] {
            let (sparse, dense) = (sketch_of(n, usize::MAX), sketch_of(n, 0));
            let count = dense.stored().count().unwrap();
            assert_eq!(sparse.stored().count(), Ok(count));
            let error = (count as f64 - n as f64).abs();
            assert!(error <= n as f64 * 0.03, "{count} for {n}");
        }
    }

    #[test]
    fn the_cache_follows() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.stored().cached(), Some(0));
        sketch.add(Mark::of(b"a"), 3000).unwrap();
        assert_eq!(sketch.stored().cached(), None);
        keep_estimate(&mut sketch.0, 1);
        assert_eq!(sketch.stored().cached(), Some(1));
        sketch.add(Mark::of(b"a"), 3000).unwrap();
        assert_eq!(sketch.stored().cached(), Some(1));
        assert_eq!(sketch.stored().to_dense().unwrap().stored().cached(), Some(1));
    }

    #[test]
    fn what_is_a_sketch() {
        let check = |bytes: &[u8], is: bool| assert_eq!(Stored::new(bytes).is_some(), is, "{bytes:?}");
        check(b"", false);
        check(b"HYLL", false);
        check(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0", false);
        check(b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0", true);
        check(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0", false);
        check(b"HYLL\x00\0\0\0\0\0\0\0\0\0\0\0", false);
        check(b"hyll\x01\0\0\0\0\0\0\0\0\0\0\0", false);
        check(&[&b"HYLL"[..], &[0; DENSE_BYTES - 4]].concat(), true);
        check(&[&b"HYLL"[..], &[0; DENSE_BYTES - 3]].concat(), false);
    }

    proptest! {
        #[test]
        fn registers_do_not_touch_each_other(marks in proptest::collection::vec((0..REGISTERS, 0u8..64), 0..50)) {
            let mut bytes = vec![0; DENSE_BYTES];
            let mut model = vec![0; REGISTERS];
            for (register, rank) in marks {
                dense_set(&mut bytes[HEADER_BYTES..], register, rank);
                model[register] = rank;
            }
            let got: Vec<u8> = (0..REGISTERS).map(|register| dense_get(&bytes[HEADER_BYTES..], register)).collect();
            prop_assert_eq!(got, model);
        }

        /// Whatever the order and the form, the registers are the marks' maxima.
        #[test]
        fn a_sketch_is_its_registers(
            marks in proptest::collection::vec((prop_oneof![0..REGISTERS, 100..140usize, 16_370..REGISTERS], 1u8..40), 0..200),
            sparse_max_bytes in prop_oneof![Just(0usize), 16..200usize, Just(3000)],
        ) {
            let mut sketch = Sketch::default();
            let mut model = vec![0; REGISTERS];
            for (register, rank) in marks {
                let before = sketch.bytes().len();
                let changed = sketch.add(Mark { register, rank }, sparse_max_bytes).unwrap();
                prop_assert_eq!(changed, rank > model[register]);
                model[register] = rank.max(model[register]);
                let len = sketch.bytes().len();
                prop_assert!(sketch.stored().is_dense() || len <= before || len <= sparse_max_bytes);
            }
            let mut union = Union::default();
            union.merge(sketch.stored()).unwrap();
            prop_assert_eq!(&union.0[..], &model[..]);
            prop_assert_eq!(union.count(), sketch.stored().count().unwrap());
            let mut dense = Union::default();
            dense.merge(sketch.stored().to_dense().unwrap().stored()).unwrap();
            prop_assert_eq!(&dense.0[..], &model[..]);
        }

        #[test]
        fn foreign_bytes_do_no_harm(body in proptest::collection::vec(any::<u8>(), 0..60), register in 0..REGISTERS, rank in 1u8..52) {
            let bytes = [&b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0"[..], &body].concat();
            let stored = Stored::new(&bytes).unwrap();
            let _ = stored.runs().count();
            prop_assert_eq!(stored.count().is_ok(), stored.to_dense().is_ok());
            let mut sketch = Sketch::from(stored);
            if sketch.add(Mark { register, rank }, 50).is_err() {
                prop_assert_eq!(sketch.bytes(), &bytes[..]);
            }
        }
    }
}
