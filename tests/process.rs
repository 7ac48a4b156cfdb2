//! What the process asks of the system.

mod support;

use support::server::Server;

/// Whatever the arena, freed pages go back soon: those of the arena that is there at the start were kept for the allocator's
/// default of ten seconds.
#[test]
fn every_arena_gives_freed_pages_back_soon() {
    let server = Server::redpoll(&[]);
    let report = server.connect().line("MEMORY MALLOC-STATS").text();
    let times_ms: Vec<&str> = report
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("dirty:"))
        .filter_map(|figures| figures.split_whitespace().next())
        .filter(|&time| time != "N/A")
        .collect();
    assert!(times_ms.len() > 1, "no arenas: {report}");
    assert!(times_ms.iter().all(|&time| time == "500"), "{times_ms:?}");
}
