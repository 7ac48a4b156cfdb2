//! What one row of the table of directives is, and the macro that turns rows into the `Config` struct, its defaults and the table.
//!
//! Invariant: a directive stands in exactly one row (`table`): name, aliases, field, type, default, kind, when it may change.
//! Reading files, CONFIG GET, SET and REWRITE walk the table and know no directive by name. The alternative refused is a struct,
//! a default, a parser and a printer in four places that drift apart.

use super::Config;
use super::kinds::{At, Kind, Lines};

/// When a directive may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time, by CONFIG SET.
    Run,
    /// At start only.
    Start,
    /// By CONFIG SET if `enable-protected-configs` lets the client.
    Protected,
    /// At any time, and CONFIG GET shows it only when asked by its full name: directives for tests.
    Hidden,
}

/// Reads a directive's words into its field.
pub type Setter = fn(&mut Config, &[Vec<u8>], At) -> Result<(), String>;

/// One directive: its names and how it acts on a `Config`.
pub struct Directive {
    /// The name of today.
    pub name: &'static str,
    /// Other names for the same field; each is listed by CONFIG GET as well.
    pub aliases: &'static [&'static str],
    /// When it may change.
    pub change: Change,
    /// Whether its value is a list of words.
    pub many: fn(&Config) -> bool,
    /// Reads the words into the field; the error is Redis's text.
    pub set: Setter,
    /// The value as CONFIG GET prints it.
    pub show: fn(&Config) -> Vec<u8>,
    /// Whether two configurations agree on it.
    pub same: fn(&Config, &Config) -> bool,
    /// Its lines in a rewritten file, given the defaults.
    pub lines: fn(&Config, &Config) -> Lines,
}

impl Directive {
    /// All names, the one of today first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The directive called `name` (in any case), with the spelling of the table.
    pub fn find(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
        let named = |row: &'static Directive| {
            row.names().find(|known| known.as_bytes().eq_ignore_ascii_case(name)).map(|known| (row, known))
        };
        super::table::DIRECTIVES.iter().find_map(named)
    }
}

/// `Kind::MANY` of a kind for the type of its field.
pub fn is_many<T: PartialEq, K: Kind<T>>(_: &K, _: &T) -> bool {
    K::MANY
}

macro_rules! directives {
    ($( $name:literal $([$($alias:literal),*])? => $field:ident : $ty:ty = $default:expr, $kind:expr, $change:ident; )*) => {
        /// The configuration: one field for each directive, named as it is, and what a file may say besides.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( #[doc = concat!("`", $name, "`")] pub $field: $ty, )*
            /// `rename-command <old> <new>` lines, in order; an empty new name removes the command.
            pub rename_command: Vec<(Vec<u8>, Vec<u8>)>,
            /// `user` lines: the words after `user`.
            pub user: Vec<Vec<Vec<u8>>>,
            /// `loadmodule` lines: the words after it.
            pub loadmodule: Vec<Vec<Vec<u8>>>,
        }

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $( $field: $default, )*
                    rename_command: Vec::new(),
                    user: Vec::new(),
                    loadmodule: Vec::new(),
                }
            }
        }

        /// All directives, in the order of CONFIG GET and of the lines that CONFIG REWRITE adds.
        pub static DIRECTIVES: &[Directive] = &[$( Directive {
            name: $name,
            aliases: &[$($($alias),*)?],
            change: Change::$change,
            many: |config| is_many(&$kind, &config.$field),
            set: |config, words, at| {
                config.$field = ($kind).parse(words, &config.$field, at)?;
                Ok(())
            },
            show: |config| ($kind).show(&config.$field),
            same: |a, b| a.$field == b.$field,
            lines: |config, default| ($kind).lines($name, &config.$field, &default.$field),
        } ),*];
    };
}
pub(super) use directives;
