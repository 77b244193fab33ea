//! A convolution of an image at twice the size reads the small image.

use std::collections::HashMap;

use crate::graph::Graph;
use crate::operation::{Operation, Resizing};
use crate::view::{BufferId, View};

/// Lets convolutions double the size of their input on the way.
pub fn fuse(graph: &mut Graph) {
    let doubled: HashMap<BufferId, View> = graph
        .operations
        .iter()
        .filter_map(|operation| match operation {
            Operation::Resize { resizing: Resizing::Nearest, x, y }
                if y.shape[2] == 2 * x.shape[2] && y.shape[3] == 2 * x.shape[3] =>
            {
                Some((y.buffer, x.clone()))
            }
            _ => None,
        })
        .collect();
    for operation in &mut graph.operations {
        if let Operation::Convolution(convolution) = operation
            && convolution.upsample == 1
            && let Some(small) = doubled.get(&convolution.x.buffer)
            && convolution.x.elements() == 4 * small.elements()
        {
            convolution.x = small.clone();
            convolution.upsample = 2;
        }
    }
}
