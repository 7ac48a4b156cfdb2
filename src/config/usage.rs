//! `--help` and `--version`. redis-server's command line is not clap's (`--save 900 1 --save ''`), so clap writes the text and nothing more.

use super::enums::{LogLevel, Named};
use clap::{Arg, Command};

/// The version of Redis that clients are told.
pub const COMPATIBLE_VERSION: &str = "7.2.4";

/// The text that the first argument asks for, if it asks for one: `-h`, `--help`, `-v`, `--version`.
pub fn answer(args: &[String]) -> Option<String> {
    match args.first()?.as_str() {
        "-v" | "--version" => Some(version()),
        "-h" | "--help" => Some(help()),
        _ => None,
    }
}

/// Redis's line, which scripts parse, and Redpoll's own version.
fn version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let build = build_id();
    format!(
        "Redis server v={COMPATIBLE_VERSION} sha=00000000:0 malloc=jemalloc-5.3.0 bits={} build={build} redpoll={own}",
        usize::BITS
    )
}

/// A number that tells builds of different versions apart, hexadecimal.
pub fn build_id() -> String {
    format!("{:x}", fnv1a(concat!(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))))
}

fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn help() -> String {
    let levels = LogLevel::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("|");
    let examples = format!(
        "Examples:\n  \
         redpoll                                       the defaults\n  \
         redpoll /etc/redis/redis.conf --port 6380     a file, and what differs from it\n  \
         redpoll --port 7777 --replicaof 127.0.0.1 6379\n  \
         redpoll --save 900 1 --save 300 10 --loglevel {levels}\n  \
         echo 'maxmemory 128mb' | redpoll -"
    );
    let mut command = Command::new("redpoll")
        .about("A drop-in replacement for redis-server")
        .override_usage("redpoll [FILE|-] [--<directive> <value>...]... [-]")
        .arg(
            Arg::new("FILE")
                .help("A redis.conf, or a file in TOML if its name ends in .toml; - reads standard input"),
        )
        .arg(
            Arg::new("directive")
                .long("<directive>")
                .num_args(0..)
                .help("Any line of redis.conf, its words as arguments"),
        )
        .arg(Arg::new("help").short('h').long("help").num_args(0).help("Print this text"))
        .arg(Arg::new("version").short('v').long("version").num_args(0).help("Print the version"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .after_help(examples);
    command.render_help().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arg: &str) -> Option<String> {
        answer(&[arg.to_string()])
    }

    #[test]
    fn version_has_the_fields_that_scripts_look_for() {
        let text = asked("--version").unwrap();
        assert!(
            text.starts_with("Redis server v=7.2.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits="),
            "{text}"
        );
        assert_eq!(asked("-v"), Some(text));
    }

    #[test]
    fn help_names_the_forms() {
        let text = asked("-h").unwrap();
        for part in ["redpoll [FILE|-]", "--replicaof", "--version", ".toml"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_question() {
        assert_eq!(asked("--port"), None);
        assert_eq!(answer(&[]), None);
    }
}
