//! A leaf of the [`Map`](super::Map): some dozens of entries packed into one allocation.
//!
//! ```text
//! | counts | tag × room | offset × room | entry, entry, … | free |
//! entry:  | key length | key | value |                                 the plain one
//!         | flags | key length or slot | value slot? | expiry? | key? | value? |
//! ```
//!
//! `room` is the number of entries rounded up to eight, so that the layout follows from the count alone. A tag is the
//! lowest byte of an entry's hash: a lookup compares eight tags at a time and touches, nearly always, only the entry that it
//! is after. Entries lie in the order of their offsets without gaps, so an entry's end is the next one's start and the value
//! needs no length. Keys and values beyond [`INLINE_MAX_BYTES`] lie outside, shared, so that no insertion moves them.
//!
//! A leaf that is shared with a clone is copied before it changes. Sorted entries were refused: lookups would have to
//! compare keys or whole hashes, and nothing needs the order.

use super::Entry;
use crate::keyspace::entry::prefetch;
use smallvec::SmallVec;
use triomphe::{Arc, ThinArc};

/// Longer keys and values are kept in allocations of their own.
pub const INLINE_MAX_BYTES: usize = 255;
/// A leaf with more bytes than this is split: copying one stays below 100 ns.
const SPLIT_BYTES: usize = 1024;
/// A leaf with more entries than this is split: keeps false matches of tags rare.
const SPLIT_ENTRIES: usize = 32;
/// Key lengths from here on are flags.
const FLAGS: u8 = 0xf0;
const KEY_OUTSIDE: u8 = 1;
const VALUE_OUTSIDE: u8 = 2;
const EXPIRES: u8 = 4;
/// Flags, key, value slot, expiry.
const LONGEST_PREFIX: usize = 1 + 4 + 4 + 8;
/// What precedes a leaf's buffer in its allocation: the reference count, the buffer's length, the head.
const HEAD_BYTES: usize = 2 * size_of::<usize>() + size_of::<Head>();

/// Some entries. Cloning shares them.
#[derive(Clone)]
pub struct Leaf(ThinArc<Head, u8>);

#[derive(Clone, Default)]
struct Head {
    count: u32,
    /// Bytes of the buffer in use, index included.
    used: u32,
    extra: Option<Box<Extra>>,
}

/// What few leaves need.
#[derive(Clone)]
struct Extra {
    /// Long keys and values. An entry names its slot.
    outside: Vec<Option<Arc<[u8]>>>,
    /// The earliest expiry among the entries, `i64::MAX` if none has any.
    soonest_ms: i64,
}

impl Default for Extra {
    fn default() -> Extra {
        Extra { outside: Vec::new(), soonest_ms: i64::MAX }
    }
}

impl Extra {
    fn keep(&mut self, bytes: Arc<[u8]>) -> u32 {
        let free = self.outside.iter().position(Option::is_none).unwrap_or_else(|| {
            self.outside.push(None);
            self.outside.len() - 1
        });
        self.outside[free] = Some(bytes);
        free as u32
    }
}

/// A key or a value on its way into a leaf.
#[derive(Clone)]
enum Part<'a> {
    Inline(&'a [u8]),
    Outside(Arc<[u8]>),
}

impl<'a> Part<'a> {
    fn new(bytes: &'a [u8]) -> Part<'a> {
        if bytes.len() <= INLINE_MAX_BYTES { Part::Inline(bytes) } else { Part::Outside(Arc::from(bytes)) }
    }

    fn inline(&self) -> &[u8] {
        match self {
            Part::Inline(bytes) => bytes,
            Part::Outside(_) => &[],
        }
    }
}

/// An entry on its way into a leaf.
#[derive(Clone)]
pub struct Item<'a> {
    key: Part<'a>,
    value: Part<'a>,
    expiry_ms: Option<i64>,
}

impl<'a> Item<'a> {
    /// An entry of these parts.
    pub fn new(key: &'a [u8], value: &'a [u8], expiry_ms: Option<i64>) -> Item<'a> {
        Item { key: Part::new(key), value: Part::new(value), expiry_ms }
    }

    /// Bytes in the leaf.
    fn len(&self) -> usize {
        let key = self.key.inline().len();
        let value = self.value.inline().len();
        if self.is_plain() {
            return 1 + key + value;
        }
        let slot = if matches!(self.value, Part::Outside(_)) { 4 } else { 0 };
        let expiry = if self.expiry_ms.is_some() { 8 } else { 0 };
        5 + slot + expiry + key + value
    }

    fn is_plain(&self) -> bool {
        self.expiry_ms.is_none()
            && matches!(&self.key, Part::Inline(key) if key.len() < usize::from(FLAGS))
            && matches!(self.value, Part::Inline(_))
    }

    /// Writes the entry to the start of `to`; what lies outside goes to `extra`.
    fn write(&self, to: &mut [u8], extra: &mut Option<Box<Extra>>) {
        let mut prefix = [0; LONGEST_PREFIX];
        let mut len = 1;
        if self.is_plain() {
            prefix[0] = self.key.inline().len() as u8;
        } else {
            len = self.write_prefix(&mut prefix, extra.get_or_insert_default());
        }
        let mut at = 0;
        for part in [&prefix[..len], self.key.inline(), self.value.inline()] {
            to[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    fn write_prefix(&self, prefix: &mut [u8; LONGEST_PREFIX], extra: &mut Extra) -> usize {
        prefix[0] = FLAGS;
        let key = match &self.key {
            Part::Inline(key) => key.len() as u32,
            Part::Outside(key) => {
                prefix[0] |= KEY_OUTSIDE;
                extra.keep(key.clone())
            }
        };
        prefix[1..5].copy_from_slice(&key.to_le_bytes());
        let mut len = 5;
        if let Part::Outside(value) = &self.value {
            prefix[0] |= VALUE_OUTSIDE;
            prefix[len..len + 4].copy_from_slice(&extra.keep(value.clone()).to_le_bytes());
            len += 4;
        }
        if let Some(expiry_ms) = self.expiry_ms {
            prefix[0] |= EXPIRES;
            prefix[len..len + 8].copy_from_slice(&expiry_ms.to_le_bytes());
            len += 8;
            extra.soonest_ms = extra.soonest_ms.min(expiry_ms);
        }
        len
    }
}

/// What an entry's bytes say.
struct Parsed<'a> {
    key: Result<&'a [u8], u32>,
    value: Result<&'a [u8], u32>,
    expiry_ms: Option<i64>,
}

fn parse(entry: &[u8]) -> Parsed<'_> {
    let first = entry[0];
    if first < FLAGS {
        let (key, value) = entry[1..].split_at(usize::from(first));
        return Parsed { key: Ok(key), value: Ok(value), expiry_ms: None };
    }
    let number = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four bytes"));
    let mut at = 5;
    let value = (first & VALUE_OUTSIDE != 0).then(|| {
        at += 4;
        number(at - 4)
    });
    let expiry_ms = (first & EXPIRES != 0).then(|| {
        at += 8;
        i64::from_le_bytes(entry[at - 8..at].try_into().expect("eight bytes"))
    });
    let (key, rest) = match first & KEY_OUTSIDE {
        0 => entry[at..].split_at(number(1) as usize),
        _ => (&[][..], &entry[at..]),
    };
    let key = if first & KEY_OUTSIDE == 0 { Ok(key) } else { Err(number(1)) };
    Parsed { key, value: value.map_or(Ok(rest), Err), expiry_ms }
}

/// The key of an entry that is a plain one.
#[inline]
fn plain_key(entry: &[u8]) -> Option<&[u8]> {
    let len = entry[0];
    (len < FLAGS).then(|| &entry[1..][..usize::from(len)])
}

const CACHE_LINE_BYTES: usize = 64;

/// Entries for which a leaf of `count` has room in its index.
fn room(count: usize) -> usize {
    count.next_multiple_of(8)
}

/// Bytes of an offset: two, but in a leaf of equal hashes that has grown beyond all measure.
fn offset_width(buffer_len: usize) -> usize {
    if buffer_len <= usize::from(u16::MAX) { 2 } else { 4 }
}

/// The buffer length to ask for when `needed` bytes must fit: what fills the allocator's size class.
fn buffer_len(needed: usize) -> usize {
    let total = needed + HEAD_BYTES;
    let step = if total <= 128 { 16 } else { (total - 1).next_power_of_two() / 8 };
    total.next_multiple_of(step) - HEAD_BYTES
}

/// The bytes of a leaf with its layout.
#[derive(Clone, Copy)]
struct Layout {
    count: usize,
    width: usize,
}

impl Layout {
    fn offsets(self) -> usize {
        room(self.count)
    }

    fn entries(self) -> usize {
        room(self.count) * (1 + self.width)
    }

    /// Where entry `i` starts, from the entries' start.
    fn offset(self, buffer: &[u8], i: usize) -> usize {
        let at = self.offsets() + i * self.width;
        match self.width {
            2 => usize::from(u16::from_le_bytes([buffer[at], buffer[at + 1]])),
            _ => u32::from_le_bytes(buffer[at..at + 4].try_into().expect("four bytes")) as usize,
        }
    }

    fn set_offset(self, buffer: &mut [u8], i: usize, offset: usize) {
        let at = self.offsets() + i * self.width;
        match self.width {
            2 => buffer[at..at + 2].copy_from_slice(&(offset as u16).to_le_bytes()),
            _ => buffer[at..at + 4].copy_from_slice(&(offset as u32).to_le_bytes()),
        }
    }

    /// Moves offsets and entries to where they belong when the count becomes `count`.
    fn resize(self, buffer: &mut [u8], used: usize, count: usize) -> (Layout, usize) {
        let new = Layout { count, ..self };
        let (from, to) = (self.entries(), new.entries());
        if from == to {
            return (new, used);
        }
        let offsets = self.offsets()..self.offsets() + self.count.min(count) * self.width;
        if from < to {
            buffer.copy_within(from..used, to);
            buffer.copy_within(offsets, new.offsets());
        } else {
            buffer.copy_within(offsets, new.offsets());
            buffer.copy_within(from..used, to);
        }
        (new, used - from + to)
    }
}

impl Leaf {
    /// A leaf of one entry.
    pub fn one(tag: u8, item: &Item<'_>) -> Leaf {
        let mut builder = Builder::default();
        builder.push(tag, item);
        builder.finish().expect("it has an entry")
    }

    /// A leaf whose buffer, `len` zeros, `fill` has filled.
    fn filled(head: Head, len: usize, fill: impl FnOnce(&mut [u8])) -> Leaf {
        const ZEROS: &[u8] = &[0; 2 * SPLIT_BYTES];
        let mut leaf = match ZEROS.get(..len) {
            Some(zeros) => ThinArc::from_header_and_slice(head, zeros),
            None => ThinArc::from_header_and_slice(head, &vec![0; len]),
        };
        leaf.with_arc_mut(|arc| fill(Arc::get_mut(arc).expect("just made").slice_mut()));
        Leaf(leaf)
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn buffer(&self) -> &[u8] {
        &self.0.slice
    }

    fn layout(&self) -> Layout {
        Layout { count: self.len(), width: offset_width(self.buffer().len()) }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.head().count as usize
    }

    /// Bytes in use: what counts for splitting and merging.
    pub fn used(&self) -> usize {
        self.head().used as usize
    }

    /// Bytes of memory, with what lies outside.
    pub fn memory_bytes(&self) -> usize {
        let extra = self.head().extra.as_ref().map_or(0, |extra| {
            let outside: usize = extra.outside.iter().flatten().map(|bytes| bytes.len() + 16).sum();
            outside + extra.outside.capacity() * 16 + size_of::<Extra>()
        });
        HEAD_BYTES + self.buffer().len() + extra
    }

    /// The earliest expiry among the entries, `i64::MAX` if none has any. O(1).
    pub fn soonest_ms(&self) -> i64 {
        self.head().extra.as_ref().map_or(i64::MAX, |extra| extra.soonest_ms)
    }

    /// Is it to be split, where it can be?
    pub fn is_overfull(&self) -> bool {
        let count = self.len();
        count > SPLIT_ENTRIES || count > 1 && self.used() > SPLIT_BYTES
    }

    /// May two leaves become one? Leaves distance to [`Leaf::is_overfull`], so that nothing swings between the two.
    pub fn fit_together(a: &Leaf, b: &Leaf) -> bool {
        a.len() + b.len() <= SPLIT_ENTRIES / 2 && a.used() + b.used() <= SPLIT_BYTES / 2
    }

    /// Far below the limits: worth looking for a neighbour to merge with.
    pub fn is_sparse(&self) -> bool {
        self.len() <= SPLIT_ENTRIES / 2 && self.used() <= SPLIT_BYTES / 2
    }

    fn bytes_of(&self, i: usize) -> &[u8] {
        let (layout, buffer) = (self.layout(), self.buffer());
        let start = layout.offset(buffer, i);
        let end =
            if i + 1 < layout.count { layout.offset(buffer, i + 1) } else { self.used() - layout.entries() };
        &buffer[layout.entries()..][start..end]
    }

    /// The entries' tags and bytes.
    fn raw(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let (layout, buffer) = (self.layout(), self.buffer());
        let entries = &buffer[layout.entries()..self.used()];
        let starts = (1..layout.count).map(move |i| layout.offset(buffer, i));
        let ends = starts.chain(std::iter::once(entries.len()));
        buffer.iter().zip(ends).scan(0, |start, (tag, end)| {
            let entry = &entries[*start..end];
            *start = end;
            Some((*tag, entry))
        })
    }

    fn outside(&self, slot: u32) -> &Arc<[u8]> {
        let extra =
            self.head().extra.as_ref().expect("an entry that names a slot has brought the extra part");
        extra.outside[slot as usize].as_ref().expect("a slot is kept while an entry names it")
    }

    /// Entry `i`, in no particular order.
    pub fn entry(&self, i: usize) -> Entry<'_> {
        let parsed = parse(self.bytes_of(i));
        let text = |part: Result<_, u32>| part.unwrap_or_else(|slot| &**self.outside(slot));
        Entry { key: text(parsed.key), value: text(parsed.value), expiry_ms: parsed.expiry_ms }
    }

    fn item(&self, i: usize) -> Item<'_> {
        let parsed = parse(self.bytes_of(i));
        let part = |part: Result<_, u32>| {
            part.map_or_else(|slot| Part::Outside(self.outside(slot).clone()), Part::Inline)
        };
        Item { key: part(parsed.key), value: part(parsed.value), expiry_ms: parsed.expiry_ms }
    }

    fn key_is(&self, i: usize, key: &[u8]) -> bool {
        let (layout, buffer) = (self.layout(), self.buffer());
        let entry = &buffer[layout.entries() + layout.offset(buffer, i)..];
        match entry[0] {
            len if len < FLAGS => usize::from(len) == key.len() && entry[1..].get(..key.len()) == Some(key),
            _ => self.entry(i).key == key,
        }
    }

    /// The entry of a key whose hash ends in `tag`.
    #[inline]
    pub fn find(&self, tag: u8, key: &[u8]) -> Option<usize> {
        self.tagged(tag, |i| self.key_is(i, key))
    }

    /// The first of the entries with this tag that `is_it` says it is.
    #[inline]
    fn tagged(&self, tag: u8, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let count = self.len();
        for (word, tags) in self.buffer()[..room(count)].chunks_exact(8).enumerate() {
            let differing =
                u64::from_le_bytes(tags.try_into().expect("eight bytes")) ^ (ONES * u64::from(tag));
            // The highest bit of each byte that is zero.
            let mut equal = !((differing & LOW).wrapping_add(LOW) | differing | LOW);
            while equal != 0 {
                let i = word * 8 + equal.trailing_zeros() as usize / 8;
                if i < count && is_it(i) {
                    return Some(i);
                }
                equal &= equal - 1;
            }
        }
        None
    }

    /// Asks for the leaf's head and index.
    pub fn prefetch(&self) {
        let head = self.0.heap_ptr().cast::<[u8; CACHE_LINE_BYTES]>();
        prefetch(head);
        prefetch(head.wrapping_add(1));
    }

    /// Asks for the entry of a key whose hash ends in `tag`, and for where one would be added.
    pub fn prefetch_entry(&self, tag: u8) {
        let (layout, buffer) = (self.layout(), self.buffer());
        if let Some(i) = self.tagged(tag, |_| true) {
            prefetch(&raw const buffer[layout.entries() + layout.offset(buffer, i)]);
        }
        prefetch(buffer.as_ptr().wrapping_add(self.used()));
    }

    /// Gives head and buffer for changing, the buffer `needed` bytes long at least; copied before if a clone shares them.
    fn change<R>(&mut self, needed: usize, f: impl FnOnce(Layout, &mut Head, &mut [u8]) -> R) -> R {
        if self.buffer().len() < needed || !self.0.with_arc(Arc::is_unique) {
            self.reallocate(needed);
        }
        let layout = self.layout();
        self.0.with_arc_mut(|arc| {
            let inner = Arc::get_mut(arc).expect("made the only owner above");
            let mut head = std::mem::take(inner.header_mut());
            let result = f(layout, &mut head, inner.slice_mut());
            *inner.header_mut() = head;
            result
        })
    }

    fn reallocate(&mut self, needed: usize) {
        let needed = needed.max(self.used());
        let mut len = buffer_len(needed);
        if offset_width(len) == 4 {
            // It may have been reckoned with narrow offsets.
            len = buffer_len(needed + 2 * room(self.len() + 1));
        }
        if offset_width(len) != offset_width(self.buffer().len()) {
            let mut builder = Builder::default();
            builder.push_all(self);
            *self = builder.with_buffer(len);
            return;
        }
        let used = &self.buffer()[..self.used()];
        *self = Leaf::filled(self.head().clone(), len, |buffer| buffer[..used.len()].copy_from_slice(used));
    }

    /// Adds an entry whose key is not there.
    pub fn push(&mut self, tag: u8, item: &Item<'_>) {
        let old = self.layout();
        let grown = Layout { count: old.count + 1, ..old };
        let needed = self.used() - old.entries() + grown.entries() + item.len();
        self.change(needed, |layout, head, buffer| {
            let (layout, used) = layout.resize(buffer, head.used as usize, grown.count);
            let at = grown.count - 1;
            buffer[at] = tag;
            layout.set_offset(buffer, at, used - layout.entries());
            item.write(&mut buffer[used..used + item.len()], &mut head.extra);
            (head.count, head.used) = (grown.count as u32, (used + item.len()) as u32);
        });
    }

    /// Puts an entry with the same key in the place of entry `i`.
    pub fn replace(&mut self, i: usize, item: &Item<'_>) {
        let (old_len, new_len) = (self.bytes_of(i).len(), item.len());
        let needed = self.used() - old_len + new_len;
        let expires = self.change(needed, |layout, head, buffer| {
            let start = layout.entries() + layout.offset(buffer, i);
            let expires = release(&buffer[start..start + old_len], head);
            if old_len != new_len {
                buffer.copy_within(start + old_len..head.used as usize, start + new_len);
                for later in i + 1..layout.count {
                    let offset = layout.offset(buffer, later);
                    layout.set_offset(buffer, later, offset - old_len + new_len);
                }
                head.used = (head.used as usize - old_len + new_len) as u32;
            }
            item.write(&mut buffer[start..start + new_len], &mut head.extra);
            expires
        });
        self.settle(expires);
    }

    /// Gives entry `i` another expiry, or none.
    pub fn set_expiry(&mut self, i: usize, expiry_ms: Option<i64>) {
        // The entry's own bytes are overwritten: what is written has to stand elsewhere.
        let this = self.clone();
        let mut item = this.item(i);
        item.expiry_ms = expiry_ms;
        self.replace(i, &item);
    }

    /// Removes entry `i`. Returns whether the leaf is empty now; then it must go.
    pub fn remove(&mut self, i: usize) -> bool {
        let len = self.bytes_of(i).len();
        let expires = self.change(0, |layout, head, buffer| {
            let start = layout.entries() + layout.offset(buffer, i);
            let expires = release(&buffer[start..start + len], head);
            let used = head.used as usize;
            buffer.copy_within(start + len..used, start);
            buffer.copy_within(i + 1..layout.count, i);
            for later in i + 1..layout.count {
                let offset = layout.offset(buffer, later);
                layout.set_offset(buffer, later - 1, offset - len);
            }
            let (layout, used) = layout.resize(buffer, used - len, layout.count - 1);
            (head.count, head.used) = (layout.count as u32, used as u32);
            expires
        });
        self.settle(expires);
        if self.buffer().len() > 2 * self.used() + HEAD_BYTES {
            self.reallocate(0);
        }
        self.len() == 0
    }

    /// After an entry has gone that expired at `gone`: brings the earliest expiry up to date.
    fn settle(&mut self, gone: Option<i64>) {
        let stale = gone.is_some_and(|gone| gone <= self.soonest_ms());
        let Some(extra) = &self.head().extra else { return };
        let soonest_ms = match stale {
            true => (0..self.len()).filter_map(|i| self.entry(i).expiry_ms).min().unwrap_or(i64::MAX),
            false => extra.soonest_ms,
        };
        let idle = soonest_ms == i64::MAX && extra.outside.iter().all(Option::is_none);
        if !stale && !idle {
            return;
        }
        self.change(0, |_, head, _| match &mut head.extra {
            Some(extra) if !idle => extra.soonest_ms = soonest_ms,
            extra => *extra = None,
        });
    }

    /// Parts the entries by what `upper` says of their keys.
    pub fn split(&self, upper: impl Fn(&[u8]) -> bool) -> (Option<Leaf>, Option<Leaf>) {
        let mut parts = [Builder::for_part_of(self), Builder::for_part_of(self)];
        for (i, (tag, entry)) in self.raw().enumerate() {
            let key = plain_key(entry).unwrap_or_else(|| self.entry(i).key);
            parts[usize::from(upper(key))].push_copy(self, i, tag, entry);
        }
        let [low, high] = parts;
        (low.finish(), high.finish())
    }

    /// A leaf of the entries of two.
    pub fn join(a: &Leaf, b: &Leaf) -> Leaf {
        let mut builder = Builder::default();
        builder.push_all(a);
        builder.push_all(b);
        builder.finish().expect("leaves hold entries")
    }
}

/// Lets go of what an entry holds outside. Returns its expiry.
fn release(entry: &[u8], head: &mut Head) -> Option<i64> {
    let parsed = parse(entry);
    for slot in [parsed.key.err(), parsed.value.err()].into_iter().flatten() {
        let extra = head.extra.as_mut().expect("an entry that names a slot has brought the extra part");
        extra.outside[slot as usize] = None;
    }
    parsed.expiry_ms
}

/// A leaf being put together.
#[derive(Default)]
struct Builder {
    tags: SmallVec<[u8; 2 * SPLIT_ENTRIES]>,
    offsets: SmallVec<[u32; 2 * SPLIT_ENTRIES]>,
    entries: Vec<u8>,
    extra: Option<Box<Extra>>,
}

impl Builder {
    /// With room for some of the entries of a leaf.
    fn for_part_of(leaf: &Leaf) -> Builder {
        Builder { entries: Vec::with_capacity(leaf.used()), ..Builder::default() }
    }

    fn push(&mut self, tag: u8, item: &Item<'_>) {
        let start = self.begin(tag);
        self.entries.resize(start + item.len(), 0);
        item.write(&mut self.entries[start..], &mut self.extra);
    }

    /// Adds entry `i` of a leaf, its tag and bytes being these.
    #[inline]
    fn push_copy(&mut self, leaf: &Leaf, i: usize, tag: u8, entry: &[u8]) {
        if plain_key(entry).is_some() {
            self.begin(tag);
            self.entries.extend_from_slice(entry);
        } else {
            self.push(tag, &leaf.item(i));
        }
    }

    /// Where the entry that is added next will start.
    #[inline]
    fn begin(&mut self, tag: u8) -> usize {
        let start = self.entries.len();
        self.tags.push(tag);
        self.offsets.push(start as u32);
        start
    }

    fn push_all(&mut self, leaf: &Leaf) {
        self.entries.reserve(leaf.used());
        leaf.raw().enumerate().for_each(|(i, (tag, entry))| self.push_copy(leaf, i, tag, entry));
    }

    /// The leaf, if there is any entry.
    fn finish(self) -> Option<Leaf> {
        let count = self.tags.len();
        let needed = |width| Layout { count, width }.entries() + self.entries.len();
        let narrow = buffer_len(needed(2));
        let len = if offset_width(narrow) == 2 { narrow } else { buffer_len(needed(4)) };
        (count > 0).then(|| self.with_buffer(len))
    }

    /// The leaf, in a buffer of `len` bytes, which must be enough.
    fn with_buffer(self, len: usize) -> Leaf {
        let layout = Layout { count: self.tags.len(), width: offset_width(len) };
        let used = layout.entries() + self.entries.len();
        let head = Head { count: layout.count as u32, used: used as u32, extra: self.extra };
        Leaf::filled(head, len, |buffer| {
            buffer[..layout.count].copy_from_slice(&self.tags);
            for (i, offset) in self.offsets.iter().enumerate() {
                layout.set_offset(buffer, i, *offset as usize);
            }
            buffer[layout.entries()..used].copy_from_slice(&self.entries);
        })
    }
}
