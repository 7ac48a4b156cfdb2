//! Background I/O: files whose closing takes the system long, some milliseconds for each 100 MB that nobody else holds.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A file that is closed by a thread of its own, whoever lets go of it.
#[derive(Debug)]
pub struct BioFile(Option<File>);

impl BioFile {
    /// A new file without a name, for reading and writing; gone when it is closed.
    ///
    /// # Errors
    /// The directory's or the disk's.
    pub fn unlinked(directory: &Path) -> io::Result<BioFile> {
        let path =
            directory.join(format!("temp-spool-{}-{:016x}", std::process::id(), rand::random::<u64>()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file.into())
    }
}

impl From<File> for BioFile {
    fn from(file: File) -> BioFile {
        BioFile(Some(file))
    }
}

impl Deref for BioFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for BioFile {
    fn drop(&mut self) {
        let file = self.0.take();
        // Without a thread it is closed here.
        let _ = std::thread::Builder::new().name("bio_close_file".into()).spawn(move || drop(file));
    }
}

/// How many files in a directory this process has open.
#[cfg(test)]
pub fn open_files(directory: &Path) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("Linux");
    let is_in =
        |fd: &std::fs::DirEntry| std::fs::read_link(fd.path()).is_ok_and(|file| file.starts_with(directory));
    files.filter(|fd| fd.as_ref().is_ok_and(is_in)).count()
}

/// Waits until this process has no file in a directory open.
#[cfg(test)]
pub fn wait_until_closed(directory: &Path) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while open_files(directory) > 0 {
        assert!(std::time::Instant::now() < end, "a file is still open");
        std::thread::yield_now();
    }
}
