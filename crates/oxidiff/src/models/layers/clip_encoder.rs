//! The transformer of both the text and the vision model of CLIP (Radford et al. 2021, <https://arxiv.org/abs/2103.00020>).

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, module};
use oxidiff_kernels::attention;

use super::hidden_activation::HiddenActivation;
use super::linear::Linear;
use super::low_rank::inside;
use super::normalization::LayerNorm;
use crate::error::{Error, Result};

/// The shape of a [`ClipEncoder`].
pub(crate) struct ClipShape {
    pub hidden_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate_size: usize,
    pub activation: HiddenActivation,
    pub norm_epsilon: f64,
    /// Scales the initial weights.
    pub initializer_factor: f64,
}

impl ClipShape {
    /// Checks the numbers; errors name them as configurations do.
    pub fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.heads),
        ] {
            if value == 0 {
                return invalid(field, "must not be 0".into());
            }
        }
        if !self.hidden_size.is_multiple_of(self.heads) {
            let message = format!("{} heads do not divide a hidden size of {}", self.heads, self.hidden_size);
            return invalid("num_attention_heads", message);
        }
        if self.layers > 1024 {
            return invalid("num_hidden_layers", "must be at most 1024".into());
        }
        Ok(())
    }
}

/// Which tokens each token attends to.
#[expect(clippy::large_enum_variant, reason = "there is one of these in a call")]
pub(crate) enum Visible {
    /// All tokens.
    All,
    /// Itself and earlier tokens.
    Earlier,
    /// All tokens except where `[batch, heads, tokens, tokens]` is true.
    ButFor(Tensor<4, Bool>),
}

/// Layers of self-attention and feed-forward, each with a norm before and a residual around it.
#[derive(Module, Debug)]
pub(crate) struct ClipEncoder {
    layers: Vec<EncoderLayer>,
}

#[derive(Module, Debug)]
struct EncoderLayer {
    layer_norm1: LayerNorm,
    self_attn: SelfAttention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

impl ClipEncoder {
    /// The encoder with initial weights as transformers draws them: with projections inside of the residual branches that become
    /// smaller with the number of layers (section 2.3 of Radford et al. 2019, "Language Models are Unsupervised Multitask Learners").
    pub fn init(shape: &ClipShape, device: &Device) -> Self {
        let hidden = shape.hidden_size;
        let width = hidden as f64;
        let [of_layers, outward, widening] = [2.0 * width * shape.layers as f64, width, 2.0 * width]
            .map(|variance| shape.initializer_factor / variance.sqrt());
        let linear = |from, to, std| Linear::init(from, to, true, device).with_normal_weights(std);
        let norm = || LayerNorm::init(hidden, shape.norm_epsilon, device);
        let layer = |_| EncoderLayer {
            layer_norm1: norm(),
            self_attn: SelfAttention {
                q_proj: linear(hidden, hidden, of_layers),
                k_proj: linear(hidden, hidden, of_layers),
                v_proj: linear(hidden, hidden, of_layers),
                out_proj: linear(hidden, hidden, outward),
                heads: shape.heads,
            },
            layer_norm2: norm(),
            mlp: Mlp {
                fc1: linear(hidden, shape.intermediate_size, widening),
                fc2: linear(shape.intermediate_size, hidden, of_layers),
                activation: shape.activation,
            },
        };
        Self { layers: (0..shape.layers).map(layer).collect() }
    }

    /// The projections of all attentions.
    pub fn attention_projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        self.layers.iter_mut().enumerate().flat_map(|(index, layer)| {
            inside(format!("layers.{index}.self_attn"), layer.self_attn.projections_mut())
        })
    }

    /// Returns its input, `[batch, tokens, hidden_size]`, then the result of each layer.
    pub fn forward(&self, mut x: Tensor<3>, visible: &Visible) -> Vec<Tensor<3>> {
        let mut states = vec![x.clone()];
        for layer in &self.layers {
            x = layer.forward(x, visible);
            states.push(x.clone());
        }
        states
    }
}

impl EncoderLayer {
    fn forward(&self, x: Tensor<3>, visible: &Visible) -> Tensor<3> {
        let x = self.self_attn.forward(self.layer_norm1.forward(x.clone()), visible) + x;
        self.mlp.forward(self.layer_norm2.forward(x.clone())) + x
    }
}

impl SelfAttention {
    /// In the order of transformers, in which new low-rank layers draw their values.
    fn projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        let projections = [
            ("k_proj", &mut self.k_proj),
            ("v_proj", &mut self.v_proj),
            ("q_proj", &mut self.q_proj),
            ("out_proj", &mut self.out_proj),
        ];
        projections.into_iter().map(|(name, layer)| (name.to_owned(), layer))
    }

    fn forward(&self, x: Tensor<3>, visible: &Visible) -> Tensor<3> {
        let query = self.q_proj.forward(x.clone());
        let key = self.k_proj.forward(x.clone());
        let value = self.v_proj.forward(x);
        let attended = match visible {
            Visible::Earlier => masked_attention([query, key, value], self.heads, None),
            Visible::ButFor(mask) => masked_attention([query, key, value], self.heads, Some(mask.clone())),
            Visible::All => attention(query, key, value, self.heads),
        };
        self.out_proj.forward(attended)
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(self.activation.forward(self.fc1.forward(x)))
    }
}

/// The attention of query, key and value, each `[batch, tokens, heads * dim]`, except where `mask` `[batch, heads, queries, keys]` is
/// true; without a mask, of each token to itself and earlier ones.
pub(crate) fn masked_attention(
    query_key_value: [Tensor<3>; 3],
    heads: usize,
    mask: Option<Tensor<4, Bool>>,
) -> Tensor<3> {
    let options = AttentionModuleOptions { is_causal: mask.is_none(), ..Default::default() };
    let [query, key, value] = query_key_value.map(|tokens| split_heads(tokens, heads));
    merge_heads(module::attention(query, key, value, mask, None, options))
}

/// `[batch, tokens, heads * dim]` to `[batch, heads, tokens, dim]`.
fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, inner_dim] = x.dims();
    x.reshape([batch, tokens, heads, inner_dim / heads]).swap_dims(1, 2)
}

/// `[batch, heads, tokens, dim]` to `[batch, tokens, heads * dim]`.
fn merge_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, dim] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * dim])
}
