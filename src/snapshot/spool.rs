//! The spool: a snapshot's bytes, written once, read by many, each at its own pace.
//!
//! The last few pieces stay in memory, so that a reader that keeps up touches no file. All pieces go to a file as soon as
//! they do not fit in memory any more: a named one when the snapshot is to become an RDB file (then from the beginning), an
//! unlinked one otherwise. So a late reader begins at byte 0, and a slow one stalls nobody and costs no memory.
//!
//! Readers are clients' threads: they never wait for the disk to take what is written, nor for the file's closing.

use crate::bio::BioFile;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// What stays in memory, bytes.
const MEMORY_BYTES: u64 = 8 * 1024 * 1024;
/// What one read from the file brings at most.
const READ_BYTES: usize = 256 * 1024;

/// Why a spool has no more bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolError(pub String);

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> SpoolError {
        SpoolError(error.to_string())
    }
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes at its position.
    Bytes(Bytes),
    /// Not yet.
    Wait,
    /// It has had all.
    End,
}

/// A snapshot's bytes.
#[derive(Debug)]
pub struct Spool {
    name: Option<PathBuf>,
    directory: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    recent: VecDeque<(u64, Bytes)>,
    recent_bytes: u64,
    len: u64,
    file: Option<Arc<BioFile>>,
    /// Bytes of the beginning that are in the file.
    filed: u64,
    finished: bool,
    error: Option<SpoolError>,
}

impl Spool {
    /// An empty spool; `file` is created if it is given.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn new(file: Option<PathBuf>, directory: PathBuf) -> Result<Spool, SpoolError> {
        let open =
            |path: &PathBuf| File::options().read(true).write(true).create(true).truncate(true).open(path);
        let name = file;
        let file = name.as_ref().map(open).transpose()?.map(|file| Arc::new(file.into()));
        Ok(Spool { name, directory, inner: Mutex::new(Inner { file, ..Inner::default() }) })
    }

    /// Removes its file, if that has a name: the server ends, and what is written is of no use.
    pub fn remove_file(&self) {
        if let Some(name) = &self.name {
            // It may have become the RDB file just now.
            let _ = std::fs::remove_file(name);
        }
    }

    /// Adds a piece. A file that cannot be written ends the spool with an error. One thread writes.
    pub fn push(&self, piece: Vec<u8>) {
        let mut inner = self.inner.lock();
        if inner.error.is_some() || piece.is_empty() {
            return;
        }
        let at = inner.len;
        inner.len += piece.len() as u64;
        inner.recent_bytes += piece.len() as u64;
        inner.recent.push_back((at, Bytes::from(piece)));
        drop(inner);
        if let Err(error) = self.file_away() {
            self.inner.lock().error = Some(error.into());
        }
    }

    /// Writes what belongs into the file, while readers read on, and forgets what memory has no room for.
    fn file_away(&self) -> io::Result<()> {
        loop {
            let mut inner = self.inner.lock();
            let is_full = inner.recent_bytes > MEMORY_BYTES;
            let unfiled = inner.recent.iter().find(|(at, _)| *at >= inner.filed).cloned();
            let oldest_is_filed = inner.recent.front().is_some_and(|(at, _)| *at < inner.filed);
            if is_full && oldest_is_filed {
                let (_, piece) = inner.recent.pop_front().expect("it has just been looked at");
                inner.recent_bytes -= piece.len() as u64;
                continue;
            }
            let Some((at, piece)) = unfiled.filter(|_| self.name.is_some() || is_full) else { return Ok(()) };
            if inner.file.is_none() {
                inner.file = Some(Arc::new(BioFile::unlinked(&self.directory)?));
            }
            let file = inner.file.clone().expect("made above");
            drop(inner);
            file.write_all_at(&piece, at)?;
            self.inner.lock().filed = at + piece.len() as u64;
        }
    }

    /// No more pieces come.
    pub fn finish(&self, error: Option<SpoolError>) {
        let mut inner = self.inner.lock();
        inner.finished = true;
        if inner.error.is_none() {
            inner.error = error;
        }
    }

    /// The length, once it is known.
    ///
    /// # Errors
    /// The spool has failed.
    pub fn finished_len(&self) -> Result<Option<u64>, SpoolError> {
        let inner = self.inner.lock();
        match &inner.error {
            Some(error) => Err(error.clone()),
            None => Ok(inner.finished.then_some(inner.len)),
        }
    }

    /// Is there nothing more to come?
    pub fn is_over(&self) -> bool {
        let inner = self.inner.lock();
        inner.finished || inner.error.is_some()
    }

    /// Writes the file's bytes through to the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> io::Result<()> {
        let file = self.inner.lock().file.clone();
        file.map_or(Ok(()), |file| file.sync_all())
    }

    /// The bytes at a reader's position.
    ///
    /// # Errors
    /// The spool has failed, or its file cannot be read.
    pub fn read(&self, at: u64) -> Result<Piece, SpoolError> {
        let inner = self.inner.lock();
        if let Some(error) = &inner.error {
            return Err(error.clone());
        }
        if at == inner.len {
            return Ok(if inner.finished { Piece::End } else { Piece::Wait });
        }
        let first = inner.recent.partition_point(|(start, piece)| start + piece.len() as u64 <= at);
        if let Some((start, piece)) = inner.recent.get(first)
            && *start <= at
        {
            return Ok(Piece::Bytes(piece.slice((at - start) as usize..)));
        }
        let file = inner.file.as_ref().expect("what is not in memory is in the file").clone();
        let len = ((inner.filed - at) as usize).min(READ_BYTES);
        drop(inner);
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, at)?;
        Ok(Piece::Bytes(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bio;

    fn drain(spool: &Spool, at: &mut u64) -> (Vec<u8>, Piece) {
        let mut all = Vec::new();
        loop {
            match spool.read(*at).expect("no failure") {
                Piece::Bytes(bytes) => {
                    *at += bytes.len() as u64;
                    all.extend_from_slice(&bytes);
                }
                other => return (all, other),
            }
        }
    }

    fn check(file: Option<PathBuf>) {
        let spool = Spool::new(file, std::env::temp_dir()).unwrap();
        let (mut early, mut expected, mut got) = (0, Vec::new(), Vec::new());
        for n in 0..100u8 {
            let piece = vec![n; 200_000 + usize::from(n)];
            expected.extend_from_slice(&piece);
            spool.push(piece);
            if n % 3 == 0 {
                let (bytes, end) = drain(&spool, &mut early);
                got.extend(bytes);
                assert_eq!(end, Piece::Wait);
            }
        }
        assert_eq!(spool.finished_len(), Ok(None));
        spool.finish(None);
        got.extend(drain(&spool, &mut early).0);
        assert!(got == expected, "a reader that keeps up");
        let (late, end) = drain(&spool, &mut 0);
        assert!(late == expected && end == Piece::End, "a reader that comes late");
        assert_eq!(spool.finished_len(), Ok(Some(expected.len() as u64)));
    }

    #[test]
    fn early_and_late_readers_get_all_bytes() {
        check(None);
        let path = std::env::temp_dir().join(format!("redpoll-spool-{}", std::process::id()));
        check(Some(path.clone()));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), (0..100).map(|n| 200_000 + n).sum::<u64>());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_file_is_closed_in_the_end() {
        let directory = std::env::temp_dir().join(format!("redpoll-closed-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let spool = Spool::new(None, directory.clone()).unwrap();
        (0..10).for_each(|_| spool.push(vec![1; 1_000_000]));
        assert_eq!(bio::open_files(&directory), 1);
        drop(spool);
        bio::wait_until_closed(&directory);
        std::fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn a_failure_reaches_the_readers() {
        let spool = Spool::new(None, std::env::temp_dir()).unwrap();
        spool.push(vec![1]);
        spool.finish(Some(SpoolError("abandoned".into())));
        assert_eq!(spool.read(0), Err(SpoolError("abandoned".into())));
        assert!(Spool::new(Some("/nonexistent/dir/file".into()), "/".into()).is_err());
    }
}
