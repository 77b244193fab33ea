//! The ControlNet of Z-Image (Z-Image-Turbo-Fun-Controlnet-Union): it follows an image beside the transformer, whose tokens it sees,
//! and adds to the results of some of its layers.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::ZImageTransformer2DModel;
use super::block::Block;
use super::controlnet_config::{ControlNoiseRefiner, ZImageControlNetConfig};
use super::embedded::padded;
use super::inputs::{PatchSize, patches};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::keyed::Keyed;
use crate::models::layers::linear::Linear;
use crate::models::layers::sequence::Sequence;
use crate::models::model::{Model, compiled_with_the_library};

/// Tells a [`ZImageTransformer2DModel`] what to add so that the result follows an image, such as edges, a depth map or a pose.
///
/// It needs the transformer, whose embeddings it shares.
#[derive(Module, Debug)]
pub struct ZImageControlNetModel {
    control_layers: Vec<Block>,
    control_all_x_embedder: Keyed<Linear>,
    control_noise_refiner: Option<Vec<Block>>,
    #[module(skip)]
    config: ZImageControlNetConfig,
}

/// The inputs of a [`ZImageControlNetModel`]: those of the transformer, and what to follow.
#[derive(Clone, Copy, Debug)]
pub struct ZImageControlInputs<'a> {
    /// The noisy latents of each image, as for the transformer.
    pub x: &'a [Tensor<4>],
    /// The times, as for the transformer.
    pub t: &'a [f32],
    /// The hidden states of the captions, as for the transformer.
    pub cap_feats: &'a [Tensor<2>],
    /// The image to follow for each image, `[control_in_dim, frames, height, width]`.
    pub control_context: &'a [Tensor<4>],
    /// The factor of the result.
    pub conditioning_scale: f64,
    /// As for the transformer.
    pub patch_size: usize,
    /// As for the transformer.
    pub f_patch_size: usize,
}

impl Model for ZImageControlNetModel {
    type Config = ZImageControlNetConfig;

    const CLASS_NAME: &'static str = "ZImageControlNetModel";

    fn init(config: &ZImageControlNetConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let shape = config.shape();
        let following = |count: usize| -> Vec<Block> {
            (0..count)
                .map(|number| Block::init(&shape, true, device).following(number == 0, device))
                .collect()
        };
        let refining = config.n_refiner_layers;
        let embedder = |(size, frames): (usize, usize)| {
            let features = frames * size * size * shape.in_channels;
            (PatchSize { size, frames }.key(), Linear::init(features, config.dim, true, device))
        };
        Ok(Self {
            control_layers: following(config.control_layers_places.len()),
            control_all_x_embedder: shape.patch_sizes().map(embedder).collect(),
            control_noise_refiner: match config.add_control_noise_refiner {
                Some(ControlNoiseRefiner::ControlLayers) => None,
                Some(ControlNoiseRefiner::ControlNoiseRefiner) => Some(following(refining)),
                None => Some((0..refining).map(|_| Block::init(&shape, true, device)).collect()),
            },
            config: config.clone(),
        })
    }

    fn config(&self) -> &ZImageControlNetConfig {
        &self.config
    }

    compiled_with_the_library!();
}

impl ZImageControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.control_layers[0].dtype()
    }

    /// Checks that the ControlNet was made for such a transformer.
    ///
    /// # Errors
    /// When the length of a token or the number of heads differs, or the transformer lacks a layer.
    pub fn check_fit(&self, transformer: &ZImageTransformer2DModel) -> Result<()> {
        let (own, other) = (&self.config, transformer.config());
        let misfit = |what: &str, own: usize, other: usize| {
            let message = format!("was made for a transformer with {what} {own}, but it has {other}");
            Err(Error::argument("controlnet", message))
        };
        if own.dim != other.dim {
            return misfit("`dim`", own.dim, other.dim);
        }
        if own.n_heads != other.n_heads {
            return misfit("`n_heads`", own.n_heads, other.n_heads);
        }
        let last = own.control_layers_places.last().copied().unwrap_or_default();
        if last >= other.n_layers {
            return misfit("more layers than", last, other.n_layers);
        }
        let refined = own.control_refiner_layers_places.iter().flatten().max().copied();
        match refined {
            Some(last) if last >= other.n_refiner_layers => {
                misfit("more layers in its refiner than", last, other.n_refiner_layers)
            }
            _ => Ok(()),
        }
    }

    /// What to add to the results of the transformer's layers, by their number, `[1, tokens, dim]`.
    ///
    /// # Errors
    /// When the inputs do not fit each other, the transformer or the ControlNet.
    pub fn forward(
        &self,
        transformer: &ZImageTransformer2DModel,
        inputs: &ZImageControlInputs<'_>,
    ) -> Result<BTreeMap<usize, Tensor<3>>> {
        const CONTEXT: &str = "control_context";
        self.check_fit(transformer)?;
        let size = PatchSize { size: inputs.patch_size, frames: inputs.f_patch_size };
        let checked = transformer.check(inputs.x, inputs.t, inputs.cap_feats, size)?;
        let embedder = self.control_all_x_embedder.get(&size.key()).ok_or_else(|| {
            let message = format!("is {} with {} frames, which the ControlNet lacks", size.size, size.frames);
            Error::argument("patch_size", message)
        })?;
        let (images, given) = (inputs.x.len(), inputs.control_context.len());
        if images != given {
            return Err(Error::argument(CONTEXT, format!("{given} images to follow for {images} images")));
        }
        let channels = self.config.control_in_dim.expect("checked with the configuration");
        let followed = patches(CONTEXT, inputs.control_context, channels, size)?;
        if let Some((image, own)) = followed.iter().zip(&checked.patches).find(|(a, b)| a.grid != b.grid) {
            let message = format!("has {:?} patches, but its image has {:?}", image.grid, own.grid);
            return Err(Error::argument(CONTEXT, message));
        }
        call(Self::CLASS_NAME, &transformer.device(), || {
            let (dtype, device) = (self.dtype(), transformer.device());
            let tokens = inputs.control_context.iter().zip(&followed).map(|(image, patches)| {
                let tokens = patches.cut(image.clone().to_device(&device).cast(dtype));
                padded(embedder.forward(tokens), &transformer.x_pad_token)
            });
            let mut control = Tensor::cat(tokens.collect(), 1);

            let raw = transformer.raw(inputs.x, inputs.cap_feats, &checked);
            let embedded = transformer.embed(raw, size);
            let (sequence, condition) = (&embedded.image_sequence, &embedded.condition);
            let mut images = embedded.images.clone();
            let mut added = BTreeMap::new();
            match (self.config.add_control_noise_refiner, &self.control_noise_refiner) {
                (None, Some(blocks)) => {
                    for block in blocks {
                        control = block.forward(control, sequence, Some(condition));
                    }
                }
                (_, own) => {
                    let blocks = own.as_ref().unwrap_or(&self.control_layers);
                    let (hints, last) = follow(blocks, control, &images, sequence, condition);
                    control = last;
                    let places = self.config.control_refiner_layers_places.iter().flatten();
                    added = places.copied().zip(hints).collect();
                }
            }
            for (number, block) in transformer.noise_refiner.iter().enumerate() {
                images = block.forward(images, sequence, Some(condition));
                if let Some(hint) = added.remove(&number) {
                    images = images + hint * inputs.conditioning_scale;
                }
            }
            let (control, unified) = (embedded.with_captions(&control), embedded.with_captions(&images));
            let sequence = &embedded.unified_sequence;
            let (hints, _) = follow(&self.control_layers, control, &unified, sequence, condition);
            let hints = hints.into_iter().map(|hint| hint * inputs.conditioning_scale);
            Ok(self.config.control_layers_places.iter().copied().zip(hints).collect())
        })
    }
}

/// What each block says, and the tokens after the last one. The first block sees the transformer's tokens `x`, too.
fn follow(
    blocks: &[Block],
    control: Tensor<3>,
    x: &Tensor<3>,
    sequence: &Sequence,
    condition: &Tensor<2>,
) -> (Vec<Tensor<3>>, Tensor<3>) {
    let mut control = control;
    let hints = blocks.iter().map(|block| {
        control = block.forward(block.beside(control.clone(), x), sequence, Some(condition));
        block.hint(control.clone())
    });
    let hints = hints.collect();
    (hints, control)
}
