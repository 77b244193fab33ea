//! Rewrites of a graph that compute the same with less work.

mod dead;
mod elementwise;
mod joining;
mod moved;
mod siblings;
mod upsampling;

use crate::graph::Graph;
use crate::levels::levels;

/// Applies all of them. `conditions` are the inputs that rarely change, by position.
pub fn simplify(mut graph: Graph, conditions: &[usize]) -> Graph {
    upsampling::fuse(&mut graph);
    dead::remove(&mut graph);
    siblings::join(&mut graph);
    let levels = levels(&graph, conditions);
    elementwise::fuse(&mut graph, &levels);
    joining::write_in_place(&mut graph);
    graph
}
