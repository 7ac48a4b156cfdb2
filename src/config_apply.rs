//! A changed configuration put into force: CONFIG SET's side effects, and CONFIG REWRITE's file.
//!
//! `config` gives a new configuration or an error; here it becomes the server's, all or nothing: what can fail (another
//! directory, more file descriptors, other addresses) is done first, and undone if a later part fails. One change at a time, under
//! `Server::config_changes`. Addresses and port are the control thread's: it must close its sockets before it can bind others to
//! the same port, and a command handler, which may hold shards, must not wait for it. The alternative refused, binding the
//! new before closing the old, cannot go from `*` to one address of the same port.

use crate::config::{Config, SetError, is_toml, os_text};
use crate::error::{self, Error};
use crate::logging;
use crate::net::listener::{self, Listeners};
use crate::server::Server;
use crate::title;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// Names and values, as CONFIG SET takes them.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// File descriptors that are not clients', as many as Redis sets aside.
const RESERVED_FDS: u64 = 32;
/// A rewritten file's mode where there was none.
const NEW_FILE_MODE: u32 = 0o644;

/// What CONFIG SET came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is in force.
    Done,
    /// Nothing is changed: it is for [`set_listening`].
    ListensElsewhere,
}

/// Sets all pairs or none, unless that means to listen elsewhere. `local`: the client is on this host.
///
/// # Errors
/// What is wrong; nothing is changed.
pub fn set(server: &Server, pairs: &Pairs, local: bool) -> Result<Outcome, Error> {
    let _change = server.config_changes.lock();
    let (new, changed) = plan(server, pairs, local)?;
    if listens_elsewhere(&changed) {
        return Ok(Outcome::ListensElsewhere);
    }
    put_in_force(server, new, &changed)?;
    Ok(Outcome::Done)
}

/// Sets all pairs or none where the addresses or the port change. On the control thread.
///
/// # Errors
/// What is wrong; nothing is changed.
pub async fn set_listening(
    server: &Arc<Server>,
    listeners: &mut Listeners,
    pairs: &Pairs,
    local: bool,
) -> Result<(), Error> {
    // What is plainly wrong closes no socket.
    plan(server, pairs, local)?;
    listeners.close_tcp().await;
    let (sockets, result) = bind_and_set(server, pairs, local);
    if let Err(error) = listeners.accept(server, sockets, None) {
        tracing::warn!("Cannot accept: {error}");
    }
    result
}

/// Binds what the pairs say and puts them into force, or binds what was bound before.
fn bind_and_set(
    server: &Server,
    pairs: &Pairs,
    local: bool,
) -> (Vec<std::net::TcpListener>, Result<(), Error>) {
    let _change = server.config_changes.lock();
    let former = server.config.load_full();
    let bind = |config: &Config| listener::bind(&config.bind, config.port, config.tcp_backlog);
    let attempt = || {
        let (new, changed) = plan(server, pairs, local)?;
        let sockets = bind(&new).map_err(|_| cannot_listen(&changed))?;
        put_in_force(server, new, &changed)?;
        Ok(sockets)
    };
    match attempt() {
        Ok(sockets) => (sockets, Ok(())),
        Err(error) => {
            let sockets = bind(&former).unwrap_or_else(|text| {
                tracing::warn!("Cannot listen where it was before: {text}");
                Vec::new()
            });
            (sockets, Err(error))
        }
    }
}

/// Do these changes mean to listen elsewhere?
fn listens_elsewhere(changed: &[&'static str]) -> bool {
    changed.contains(&"port") || changed.contains(&"bind")
}

fn cannot_listen(changed: &[&'static str]) -> Error {
    match changed.contains(&"port") {
        true => refused("port", "Unable to listen on this port. Check server logs."),
        false => refused("bind", "Failed to bind to specified addresses."),
    }
}

fn refused(name: &'static str, reason: impl Into<String>) -> Error {
    SetError::Refused { name, reason: reason.into() }.into()
}

impl From<SetError> for Error {
    fn from(error: SetError) -> Error {
        match &error {
            SetError::Unknown(name) => {
                Error::quoting("Unknown option or number of arguments for CONFIG SET - '", name, "'")
            }
            SetError::Refused { .. } => Error::err(error.to_string()),
        }
    }
}

/// The configuration that the pairs make, and what differs in it. Changes nothing.
fn plan(server: &Server, pairs: &Pairs, local: bool) -> Result<(Config, Vec<&'static str>), Error> {
    let (new, changed) = server.config.load().set_many(pairs, local)?;
    if let Some(text) = new.not_built().refuse.first() {
        let named = changed.iter().find(|name| text.starts_with(&format!("'{name}")));
        return Err(refused(named.or(changed.first()).copied().unwrap_or_default(), text.as_str()));
    }
    Ok((new, changed))
}

/// Makes `new` the server's configuration. The caller holds `config_changes`.
fn put_in_force(server: &Server, new: Config, changed: &[&'static str]) -> Result<(), Error> {
    let has = |name: &str| changed.contains(&name);
    if has("maxclients") {
        allow_clients(new.maxclients)?;
    }
    if has("dir") {
        std::env::set_current_dir(&new.dir).map_err(|error| refused("dir", os_text(&error)))?;
    }
    // Nothing fails from here on.
    if listens_elsewhere(changed) || has("proc-title-template") {
        title::show(&new, server.config_file.as_deref());
    }
    if has("loglevel") {
        logging::set_level(new.loglevel);
    }
    let former = server.config.load().not_built().warn;
    let warnings = new.not_built().warn;
    warnings.iter().filter(|text| !former.contains(text)).for_each(|text| tracing::warn!("{text}"));
    server.config.store(Arc::new(new));
    server.config_changed();
    Ok(())
}

/// Sees to it that so many clients have file descriptors.
fn allow_clients(clients: u32) -> Result<(), Error> {
    let wanted = u64::from(clients) + RESERVED_FDS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if soft >= wanted || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok() {
        return Ok(());
    }
    let possible = hard.saturating_sub(RESERVED_FDS);
    Err(refused(
        "maxclients",
        format!(
            "The operating system is not able to handle the specified number of clients, try with {possible}"
        ),
    ))
}

/// Writes the running configuration into its file (CONFIG REWRITE). Blocks until it is on disk.
///
/// # Errors
/// There is no file, it is TOML, or the system's error; the file is then what it was.
pub fn rewrite(server: &Server) -> Result<(), Error> {
    let Some(path) = &server.config_file else { return Err(error::NO_CONFIG_FILE) };
    if is_toml(path) {
        return Err(error::TOML_CONFIG_FILE);
    }
    let _change = server.config_changes.lock();
    match replace_text(path, |old| server.config.load().rewrite(old, None)) {
        Ok(()) => {
            tracing::info!("CONFIG REWRITE executed with success.");
            Ok(())
        }
        Err(error) => {
            tracing::warn!("CONFIG REWRITE failed: {}", os_text(&error));
            Err(Error::err(format!("Rewriting config file: {}", os_text(&error))))
        }
    }
}

/// Replaces a file's text, or makes the file: whatever happens in between, it holds the old text or the new one. A link stays
/// one, the mode stays.
fn replace_text(path: &Path, text: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let old = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let mode = fs::metadata(&path).map_or(NEW_FILE_MODE, |meta| meta.permissions().mode());
    let mut temporary = path.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&temporary);
    let written = write_synced(temporary, mode, &text(&old)).and_then(|()| fs::rename(temporary, &path));
    if written.is_err() {
        // It is of no use; if it cannot be removed either, so be it.
        let _ = fs::remove_file(temporary);
    }
    written?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_synced(path: &Path, mode: u32, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}
