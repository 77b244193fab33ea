//! Computes a plan on the CPU, with plain loops: what the kernels must equal.
//!
//! It runs in the memory that the plan lays out, so a tensor that is overwritten too early shows here, without a card.

use burn::tensor::DType;
use half::{bf16, f16};

use crate::levels::Level;
use crate::operation::{
    Activation, Attention, Convolution, GroupNorm, LayerNorm, Operation, Precision, Reduction, Resizing,
};
use crate::plan::Plan;
use crate::program::Program;
use crate::segments::Segment;
use crate::view::{BufferId, View};

/// Computes the results of `plan` for `inputs`, as bytes. `weights` are the bytes of the model's weights.
pub fn run(plan: &Plan, weights: &[&[u8]], inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut host = Host { plan, memory: plan.host_memory(weights, inputs), segment: None };
    let early = plan.graph.operations.iter().zip(&plan.levels).filter(|(_, level)| **level == Level::Weights);
    early.for_each(|(operation, _)| host.compute(operation));
    for segment in &plan.segments {
        host.start(segment);
        plan.graph.operations[segment.operations.clone()].iter().for_each(|it| host.compute(it));
    }
    plan.graph.outputs.iter().map(|output| host.bytes(output)).collect()
}

struct Host<'a> {
    plan: &'a Plan,
    /// One block of bytes for each space of the plan.
    memory: Vec<Vec<u8>>,
    /// What runs.
    segment: Option<&'a Segment>,
}

/// The nearest number with 10 bits of mantissa, as `cvt.rna.tf32` chooses it.
fn to_tf32(value: f32) -> f32 {
    if value.is_finite() { f32::from_bits((value.to_bits() + 0x1000) & !0x1fff) } else { value }
}

/// Calls `visit` with each index of `shape`, in order.
fn for_each_index(shape: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut index = vec![0; shape.len()];
    for _ in 0..shape.iter().product::<usize>() {
        visit(&index);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

impl<'a> Host<'a> {
    /// Brings the weights of a segment into the window.
    fn start(&mut self, segment: &'a Segment) {
        let mut window = self.memory.pop().expect("the window is the last space");
        // What is not of this segment is not a number.
        window.fill(0xff);
        for (buffer, start) in &segment.loads {
            let (space, from) = self.plan.place(*buffer);
            let bytes = &self.memory[space][from..];
            window[*start..start + bytes.len()].copy_from_slice(bytes);
        }
        self.memory.push(window);
        self.segment = Some(segment);
    }

    /// The space that holds a buffer, and its first byte there.
    fn place(&self, buffer: BufferId) -> (usize, usize) {
        match self.segment.and_then(|segment| segment.in_window(buffer)) {
            Some(start) => (self.memory.len() - 1, start),
            None => self.plan.place(buffer),
        }
    }

    fn element(&self, view: &View, position: usize) -> &[u8] {
        let (space, start) = self.place(view.buffer);
        let size = view.dtype.size();
        &self.memory[space][start + position * size..][..size]
    }

    fn get_at(&self, view: &View, position: usize) -> f32 {
        let bytes = self.element(view, position);
        match view.dtype {
            DType::F32 => f32::from_le_bytes(bytes.try_into().expect("four bytes")),
            DType::F16 => f16::from_le_bytes(bytes.try_into().expect("two bytes")).to_f32(),
            DType::BF16 => bf16::from_le_bytes(bytes.try_into().expect("two bytes")).to_f32(),
            DType::I64 => i64::from_le_bytes(bytes.try_into().expect("eight bytes")) as f32,
            DType::I32 => i32::from_le_bytes(bytes.try_into().expect("four bytes")) as f32,
            _ => f32::from(bytes[0]),
        }
    }

    fn get(&self, view: &View, index: &[usize]) -> f32 {
        self.get_at(view, view.position(index))
    }

    fn set(&mut self, view: &View, index: &[usize], value: f32) {
        let (space, start) = self.place(view.buffer);
        let size = view.dtype.size();
        let target = &mut self.memory[space][start + view.position(index) * size..][..size];
        match view.dtype {
            DType::F32 => target.copy_from_slice(&value.to_le_bytes()),
            DType::F16 => target.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
            DType::BF16 => target.copy_from_slice(&bf16::from_f32(value).to_le_bytes()),
            DType::I64 => target.copy_from_slice(&(value as i64).to_le_bytes()),
            DType::I32 => target.copy_from_slice(&(value as i32).to_le_bytes()),
            _ => target[0] = value as u8,
        }
    }

    fn values(&self, view: &View) -> Vec<f32> {
        let mut values = Vec::with_capacity(view.elements());
        for_each_index(&view.shape, |index| values.push(self.get(view, index)));
        values
    }

    fn store(&mut self, view: &View, values: &[f32]) {
        let mut values = values.iter();
        for_each_index(&view.shape, |index| {
            self.set(view, index, *values.next().expect("one value an element"))
        });
    }

    fn bytes(&self, view: &View) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(view.elements() * view.dtype.size());
        for_each_index(&view.shape, |index| bytes.extend(self.element(view, view.position(index))));
        bytes
    }

    fn compute(&mut self, operation: &Operation) {
        match operation {
            Operation::Convolution(it) => self.convolution(it),
            Operation::Attention(it) => self.attention(it),
            Operation::GroupNorm(it) => self.group_norm(it),
            Operation::LayerNorm(it) => self.layer_norm(it),
            Operation::Softmax { x, y } => {
                let mut values = self.values(x);
                values.chunks_mut(*x.shape.last().expect("a dimension")).for_each(softmax);
                self.store(y, &values);
            }
            Operation::Elementwise { program, inputs, y } => self.elementwise(program, inputs, y),
            Operation::Reduce { reduction, x, y } => self.reduce(*reduction, x, y),
            Operation::Gather { table, indices, y } => {
                let rows = self.values(indices);
                for_each_index(&y.shape.clone(), |index| {
                    let value = self.get(table, &[rows[index[0]] as usize, index[1]]);
                    self.set(y, index, value);
                });
            }
            Operation::Matmul { a, b, y } => {
                let depth = a.shape[2];
                for_each_index(&y.shape.clone(), |index| {
                    let [batch, row, column] = [index[0], index[1], index[2]];
                    let term = |k| self.get(a, &[batch, row, k]) * self.get(b, &[batch, k, column]);
                    let sum = (0..depth).map(term).sum();
                    self.set(y, index, sum);
                });
            }
            Operation::Resize { resizing, x, y } => self.resize(*resizing, x, y),
        }
    }

    fn elementwise(&mut self, program: &Program, inputs: &[View], y: &View) {
        if program.is_copy() && inputs[0].dtype == y.dtype {
            // Bits are kept, of integers beyond the precision of `f32` as well.
            let bytes = self.bytes(&inputs[0]);
            let mut chunks = bytes.chunks(y.dtype.size());
            let (space, start) = self.place(y.buffer);
            for_each_index(&y.shape.clone(), |index| {
                let chunk = chunks.next().expect("one element for each of the result");
                self.memory[space][start + y.position(index) * chunk.len()..][..chunk.len()]
                    .copy_from_slice(chunk);
            });
            return;
        }
        let values: Vec<Vec<f32>> = inputs.iter().map(|input| self.values(input)).collect();
        let results: Vec<f32> = (0..y.elements())
            .map(|element| program.evaluate(&values.iter().map(|input| input[element]).collect::<Vec<_>>()))
            .collect();
        self.store(y, &results);
    }

    fn convolution(&mut self, it: &Convolution) {
        let [_, channels, kernel_height, kernel_width] = it.weight.shape[..] else { unreachable!("rank 4") };
        let [height, width] = [it.x.shape[2], it.x.shape[3]].map(|side| side * it.upsample);
        let [batch, features, out_height, out_width] = it.y.shape[..] else { unreachable!("rank 4") };
        let tf32 = self.plan.settings.precision == Precision::Tf32 && it.x.dtype == DType::F32;
        let factor = if tf32 { to_tf32 } else { std::convert::identity };
        let weight: Vec<f32> = self.values(&it.weight).into_iter().map(factor).collect();
        let mut results = vec![0.0; it.y.elements()];
        let mut patch = vec![0.0; channels * kernel_height * kernel_width];
        for_each_index(&[batch, out_height, out_width], |index| {
            let [item, row, column] = [index[0], index[1], index[2]];
            let mut next = 0;
            for_each_index(&[channels, kernel_height, kernel_width], |inner| {
                let y = row * it.stride + inner[1];
                let x = column * it.stride + inner[2];
                let inside = (it.padding..it.padding + height).contains(&y)
                    && (it.padding..it.padding + width).contains(&x);
                patch[next] = if inside {
                    let [y, x] = [y, x].map(|at| (at - it.padding) / it.upsample);
                    factor(self.get(&it.x, &[item, inner[0], y, x]))
                } else {
                    0.0
                };
                next += 1;
            });
            let sum = |channel: usize| {
                let kernel = &weight[channel * patch.len()..][..patch.len()];
                let product: f32 = kernel.iter().zip(&patch).map(|(a, b)| a * b).sum();
                let bias = it.bias.as_ref().map_or(0.0, |bias| self.get(bias, &[channel]));
                let item_bias = it.item_bias.as_ref().map_or(0.0, |bias| self.get(bias, &[item, channel]));
                product + bias + item_bias
            };
            for feature in 0..features {
                let value = if it.gate {
                    sum(2 * feature) * gelu(sum(2 * feature + 1))
                } else {
                    activated(sum(feature), it.activation)
                };
                let at = [item, feature, row, column];
                let residual = it.residual.as_ref().map_or(0.0, |residual| self.get(residual, &at));
                results[((item * features + feature) * out_height + row) * out_width + column] =
                    value + residual;
            }
        });
        self.store(&it.y, &results);
    }

    fn attention(&mut self, it: &Attention) {
        let [batch, queries, _] = it.query.shape[..] else { unreachable!("rank 3") };
        let keys = it.key.shape[1];
        let [dim, value_dim] = [&it.query, &it.value].map(|view| view.shape[2] / it.heads);
        let mut results = vec![0.0; it.y.elements()];
        for_each_index(&[batch, it.heads, queries], |index| {
            let [item, head, query] = [index[0], index[1], index[2]];
            let mut scores: Vec<f32> = (0..keys)
                .map(|key| {
                    let term = |d| {
                        self.get(&it.query, &[item, query, head * dim + d])
                            * self.get(&it.key, &[item, key, head * dim + d])
                    };
                    let score = (0..dim).map(term).sum::<f32>() * it.scale;
                    let mask = it.mask.as_ref().map_or(0.0, |mask| self.get(mask, &[item, head, query, key]));
                    if it.causal && key > query { f32::NEG_INFINITY } else { score + mask }
                })
                .collect();
            softmax(&mut scores);
            for d in 0..value_dim {
                let column = head * value_dim + d;
                let term = |(key, weight): (usize, &f32)| weight * self.get(&it.value, &[item, key, column]);
                results[(item * queries + query) * it.heads * value_dim + column] =
                    scores.iter().enumerate().map(term).sum();
            }
        });
        self.store(&it.y, &results);
    }

    fn group_norm(&mut self, it: &GroupNorm) {
        let channels = it.x.shape[1];
        let pixels = it.x.shape[2] * it.x.shape[3];
        let mut values = self.values(&it.x);
        for group in values.chunks_mut(channels / it.groups * pixels) {
            normalize(group, it.epsilon);
        }
        for (index, value) in values.iter_mut().enumerate() {
            let channel = index / pixels % channels;
            *value = *value * self.get(&it.weight, &[channel]) + self.get(&it.bias, &[channel]);
            if it.silu {
                *value = activated(*value, Activation::Silu);
            }
        }
        self.store(&it.y, &values);
    }

    fn layer_norm(&mut self, it: &LayerNorm) {
        let features = *it.x.shape.last().expect("a dimension");
        let mut values = self.values(&it.x);
        for row in values.chunks_mut(features) {
            match it.rms {
                true => normalize_around(0.0, row, it.epsilon),
                false => normalize(row, it.epsilon),
            }
            for (index, value) in row.iter_mut().enumerate() {
                *value *= self.get(&it.weight, &[index]);
                *value += it.bias.as_ref().map_or(0.0, |bias| self.get(bias, &[index]));
            }
        }
        self.store(&it.y, &values);
    }

    fn reduce(&mut self, reduction: Reduction, x: &View, y: &View) {
        let length = x.shape[1];
        for_each_index(&y.shape.clone(), |index| {
            let values = (0..length).map(|n| self.get(x, &[index[0], n, index[2]]));
            let value = match reduction {
                Reduction::Sum => values.sum(),
                Reduction::Mean => values.sum::<f32>() / length as f32,
                Reduction::Max => values.fold(f32::NEG_INFINITY, f32::max),
                Reduction::Min => values.fold(f32::INFINITY, f32::min),
            };
            self.set(y, index, value);
        });
    }

    fn resize(&mut self, resizing: Resizing, x: &View, y: &View) {
        let [from, to] = [x, y].map(|view| [view.shape[2], view.shape[3]]);
        for_each_index(&y.shape.clone(), |index| {
            let value = match resizing {
                Resizing::Nearest => {
                    let [row, column] = [0, 1].map(|axis| {
                        // PyTorch computes the ratio in `f32` and rounds down.
                        let ratio = from[axis] as f32 / to[axis] as f32;
                        ((index[2 + axis] as f32 * ratio) as usize).min(from[axis] - 1)
                    });
                    self.get(x, &[index[0], index[1], row, column])
                }
                Resizing::Bilinear { align_corners } => {
                    let [(rows, down), (columns, right)] =
                        [0, 1].map(|axis| between(index[2 + axis], from[axis], to[axis], align_corners));
                    let pixel = |row, column| self.get(x, &[index[0], index[1], row, column]);
                    let line = |row| pixel(row, columns[0]) * (1.0 - right) + pixel(row, columns[1]) * right;
                    line(rows[0]) * (1.0 - down) + line(rows[1]) * down
                }
                Resizing::Average { kernel, stride, padding, count_padding } => {
                    let [rows, columns] = [0, 1].map(|axis| {
                        let start = index[2 + axis] * stride[axis];
                        (start..start + kernel[axis])
                            .filter(|at| (padding[axis]..padding[axis] + from[axis]).contains(at))
                            .map(|at| at - padding[axis])
                            .collect::<Vec<usize>>()
                    });
                    let sum: f32 = rows
                        .iter()
                        .flat_map(|row| columns.iter().map(move |column| (*row, *column)))
                        .map(|(row, column)| self.get(x, &[index[0], index[1], row, column]))
                        .sum();
                    let inside = rows.len() * columns.len();
                    sum / if count_padding { kernel[0] * kernel[1] } else { inside } as f32
                }
            };
            self.set(y, index, value);
        });
    }
}

/// The two positions of `from` between which position `index` of `to` lies, and how far it is from the first.
fn between(index: usize, from: usize, to: usize, align_corners: bool) -> ([usize; 2], f32) {
    let at = match align_corners {
        true if to > 1 => index as f32 * (from - 1) as f32 / (to - 1) as f32,
        true => 0.0,
        false => ((index as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0),
    };
    let first = (at as usize).min(from - 1);
    ([first, (first + 1).min(from - 1)], at - first as f32)
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

fn activated(x: f32, activation: Activation) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => gelu(x),
    }
}

fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Subtracts the mean and divides by the deviation.
fn normalize(values: &mut [f32], epsilon: f32) {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    normalize_around(mean, values, epsilon);
}

/// Subtracts `mean` and divides by the deviation from it.
fn normalize_around(mean: f64, values: &mut [f32], epsilon: f32) {
    let count = values.len() as f64;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    let factor = 1.0 / (variance + f64::from(epsilon)).sqrt();
    values.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) * factor) as f32);
}
