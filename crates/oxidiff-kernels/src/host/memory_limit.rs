//! How much memory is available.

use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::memory::kept_bytes;

/// The most bytes that this process is to use.
static MAX_MEMORY: AtomicU64 = AtomicU64::new(u64::MAX);

/// Sets how many bytes this process may use, for [`memory_shortage`]; `None` lifts the limit.
///
/// Files that are mapped into memory do not count: the system takes their pages back when it needs them.
pub fn set_max_memory(bytes: Option<u64>) {
    MAX_MEMORY.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// How many bytes this process can still allocate, if that is less than `needed`; `None` if `needed` bytes fit.
///
/// Counts the machine's free memory and swap, a container's limit, that of [`set_max_memory`], and the process's limit on its address
/// space.
pub fn memory_shortage(needed: u64) -> Option<u64> {
    let kept = kept_bytes();
    let available = available_memory().unwrap_or(u64::MAX).min(left_of_limit());
    let physical = available.saturating_add(kept);
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

/// What is left of the limit of [`set_max_memory`].
fn left_of_limit() -> u64 {
    match MAX_MEMORY.load(Ordering::Relaxed) {
        u64::MAX => u64::MAX,
        limit => limit.saturating_sub(own_memory().unwrap_or(0)),
    }
}

/// The bytes that this process uses beside mapped files.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn own_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The bytes that this process uses; the system does not tell mapped files apart.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn own_memory() -> Option<u64> {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate};
    let process = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), false, memory);
    system.process(process).map(sysinfo::Process::memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn own_memory_grows_with_what_is_written() {
        let before = own_memory().unwrap();
        // Unseen, the block would be optimised away.
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = own_memory().unwrap();
        std::hint::black_box(&block);
        assert!(after >= before + (32 << 20), "{before} {after}");
    }

    #[test]
    fn no_machine_has_an_exabyte() {
        assert_eq!(memory_shortage(1 << 16), None);
        let available = memory_shortage(1 << 60).unwrap();
        assert!((1 << 20..1 << 60).contains(&available), "{available}");
    }
}
