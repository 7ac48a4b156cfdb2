//! RDB files of every version there was, encoded by hand in `tests/data/golden`: Redpoll starts with each and has in it what it
//! should; so does redis-server, with those that are not too new for it, which tests the files.
//!
//! A file's first part are bytes, as hexadecimal digits and as text in quotes; `CRC` is the checksum of all before it; a `#` begins a
//! comment, which tells the meaning and where it is known from. Then come commands (`>`), each with its reply (`<`), in which a space
//! is the end of a line.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::crc64;
use support::server::{Server, binary_under_test, find_redis};

/// The newest version that the oracle reads.
const ORACLE_READS: u32 = 10;

struct Golden {
    name: String,
    bytes: Vec<u8>,
    /// Commands and their replies.
    expected: Vec<(String, String)>,
}

impl Golden {
    fn read(path: &Path) -> Golden {
        let text = fs::read_to_string(path).expect("a golden file");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let mut golden = Golden { name, bytes: Vec::new(), expected: Vec::new() };
        let mut command = None;
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("> ") {
                assert!(command.replace(line).is_none(), "{}: {line}: no reply before it", golden.name);
            } else if let Some(reply) = line.strip_prefix("< ") {
                let command = command.take().expect("a command before the reply");
                golden.expected.push((command.to_string(), reply.to_string()));
            } else {
                golden.put_line(line);
            }
        }
        assert!(command.is_none() && !golden.expected.is_empty(), "{}: no replies", golden.name);
        golden
    }

    fn put_line(&mut self, line: &str) {
        for (at, part) in line.split('"').enumerate() {
            if at % 2 == 1 {
                self.bytes.extend_from_slice(part.as_bytes());
                continue;
            }
            let (code, comment) = part.split_once('#').map_or((part, false), |(code, _)| (code, true));
            code.split_whitespace().for_each(|word| self.put_word(word));
            if comment {
                return;
            }
        }
    }

    fn put_word(&mut self, word: &str) {
        if word == "CRC" {
            self.bytes.extend(crc64(&self.bytes).to_le_bytes());
        } else {
            assert_eq!(word.len(), 2, "{}: {word}", self.name);
            let byte = u8::from_str_radix(word, 16).unwrap_or_else(|e| panic!("{}: {word}: {e}", self.name));
            self.bytes.push(byte);
        }
    }

    fn version(&self) -> u32 {
        let digits = std::str::from_utf8(&self.bytes[6..9]).expect("digits");
        digits.parse().expect("a version")
    }

    /// Starts the server with this file and looks into it.
    fn check(&self, binary: &Path) {
        let mut server = Server::start(binary, &["--dbfilename", "golden.rdb"]);
        server.stop();
        fs::write(server.dir().join("golden.rdb"), &self.bytes).expect("the file can be written");
        server.start_again();
        let mut client = server.connect();
        for (command, reply) in &self.expected {
            let found = String::from_utf8_lossy(&client.line(command).encode()).replace("\r\n", " ");
            assert_eq!(found.trim_end(), reply, "{} in {}: {command}", binary.display(), self.name);
        }
    }
}

fn files() -> Vec<Golden> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    let paths = fs::read_dir(dir).expect("the golden files").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<Golden> = paths.map(|path| Golden::read(&path)).collect();
    files.sort_by_key(Golden::version);
    files
}

#[test]
fn redpoll_loads_every_version() {
    let files = files();
    let versions: Vec<u32> = files.iter().map(Golden::version).collect();
    assert_eq!(versions, [2, 6, 7, 8, 9, 10, 11, 12, 80]);
    files.iter().for_each(|file| file.check(&binary_under_test()));
}

#[test]
fn the_files_mean_to_redis_what_they_say() {
    let Some(redis) = find_redis() else { return };
    let files = files();
    files.iter().filter(|file| file.version() <= ORACLE_READS).for_each(|file| file.check(&redis));
}
