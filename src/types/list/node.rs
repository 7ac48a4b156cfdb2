//! A node of a quicklist: a listpack, a single large element, or a listpack packed with LZF.
//!
//! Nodes are shared between a list and its clones and copied when one of them changes it, which is why a listpack node is
//! bounded by the policy and a large element is never changed in place but replaced.
//!
//! Large elements are not compressed, unlike in Redis: that would take milliseconds under the shard's lock.

use super::policy::{ENTRY_OVERHEAD_BYTES, Policy};
use super::{Element, End, Listpack};
use crate::rdb::lzf;

/// Smaller listpacks are not worth compressing.
const MIN_COMPRESS_BYTES: usize = 48;
/// What compression must save at least, in bytes.
const MIN_SAVED_BYTES: usize = 8;

/// A node. It has at least one element, but for the moment between emptying and removal.
#[derive(Clone, Debug)]
pub enum Node {
    /// Elements within the policy's limits.
    Packed(Listpack),
    /// One large element.
    Plain(Box<[u8]>),
    /// Elements of a node in the middle of the list.
    Squeezed(Squeezed),
}

/// A compressed listpack.
#[derive(Clone, Debug)]
pub struct Squeezed {
    /// Its LZF form.
    pub lzf: Box<[u8]>,
    /// Its length before, in bytes.
    pub byte_len: usize,
}

impl Node {
    /// A node of one element.
    pub fn of(value: &[u8], policy: &Policy) -> Node {
        if policy.is_large(value.len()) {
            return Node::Plain(value.into());
        }
        let mut pack = Listpack::new();
        pack.push_back(value);
        Node::Packed(pack)
    }

    /// May the element join the `len` that are here?
    #[inline]
    pub fn accepts(&self, value: &[u8], len: usize, policy: &Policy) -> bool {
        let bytes = match self {
            Node::Packed(pack) => pack.byte_len(),
            Node::Plain(_) => return false,
            Node::Squeezed(squeezed) => squeezed.byte_len,
        };
        !policy.is_large(value.len()) && policy.allows(bytes + value.len() + ENTRY_OVERHEAD_BYTES, len + 1)
    }

    /// Gives the elements as a listpack; a large element is none.
    pub fn read<R>(&self, f: impl FnOnce(&Listpack) -> R) -> Result<R, &[u8]> {
        match self {
            Node::Packed(pack) => Ok(f(pack)),
            Node::Plain(value) => Err(value),
            Node::Squeezed(squeezed) => Ok(f(&squeezed.unpack())),
        }
    }

    /// Changes the elements as a listpack; one that was compressed is compressed again.
    ///
    /// # Panics
    /// If this is a large element, which only `Node::of` replaces.
    #[inline]
    pub fn edit<R>(&mut self, f: impl FnOnce(&mut Listpack) -> R) -> R {
        match self {
            Node::Packed(pack) => f(pack),
            Node::Plain(_) => panic!("a large element is replaced, not edited"),
            Node::Squeezed(squeezed) => {
                let mut pack = squeezed.unpack();
                let result = f(&mut pack);
                *self = Node::Packed(pack);
                self.squeeze();
                result
            }
        }
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8]) {
        self.edit(|pack| match end {
            End::Front => pack.push_front(value),
            End::Back => pack.push_back(value),
        });
    }

    /// Adds an element at an index up to the number of elements.
    #[inline]
    pub fn insert(&mut self, at: usize, len: usize, value: &[u8]) {
        self.edit(|pack| {
            if at == len {
                pack.push_back(value);
            } else if at == 0 {
                pack.push_front(value);
            } else {
                pack.insert_before(pack.seek(at as i64).expect("the index is within the node"), value);
            }
        });
    }

    /// Shows the element at an end to `f` and removes it.
    #[inline]
    pub fn pop<R>(&mut self, end: End, f: impl FnOnce(Element<'_>) -> R) -> R {
        self.edit(|pack| {
            let at = match end {
                End::Front => pack.first(),
                End::Back => pack.last(),
            };
            let at = at.expect("a node has elements");
            let result = f(pack.get(at));
            pack.remove(at);
            result
        })
    }

    /// Takes the elements from `at` on into a node of their own. Both are compressed if this was.
    pub fn split_off(&mut self, at: usize) -> Node {
        let squeezed = matches!(self, Node::Squeezed(_));
        let right =
            self.edit(|pack| pack.split_off(pack.seek(at as i64).expect("the index is within the node")));
        let mut right = Node::Packed(right);
        if squeezed {
            right.squeeze();
        }
        right
    }

    /// Compresses if that saves something. A compressor is made each time (64 KiB of zeros): nodes become compressed once
    /// in some hundred pushes.
    pub fn squeeze(&mut self) {
        let Node::Packed(pack) = self else { return };
        let bytes = pack.bytes();
        if bytes.len() < MIN_COMPRESS_BYTES {
            return;
        }
        let mut packed = Vec::new();
        let limit = bytes.len() - MIN_SAVED_BYTES;
        if lzf::Compressor::new().compress(bytes, &mut packed, limit).is_some() {
            *self = Node::Squeezed(Squeezed { lzf: packed.into(), byte_len: bytes.len() });
        }
    }

    /// Expands again.
    pub fn unsqueeze(&mut self) {
        if let Node::Squeezed(squeezed) = self {
            *self = Node::Packed(squeezed.unpack());
        }
    }
}

impl Squeezed {
    fn unpack(&self) -> Listpack {
        let mut bytes = Vec::new();
        let sound = lzf::decompress(&self.lzf, self.byte_len, &mut bytes);
        assert!(sound, "what was compressed here can be expanded");
        Listpack::from_bytes(&bytes).expect("a listpack was compressed")
    }
}
