//! How the time of a call divides among kinds of operations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ENABLED: AtomicBool = AtomicBool::new(false);
static COSTS: Mutex<Vec<Cost>> = Mutex::new(Vec::new());

/// What the operations of one kind have cost since [`start_breakdown`].
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The kind of operation.
    pub operation: &'static str,
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
        let time = start.elapsed();
        let mut costs = costs();
        let index = costs.iter().position(|cost| cost.operation == self.operation).unwrap_or_else(|| {
            let operation = self.operation;
            costs.push(Cost { operation, calls: 0, time: Duration::ZERO, flop: 0.0, bytes: 0.0 });
            costs.len() - 1
        });
        let cost = &mut costs[index];
        cost.calls += 1;
        cost.time += time;
        cost.flop += self.flop;
        cost.bytes += self.bytes;
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
