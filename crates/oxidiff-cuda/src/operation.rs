//! The operations of a plan: what there are kernels for.

use crate::program::Program;
use crate::view::View;

/// The activation at the end of a convolution. The numbers are those of `kernels/convolution.cuh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// None.
    #[default]
    None = 0,
    /// `x * sigmoid(x)`.
    Silu = 1,
    /// GELU with the error function.
    Gelu = 2,
}

/// How convolutions and linear layers multiply `f32` elements. 16-bit elements are multiplied exactly in any case, and attention
/// has the error of `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// With the error of `f32`.
    #[default]
    Full,
    /// Elements rounded to TF32 (10 bits of mantissa).
    Tf32,
}

/// A convolution of images, or a linear layer, which is one with a single row of pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// `[batch, in_channels, height, width]`, the channels of a pixel together.
    pub x: View,
    /// `[out_channels, in_channels, kernel_height, kernel_width]`, the channels together.
    pub weight: View,
    /// `[out_channels]`.
    pub bias: Option<View>,
    /// `[batch, out_channels]`.
    pub item_bias: Option<View>,
    /// As `y`.
    pub residual: Option<View>,
    /// `[batch, out_channels, height', width']`, the channels of a pixel together; half as many channels with `gate`.
    pub y: View,
    /// The step from one position to the next.
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: usize,
    /// 2 if each pixel of `x` stands for two by two.
    pub upsample: usize,
    /// Applied before `residual` is added.
    pub activation: Activation,
    /// Output channels `2 j` and `2 j + 1` become one: the first times GELU of the second.
    pub gate: bool,
}

/// `softmax(query keyᵀ scale + mask) value` for each head.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// `[batch, queries, heads * dim]`.
    pub query: View,
    /// `[batch, keys, heads * dim]`.
    pub key: View,
    /// `[batch, keys, heads * value_dim]`.
    pub value: View,
    /// `[batch, heads, queries, keys]` in `f32`, repeated where the strides are 0.
    pub mask: Option<View>,
    /// `[batch, queries, heads * value_dim]`.
    pub y: View,
    /// How many heads.
    pub heads: usize,
    /// The factor of the scores.
    pub scale: f32,
    /// Whether a query sees only the keys up to its own position.
    pub causal: bool,
}

/// Group normalization of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    /// `[batch, channels, height, width]`, the channels of a pixel together.
    pub x: View,
    /// `[channels]`.
    pub weight: View,
    /// `[channels]`.
    pub bias: View,
    /// As `x`.
    pub y: View,
    /// Groups of channels.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Layer norm or RMS norm of the last dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// `[..., features]`.
    pub x: View,
    /// `[features]`.
    pub weight: View,
    /// `[features]`.
    pub bias: Option<View>,
    /// As `x`.
    pub y: View,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether the mean is taken to be 0.
    pub rms: bool,
}

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named for what it computes")]
pub enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
}

/// How pixels between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resizing {
    /// The nearest one, as PyTorch chooses it.
    Nearest,
    /// Linear in both directions.
    Bilinear {
        /// Whether the centres of the corner pixels stay where they are.
        align_corners: bool,
    },
    /// The mean of a window of pixels.
    Average {
        /// Height and width of the window.
        kernel: [usize; 2],
        /// From one window to the next.
        stride: [usize; 2],
        /// Rows above and below, columns on the left and on the right.
        padding: [usize; 2],
        /// Whether the padding counts as zeros.
        count_padding: bool,
    },
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// A convolution or a linear layer.
    Convolution(Box<Convolution>),
    /// Attention.
    Attention(Box<Attention>),
    /// Group normalization.
    GroupNorm(Box<GroupNorm>),
    /// Layer normalization.
    LayerNorm(Box<LayerNorm>),
    /// `y = softmax(x)` along the last dimension.
    Softmax {
        /// `[..., features]`.
        x: View,
        /// As `x`.
        y: View,
    },
    /// A program for each element; the inputs have the shape of the output.
    Elementwise {
        /// What to compute.
        program: Program,
        /// The inputs.
        inputs: Vec<View>,
        /// The result.
        y: View,
    },
    /// `[outer, n, inner]` to `[outer, 1, inner]`.
    Reduce {
        /// What to compute.
        reduction: Reduction,
        /// The input.
        x: View,
        /// The result.
        y: View,
    },
    /// Rows of a table: `y[i] = table[indices[i]]`.
    Gather {
        /// `[entries, features]`.
        table: View,
        /// `[n]`, integers.
        indices: View,
        /// `[n, features]`.
        y: View,
    },
    /// `[batch, m, k]` times `[batch, k, n]`.
    Matmul {
        /// The first factor.
        a: View,
        /// The second factor.
        b: View,
        /// The product.
        y: View,
    },
    /// `[batch, channels, height, width]` to another height and width.
    Resize {
        /// How.
        resizing: Resizing,
        /// The input, the channels of a pixel together.
        x: View,
        /// The result, likewise.
        y: View,
    },
}

impl Operation {
    /// A copy of `x` to `y`, with a conversion if the types differ.
    pub fn copy(x: View, y: View) -> Self {
        Self::Elementwise { program: Program::copy(), inputs: vec![x], y }
    }

    /// `value` in each element of `y`.
    pub fn fill(value: f32, y: View) -> Self {
        Self::Elementwise { program: Program::constant(value), inputs: Vec::new(), y }
    }

    /// What it reads.
    pub fn reads(&self) -> Vec<&View> {
        match self {
            Self::Convolution(it) => [&it.x, &it.weight]
                .into_iter()
                .chain(it.bias.iter().chain(&it.item_bias).chain(&it.residual))
                .collect(),
            Self::Attention(it) => [&it.query, &it.key, &it.value].into_iter().chain(&it.mask).collect(),
            Self::GroupNorm(it) => vec![&it.x, &it.weight, &it.bias],
            Self::LayerNorm(it) => [&it.x, &it.weight].into_iter().chain(&it.bias).collect(),
            Self::Softmax { x, .. } | Self::Reduce { x, .. } | Self::Resize { x, .. } => vec![x],
            Self::Elementwise { inputs, .. } => inputs.iter().collect(),
            Self::Gather { table, indices, .. } => vec![table, indices],
            Self::Matmul { a, b, .. } => vec![a, b],
        }
    }

    /// As [`Self::reads`], to change them.
    pub fn reads_mut(&mut self) -> Vec<&mut View> {
        match self {
            Self::Convolution(it) => {
                let Convolution { x, weight, bias, item_bias, residual, .. } = &mut **it;
                [x, weight].into_iter().chain(bias.iter_mut().chain(item_bias).chain(residual)).collect()
            }
            Self::Attention(it) => {
                let Attention { query, key, value, mask, .. } = &mut **it;
                [query, key, value].into_iter().chain(mask).collect()
            }
            Self::GroupNorm(it) => vec![&mut it.x, &mut it.weight, &mut it.bias],
            Self::LayerNorm(it) => {
                let LayerNorm { x, weight, bias, .. } = &mut **it;
                [x, weight].into_iter().chain(bias).collect()
            }
            Self::Softmax { x, .. } | Self::Reduce { x, .. } | Self::Resize { x, .. } => vec![x],
            Self::Elementwise { inputs, .. } => inputs.iter_mut().collect(),
            Self::Gather { table, indices, .. } => vec![table, indices],
            Self::Matmul { a, b, .. } => vec![a, b],
        }
    }

    /// What it writes.
    pub fn writes(&self) -> &View {
        match self {
            Self::Convolution(it) => &it.y,
            Self::Attention(it) => &it.y,
            Self::GroupNorm(it) => &it.y,
            Self::LayerNorm(it) => &it.y,
            Self::Softmax { y, .. }
            | Self::Elementwise { y, .. }
            | Self::Reduce { y, .. }
            | Self::Gather { y, .. }
            | Self::Matmul { y, .. }
            | Self::Resize { y, .. } => y,
        }
    }

    /// As [`Self::writes`], to change it.
    pub fn writes_mut(&mut self) -> &mut View {
        match self {
            Self::Convolution(it) => &mut it.y,
            Self::Attention(it) => &mut it.y,
            Self::GroupNorm(it) => &mut it.y,
            Self::LayerNorm(it) => &mut it.y,
            Self::Softmax { y, .. }
            | Self::Elementwise { y, .. }
            | Self::Reduce { y, .. }
            | Self::Gather { y, .. }
            | Self::Matmul { y, .. }
            | Self::Resize { y, .. } => y,
        }
    }

    /// Whether its kernel takes the views as they lie.
    pub fn takes_its_views(&self) -> bool {
        match self {
            Self::Convolution(it) => {
                let images = [Some(&it.x), Some(&it.weight), it.residual.as_ref(), Some(&it.y)];
                images.into_iter().flatten().all(|image| image.pixels().is_some())
                    && it.item_bias.as_ref().is_none_or(|bias| bias.rows().is_some())
            }
            Self::Attention(it) => [&it.query, &it.key, &it.value, &it.y]
                .into_iter()
                .all(|tokens| tokens.strides[2] == 1 || tokens.shape[2] == 1),
            Self::GroupNorm(it) => it.x.pixels().is_some() && it.y.pixels().is_some(),
            Self::LayerNorm(it) => it.x.rows().is_some() && it.y.rows().is_some(),
            Self::Softmax { x, y } => x.rows().is_some() && y.rows().is_some(),
            Self::Resize { x, y, .. } => x.pixels().is_some() && y.pixels().is_some(),
            Self::Elementwise { .. } | Self::Reduce { .. } | Self::Gather { .. } | Self::Matmul { .. } => {
                true
            }
        }
    }

    /// What it is called in a breakdown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Convolution(it) if it.weight.shape[2..] == [1, 1] => "linear",
            Self::Convolution(_) => "convolution",
            Self::Attention(_) => "attention",
            Self::GroupNorm(_) => "group norm",
            Self::LayerNorm(_) => "layer norm",
            Self::Softmax { .. } => "softmax",
            Self::Elementwise { program, .. } if program.is_copy() => "copy",
            Self::Elementwise { .. } => "elementwise",
            Self::Reduce { .. } => "reduce",
            Self::Gather { .. } => "gather",
            Self::Matmul { .. } => "matmul",
            Self::Resize { .. } => "resize",
        }
    }
}
