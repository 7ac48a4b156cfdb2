//! Who may come in: users and their passwords.
//!
//! There is one user, `default`, with the password of `requirepass` or none. AUTH, HELLO and RESET ask here and nowhere else,
//! so that what a user may do can be decided here too. A client that came in stays in: a changed password does not
//! throw out who is authenticated already, and one that is taken away lets everybody in.
//!
//! Passwords are compared in a time that depends on the length of what the client sent alone.

use crate::error::{self, Error};
use parking_lot::RwLock;

/// The user that a client is until it says otherwise.
pub const DEFAULT_USER: &str = "default";

/// The users.
#[derive(Default, Debug)]
pub struct Auth {
    /// The default user's; none: any password will do.
    password: RwLock<Option<Box<[u8]>>>,
}

impl Auth {
    /// The default user with this password; empty: without one.
    pub fn new(password: &[u8]) -> Auth {
        let auth = Auth::default();
        auth.set_password(password);
        auth
    }

    /// Changes the default user's password (`requirepass`); empty: it has none.
    pub fn set_password(&self, password: &[u8]) {
        *self.password.write() = (!password.is_empty()).then(|| password.into());
    }

    /// Must clients authenticate? A client that connects while they need not is authenticated.
    pub fn is_required(&self) -> bool {
        self.password.read().is_some()
    }

    /// Is there a user of this name?
    pub fn has_user(&self, user: &[u8]) -> bool {
        user == DEFAULT_USER.as_bytes()
    }

    /// Lets a user in; without a name it is the default user. Returns the user's name.
    ///
    /// # Errors
    /// `WRONGPASS`; without a name, where there is no password to give: that the configuration must be wrong.
    pub fn check(&self, user: Option<&[u8]>, password: &[u8]) -> Result<&'static str, Error> {
        let expected = self.password.read();
        let known = user.is_none_or(|user| self.has_user(user));
        match expected.as_deref() {
            None if user.is_none() => Err(error::AUTH_WITHOUT_PASSWORD),
            None if known => Ok(DEFAULT_USER),
            Some(expected) if same(password, expected) && known => Ok(DEFAULT_USER),
            _ => Err(error::WRONG_PASS),
        }
    }
}

/// Compares without an early end.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let mut differences = usize::from(given.len() != expected.len());
    for (at, byte) in given.iter().enumerate() {
        differences += usize::from(*byte != expected[at % expected.len()]);
    }
    std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(password: &str, user: Option<&str>, given: &str, expected: Result<&'static str, Error>) {
        let auth = Auth::new(password.as_bytes());
        assert_eq!(auth.is_required(), !password.is_empty());
        assert_eq!(auth.check(user.map(str::as_bytes), given.as_bytes()), expected);
    }

    #[test]
    fn who_comes_in() {
        check("", None, "x", Err(error::AUTH_WITHOUT_PASSWORD));
        check("", Some("default"), "x", Ok("default"));
        check("", Some("joe"), "x", Err(error::WRONG_PASS));
        check("secret", None, "secret", Ok("default"));
        check("secret", Some("default"), "secret", Ok("default"));
        check("secret", Some("joe"), "secret", Err(error::WRONG_PASS));
        for wrong in ["", "secre", "secrets", "Secret", "secretsecret"] {
            check("secret", None, wrong, Err(error::WRONG_PASS));
        }
    }
}
