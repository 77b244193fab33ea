//! The parts of a call that run one after another, and the weights that pass through the card for each of them.

use std::ops::Range;

use crate::graph::{Graph, Origin};
use crate::levels::Level;
use crate::plan::{ALIGNMENT, Place};
use crate::view::BufferId;

/// Operations that run together, once their weights are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The level of the operations.
    pub level: Level,
    /// Which operations of the graph.
    pub operations: Range<usize>,
    /// The weights that are copied into the window before, each with its first byte there.
    pub loads: Vec<(BufferId, usize)>,
    window_bytes: usize,
}

impl Segment {
    /// Where a buffer is in the window, if it is there.
    pub fn in_window(&self, buffer: BufferId) -> Option<usize> {
        self.loads.iter().find(|(loaded, _)| *loaded == buffer).map(|(_, start)| *start)
    }
}

/// Marks the weights that are only on the card while operations need them: those of the model, in the form in which kernels take them.
pub(crate) fn let_weights_pass(graph: &Graph, levels: &[Level], places: &mut [Place]) {
    let operations = graph.operations.iter().zip(levels);
    let mut later = vec![false; graph.buffers.len()];
    for (operation, _) in operations.filter(|(_, level)| **level != Level::Weights) {
        // What is written later is no weight, even if a part of it was written early.
        later[operation.writes().buffer.0] = true;
    }
    graph.inputs.iter().chain(&graph.outputs).for_each(|view| later[view.buffer.0] = true);
    for ((buffer, later), place) in graph.buffers.iter().zip(later).zip(places) {
        let is_weight = matches!(buffer.origin, Origin::Weight(_) | Origin::Computed) && !later;
        if is_weight && *place == Place::Own {
            *place = Place::Passing;
        }
    }
}

/// Divides the operations into segments, whose passing weights take at most `window` bytes, unless one operation alone needs more;
/// with the bytes of the largest.
pub(crate) fn segments(
    graph: &Graph,
    levels: &[Level],
    places: &[Place],
    window: usize,
) -> (Vec<Segment>, usize) {
    let mut segments: Vec<Segment> = Vec::new();
    for (index, (operation, &level)) in graph.operations.iter().zip(levels).enumerate() {
        if level == Level::Weights {
            continue;
        }
        let mut passing: Vec<BufferId> = operation.reads().iter().map(|view| view.buffer).collect();
        passing.retain(|buffer| places[buffer.0] == Place::Passing);
        passing.sort_unstable_by_key(|buffer| buffer.0);
        passing.dedup();
        let bytes = |buffer: BufferId| graph.buffer(buffer).bytes.next_multiple_of(ALIGNMENT);
        let joins = segments.last().is_some_and(|last| {
            let new: usize =
                passing.iter().filter(|it| last.in_window(**it).is_none()).map(|it| bytes(*it)).sum();
            last.level == level && (new == 0 || last.window_bytes + new <= window)
        });
        if !joins {
            segments.push(Segment { level, operations: index..index, loads: Vec::new(), window_bytes: 0 });
        }
        let segment = segments.last_mut().expect("just made");
        segment.operations.end = index + 1;
        for buffer in passing {
            if segment.in_window(buffer).is_none() {
                segment.loads.push((buffer, segment.window_bytes));
                segment.window_bytes += bytes(buffer);
            }
        }
    }
    let window_bytes = segments.iter().map(|segment| segment.window_bytes).max().unwrap_or(0);
    (segments, window_bytes)
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;
    use crate::host;
    use crate::operation::{Operation, Reduction};
    use crate::plan::{Plan, Settings};
    use crate::program::{Program, Step};

    /// `((x * 2w) + v + w) * v` and a part for the text, `t * w`, of 256 numbers each.
    fn graph() -> Graph {
        let mut graph = Graph::default();
        let shape = [256];
        let [x, t, w, v, out] =
            [Origin::Input(0), Origin::Input(1), Origin::Weight(0), Origin::Weight(1), Origin::Computed].map(
                |origin| {
                    let mut view = graph.contiguous(&shape, DType::F32);
                    view.buffer = graph.add_buffer(1024, origin);
                    view
                },
            );
        let mut add = |program: Program, inputs: &[&crate::view::View], y: Option<&crate::view::View>| {
            let y = y.cloned().unwrap_or_else(|| graph.contiguous(&shape, DType::F32));
            let inputs = inputs.iter().map(|view| (*view).clone()).collect();
            // What a maximum lies between stays an operation of its own.
            let result = graph.contiguous(&shape, DType::F32);
            graph.operations.push(Operation::Elementwise { program, inputs, y: result.clone() });
            let [x, maximum] = [&result, &y].map(|view| view.reshape(&[256, 1, 1]).expect("contiguous"));
            graph.operations.push(Operation::Reduce { reduction: Reduction::Max, x, y: maximum });
            y
        };
        let of = Program::of;
        let twice = add(of(Step::Add), &[&w, &w], None);
        let of_text = add(of(Step::Mul), &[&t, &w], None);
        let a = add(of(Step::Mul), &[&x, &twice], None);
        let b = add(of(Step::Add), &[&a, &v], None);
        let c = add(of(Step::Add), &[&b, &w], None);
        let d = add(of(Step::Mul), &[&c, &v], None);
        add(of(Step::Add), &[&d, &of_text], Some(&out));
        (graph.inputs, graph.outputs) = (vec![x, t], vec![out]);
        graph
    }

    fn result(plan: &Plan) -> Vec<f32> {
        let values = |factor: f32| -> Vec<u8> {
            (0..256).flat_map(|i| (factor * i as f32 + 1.0).to_le_bytes()).collect()
        };
        let [x, t, w, v] = [0.5, 0.25, 2.0, 3.0].map(values);
        bytemuck::pod_collect_to_vec(&host::run(plan, &[&w, &v], &[&x, &t])[0])
    }

    #[test]
    fn weights_pass_through_a_window_of_any_size() {
        let stay = Plan::new(graph(), &[1], Settings::default());
        assert_eq!(stay.window_bytes, 0);
        assert!(stay.segments.iter().all(|segment| segment.loads.is_empty()));
        let levels: Vec<Level> = stay.segments.iter().map(|segment| segment.level).collect();
        assert_eq!(levels, [Level::Conditions, Level::Call]);
        let expected = result(&stay);
        let x = |i: usize| 0.5 * i as f32 + 1.0;
        let [t, w, v] = [0.25 * 7.0 + 1.0, 2.0 * 7.0 + 1.0, 3.0 * 7.0 + 1.0];
        assert!((expected[7] - ((x(7) * 2.0 * w + v + w) * v + t * w)).abs() < 1e-2);
        for window in [1, 1024, 2048, 3072, 1 << 20] {
            let plan = Plan::new(graph(), &[1], Settings { window: Some(window), ..Settings::default() });
            // At least what one operation reads.
            let most = window.max(1024);
            assert!(plan.window_bytes <= most, "{window}: {}", plan.window_bytes);
            // Both weights, and twice the first one before and after the maximum.
            assert_eq!(plan.places.iter().filter(|place| **place == Place::Passing).count(), 4);
            assert_eq!(plan.segments.len() > 2, window < 3072, "{window}");
            assert_eq!(result(&plan), expected, "{window}");
        }
    }
}
