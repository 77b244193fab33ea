//! Rewrites of a graph that compute the same with less work.

mod dead;
mod joining;
mod moved;
mod siblings;
mod upsampling;

use crate::graph::Graph;

/// Applies all of them.
pub fn simplify(mut graph: Graph) -> Graph {
    upsampling::fuse(&mut graph);
    dead::remove(&mut graph);
    siblings::join(&mut graph);
    joining::write_in_place(&mut graph);
    graph
}
