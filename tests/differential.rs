//! Differential tests.

mod support;

#[test]
fn smoke() {
    let Some(server) = support::server::Server::redis(&[]) else { return };
    assert_eq!(server.connect().line("ECHO x").text(), "x");
}
