//! A HyperLogLog's bytes, whoever wrote them: never a panic, and both forms say the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::types::hyperloglog::{Mark, Sketch, Stored, Union};
use redpoll_fuzz::split;

/// Room for the sparse form, bytes: small, so that it is left.
const SPARSE_MAX_BYTES: usize = 200;

fuzz_target!(|data: &[u8]| {
    let _ = Stored::new(data);
    let Some((seed, body)) = split(data) else { return };
    let bytes = [&b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80"[..], body].concat();
    let stored = Stored::new(&bytes).expect("a sparse one");
    let _ = stored.runs().count();
    let count = stored.count();
    let dense = stored.to_dense();
    assert_eq!(dense.as_ref().map(|dense| dense.stored().count().expect("all there")), count.as_ref().copied());
    let mut sketch = Sketch::from(stored);
    let mut elements = body.chunks(2).map(|element| Mark::of(&[element, &seed.to_le_bytes()].concat()));
    let added = elements.try_for_each(|mark| sketch.add(mark, SPARSE_MAX_BYTES).map(drop));
    if count.is_ok() {
        added.expect("the runs were right");
        let mut union = Union::default();
        union.merge(stored).expect("counted above");
        union.merge(sketch.stored()).expect("still right");
        assert_eq!(Ok(union.count()), sketch.stored().count(), "nothing is lost");
    }
});
