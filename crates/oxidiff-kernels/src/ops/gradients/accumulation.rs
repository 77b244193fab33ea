//! Gradients of a tensor that several operations use.
//!
//! Burn adds them in row-major order on one thread, which would take longer than the convolutions that they come from, and leaves
//! a tensor whose channels are no longer neighbours. So rules add their gradients themselves. Burn does not tell whether a node
//! has a gradient already; this module remembers it.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_flex::FlexTensor;
use half::{bf16, f16};

use crate::cpu::gradients::sum::sum as sum_of;

/// A node of the graph. Burn does not export the type.
type Node = dyn Any + Send + Sync;

/// Nodes that have received a gradient from a rule, by their number.
struct Registered {
    nodes: HashMap<u64, Weak<Node>>,
    /// With this many nodes, those that no longer exist are forgotten.
    most: usize,
}

static REGISTERED: Mutex<Option<Registered>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Registered>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a rule has registered a gradient of this node. Nodes that are not leaves receive all their gradients in one backward
/// pass, before their own step takes the sum out.
pub(super) fn is_registered(id: u64, node: &Arc<Node>) -> bool {
    let same = |found: &Weak<Node>| std::ptr::addr_eq(found.as_ptr(), Arc::as_ptr(node));
    lock().as_ref().is_some_and(|registered| registered.nodes.get(&id).is_some_and(same))
}

/// Remembers that a rule has registered a gradient of this node.
pub(super) fn registered(id: u64, node: &Arc<Node>) {
    const FEWEST: usize = 1 << 10;
    let mut registered = lock();
    let registered = registered.get_or_insert_with(|| Registered { nodes: HashMap::new(), most: FEWEST });
    if registered.nodes.len() >= registered.most {
        registered.nodes.retain(|_, node| node.strong_count() > 0);
        registered.most = FEWEST.max(2 * registered.nodes.len());
    }
    registered.nodes.insert(id, Arc::downgrade(node));
}

/// The sum of two gradients of one tensor.
pub(super) fn sum(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    match (a.dtype(), b.dtype()) {
        (DType::F32, DType::F32) => sum_of::<f32>(a, b),
        (DType::F16, DType::F16) => sum_of::<f16>(a, b),
        (DType::BF16, DType::BF16) => sum_of::<bf16>(a, b),
        _ => Flex::float_add(a, b),
    }
}
