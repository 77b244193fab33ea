//! The inputs of a call as tokens, before they are brought together.

use burn::module::Param;
use burn::tensor::Tensor;

use super::ZImageTransformer2DModel;
use super::inputs::{Checked, PatchSize, Positions};
use super::patches::padding;
use super::sequence::{Position, sequence};
use crate::models::layers::activations::Activation;
use crate::models::layers::embeddings::Timesteps;
use crate::models::layers::sequence::Sequence;

/// Length of the raw embedding of a timestep, and of its hidden layer.
pub(super) const TIMESTEP_CHANNELS: [usize; 2] = [256, 1024];

/// The tokens of images and captions, and where they are.
pub(super) struct Embedded {
    /// The tokens of the images, not refined yet, `[1, tokens, dim]`.
    pub images: Tensor<3>,
    /// The refined tokens of the captions, `[1, tokens, dim]`.
    captions: Tensor<3>,
    pub image_sequence: Sequence,
    caption_sequence: Sequence,
    /// That of each item's image, then its caption.
    pub unified_sequence: Sequence,
    /// The embedded times, `[times, condition_dim]`.
    pub condition: Tensor<2>,
}

impl Embedded {
    /// Each item's image tokens, of `images` `[1, tokens, dim]`, then those of its caption.
    pub fn with_captions(&self, images: &Tensor<3>) -> Tensor<3> {
        let captions = self.caption_sequence.split(&self.captions);
        let parts = self.image_sequence.split(images).into_iter().zip(captions);
        Tensor::cat(parts.flat_map(|(image, caption)| [image, caption]).collect(), 1)
    }
}

/// What [`Embedded`] is made from.
pub(super) struct Raw {
    /// The patches of each image, `[patches, features]`.
    pub patches: Vec<Tensor<2>>,
    /// The hidden states of each caption, `[tokens, cap_feat_dim]`.
    pub captions: Vec<Tensor<2>>,
    /// Of the images, of the captions, and of each item's image, then its caption.
    pub sequences: [Sequence; 3],
    /// The waves of the times, `[times, channels]`.
    pub times: Tensor<2>,
}

impl ZImageTransformer2DModel {
    pub(super) fn raw(&self, x: &[Tensor<4>], cap_feats: &[Tensor<2>], checked: &Checked) -> Raw {
        let (dtype, device) = (self.dtype(), self.device());
        let sequence_of = |part: fn(&Positions) -> Vec<Position>| {
            let items: Vec<Vec<Position>> = checked.positions.iter().map(part).collect();
            sequence(&items, &self.config, &device)
        };
        let patches = x.iter().zip(&checked.patches);
        let patches =
            patches.map(|(image, patches)| patches.cut(image.clone().to_device(&device).cast(dtype)));
        Raw {
            patches: patches.collect(),
            captions: cap_feats
                .iter()
                .map(|caption| caption.clone().to_device(&device).cast(dtype))
                .collect(),
            sequences: [
                sequence_of(|positions| positions.image.clone()),
                sequence_of(|positions| positions.caption.clone()),
                sequence_of(Positions::unified),
            ],
            times: self.waves(&checked.times),
        }
    }

    pub(super) fn embed(&self, raw: Raw, size: PatchSize) -> Embedded {
        let embedder = self.all_x_embedder.get(&size.key()).expect("checked with the images");
        let images =
            raw.patches.into_iter().map(|patches| padded(embedder.forward(patches), &self.x_pad_token));
        let (norm, linear) = &self.cap_embedder;
        let captions = raw
            .captions
            .into_iter()
            .map(|caption| padded(linear.forward(norm.forward(caption)), &self.cap_pad_token));
        let [image_sequence, caption_sequence, unified_sequence] = raw.sequences;
        let mut captions = Tensor::cat(captions.collect(), 1);
        for block in &self.context_refiner {
            captions = block.forward(captions, &caption_sequence, None);
        }
        Embedded {
            images: Tensor::cat(images.collect(), 1),
            captions,
            image_sequence,
            caption_sequence,
            unified_sequence,
            condition: self.condition(raw.times),
        }
    }

    /// The waves of times, `[times, channels]`.
    pub(super) fn waves(&self, times: &[f32]) -> Tensor<2> {
        let scaled: Vec<f32> = times.iter().map(|time| time * self.config.t_scale as f32).collect();
        let embedding = Timesteps {
            num_channels: TIMESTEP_CHANNELS[0],
            flip_sin_to_cos: true,
            downscale_freq_shift: 0.0,
        };
        embedding.forward(&scaled, &self.device()).cast(self.dtype())
    }

    /// The embedded times, `[times, condition_dim]`, from their waves.
    pub(super) fn condition(&self, waves: Tensor<2>) -> Tensor<2> {
        let (first, _, second) = &self.t_embedder.mlp;
        second.forward(Activation::Silu.forward(first.forward(waves)))
    }
}

/// Tokens `[tokens, dim]` with as many of `token` `[1, dim]` after them as the model needs, `[1, tokens, dim]`.
pub(super) fn padded(tokens: Tensor<2>, token: &Param<Tensor<2>>) -> Tensor<3> {
    let tokens = match padding(tokens.dims()[0]) {
        0 => tokens,
        added => Tensor::cat(vec![tokens, token.val().repeat_dim(0, added)], 0),
    };
    tokens.unsqueeze_dim(0)
}
