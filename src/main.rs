//! The binary: `redpoll`, or by another name redis-server, redis-check-rdb, redis-check-aof.

use redpoll::keyspace::Hasher;
use redpoll::types::Limits;
use redpoll::{config, control, logging, rdb};
use std::io::Write as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the allocator reads before all else, a C string: slabs of 32 pages for the sizes that keys and small values have. It
/// keeps books of slabs, so fewer of them save two bytes a key.
// SAFETY: the allocator looks for a pointer to characters under this name, and nobody else does; a reference to an array is
// such a pointer.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 21] = b"slab_sizes:17-512:32\0";

fn main() -> ExitCode {
    let mut args = std::env::args();
    let name = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    match name.rsplit('/').next() {
        Some("redis-check-rdb") => check_rdb(&args),
        Some("redis-check-aof") => {
            eprintln!("There is no append-only file to check yet.");
            ExitCode::FAILURE
        }
        _ => serve(&args),
    }
}

fn serve(args: &[String]) -> ExitCode {
    if let Some(text) = config::answer(args) {
        println!("{text}");
        return ExitCode::SUCCESS;
    }
    let loaded = match config::load(args) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.to_string()),
    };
    if let Err(error) = std::env::set_current_dir(&loaded.config.dir) {
        return fail(&format!("Can't chdir to '{}': {error}", loaded.config.dir));
    }
    if loaded.config.daemonize
        && let Err(error) = nix::unistd::daemon(true, false)
    {
        return fail(&format!("Can't daemonize: {error}"));
    }
    if let Err(error) = logging::init(&loaded.config) {
        return fail(&error.to_string());
    }
    if loaded.config.daemonize || !loaded.config.pidfile.is_empty() {
        control::write_pid_file(&loaded.config);
    }
    redpoll::memory::give_back_soon(loaded.config.jemalloc_bg_thread);
    redpoll::title::show(&loaded.config, loaded.file.as_deref());
    let code = control::run(loaded);
    // Threads may still hold connections: the process ends here, not when they are done.
    std::process::exit(code)
}

fn fail(text: &str) -> ExitCode {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

fn check_rdb(args: &[String]) -> ExitCode {
    let [path] = args else { return fail("Usage: redis-check-rdb <rdb-file-name>") };
    let now_ms = redpoll::clock::Clock::default().now_ms();
    let entropy = redpoll::world::Entropy::default();
    let limits = Limits { hasher: Hasher::new((entropy.next(), entropy.next())), ..Limits::default() };
    match rdb::check::check(path, std::fs::File::open(path), &limits, now_ms, &mut std::io::stdout()) {
        Ok(report) if report.ok => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use tikv_jemalloc_ctl::{Access as _, AsName as _};

    #[test]
    fn the_allocator_has_read_its_configuration() {
        let slab_bytes: usize =
            b"arenas.bin.12.slab_size\0".name().read().expect("there is such a size class");
        assert!(slab_bytes >= 32 * 4096, "{slab_bytes}");
    }
}
