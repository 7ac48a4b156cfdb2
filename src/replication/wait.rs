//! WAIT: until enough replicas have acknowledged, or the time is up.

use crate::net::Connection;
use crate::resp::encode;
use crate::server::Server;
use std::io;
use std::time::Duration;

/// Asks all replicas for an acknowledgement at once, through the stream, if there is one.
pub fn ask_for_acks(server: &Server) {
    if !server.log.is_wanted() {
        return;
    }
    let mut request = Vec::new();
    encode::request(&mut request, &["REPLCONF", "GETACK", "*"]);
    server.log.append_request(&request);
    server.wake_replicas();
}

/// Waits on a connection whose WAIT could not be answered at once, and answers.
///
/// # Errors
/// The connection has ended meanwhile.
pub async fn wait(conn: &mut Connection, replicas: usize, timeout_ms: u64, offset: u64) -> io::Result<()> {
    let server = conn.server.clone();
    conn.flush()?;
    ask_for_acks(&server);
    let enough = async {
        loop {
            let acknowledged = server.hub.acknowledged.notified();
            if server.hub.acked_by(offset) >= replicas {
                return;
            }
            acknowledged.await;
        }
    };
    let gone = async {
        loop {
            let wake = conn.wait(!conn.out.is_empty(), true).await?;
            if wake.called && conn.answer_call() {
                return Err::<(), io::Error>(io::ErrorKind::ConnectionAborted.into());
            }
            if wake.readable {
                conn.read_ahead()?;
            }
            conn.flush()?;
        }
    };
    let limit = if timeout_ms == 0 { Duration::MAX } else { Duration::from_millis(timeout_ms) };
    tokio::select! {
        biased;
        () = enough => {}
        () = sleep(limit) => {}
        result = gone => result?,
    }
    let acked = server.hub.acked_by(offset);
    conn.reply(|reply| reply.len(acked));
    conn.flush()
}

async fn sleep(time: Duration) {
    match time {
        Duration::MAX => std::future::pending().await,
        time => crate::clock::sleep(time).await,
    }
}
