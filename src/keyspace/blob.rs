//! Large byte strings, shared by reference count.
//!
//! A value of [`BLOB_MIN_BYTES`] or more lives in its own buffer: the parser reads into it, the keyspace stores it,
//! a reply sends it, a snapshot keeps it, all without a copy. Whoever wants to change it does so in place while
//! nobody else holds it, and on a copy otherwise.

use std::ops::Deref;
use std::sync::Arc;

/// From this size on (bytes) a string is a [`Blob`]: 16 KiB, where a copy starts to cost more than sharing.
pub const BLOB_MIN_BYTES: usize = 16 * 1024;

/// A reference-counted byte buffer, one pointer wide.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Blob(Arc<Vec<u8>>);

impl Blob {
    /// Takes the buffer over.
    pub fn new(bytes: Vec<u8>) -> Blob {
        Blob(Arc::new(bytes))
    }

    /// The buffer for changing; copied first if somebody else holds it.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.0)
    }

    /// Number of holders, for the decision who frees.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Bytes that the buffer occupies, slack included.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
