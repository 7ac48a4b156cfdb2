//! Hand-written scripts at the edges, one line each in `edge/*.txt`.
//!
//! A line is a script: commands in redis-cli's quoting, separated by ` ; `, each on connection 0 or on the one
//! that an `@1` in front names. `{x*1000}` is a thousand x, `{dump:text}` a DUMP payload (see `payload`),
//! `{id1}`, `{addr1}` and `{laddr1}` are connection 1's as its server knows them (once it has said something).
//! A `#` opens a comment. Every script runs on emptied servers, in RESP2 and in RESP3; no replies are written
//! down, for the oracle knows them.
//!
//! `edge/protocol.txt` has raw bytes instead, one quoted string a line, each sent on a new connection.

use std::time::Duration;

use crate::pair::{Difference, Pair, Step};
use crate::syntax;

/// How long a server gets to close a connection by itself after broken protocol.
const CLOSE_PATIENCE: Duration = Duration::from_millis(40);

/// A line of an edge file.
struct Script<'a> {
    line: usize,
    text: &'a str,
}

fn scripts(text: &str) -> impl Iterator<Item = Script<'_>> {
    let lines = text.lines().enumerate().map(|(at, text)| Script { line: at + 1, text: text.trim() });
    let only = std::env::var("REDPOLL_DIFF_ONLY").unwrap_or_default();
    lines.filter(move |script| {
        !script.text.is_empty() && !script.text.starts_with('#') && script.text.contains(&only)
    })
}

impl Script<'_> {
    /// # Panics
    ///
    /// When the line is not a script.
    fn steps(&self) -> Vec<Step> {
        let step = |command: &str| {
            let (connection, command) = match command.trim().strip_prefix('@') {
                Some(rest) => {
                    let (digit, command) = rest.split_once(' ').ok_or("nothing behind @")?;
                    (digit.parse().map_err(|error| format!("@{digit}: {error}"))?, command)
                }
                None => (0, command),
            };
            Ok(Step { connection, args: syntax::parse(command)? })
        };
        let steps: Result<_, String> = self.text.split(" ; ").map(step).collect();
        steps.unwrap_or_else(|problem| panic!("line {}: {problem}: {}", self.line, self.text))
    }

    /// Whether it leaves directives changed.
    fn configures(&self) -> bool {
        let text = self.text.to_ascii_uppercase();
        text.contains("CONFIG SET") || text.contains("DEBUG ")
    }
}

/// Runs all scripts of a file in both protocols; all differences are reported together.
///
/// # Panics
///
/// With every difference, if there is one.
pub fn run_scripts(file: &str, text: &str) {
    let mut report = String::new();
    let mut pair = None;
    for protocol in [2, 3] {
        for script in scripts(text) {
            let Some(mut servers) = pair.take().or_else(|| Pair::start(&[])) else { return };
            let differences = run_script(&mut servers, protocol, &script);
            // A server whose directives were changed, or that may be in any state, is not used again.
            if differences.is_empty() && !script.configures() {
                pair = Some(servers);
            }
            if !differences.is_empty() {
                let shown: String = differences.iter().map(Difference::shown).collect();
                report += &format!("{file}:{} in RESP{protocol}: {}\n{shown}\n", script.line, script.text);
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

fn run_script(pair: &mut Pair, protocol: u8, script: &Script<'_>) -> Vec<Difference> {
    let steps = script.steps();
    let connections = steps.iter().map(|step| step.connection + 1).max().unwrap_or(1);
    pair.reset(&vec![protocol; connections]);
    pair.use_placeholders();
    let differences = pair.run_all(&steps);
    if !differences.is_empty() {
        return differences;
    }
    pair.checkpoint(steps.len() - 1).err().into_iter().collect()
}

/// Sends the lines of a file of raw bytes.
///
/// # Panics
///
/// With every difference, if there is one.
pub fn run_raw(file: &str, text: &str) {
    let Some(mut pair) = Pair::start(&[]) else { return };
    let mut report = String::new();
    for Script { line, text } in scripts(text) {
        let bytes = syntax::parse(text).unwrap_or_else(|problem| panic!("{file}:{line}: {problem}")).concat();
        if let Err(difference) = pair.run_raw(&bytes, Some(CLOSE_PATIENCE)) {
            report += &format!("{file}:{line}\n{}\n", difference.shown());
        }
    }
    assert!(report.is_empty(), "\n{report}");
}
