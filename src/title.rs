//! The process's title, as `ps` shows it (`set-proc-title`, `proc-title-template`): who looks there for servers finds ours, and
//! no password from the command line.
//!
//! It takes the arguments' place in memory, so it is cut off where they ended.

use crate::config::Config;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::OnceLock;

/// Where the arguments are in this process's memory, and its name among them.
#[derive(Debug)]
struct Arguments {
    start: u64,
    len: usize,
    name: String,
}

/// Shows the title that the configuration asks for, where the system lets a process write to its arguments.
pub fn show(config: &Config, file: Option<&Path>) {
    if config.set_proc_title
        && let Err(error) = try_to_show(config, file)
    {
        tracing::debug!("The process keeps its title: {error}");
    }
}

fn try_to_show(config: &Config, file: Option<&Path>) -> io::Result<()> {
    static ARGUMENTS: OnceLock<Option<Arguments>> = OnceLock::new();
    let arguments = ARGUMENTS.get_or_init(|| {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (start, end) = bounds(&stat)?;
        Some(Arguments {
            start,
            len: usize::try_from(end.checked_sub(start)?).ok()?,
            name: std::env::args().next()?,
        })
    });
    let Some(arguments) = arguments else { return Err(io::ErrorKind::Unsupported.into()) };
    let mut title = text(config, &arguments.name, file).into_bytes();
    title.resize(arguments.len, 0);
    if let Some(end) = title.last_mut() {
        *end = 0;
    }
    File::options().write(true).open("/proc/self/mem")?.write_all_at(&title, arguments.start)
}

/// From where to where the arguments are: fields 48 and 49 of `/proc/PID/stat` (proc(5)).
fn bounds(stat: &str) -> Option<(u64, u64)> {
    // The second field, the command's name, may hold anything.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(45).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

/// The template with its variables replaced.
fn text(config: &Config, name: &str, file: Option<&Path>) -> String {
    let port = if config.port == 0 { config.tls_port } else { config.port };
    let address = config.bind.first().map_or("*", |address| address.trim_start_matches('-'));
    let listens = match (port, config.unixsocket.as_str()) {
        (0, path) => format!("unixsocket:{path}"),
        (port, _) => format!("{}:{port}", if ["", "*", "::*"].contains(&address) { "*" } else { address }),
    };
    let variables = [
        ("{title}", name.to_string()),
        ("{listen-addr}", listens),
        ("{server-mode}", String::new()),
        ("{port}", config.port.to_string()),
        ("{tls-port}", config.tls_port.to_string()),
        ("{unixsocket}", config.unixsocket.clone()),
        ("{config-file}", file.map_or_else(String::new, |file| file.display().to_string())),
    ];
    let mut text = config.proc_title_template.clone();
    for (variable, value) in variables {
        text = text.replace(variable, &value);
    }
    text.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced() {
        let mut config = Config { port: 7777, ..Config::default() };
        assert_eq!(text(&config, "redpoll", None), "redpoll *:7777");
        config.bind = vec!["127.0.0.1".into(), "-::1".into()];
        assert_eq!(text(&config, "redpoll", None), "redpoll 127.0.0.1:7777");
        config.proc_title_template = "{config-file} {port} {tls-port} {unixsocket} {server-mode}".into();
        config.unixsocket = "/s".into();
        assert_eq!(text(&config, "redpoll", Some(Path::new("/etc/r.conf"))), "/etc/r.conf 7777 0 /s");
        (config.port, config.proc_title_template) = (0, "{title} {listen-addr}".into());
        assert_eq!(text(&config, "redpoll", None), "redpoll unixsocket:/s");
    }

    #[test]
    fn bounds_stand_behind_a_name_that_may_hold_anything() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        assert_eq!(bounds(&format!("1 (a) b (c)) {}", fields.join(" "))), Some((48, 49)));
        assert_eq!(bounds("1 (a) R 1"), None);
    }
}
