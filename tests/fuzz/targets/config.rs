//! The configuration's readers: any text gives a configuration or an error at one of its lines; what CONFIG REWRITE makes of a text reads as
//! the same configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redpoll::config::{Config, StartError, parse_lines, parse_toml};

fuzz_target!(|data: &[u8]| {
    // Other files are other inputs, and may be devices.
    if data.to_ascii_lowercase().windows(7).any(|word| word == b"include") {
        return;
    }
    match data.split_first() {
        Some((b'T', toml)) => {
            check(toml, parse_toml(toml));
        }
        _ => {
            if let Some(config) = check(data, parse_lines(data)) {
                let rewritten = config.rewrite(data, None);
                assert_eq!(parse_lines(&rewritten), Ok(config), "{}", String::from_utf8_lossy(&rewritten));
            }
        }
    }
});

fn check(text: &[u8], read: Result<Config, StartError>) -> Option<Config> {
    match read {
        Ok(config) => Some(config),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let StartError::Line { line, .. } = error {
                let lines = text.split(|b| *b == b'\n').count();
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
            }
            None
        }
    }
}
