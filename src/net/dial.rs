//! Connections that this server opens: to its master, and to where MIGRATE sends keys.

use super::simulated::Network;
use super::stream::Stream;
use crate::server::Server;
use std::io::{self, ErrorKind};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Connects to a host by name or address. How long to wait is the caller's.
///
/// # Errors
/// The name is unknown ([`ErrorKind::NotFound`]), or nobody answers at any of its addresses.
pub async fn dial(server: &Server, host: &str, port: u16) -> io::Result<Stream> {
    match &server.network {
        Network::System => by_name(server, host, port).await.map(Stream::Tcp),
        Network::Simulated(network) => network.connect(host, port).await.map(Stream::Simulated),
    }
}

async fn by_name(server: &Server, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    let unknown = |error| io::Error::new(ErrorKind::NotFound, error);
    for address in lookup_host((host, port)).await.map_err(unknown)? {
        match to_address(server, address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn to_address(server: &Server, address: std::net::SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let config = server.config.load();
    if let Ok(source) = config.bind_source_addr.parse::<std::net::IpAddr>() {
        socket.bind((source, 0).into())?;
    }
    socket.connect(address).await
}
