//! WAIT's part in replication: who waits asks all replicas how far they are, and is told when enough of them are there. The waiting
//! itself is that of all blocked clients (`crate::blocked`).

use crate::resp::encode;
use crate::server::Server;

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

/// Waits until `wanted` replicas have acknowledged `offset`, for which they are asked.
pub async fn until_acknowledged(server: &Server, offset: u64, wanted: usize) {
    ask_for_acks(server);
    until(server, || server.hub.acked_by(offset) >= wanted).await;
}

/// Waits until `enough` says so, which is asked again whenever a replica has acknowledged something or gone.
pub async fn until(server: &Server, enough: impl Fn() -> bool) {
    loop {
        let acknowledged = server.hub.acknowledged.notified();
        if enough() {
            return;
        }
        acknowledged.await;
    }
}
