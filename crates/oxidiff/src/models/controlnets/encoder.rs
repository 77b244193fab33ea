//! What every ControlNet does with a sample to which its images were added.

use burn::tensor::Tensor;

use super::controlnet::ControlNetOutput;
use crate::models::layers::attention_context::AttentionContext;
use crate::models::layers::convolution::Conv2d;
use crate::models::transformers::Transformer2DModel;
use crate::models::unets::{DownBlock, MidBlock2D};

/// The copy of the first half of a UNet, and the convolutions of its results.
pub(super) struct Encoder<'a> {
    pub down_blocks: &'a [DownBlock],
    pub mid_block: &'a MidBlock2D<Transformer2DModel>,
    pub controlnet_down_blocks: &'a [Conv2d],
    pub controlnet_mid_block: &'a Conv2d,
}

impl Encoder<'_> {
    /// The residuals of the skips and, last, of the middle block, before they are scaled. `x` is the sample after the first
    /// convolution, `[batch, channels, height, width]`, `temb` the embedding of all conditions, `[batch, time_embed_dim]`.
    pub fn residuals(&self, mut x: Tensor<4>, temb: &Tensor<2>, text: &Tensor<3>) -> Vec<Tensor<4>> {
        let mut skips = vec![x.clone()];
        let context = AttentionContext::from(text.clone());
        for block in self.down_blocks {
            x = block.forward(x, temb, &context, &mut skips);
        }
        x = self.mid_block.forward(x, temb, &context);
        let of_skips = skips.into_iter().zip(self.controlnet_down_blocks);
        of_skips.chain([(x, self.controlnet_mid_block)]).map(|(x, conv)| conv.forward(x)).collect()
    }
}

/// The output of a call, from its unscaled residuals: as means if the model `pools` them.
pub(super) fn scaled(
    residuals: Vec<Tensor<4>>,
    scale: f64,
    guess_mode: bool,
    pools: bool,
) -> ControlNetOutput {
    let last = residuals.len() - 1;
    let factor = |index: usize| match guess_mode && !pools {
        // Evenly spaced exponents from -1 to 0, rounded as PyTorch rounds them.
        true => f64::from(10f64.powf(index as f64 / last as f64 - 1.0) as f32 * scale as f32),
        false => scale,
    };
    let scaled = residuals.into_iter().enumerate().map(|(index, residual)| {
        let residual = residual * factor(index);
        if pools { residual.mean_dim(2).mean_dim(3) } else { residual }
    });
    let mut down_block_res_samples: Vec<_> = scaled.collect();
    let mid_block_res_sample = down_block_res_samples.pop().expect("there is one of the middle block");
    ControlNetOutput { down_block_res_samples, mid_block_res_sample }
}
