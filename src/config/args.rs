//! The command line: `[file|-] [--directive value ...]... [-]`, as redis-server takes it.
//!
//! Options become lines that follow the file's text, so that they win over it and an error counts their lines on from its end. The
//! rules, observed on redis-server 7.0.15: an argument that begins with `--` opens a new line, unless the directive before it still waits
//! for its first value (`--requirepass --pass` sets a password of `--pass`); `--save` followed by another option, or last, means `save ""`;
//! an option may hold its values itself (`"--port 6380"`); only the first argument can be the file; `-` first or last reads standard input.

use super::Config;
use super::file::{Reader, StartError, expand};
use super::toml_file;
use crate::words::{quote, split_args};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a command line comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The absolute path of the configuration file, if one was named.
    pub file: Option<PathBuf>,
    /// Whether there is a file or an option at all.
    pub configured: bool,
    /// What the log should say once it is open: directives that are accepted and do nothing yet.
    pub warnings: Vec<String>,
}

/// Reads the arguments after the program's name, and the file they name. `--help` and `--version` are `answer`'s and not expected here.
pub fn load(args: &[String]) -> Result<Loaded, StartError> {
    refuse_other_modes(args)?;
    let line = CommandLine::parse(args);
    let mut reader = Reader::default();
    let file = line.file.as_deref().map(absolute).transpose()?;
    let mut text = Vec::new();
    let mut first = 1;
    match &file {
        Some(path) if is_toml(path) => {
            let toml = reader.read(path)?;
            first += toml.iter().filter(|b| **b == b'\n').count();
            toml_file::read(&mut reader, &toml)?;
        }
        Some(path) => text = files_text(&mut reader, path)?,
        None => {}
    }
    if line.stdin {
        text.extend(stdin_text()?);
    }
    if !line.options.is_empty() {
        text.push(b'\n');
        text.extend(line.options);
    }
    reader.lines(&text, first)?;
    let config = reader.finish()?;
    let not_built = config.not_built();
    if !not_built.refuse.is_empty() {
        return Err(StartError::Refused(not_built.refuse.join("\n")));
    }
    Ok(Loaded { config, file, configured: !args.is_empty(), warnings: not_built.warn })
}

/// Whether a configuration file is read as TOML. CONFIG REWRITE cannot write such a file: it knows redis.conf only.
pub fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

/// Modes of redis-server that are other programs here, or none.
fn refuse_other_modes(args: &[String]) -> Result<(), StartError> {
    let refuse = |text: &str| Err(StartError::Refused(text.into()));
    if args.iter().any(|arg| arg == "--sentinel") {
        return refuse("Redpoll has no Sentinel mode: run redis-sentinel, which can watch Redpoll servers.");
    }
    match args.first().map(String::as_str) {
        Some("--test-memory") => refuse("Redpoll does not test memory: use memtester or memtest86."),
        Some("--check-system") => refuse("Redpoll does not check the system."),
        _ => Ok(()),
    }
}

/// The parts of a command line.
struct CommandLine {
    file: Option<String>,
    stdin: bool,
    options: Vec<u8>,
}

impl CommandLine {
    fn parse(args: &[String]) -> CommandLine {
        let file = args.first().filter(|arg| !arg.starts_with('-'));
        let start = usize::from(file.is_some());
        // An empty name is no file.
        let file = file.filter(|name| !name.is_empty()).cloned();
        let mut line = CommandLine { file, stdin: false, options: Vec::new() };
        let mut waits_for_value = false;
        for (index, arg) in args.iter().enumerate().skip(start) {
            let (first, last) = (index == 0, index + 1 == args.len());
            if arg == "-" && (first || last) {
                line.stdin = true;
            } else if let Some(name) = arg.strip_prefix("--").filter(|_| !waits_for_value) {
                waits_for_value = line.option(name, args.get(index + 1));
            } else {
                line.options.extend(quote(arg.as_bytes()));
                line.options.push(b' ');
                waits_for_value = false;
            }
        }
        line
    }

    /// Opens an option's line; true if its first value is still to come.
    fn option(&mut self, name: &str, next: Option<&String>) -> bool {
        if !self.options.is_empty() {
            self.options.push(b'\n');
        }
        self.options.extend(name.as_bytes());
        self.options.push(b' ');
        let alone = split_args(name.as_bytes()).is_some_and(|words| words.len() <= 1);
        if name.eq_ignore_ascii_case("save") && next.is_none_or(|next| next.starts_with("--")) {
            self.options.extend(b"\"\"");
            return false;
        }
        alone
    }
}

fn absolute(path: &str) -> Result<PathBuf, StartError> {
    let unreadable =
        |error| StartError::Unreadable { path: PathBuf::from(path), reason: super::lists::os_text(&error) };
    std::path::absolute(path).map_err(unreadable)
}

/// The text of a file, or of all files of a pattern.
fn files_text(reader: &mut Reader, path: &Path) -> Result<Vec<u8>, StartError> {
    let mut text = Vec::new();
    for path in expand(path) {
        text.extend(reader.read(&path)?);
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
    }
    Ok(text)
}

fn stdin_text() -> Result<Vec<u8>, StartError> {
    let mut text = Vec::new();
    let unreadable =
        |error| StartError::Unreadable { path: PathBuf::from("-"), reason: super::lists::os_text(&error) };
    std::io::stdin().read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SavePoint;

    fn run(args: &[&str]) -> Result<Loaded, StartError> {
        load(&args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn config(args: &[&str]) -> Config {
        run(args).unwrap().config
    }

    /// The line of the error: number, text, reason.
    #[track_caller]
    fn wrong(args: &[&str], line: usize, text: &str, reason: &str) {
        let want = StartError::Line { line, text: text.into(), reason: reason.into() };
        assert_eq!(run(args).unwrap_err(), want, "{args:?}");
    }

    const BAD: &str = "Bad directive or wrong number of arguments";

    #[test]
    fn options_set_directives() {
        let made = config(&["--port", "6380", "--dbfilename", "db2.rdb", "--replicaof", "127.0.0.1", "6379"]);
        assert_eq!((made.port, made.dbfilename.as_str()), (6380, "db2.rdb"));
        assert_eq!(made.replicaof, Some(("127.0.0.1".into(), 6379)));
        assert_eq!(config(&["--bind", "a", "b"]).bind, ["a", "b"]);
        assert_eq!(config(&["--port 7000", "--replicaof", "h 5"]).replicaof, Some(("h".into(), 5)));
        assert_eq!(config(&["--requirepass", "--pass", "--port", "1"]).requirepass, b"--pass");
        let limits = config(&["--client-output-buffer-limit", "replica", "1mb", "2", "3"]);
        assert_eq!(limits.client_output_buffer_limit[1].hard, 1 << 20);
    }

    #[test]
    fn save_on_the_command_line() {
        let point = |secs, changes| SavePoint { secs, changes };
        assert_eq!(
            config(&["--save", "900", "1", "--save", "300", "10"]).save,
            [point(900, 1), point(300, 10)]
        );
        assert_eq!(config(&["--save", ""]).save, []);
        assert_eq!(config(&["--save"]).save, []);
        assert_eq!(config(&["--save", "--port", "1"]).save, []);
        assert_eq!(config(&["--SAVE", "--port", "1"]).port, 1);
        assert_eq!(config(&["--port", "1"]).save.len(), 3);
        assert_eq!(run(&[""]).unwrap().file, None);
    }

    #[test]
    fn errors_count_lines_as_redis_does() {
        wrong(&["--port", "1", "--prot", "3"], 3, "prot \"3\"", BAD);
        wrong(&["--port", "--prot", "x"], 2, "port \"--prot\" \"x\"", "wrong number of arguments");
        wrong(&["--port 17399 --prot"], 2, "port 17399 --prot", "wrong number of arguments");
        wrong(&["--save", "900", "1", "--save", "300", "10", "--prot"], 4, "prot", BAD);
        wrong(&["--prot", "a b", "c\"d"], 2, "prot \"a b\" \"c\\\"d\"", BAD);
        wrong(&["--prot", "x", "a.conf"], 2, "prot \"x\" \"a.conf\"", BAD);
        wrong(&["-x"], 2, "\"-x\"", BAD);
        wrong(&["--", "x"], 2, "\"x\"", BAD);
        wrong(&["--port", "1", "-", "--prot"], 2, "port \"1\" \"-\"", "wrong number of arguments");
        wrong(&["--save ", "--prot"], 2, "save  \"--prot\"", "Invalid save parameters");
        wrong(&["--save \"\"", "--prot"], 3, "prot", BAD);
        wrong(&["--save \"x", "--prot"], 2, "save \"x", "Unbalanced quotes in configuration line");
    }

    #[test]
    fn a_file_and_what_differs_from_it() {
        let dir = std::env::temp_dir().join(format!("redpoll-args-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.conf");
        std::fs::write(&path, "timeout 3\nsave 9 9\n").unwrap();
        let name = path.to_str().unwrap();
        let loaded = run(&[name, "--timeout", "4"]).unwrap();
        assert_eq!((loaded.config.timeout, loaded.config.save.len()), (4, 1));
        assert_eq!(loaded.file.as_deref(), Some(path.as_path()));
        wrong(&[name, "--prot"], 4, "prot", BAD);
        wrong(&[name, "b.conf"], 4, "\"b.conf\"", "Module config specified without value");
        let toml = dir.join("a.toml");
        std::fs::write(&toml, "timeout = 3\nsave = [[9, 9]]\n").unwrap();
        let name_of_toml = toml.to_str().unwrap();
        let made = config(&[name_of_toml, "--port", "5", "--save", "8", "8"]);
        assert_eq!((made.timeout, made.port, made.save.len()), (3, 5, 2));
        wrong(&[name_of_toml, "--prot"], 4, "prot", BAD);
        std::fs::remove_dir_all(&dir).unwrap();
        let missing = run(&[name]).unwrap_err().to_string();
        assert_eq!(
            missing,
            format!("Fatal error, can't open config file '{name}': No such file or directory")
        );
    }

    #[test]
    fn other_modes_are_refused() {
        for args in [&["x.conf", "--sentinel"][..], &["--test-memory", "1"], &["--check-system"]] {
            assert!(matches!(run(args), Err(StartError::Refused(_))), "{args:?}");
        }
        assert!(matches!(run(&["--appendonly", "yes"]), Err(StartError::Refused(_))));
    }
}
