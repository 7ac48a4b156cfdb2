//! Stands in for the set type until it is built: a list of byte strings.

#![allow(clippy::box_collection, clippy::vec_box)]

/// The type's encodings.
#[derive(Clone, Debug)]
pub enum Set {
    Ints(Box<Vec<Vec<u8>>>),
    Packed(Box<Vec<Vec<u8>>>),
    Table(Box<Vec<Vec<u8>>>),
}

impl Default for Set {
    fn default() -> Set {
        Set::Ints(Box::default())
    }
}

impl Set {
    /// The elements.
    pub fn elements(&mut self) -> &mut Vec<Vec<u8>> {
        let (Set::Ints(e) | Set::Packed(e) | Set::Table(e)) = self;
        e
    }
    pub fn len(&self) -> usize {
        let (Set::Ints(e) | Set::Packed(e) | Set::Table(e)) = self;
        e.len()
    }
    pub fn is_empty(&self) -> bool {
        let (Set::Ints(e) | Set::Packed(e) | Set::Table(e)) = self;
        e.is_empty()
    }
    pub fn memory_bytes(&self) -> usize {
        let (Set::Ints(e) | Set::Packed(e) | Set::Table(e)) = self;
        e.len()
    }
    pub fn free_effort(&self) -> usize {
        let (Set::Ints(e) | Set::Packed(e) | Set::Table(e)) = self;
        e.len()
    }
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }
}
