//! Stands in for the hash type until it is built: a list of byte strings.

#![allow(clippy::box_collection, clippy::vec_box)]

/// The type's encodings.
#[derive(Clone, Debug)]
pub enum Hash {
    Packed(Box<Vec<Vec<u8>>>),
    PackedTtl(Box<Vec<Vec<u8>>>),
    Table(Box<Vec<Vec<u8>>>),
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::Packed(Box::default())
    }
}

impl Hash {
    /// The elements.
    pub fn elements(&mut self) -> &mut Vec<Vec<u8>> {
        let (Hash::Packed(e) | Hash::PackedTtl(e) | Hash::Table(e)) = self;
        e
    }
    pub fn len(&self) -> usize {
        let (Hash::Packed(e) | Hash::PackedTtl(e) | Hash::Table(e)) = self;
        e.len()
    }
    pub fn is_empty(&self) -> bool {
        let (Hash::Packed(e) | Hash::PackedTtl(e) | Hash::Table(e)) = self;
        e.is_empty()
    }
    pub fn memory_bytes(&self) -> usize {
        let (Hash::Packed(e) | Hash::PackedTtl(e) | Hash::Table(e)) = self;
        e.len()
    }
    pub fn free_effort(&self) -> usize {
        let (Hash::Packed(e) | Hash::PackedTtl(e) | Hash::Table(e)) = self;
        e.len()
    }
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }
}
