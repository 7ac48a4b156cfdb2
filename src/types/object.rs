//! A value that is not a string: one of five types, each in one of its encodings.
//!
//! Every encoding is owned by one pointer, so that the keyspace can keep an object in its entry as that pointer and a byte that
//! tells what it points to: [`Object::into_parts`] and [`Object::from_parts`]. Cloning never takes long: small
//! encodings are copied, large ones are shared and copied piece by piece when either side changes.
//!
//! `unsafe` is here for that one conversion. Soundness: `into_parts` gives an owner up and `from_parts` takes it back, the tag
//! says which type it was; the sizes are checked when this is compiled.
#![allow(unsafe_code)]
// The types are the variants'; the sizes are what is checked.
#![allow(clippy::missing_transmute_annotations)]

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::stream::Stream;
use super::zset::Zset;
use std::mem::transmute;
use std::ptr::NonNull;

/// A value of one of the collection types.
#[derive(Clone, Debug)]
pub enum Object {
    List(List),
    Set(Set),
    Zset(Zset),
    Hash(Hash),
    Stream(Stream),
}

/// Objects of more than so many allocations are freed in the background.
pub const FREE_ELSEWHERE: usize = 64;

impl Object {
    /// TYPE's name for it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Object::List(_) => List::NAME,
            Object::Set(_) => Set::NAME,
            Object::Zset(_) => Zset::NAME,
            Object::Hash(_) => Hash::NAME,
            Object::Stream(_) => Stream::NAME,
        }
    }

    /// OBJECT ENCODING's name for its encoding.
    pub fn encoding(&self) -> &'static str {
        match self {
            Object::List(list) => list.encoding(),
            Object::Set(set) => set.encoding(),
            Object::Zset(zset) => zset.encoding(),
            Object::Hash(hash) => hash.encoding(),
            Object::Stream(stream) => stream.encoding(),
        }
    }

    /// Has it no elements? (A stream may be there without any.)
    pub fn is_empty(&self) -> bool {
        match self {
            Object::List(list) => list.is_empty(),
            Object::Set(set) => set.is_empty(),
            Object::Zset(zset) => zset.is_empty(),
            Object::Hash(hash) => hash.is_empty(),
            Object::Stream(_) => false,
        }
    }

    /// About how many bytes it occupies.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Object::List(list) => list.memory_bytes(),
            Object::Set(set) => set.memory_bytes(),
            Object::Zset(zset) => zset.memory_bytes(),
            Object::Hash(hash) => hash.memory_bytes(),
            Object::Stream(stream) => stream.memory_bytes(),
        }
    }

    /// The bytes that cloning it copies: a small encoding's.
    pub fn copied_bytes(&self) -> usize {
        match self {
            Object::List(List::Packed(pack))
            | Object::Set(Set::Packed(pack))
            | Object::Zset(Zset::Packed(pack))
            | Object::Hash(Hash::Packed(pack) | Hash::PackedTtl(pack)) => pack.allocated_bytes(),
            Object::Set(Set::Ints(ints)) => ints.allocated_bytes(),
            _ => 0,
        }
    }

    /// Asks for the memory where these elements are, or would be; a hint. Their waits overlap.
    pub fn prefetch(&self, elements: &[&[u8]]) {
        match self {
            Object::Set(set) => set.prefetch(elements),
            Object::Hash(hash) => hash.prefetch(elements),
            Object::Zset(zset) => zset.prefetch(elements),
            _ => {}
        }
    }

    /// About how many allocations freeing it frees.
    pub fn free_effort(&self) -> usize {
        match self {
            Object::List(list) => list.free_effort(),
            Object::Set(set) => set.free_effort(),
            Object::Zset(zset) => zset.free_effort(),
            Object::Hash(hash) => hash.free_effort(),
            Object::Stream(stream) => stream.free_effort(),
        }
    }
}

/// One of the types of objects.
pub trait ObjectType: Sized + Default + Clone {
    /// TYPE's name.
    const NAME: &'static str;
    /// Does a key vanish with its last element?
    const VANISHES: bool = true;
    /// May its elements expire each for itself?
    const ELEMENTS_EXPIRE: bool = false;

    /// The value, if the object is of this type; else the object.
    ///
    /// # Errors
    /// The object, when it is of another type.
    fn from_object(object: Object) -> Result<Self, Object>;

    /// Is the tag one of this type's?
    fn has_tag(tag: u8) -> bool;

    /// The value as an object.
    fn into_object(self) -> Object;

    /// Has it no elements?
    fn has_no_elements(&self) -> bool;

    /// The earliest expiry of its elements, Unix milliseconds. O(1).
    #[inline]
    fn next_expiry_ms(&self) -> Option<i64> {
        None
    }
}

macro_rules! objects {
    ($($type:ident { $($tag:literal => $variant:pat => $make:expr, $owner:ident;)* })*) => {
        impl Object {
            /// The owner's pointer, and the tag that says what it is. Only [`Object::from_parts`] frees it.
            pub fn into_parts(self) -> (u8, NonNull<u8>) {
                match self {
                    $($(
                        // SAFETY: an owner of one pointer's size gives its pointer up; it is never null.
                        Object::$type($variant) => ($tag, unsafe { transmute::<_, NonNull<u8>>($owner) }),
                    )*)*
                }
            }

            /// The object that was taken apart.
            ///
            /// # Safety
            /// The parts are from [`Object::into_parts`], and at most one of the objects made of them is dropped or changed.
            pub unsafe fn from_parts(tag: u8, pointer: NonNull<u8>) -> Object {
                match tag {
                    // SAFETY: the tag says which owner gave the pointer up.
                    $($( $tag => { let $owner = unsafe { transmute::<NonNull<u8>, _>(pointer) }; Object::$type($make) } )*)*
                    tag => unreachable!("no object has the tag {tag}"),
                }
            }
        }

        $(
            impl From<$type> for Object {
                fn from(value: $type) -> Object {
                    Object::$type(value)
                }
            }
        )*
    };
}

macro_rules! object_type {
    ($type:ident, $name:literal, $tags:pat $(, $vanishes:literal)? $(, { $($own:item)* })?) => {
        impl ObjectType for $type {
            const NAME: &'static str = $name;
            $( const VANISHES: bool = $vanishes; )?

            #[inline]
            fn from_object(object: Object) -> Result<$type, Object> {
                match object {
                    Object::$type(value) => Ok(value),
                    other => Err(other),
                }
            }

            #[inline]
            fn has_tag(tag: u8) -> bool {
                matches!(tag, $tags)
            }

            fn into_object(self) -> Object {
                Object::$type(self)
            }

            fn has_no_elements(&self) -> bool {
                self.is_empty()
            }

            $( $($own)* )?
        }
    };
}

objects! {
    List {
        0 => List::Packed(owner) => List::Packed(owner), owner;
        1 => List::Quick(owner) => List::Quick(owner), owner;
    }
    Set {
        2 => Set::Ints(owner) => Set::Ints(owner), owner;
        3 => Set::Packed(owner) => Set::Packed(owner), owner;
        4 => Set::Table(owner) => Set::Table(owner), owner;
    }
    Zset {
        5 => Zset::Packed(owner) => Zset::Packed(owner), owner;
        6 => Zset::Tree(owner) => Zset::Tree(owner), owner;
    }
    Hash {
        7 => Hash::Packed(owner) => Hash::Packed(owner), owner;
        8 => Hash::PackedTtl(owner) => Hash::PackedTtl(owner), owner;
        9 => Hash::Table(owner) => Hash::Table(owner), owner;
    }
    Stream {
        10 => owner => owner, owner;
    }
}

object_type!(List, "list", 0 | 1);
object_type!(Set, "set", 2..=4);
object_type!(Zset, "zset", 5 | 6);
object_type!(Hash, "hash", 7..=9, {
    const ELEMENTS_EXPIRE: bool = true;

    #[inline]
    fn next_expiry_ms(&self) -> Option<i64> {
        Hash::next_expiry_ms(self)
    }
});
object_type!(Stream, "stream", 10, false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_being_taken_apart() {
        let objects = [
            List::default().into_object(),
            Set::default().into_object(),
            Zset::default().into_object(),
            Hash::default().into_object(),
            Stream::default().into_object(),
        ];
        for object in objects {
            let (name, shown) = (object.type_name(), format!("{object:?}"));
            let (tag, pointer) = object.into_parts();
            // SAFETY: the parts are used once.
            let object = unsafe { Object::from_parts(tag, pointer) };
            assert_eq!((object.type_name(), format!("{object:?}")), (name, shown));
        }
    }
}
