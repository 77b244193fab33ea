//! Preparing samples ahead of the training, on several threads.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::error::DataError;

type Prepare<T, E> = dyn Fn(usize) -> Result<T, E> + Send + Sync;

/// Prepares samples on `workers` threads and yields them in order: PyTorch's `DataLoader` with `num_workers`.
///
/// At most `ahead` samples are in preparation or wait to be taken. A sample that cannot be prepared, or whose preparation
/// panics, is an error at its place in the order and ends the iteration. Dropping the loader waits for the samples in
/// preparation and starts no more.
pub struct Loader<T, E = DataError> {
    shared: Arc<Shared<T, E>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T, E> {
    indices: Vec<usize>,
    ahead: usize,
    prepare: Box<Prepare<T, E>>,
    state: Mutex<State<T, E>>,
    changed: Condvar,
}

/// Positions count through `indices`.
struct State<T, E> {
    /// The next position to prepare.
    started: usize,
    /// The next position to yield.
    taken: usize,
    /// Prepared samples that wait for their turn, by position.
    ready: HashMap<usize, Result<T, E>>,
    closed: bool,
}

impl<T: Send + 'static, E: From<DataError> + Send + 'static> Loader<T, E> {
    /// Starts to prepare the samples `indices`, in this order.
    ///
    /// With no workers the thread that asks for a sample prepares it, as in PyTorch. `ahead` is at least 1.
    pub fn new(
        indices: Vec<usize>,
        workers: usize,
        ahead: usize,
        prepare: impl Fn(usize) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        let state = State { started: 0, taken: 0, ready: HashMap::new(), closed: false };
        let shared = Arc::new(Shared {
            indices,
            ahead: ahead.max(1),
            prepare: Box::new(prepare),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let threads = (0..workers)
            .map(|_| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.work())
            })
            .collect();
        Self { shared, threads }
    }
}

impl<T, E: From<DataError>> Shared<T, E> {
    fn work(&self) {
        while let Some(position) = self.start() {
            let sample = self.prepare(position);
            self.lock().ready.insert(position, sample);
            self.changed.notify_all();
        }
    }

    /// Waits for room, and claims the next position. `None` when there is nothing left to do.
    fn start(&self) -> Option<usize> {
        let mut state = self.lock();
        while !state.closed && state.started < self.indices.len() {
            if state.started < state.taken + self.ahead {
                state.started += 1;
                return Some(state.started - 1);
            }
            state = self.wait(state);
        }
        None
    }

    fn prepare(&self, position: usize) -> Result<T, E> {
        let index = self.indices[position];
        catch_unwind(AssertUnwindSafe(|| (self.prepare)(index))).unwrap_or_else(|panic| {
            Err(DataError::Panic { index, message: panic_message(panic.as_ref()).to_owned() }.into())
        })
    }

    fn take(&self) -> Option<Result<T, E>> {
        let mut state = self.lock();
        loop {
            if state.closed || state.taken == self.indices.len() {
                return None;
            }
            let position = state.taken;
            if let Some(sample) = state.ready.remove(&position) {
                state.taken += 1;
                state.closed = sample.is_err();
                self.changed.notify_all();
                return Some(sample);
            }
            state = self.wait(state);
        }
    }
}

impl<T, E> Shared<T, E> {
    /// No code that can panic runs under the lock, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T, E>>) -> MutexGuard<'a, State<T, E>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl<T, E: From<DataError>> Iterator for Loader<T, E> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.threads.is_empty() {
            let position = self.shared.start()?;
            let sample = self.shared.prepare(position);
            self.shared.lock().ready.insert(position, sample);
        }
        self.shared.take()
    }
}

impl<T, E> Drop for Loader<T, E> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches every panic of the preparation; the sample that it yields reports it.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_order_is_kept() {
        let indices: Vec<usize> = (0..100).rev().collect();
        for workers in [0, 1, 4] {
            let loader = Loader::<_>::new(indices.clone(), workers, 7, |index| {
                std::thread::sleep(Duration::from_micros((index % 5) as u64 * 100));
                Ok(index * 2)
            });
            let doubled: Vec<usize> = loader.map(Result::unwrap).collect();
            assert_eq!(doubled, indices.iter().map(|index| index * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_than_asked_is_prepared_ahead() {
        let prepared = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&prepared);
        let mut loader = Loader::<_>::new((0..1000).collect(), 3, 5, move |index| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(index)
        });
        assert_eq!(loader.next().unwrap().unwrap(), 0);
        std::thread::sleep(Duration::from_millis(50));
        assert!((1..=6).contains(&prepared.load(Ordering::SeqCst)), "{prepared:?}");
        drop(loader);
        assert!(prepared.load(Ordering::SeqCst) <= 6, "{prepared:?}");
        // The loader's threads have ended: nobody else holds the counter.
        assert_eq!(Arc::strong_count(&prepared), 1);
    }

    #[test]
    fn errors_and_panics_come_at_their_place_and_end_the_iteration() {
        for workers in [0, 2] {
            let mut loader = Loader::<_>::new((0..10).collect(), workers, 4, |index| match index {
                3 => Err(DataError::InvalidArgument { argument: "index", message: "three".to_owned() }),
                index => Ok(index),
            });
            assert_eq!(loader.by_ref().take(3).map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!(loader.next().unwrap().unwrap_err().to_string(), "`index`: three");
            assert!(loader.next().is_none());

            let mut loader = Loader::<usize>::new(vec![8, 9], workers, 4, |index| panic!("bad {index}"));
            let error = loader.next().unwrap().unwrap_err();
            assert_eq!(error.to_string(), "preparing sample 8 panicked: bad 8");
            assert!(loader.next().is_none());
        }
    }
}
