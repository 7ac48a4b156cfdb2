//! Listening and accepting, on the control thread.

use super::connection::Connection;
use super::stream::Accepted;
use super::threads::Place;
use crate::client::{Client, ClientFlags, Shared};
use crate::server::Server;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

/// Sockets that are listened on.
#[derive(Default)]
pub struct Listeners {
    tcp: Vec<JoinHandle<()>>,
    unix: Option<JoinHandle<()>>,
}

/// Binds what the configuration says.
///
/// # Errors
/// The address that could not be bound, and why; an address marked `-` may be missing on this machine.
pub fn bind(addresses: &[String], port: u16, backlog: i32) -> Result<Vec<std::net::TcpListener>, String> {
    let mut bound = Vec::new();
    if port == 0 {
        return Ok(bound);
    }
    for address in addresses {
        let (optional, name) = match address.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, address.as_str()),
        };
        match bind_one(name, port, backlog) {
            Ok(listener) => bound.push(listener),
            Err(error) if optional && not_available(&error) => {}
            Err(error) => {
                tracing::warn!(
                    "Warning: Could not create server TCP listening socket {name}:{port}: {}",
                    text(&error)
                );
                return Err(format!("Failed listening on port {port} (TCP), aborting."));
            }
        }
    }
    if bound.is_empty() && !addresses.is_empty() {
        return Err(format!("Failed listening on port {port} (TCP), aborting."));
    }
    Ok(bound)
}

fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

fn not_available(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EADDRNOTAVAIL
                | libc::EAFNOSUPPORT
                | libc::EPROTONOSUPPORT
                | libc::ENOPROTOOPT
                | libc::ESOCKTNOSUPPORT
        )
    )
}

fn bind_one(name: &str, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    let address = match name {
        "*" => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        "::*" => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
        name => (name, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?,
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Binds the unix socket, if one is configured, over a stale file.
///
/// # Errors
/// The reason as text.
pub fn bind_unix(path: &str, mode: u32) -> Result<std::os::unix::net::UnixListener, String> {
    let fail = |error: io::Error| format!("Failed opening Unix socket: bind: {}", text(&error));
    // A file that is not there is as good as removed; any other trouble shows at bind.
    let _ = std::fs::remove_file(path);
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    Ok(listener)
}

impl Listeners {
    /// Begins to accept on sockets that are bound.
    ///
    /// # Errors
    /// The reactor's.
    pub fn accept(
        &mut self,
        server: &Arc<Server>,
        tcp: Vec<std::net::TcpListener>,
        unix: Option<std::os::unix::net::UnixListener>,
    ) -> io::Result<()> {
        for listener in tcp {
            let listener = TcpListener::from_std(listener)?;
            self.tcp.push(tokio::spawn(accept_tcp(server.clone(), listener)));
        }
        if let Some(listener) = unix {
            let listener = UnixListener::from_std(listener)?;
            self.unix = Some(tokio::spawn(accept_unix(server.clone(), listener)));
        }
        Ok(())
    }

    /// Closes the TCP sockets; they are closed when this is ready. Connections stay.
    pub async fn close_tcp(&mut self) {
        for task in self.tcp.drain(..) {
            task.abort();
            // It has been told to end: how it ended says nothing.
            let _ = task.await;
        }
    }

    /// Closes all sockets.
    pub fn close(&mut self) {
        self.tcp.drain(..).chain(self.unix.take()).for_each(|task| task.abort());
    }
}

async fn accept_tcp(server: Arc<Server>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = admit_tcp(&server, stream, peer) {
                    tracing::debug!("Accepting client connection: {error}");
                }
            }
            Err(error) => back_off(&error).await,
        }
    }
}

async fn accept_unix(server: Arc<Server>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = admit_unix(&server, stream) {
                    tracing::debug!("Accepting client connection: {error}");
                }
            }
            Err(error) => back_off(&error).await,
        }
    }
}

/// Has the system look after so many seconds of silence whether the peer is still there.
fn keep_alive(stream: &tokio::net::TcpStream, seconds: u64) -> io::Result<()> {
    /// The longest times that the system takes.
    const MAX_SECONDS: u64 = 32_767;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(seconds.min(MAX_SECONDS)))
        .with_interval(Duration::from_secs((seconds / 3).clamp(1, MAX_SECONDS)))
        .with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Accepting fails when file descriptors run out: better a pause than a loop.
async fn back_off(error: &io::Error) {
    tracing::warn!("Accepting client connection: {}", text(error));
    crate::clock::sleep(Duration::from_millis(100)).await;
}

fn admit_tcp(server: &Arc<Server>, stream: tokio::net::TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let config = server.config.load();
    if config.tcp_keepalive > 0 {
        keep_alive(&stream, config.tcp_keepalive as u64)?;
    }
    let local = stream.local_addr()?;
    let mut stream = stream.into_std()?;
    let protected =
        config.protected_mode && !server.auth.is_required() && !peer.ip().to_canonical().is_loopback();
    if let Some(refusal) = refusal(server, protected) {
        // The peer may be gone already; it is not served either way.
        let _ = stream.write_all(refusal.as_bytes());
        return Ok(());
    }
    start(server, stream.as_raw_fd(), show(peer), show(local), Accepted::Tcp(stream), false);
    Ok(())
}

fn admit_unix(server: &Arc<Server>, stream: tokio::net::UnixStream) -> io::Result<()> {
    let mut stream = stream.into_std()?;
    if let Some(refusal) = refusal(server, false) {
        let _ = stream.write_all(refusal.as_bytes());
        return Ok(());
    }
    let path = format!("{}:0", server.config.load().unixsocket);
    start(server, stream.as_raw_fd(), path.clone(), path, Accepted::Unix(stream), true);
    Ok(())
}

/// `ip:port`, IPv6 in brackets and IPv4 in its own form.
pub(super) fn show(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

fn refusal(server: &Server, protected: bool) -> Option<&'static str> {
    if server.clients.len() >= server.config.load().maxclients as usize {
        server.stats.rejected_connections.fetch_add(1, Relaxed);
        return Some("-ERR max number of clients reached\r\n");
    }
    if protected {
        server.stats.rejected_connections.fetch_add(1, Relaxed);
        return Some(PROTECTED_MODE);
    }
    None
}

const PROTECTED_MODE: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable \
protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis \
from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do \
so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by \
editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. \
3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an \
authentication password for the default user. NOTE: You only need to do one of the above things in order for the \
server to start accepting connections from the outside.\r\n";

/// The connection of a socket that this thread's runtime watches from now on.
fn register(accepted: Box<(Arc<Server>, Accepted, Client)>, place: Place) -> io::Result<Box<Connection>> {
    let (server, stream, client) = *accepted;
    let stream = stream.register().inspect_err(|_| server.clients.remove(client.id()))?;
    Ok(Box::new(Connection::new(server, stream, client, place)))
}

fn start(server: &Arc<Server>, fd: i32, addr: String, laddr: String, stream: Accepted, unix: bool) {
    let id = server.clients.next_id();
    let shared = Arc::new(Shared::new(id, addr, laddr, fd, server.clock.now_ms()));
    shared.set_flag(ClientFlags::UNIX_SOCKET, unix);
    let client = Client::new(shared, !server.auth.is_required());
    server.stats.here(|stats| stats.connections.add(1));
    // Here and not on its thread: whoever is accepted next counts it for `maxclients`.
    server.clients.add(client.shared.clone());
    client.shared.apply_limits(&server.config.load().client_output_buffer_limit);
    // Boxed on the way there: a task keeps what it was given and what it made of that side by side.
    let accepted = Box::new((server.clone(), stream, client));
    server.io_threads().spawn(|place| async move {
        match register(accepted, place) {
            Ok(connection) => connection.run().await,
            Err(error) => tracing::warn!("Registering client connection: {error}"),
        }
    });
}
