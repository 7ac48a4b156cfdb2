//! The configuration: redis.conf, the command line, TOML, CONFIG GET, SET and REWRITE.
//!
//! Everything follows from one table of directives (`table`), of which each row is one place. Around it:
//! `kinds` and `lists` read and print values, `file` reads redis.conf and `toml_file` TOML,
//! `args` turns a command line into lines, `access` is CONFIG GET and SET, `rewrite` CONFIG REWRITE, `not_built` says which promises
//! of a configuration this server does not keep yet, `usage` answers `--help` and `--version`.
//!
//! Invariant: this module changes nothing but values. It reads files and asks whether a directory exists; listening, changing
//! directory, opening the log are its caller's, so that a CONFIG SET is all or nothing: a new `Config` or an error.

mod access;
mod args;
mod directive;
pub mod enums;
mod file;
mod kinds;
mod lists;
mod not_built;
mod rewrite;
mod table;
mod toml_file;
mod usage;

pub use access::SetError;
pub use args::{Loaded, is_toml, load};
pub use directive::{Change, Directive};
pub use file::{StartError, parse_lines};
pub use kinds::{Share, memory};
pub use lists::{ClientClass, Limit, SavePoint, os_text};
pub use not_built::NotBuilt;
pub use table::{Config, DIRECTIVES};
pub use toml_file::parse_toml;
pub use usage::{COMPATIBLE_VERSION, answer, build_id};
