//! Burn's operations of whole layers, and products of matrices.

use burn::tensor::DType;
use burn_ir::{
    AttentionOpIr, Conv2dOpIr, ConvTranspose2dOpIr, InterpolateModeIr, LinearOpIr, MatmulOpIr,
    ModuleOperationIr, TensorIr,
};

use super::elementwise::number;
use super::moving::shape;
use super::{CHANNELS_LAST, Lowering, unsupported};
use crate::error::Result;
use crate::operation::{Activation, Attention, Convolution, LayerNorm, Operation, Resizing};
use crate::program::{Program, Step};
use crate::view::View;

/// Addends and options of a linear layer.
#[derive(Default)]
pub(super) struct LinearParts {
    pub bias: Option<View>,
    pub residual: Option<View>,
    pub gate: bool,
}

impl Lowering<'_> {
    pub(super) fn module(&mut self, operation: &ModuleOperationIr) -> Result<()> {
        match operation {
            ModuleOperationIr::Embedding(it) => {
                let (table, indices) = (self.view(&it.weights), self.view(&it.indices));
                let y = self.gather(table, indices, &shape(&it.out));
                self.define(&it.out, y);
                Ok(())
            }
            ModuleOperationIr::Linear(it) => self.burn_linear(it),
            ModuleOperationIr::Attention(it) => self.burn_attention(it),
            ModuleOperationIr::LayerNorm(it) => {
                let x = self.view(&it.input);
                let weight = self.view(&it.gamma);
                let bias = it.beta.as_ref().map(|beta| self.view(beta));
                let y = self.layer_norm(x, (weight, bias), number(it.epsilon), false);
                self.define(&it.out, y);
                Ok(())
            }
            ModuleOperationIr::Interpolate(it) => {
                let resizing = match it.options.mode {
                    InterpolateModeIr::Nearest => Resizing::Nearest,
                    InterpolateModeIr::Bilinear => {
                        Resizing::Bilinear { align_corners: it.options.align_corners }
                    }
                    _ => return Err(unsupported("this way to resize", operation)),
                };
                let x = self.view(&it.x);
                let y = self.resize(resizing, x, &shape(&it.out));
                self.define(&it.out, y);
                Ok(())
            }
            ModuleOperationIr::Conv2d(it)
                if it.options.dilation == [1, 1]
                    && it.options.stride[0] == it.options.stride[1]
                    && it
                        .options
                        .padding
                        .iter()
                        .all(|side| *side == (it.options.padding[0].0, it.options.padding[0].0)) =>
            {
                let y = match it.options.groups {
                    1 => self.burn_convolution(it),
                    _ => self.grouped(it),
                };
                self.define(&it.out, y);
                Ok(())
            }
            ModuleOperationIr::AvgPool2d(it) if !it.ceil_mode => {
                let resizing = Resizing::Average {
                    kernel: it.kernel_size,
                    stride: it.stride,
                    padding: it.padding,
                    count_padding: it.count_include_pad,
                };
                let x = self.view(&it.x);
                let y = self.resize(resizing, x, &shape(&it.out));
                self.define(&it.out, y);
                Ok(())
            }
            ModuleOperationIr::ConvTranspose2d(it) => self.transposed_convolution(it, operation),
            _ => Err(unsupported("layers", operation)),
        }
    }

    fn burn_convolution(&mut self, it: &Conv2dOpIr) -> View {
        let (x, weight) = (self.view(&it.x), self.view(&it.weight));
        let bias = it.bias.as_ref().map(|bias| self.view(bias));
        let (stride, padding) = (it.options.stride[0], it.options.padding[0].0);
        self.convolution(x, weight, (bias, None, None), stride, padding, &it.out)
    }

    /// A convolution with the addends bias, bias of each item, residual.
    pub(super) fn convolution(
        &mut self,
        x: View,
        weight: View,
        (bias, item_bias, residual): (Option<View>, Option<View>, Option<View>),
        stride: usize,
        padding: usize,
        out: &TensorIr,
    ) -> View {
        let x = self.pixels(x);
        let weight = self.pixels(weight);
        let bias = bias.map(|bias| self.contiguous(bias));
        let item_bias = item_bias.map(|bias| self.rows(bias));
        let residual = residual.map(|residual| self.pixels(residual));
        self.add(&shape(out), &CHANNELS_LAST, out.dtype, |y| {
            Operation::Convolution(Box::new(Convolution {
                x: x.clone(),
                weight: weight.clone(),
                bias: bias.clone(),
                item_bias: item_bias.clone(),
                residual: residual.clone(),
                y,
                stride,
                padding,
                upsample: 1,
                activation: Activation::None,
                gate: false,
            }))
        })
    }

    /// A transposed convolution is a convolution with the kernel turned around, of the image with zeros between its pixels
    /// (Dumoulin & Visin 2016, <https://arxiv.org/abs/1603.07285>, section 4).
    fn transposed_convolution(
        &mut self,
        it: &ConvTranspose2dOpIr,
        operation: &ModuleOperationIr,
    ) -> Result<()> {
        let (x, weight) = (self.view(&it.x), self.view(&it.weight));
        let [stride, padding] = [it.options.stride, it.options.padding];
        let side = weight.shape[2];
        let is_plain = it.options.groups == 1
            && (it.options.dilation, it.options.padding_out) == ([1, 1], [0, 0])
            && stride[0] == stride[1]
            && padding[0] == padding[1]
            && side == weight.shape[3];
        let Some(padding) = (side - 1).checked_sub(padding[0]).filter(|_| is_plain) else {
            return Err(unsupported("this transposed convolution", operation));
        };
        let spread = |length: usize| (length - 1) * stride[0] + 1;
        let [batch, channels, height, width] = x.shape[..] else { unreachable!("rank 4") };
        let apart =
            self.graph.tensor(&[batch, channels, spread(height), spread(width)], &CHANNELS_LAST, x.dtype);
        self.graph.operations.push(Operation::fill(0.0, apart.clone()));
        let places = apart.slice(2, 0, height, stride[0]).slice(3, 0, width, stride[0]);
        self.graph.operations.push(Operation::copy(x, places));
        let weight = weight.permute(&[1, 0, 2, 3]);
        let turned = self.graph.tensor(&weight.shape, &CHANNELS_LAST, weight.dtype);
        for row in 0..side {
            for column in 0..side {
                let from = weight.slice(2, row, 1, 1).slice(3, column, 1, 1);
                let to = turned.slice(2, side - 1 - row, 1, 1).slice(3, side - 1 - column, 1, 1);
                self.graph.operations.push(Operation::copy(from, to));
            }
        }
        let bias = it.bias.as_ref().map(|bias| self.view(bias));
        let y = self.convolution(apart, turned, (bias, None, None), 1, padding, &it.out);
        self.define(&it.out, y);
        Ok(())
    }

    /// `x weightᵀ`, where `weight` is `[out_features, in_features]`.
    pub(super) fn linear(&mut self, x: View, weight: View, parts: LinearParts, shape: &[usize]) -> View {
        let in_features = weight.shape[1];
        let rows = x.elements() / in_features;
        let as_row_of_pixels = |view: &View, features: usize| {
            let flat = view.reshape(&[rows, features]).expect("rows were made evenly spaced");
            flat.reshape(&[1, 1, rows, features]).expect("dimensions of length 1").permute(&[0, 3, 1, 2])
        };
        let x = self.rows(x);
        let x = as_row_of_pixels(&x, in_features);
        let (weight, bias) = if parts.gate {
            (self.interleaved(weight), parts.bias.map(|bias| self.interleaved(bias)))
        } else {
            (self.rows(weight), parts.bias.map(|bias| self.contiguous(bias)))
        };
        let kernel = weight.reshape(&[weight.shape[0], 1, 1, in_features]).expect("dimensions of length 1");
        let weight = kernel.permute(&[0, 3, 1, 2]);
        let out_features = *shape.last().expect("a dimension");
        let residual = parts.residual.map(|residual| {
            let residual = self.rows(residual);
            as_row_of_pixels(&residual, out_features)
        });
        let dtype = x.dtype;
        let y = self.add(&[1, out_features, 1, rows], &CHANNELS_LAST, dtype, |y| {
            Operation::Convolution(Box::new(Convolution {
                x: x.clone(),
                weight: weight.clone(),
                bias: bias.clone(),
                item_bias: None,
                residual: residual.clone(),
                y,
                stride: 1,
                padding: 0,
                upsample: 1,
                activation: Activation::None,
                gate: parts.gate,
            }))
        });
        y.permute(&[0, 2, 3, 1]).reshape(shape).expect("contiguous tensors take any shape")
    }

    /// Values and gates in turn, where all values come before all gates.
    fn interleaved(&mut self, view: View) -> View {
        let mut split = view.shape.clone();
        split[0] /= 2;
        split.insert(0, 2);
        let mut axes: Vec<usize> = (0..split.len()).collect();
        axes.swap(0, 1);
        let pairs = self.reshape(view.clone(), &split).permute(&axes);
        let pairs = self.contiguous(pairs);
        pairs.reshape(&view.shape).expect("contiguous tensors take any shape")
    }

    /// Burn's weight is `[in_features, out_features]`.
    fn burn_linear(&mut self, it: &LinearOpIr) -> Result<()> {
        let x = self.view(&it.x);
        let weight = self.view(&it.weight).permute(&[1, 0]);
        let bias = it.bias.as_ref().map(|bias| self.view(bias));
        let y = self.linear(x, weight, LinearParts { bias, ..Default::default() }, &shape(&it.out));
        self.define(&it.out, y);
        Ok(())
    }

    /// Layer norm, or RMS norm where the mean is taken to be 0.
    pub(super) fn layer_norm(
        &mut self,
        x: View,
        (weight, bias): (View, Option<View>),
        epsilon: f32,
        rms: bool,
    ) -> View {
        let x = self.rows(x);
        // Kernels have operands of one type; what an embedded time makes is in `f32`.
        let weight = self.of_type(weight, x.dtype);
        let bias = bias.map(|bias| self.of_type(bias, x.dtype));
        self.add_in_order(&x.shape, x.dtype, |y| {
            Operation::LayerNorm(Box::new(LayerNorm {
                x: x.clone(),
                weight: weight.clone(),
                bias: bias.clone(),
                y,
                epsilon,
                rms,
            }))
        })
    }

    /// A contiguous view of the same values in another type.
    fn of_type(&mut self, view: View, dtype: DType) -> View {
        if view.dtype == dtype {
            return self.contiguous(view);
        }
        self.add_in_order(&view.shape, dtype, |y| Operation::Elementwise {
            program: Program::copy(),
            inputs: vec![view.clone()],
            y,
        })
    }

    pub(super) fn resize(&mut self, resizing: Resizing, x: View, shape: &[usize]) -> View {
        let x = self.pixels(x);
        self.add(shape, &CHANNELS_LAST, x.dtype, |y| Operation::Resize { resizing, x: x.clone(), y })
    }

    /// Attention of tokens `[batch, tokens, heads * dim]`.
    pub(super) fn attend(
        &mut self,
        [query, key, value]: [View; 3],
        mask: Option<View>,
        heads: usize,
        scale: f32,
        causal: bool,
    ) -> View {
        let [query, key, value] = [query, key, value].map(|tokens| {
            // Tokens may be spaced in any way, but the features of one are neighbours.
            if tokens.strides[2] == 1 || tokens.shape[2] == 1 { tokens } else { self.contiguous(tokens) }
        });
        let shape = [query.shape[0], query.shape[1], value.shape[2]];
        self.add(&shape, &[0, 1, 2], query.dtype, |y| {
            Operation::Attention(Box::new(Attention {
                query: query.clone(),
                key: key.clone(),
                value: value.clone(),
                mask: mask.clone(),
                y,
                heads,
                scale,
                causal,
            }))
        })
    }

    /// Burn's attention has `[batch, heads, tokens, dim]`.
    fn burn_attention(&mut self, it: &AttentionOpIr) -> Result<()> {
        if let Some(cap) = it.options.softcap {
            self.capped_attention(it, number(cap));
            return Ok(());
        }
        let heads = it.query.shape[1];
        let dim = it.query.shape[3];
        let tokens = [&it.query, &it.key, &it.value].map(|tensor| {
            let view = self.view(tensor).permute(&[0, 2, 1, 3]);
            let [batch, tokens, heads, dim] = view.shape[..] else { unreachable!("rank 4") };
            self.reshape(view, &[batch, tokens, heads * dim])
        });
        let scores = [it.query.shape[0], heads, it.query.shape[2], it.key.shape[2]];
        let mask = self.attention_mask(it, &scores);
        let scale = it.options.scale.map_or(1.0 / (dim as f32).sqrt(), number);
        let y = self.attend(tokens, mask, heads, scale, it.options.is_causal);
        let [batch, tokens, width] = y.shape[..] else { unreachable!("rank 3") };
        let y = y.reshape(&[batch, tokens, heads, width / heads]).expect("contiguous tensors take any shape");
        self.define(&it.out, y.permute(&[0, 2, 1, 3]));
        Ok(())
    }

    /// What to add to the scores: the bias, and minus infinity where the mask is set.
    pub(super) fn attention_mask(&mut self, it: &AttentionOpIr, scores: &[usize]) -> Option<View> {
        let mask = it.mask.as_ref().map(|mask| {
            let mask = self.view(mask);
            let mut program = Program { inputs: 1, instructions: Vec::new() };
            let masked = program.push(Step::Constant(f32::NEG_INFINITY), &[]);
            let seen = program.push(Step::Constant(0.0), &[]);
            program.push(Step::Select, &[0, masked, seen]);
            self.small(program, vec![mask])
        });
        let bias = it.attn_bias.as_ref().map(|bias| {
            let bias = self.view(bias);
            if bias.dtype == DType::F32 { bias } else { self.small(Program::copy(), vec![bias]) }
        });
        let sum = match (mask, bias) {
            (Some(mask), Some(bias)) => self.small(Program::of(Step::Add), vec![mask, bias]),
            (mask, bias) => mask.or(bias)?,
        };
        Some(sum.expand(scores))
    }

    /// A program in `f32` whose inputs are repeated to their common shape only.
    fn small(&mut self, program: Program, inputs: Vec<View>) -> View {
        let rank = inputs.iter().map(|input| input.shape.len()).max().unwrap_or(0);
        let mut shape = vec![1; rank];
        for input in &inputs {
            let added = rank - input.shape.len();
            input
                .shape
                .iter()
                .enumerate()
                .for_each(|(axis, length)| shape[added + axis] = shape[added + axis].max(*length));
        }
        let inputs: Vec<View> = inputs.into_iter().map(|input| input.expand(&shape)).collect();
        self.add_in_order(&shape, DType::F32, |y| Operation::Elementwise {
            program: program.clone(),
            inputs: inputs.clone(),
            y,
        })
    }

    pub(super) fn matmul(&mut self, it: &MatmulOpIr) -> Result<()> {
        let rank = it.out.shape.num_dims();
        let out = shape(&it.out);
        let [rows, columns] = [out[rank - 2], out[rank - 1]];
        let depth = it.lhs.shape[it.lhs.shape.num_dims() - 1];
        let batch: usize = out[..rank - 2].iter().product();
        let whole = |last: [usize; 2]| [&out[..rank - 2], &last[..]].concat();
        let a = self.view(&it.lhs).expand(&whole([rows, depth]));
        let b = self.view(&it.rhs).expand(&whole([depth, columns]));
        let a = self.reshape(a, &[batch, rows, depth]);
        let b = self.reshape(b, &[batch, depth, columns]);
        let y = self.add(&[batch, rows, columns], &[0, 1, 2], it.out.dtype, |y| Operation::Matmul {
            a: a.clone(),
            b: b.clone(),
            y,
        });
        self.define(&it.out, y.reshape(&out).expect("contiguous tensors take any shape"));
        Ok(())
    }
}
