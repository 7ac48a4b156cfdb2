//! Stands in for the stream type until it is built: a list of byte strings.

#![allow(clippy::box_collection, clippy::vec_box)]

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream(Box<Vec<Vec<u8>>>);

impl Stream {
    /// The elements.
    pub fn elements(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.0
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn memory_bytes(&self) -> usize {
        self.0.len()
    }
    pub fn free_effort(&self) -> usize {
        self.0.len()
    }
    pub fn encoding(&self) -> &'static str {
        "stream"
    }
}
