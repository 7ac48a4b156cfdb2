//! What the process asks of the system.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::client::Client;
use support::server::{Server, binary_under_test};
use support::wait_until;

const DEADLINE: Duration = Duration::from_secs(10);

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

/// `ps` shows where a server listens, and no password that was on its command line.
#[test]
fn the_title_says_where_it_listens_and_no_password() {
    let server = Server::redpoll(&["--masterauth", "s3cret"]);
    let mut client = server.connect();
    let title = || {
        let shown =
            std::fs::read(format!("/proc/{}/cmdline", server.pid().expect("it runs"))).expect("proc(5)");
        String::from_utf8_lossy(&shown).trim_end_matches('\0').to_string()
    };
    assert!(title().ends_with(&format!("redpoll 127.0.0.1:{}", server.port())), "{:?}", title());
    assert_eq!(client.call(&["CONFIG", "SET", "proc-title-template", "{title} at {port}"]).text(), "OK");
    assert!(title().ends_with(&format!("redpoll at {}", server.port())), "{:?}", title());
}

/// What cannot be saved must not be written, and whoever asks after the server's health hears of it.
#[test]
fn a_server_that_cannot_save_says_so_to_ping() {
    let server = Server::redpoll(&["--save", "3600 1"]);
    let mut client = server.connect();
    std::fs::create_dir(server.dir().join("dump.rdb")).expect("a directory in the file's place");
    assert_eq!(client.line("BGSAVE").text(), "Background saving started");
    wait_until("it has failed", DEADLINE, || client.info("rdb_last_bgsave_status") == "err");
    for line in ["PING", "SET k v"] {
        let reply = client.line(line).text();
        assert!(reply.starts_with("MISCONF Redis is configured to save RDB snapshots"), "{line}: {reply}");
    }
    assert_eq!(client.line("REPLICAOF 127.0.0.1 1").text(), "OK");
    assert!(client.line("PING").text().starts_with("MISCONF "));
    assert_eq!(client.line("CONFIG SET stop-writes-on-bgsave-error no").text(), "OK");
    assert_eq!(client.line("PING").text(), "PONG");
}

/// A second process in the place of a stopped one: it need not come to an end of loading.
struct Process(Child);

impl Process {
    /// The server under test on the port and in the directory of one that has stopped.
    fn start(server: &Server, args: &[&str]) -> Process {
        let mut command = Command::new(binary_under_test());
        command.args(["--port", &server.port().to_string(), "--bind", "127.0.0.1"]).args(args);
        command.arg("--dir").arg(server.dir()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().expect("it starts"))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success());
    }

    fn code(&mut self) -> Option<i32> {
        wait_until("it ends", DEADLINE, || self.0.try_wait().expect("own child").is_some());
        self.0.wait().expect("own child").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, if the test has not failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn info(server: &Server, field: &str) -> Option<String> {
    Client::connect(server.addr()).ok().map(|mut client| client.info(field))
}

/// A server that loads has a terminal that may go, and ends when it is told to, as one that has loaded.
#[test]
fn signals_are_heeded_while_the_data_set_is_loaded() {
    let mut server = Server::redpoll(&["--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.line("DEBUG POPULATE 1000");
    assert_eq!(client.line("SAVE").text(), "OK");
    server.stop();
    let files = ["pid", "socket"].map(|name| server.dir().join(name));
    let [pid, socket] = files.each_ref().map(|path| path.to_str().expect("text"));
    for end in ["TERM", "INT", "SHUTDOWN"] {
        let mut process = Process::start(
            &server,
            &["--key-load-delay", "1000000", "--pidfile", pid, "--unixsocket", socket],
        );
        wait_until("it loads", DEADLINE, || info(&server, "loading").as_deref() == Some("1"));
        assert!(files.iter().all(|file| file.exists()));
        process.signal("HUP");
        assert_eq!(info(&server, "loading").as_deref(), Some("1"));
        match end {
            "SHUTDOWN" => server.connect().send(&["SHUTDOWN", "NOSAVE"]).expect("sent"),
            signal => process.signal(signal),
        }
        assert_eq!(process.code(), Some(0), "{end}");
        assert!(!files.iter().any(|file| file.exists()), "{end}");
    }
}

/// Who interrupts a server twice does not want to wait; and whatever ends it, no half of a file stays.
#[test]
fn a_save_can_be_interrupted_and_leaves_nothing_behind() {
    let mut server = Server::redpoll(&[]);
    server.stop();
    let args = ["--save", "3600 1", "--rdb-key-save-delay", "1000000", "--enable-debug-command", "yes"];
    let half = |server: &Server| {
        let mut files = std::fs::read_dir(server.dir()).expect("a directory").flatten();
        files.any(|file| file.file_name().to_string_lossy().starts_with("temp-"))
    };
    for twice in [true, false] {
        let mut process = Process::start(&server, &args);
        wait_until("it is up", DEADLINE, || info(&server, "loading").as_deref() == Some("0"));
        let mut client = server.connect();
        client.line("DEBUG POPULATE 1000");
        if twice {
            process.signal("INT");
        } else {
            client.line("BGSAVE");
        }
        wait_until("it saves", DEADLINE, || half(&server));
        match twice {
            true => process.signal("INT"),
            false => client.send(&["SHUTDOWN", "NOSAVE"]).expect("sent"),
        }
        assert_eq!(process.code(), Some(i32::from(twice)));
        assert!(!half(&server), "{twice}");
    }
}
