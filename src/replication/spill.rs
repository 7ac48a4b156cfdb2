//! The part of the log that memory has no room for: on disk, for replicas that are far behind.
//!
//! It lies before what is in memory, without a gap, in segments of some blocks: files without a name, so that what all
//! replicas have had is given back file by file, and nothing stays when the process ends. Each block has its checksum: a
//! stream that comes back wrong from the disk must not reach a replica.
//!
//! Reading, writing and closing are done where the log's lock is not held.

use super::log::BLOCK_BYTES;
use crate::bio::BioFile;
use crate::rdb::crc64::crc64;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Blocks that a segment has room for at least: 16 MiB.
const SEGMENT_BLOCKS_MIN: u64 = 256;
/// The segments are larger than that where the disk's share is, so that there are not many more of them than this.
const SEGMENTS: u64 = 64;

/// The log's segments on disk.
#[derive(Debug, Default)]
pub struct Spilled {
    segments: VecDeque<Segment>,
    /// Files that nobody needs any more, until somebody closes them.
    closing: Vec<Arc<BioFile>>,
}

#[derive(Debug)]
struct Segment {
    /// The number of its first byte in the log.
    start: u64,
    file: Arc<BioFile>,
    /// The blocks' checksums.
    sums: Vec<u64>,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + (self.sums.len() * BLOCK_BYTES) as u64
    }
}

/// Where the next block goes: in the last segment, if that has room.
#[derive(Debug)]
pub struct Place {
    file: Option<Arc<BioFile>>,
    /// Blocks that are in the file.
    filled: usize,
    /// Blocks for which it has room beside them.
    room: usize,
}

/// Blocks that are in a file, and not yet among the segments.
#[derive(Debug)]
pub struct Written {
    file: Arc<BioFile>,
    filled: usize,
    sums: Vec<u64>,
}

/// A block on disk from the byte on that is asked for.
#[derive(Debug)]
pub struct OnDisk {
    file: Arc<BioFile>,
    at: u64,
    sum: u64,
    skip: usize,
}

impl Spilled {
    /// Bytes on disk, those included that everybody has had and that share a segment with others.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end() - segment.start).sum()
    }

    /// Where the next block goes, if the disk's share is so large.
    pub fn place(&self, disk_bytes: u64) -> Place {
        let segment_blocks = (disk_bytes / BLOCK_BYTES as u64 / SEGMENTS).max(SEGMENT_BLOCKS_MIN) as usize;
        match self.segments.back() {
            Some(last) if last.sums.len() < segment_blocks => {
                let filled = last.sums.len();
                Place { file: Some(last.file.clone()), filled, room: segment_blocks - filled }
            }
            _ => Place { file: None, filled: 0, room: segment_blocks },
        }
    }

    /// Takes blocks over that begin at `start` in the log. False: what was there when they were written is gone.
    pub fn add(&mut self, start: u64, written: &Written) -> bool {
        let Written { file, filled, sums } = written;
        match self.segments.back_mut() {
            Some(last) if *filled > 0 && Arc::ptr_eq(&last.file, file) && last.sums.len() == *filled => {
                debug_assert_eq!(last.end(), start, "the log on disk has no gap");
                last.sums.extend_from_slice(sums);
            }
            _ if *filled > 0 => return false,
            _ => self.segments.push_back(Segment { start, file: file.clone(), sums: sums.clone() }),
        }
        true
    }

    /// The block with the byte `from`, from that byte on.
    pub fn block(&self, from: u64) -> Option<OnDisk> {
        let at = self.segments.partition_point(|segment| segment.end() <= from);
        let segment = self.segments.get(at)?;
        let inside = from.checked_sub(segment.start)? as usize;
        let number = inside / BLOCK_BYTES;
        Some(OnDisk {
            file: segment.file.clone(),
            at: (number * BLOCK_BYTES) as u64,
            sum: segment.sums[number],
            skip: inside % BLOCK_BYTES,
        })
    }

    /// Nobody asks for what is before `start` any more.
    pub fn forget_before(&mut self, start: u64) {
        while let Some(first) = self.segments.front()
            && first.end() <= start
        {
            let segment = self.segments.pop_front().expect("it has just been looked at");
            self.closing.push(segment.file);
        }
    }

    /// Nobody asks for any of it any more.
    pub fn clear(&mut self) {
        self.closing.extend(self.segments.drain(..).map(|segment| segment.file));
    }

    /// Files to close, which is done where no lock is held.
    #[must_use]
    pub fn take_closing(&mut self) -> Vec<Arc<BioFile>> {
        std::mem::take(&mut self.closing)
    }
}

impl Place {
    /// How many blocks the file has room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Writes blocks into the file, which is made if there is none.
    ///
    /// # Errors
    /// The directory's or the disk's.
    pub fn write(self, directory: &Path, blocks: &[(u64, Bytes)]) -> io::Result<Written> {
        let file = match self.file {
            Some(file) => file,
            None => Arc::new(BioFile::unlinked(directory)?),
        };
        for (number, (_, block)) in (self.filled..).zip(blocks) {
            file.write_all_at(block, (number * BLOCK_BYTES) as u64)?;
        }
        let sums = blocks.iter().map(|(_, block)| crc64(block)).collect();
        Ok(Written { file, filled: self.filled, sums })
    }
}

impl OnDisk {
    /// Bytes from the one asked for to the block's end.
    pub fn bytes(&self) -> u64 {
        (BLOCK_BYTES - self.skip) as u64
    }

    /// Reads them.
    ///
    /// # Errors
    /// The disk's; `InvalidData` if it gives back something else than what was written.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut block = vec![0; BLOCK_BYTES];
        self.file.read_exact_at(&mut block, self.at)?;
        if crc64(&block) != self.sum {
            return Err(io::Error::new(ErrorKind::InvalidData, "it is not what was written"));
        }
        Ok(Bytes::from(block).slice(self.skip..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(fill: u8) -> Bytes {
        Bytes::from(vec![fill; BLOCK_BYTES])
    }

    /// Blocks of ones, twos, threes from `start` on.
    fn three_blocks(start: u64) -> (Spilled, Written) {
        let mut spilled = Spilled::default();
        let blocks = [1, 2, 3].map(|fill| (0, block(fill)));
        let written = spilled.place(1 << 30).write(&std::env::temp_dir(), &blocks).expect("a directory");
        assert!(spilled.add(start, &written));
        (spilled, written)
    }

    #[test]
    fn blocks_come_back_from_any_byte_on() {
        const START: u64 = 1000;
        let (spilled, _) = three_blocks(START);
        let read = |from: u64| spilled.block(from).map(|block| block.read().expect("it is there"));
        assert_eq!(read(START), Some(block(1)));
        assert_eq!(read(START + BLOCK_BYTES as u64), Some(block(2)));
        assert_eq!(read(START + 3 * BLOCK_BYTES as u64 - 2), Some(block(3).slice(..2)));
        assert_eq!(read(START + 3 * BLOCK_BYTES as u64), None);
        assert_eq!(read(START - 1), None);
    }

    #[test]
    fn a_damaged_block_is_noticed() {
        let (spilled, written) = three_blocks(0);
        written.file.write_all_at(&[7], BLOCK_BYTES as u64 + 5).expect("a file");
        let kind = |number: u64| {
            spilled.block(number * BLOCK_BYTES as u64).expect("added").read().map_err(|e| e.kind())
        };
        assert_eq!(kind(0), Ok(block(1)));
        assert_eq!(kind(1), Err(ErrorKind::InvalidData));
        written.file.set_len(2 * BLOCK_BYTES as u64 + 1).expect("a file");
        assert_eq!(kind(2), Err(ErrorKind::UnexpectedEof));
    }

    #[test]
    fn a_large_share_has_large_segments_not_many() {
        let spilled = Spilled::default();
        assert_eq!(spilled.place(0).room(), 256);
        assert_eq!(spilled.place(1 << 30).room(), 256);
        assert_eq!(spilled.place(1 << 40).room(), 1 << 18);
    }

    #[test]
    fn what_was_written_behind_blocks_that_are_gone_is_not_taken_over() {
        let (mut spilled, _) = three_blocks(0);
        let place = spilled.place(1 << 30);
        spilled.forget_before(3 * BLOCK_BYTES as u64);
        assert_eq!((spilled.bytes(), spilled.take_closing().len()), (0, 1));
        let written = place.write(&std::env::temp_dir(), &[(0, block(4))]).expect("it is still open");
        assert!(!spilled.add(3 * BLOCK_BYTES as u64, &written));
        assert_eq!(spilled.bytes(), 0);
    }
}
