//! redis.conf: lines, `include`, and the few lines that are no directives (`user`, `rename-command`, `loadmodule`).
//!
//! The rules: `#` opens a comment only at the start of a line; a directive's last line wins, but `save` accumulates from its first line
//! on and `client-output-buffer-limit` merges by class. Included files are read where they are named, relative to the directory in force there.
//! The alternative refused is to gather all lines first: errors must name the line of the file in which they stand.
//!
//! Invariant: no input panics; includes are bounded in depth and number, so a file that includes itself ends in an error.

use super::Config;
use super::directive::Directive;
use super::kinds::At;
use super::lists::os_text;
use super::usage::COMPATIBLE_VERSION;
use crate::words::split_args;
use std::fmt;
use std::path::{Path, PathBuf};

/// How deep includes may nest.
const MAX_INCLUDE_DEPTH: usize = 16;
/// How many files one start may read.
const MAX_FILES: usize = 1024;

/// Why the server cannot start with what it was given. The text goes to standard error, and the exit code is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// A line is wrong.
    Line {
        /// Its number, from 1, in its own file; the command line's options count on from the file's end.
        line: usize,
        /// The line without surrounding blanks.
        text: String,
        /// Redis's text.
        reason: String,
    },
    /// The lines are right one by one, but not together.
    Together(String),
    /// The file cannot be read.
    Unreadable {
        /// As it was named (an absolute path for the main file).
        path: PathBuf,
        /// The system's text.
        reason: String,
    },
    /// The command line asks for what this server is not.
    Refused(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("\n*** FATAL CONFIG FILE ERROR (Redis {COMPATIBLE_VERSION}) ***");
        match self {
            StartError::Line { line, text, reason } => {
                write!(f, "{title}\nReading the configuration file, at line {line}\n>>> '{text}'\n{reason}")
            }
            StartError::Together(reason) => write!(f, "{title}\n{reason}"),
            StartError::Unreadable { path, reason } => {
                write!(f, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
            StartError::Refused(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}

/// Reads the text of a redis.conf over the defaults.
pub fn parse_lines(text: impl AsRef<[u8]>) -> Result<Config, StartError> {
    let mut reader = Reader::default();
    reader.lines(text.as_ref(), 1)?;
    reader.finish()
}

/// A configuration in the making.
#[derive(Default)]
pub(super) struct Reader {
    config: Config,
    seen: Vec<&'static str>,
    depth: usize,
    files: usize,
}

impl Reader {
    /// Reads lines, of which the first has the number `first`.
    pub fn lines(&mut self, text: &[u8], first: usize) -> Result<(), StartError> {
        for (index, raw) in text.split(|b| *b == b'\n').enumerate() {
            let line = raw.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let applied = match split_args(line) {
                Some(words) => self.line(&words),
                None => Err("Unbalanced quotes in configuration line".to_string().into()),
            };
            applied.map_err(|problem| problem.at(first + index, line))?;
        }
        Ok(())
    }

    /// Applies one line's words: a directive or one of the other lines.
    pub fn line(&mut self, words: &[Vec<u8>]) -> Result<(), Problem> {
        let Some((name, values)) = words.split_first() else { return Ok(()) };
        if let Some((row, _)) = Directive::find(name) {
            return self.directive(row, values).map_err(Problem::from);
        }
        match (name.to_ascii_lowercase().as_slice(), values) {
            (b"include", [path]) => return self.include(path),
            (b"rename-command", [old, new]) => self.config.rename_command.push((old.clone(), new.clone())),
            (b"user", [_, ..]) => self.config.user.push(values.to_vec()),
            (b"loadmodule", [_, ..]) => self.config.loadmodule.push(values.to_vec()),
            // Limits of an encoding that Redis itself accepts and ignores.
            (b"list-max-ziplist-entries" | b"list-max-ziplist-value", [_]) => {}
            (b"sentinel", _) => {
                return Err("sentinel directive while not in sentinel mode".to_string().into());
            }
            (dotted, []) if dotted.contains(&b'.') => {
                return Err("Module config specified without value".to_string().into());
            }
            (dotted, _) if dotted.contains(&b'.') => {
                return Err("Module Configuration detected without loadmodule directive".to_string().into());
            }
            _ => return Err("Bad directive or wrong number of arguments".to_string().into()),
        }
        Ok(())
    }

    /// Sets a directive from the words after its name; a list in one quoted word is cut into its words.
    fn directive(&mut self, row: &'static Directive, values: &[Vec<u8>]) -> Result<(), String> {
        let many = (row.many)(&self.config);
        if !many && values.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        let cut = match values {
            [word] if many && !word.is_empty() => {
                Some(split_args(word).ok_or("Unbalanced quotes in configuration line")?)
            }
            _ => None,
        };
        let at = At::Start { repeated: self.seen.contains(&row.name) };
        (row.set)(&mut self.config, cut.as_deref().unwrap_or(values), at)?;
        self.seen.push(row.name);
        Ok(())
    }

    fn include(&mut self, pattern: &[u8]) -> Result<(), Problem> {
        if self.depth == MAX_INCLUDE_DEPTH {
            return Err("include files nest too deeply".to_string().into());
        }
        let pattern = std::str::from_utf8(pattern).map_err(|_| "include needs valid UTF-8".to_string())?;
        let named = PathBuf::from(pattern);
        let full =
            if self.config.dir == "." { named.clone() } else { Path::new(&self.config.dir).join(&named) };
        self.depth += 1;
        for path in expand(&full) {
            let text = self.read(&path).map_err(|error| match error {
                StartError::Unreadable { reason, .. } if path == full => {
                    StartError::Unreadable { path: named.clone(), reason }
                }
                other => other,
            })?;
            self.lines(&text, 1)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a whole file, counting it.
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, StartError> {
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(StartError::Together("too many include files".into()));
        }
        let unreadable = |error| StartError::Unreadable { path: path.to_path_buf(), reason: os_text(&error) };
        std::fs::read(path).map_err(unreadable)
    }

    /// The configuration, if its parts go together.
    pub fn finish(self) -> Result<Config, StartError> {
        if self.config.cluster_enabled && self.config.replicaof.is_some() {
            return Err(StartError::Together("replicaof directive not allowed in cluster mode".into()));
        }
        Ok(self.config)
    }
}

/// The files of a path with wildcards, sorted; a path without them is itself, whether it exists or not.
pub(super) fn expand(path: &Path) -> Vec<PathBuf> {
    match path.to_str() {
        Some(text) if text.contains(['*', '?', '[']) => {
            glob::glob(text).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
        }
        _ => vec![path.to_path_buf()],
    }
}

/// What is wrong with a line: something to be told with its number, or an error that already knows its place (in an included file).
pub(super) enum Problem {
    Here(String),
    Elsewhere(StartError),
}

impl Problem {
    pub fn at(self, line: usize, text: &[u8]) -> StartError {
        match self {
            Problem::Here(reason) => {
                StartError::Line { line, text: String::from_utf8_lossy(text).into_owned(), reason }
            }
            Problem::Elsewhere(error) => error,
        }
    }
}

impl From<String> for Problem {
    fn from(reason: String) -> Problem {
        Problem::Here(reason)
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Problem {
        Problem::Elsewhere(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SavePoint;
    use proptest::prelude::*;

    /// The error of the last line of `text`.
    #[track_caller]
    fn wrong(text: &str, reason: &str) {
        let (line, last) = text.lines().enumerate().last().unwrap();
        let want = StartError::Line { line: line + 1, text: last.trim().into(), reason: reason.into() };
        assert_eq!(parse_lines(text).unwrap_err(), want, "{text:?}");
    }

    #[track_caller]
    fn good(text: &str) -> Config {
        parse_lines(text).unwrap()
    }

    const BAD: &str = "Bad directive or wrong number of arguments";
    const ARITY: &str = "wrong number of arguments";
    const INTEGER: &str = "argument couldn't be parsed into an integer";

    #[test]
    fn the_block_on_standard_error() {
        let text = parse_lines("\nprot 1234\n").unwrap_err().to_string();
        let want = "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nReading the configuration file, at line 2\n\
                    >>> 'prot 1234'\nBad directive or wrong number of arguments";
        assert_eq!(text, want);
        let text = parse_lines("slaveof h 1\ncluster-enabled yes\n").unwrap_err().to_string();
        let want = "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nreplicaof directive not allowed in cluster mode";
        assert_eq!(text, want);
    }

    #[test]
    fn wrong_lines() {
        for (text, reason) in [
            ("port", ARITY),
            ("port 1 2", ARITY),
            ("\"port\" 12 # c", ARITY),
            ("port \"a", "Unbalanced quotes in configuration line"),
            ("timeout 1\n   port   y  ", INTEGER),
            ("port \"\"", INTEGER),
            ("slave-priority x", INTEGER),
            ("save 1", "Invalid save parameters"),
            ("save \"900 1 300\"", "Invalid save parameters"),
            ("include", BAD),
            ("include a b", BAD),
            ("rename-command x", BAD),
            ("user", BAD),
            ("loadmodule", BAD),
            ("\"\" x", BAD),
            ("a.b", "Module config specified without value"),
            ("sentinel a b", "sentinel directive while not in sentinel mode"),
            ("list-max-ziplist-entries", BAD),
            ("replicaof a b", "Invalid master port"),
            ("replicaof a", ARITY),
            ("dir /nonexistent", "No such file or directory"),
            ("io-threads 129", "argument must be between 1 and 128 inclusive"),
            ("supervised x", "argument(s) must be one of the following: upstart, systemd, auto, no"),
        ] {
            wrong(text, reason);
        }
    }

    #[test]
    fn lines_accumulate_merge_or_win() {
        let point = |secs, changes| SavePoint { secs, changes };
        assert_eq!(good("save 900 1\nSAVE \"300 10\"").save, [point(900, 1), point(300, 10)]);
        assert_eq!(good("save 900 1\nsave ''\nsave 1 1").save, [point(1, 1)]);
        assert_eq!(good("save").save, []);
        assert_eq!(good("# nothing").save.len(), 3);
        assert_eq!(good("slave-priority 1\nreplica-priority 2").replica_priority, 2);
        let limits = good("client-output-buffer-limit slave 1 1 1\nclient-output-buffer-limit pubsub 2 2 2");
        assert_eq!(limits.client_output_buffer_limit.map(|limit| limit.hard), [0, 1, 2]);
        assert_eq!(good("bind \"a b\"").bind, ["a", "b"]);
        assert_eq!(good("list-max-ziplist-entries 5"), Config::default());
    }

    #[test]
    fn lines_that_are_no_directives() {
        let config = good("rename-command GET \"\"\nuser bob on\nloadmodule x.so a");
        assert_eq!(config.rename_command, [(b"GET".to_vec(), b"".to_vec())]);
        assert_eq!(config.user, [[b"bob".to_vec(), b"on".to_vec()]]);
        assert_eq!(config.loadmodule, [[b"x.so".to_vec(), b"a".to_vec()]]);
    }

    #[test]
    fn includes() {
        let dir = std::env::temp_dir().join(format!("redpoll-include-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let at = |name: &str| dir.join(name).to_str().unwrap().to_string();
        std::fs::write(at("1.conf"), "timeout 1\nport 1\n").unwrap();
        std::fs::write(at("2.conf"), format!("dir {}\ninclude 1.conf\nport 2\n", at(""))).unwrap();
        std::fs::write(at("bad.inc"), "\n\nbogus here\n").unwrap();
        std::fs::write(at("self.inc"), format!("include {}\n", at("self.inc"))).unwrap();
        let config = good(&format!("timeout 9\ninclude {}\ntcp-keepalive 5", at("[12].conf")));
        assert_eq!((config.timeout, config.port, config.tcp_keepalive), (1, 2, 5));
        let error = parse_lines(format!("include {}", at("bad.inc"))).unwrap_err();
        assert!(matches!(&error, StartError::Line { line: 3, text, .. } if text == "bogus here"), "{error}");
        let error = parse_lines(format!("include {}", at("self.inc"))).unwrap_err();
        assert!(
            matches!(&error, StartError::Line { reason, .. } if reason == "include files nest too deeply")
        );
        std::fs::remove_dir_all(&dir).unwrap();
        let error = parse_lines("include nofile.conf").unwrap_err().to_string();
        assert_eq!(error, "Fatal error, can't open config file 'nofile.conf': No such file or directory");
        assert_eq!(good("include no*such.conf"), Config::default());
    }

    #[test]
    fn the_example_is_the_default() {
        let text = include_str!("../../redis.conf.example");
        assert_eq!(good(text), Config::default());
        let all = text.lines().filter(|line| line.starts_with("io-threads ")).count();
        assert_eq!(all, 0, "io-threads' default depends on the machine");
    }

    proptest! {
        #[test]
        fn never_panics(lines in proptest::collection::vec(("[a-z-]{0,12}", proptest::collection::vec(any::<u8>(), 0..30)), 0..6)) {
            let text: Vec<u8> = lines.into_iter().flat_map(|(name, rest)| [name.as_bytes(), b" ", &rest, b"\n"].concat()).collect();
            let _ = parse_lines(&text);
        }

        #[test]
        fn no_value_of_any_directive_panics(row in 0..crate::config::DIRECTIVES.len(), value in "\\PC{0,20}") {
            let _ = parse_lines(format!("{} {value}", crate::config::DIRECTIVES[row].name));
        }
    }
}
