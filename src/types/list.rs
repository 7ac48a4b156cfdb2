//! Stands in for the list type until it is built: a list of byte strings.

#![allow(clippy::box_collection, clippy::vec_box)]

/// The type's encodings.
#[derive(Clone, Debug)]
pub enum List {
    Packed(Box<Vec<Vec<u8>>>),
    Quick(Box<Vec<Vec<u8>>>),
}

impl Default for List {
    fn default() -> List {
        List::Packed(Box::default())
    }
}

impl List {
    /// The elements.
    pub fn elements(&mut self) -> &mut Vec<Vec<u8>> {
        let (List::Packed(e) | List::Quick(e)) = self;
        e
    }
    pub fn len(&self) -> usize {
        let (List::Packed(e) | List::Quick(e)) = self;
        e.len()
    }
    pub fn is_empty(&self) -> bool {
        let (List::Packed(e) | List::Quick(e)) = self;
        e.is_empty()
    }
    pub fn memory_bytes(&self) -> usize {
        let (List::Packed(e) | List::Quick(e)) = self;
        e.len()
    }
    pub fn free_effort(&self) -> usize {
        let (List::Packed(e) | List::Quick(e)) = self;
        e.len()
    }
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }
}
