//! How the time of a call divides among kinds of operations.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ENABLED: AtomicBool = AtomicBool::new(false);
static COSTS: Mutex<Vec<Cost>> = Mutex::new(Vec::new());

/// What the operations of one kind have cost since [`start_breakdown`].
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The kind of operation, or the kernel.
    pub operation: Cow<'static, str>,
    /// How often it ran.
    pub calls: usize,
    /// How long it ran in total.
    pub time: Duration,
    /// Multiplications and additions by the definition of the operation; a fast algorithm may need fewer.
    pub flop: f64,
    /// Bytes of its operands and results.
    pub bytes: f64,
}

/// Starts counting what the kernels cost, from zero. The counting itself takes negligible time.
///
/// ```
/// oxidiff_kernels::start_breakdown();
/// // ... compute ...
/// for cost in oxidiff_kernels::finish_breakdown() {
///     println!("{}: {:?}", cost.operation, cost.time);
/// }
/// ```
pub fn start_breakdown() {
    costs().clear();
    ENABLED.store(true, Ordering::Relaxed);
}

/// Stops counting and returns the costs, longest time first.
pub fn finish_breakdown() -> Vec<Cost> {
    ENABLED.store(false, Ordering::Relaxed);
    let mut costs = std::mem::take(&mut *costs());
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.time));
    costs
}

fn costs() -> std::sync::MutexGuard<'static, Vec<Cost>> {
    COSTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A running operation; its time ends when this is dropped.
pub(crate) struct Running {
    operation: &'static str,
    start: Option<Instant>,
    flop: f64,
    bytes: f64,
}

/// Marks the start of an operation of this kind.
pub(crate) fn operation(operation: &'static str, flop: f64, bytes: f64) -> Running {
    let start = ENABLED.load(Ordering::Relaxed).then(Instant::now);
    Running { operation, start, flop, bytes }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(start) = self.start else { return };
        let operation = Cow::Borrowed(self.operation);
        add_cost(Cost { operation, calls: 1, time: start.elapsed(), flop: self.flop, bytes: self.bytes });
    }
}

/// Whether costs are being counted.
pub fn breakdown_is_running() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Counts the cost of an operation that runs elsewhere, such as on a card.
pub fn add_cost(added: Cost) {
    let mut costs = costs();
    match costs.iter_mut().find(|cost| cost.operation == added.operation) {
        Some(cost) => {
            cost.calls += added.calls;
            cost.time += added.time;
            cost.flop += added.flop;
            cost.bytes += added.bytes;
        }
        None => costs.push(added),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_between_start_and_finish() {
        drop(operation("before", 1.0, 1.0));
        start_breakdown();
        drop(operation("test of a breakdown", 2.0, 3.0));
        drop(operation("test of a breakdown", 4.0, 5.0));
        let costs = finish_breakdown();
        drop(operation("test of a breakdown", 1.0, 1.0));
        let cost = costs.iter().find(|cost| cost.operation == "test of a breakdown").unwrap();
        assert_eq!((cost.calls, cost.flop, cost.bytes), (2, 6.0, 8.0));
        assert!(!costs.iter().any(|cost| cost.operation == "before"));
    }
}
