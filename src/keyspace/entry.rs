//! One allocation per key: header, expiry, key and small value together.
//!
//! A table slot is a pointer to such an allocation with 16 bits of the key's hash in its unused upper bits. The layout,
//! each part present only when needed:
//!
//! ```text
//! | access 24 bits, flags 8 | kind 8 | key length 8 | value length 16 |   8 bytes
//! | expiry, Unix ms                                                  |   8, with a TTL
//! | key length                                                       |   8, for keys over 255 bytes
//! | integer, or pointer to a large value or to an object             |   8, unless the value is inline
//! | key … | inline value …                                           |
//! ```
//!
//! So a 16-byte key with a 32-byte value takes 56 bytes, 64 with a TTL: one size class of the allocator either way.
//! The alternative, separate objects for key, value and expiry as Redis has them, costs two to four cache misses and
//! as many allocation headers per access.
//!
//! This is one of the few modules with `unsafe`: the allocation's parts are reached by computed offsets. Soundness:
//! an `Entry` owns its allocation; size and offsets follow from the header's fields alone, which change only together
//! with a reallocation (`rebuild`) or keep the size (`overwrite`); the payload word holds an initialised `Blob`, or the
//! pointer of an `Object` with the tag that the kind holds, exactly when the kind says so.
#![allow(unsafe_code)]

use super::blob::{BLOB_MIN_BYTES, Blob};
use crate::error::{self, Error};
use crate::types::hash::Hash;
use crate::types::{Object, ObjectType};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

const HAS_EXPIRY: u8 = 1;
const MARK: u8 = 2;
const LONG_KEY: u8 = 4;

const KIND_INT: u8 = 0;
const KIND_EMBSTR: u8 = 1;
const KIND_RAW: u8 = 2;
const KIND_BLOB: u8 = 3;
/// From here on: an object; what is above is its tag.
const KIND_OBJECT: u8 = 16;

/// Longest string that OBJECT ENCODING calls embstr (Redis: 44 bytes).
pub const EMBSTR_MAX_BYTES: usize = 44;

const TAG_SHIFT: u32 = 48;
const ADDRESS_MASK: usize = (1 << TAG_SHIFT) - 1;

#[repr(C)]
struct Header {
    /// LRU clock or LFU counter, 24 bits.
    access: [u8; 3],
    flags: u8,
    kind: u8,
    key_len: u8,
    value_len: u16,
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    String(ValueRef<'a>),
    Object(ObjectRef<'a>),
}

/// A string value as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A 64-bit integer; its text is the value.
    Int(i64),
    /// A short string; `raw` tells embstr and raw apart.
    Inline { bytes: &'a [u8], raw: bool },
    /// A large string.
    Blob(&'a Blob),
}

impl<'a> ValueRef<'a> {
    /// The value's bytes; an integer is written to `digits`.
    #[inline]
    pub fn text<'t>(self, digits: &'t mut itoa::Buffer) -> &'t [u8]
    where
        'a: 't,
    {
        match self {
            ValueRef::Int(n) => digits.format(n).as_bytes(),
            ValueRef::Inline { bytes, .. } => bytes,
            ValueRef::Blob(blob) => blob,
        }
    }

    /// Does OBJECT ENCODING call it raw?
    pub fn is_raw(self) -> bool {
        matches!(self, ValueRef::Inline { raw: true, .. } | ValueRef::Blob(_))
    }

    /// Length of the value's text in bytes.
    pub fn text_len(self) -> usize {
        self.text(&mut itoa::Buffer::new()).len()
    }
}

/// A stored object, borrowed from its entry.
#[derive(Clone, Copy)]
pub struct ObjectRef<'a> {
    tag: u8,
    pointer: NonNull<u8>,
    entry: PhantomData<&'a Object>,
}

impl<'a> ObjectRef<'a> {
    /// The object for reading.
    pub fn read(self) -> Reading<'a, Object> {
        // SAFETY: the parts are the entry's, which is borrowed for 'a; nothing drops or changes the object through `Reading`.
        let object = unsafe { Object::from_parts(self.tag, self.pointer) };
        Reading { value: ManuallyDrop::new(object), entry: PhantomData }
    }

    /// The value for reading, if it is of type `T`.
    #[inline]
    pub fn read_as<T: ObjectType>(self) -> Option<Reading<'a, T>> {
        if !T::has_tag(self.tag) {
            return None;
        }
        // SAFETY: as in `read`.
        let object = unsafe { Object::from_parts(self.tag, self.pointer) };
        match T::from_object(object) {
            Ok(value) => Some(Reading { value: ManuallyDrop::new(value), entry: PhantomData }),
            Err(object) => {
                std::mem::forget(object);
                None
            }
        }
    }
}

impl std::fmt::Debug for ObjectRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}

/// A value in its entry, while it is read.
pub struct Reading<'a, T> {
    value: ManuallyDrop<T>,
    entry: PhantomData<&'a Object>,
}

impl<T> Deref for Reading<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A value to be stored.
#[derive(Clone, Debug)]
pub enum NewValue<'a> {
    Object(Object),
    Int(i64),
    /// Stored inline, or copied into a blob from `BLOB_MIN_BYTES` on. `raw` forces the raw encoding.
    Bytes {
        bytes: &'a [u8],
        raw: bool,
    },
    Blob(Blob),
}

impl<'a> NewValue<'a> {
    fn parts(&self) -> (u8, usize) {
        match self {
            NewValue::Int(_) => (KIND_INT, 0),
            NewValue::Bytes { bytes, .. } if bytes.len() >= BLOB_MIN_BYTES => (KIND_BLOB, 0),
            NewValue::Bytes { bytes, raw } if *raw || bytes.len() > EMBSTR_MAX_BYTES => {
                (KIND_RAW, bytes.len())
            }
            NewValue::Bytes { bytes, .. } => (KIND_EMBSTR, bytes.len()),
            NewValue::Blob(_) => (KIND_BLOB, 0),
            // The tag is known when the object is taken apart: any object's layout is the same.
            NewValue::Object(_) => (KIND_OBJECT, 0),
        }
    }

    /// The same value as an entry shows it; an object is copied or shared, as its clone is.
    pub fn from_stored(value: Stored<'a>) -> NewValue<'a> {
        match value {
            Stored::String(value) => NewValue::from_ref(value),
            Stored::Object(object) => NewValue::Object(object.read().clone()),
        }
    }

    /// The same value as an entry shows it, borrowed.
    pub fn from_ref(value: ValueRef<'a>) -> NewValue<'a> {
        match value {
            ValueRef::Int(n) => NewValue::Int(n),
            ValueRef::Inline { bytes, raw } => NewValue::Bytes { bytes, raw },
            ValueRef::Blob(blob) => NewValue::Blob(blob.clone()),
        }
    }
}

/// A key with its value, expiry and bookkeeping: one pointer, tagged with 16 bits of the key's hash.
pub struct Entry {
    /// Tagged: the upper 16 bits hold the fingerprint, the address is canonical without them.
    tagged: NonNull<u8>,
}

// SAFETY: an Entry owns its allocation; what it points to is bytes and a Blob, which is Send + Sync.
unsafe impl Send for Entry {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Entry {}

/// Asks for the cache line of an address, whatever it is; a hint.
#[inline]
pub fn prefetch<T>(what: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching reads nothing, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(what.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// The lowest bit of the hash that is in the fingerprint. Large tables split buckets by the fingerprint's bits, without a look
/// at the keys, each of which is a cache miss; small ones have their keys in the cache.
const TAG_FROM_BIT: u32 = 9;

/// The fingerprint in place: 16 bits of the hash. Those by which a bucket is addressed are the same for all in it: of a million
/// keys 13 bits tell them apart, of a hundred millions 7.
#[inline]
fn tag_of(hash: u64) -> usize {
    ((hash >> TAG_FROM_BIT) as usize) << TAG_SHIFT
}

impl Entry {
    /// Allocates an entry. `hash` is the key's hash (16 of its bits become the fingerprint).
    pub fn new(hash: u64, key: &[u8], value: NewValue<'_>, expiry_ms: Option<i64>, access: u32) -> Entry {
        let (kind, value_len) = value.parts();
        let mut flags = 0;
        if expiry_ms.is_some() {
            flags |= HAS_EXPIRY;
        }
        if key.len() > usize::from(u8::MAX) {
            flags |= LONG_KEY;
        }
        let header = Header {
            access: access_bytes(access),
            flags,
            kind,
            key_len: if flags & LONG_KEY == 0 { key.len() as u8 } else { 0 },
            value_len: value_len as u16,
        };
        let size = key_offset(&header) + key.len() + value_len;
        let layout = layout(size);
        // SAFETY: the layout's size is at least the header's 8 bytes.
        let base = unsafe { alloc(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        debug_assert_eq!(base.addr().get() & !ADDRESS_MASK, 0, "user addresses have 48 bits");
        // SAFETY: `base` points to `size` bytes aligned to 8; every write below lies within by construction of `size`.
        unsafe {
            let key_at = base.add(key_offset(&header));
            let long = header.flags & LONG_KEY != 0;
            base.cast::<Header>().write(header);
            if let Some(at) = expiry_ms {
                base.add(8).cast::<i64>().write(at);
            }
            if long {
                let at = 8 + 8 * usize::from(expiry_ms.is_some());
                base.add(at).cast::<u64>().write(key.len() as u64);
            }
            std::ptr::copy_nonoverlapping(key.as_ptr(), key_at.as_ptr(), key.len());
        }
        let tagged = base.map_addr(|a| a | tag_of(hash));
        let mut entry = Entry { tagged };
        entry.init_value(value);
        entry
    }

    /// Writes the value's payload into a fresh allocation whose header already tells its kind and length.
    fn init_value(&mut self, value: NewValue<'_>) {
        // SAFETY: kind and length of the header were derived from this very value; the payload word is not yet
        // initialised (or held an integer), so writing drops nothing.
        unsafe {
            match value {
                NewValue::Int(n) => self.payload().cast::<i64>().write(n),
                NewValue::Blob(blob) => self.payload().cast::<Blob>().write(blob),
                NewValue::Object(object) => {
                    let (tag, pointer) = object.into_parts();
                    self.payload().cast::<NonNull<u8>>().write(pointer);
                    self.header_mut().kind = KIND_OBJECT + tag;
                }
                NewValue::Bytes { bytes, .. } if self.header().kind == KIND_BLOB => {
                    self.payload().cast::<Blob>().write(Blob::new(bytes.to_vec()));
                }
                NewValue::Bytes { bytes, .. } => {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.inline_at().as_ptr(), bytes.len());
                }
            }
        }
    }

    /// A bit of the key's hash, if it is one of the fingerprint's.
    #[inline]
    pub fn hash_bit(&self, bit: u32) -> Option<bool> {
        let in_tag = bit.checked_sub(TAG_FROM_BIT).filter(|at| TAG_SHIFT + at < usize::BITS)?;
        Some(self.tagged.addr().get() >> (TAG_SHIFT + in_tag) & 1 == 1)
    }

    /// Does the fingerprint fit `hash`? Few wrong keys pass.
    #[inline]
    pub fn may_match(&self, hash: u64) -> bool {
        self.tagged.addr().get() & !ADDRESS_MASK == tag_of(hash)
    }

    /// Asks for the entry's memory.
    #[inline]
    pub fn prefetch(&self) {
        // SAFETY: as in `header`; nothing is read through the reference.
        prefetch(unsafe { self.base().cast::<u64>().as_ref() });
    }

    #[inline]
    fn base(&self) -> NonNull<u8> {
        // SAFETY: an allocation's address is never null and has no bits above 48.
        unsafe { NonNull::new_unchecked(self.tagged.as_ptr().map_addr(|a| a & ADDRESS_MASK)) }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the allocation begins with an initialised header.
        unsafe { self.base().cast::<Header>().as_ref() }
    }

    #[inline]
    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as `header`, and `self` is borrowed mutably.
        unsafe { self.base().cast::<Header>().as_mut() }
    }

    fn payload(&self) -> NonNull<u8> {
        // SAFETY: only called for kinds with a payload word, which lies just before the key.
        unsafe { self.base().add(key_offset(self.header()) - 8) }
    }

    fn inline_at(&self) -> NonNull<u8> {
        // SAFETY: the inline value follows the key inside the allocation.
        unsafe { self.base().add(key_offset(self.header()) + self.key_len()) }
    }

    #[inline]
    fn key_len(&self) -> usize {
        let header = self.header();
        if header.flags & LONG_KEY == 0 {
            return usize::from(header.key_len);
        }
        let at = 8 + 8 * usize::from(header.flags & HAS_EXPIRY != 0);
        // SAFETY: a long key has its length word at this offset, written at construction.
        unsafe { self.base().add(at).cast::<u64>().read() as usize }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the key's bytes were written at construction and never change.
        unsafe {
            let at = self.base().add(key_offset(self.header()));
            std::slice::from_raw_parts(at.as_ptr(), self.key_len())
        }
    }

    /// What the key holds.
    #[inline]
    pub fn stored(&self) -> Stored<'_> {
        let header = self.header();
        // SAFETY: the kind tells what the payload word or the inline bytes hold.
        unsafe {
            match header.kind {
                KIND_INT => Stored::String(ValueRef::Int(self.payload().cast::<i64>().read())),
                KIND_BLOB => Stored::String(ValueRef::Blob(self.payload().cast::<Blob>().as_ref())),
                KIND_OBJECT.. => Stored::Object(ObjectRef {
                    tag: header.kind - KIND_OBJECT,
                    pointer: self.payload().cast::<NonNull<u8>>().read(),
                    entry: PhantomData,
                }),
                kind => Stored::String(ValueRef::Inline {
                    bytes: std::slice::from_raw_parts(
                        self.inline_at().as_ptr(),
                        usize::from(header.value_len),
                    ),
                    raw: kind == KIND_RAW,
                }),
            }
        }
    }

    /// TYPE's name of what the key holds.
    pub fn type_name(&self) -> &'static str {
        match self.stored() {
            Stored::String(_) => "string",
            Stored::Object(object) => object.read().type_name(),
        }
    }

    /// The string, if the key holds one.
    #[inline]
    pub fn string(&self) -> Option<ValueRef<'_>> {
        match self.stored() {
            Stored::String(value) => Some(value),
            Stored::Object(_) => None,
        }
    }

    /// The value for reading, if it is of type `T`.
    #[inline]
    pub fn read_as<T: ObjectType>(&self) -> Option<Reading<'_, T>> {
        match self.stored() {
            Stored::String(_) => None,
            Stored::Object(object) => object.read_as(),
        }
    }

    /// The value for reading.
    ///
    /// # Errors
    /// `WRONGTYPE` when it is not of type `T`.
    #[inline]
    pub fn object<T: ObjectType>(&self) -> Result<Reading<'_, T>, Error> {
        self.read_as().ok_or(error::WRONG_TYPE)
    }

    /// The earliest expiry of the fields of a hash. O(1).
    #[inline]
    pub fn next_field_expiry_ms(&self) -> Option<i64> {
        if self.header().kind < KIND_OBJECT {
            return None;
        }
        self.read_as::<Hash>()?.next_expiry_ms()
    }

    /// Takes the value out if it is of type `T`; until [`Entry::put_back`] the entry holds the integer 0.
    pub fn take_out<T: ObjectType>(&mut self) -> Option<T> {
        let kind = self.header().kind;
        if kind < KIND_OBJECT || !T::has_tag(kind - KIND_OBJECT) {
            return None;
        }
        // SAFETY: the kind says that the word is an object's pointer, which is given up: the entry holds an integer now.
        let object = unsafe {
            let pointer = self.payload().cast::<NonNull<u8>>().read();
            self.header_mut().kind = KIND_INT;
            self.payload().cast::<i64>().write(0);
            Object::from_parts(kind - KIND_OBJECT, pointer)
        };
        match T::from_object(object) {
            Ok(value) => Some(value),
            Err(_) => unreachable!("the tag is one of the type's"),
        }
    }

    /// Puts an object in the place of the integer that [`Entry::take_out`] has left.
    pub fn put_back(&mut self, object: Object) {
        assert_eq!(self.header().kind, KIND_INT, "an object was taken out");
        self.init_value(NewValue::Object(object));
    }

    /// The expiry as Unix milliseconds.
    #[inline]
    pub fn expiry_ms(&self) -> Option<i64> {
        if self.header().flags & HAS_EXPIRY == 0 {
            return None;
        }
        // SAFETY: the flag says that the word is there.
        Some(unsafe { self.base().add(8).cast::<i64>().read() })
    }

    /// The 24 bits of LRU clock or LFU counter.
    #[inline]
    pub fn access(&self) -> u32 {
        let [a, b, c] = self.header().access;
        u32::from_le_bytes([a, b, c, 0])
    }

    /// Sets the 24 access bits.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        self.header_mut().access = access_bytes(access);
    }

    /// The snapshot mark (see `crate::keyspace::shard`).
    #[inline]
    pub fn mark(&self) -> bool {
        self.header().flags & MARK != 0
    }

    /// Sets the snapshot mark.
    #[inline]
    pub fn set_mark(&mut self, mark: bool) {
        let header = self.header_mut();
        header.flags = if mark { header.flags | MARK } else { header.flags & !MARK };
    }

    /// Bytes of the allocation as asked for (the allocator rounds up), the blob's buffer included.
    pub fn size_bytes(&self) -> usize {
        let header = self.header();
        let own = key_offset(header) + self.key_len() + usize::from(header.value_len);
        match self.stored() {
            Stored::String(ValueRef::Blob(blob)) => own + blob.capacity(),
            Stored::String(_) => own,
            Stored::Object(object) => own + object.read().memory_bytes(),
        }
    }

    /// Replaces the value and expiry without a new allocation when kind of layout and size allow it; gives the value
    /// back otherwise. Key, mark and access bits stay.
    pub fn overwrite<'a>(&mut self, value: NewValue<'a>, expiry_ms: Option<i64>) -> Result<(), NewValue<'a>> {
        let (kind, value_len) = value.parts();
        let header = self.header();
        let same_words = expiry_ms.is_some() == (header.flags & HAS_EXPIRY != 0)
            && has_payload(kind) == has_payload(header.kind)
            && usize::from(header.value_len) == value_len;
        if !same_words {
            return Err(value);
        }
        self.drop_payload();
        self.header_mut().kind = kind;
        self.init_value(value);
        if let Some(at) = expiry_ms {
            self.write_expiry(at);
        }
        Ok(())
    }

    fn drop_payload(&mut self) {
        match self.header().kind {
            KIND_BLOB => {
                // SAFETY: the kind says a Blob is there; the kind is changed before anybody can look again.
                unsafe { self.payload().cast::<Blob>().drop_in_place() };
                self.header_mut().kind = KIND_INT;
            }
            kind @ KIND_OBJECT.. => {
                self.header_mut().kind = KIND_INT;
                // SAFETY: the kind said that an object's pointer is there, which nobody looks at again.
                drop(unsafe {
                    Object::from_parts(kind - KIND_OBJECT, self.payload().cast::<NonNull<u8>>().read())
                });
            }
            _ => {}
        }
    }

    fn write_expiry(&mut self, at: i64) {
        debug_assert!(self.header().flags & HAS_EXPIRY != 0);
        // SAFETY: the flag says that the word is there.
        unsafe { self.base().add(8).cast::<i64>().write(at) };
    }

    /// The same key, value, mark and access bits with another expiry; reallocates only when a TTL comes or goes.
    pub fn set_expiry(&mut self, hash: u64, expiry_ms: Option<i64>) {
        match (self.expiry_ms(), expiry_ms) {
            (None, None) => {}
            (Some(_), Some(at)) => self.write_expiry(at),
            _ => {
                let mut new = Entry::new(
                    hash,
                    self.key(),
                    NewValue::from_stored(self.stored()),
                    expiry_ms,
                    self.access(),
                );
                new.set_mark(self.mark());
                *self = new;
            }
        }
    }

    /// The string's bytes for changing in place: inline bytes become raw, a shared blob is copied. `None` for integers and objects.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the kind tells what is there; `self` is borrowed mutably for as long as the slice lives.
        unsafe {
            match self.header().kind {
                KIND_INT | KIND_OBJECT.. => None,
                KIND_BLOB => Some(self.payload().cast::<Blob>().as_mut().make_mut()),
                _ => {
                    self.header_mut().kind = KIND_RAW;
                    let len = usize::from(self.header().value_len);
                    Some(std::slice::from_raw_parts_mut(self.inline_at().as_ptr(), len))
                }
            }
        }
    }

    /// Adds zeros to an inline string until it has `len` bytes, fewer than [`BLOB_MIN_BYTES`]; it becomes raw. Where the
    /// allocator has room behind the entry nothing moves.
    pub fn grow_inline(&mut self, len: usize) {
        let header = self.header();
        let old_len = usize::from(header.value_len);
        assert!(!has_payload(header.kind), "only an inline string grows in its entry");
        assert!((old_len..BLOB_MIN_BYTES).contains(&len), "an inline string grows and stays small");
        let before = key_offset(header) + self.key_len();
        let tag = self.tagged.addr().get() & !ADDRESS_MASK;
        // SAFETY: the allocation was made with `before + old_len` bytes, of which the inline value is the end; the new
        // bytes are zeroed, and the header is told their number below.
        unsafe {
            let grown = realloc(self.base().as_ptr(), layout(before + old_len), before + len);
            let Some(base) = NonNull::new(grown) else { handle_alloc_error(layout(before + len)) };
            base.add(before + old_len).write_bytes(0, len - old_len);
            self.tagged = base.map_addr(|a| a | tag);
        }
        let header = self.header_mut();
        (header.kind, header.value_len) = (KIND_RAW, len as u16);
    }

    /// The blob for changing (its length too), if the value is one.
    pub fn blob_mut(&mut self) -> Option<&mut Vec<u8>> {
        if self.header().kind != KIND_BLOB {
            return None;
        }
        // SAFETY: the kind says a Blob is there, and `self` is borrowed mutably.
        Some(unsafe { self.payload().cast::<Blob>().as_mut().make_mut() })
    }
}

impl Clone for Entry {
    /// A copy with its own allocation (a blob is shared), mark and access bits included.
    fn clone(&self) -> Entry {
        let hash = ((self.tagged.addr().get() >> TAG_SHIFT) as u64) << TAG_FROM_BIT;
        let mut new = Entry::new(
            hash,
            self.key(),
            NewValue::from_stored(self.stored()),
            self.expiry_ms(),
            self.access(),
        );
        new.set_mark(self.mark());
        new
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let header = self.header();
        let size = key_offset(header) + self.key_len() + usize::from(header.value_len);
        self.drop_payload();
        // SAFETY: `size` is what the allocation was made with: the fields it follows from change only in ways that
        // keep it.
        unsafe { dealloc(self.base().as_ptr(), layout(size)) };
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("value", &self.stored())
            .field("expiry_ms", &self.expiry_ms())
            .finish()
    }
}

fn has_payload(kind: u8) -> bool {
    matches!(kind, KIND_INT | KIND_BLOB | KIND_OBJECT..)
}

#[inline]
fn key_offset(header: &Header) -> usize {
    8 + 8 * usize::from(header.flags & HAS_EXPIRY != 0)
        + 8 * usize::from(header.flags & LONG_KEY != 0)
        + 8 * usize::from(has_payload(header.kind))
}

fn access_bytes(access: u32) -> [u8; 3] {
    let [a, b, c, _] = access.to_le_bytes();
    [a, b, c]
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("an entry's size fits the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> Vec<u8> {
        match entry.string().expect("a string") {
            ValueRef::Int(n) => n.to_string().into_bytes(),
            ValueRef::Inline { bytes, .. } => bytes.to_vec(),
            ValueRef::Blob(blob) => blob.to_vec(),
        }
    }

    fn bytes(bytes: &[u8]) -> NewValue<'_> {
        NewValue::Bytes { bytes, raw: false }
    }

    #[test]
    fn the_fingerprint_knows_its_bits_of_the_hash() {
        for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef, 0xabcd << TAG_FROM_BIT] {
            let entry = Entry::new(hash, b"k", NewValue::Int(1), None, 0).clone();
            for bit in 0..u64::BITS {
                let known = (TAG_FROM_BIT..TAG_FROM_BIT + 16).contains(&bit);
                assert_eq!(
                    entry.hash_bit(bit),
                    known.then_some(hash >> bit & 1 == 1),
                    "bit {bit} of {hash:x}"
                );
            }
        }
    }

    #[test]
    fn every_shape_round_trips() {
        let keys: [&[u8]; 4] = [b"", b"k", &[7; 255], &[9; 300]];
        let large = vec![b'x'; BLOB_MIN_BYTES];
        for key in keys {
            for expiry in [None, Some(1_700_000_000_000)] {
                for value in [&b""[..], b"hello", &[1; 45], &large[..BLOB_MIN_BYTES - 1], &large] {
                    let entry = Entry::new(0xabcd << TAG_FROM_BIT, key, bytes(value), expiry, 0x00fe_dcba);
                    assert_eq!((entry.key(), text(&entry)), (key, value.to_vec()));
                    assert_eq!((entry.expiry_ms(), entry.access()), (expiry, 0x00fe_dcba));
                    assert!(
                        entry.may_match(0xabcd << TAG_FROM_BIT) && !entry.may_match(0xabce << TAG_FROM_BIT)
                    );
                    assert_eq!(text(&entry.clone()), value);
                }
            }
        }
    }

    #[test]
    fn a_small_entry_fits_its_size_class() {
        assert_eq!(Entry::new(0, &[1; 16], bytes(&[2; 32]), None, 0).size_bytes(), 56);
        assert_eq!(Entry::new(0, &[1; 16], bytes(&[2; 32]), Some(1), 0).size_bytes(), 64);
        assert_eq!(Entry::new(0, &[1; 16], NewValue::Int(12_345_678), None, 0).size_bytes(), 32);
    }

    #[test]
    fn overwriting_in_place_needs_the_same_shape() {
        let mut entry = Entry::new(1, b"key", NewValue::Int(1), None, 0);
        assert!(entry.overwrite(NewValue::Int(2), None).is_ok());
        assert!(entry.overwrite(bytes(b"abc"), None).is_err());
        assert!(entry.overwrite(NewValue::Int(3), Some(5)).is_err());
        assert!(entry.overwrite(NewValue::Blob(Blob::new(vec![1; 20_000])), None).is_ok());
        assert!(entry.overwrite(NewValue::Int(4), None).is_ok());
        assert_eq!(text(&entry), b"4");
        let mut short = Entry::new(1, b"key", bytes(b"abc"), Some(1), 0);
        assert!(short.overwrite(bytes(b"xyz"), Some(2)).is_ok());
        assert_eq!((text(&short), short.expiry_ms()), (b"xyz".to_vec(), Some(2)));
    }

    #[test]
    fn a_ttl_comes_and_goes() {
        for value in [bytes(b"abc"), NewValue::Int(-5), NewValue::Blob(Blob::new(vec![3; 16_384]))] {
            let mut entry = Entry::new(77, b"key", value, None, 9);
            let before = text(&entry);
            entry.set_mark(true);
            for expiry in [None, Some(5), Some(6), None] {
                entry.set_expiry(77, expiry);
                assert_eq!((entry.expiry_ms(), entry.mark(), entry.access()), (expiry, true, 9));
                assert_eq!(text(&entry), before);
            }
        }
    }

    #[test]
    fn an_inline_string_grows() {
        for expiry in [None, Some(7)] {
            let mut entry = Entry::new(0xabcd << TAG_FROM_BIT, &[b'k'; 300], bytes(b"abc"), expiry, 9);
            entry.set_mark(true);
            for len in [3, 4, 1_000, BLOB_MIN_BYTES - 1] {
                entry.grow_inline(len);
                let mut expected = b"abc".to_vec();
                expected.resize(len, 0);
                assert_eq!((text(&entry), entry.key()), (expected, &[b'k'; 300][..]));
                assert!(entry.may_match(0xabcd << TAG_FROM_BIT) && entry.mark());
                assert_eq!((entry.expiry_ms(), entry.access()), (expiry, 9));
            }
        }
    }

    #[test]
    fn an_object_comes_and_goes() {
        use crate::types::list::List;
        use crate::types::set::Set;
        let object = || NewValue::Object(Set::default().into());
        let is_set = |entry: &Entry| entry.read_as::<Set>().is_some() && entry.string().is_none();
        let mut entry = Entry::new(1, b"key", object(), None, 0);
        assert!(is_set(&entry) && entry.read_as::<List>().is_none() && is_set(&entry.clone()));
        entry.set_expiry(1, Some(5));
        assert!(is_set(&entry) && entry.take_out::<List>().is_none());
        let set = entry.take_out::<Set>().expect("a set");
        assert_eq!(text(&entry), b"0");
        entry.put_back(set.into());
        assert!(is_set(&entry));
        assert!(entry.overwrite(NewValue::Int(4), Some(5)).is_ok());
        assert_eq!(text(&entry), b"4");
        assert!(entry.overwrite(object(), Some(5)).is_ok());
        assert!(is_set(&entry) && entry.bytes_mut().is_none());
        assert!(entry.overwrite(bytes(b"abc"), Some(5)).is_err());
    }

    #[test]
    fn a_shared_blob_is_copied_before_a_change() {
        let mut entry = Entry::new(1, b"k", NewValue::Blob(Blob::new(vec![0; 20_000])), None, 0);
        let copy = entry.clone();
        entry.bytes_mut().unwrap()[0] = 1;
        entry.blob_mut().unwrap().push(9);
        assert_eq!((text(&copy)[0], text(&copy).len()), (0, 20_000));
        assert_eq!((text(&entry)[0], text(&entry).len()), (1, 20_001));
    }
}
