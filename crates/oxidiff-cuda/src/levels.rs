//! When operations run.

use crate::graph::{Graph, Origin};

/// What an operation depends on, and so when it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Weights and constants: once for a model.
    #[default]
    Weights,
    /// Inputs that rarely change, such as the text: when they change.
    Conditions,
    /// The other inputs: in each call.
    Call,
}

/// The level of each operation. `conditions` are the inputs that rarely change, by position.
pub fn levels(graph: &Graph, conditions: &[usize]) -> Vec<Level> {
    let mut of_buffers: Vec<Level> = graph
        .buffers
        .iter()
        .map(|buffer| match buffer.origin {
            Origin::Input(index) if conditions.contains(&index) => Level::Conditions,
            Origin::Input(_) => Level::Call,
            _ => Level::Weights,
        })
        .collect();
    for operation in &graph.operations {
        let level = operation.reads().iter().map(|view| of_buffers[view.buffer.0]).max().unwrap_or_default();
        let written = &mut of_buffers[operation.writes().buffer.0];
        *written = level.max(*written);
    }
    // All parts of a buffer are written at one level.
    graph.operations.iter().map(|operation| of_buffers[operation.writes().buffer.0]).collect()
}
