//! The layers of the encoder.
#![expect(non_snake_case, reason = "`SelfAttention` and `DenseReluDense` are keys in checkpoints")]

use burn::module::Module;
use burn::tensor::{Bool, DType, Device, Tensor};

use super::T5Config;
use super::attention::SelfAttention;
use super::feed_forward::FeedForward;
use crate::error::Result;
use crate::models::layers::normalization::RmsNorm;

#[derive(Module, Debug)]
pub(super) struct Stack {
    block: Vec<Block>,
    pub final_layer_norm: RmsNorm,
}

#[derive(Module, Debug)]
struct Block {
    layer: (AttentionLayer, FeedForwardLayer),
}

#[derive(Module, Debug)]
struct AttentionLayer {
    SelfAttention: SelfAttention,
    layer_norm: RmsNorm,
}

#[derive(Module, Debug)]
struct FeedForwardLayer {
    DenseReluDense: FeedForward,
    layer_norm: RmsNorm,
}

impl Stack {
    /// The first layer knows the positions, or each does, if `all_know_positions`.
    pub fn init(config: &T5Config, all_know_positions: bool, device: &Device) -> Result<Self> {
        let norm = || RmsNorm::init(config.d_model, config.layer_norm_epsilon, device);
        let block = |number| {
            let attention = SelfAttention::init(config, number == 0 || all_know_positions, device);
            let feed_forward = FeedForward::init(config, device)?;
            let layer = (
                AttentionLayer { SelfAttention: attention, layer_norm: norm() },
                FeedForwardLayer { DenseReluDense: feed_forward, layer_norm: norm() },
            );
            Ok(Block { layer })
        };
        let block = (0..config.num_layers).map(block).collect::<Result<_>>()?;
        Ok(Self { block, final_layer_norm: norm() })
    }

    /// `[batch, tokens, d_model]` to the same shape. No token sees those for which `hidden`, `[batch, 1, 1, tokens]`, is true.
    pub fn forward(&self, x: Tensor<3>, hidden: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let ([_, tokens, _], dtype, device) = (x.dims(), x.dtype(), x.device());
        let mut bias = None;
        // As transformers does it: in `f16`, sums may become infinite.
        let mut x = if dtype == DType::F16 { x.cast(DType::F32) } else { x };
        for block in &self.block {
            let (attention, feed_forward) = &block.layer;
            // A layer that does not know the positions uses what the one before it has found.
            let own = attention.SelfAttention.position_bias(tokens, &device);
            bias = own.map(|bias| bias.cast(dtype)).or(bias);
            let normalized = attention.layer_norm.forward(x.clone()).cast(dtype);
            x = attention.SelfAttention.forward_added(normalized, bias.clone(), hidden.clone(), x);
            let normalized = feed_forward.layer_norm.forward(x.clone()).cast(dtype);
            x = feed_forward.DenseReluDense.forward_added(normalized, x);
        }
        self.final_layer_norm.forward(x).cast(dtype)
    }
}
