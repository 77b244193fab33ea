//! What happens when there is no memory left.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A kernel asked for more memory than the system can provide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The bytes of the allocation that failed.
    pub bytes: usize,
}

/// Ends the work of [`on_worker`](crate::on_worker): a kernel cannot return an error through a tensor operation.
pub(crate) fn out_of_memory(bytes: usize) -> ! {
    // Unlike a panic, this prints no message: whoever catches the error reports it.
    resume_unwind(Box::new(OutOfMemory { bytes }))
}

/// Runs `work`, which ends early if a kernel runs out of memory.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_an_error() {
        let result = catch_out_of_memory(|| rayon::join(|| out_of_memory(12), || 1).1);
        assert_eq!(result, Err(OutOfMemory { bytes: 12 }));
    }
}
