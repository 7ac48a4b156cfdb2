//! A collection's bytes in, the collection out, a piece at a time.
//!
//! Every type that is no string is read by a [`Builder`]: its type byte says what the pieces are (the count, an element, a
//! field with its value, a packed block, a consumer …), and each step reads one of them whole or nothing at all. So the
//! decoder may be cut off anywhere inside a value of any size, and what a value costs while it is read is what it costs
//! when it is there: nothing is reserved for a count that was only declared.
//!
//! What the pieces mean is decided here, how they enter the types in [`adopt`](super::adopt). Every byte is validated, and
//! an element that comes twice is an error. Redis looks so closely only with `sanitize-dump-payload yes`; here the types
//! rely on it.

use super::adopt::{self, ListBuilder};
use super::batch::{Batch, New};
use super::error::Fault;
use super::stream::StreamReader;
use super::string::{Text, bytes_at, text};
use super::wire::{Cursor, Halt};
use crate::types::hash::Hash;
use crate::types::set::Set;
use crate::types::zset::Zset;
use crate::types::{Limits, Object};

/// Lengths of a sorted set's score as text that mean no length.
const SCORE_NAN: u8 = 253;
const SCORE_INFINITY: u8 = 254;
const SCORE_NEG_INFINITY: u8 = 255;

/// How a list's node is kept, in `quicklist v2`.
pub(super) const NODE_PLAIN: u64 = 1;
pub(super) const NODE_PACKED: u64 = 2;

/// What Valkey writes behind a field that does not expire.
const VALKEY_NO_EXPIRY: i64 = -1;

/// What the pieces of a value are.
#[derive(Clone, Copy)]
enum Form {
    /// A count, then that many of these.
    Counted(Piece),
    /// One packed block.
    Block(Block),
    /// See [`StreamReader`].
    Stream,
}

#[derive(Clone, Copy)]
enum Piece {
    Item,
    Ziplist,
    Node,
    Member,
    /// A member and its score as text.
    ScoredText,
    /// A member and its score as 8 bytes.
    Scored,
    Field,
    /// A field with its value and expiry.
    Expiring(ExpiryForm),
}

/// How a hash's fields carry their expiry.
#[derive(Clone, Copy)]
enum ExpiryForm {
    /// Redis 7.4: before the field, one more than the milliseconds since the earliest, which stands before the count.
    Relative,
    /// Its release candidates: before the field, a Unix time.
    Absolute,
    /// Valkey 9: behind the value, a Unix time of 8 bytes.
    Valkey,
}

#[derive(Clone, Copy)]
enum Block {
    Ziplist,
    Zipmap,
    Intset,
    Listpack,
    /// Fields, values and expiries; `after_earliest`: behind the earliest expiry.
    Expiring {
        after_earliest: bool,
    },
}

/// The value as far as it was read.
pub(super) enum Partial {
    List(ListBuilder),
    Set(Set),
    Zset(Zset),
    Hash(Hash),
    Stream(Box<StreamReader>),
}

impl Partial {
    /// Elements that have names.
    pub fn len(&self) -> usize {
        match self {
            Partial::Set(set) => set.len(),
            Partial::Zset(zset) => zset.len(),
            Partial::Hash(hash) => hash.len(),
            Partial::List(_) | Partial::Stream(_) => 0,
        }
    }

    /// Asks for the memory where elements of these names will be.
    pub fn prefetch(&self, names: &[&[u8]]) {
        match self {
            Partial::Set(set) => set.prefetch(names),
            Partial::Zset(zset) => zset.prefetch(names),
            Partial::Hash(hash) => hash.prefetch(names),
            Partial::List(_) | Partial::Stream(_) => {}
        }
    }
}

/// Reads one collection.
pub(super) struct Builder {
    form: Form,
    value: Partial,
    batch: Batch,
    /// Packed blocks that were looked at, those of a stream left out.
    blocks: u64,
    /// Pieces to come; `None`: their number was not read yet.
    left: Option<u64>,
    /// What [`ExpiryForm::Relative`] counts from.
    earliest_ms: i64,
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Builder {
    /// For a value of this type; `None` if it is no collection that can be read.
    pub fn new(value_type: u8, valkey: bool) -> Option<Builder> {
        let form = match value_type {
            1 => Form::Counted(Piece::Item),
            2 => Form::Counted(Piece::Member),
            3 => Form::Counted(Piece::ScoredText),
            4 => Form::Counted(Piece::Field),
            5 => Form::Counted(Piece::Scored),
            9 => Form::Block(Block::Zipmap),
            10 | 12 | 13 => Form::Block(Block::Ziplist),
            11 => Form::Block(Block::Intset),
            14 => Form::Counted(Piece::Ziplist),
            15 | 19 | 21 => Form::Stream,
            16 | 17 | 20 => Form::Block(Block::Listpack),
            18 => Form::Counted(Piece::Node),
            22 if valkey => Form::Counted(Piece::Expiring(ExpiryForm::Valkey)),
            22 => Form::Counted(Piece::Expiring(ExpiryForm::Absolute)),
            23 if !valkey => Form::Block(Block::Expiring { after_earliest: false }),
            24 if !valkey => Form::Counted(Piece::Expiring(ExpiryForm::Relative)),
            25 if !valkey => Form::Block(Block::Expiring { after_earliest: true }),
            _ => return None,
        };
        let value = match value_type {
            1 | 10 | 14 | 18 => Partial::List(ListBuilder::default()),
            2 | 11 | 20 => Partial::Set(Set::default()),
            3 | 5 | 12 | 17 => Partial::Zset(Zset::default()),
            15 | 19 | 21 => Partial::Stream(Box::new(StreamReader::new(value_type))),
            _ => Partial::Hash(Hash::default()),
        };
        Some(Builder {
            form,
            value,
            batch: Batch::default(),
            blocks: 0,
            left: None,
            earliest_ms: 0,
            first: Vec::new(),
            second: Vec::new(),
        })
    }

    /// Reads one piece; true when it was the last.
    pub fn step(&mut self, src: &[u8], cursor: &mut Cursor<'_>, limits: &Limits) -> Result<bool, Halt> {
        match self.form {
            Form::Block(block) => self.block(block, src, cursor, limits).map(|()| true),
            Form::Counted(piece) => self.counted(piece, src, cursor, limits),
            Form::Stream => match &mut self.value {
                Partial::Stream(reader) => reader.step(src, cursor),
                _ => unreachable!("only streams are read as streams"),
            },
        }
    }

    /// Packed blocks that were looked at so far, the last one sound or not.
    pub fn blocks(&self) -> u64 {
        match &self.value {
            Partial::Stream(reader) => reader.blocks(),
            _ => self.blocks,
        }
    }

    /// The value; `None` if it has no elements, which only a stream may lack.
    pub fn finish(self, limits: &Limits) -> Option<Object> {
        let object: Object = match self.value {
            Partial::List(list) => list.finish(limits).into(),
            Partial::Set(set) => set.into(),
            Partial::Zset(zset) => zset.into(),
            Partial::Hash(hash) => hash.into(),
            Partial::Stream(reader) => reader.finish().into(),
        };
        (!object.is_empty()).then_some(object)
    }

    fn counted(
        &mut self,
        piece: Piece,
        src: &[u8],
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<bool, Halt> {
        let left = match self.left {
            None => {
                if let Piece::Expiring(ExpiryForm::Relative) = piece {
                    self.earliest_ms = i64::from_le_bytes(cursor.array()?);
                }
                let len = cursor.length()?;
                if let Partial::Set(set) = &mut self.value {
                    *set = Set::for_loading(usize::try_from(len).unwrap_or(usize::MAX), limits);
                }
                len
            }
            Some(left) => {
                match piece {
                    Piece::Node => self.node(src, cursor, limits)?,
                    Piece::Expiring(form) => self.expiring(form, src, cursor, limits)?,
                    _ => self.element(piece, src, cursor, limits)?,
                }
                left - 1
            }
        };
        self.left = Some(left);
        if left == 0 {
            self.batch.flush(&mut self.value, limits)?;
        }
        Ok(left == 0)
    }

    fn element(
        &mut self,
        piece: Piece,
        src: &[u8],
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<(), Halt> {
        let first = text(src, cursor, &mut self.first)?;
        let (mut second, mut score) = (Text::Scratch, 0.0);
        match piece {
            Piece::Field => second = text(src, cursor, &mut self.second)?,
            Piece::ScoredText => score = text_score(src, cursor)?,
            Piece::Scored => score = f64::from_le_bytes(cursor.array()?),
            _ => {}
        }
        let (first, second) = (bytes_at(first, src, &self.first), bytes_at(second, src, &self.second));
        match &mut self.value {
            Partial::List(list) if matches!(piece, Piece::Ziplist) => {
                self.blocks += 1;
                list.ziplist(first, limits)?;
            }
            Partial::List(list) => list.push(first, limits),
            value => {
                let new = New { name: first, value: second, score, expiry_ms: None };
                self.batch.take(value, new, limits)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, src: &[u8], cursor: &mut Cursor<'_>, limits: &Limits) -> Result<(), Halt> {
        let kind = cursor.length()?;
        let node = text(src, cursor, &mut self.first)?;
        let node = bytes_at(node, src, &self.first);
        let Partial::List(list) = &mut self.value else { unreachable!("only lists have nodes") };
        match kind {
            NODE_PLAIN if !node.is_empty() => list.push(node, limits),
            NODE_PACKED if !node.is_empty() => {
                self.blocks += 1;
                list.listpack(node, limits)?;
            }
            _ => return Err(Fault::Corrupt("Quicklist integrity check failed.").into()),
        }
        Ok(())
    }

    fn expiring(
        &mut self,
        form: ExpiryForm,
        src: &[u8],
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<(), Halt> {
        let before = match form {
            ExpiryForm::Valkey => 0,
            ExpiryForm::Relative | ExpiryForm::Absolute => cursor.length()? as i64,
        };
        let field = text(src, cursor, &mut self.first)?;
        let value = text(src, cursor, &mut self.second)?;
        let expiry_ms = match form {
            ExpiryForm::Valkey => {
                Some(i64::from_le_bytes(cursor.array()?)).filter(|at| *at != VALKEY_NO_EXPIRY)
            }
            ExpiryForm::Absolute => Some(before).filter(|at| *at != 0),
            ExpiryForm::Relative => {
                (before != 0).then(|| self.earliest_ms.wrapping_add(before).wrapping_sub(1))
            }
        };
        let (field, value) = (bytes_at(field, src, &self.first), bytes_at(value, src, &self.second));
        let new = New { name: field, value, score: 0.0, expiry_ms };
        Ok(self.batch.take(&mut self.value, new, limits)?)
    }

    fn block(
        &mut self,
        block: Block,
        src: &[u8],
        cursor: &mut Cursor<'_>,
        limits: &Limits,
    ) -> Result<(), Halt> {
        if let Block::Expiring { after_earliest: true } = block {
            cursor.span(size_of::<i64>())?;
        }
        let place = text(src, cursor, &mut self.first)?;
        let bytes = bytes_at(place, src, &self.first);
        self.blocks += 1;
        match (&mut self.value, block) {
            (Partial::List(list), _) => list.ziplist(bytes, limits)?,
            (Partial::Set(set), Block::Intset) => adopt::intset(set, bytes, limits)?,
            (Partial::Set(set), _) => adopt::set_listpack(set, bytes, limits)?,
            (Partial::Zset(zset), Block::Ziplist) => adopt::zset_ziplist(zset, bytes, limits)?,
            (Partial::Zset(zset), _) => adopt::zset_listpack(zset, bytes, limits)?,
            (Partial::Hash(hash), Block::Zipmap) => adopt::zipmap(hash, bytes, limits)?,
            (Partial::Hash(hash), Block::Ziplist) => adopt::hash_ziplist(hash, bytes, limits)?,
            (Partial::Hash(hash), Block::Expiring { .. }) => adopt::hash_expiring(hash, bytes, limits)?,
            (Partial::Hash(hash), _) => adopt::hash_listpack(hash, bytes, limits)?,
            (Partial::Stream(_), _) => unreachable!("streams have a reader of their own"),
        }
        Ok(())
    }
}

/// A score as text: a length of one byte, of which three values mean scores of their own.
fn text_score(src: &[u8], cursor: &mut Cursor<'_>) -> Result<f64, Halt> {
    let len = match cursor.byte()? {
        SCORE_NAN => return Ok(f64::NAN),
        SCORE_INFINITY => return Ok(f64::INFINITY),
        SCORE_NEG_INFINITY => return Ok(f64::NEG_INFINITY),
        len => usize::from(len),
    };
    let start = cursor.span(len)?;
    adopt::score_text(&src[start..start + len]).ok_or(Fault::Corrupt("Zset score is not a number").into())
}
