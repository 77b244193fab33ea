//! Calls that something outside can end, also where no denoising step asks for it.

use std::cell::RefCell;

use crate::error::Result;

type Check = Box<dyn FnMut() -> Result<()>>;

thread_local! {
    static CHECK: RefCell<Option<Check>> = const { RefCell::new(None) };
}

/// Runs `call`, a pipeline's, and meanwhile asks `check` from time to time whether it may go on: after each token of a text that a
/// language model writes. The steps of denoising ask the callback of the call.
///
/// ```
/// use oxidiff::{Error, interruptible};
///
/// let made = interruptible(|| Err(Error::Stopped { message: "enough".into() }), || 3);
/// assert_eq!(made, 3, "nothing was written");
/// ```
pub fn interruptible<R>(check: impl FnMut() -> Result<()> + 'static, call: impl FnOnce() -> R) -> R {
    /// Puts back what was there before, also when the call panics.
    struct Restore(Option<Check>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            CHECK.with_borrow_mut(|current| *current = before);
        }
    }
    let before = CHECK.with_borrow_mut(|current| current.replace(Box::new(check)));
    let _restore = Restore(before);
    call()
}

/// Whether the call may go on.
///
/// # Errors
/// When it may not.
pub(crate) fn check() -> Result<()> {
    // It is taken out, so that it may make calls of its own.
    let Some(mut current) = CHECK.take() else { return Ok(()) };
    let answer = current();
    CHECK.with_borrow_mut(|empty| *empty = Some(current));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_innermost_check_counts_while_its_call_runs() {
        let stop = || Err(Error::Stopped { message: "enough".into() });
        assert!(check().is_ok());
        interruptible(stop, || {
            assert!(check().is_err() && check().is_err());
            interruptible(|| Ok(()), || assert!(check().is_ok()));
            assert!(check().is_err());
        });
        assert!(check().is_ok());
    }
}
