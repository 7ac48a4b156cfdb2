//! Stands in for the zset type until it is built: a list of byte strings.

#![allow(clippy::box_collection, clippy::vec_box)]

/// The type's encodings.
#[derive(Clone, Debug)]
pub enum Zset {
    Packed(Box<Vec<Vec<u8>>>),
    Tree(Box<Vec<Vec<u8>>>),
}

impl Default for Zset {
    fn default() -> Zset {
        Zset::Packed(Box::default())
    }
}

impl Zset {
    /// The elements.
    pub fn elements(&mut self) -> &mut Vec<Vec<u8>> {
        let (Zset::Packed(e) | Zset::Tree(e)) = self;
        e
    }
    pub fn len(&self) -> usize {
        let (Zset::Packed(e) | Zset::Tree(e)) = self;
        e.len()
    }
    pub fn is_empty(&self) -> bool {
        let (Zset::Packed(e) | Zset::Tree(e)) = self;
        e.is_empty()
    }
    pub fn memory_bytes(&self) -> usize {
        let (Zset::Packed(e) | Zset::Tree(e)) = self;
        e.len()
    }
    pub fn free_effort(&self) -> usize {
        let (Zset::Packed(e) | Zset::Tree(e)) = self;
        e.len()
    }
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }
}
