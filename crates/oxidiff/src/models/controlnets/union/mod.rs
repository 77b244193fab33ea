//! ControlNet++, called `ControlNetUnion` in diffusers (<https://github.com/xinsir6/ControlNetPlus>): one ControlNet for several
//! types of images, of which it can follow several at a time.

mod check;
mod config;
mod from_unet;
mod fusion;
mod multi_controlnet_union;
mod one_or_several;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

pub use self::config::ControlNetUnionConfig;
use self::fusion::ResidualAttentionBlock;
pub use self::multi_controlnet_union::MultiControlNetUnionModel;
pub use self::one_or_several::ControlNetUnion;
use super::controlnet::{ControlNetConditioningEmbedding, ControlNetModel, ControlNetOutput, check_fits};
use super::encoder::{Encoder, scaled};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::activations::Activation;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::{TimeProjection, TimestepEmbedding, Timesteps};
use crate::models::layers::linear::Linear;
use crate::models::layers::parameter;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
#[cfg(feature = "cuda")]
use crate::models::placement::Operand;
use crate::models::placement::Placement;
use crate::models::transformers::Transformer2DModel;
use crate::models::unets::{
    AddedConditions, AddedEmbedding, ClassEmbedding, ClassLabels, ConditionLayers, DownBlock, MidBlock2D,
    UNet2DConditionConfig, UNet2DConditionInputs,
};
use crate::wording::counted;

/// Says what to add to the tensors inside a UNet, so that its result follows images of one or several types, such as edges,
/// depth or a pose.
///
/// ```
/// use oxidiff::{ControlNetUnionConfig, ControlNetUnionModel, Device, Model, Tensor};
///
/// let config = ControlNetUnionConfig {
///     block_out_channels: vec![32, 32, 32, 32],
///     cross_attention_dim: 16,
///     addition_time_embed_dim: Some(8),
///     num_trans_channel: 32,
///     num_proj_channel: 32,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let controlnet = ControlNetUnionModel::init(&config, &device)?;
/// let (sample, text) = (Tensor::zeros([1, 4, 8, 8], &device), Tensor::zeros([1, 77, 16], &device));
/// let image = Tensor::zeros([1, 3, 64, 64], &device);
/// // The types of the two images.
/// let residuals = controlnet.forward(sample, 981.0, text, &[image.clone(), image], &[3, 1])?;
/// assert_eq!(residuals.down_block_res_samples.len(), 12);
/// assert_eq!(residuals.mid_block_res_sample.dims(), [1, 32, 1, 1]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct ControlNetUnionModel {
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    add_embedding: Option<AddedEmbedding>,
    controlnet_cond_embedding: ControlNetConditioningEmbedding,
    /// A vector for each type, `[num_control_type, num_trans_channel]`.
    task_embedding: Param<Tensor<2>>,
    /// Diffusers writes it so.
    transformer_layes: Vec<ResidualAttentionBlock>,
    spatial_ch_projs: Linear,
    control_add_embedding: TimestepEmbedding,
    down_blocks: Vec<DownBlock>,
    controlnet_down_blocks: Vec<Conv2d>,
    controlnet_mid_block: Conv2d,
    mid_block: MidBlock2D<Transformer2DModel>,
    #[module(skip)]
    config: ControlNetUnionConfig,
    #[module(skip)]
    placement: Placement,
}

/// Inputs of a [`ControlNetUnionModel`] besides the sample, the timestep, the text, the images and their types.
#[derive(Clone, Debug, Default)]
pub struct ControlNetUnionInputs {
    /// 1 for each type that is used and 0 for the others, `[batch, num_control_type]`; by default those of the images.
    pub control_type: Option<Tensor<2>>,
    /// A factor for each image; 1 by default. That of a single image is a factor of all results; those of several images say how
    /// much each of them counts.
    pub conditioning_scale: Vec<f64>,
    /// Whether the first factor is one of all results also with several images, as in a [`MultiControlNetUnionModel`].
    pub from_multi: bool,
    /// Whether the results grow from a tenth at the highest resolution to the whole in the middle, as suits calls
    /// without a prompt. A model with `global_pool_conditions` ignores it.
    pub guess_mode: bool,
    /// For `class_embed_type` or `num_class_embeds`.
    pub class_labels: Option<ClassLabels>,
    /// For `addition_embed_type`: `added_cond_kwargs` in Python.
    pub added: AddedConditions,
}

impl Model for ControlNetUnionModel {
    type Config = ControlNetUnionConfig;

    const CLASS_NAME: &'static str = "ControlNetUnionModel";

    fn init(config: &ControlNetUnionConfig, device: &Device) -> Result<Self> {
        let time_dim = config.check()?;
        let base = ControlNetModel::init(&config.as_controlnet(), device)?;
        Ok(Self::around(base, config, time_dim, device))
    }

    fn config(&self) -> &ControlNetUnionConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl ControlNetUnionModel {
    /// A model with the layers that it shares with `base`, and new ones for the types of images. `time_dim` is the length of the
    /// embedding of a type.
    fn around(
        base: ControlNetModel,
        config: &ControlNetUnionConfig,
        time_dim: usize,
        device: &Device,
    ) -> Self {
        let (types, channels) = (config.num_control_type, config.num_trans_channel);
        let block = |_| ResidualAttentionBlock::init(channels, config.num_trans_head, device);
        let mut projection = Linear::init(channels, config.num_proj_channel, true, device);
        projection.weight = parameter::constant([config.num_proj_channel, channels], 0.0, device);
        projection.bias = Some(parameter::constant([config.num_proj_channel], 0.0, device));
        let time_embed_dim = 4 * config.block_out_channels[0];
        Self {
            conv_in: base.conv_in,
            time_proj: base.time_proj,
            time_embedding: base.time_embedding,
            class_embedding: base.class_embedding,
            add_embedding: base.add_embedding,
            controlnet_cond_embedding: base.controlnet_cond_embedding,
            task_embedding: parameter::normal_scaled([types, channels], (channels as f64).sqrt(), device),
            transformer_layes: (0..config.num_trans_layer).map(block).collect(),
            spatial_ch_projs: projection,
            control_add_embedding: TimestepEmbedding::init(
                time_dim * types,
                time_embed_dim,
                Activation::Silu,
                None,
                None,
                device,
            ),
            down_blocks: base.down_blocks,
            controlnet_down_blocks: base.controlnet_down_blocks,
            controlnet_mid_block: base.controlnet_mid_block,
            mid_block: base.mid_block,
            config: config.clone(),
            placement: Placement::default(),
        }
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// Sets how many heads attention works on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.down_blocks.iter_mut().for_each(|block| block.set_attention_slice(slice));
        self.mid_block.attentions_mut().for_each(|transformer| transformer.set_attention_slice(slice));
    }

    /// Checks that a UNet with this configuration takes the results of this model, in a pipeline whose latents have
    /// `latent_channels`.
    ///
    /// # Errors
    /// When it does not; the error names the field, with its value in both models.
    pub(crate) fn check_fits(&self, unet: &UNet2DConditionConfig, latent_channels: usize) -> Result<()> {
        check_fits(Self::CLASS_NAME, &self.config.as_controlnet(), unet, latent_channels)
    }

    /// What to add inside a UNet that predicts the noise in `sample` `[batch, in_channels, height, width]` at `timestep`, given
    /// the text `encoder_hidden_states` `[batch, tokens, cross_attention_dim]`, so that the result follows the images
    /// `controlnet_cond`, each `[batch, conditioning_channels, 8 * height, 8 * width]` with values in [0, 1], of the types
    /// `control_type_idx`. (8 is 2 to the number of `conditioning_embedding_out_channels` less one.)
    ///
    /// # Errors
    /// When a shape is not what the configuration says, there is no such type, or the configuration asks for further inputs.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timestep: f32,
        encoder_hidden_states: Tensor<3>,
        controlnet_cond: &[Tensor<4>],
        control_type_idx: &[usize],
    ) -> Result<ControlNetOutput> {
        let inputs = ControlNetUnionInputs::default();
        let text = encoder_hidden_states;
        self.forward_with(sample, &[timestep], text, controlnet_cond, control_type_idx, inputs)
    }

    /// Like [`Self::forward`], with one timestep for the whole batch or one per item, and with further inputs.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, there is no such type, or a required input is missing.
    pub fn forward_with(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        controlnet_cond: &[Tensor<4>],
        control_type_idx: &[usize],
        mut inputs: ControlNetUnionInputs,
    ) -> Result<ControlNetOutput> {
        let text = encoder_hidden_states;
        let timesteps = self.check_shapes(&sample, timesteps, &text, controlnet_cond)?;
        self.check_types(&mut inputs, controlnet_cond.len(), control_type_idx)?;
        call(Self::CLASS_NAME, &sample.device(), || {
            let (guess_mode, scales) = (inputs.guess_mode, inputs.conditioning_scale.clone());
            // The factors of several images are in the fusion.
            let is_alone = inputs.from_multi || control_type_idx.len() == 1;
            let (overall, scales) =
                if is_alone { (scales[0], vec![1.0; scales.len()]) } else { (1.0, scales) };
            let images = controlnet_cond.iter().zip(control_type_idx).zip(scales);
            let images = images.map(|((image, kind), scale)| (image.clone(), *kind, scale)).collect();
            let residuals = self.compute(sample, &timesteps, text, images, inputs)?;
            Ok(scaled(residuals, overall, guess_mode, self.config.global_pool_conditions))
        })
    }

    /// The residuals of the skips and, last, of the middle block, before they are scaled. `images` come with their types and
    /// factors.
    fn compute(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        text: Tensor<3>,
        images: Vec<(Tensor<4>, usize, f64)>,
        inputs: ControlNetUnionInputs,
    ) -> Result<Vec<Tensor<4>>> {
        let (dtype, device) = (self.dtype(), sample.device());
        let (sample, text) = (sample.cast(dtype), text.cast(dtype));
        let layers = ConditionLayers {
            time_proj: &self.time_proj,
            time_embedding: &self.time_embedding,
            class_embedding: self.class_embedding.as_ref(),
            add_embedding: self.add_embedding.as_ref(),
            class_embeddings_concat: false,
        };
        let types = self.embed_types(inputs.control_type, &images, timesteps.len(), &device)?;
        let conditions = UNet2DConditionInputs {
            class_labels: inputs.class_labels,
            added: inputs.added,
            ..Default::default()
        };
        let (temb, _) = layers.embed(timesteps, &text, conditions, dtype, &device)?;
        let temb = temb + self.control_add_embedding.forward(types.cast(dtype), None);
        let factors: Vec<(usize, f64)> = images.iter().map(|(_, kind, scale)| (*kind, *scale)).collect();
        let images: Vec<Tensor<4>> = images.into_iter().map(|(image, _, _)| image.cast(dtype)).collect();
        #[cfg(feature = "cuda")]
        if self.placement.is_card() {
            let name = format!("residuals {factors:?}");
            let conditions: Vec<usize> = (2..3 + images.len()).collect();
            let inputs = [sample.into(), temb.into(), text.into()];
            let inputs: Vec<Operand> =
                inputs.into_iter().chain(images.into_iter().map(Operand::from)).collect();
            let outputs = self.placement.call(self, &name, &inputs, &conditions, |model, inputs| {
                let mut inputs = inputs.into_iter();
                let [sample, temb, text] = [(); 3].map(|()| inputs.next().expect("three and the images"));
                let (temb, text) = (temb.into_matrix(), text.into_tokens());
                let images = inputs.map(Operand::into_image).collect();
                let residuals = model.residuals(sample.into_image(), &temb, &text, images, &factors);
                Ok(residuals.into_iter().map(Operand::from).collect())
            })?;
            return Ok(outputs.into_iter().map(Operand::into_image).collect());
        }
        Ok(self.residuals(sample, &temb, &text, images, &factors))
    }

    /// As [`Self::compute`], given the embedding of all conditions `[batch, time_embed_dim]` and the type and factor of each image.
    fn residuals(
        &self,
        sample: Tensor<4>,
        temb: &Tensor<2>,
        text: &Tensor<3>,
        images: Vec<Tensor<4>>,
        factors: &[(usize, f64)],
    ) -> Vec<Tensor<4>> {
        let x = self.fuse(self.conv_in.forward(sample), images, factors);
        let encoder = Encoder {
            down_blocks: &self.down_blocks,
            mid_block: &self.mid_block,
            controlnet_down_blocks: &self.controlnet_down_blocks,
            controlnet_mid_block: &self.controlnet_mid_block,
        };
        encoder.residuals(x, temb, text)
    }

    /// The sinusoidal embeddings of the flags of all types, one after the other: `[batch, num_control_type * length]`.
    fn embed_types(
        &self,
        given: Option<Tensor<2>>,
        images: &[(Tensor<4>, usize, f64)],
        batch: usize,
        device: &Device,
    ) -> Result<Tensor<2>> {
        let count = self.config.num_control_type;
        let flags: Vec<f32> = match given {
            Some(given) if given.dims() == [batch, count] => given.into_data().iter::<f32>().collect(),
            Some(given) => {
                let message = format!("has shape {:?}, the model takes {:?}", given.dims(), [batch, count]);
                return Err(Error::argument("control_type", message));
            }
            None => {
                let is_used = |kind: usize| images.iter().any(|(_, other, _)| *other == kind);
                let row: Vec<f32> = (0..count).map(|kind| f32::from(u8::from(is_used(kind)))).collect();
                row.repeat(batch)
            }
        };
        let embedding = Timesteps {
            num_channels: self.config.addition_time_embed_dim.unwrap_or_default(),
            flip_sin_to_cos: self.config.flip_sin_to_cos,
            downscale_freq_shift: self.config.freq_shift,
        };
        let embedded = embedding.forward(&flags, device);
        let width = embedded.dims()[1] * count;
        Ok(embedded.reshape([batch, width]))
    }

    /// Checks the types and the factors of this number of images, and fills in those that are not given.
    fn check_types(&self, inputs: &mut ControlNetUnionInputs, images: usize, types: &[usize]) -> Result<()> {
        if types.is_empty() {
            return Err(Error::argument("control_type_idx", "is empty"));
        }
        if types.len() != images {
            let message = format!("has {} for {}", counted(images, "image"), counted(types.len(), "type"));
            return Err(Error::argument("controlnet_cond", message));
        }
        let count = self.config.num_control_type;
        if let Some(kind) = types.iter().find(|kind| **kind >= count) {
            let message = format!("has {kind}, but the {} has types 0 to {}", Self::CLASS_NAME, count - 1);
            return Err(Error::argument("control_type_idx", message));
        }
        if inputs.conditioning_scale.is_empty() {
            inputs.conditioning_scale = vec![1.0; images];
        }
        if inputs.conditioning_scale.len() != images {
            let given = inputs.conditioning_scale.len();
            let message = format!("has {given} for {}", counted(images, "image"));
            return Err(Error::argument("conditioning_scale", message));
        }
        Ok(())
    }
}
