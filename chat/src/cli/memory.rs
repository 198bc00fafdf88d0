//! How much memory peers may make the program use.

use bytesize::ByteSize;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Returns the default of `--max-memory`, in bytes: a quarter of the memory that the process may use, at most 256 MiB
/// for each worker.
pub(crate) fn default_bytes(workers: usize) -> usize {
    default_of(available(), workers)
}

fn default_of(available: Option<u64>, workers: usize) -> usize {
    let max = workers.saturating_mul(MAX_EACH_BYTES);
    let quarter = available.map_or(max, |bytes| usize::try_from(bytes / 4).unwrap_or(max));
    quarter.clamp(MIN_BYTES, max.max(MIN_BYTES))
}

/// Returns the memory that the process may use, in bytes: the machine's, or what the cgroup (of a container, or of a
/// service of systemd) or `ulimit -v` leaves of it. `None` if the system does not tell.
fn available() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let machine = Some(system.total_memory()).filter(|bytes| *bytes > 0);
    let cgroup = sysinfo::get_current_pid().ok().and_then(|id| {
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), false, ProcessRefreshKind::nothing());
        system.process(id)?.cgroup_limits().map(|limits| limits.total_memory)
    });
    let address_space = rlimit::getrlimit(rlimit::Resource::AS).ok().map(|(soft, _)| soft);
    [machine, cgroup, address_space].into_iter().flatten().min()
}

/// Parses an amount of memory, such as `512MiB`.
pub(crate) fn parse(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().and_then(|ByteSize(bytes)| usize::try_from(bytes).ok());
    bytes
        .filter(|bytes| *bytes >= MIN_BYTES)
        .ok_or_else(|| "expected at least 16MiB, such as 512MiB or 2GiB".to_owned())
}

/// The least amount that suffices for a few clients, in bytes.
const MIN_BYTES: usize = 16 << 20;
/// The default for each worker, in bytes, where there is more than enough.
const MAX_EACH_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_binary_and_decimal_units() {
        for (text, bytes) in [("16MiB", 16 << 20), ("20MB", 20_000_000), ("2 GiB", 2 << 30), ("16777216", 16 << 20)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "15MiB", "16", "16 m of it", "-1GiB", "GiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_is_bounded_by_the_workers_and_by_the_machine() {
        let rows = [
            (None, 2, 512 << 20),
            (Some(24 << 30), 2, 512 << 20),
            (Some(512 << 20), 2, 128 << 20),
            (Some(512 << 20), 1024, 128 << 20),
            (Some(1 << 20), 2, MIN_BYTES),
            (Some(u64::MAX), 1, 256 << 20),
        ];
        for (available, workers, expected) in rows {
            let bytes = default_of(available, workers);
            assert_eq!(bytes, expected, "{available:?}, {workers} workers");
        }
        assert!(available().is_some_and(|bytes| bytes > 0), "this system tells");
    }
}
