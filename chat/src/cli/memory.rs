//! How much memory peers may make the program use.

use bytesize::ByteSize;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Returns the default of `--max-memory`, in bytes: a quarter of the memory that the process may use, at most 256 MiB for
/// each worker.
pub(crate) fn default_bytes(workers: usize) -> usize {
    let most = workers.saturating_mul(MOST_EACH);
    available().map_or(most, |available| usize::try_from(available / 4).unwrap_or(most).clamp(LEAST, most.max(LEAST)))
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
    bytes.filter(|bytes| *bytes >= LEAST).ok_or_else(|| "expected at least 16MiB, such as 512MiB or 2GiB".to_owned())
}

/// The least amount that suffices for a few clients, in bytes.
const LEAST: usize = 16 << 20;
/// The default for each worker, in bytes, where there is more than enough.
const MOST_EACH: usize = 256 << 20;

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
        let of = [1, 2, 1024].map(default_bytes);
        assert!(of[0] >= LEAST && of[0] <= MOST_EACH, "{of:?}");
        assert!(of.is_sorted(), "{of:?}");
        let available = available().expect("this system tells") as usize;
        assert!(of[2] <= available / 4, "{of:?} of {available}");
    }
}
