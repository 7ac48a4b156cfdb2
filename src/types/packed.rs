//! An owned byte buffer one pointer wide, for values that live as one packed string of bytes.
//!
//! The allocation begins with its own length, as a Redis listpack does, which therefore needs no other:
//!
//! ```text
//! | length u32, itself included, little-endian | body … |
//! ```
//!
//! There is no capacity: an allocation always has the size that the allocator gives for the length anyway (its *size
//! class*), so small buffers waste nothing, and the capacity follows from the length. Classes lie a quarter apart, so
//! appending byte by byte copies each byte about four times on average, whatever the size. `Vec` would take 24 bytes where the
//! keyspace has room for 8, and would double; `Box<[u8]>` 16, and every append would reallocate.
//!
//! Soundness: a `Packed` owns its allocation, whose layout is `layout(length)` at all times: the length changes only in
//! `zeroed` and `resize`, together with the allocation, and nobody else can write to it. As many bytes as it says are always
//! initialised. Slices borrow the `Packed`, so none outlives a reallocation. Everything else is safe code over those slices.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

/// What precedes the body: the length.
pub const LENGTH_BYTES: usize = size_of::<u32>();
/// Alignment of allocations, so that the lower three bits of the pointer are zero.
const ALIGN: usize = 8;

/// Owned bytes, under 4 GiB. Dereferences to all of them, the length in front included.
pub struct Packed {
    base: NonNull<u8>,
}

// SAFETY: a Packed owns its allocation, which holds plain bytes.
unsafe impl Send for Packed {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Packed {}

impl Packed {
    /// A buffer with a body of zero bytes. Panics from 4 GiB on.
    pub fn zeroed(body_len: usize) -> Packed {
        let mut packed = Packed::empty();
        packed.resize(LENGTH_BYTES + body_len);
        packed
    }

    /// A buffer with this body. Panics from 4 GiB on.
    pub fn new(body: &[u8]) -> Packed {
        let mut packed = Packed::zeroed(body.len());
        packed.body_mut().copy_from_slice(body);
        packed
    }

    fn empty() -> Packed {
        let layout = layout(LENGTH_BYTES);
        // SAFETY: the layout is never of size zero.
        let base = unsafe { alloc(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        let mut packed = Packed { base };
        packed.set_len(LENGTH_BYTES);
        packed
    }

    /// The bytes behind the length.
    #[inline]
    pub fn body(&self) -> &[u8] {
        &self[LENGTH_BYTES..]
    }

    /// The bytes behind the length, for changing.
    #[inline]
    pub fn body_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the length is left out, and `&mut self` makes the borrow the only one.
        unsafe {
            let body = self.base.add(LENGTH_BYTES).as_ptr();
            std::slice::from_raw_parts_mut(body, self.len() - LENGTH_BYTES)
        }
    }

    /// Replaces `removed` bytes from `at` on by `inserted` ones of no particular value, which are returned to be filled.
    /// `at` counts the length's bytes. O(bytes behind).
    /// Panics if the removed range is not within the body, or if the buffer would reach 4 GiB.
    pub fn splice(&mut self, at: usize, removed: usize, inserted: usize) -> &mut [u8] {
        let old = self.len();
        assert!((LENGTH_BYTES..=old).contains(&at) && removed <= old - at, "the range lies within the body");
        let new = old - removed + inserted;
        if inserted > removed {
            self.resize(new);
        }
        let at = at - LENGTH_BYTES;
        if inserted != removed {
            self.body_mut().copy_within(at + removed..old - LENGTH_BYTES, at + inserted);
        }
        if inserted < removed {
            self.resize(new);
        }
        &mut self.body_mut()[at..at + inserted]
    }

    /// Changes the length; bytes that it gains are zero.
    fn resize(&mut self, len: usize) {
        assert!(u32::try_from(len).is_ok(), "a packed buffer stays under 4 GiB");
        let (old, new) = (layout(self.len()), layout(len));
        let gained = len.saturating_sub(self.len());
        if old.size() != new.size() {
            // SAFETY: `old` is the layout that the allocation was made with; the new size is not zero and, being a size
            // class above a 32-bit length, far below isize::MAX.
            let base = unsafe { realloc(self.base.as_ptr(), old, new.size()) };
            let Some(base) = NonNull::new(base) else { handle_alloc_error(new) };
            self.base = base;
        }
        // SAFETY: `len` bytes lie within the new layout; the gained bytes are at its end and are initialised here before
        // the length admits them.
        unsafe { self.base.add(len - gained).write_bytes(0, gained) };
        self.set_len(len);
    }

    fn set_len(&mut self, len: usize) {
        // SAFETY: every allocation has room for the length and is aligned to more than it needs.
        unsafe { self.base.cast::<u32>().write((len as u32).to_le()) };
    }

    /// All bytes, those of the length included.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        // SAFETY: the length is initialised when the allocation is made.
        u32::from_le(unsafe { self.base.cast::<u32>().read() }) as usize
    }

    /// What the allocator spends on it, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        layout(self.len()).size()
    }
}

impl Clone for Packed {
    fn clone(&self) -> Packed {
        Packed::new(self.body())
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // SAFETY: the allocation is ours, and was made with the layout of its present length.
        unsafe { dealloc(self.base.as_ptr(), layout(self.len())) };
    }
}

impl Deref for Packed {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: as many bytes as the length says are initialised.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len()) }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({})", self.body().escape_ascii())
    }
}

fn layout(len: usize) -> Layout {
    let size = size_class(len);
    Layout::from_size_align(size, ALIGN).expect("lengths are below 4 GiB, the alignment a power of two")
}

/// What jemalloc spends on a request: multiples of 16 up to 128, then four classes for each doubling.
pub fn size_class(bytes: usize) -> usize {
    match bytes {
        ..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::alloc::GlobalAlloc;
    use tikv_jemallocator::{Jemalloc, usable_size};

    #[test]
    fn is_one_pointer_wide() {
        assert_eq!(size_of::<Option<Packed>>(), size_of::<usize>());
    }

    #[test]
    fn size_classes_are_the_allocators() {
        for bytes in (1..5000).chain([8192, 8193, 14_336, 14_337, 20_481, 40_961, 1 << 20, (1 << 20) + 1]) {
            let layout = Layout::from_size_align(bytes, ALIGN).unwrap();
            // SAFETY: the layout is not empty; the allocation is freed as it was made.
            let usable = unsafe {
                let base = Jemalloc.alloc(layout);
                let usable = usable_size(base);
                Jemalloc.dealloc(base, layout);
                usable
            };
            assert_eq!(size_class(bytes), usable, "{bytes}");
        }
    }

    #[test]
    #[should_panic(expected = "within the body")]
    fn a_range_beyond_the_end_is_refused() {
        Packed::new(b"abc").splice(LENGTH_BYTES + 2, 2, 0);
    }

    #[test]
    #[should_panic(expected = "within the body")]
    fn the_length_is_nobody_elses() {
        Packed::new(b"abc").splice(LENGTH_BYTES - 1, 1, 1);
    }

    #[derive(Clone, Debug)]
    struct Step {
        at: usize,
        removed: usize,
        inserted: Vec<u8>,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..300);
        let step = (any::<usize>(), any::<usize>(), bytes);
        let step = step.prop_map(|(at, removed, inserted)| Step { at, removed, inserted });
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        #[test]
        fn splices_as_a_vector_does(steps in steps()) {
            let (mut packed, mut model) = (Packed::zeroed(0), Vec::new());
            for step in steps {
                let at = step.at % (model.len() + 1);
                let removed = step.removed % (model.len() - at + 1);
                let gap = packed.splice(LENGTH_BYTES + at, removed, step.inserted.len());
                gap.copy_from_slice(&step.inserted);
                model.splice(at..at + removed, step.inserted);
                prop_assert_eq!(packed.body(), &model[..]);
                let copy = packed.clone();
                prop_assert_eq!(copy.body(), &model[..]);
                let whole = [&((model.len() + 4) as u32).to_le_bytes()[..], &model].concat();
                prop_assert_eq!(&*packed, &whole[..]);
            }
        }
    }
}
