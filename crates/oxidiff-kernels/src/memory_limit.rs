//! How much memory is available, and what happens when there is none left.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use memmap2::MmapMut;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// A kernel asked for more memory than the system gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The bytes of the allocation that failed.
    pub bytes: usize,
}

/// Ends the work of [`on_worker`](crate::on_worker). Kernels have no way to return an error through a tensor operation.
pub(crate) fn out_of_memory(bytes: usize) -> ! {
    // Without the message that a panic prints: the error is reported by whoever catches it.
    resume_unwind(Box::new(OutOfMemory { bytes }))
}

/// Runs `work`, which ends early when a kernel gets no memory for its result.
///
/// # Errors
/// When that happens.
pub(crate) fn catch_out_of_memory<R>(work: impl FnOnce() -> R) -> Result<R, OutOfMemory> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload: Box<dyn Any + Send>| {
        match payload.downcast_ref::<OutOfMemory>() {
            Some(error) => *error,
            None => resume_unwind(payload),
        }
    })
}

/// How many bytes this process can still allocate, if that is less than `needed`; `None` if `needed` bytes fit.
///
/// Counts the machine's free memory and swap, a container's limit, and the process's limit on its address space.
pub fn memory_shortage(needed: u64) -> Option<u64> {
    let kept = crate::memory::kept_bytes();
    let physical = available_memory().map_or(u64::MAX, |available| available.saturating_add(kept));
    let wanted = usize::try_from(needed.saturating_sub(kept)).unwrap_or(usize::MAX);
    if physical >= needed && can_map(wanted) {
        return None;
    }
    Some(physical.min((most_mappable(wanted) as u64).saturating_add(kept)))
}

/// Whether the process may have so many bytes of addresses. Pages that nobody touches take no memory, but count.
fn can_map(bytes: usize) -> bool {
    bytes == 0 || MmapMut::map_anon(bytes).is_ok()
}

/// The most bytes below `limit` that [`can_map`], to a mebibyte.
fn most_mappable(limit: usize) -> usize {
    let (mut least, mut most) = (0, limit);
    while most - least > 1 << 20 {
        let middle = least + (most - least) / 2;
        if can_map(middle) { least = middle } else { most = middle }
    }
    least
}

/// Free memory and swap of the machine, or of the container; `None` where the system does not say.
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
    fn a_failed_allocation_is_an_error() {
        let result = catch_out_of_memory(|| rayon::join(|| out_of_memory(12), || 1).1);
        assert_eq!(result, Err(OutOfMemory { bytes: 12 }));
    }

    #[test]
    fn no_machine_has_an_exabyte() {
        assert_eq!(memory_shortage(1 << 16), None);
        let available = memory_shortage(1 << 60).unwrap();
        assert!((1 << 20..1 << 60).contains(&available), "{available}");
    }
}
