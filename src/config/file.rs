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
use super::syntax::split_args;
use super::usage::COMPATIBLE_VERSION;
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
