//! The ControlNet of Stable Diffusion 1, 2 and XL (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): a copy of the UNet's
//! first half that looks at an image besides, and says what to add to the tensors inside the UNet.

mod conditioning_embedding;
mod config;
mod fit;
mod from_unet;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub(crate) use self::conditioning_embedding::ControlNetConditioningEmbedding;
pub use self::config::{ControlNetChannelOrder, ControlNetConfig};
pub(super) use self::fit::check_fits;
pub use self::from_unet::FromUNetOptions;
use super::encoder::{Encoder, scaled};
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::{TimeProjection, TimestepEmbedding};
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
#[cfg(feature = "cuda")]
use crate::models::placement::Operand;
use crate::models::placement::Placement;
use crate::models::transformers::Transformer2DModel;
use crate::models::unets::{
    AddedConditions, AddedEmbedding, BlockBuilder, BlockShapes, ClassEmbedding, ClassLabels, ConditionLayers,
    DownBlock, MidBlock2D, TimeInput, UNet2DConditionInputs, class_embedding,
};

/// Says what to add to the tensors inside a UNet, so that its result follows an image.
///
/// ```
/// use oxidiff::{ControlNetConfig, ControlNetModel, Device, Model, Tensor};
///
/// let config = ControlNetConfig {
///     block_out_channels: vec![32, 32, 32, 32],
///     cross_attention_dim: 16,
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let controlnet = ControlNetModel::init(&config, &device)?;
/// let (sample, text) = (Tensor::zeros([1, 4, 8, 8], &device), Tensor::zeros([1, 77, 16], &device));
/// let image = Tensor::zeros([1, 3, 64, 64], &device);
/// let residuals = controlnet.forward(sample, 981.0, text, image)?;
/// assert_eq!(residuals.down_block_res_samples.len(), 12);
/// assert_eq!(residuals.mid_block_res_sample.dims(), [1, 32, 1, 1]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct ControlNetModel {
    pub(super) conv_in: Conv2d,
    pub(super) time_proj: TimeProjection,
    pub(super) time_embedding: TimestepEmbedding,
    pub(super) class_embedding: Option<ClassEmbedding>,
    pub(super) add_embedding: Option<AddedEmbedding>,
    pub(super) controlnet_cond_embedding: ControlNetConditioningEmbedding,
    pub(super) down_blocks: Vec<DownBlock>,
    pub(super) controlnet_down_blocks: Vec<Conv2d>,
    pub(super) controlnet_mid_block: Conv2d,
    pub(super) mid_block: MidBlock2D<Transformer2DModel>,
    #[module(skip)]
    config: ControlNetConfig,
    #[module(skip)]
    placement: Placement,
}

/// Inputs of a [`ControlNetModel`] besides the sample, the timestep, the text and the image.
#[derive(Clone, Debug)]
pub struct ControlNetInputs {
    /// A factor of all results; 1 by default.
    pub conditioning_scale: f64,
    /// Whether the results grow from a tenth at the highest resolution to the whole in the middle, as suits calls
    /// without a prompt. A model with `global_pool_conditions` ignores it.
    pub guess_mode: bool,
    /// For `class_embed_type` or `num_class_embeds`.
    pub class_labels: Option<ClassLabels>,
    /// For `addition_embed_type`: `added_cond_kwargs` in Python.
    pub added: AddedConditions,
}

impl Default for ControlNetInputs {
    fn default() -> Self {
        Self {
            conditioning_scale: 1.0,
            guess_mode: false,
            class_labels: None,
            added: AddedConditions::default(),
        }
    }
}

/// What to add to the tensors inside a UNet.
#[derive(Clone, Debug)]
pub struct ControlNetOutput {
    /// For each skip of the down blocks, `[batch, channels, height, width]`; with `global_pool_conditions`,
    /// `[batch, channels, 1, 1]`.
    pub down_block_res_samples: Vec<Tensor<4>>,
    /// For the result of the middle block.
    pub mid_block_res_sample: Tensor<4>,
}

impl Model for ControlNetModel {
    type Config = ControlNetConfig;

    const CLASS_NAME: &'static str = "ControlNetModel";

    fn init(config: &ControlNetConfig, device: &Device) -> Result<Self> {
        let unet = config.as_unet()?;
        let shapes = BlockShapes::new(&unet)?;
        let channels = &config.block_out_channels;
        let TimeInput { time_proj, timestep_input_dim, time_embed_dim } = TimeInput::new(&unet, device)?;
        let builder = BlockBuilder { config: &unet, shapes: &shapes, temb_channels: time_embed_dim, device };
        let (down_blocks, mid_block) = builder.build_encoder()?;
        let zero_convolution = |channels| Conv2d::init(channels, channels, 1, device).zeroed();
        let of_skips = channels.iter().enumerate().flat_map(|(block, channels)| {
            let halving = usize::from(block + 1 < config.block_out_channels.len());
            std::iter::repeat_n(*channels, config.layers_per_block + halving)
        });
        let time_embedding =
            TimestepEmbedding::init(timestep_input_dim, time_embed_dim, config.act_fn, None, None, device);

        Ok(Self {
            conv_in: Conv2d::init(config.in_channels, channels[0], 3, device),
            time_proj,
            time_embedding,
            class_embedding: class_embedding(&unet, [timestep_input_dim, time_embed_dim], device)?,
            add_embedding: AddedEmbedding::of(&unet, time_embed_dim, device)?,
            controlnet_cond_embedding: ControlNetConditioningEmbedding::init(
                config.conditioning_channels,
                &config.conditioning_embedding_out_channels,
                channels[0],
                device,
            ),
            down_blocks,
            controlnet_down_blocks: [channels[0]].into_iter().chain(of_skips).map(zero_convolution).collect(),
            controlnet_mid_block: zero_convolution(channels[channels.len() - 1]),
            mid_block: mid_block.expect("`as_unet` refuses a model without it"),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &ControlNetConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl ControlNetModel {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// Sets how many heads attention works on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.down_blocks.iter_mut().for_each(|block| block.set_attention_slice(slice));
        self.mid_block.attentions_mut().for_each(|transformer| transformer.set_attention_slice(slice));
    }

    /// What to add inside a UNet that predicts the noise in `sample` `[batch, in_channels, height, width]` at `timestep`, given
    /// the text `encoder_hidden_states` `[batch, tokens, cross_attention_dim]`, so that the result follows the image
    /// `controlnet_cond`: `[batch, conditioning_channels, 8 * height, 8 * width]`, values in [0, 1]. (8 is 2 to the number of
    /// `conditioning_embedding_out_channels` less one.)
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or the configuration asks for further inputs.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timestep: f32,
        encoder_hidden_states: Tensor<3>,
        controlnet_cond: Tensor<4>,
    ) -> Result<ControlNetOutput> {
        let inputs = ControlNetInputs::default();
        self.forward_with(sample, &[timestep], encoder_hidden_states, controlnet_cond, inputs)
    }

    /// Like [`Self::forward`], with one timestep for the whole batch or one per item, and with further inputs.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or a required input is missing.
    pub fn forward_with(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        controlnet_cond: Tensor<4>,
        inputs: ControlNetInputs,
    ) -> Result<ControlNetOutput> {
        let timesteps = self.check_shapes(&sample, timesteps, &encoder_hidden_states, &controlnet_cond)?;
        call(Self::CLASS_NAME, &sample.device(), || {
            let (scale, guess_mode) = (inputs.conditioning_scale, inputs.guess_mode);
            let residuals =
                self.compute(sample, &timesteps, encoder_hidden_states, controlnet_cond, inputs)?;
            Ok(scaled(residuals, scale, guess_mode, self.config.global_pool_conditions))
        })
    }

    /// The residuals of the skips and, last, of the middle block, before they are scaled.
    fn compute(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        text: Tensor<3>,
        image: Tensor<4>,
        inputs: ControlNetInputs,
    ) -> Result<Vec<Tensor<4>>> {
        let dtype = self.dtype();
        let (sample, text, image) = (sample.cast(dtype), text.cast(dtype), image.cast(dtype));
        let image = match self.config.controlnet_conditioning_channel_order {
            ControlNetChannelOrder::Rgb => image,
            ControlNetChannelOrder::Bgr => image.flip([1]),
        };
        let layers = ConditionLayers {
            time_proj: &self.time_proj,
            time_embedding: &self.time_embedding,
            class_embedding: self.class_embedding.as_ref(),
            add_embedding: self.add_embedding.as_ref(),
            class_embeddings_concat: false,
        };
        let conditions = UNet2DConditionInputs {
            class_labels: inputs.class_labels,
            added: inputs.added,
            ..Default::default()
        };
        let (temb, _) = layers.embed(timesteps, &text, conditions, dtype, &sample.device())?;
        #[cfg(feature = "cuda")]
        if self.placement.is_card() {
            let inputs = [sample.into(), temb.into(), text.into(), image.into()];
            let outputs = self.placement.call(self, "residuals", &inputs, &[2, 3], |model, inputs| {
                let [sample, temb, text, image]: [Operand; 4] = inputs.try_into().expect("four inputs");
                let (temb, text) = (temb.into_matrix(), text.into_tokens());
                let residuals = model.residuals(sample.into_image(), &temb, &text, image.into_image());
                Ok(residuals.into_iter().map(Operand::from).collect())
            })?;
            return Ok(outputs.into_iter().map(Operand::into_image).collect());
        }
        Ok(self.residuals(sample, &temb, &text, image))
    }

    /// As [`Self::compute`], given the embedding of all conditions `[batch, time_embed_dim]`.
    fn residuals(
        &self,
        sample: Tensor<4>,
        temb: &Tensor<2>,
        text: &Tensor<3>,
        image: Tensor<4>,
    ) -> Vec<Tensor<4>> {
        let x = self.conv_in.forward(sample) + self.controlnet_cond_embedding.forward(image);
        let encoder = Encoder {
            down_blocks: &self.down_blocks,
            mid_block: &self.mid_block,
            controlnet_down_blocks: &self.controlnet_down_blocks,
            controlnet_mid_block: &self.controlnet_mid_block,
        };
        encoder.residuals(x, temb, text)
    }

    /// Checks the inputs and returns one timestep per item of the batch.
    fn check_shapes(
        &self,
        sample: &Tensor<4>,
        timesteps: &[f32],
        text: &Tensor<3>,
        image: &Tensor<4>,
    ) -> Result<Vec<f32>> {
        let [batch, channels, height, width] = sample.dims();
        let taken = self.config.in_channels;
        if channels != taken {
            let message = format!("has {channels} channels, the model takes {taken}");
            return Err(Error::argument("sample", message));
        }
        if batch == 0 || height == 0 || width == 0 {
            return Err(Error::argument("sample", format!("is empty: {:?}", sample.dims())));
        }
        let ([text_batch, _, features], taken) = (text.dims(), self.config.cross_attention_dim);
        if text_batch != batch {
            let message = format!("has a batch of {text_batch}, but the sample has one of {batch}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        if features != taken {
            let message = format!("has tokens of length {features}, the model takes {taken}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        let [images, channels, rows, columns] = image.dims();
        let taken = self.config.conditioning_channels;
        if channels != taken || (images != batch && images != 1) {
            let message =
                format!("has shape {:?}, the model takes {batch} images of {taken} channels", image.dims());
            return Err(Error::argument("controlnet_cond", message));
        }
        let embedded = self.controlnet_cond_embedding.size([rows, columns]);
        if embedded != [height, width] {
            let message = format!(
                "has {rows}x{columns} pixels, which become {embedded:?} positions, but the sample has {:?}",
                [height, width]
            );
            return Err(Error::argument("controlnet_cond", message));
        }
        match timesteps {
            [timestep] => Ok(vec![*timestep; batch]),
            _ if timesteps.len() == batch => Ok(timesteps.to_vec()),
            _ => Err(Error::argument("timestep", format!("{} for a batch of {batch}", timesteps.len()))),
        }
    }
}
