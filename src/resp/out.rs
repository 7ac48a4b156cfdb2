//! An output buffer: bytes, with large values between them that are sent without a copy.

use crate::keyspace::Blob;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

/// Pieces handed to one `writev`.
const WRITEV_PIECES: usize = 64;

#[derive(Debug)]
struct SharedPiece {
    /// Position in `bytes` before which the piece goes.
    at: usize,
    blob: Blob,
    range: Range<usize>,
}

/// Bytes to be sent, in order.
#[derive(Default, Debug)]
pub struct Out {
    bytes: Vec<u8>,
    /// How far `bytes` is sent.
    sent: usize,
    pieces: VecDeque<SharedPiece>,
    shared_bytes: usize,
}

impl Out {
    /// Nothing left to send?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.pieces.is_empty()
    }

    /// Bytes left to send.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.shared_bytes
    }

    /// The bytes for appending.
    #[inline]
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes of memory that the buffer occupies, shared values not included.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a part of a shared value.
    pub fn push_blob(&mut self, blob: &Blob, range: Range<usize>) {
        self.shared_bytes += range.len();
        self.pieces.push_back(SharedPiece { at: self.bytes.len(), blob: blob.clone(), range });
    }

    /// Where the buffer ends now, for [`Out::truncate`].
    pub fn end(&self) -> (usize, usize) {
        (self.bytes.len(), self.pieces.len())
    }

    /// Takes back what was appended since `end`, if none of it has been sent.
    pub fn truncate(&mut self, (bytes, pieces): (usize, usize)) {
        self.bytes.truncate(bytes);
        for piece in self.pieces.drain(pieces..) {
            self.shared_bytes -= piece.range.len();
        }
    }

    /// Moves everything to the end of `other`.
    pub fn append_to(&mut self, other: &mut Out) {
        let mut from = self.sent;
        for piece in self.pieces.drain(..) {
            other.bytes.extend_from_slice(&self.bytes[from..piece.at]);
            from = piece.at;
            other.push_blob(&piece.blob, piece.range);
        }
        other.bytes.extend_from_slice(&self.bytes[from..]);
        self.clear();
    }

    /// Forgets everything; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
        (self.sent, self.shared_bytes) = (0, 0);
    }

    /// Gives the memory back beyond `keep` bytes, when empty.
    pub fn shrink(&mut self, keep: usize) {
        if self.is_empty() && self.bytes.capacity() > keep {
            *self = Out::default();
        }
    }

    /// Calls `write` with what there is to send, as few times as it takes or until it fails. Returns bytes sent.
    ///
    /// # Errors
    /// What `write` fails with; what was sent before stays sent.
    pub fn drain<E>(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> (usize, Result<(), E>) {
        let mut total = 0;
        while !self.is_empty() {
            let result = if self.pieces.is_empty() {
                write(&[IoSlice::new(&self.bytes[self.sent..])])
            } else {
                write(&self.slices())
            };
            match result {
                Ok(n) => {
                    total += n;
                    self.advance(n);
                }
                Err(error) => return (total, Err(error)),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        (total, Ok(()))
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(WRITEV_PIECES + 1);
        let mut from = self.sent;
        for piece in self.pieces.iter().take(WRITEV_PIECES / 2) {
            if piece.at > from {
                slices.push(IoSlice::new(&self.bytes[from..piece.at]));
                from = piece.at;
            }
            slices.push(IoSlice::new(&piece.blob[piece.range.clone()]));
        }
        if self.pieces.len() <= WRITEV_PIECES / 2 && from < self.bytes.len() {
            slices.push(IoSlice::new(&self.bytes[from..]));
        }
        slices
    }

    fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let until = self.pieces.front().map_or(self.bytes.len(), |piece| piece.at);
            let plain = n.min(until - self.sent);
            self.sent += plain;
            n -= plain;
            if n == 0 {
                return;
            }
            let piece = self.pieces.front_mut().expect("no more is sent than there was");
            let part = n.min(piece.range.len());
            piece.range.start += part;
            self.shared_bytes -= part;
            n -= part;
            if piece.range.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes at most `most` bytes at a time and returns all that was written.
    fn written(out: &mut Out, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let (total, result) = out.drain(|slices| {
            let before = all.len();
            for slice in slices {
                let room = most - (all.len() - before);
                all.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            Ok::<_, ()>(all.len() - before)
        });
        assert_eq!((total, result), (all.len(), Ok(())));
        all
    }

    #[test]
    fn pieces_and_bytes_leave_in_order_however_they_are_cut() {
        let blob = Blob::new((0..100u8).collect());
        for most in [1, 3, 7, 1_000] {
            let mut out = Out::default();
            let mut expected = Vec::new();
            for n in 0..200u8 {
                out.bytes().extend_from_slice(&[n; 3]);
                out.push_blob(&blob, 10..20);
                expected.extend_from_slice(&[n; 3]);
                expected.extend(10..20u8);
            }
            out.bytes().push(7);
            expected.push(7);
            let mut moved = Out::default();
            moved.bytes().push(1);
            assert_eq!(out.len(), expected.len());
            out.append_to(&mut moved);
            expected.insert(0, 1);
            assert!(out.is_empty());
            assert_eq!(written(&mut moved, most), expected);
            assert!(moved.is_empty());
        }
    }

    #[test]
    fn what_was_appended_can_be_taken_back() {
        let mut out = Out::default();
        out.bytes().push(1);
        let end = out.end();
        out.bytes().push(2);
        out.push_blob(&Blob::new(vec![3; 10]), 0..10);
        out.truncate(end);
        assert_eq!(written(&mut out, 10), [1]);
    }
}
