//! Runs of elementwise operations become one program, so that what lies between them is never written to memory.

use burn::tensor::DType;

use crate::graph::{Graph, Origin};
use crate::launch::elementwise::{MOST_DIMENSIONS, dimensions, registers};
use crate::levels::Level;
use crate::operation::Operation;
use crate::program::{Instruction, Program};
use crate::view::View;

/// The most values of a program that are needed at a time. They take 4 KiB each of the memory that all blocks of a multiprocessor
/// share; with more, fewer threads would hide the latency of memory.
const MOST_REGISTERS: usize = 10;

/// Moves operations into those that read them, if nothing else does. `levels` are those of the operations.
pub fn fuse(graph: &mut Graph, levels: &[Level]) {
    let mut operations: Vec<Option<Operation>> =
        std::mem::take(&mut graph.operations).into_iter().map(Some).collect();
    let mut uses = Uses::of(graph, &operations);
    for index in 0..operations.len() {
        let Some(producer) = operations[index].as_ref().and_then(Elementwise::of) else { continue };
        if !may_move(graph, &uses, &producer, index) {
            continue;
        }
        let readers = uses.readers[producer.y.buffer.0].clone();
        let at_its_level = |reader: usize| levels[reader] == levels[index] || producer.inputs.is_empty();
        let fused: Option<Vec<(usize, Elementwise)>> = readers
            .iter()
            .map(|&reader| {
                let fused = operations[reader].as_ref().and_then(Elementwise::of)?.with(&producer)?;
                at_its_level(reader).then_some((reader, fused))
            })
            .collect();
        let Some(fused) = fused.filter(|fused| !fused.is_empty() && pays(&producer, fused, &operations))
        else {
            continue;
        };
        for (reader, fused) in fused {
            uses.add_reader(&fused, reader);
            operations[reader] = Some(fused.into());
        }
        uses.remove_reader(&producer, index);
        operations[index] = None;
    }
    graph.operations = operations.into_iter().flatten().collect();
}

/// Which operations read and write each buffer.
struct Uses {
    readers: Vec<Vec<usize>>,
    writers: Vec<Vec<usize>>,
}

impl Uses {
    fn of(graph: &Graph, operations: &[Option<Operation>]) -> Self {
        let nothing = vec![Vec::new(); graph.buffers.len()];
        let mut uses = Self { readers: nothing.clone(), writers: nothing };
        for (index, operation) in operations.iter().enumerate() {
            let Some(operation) = operation else { continue };
            for view in operation.reads() {
                insert(&mut uses.readers[view.buffer.0], index);
            }
            insert(&mut uses.writers[operation.writes().buffer.0], index);
        }
        uses
    }

    fn add_reader(&mut self, operation: &Elementwise, index: usize) {
        operation.inputs.iter().for_each(|input| insert(&mut self.readers[input.buffer.0], index));
    }

    fn remove_reader(&mut self, operation: &Elementwise, index: usize) {
        for input in &operation.inputs {
            self.readers[input.buffer.0].retain(|&reader| reader != index);
        }
    }
}

fn insert(indices: &mut Vec<usize>, index: usize) {
    if !indices.contains(&index) {
        indices.push(index);
    }
}

/// Whether `producer`, the operation at `index`, is all of its buffer, which is neither kept nor a result, and reads the same values if
/// it runs later.
fn may_move(graph: &Graph, uses: &Uses, producer: &Elementwise, index: usize) -> bool {
    let y = &producer.y;
    let buffer = graph.buffer(y.buffer);
    let is_output = graph.outputs.iter().any(|output| output.buffer == y.buffer);
    buffer.origin == Origin::Computed
        && !is_output
        && is_real(y.dtype)
        && y.offset == 0
        && y.elements() * y.dtype.size() == buffer.bytes
        && uses.writers[y.buffer.0] == [index]
        && producer
            .inputs
            .iter()
            .all(|input| uses.writers[input.buffer.0].iter().all(|&writer| writer < index))
}

/// Whether less is read and written afterwards, and little is computed more often than before.
fn pays(producer: &Elementwise, fused: &[(usize, Elementwise)], before: &[Option<Operation>]) -> bool {
    let mut reads = 0;
    let mut computed = 0;
    for (reader, fused) in fused {
        let operation = before[*reader].as_ref().expect("it was fused");
        let own = operation.reads().iter().filter(|view| view.buffer == producer.y.buffer).count();
        reads += own;
        computed += own * fused.y.elements();
    }
    let is_whole = |input: &&View| {
        input.strides.iter().zip(&input.shape).all(|(stride, length)| *stride != 0 || *length == 1)
    };
    let inputs = producer.inputs.iter().filter(is_whole).count();
    computed <= producer.y.elements() || (producer.program.is_cheap() && reads * inputs <= inputs + 1 + reads)
}

fn is_real(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// [`Operation::Elementwise`].
#[derive(Clone, Debug)]
struct Elementwise {
    program: Program,
    inputs: Vec<View>,
    y: View,
}

impl From<Elementwise> for Operation {
    fn from(Elementwise { program, inputs, y }: Elementwise) -> Self {
        Self::Elementwise { program, inputs, y }
    }
}

impl Elementwise {
    fn of(operation: &Operation) -> Option<Self> {
        let Operation::Elementwise { program, inputs, y } = operation else { return None };
        Some(Self { program: program.clone(), inputs: inputs.clone(), y: y.clone() })
    }

    /// This, with what `producer` computes in place of its result, if the kernels can run that.
    fn with(mut self, producer: &Self) -> Option<Self> {
        // Integers are computed in another type.
        if !is_real(self.y.dtype) {
            return None;
        }
        let reads = |own: &Self| own.inputs.iter().position(|input| input.buffer == producer.y.buffer);
        while let Some(at) = reads(&self) {
            self = self.with_input(at, producer)?;
        }
        let strides: Vec<&[usize]> =
            self.inputs.iter().chain([&self.y]).map(|view| &view.strides[..]).collect();
        let fits = registers(&self.program).is_some_and(|count| count <= MOST_REGISTERS)
            && dimensions(&self.y.shape, &strides) <= MOST_DIMENSIONS;
        fits.then_some(self)
    }

    /// This, with what `producer` computes in place of input `at`.
    fn with_input(mut self, at: usize, producer: &Self) -> Option<Self> {
        let read = self.inputs.remove(at);
        let mut rest = std::mem::take(&mut self.inputs);
        rest.push(self.y);
        let Seen { mut rest, mut inputs } = see_through(&read, rest, producer)?;
        let y = rest.pop().expect("the result was the last");

        // The inputs that are left, then those of the producer, each once.
        let mut all = rest;
        let own = all.len();
        let mut of_producer = Vec::new();
        for input in inputs.drain(..) {
            let known = all.iter().position(|other| *other == input);
            of_producer.push(known.unwrap_or(all.len()));
            if known.is_none() {
                all.push(input);
            }
        }
        let mut program = Program { inputs: all.len(), instructions: Vec::new() };
        let values = append(&mut program, &producer.program, of_producer);
        let result = values[producer.program.result()];
        let mut of_reader: Vec<usize> = (0..own).collect();
        of_reader.insert(at, result);
        append(&mut program, &self.program, of_reader);
        Some(Self { program, inputs: all, y })
    }
}

/// Adds the steps of `other`, whose inputs are the values `values`. Returns the number of each of its values.
fn append(program: &mut Program, other: &Program, mut values: Vec<usize>) -> Vec<usize> {
    for Instruction { step, arguments } in &other.instructions {
        let arguments = arguments[..step.arity()].iter().map(|&argument| values[argument]);
        let arguments: Vec<usize> = arguments.collect();
        values.push(program.push(*step, &arguments));
    }
    values
}

/// Operands with common dimensions.
struct Seen {
    rest: Vec<View>,
    /// The inputs of the producer.
    inputs: Vec<View>,
}

/// Where an operation that reads `read`, and walks `rest` beside it, finds the inputs of `producer` for each element. Dimensions are
/// divided where they span several of the producer's. `None` if strides cannot tell.
fn see_through(read: &View, rest: Vec<View>, producer: &Elementwise) -> Option<Seen> {
    let runs = Run::of(producer)?;
    let mut at: Vec<usize> = runs.iter().map(|run| read.offset / run.stride % run.length).collect();
    let offsets: Vec<usize> = producer
        .inputs
        .iter()
        .enumerate()
        .map(|(number, input)| {
            let steps = runs.iter().zip(&at).map(|(run, at)| run.of_inputs[number] * at);
            input.offset + steps.sum::<usize>()
        })
        .collect();

    // (length, stride of what is read, strides of the rest), of which the inner ones are done first.
    let mut left: Vec<(usize, usize, Vec<usize>)> = (0..read.shape.len())
        .map(|axis| (read.shape[axis], read.strides[axis], rest.iter().map(|it| it.strides[axis]).collect()))
        .filter(|(length, _, _)| *length != 1)
        .collect();
    left.sort_by_key(|(_, stride, _)| std::cmp::Reverse(*stride));
    // (length, strides of the rest, strides of the producer's inputs).
    let mut done: Vec<(usize, Vec<usize>, Vec<usize>)> = Vec::new();
    while let Some((length, stride, of_rest)) = left.pop() {
        if stride == 0 {
            done.push((length, of_rest, vec![0; producer.inputs.len()]));
            continue;
        }
        let number = runs.iter().rposition(|run| run.stride <= stride)?;
        let run = &runs[number];
        let step = stride / run.stride;
        if stride % run.stride != 0 {
            return None;
        }
        let of_inputs = run.of_inputs.iter().map(|own| own * step).collect();
        if at[number] + (length - 1) * step < run.length {
            at[number] += (length - 1) * step;
            done.push((length, of_rest, of_inputs));
            continue;
        }
        // The part within this run, and the rest, which goes on in the next one.
        let part = run.length / step;
        let divides = at[number] == 0 && run.length % step == 0 && length % part == 0;
        if !divides || part == 1 || part == length {
            return None;
        }
        at[number] += (part - 1) * step;
        left.push((length / part, stride * part, of_rest.iter().map(|own| own * part).collect()));
        done.push((part, of_rest, of_inputs));
    }

    let shape: Vec<usize> = done.iter().rev().map(|(length, _, _)| *length).collect();
    let view = |of: &View, offset: usize, strides: Vec<usize>| View {
        buffer: of.buffer,
        offset,
        shape: shape.clone(),
        strides,
        dtype: of.dtype,
    };
    let rest = rest.iter().enumerate().map(|(number, own)| {
        view(own, own.offset, done.iter().rev().map(|(_, of_rest, _)| of_rest[number]).collect())
    });
    let inputs = producer.inputs.iter().zip(offsets).enumerate().map(|(number, (input, offset))| {
        view(input, offset, done.iter().rev().map(|(_, _, of_inputs)| of_inputs[number]).collect())
    });
    Some(Seen { rest: rest.collect(), inputs: inputs.collect() })
}

/// Dimensions of a producer that it and all its inputs walk with one stride each.
struct Run {
    length: usize,
    stride: usize,
    of_inputs: Vec<usize>,
}

impl Run {
    /// Those of `producer`, the innermost first, if its result is dense.
    fn of(producer: &Elementwise) -> Option<Vec<Self>> {
        let y = &producer.y;
        let mut axes: Vec<usize> = (0..y.shape.len()).filter(|&axis| y.shape[axis] != 1).collect();
        axes.sort_by_key(|&axis| y.strides[axis]);
        let mut runs: Vec<Self> = Vec::new();
        for axis in axes {
            let (length, stride) = (y.shape[axis], y.strides[axis]);
            let of_inputs: Vec<usize> = producer.inputs.iter().map(|input| input.strides[axis]).collect();
            let follows = |last: &Self| last.stride * last.length == stride;
            if stride != runs.last().map_or(1, |last| last.stride * last.length) {
                return None;
            }
            match runs.last_mut() {
                Some(last)
                    if follows(last)
                        && of_inputs
                            .iter()
                            .zip(&last.of_inputs)
                            .all(|(own, inner)| *own == inner * last.length) =>
                {
                    last.length *= length;
                }
                _ => runs.push(Self { length, stride, of_inputs }),
            }
        }
        Some(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::plan::{Plan, Settings};
    use crate::program::Step;

    const SHAPE: [usize; 4] = [2, 6, 3, 4];

    /// A graph in the making, with inputs of [`SHAPE`] in `f32`.
    struct Making(Graph);

    impl Making {
        fn input(&mut self) -> View {
            let mut view = self.0.contiguous(&SHAPE, DType::F32);
            view.buffer = self.0.add_buffer(4 * view.elements(), Origin::Input(self.0.inputs.len()));
            self.0.inputs.push(view.clone());
            view
        }

        fn compute(&mut self, step: Step, inputs: &[&View], order: &[usize]) -> View {
            let y = self.0.tensor(&inputs[0].shape, order, DType::F32);
            let inputs = inputs.iter().map(|view| (*view).clone()).collect();
            self.0.operations.push(Operation::Elementwise {
                program: Program::of(step),
                inputs,
                y: y.clone(),
            });
            y
        }

        fn output(&mut self, view: &View) {
            let y = self.0.contiguous(&view.shape, DType::F32);
            self.0.operations.push(Operation::copy(view.clone(), y.clone()));
            self.0.outputs.push(y);
        }
    }

    /// The operations of the plan, and the result.
    fn run(graph: Graph) -> (usize, Vec<u8>) {
        let values = |factor: f32| -> Vec<u8> {
            (0..SHAPE.iter().product::<usize>())
                .flat_map(|i| (factor * i as f32 - 7.0).to_le_bytes())
                .collect()
        };
        let inputs: Vec<Vec<u8>> = (0..graph.inputs.len()).map(|i| values(0.25 + i as f32)).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let plan = Plan::new(graph, &[], Settings::default());
        (plan.graph.operations.len(), host::run(&plan, &[], &inputs).swap_remove(0))
    }

    /// Products of two inputs in each order of dimensions, seen through `change` and added to a third input's elements.
    fn check(change: impl Fn(&View) -> View, operations: usize) {
        for order in [[0, 1, 2, 3], [0, 2, 3, 1], [3, 1, 0, 2]] {
            let graph = |product_is_kept: bool| {
                let mut making = Making(Graph::default());
                let [a, b, c] = [(); 3].map(|()| making.input());
                let product = making.compute(Step::Mul, &[&a, &b], &order);
                let seen = change(&product);
                let axes: Vec<usize> = (0..seen.shape.len()).collect();
                let other = View { strides: vec![1; seen.shape.len()], shape: seen.shape.clone(), ..c };
                let sum = making.compute(Step::Sub, &[&seen, &other], &axes);
                making.output(&sum);
                if product_is_kept {
                    making.0.outputs.push(product);
                }
                making.0
            };
            let ((fused, result), (_, expected)) = (run(graph(false)), run(graph(true)));
            assert_eq!(result, expected, "{order:?}");
            assert_eq!(fused, operations, "{order:?}");
        }
    }

    #[test]
    fn results_are_the_same_through_views_of_any_kind() {
        check(View::clone, 1);
        check(|view| view.permute(&[3, 0, 2, 1]), 1);
        check(|view| view.slice(1, 1, 2, 2).slice(3, 2, 2, 1), 1);
        check(|view| view.slice(2, 2, 1, 1).expand(&[2, 6, 3, 4]), 1);
    }

    #[test]
    fn dimensions_may_be_joined_or_divided() {
        let contiguous = |shape: &'static [usize]| {
            move |view: &View| View::contiguous(view.buffer, shape, view.dtype).permute(&[1, 0])
        };
        // As the memory lies, whatever the order of the dimensions was.
        for shape in [&[2, 72][..], &[36, 4], &[8, 18]] {
            for order in [[0, 1, 2, 3], [0, 2, 3, 1]] {
                let graph = |product_is_kept: bool| {
                    let mut making = Making(Graph::default());
                    let [a, b] = [(); 2].map(|()| making.input());
                    let product = making.compute(Step::Mul, &[&a, &b], &order);
                    making.output(&contiguous(shape)(&product));
                    if product_is_kept {
                        making.0.outputs.push(product);
                    }
                    making.0
                };
                let ((_, result), (_, expected)) = (run(graph(false)), run(graph(true)));
                assert_eq!(result, expected, "{shape:?} {order:?}");
            }
        }
    }

    #[test]
    fn a_chain_becomes_one_program_and_what_two_read_is_computed_twice_if_it_is_cheap() {
        let graph = |first: Step| {
            let mut making = Making(Graph::default());
            let a = making.input();
            let order = [0, 1, 2, 3];
            let shared = making.compute(first, &[&a], &order);
            let left = making.compute(Step::Sigmoid, &[&shared], &order);
            let right = making.compute(Step::Sin, &[&shared], &order);
            making.output(&left);
            making.output(&right);
            making.0
        };
        assert_eq!(run(graph(Step::Neg)).0, 2);
        assert_eq!(run(graph(Step::Exp)).0, 3);
    }

    #[test]
    fn long_chains_stay_within_what_the_kernels_take() {
        let mut making = Making(Graph::default());
        let mut sum = making.input();
        for _ in 0..40 {
            let other = making.input();
            sum = making.compute(Step::Add, &[&sum, &other], &[0, 1, 2, 3]);
        }
        making.output(&sum);
        let plan = Plan::new(making.0, &[], Settings::default());
        assert!((6..=12).contains(&plan.graph.operations.len()), "{}", plan.graph.operations.len());
        for operation in &plan.graph.operations {
            let Operation::Elementwise { program, .. } = operation else {
                unreachable!("there are no others")
            };
            assert!(registers(program).is_some());
        }
    }
}
