//! The log: tracing events as the lines that Redis writes, `<pid>:<role> <date> <time> <mark> <text>`.
//!
//! Tools read these lines (supervisors, test suites waiting for `Ready to accept connections`), so their form is part of the compatibility.
//! Levels: TRACE is Redis's debug `.`, DEBUG its verbose `-`, INFO its notice `*`, WARN and ERROR its warning `#`.
//!
//! Invariants: a line is one write, flushed at once; a file is only ever appended to; when it has been moved away, the next line makes a
//! new one, so that logrotate needs no signal. Redis opens and closes the file for every line; a stat per line finds out the same for less.

use crate::config::enums::LogLevel;
use crate::config::{Config, StartError, os_text};
use parking_lot::Mutex;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// What the process is, as the letter after its pid says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// A master.
    Master = b'M',
    /// A replica.
    Replica = b'S',
    /// Not serving yet: while the server starts.
    Child = b'C',
    /// A Sentinel.
    Sentinel = b'X',
}

static ROLE: AtomicU8 = AtomicU8::new(Role::Child as u8);
static LEVEL: AtomicU8 = AtomicU8::new(severity_of(LogLevel::Notice));

/// Sets the letter of all lines to come.
pub fn set_role(role: Role) {
    ROLE.store(role as u8, Ordering::Relaxed);
}

/// Sets which lines are written from now on.
pub fn set_level(level: LogLevel) {
    LEVEL.store(severity_of(level), Ordering::Relaxed);
}

/// Starts the log, once for the process: to `logfile` if it is set, which must be writable, to standard output otherwise.
/// A relative name is taken from the directory at this moment.
pub fn init(config: &Config) -> Result<(), StartError> {
    set_level(config.loglevel);
    let sink = Sink::open(&config.logfile)
        .map_err(|error| StartError::Together(format!("Can't open the log file: {}", os_text(&error))))?;
    let lines = tracing_subscriber::registry().with(RedisLines { sink: Mutex::new(sink) });
    tracing::subscriber::set_global_default(lines)
        .map_err(|_| StartError::Refused("the log has been started already".into()))
}

/// The least severity that `level` lets through.
const fn severity_of(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Verbose => 1,
        LogLevel::Notice => 2,
        LogLevel::Warning => 3,
        LogLevel::Nothing => 4,
    }
}

/// An event's severity and mark.
fn grade(level: &Level) -> (u8, char) {
    match *level {
        Level::TRACE => (0, '.'),
        Level::DEBUG => (1, '-'),
        Level::INFO => (2, '*'),
        Level::WARN | Level::ERROR => (3, '#'),
    }
}

/// The layer that writes events as Redis's lines.
struct RedisLines {
    sink: Mutex<Sink>,
}

impl<S: Subscriber> Layer<S> for RedisLines {
    /// The level may change at run time: nothing is decided once for all.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        grade(metadata.level()).0 >= LEVEL.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event);
        // Where could a failure to log be told? Redis goes on silently as well.
        let _ = self.sink.lock().write(line.as_bytes());
    }
}

fn line(event: &Event<'_>) -> String {
    let now = chrono::Local::now().format("%d %b %Y %H:%M:%S%.3f");
    let role = ROLE.load(Ordering::Relaxed) as char;
    let (_, mark) = grade(event.metadata().level());
    let mut line = format!("{}:{role} {now} {mark} ", std::process::id());
    let mut text = Text::default();
    event.record(&mut text);
    line.push_str(&text.message);
    line.push_str(&text.fields);
    line.push('\n');
    line
}

/// An event's message, and its other fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Where lines go.
enum Sink {
    Stdout,
    File { path: PathBuf, open: Option<File> },
}

impl Sink {
    fn open(logfile: &str) -> io::Result<Sink> {
        if logfile.is_empty() {
            return Ok(Sink::Stdout);
        }
        let path = std::path::absolute(logfile)?;
        let open = Some(append_to(&path)?);
        Ok(Sink::File { path, open })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line)?;
                stdout.flush()
            }
            Sink::File { path, open } => {
                let file = match open.take().filter(|file| is_at(file, path)) {
                    Some(file) => file,
                    None => append_to(path)?,
                };
                open.insert(file).write_all(line)
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Whether the open file is still what the path names.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(std::fs::metadata(path).ok()).is_some_and(|(open, named)| same(open, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one test that logs: role and level are the process's.
    #[test]
    fn lines_levels_and_rotation() {
        let dir = std::env::temp_dir().join(format!("redpoll-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (path, old) = (dir.join("log"), dir.join("log.1"));
        std::fs::write(&path, "before\n").unwrap();
        let sink = Sink::open(path.to_str().unwrap()).unwrap();
        let lines = tracing_subscriber::registry().with(RedisLines { sink: Mutex::new(sink) });
        tracing::subscriber::with_default(lines, || {
            set_role(Role::Master);
            tracing::info!("Ready to accept connections {}", "tcp");
            tracing::debug!("hidden");
            set_level(LogLevel::Debug);
            set_role(Role::Replica);
            tracing::trace!(key = 7, "shown");
            std::fs::rename(&path, &old).unwrap();
            tracing::debug!("in the new file");
            tracing::error!("bad");
            set_level(LogLevel::Nothing);
            tracing::error!("hidden");
            set_level(LogLevel::Notice);
        });
        let texts = |path: &Path| -> Vec<String> {
            std::fs::read_to_string(path).unwrap().lines().map(without_time).collect()
        };
        assert_eq!(texts(&old), ["before", ":M * Ready to accept connections tcp", ":S . shown key=7"]);
        assert_eq!(texts(&path), [":S - in the new file", ":S # bad"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// Checks pid and time, and leaves them out.
    fn without_time(line: &str) -> String {
        let pid = std::process::id().to_string();
        let Some(rest) = line.strip_prefix(&pid) else { return line.to_string() };
        let (role, rest) = rest.split_at(2);
        let (time, text) = rest[1..].split_at("21 Nov 2026 09:28:16.589".len());
        let parsed = chrono::NaiveDateTime::parse_from_str(time, "%d %b %Y %H:%M:%S%.3f");
        assert!(parsed.is_ok(), "{time:?} in {line:?}");
        format!("{role}{text}")
    }

    #[test]
    fn a_log_that_cannot_be_opened_stops_the_start() {
        let config = Config { logfile: "/nonexistent/x".into(), ..Config::default() };
        let text = init(&config).unwrap_err().to_string();
        assert!(text.ends_with("***\nCan't open the log file: No such file or directory"), "{text}");
    }
}
