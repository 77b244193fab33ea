//! How much memory is available.

use memmap2::MmapMut;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::memory::kept_bytes;

/// How many bytes this process can still allocate, if that is less than `needed`; `None` if `needed` bytes fit.
///
/// Counts the machine's free memory and swap, a container's limit, and the process's limit on its address space.
pub fn memory_shortage(needed: u64) -> Option<u64> {
    let kept = kept_bytes();
    let physical = available_memory().map_or(u64::MAX, |available| available.saturating_add(kept));
    let wanted = usize::try_from(needed.saturating_sub(kept)).unwrap_or(usize::MAX);
    if physical >= needed && can_map(wanted) {
        return None;
    }
    Some(physical.min((most_mappable(wanted) as u64).saturating_add(kept)))
}

/// Whether the process may map this many more bytes. Untouched pages take no memory, but they count towards its limit.
fn can_map(bytes: usize) -> bool {
    bytes == 0 || MmapMut::map_anon(bytes).is_ok()
}

/// The largest size up to `limit` for which [`can_map`] holds, to within a mebibyte.
fn most_mappable(limit: usize) -> usize {
    let (mut least, mut most) = (0, limit);
    while most - least > 1 << 20 {
        let middle = least + (most - least) / 2;
        if can_map(middle) { least = middle } else { most = middle }
    }
    least
}

/// Free memory and swap of the machine, or of the container; `None` if the system does not tell.
fn available_memory() -> Option<u64> {
    let system =
        System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::everything()));
    let of_machine = system.available_memory().saturating_add(system.free_swap());
    let of_container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(of_machine.min(of_container)).filter(|available| *available > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_machine_has_an_exabyte() {
        assert_eq!(memory_shortage(1 << 16), None);
        let available = memory_shortage(1 << 60).unwrap();
        assert!((1 << 20..1 << 60).contains(&available), "{available}");
    }
}
