//! CONFIG GET and CONFIG SET on a configuration that runs.
//!
//! Invariant: `set_many` gives a whole new `Config` or nothing; what must happen so that it is in force (listening elsewhere,
//! say) is its caller's, who keeps the old one for as long as that may fail.

use super::Config;
use super::directive::{Change, Directive};
use super::enums::Allow;
use super::kinds::At;
use super::table::DIRECTIVES;
use crate::glob;
use std::fmt;

/// Why CONFIG SET changed nothing. Its text is what Redis replies after `-ERR `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No directive has this name.
    Unknown(Vec<u8>),
    /// The directive may not change, stands twice, or its value is wrong.
    Refused {
        /// The name under which it was found.
        name: &'static str,
        /// Redis's text.
        reason: String,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                let name = String::from_utf8_lossy(name);
                write!(f, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Refused { name, reason } => {
                write!(f, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for SetError {}

impl Config {
    /// The directives that match any of the patterns, each once, with their values. A name without `[`, `*` and `?` is looked up
    /// and comes back as it was asked; patterns go through names and aliases in the table's order and leave hidden ones out.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], row: &Directive| {
            if !found.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), (row.show)(self)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.iter().any(|b| b"[*?".contains(b)) {
                if let Some((row, _)) = Directive::find(pattern) {
                    add(pattern, row);
                }
                continue;
            }
            for row in DIRECTIVES.iter().filter(|row| row.change != Change::Hidden) {
                let matching = row.names().filter(|name| glob::matches(pattern, name.as_bytes(), true));
                matching.for_each(|name| add(name.as_bytes(), row));
            }
        }
        found
    }

    /// Sets all pairs of name and value or none. `local` says whether the client is on this host, for protected directives.
    /// Gives the new configuration and the names (of today) of the directives whose values differ in it.
    pub fn set_many(
        &self,
        pairs: &[(Vec<u8>, Vec<u8>)],
        local: bool,
    ) -> Result<(Config, Vec<&'static str>), SetError> {
        let rows = self.settable(pairs, local)?;
        let mut new = self.clone();
        for ((row, name), (_, value)) in rows.iter().zip(pairs) {
            let words: Vec<Vec<u8>> = match (row.many)(&new) {
                true => value.split(|b| *b == b' ').map(<[u8]>::to_vec).collect(),
                false => vec![value.clone()],
            };
            (row.set)(&mut new, &words, At::Run).map_err(|reason| SetError::Refused { name, reason })?;
        }
        let changed = DIRECTIVES.iter().filter(|row| !(row.same)(self, &new)).map(|row| row.name).collect();
        Ok((new, changed))
    }

    /// The rows of all pairs, in order, if each exists, may change and stands once. An alias beside its directive is not twice, as in Redis.
    fn settable(
        &self,
        pairs: &[(Vec<u8>, Vec<u8>)],
        local: bool,
    ) -> Result<Vec<(&'static Directive, &'static str)>, SetError> {
        let mut rows: Vec<(&'static Directive, &'static str)> = Vec::with_capacity(pairs.len());
        for (asked, _) in pairs {
            let unknown = || SetError::Unknown(asked.clone());
            let (row, name) = Directive::find(asked).ok_or_else(unknown)?;
            let refused = |reason: &str| Err(SetError::Refused { name, reason: reason.into() });
            match row.change {
                Change::Start => return refused("can't set immutable config"),
                Change::Protected if !self.protected_allowed(local) => {
                    return refused("can't set protected config");
                }
                _ if rows.iter().any(|(_, seen)| *seen == name) => return refused("duplicate parameter"),
                _ => rows.push((row, name)),
            }
        }
        Ok(rows)
    }

    fn protected_allowed(&self, local: bool) -> bool {
        match self.enable_protected_configs {
            Allow::No => false,
            Allow::Yes => true,
            Allow::Local => local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Vec<String> {
        let text = |(name, _): (Vec<u8>, Vec<u8>)| String::from_utf8(name).unwrap();
        Config::default().get(patterns).into_iter().map(text).collect()
    }

    fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<(Config, Vec<&'static str>), String> {
        let pairs: Vec<_> =
            pairs.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        config.set_many(&pairs, true).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(pairs: &[(&str, &str)], want: &str) {
        assert_eq!(set(&Config::default(), pairs).unwrap_err(), want);
    }

    #[test]
    fn get_by_name_and_pattern() {
        assert_eq!(names(&["PORT"]), ["PORT"]);
        assert_eq!(names(&["Port", "p?rt", "POR*"]), ["Port"]);
        assert_eq!(names(&["slave-priority", "*a-priority"]), ["slave-priority", "replica-priority"]);
        assert_eq!(names(&["[p-p]ort"]), ["port"]);
        assert_eq!(names(&["\\port", "nope"]), [""; 0]);
        assert_eq!(names(&["key-load-d*"]), [""; 0]);
        assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    }

    #[test]
    fn get_everything_lists_each_name_once() {
        let all = names(&["*", "a*"]);
        let mut unique = all.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
        assert!(all.iter().any(|name| name == "lua-time-limit"));
    }

    #[test]
    fn set_reports_what_changed() {
        let (new, changed) =
            set(&Config::default(), &[("timeout", "7"), ("hz", "10"), ("slave-priority", "3")]).unwrap();
        assert_eq!((new.timeout, new.replica_priority), (7, 3));
        assert_eq!(changed, ["timeout", "replica-priority"]);
    }

    #[test]
    fn set_is_all_or_nothing() {
        refused(
            &[("timeout", "7"), ("hz", "x")],
            "CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
        );
    }

    #[test]
    fn set_refusals() {
        refused(&[("bogus", "1")], "Unknown option or number of arguments for CONFIG SET - 'bogus'");
        let about = |name: &str, reason: &str| {
            format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}")
        };
        refused(&[("databases", "3"), ("bogus", "1")], &about("databases", "can't set immutable config"));
        refused(&[("timeout", "1"), ("TIMEOUT", "1")], &about("timeout", "duplicate parameter"));
        refused(&[("dir", "/")], &about("dir", "can't set protected config"));
        refused(&[("port", "70000")], &about("port", "argument must be between 0 and 65535 inclusive"));
        refused(
            &[("Slave-Priority", "x")],
            &about("slave-priority", "argument couldn't be parsed into an integer"),
        );
        assert!(set(&Config::default(), &[("slave-priority", "1"), ("replica-priority", "2")]).is_ok());
    }

    #[test]
    fn protected_for_local_clients() {
        let config = Config { enable_protected_configs: Allow::Local, ..Config::default() };
        let pairs = [(b"dbfilename".to_vec(), b"x.rdb".to_vec())];
        assert!(config.set_many(&pairs, true).is_ok());
        assert!(config.set_many(&pairs, false).is_err());
    }
}
