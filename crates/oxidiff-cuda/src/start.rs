//! From the operations of a plan to kernel launches at the addresses of its buffers.

use burn::tensor::DType;

use crate::error::{Error, Result};
use crate::launch::attention::{Attention, Mask, Tokens};
use crate::launch::convolution::Convolution;
use crate::launch::elementwise::Elementwise;
use crate::launch::norm::GroupNorm;
use crate::launch::plain::{Gather, Matmul, Reduce, Reducing};
use crate::launch::resize::Resize;
use crate::launch::rows::{LayerNorm, Rows};
use crate::launch::strided::Strided;
use crate::launch::{Card, Element, Launch};
use crate::operation::{self, Operation, Precision, Reduction, Resizing};
use crate::view::{BufferId, View};

/// Memory that kernels use among themselves.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// Address of counters that are zero between launches.
    pub counters: u64,
    /// Address of partial results.
    pub partial: u64,
}

/// Makes launches for one card and one layout of memory.
pub struct Starter<'a> {
    /// The card.
    pub card: &'a Card,
    /// Where the buffers are.
    pub address: &'a dyn Fn(BufferId) -> u64,
    /// Memory for the kernels.
    pub scratch: Scratch,
    /// How products are formed.
    pub precision: Precision,
    /// Whether no launch shortly before writes weights.
    pub weights_are_ready: bool,
}

/// Bytes of counters and of partial results that `operation` needs.
///
/// # Errors
/// When there is no kernel for it.
pub fn scratch_bytes(operation: &Operation, card: &Card, precision: Precision) -> Result<(usize, usize)> {
    let starter = Starter::without_memory(card, precision);
    Ok(match operation {
        Operation::Convolution(it) => {
            let convolution = starter.convolution(it)?;
            (4 * convolution.counters(card), convolution.scratch_bytes(card))
        }
        Operation::GroupNorm(it) => (0, starter.group_norm(it)?.scratch_bytes(card)),
        _ => (0, 0),
    })
}

impl<'a> Starter<'a> {
    /// Makes launches that never start: to learn what they need, and whether there is a kernel.
    pub fn without_memory(card: &'a Card, precision: Precision) -> Self {
        Self {
            card,
            address: &|_| 1 << 20,
            scratch: Scratch { counters: 1 << 20, partial: 1 << 20 },
            precision,
            weights_are_ready: true,
        }
    }
}

impl Starter<'_> {
    fn at(&self, view: &View) -> u64 {
        (self.address)(view.buffer) + (view.offset * view.dtype.size()) as u64
    }

    fn strided(&self, view: &View) -> Strided {
        Strided::new(view, (self.address)(view.buffer))
    }

    /// The launches of `operation`.
    ///
    /// # Errors
    /// When there is no kernel for it.
    pub fn launches(&self, operation: &Operation) -> Result<Vec<Launch>> {
        match operation {
            Operation::Convolution(it) => {
                let convolution = self.convolution(it)?;
                Ok(match convolution.wgmma_launch(self.card, self.weights_are_ready) {
                    Some(launch) => vec![launch],
                    None => convolution.launches(self.card),
                })
            }
            Operation::Attention(it) => self.attention(it)?.launches(self.card),
            Operation::GroupNorm(it) => self.group_norm(it)?.launches(self.card),
            Operation::LayerNorm(it) => {
                of_one_type(&it.x, &[Some(&it.weight), it.bias.as_ref(), Some(&it.y)])?;
                let norm = LayerNorm {
                    rows: self.rows(&it.x, &it.y)?,
                    weight: Some(self.at(&it.weight)),
                    bias: it.bias.as_ref().map(|bias| self.at(bias)),
                    epsilon: it.epsilon,
                    rms: it.rms,
                };
                Ok(norm.launches())
            }
            Operation::Softmax { x, y } => Ok(self.rows(x, y)?.softmax()),
            Operation::Elementwise { program, inputs, y } => Elementwise {
                program: program.clone(),
                shape: y.shape.clone(),
                inputs: inputs.iter().map(|input| self.strided(input)).collect(),
                y: self.strided(y),
            }
            .launches(self.card),
            Operation::Reduce { reduction, x, y } => {
                let reducing = match reduction {
                    Reduction::Sum => Reducing::Sum,
                    Reduction::Mean => Reducing::Mean,
                    Reduction::Max => Reducing::Max,
                    Reduction::Min => Reducing::Min,
                };
                let mut to = self.strided(y);
                to.strides.remove(1);
                let shape = [x.shape[0], x.shape[1], x.shape[2]];
                Reduce { reducing, shape, x: self.strided(x), y: to }.launches(self.card)
            }
            Operation::Gather { table, indices, y } => Gather {
                outer: 1,
                entries: table.shape[0],
                count: indices.shape[0],
                inner: table.shape[1],
                dtype: table.dtype,
                index_dtype: indices.dtype,
                table: self.at(table),
                table_strides: [0, table.strides[0]],
                indices: self.at(indices),
                y: self.at(y),
                y_strides: [0, y.strides[0]],
            }
            .launches(),
            Operation::Matmul { a, b, y } => {
                let sizes = [y.shape[0], y.shape[1], y.shape[2], a.shape[2]];
                Matmul { sizes, a: self.strided(a), b: self.strided(b), y: self.strided(y) }.launches()
            }
            Operation::Resize { resizing, x, y } => Ok(self.resize(*resizing, x, y)?.launches()),
        }
    }

    fn convolution(&self, it: &operation::Convolution) -> Result<Convolution> {
        let others =
            [Some(&it.weight), it.bias.as_ref(), it.item_bias.as_ref(), it.residual.as_ref(), Some(&it.y)];
        of_one_type(&it.x, &others)?;
        let weight_rows = it.weight.permute(&[0, 2, 3, 1]);
        let [out_channels, in_channels, kernel_height, kernel_width] = it.weight.shape[..] else {
            unreachable!("kernels have four dimensions")
        };
        let weight_columns = in_channels * kernel_height * kernel_width;
        let weight_pitch = weight_rows
            .reshape(&[out_channels, weight_columns])
            .map_or(weight_columns, |flat| if out_channels == 1 { weight_columns } else { flat.strides[0] });
        Ok(Convolution {
            element: element(&it.x)?,
            precision: self.precision,
            batch: it.x.shape[0],
            in_height: it.x.shape[2],
            in_width: it.x.shape[3],
            in_channels,
            x_pitch: pitch(&it.x),
            out_height: it.y.shape[2],
            out_width: it.y.shape[3],
            out_channels,
            y_pitch: pitch(&it.y),
            kernel_height,
            kernel_width,
            stride: it.stride,
            pad_top: it.padding,
            pad_left: it.padding,
            upsample: it.upsample,
            weight_pitch,
            item_bias_pitch: it.item_bias.as_ref().and_then(View::rows).map_or(0, |rows| rows.pitch),
            residual_pitch: it.residual.as_ref().map_or(0, pitch),
            activation: it.activation,
            gate: it.gate,
            scale: 1.0,
            x: self.at(&it.x),
            weight: self.at(&it.weight),
            bias: it.bias.as_ref().map(|bias| self.at(bias)),
            item_bias: it.item_bias.as_ref().map(|bias| self.at(bias)),
            residual: it.residual.as_ref().map(|residual| self.at(residual)),
            y: self.at(&it.y),
            scratch: self.scratch.partial,
            arrivals: self.scratch.counters,
        })
    }

    fn attention(&self, it: &operation::Attention) -> Result<Attention> {
        of_one_type(&it.query, &[Some(&it.key), Some(&it.value), Some(&it.y)])?;
        let tokens = |view: &View| Tokens {
            address: self.at(view),
            pitch: if view.shape[1] == 1 { view.shape[2] } else { view.strides[1] },
            item: view.strides[0],
        };
        let mask = it.mask.as_ref().map(|mask| Mask {
            address: self.at(mask),
            item: mask.strides[0],
            head: mask.strides[1],
            query: mask.strides[2],
            key: mask.strides[3],
        });
        Ok(Attention {
            element: element(&it.query)?,
            batch: it.query.shape[0],
            heads: it.heads,
            queries: it.query.shape[1],
            keys: it.key.shape[1],
            dim: it.query.shape[2] / it.heads,
            value_dim: it.value.shape[2] / it.heads,
            query: tokens(&it.query),
            key: tokens(&it.key),
            value: tokens(&it.value),
            y: tokens(&it.y),
            mask,
            causal: it.causal,
            scale: it.scale,
        })
    }

    fn group_norm(&self, it: &operation::GroupNorm) -> Result<GroupNorm> {
        of_one_type(&it.x, &[Some(&it.weight), Some(&it.bias), Some(&it.y)])?;
        Ok(GroupNorm {
            element: element(&it.x)?,
            batch: it.x.shape[0],
            pixels: it.x.shape[2] * it.x.shape[3],
            channels: it.x.shape[1],
            groups: it.groups,
            x_pitch: pitch(&it.x),
            y_pitch: pitch(&it.y),
            epsilon: it.epsilon,
            silu: it.silu,
            x: self.at(&it.x),
            weight: self.at(&it.weight),
            bias: self.at(&it.bias),
            y: self.at(&it.y),
            scratch: self.scratch.partial,
        })
    }

    fn rows(&self, x: &View, y: &View) -> Result<Rows> {
        let [from, to] = [x, y].map(|view| view.rows().expect("rows are laid out for kernels"));
        Ok(Rows {
            element: element(x)?,
            rows: from.rows,
            features: from.columns,
            x_pitch: from.pitch,
            y_pitch: to.pitch,
            x: self.at(x),
            y: self.at(y),
        })
    }

    fn resize(&self, resizing: Resizing, x: &View, y: &View) -> Result<Resize> {
        Ok(Resize {
            resizing,
            element: element(x)?,
            batch: x.shape[0],
            channels: x.shape[1],
            from: [x.shape[2], x.shape[3]],
            to: [y.shape[2], y.shape[3]],
            x_pitch: pitch(x),
            y_pitch: pitch(y),
            x: self.at(x),
            y: self.at(y),
        })
    }
}

/// Checks that the operands of a layer have the type of `x`, as its kernels take it.
fn of_one_type(x: &View, others: &[Option<&View>]) -> Result<()> {
    match others.iter().flatten().find(|other| other.dtype != x.dtype) {
        Some(other) => Err(Error::unsupported(format!(
            "a layer of elements of the types {:?} and {:?}",
            x.dtype, other.dtype
        ))),
        None => Ok(()),
    }
}

/// From one pixel of an image to the next, in elements.
fn pitch(image: &View) -> usize {
    image.pixels().map(|rows| rows.pitch).expect("images are laid out for kernels")
}

/// The element type of a kernel's operand.
fn element(view: &View) -> Result<Element> {
    match view.dtype {
        DType::F32 => Ok(Element::F32),
        DType::F16 => Ok(Element::F16),
        DType::BF16 => Ok(Element::Bf16),
        other => Err(Error::unsupported(format!("a layer of elements of the type {other:?}"))),
    }
}
