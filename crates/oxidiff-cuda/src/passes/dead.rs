//! Removes what no result depends on.

use crate::graph::Graph;

/// Removes operations whose results nothing reads.
pub fn remove(graph: &mut Graph) {
    let mut needed = vec![false; graph.buffers.len()];
    graph.outputs.iter().for_each(|output| needed[output.buffer.0] = true);
    let mut kept: Vec<bool> = graph
        .operations
        .iter()
        .rev()
        .map(|operation| {
            let alive = needed[operation.writes().buffer.0];
            if alive {
                operation.reads().iter().for_each(|view| needed[view.buffer.0] = true);
            }
            alive
        })
        .collect();
    kept.reverse();
    let mut kept = kept.into_iter();
    graph.operations.retain(|_| kept.next() == Some(true));
}
