//! The UNet of latent diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>): it predicts the noise in a
//! sample, given the timestep and a text.

mod added_embedding;
mod block_shapes;
mod blocks;
mod conditioning;
mod config;
mod encoder;
mod encoder_hid_projection;
mod free_u;
mod ip_adapter;
mod low_rank;
#[cfg(feature = "cuda")]
mod on_card;
mod residuals;
mod transformers;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub(in crate::models) use self::added_embedding::AddedEmbedding;
use self::added_embedding::HINT_CHANNELS;
pub(in crate::models) use self::block_shapes::BlockShapes;
use self::blocks::UpBlock;
pub(in crate::models) use self::blocks::{BlockBuilder, DownBlock};
pub use self::conditioning::{AddedConditions, UNet2DConditionInputs};
pub(in crate::models) use self::conditioning::{ConditionLayers, TimeInput, class_embedding};
pub use self::config::{AdditionEmbedType, EncoderHidDimType, UNet2DConditionConfig};
use self::encoder_hid_projection::EncoderHidProjection;
pub use self::free_u::FreeU;
pub(in crate::models) use self::free_u::FreeUStage;
pub(crate) use self::ip_adapter::CrossAttention;
use self::ip_adapter::ImageProjections;
pub use self::ip_adapter::IpAdapterInputs;
use self::residuals::Residuals;
use super::blocks::MidBlock2D;
use super::class_embedding::ClassEmbedding;
use crate::error::{Error, Result};
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::attention_context::AttentionContext;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::embeddings::{TimeProjection, TimestepEmbedding};
use crate::models::layers::normalization::GroupNorm;
use crate::models::layers::per_block::PerBlock;
use crate::models::least_memory;
use crate::models::model::{Model, compiled_with_the_library, save_model};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;
use crate::models::transformers::Transformer2DModel;

/// Predicts the noise in a sample, given the timestep and the embedding of a text.
///
/// ```
/// use oxidiff::{Device, Model, Tensor, UNet2DConditionConfig, UNet2DConditionModel, PerBlock};
///
/// let config = UNet2DConditionConfig {
///     block_out_channels: vec![32, 32, 32, 32],
///     cross_attention_dim: PerBlock::Same(16),
///     ..Default::default()
/// };
/// let device = Device::flex();
/// let unet = UNet2DConditionModel::init(&config, &device)?;
/// let sample = Tensor::zeros([1, 4, 8, 8], &device);
/// let text = Tensor::zeros([1, 77, 16], &device);
/// assert_eq!(unet.forward(sample, 981.0, text)?.dims(), [1, 4, 8, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    add_embedding: Option<AddedEmbedding>,
    encoder_hid_proj: Option<EncoderHidProjection>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock2D<Transformer2DModel>>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: Option<GroupNorm>,
    conv_out: Conv2d,
    #[module(skip)]
    config: UNet2DConditionConfig,
    #[module(skip)]
    freeu: Option<FreeU>,
    #[module(skip)]
    image_projections: ImageProjections,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

impl Model for UNet2DConditionModel {
    type Config = UNet2DConditionConfig;

    const CLASS_NAME: &'static str = "UNet2DConditionModel";

    fn init(config: &UNet2DConditionConfig, device: &Device) -> Result<Self> {
        let shapes = BlockShapes::new(config)?;
        let channels = config.block_out_channels[0];
        let TimeInput { time_proj, timestep_input_dim, time_embed_dim } = TimeInput::new(config, device)?;
        let temb_channels = if config.class_embeddings_concat { 2 * time_embed_dim } else { time_embed_dim };
        let blocks = BlockBuilder { config, shapes: &shapes, temb_channels, device }.build()?;
        let norm_out = |groups| GroupNorm::init(groups, channels, config.norm_eps, device);

        Ok(Self {
            conv_in: Conv2d::init(config.in_channels, channels, config.conv_in_kernel, device),
            time_proj,
            time_embedding: TimestepEmbedding::init(
                timestep_input_dim,
                time_embed_dim,
                config.act_fn,
                config.timestep_post_act,
                config.time_cond_proj_dim,
                device,
            ),
            class_embedding: class_embedding(config, [timestep_input_dim, time_embed_dim], device)?,
            add_embedding: AddedEmbedding::of(config, time_embed_dim, device)?,
            encoder_hid_proj: EncoderHidProjection::of(config, device)?,
            down_blocks: blocks.down,
            mid_block: blocks.mid,
            up_blocks: blocks.up,
            conv_norm_out: config.norm_num_groups.map(norm_out),
            conv_out: Conv2d::init(channels, config.out_channels, config.conv_out_kernel, device),
            config: config.clone(),
            freeu: None,
            image_projections: ImageProjections::default(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &UNet2DConditionConfig {
        &self.config
    }

    computes_on_cards!();

    fn cast_image_projections(&mut self, dtype: DType) {
        self.image_projections.cast(dtype);
    }

    compiled_with_the_library!(but save_folder);

    /// IP-Adapters are not part of the model, so they are left out.
    fn save_folder(&self, folder: &Path) -> Result<()> {
        let mut model = self.clone();
        model.unload_ip_adapters();
        save_model(&model, folder)
    }
}

impl Adaptable for UNet2DConditionModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl UNet2DConditionModel {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.conv_in.weight.val().device()
    }

    /// Sets how many heads attention works on at a time; all without a slice.
    pub fn set_attention_slice(&mut self, slice: Option<AttentionSlice>) {
        self.down_blocks.iter_mut().for_each(|block| block.set_attention_slice(slice));
        let mid = self.mid_block.iter_mut().flat_map(MidBlock2D::attentions_mut);
        mid.for_each(|transformer| transformer.set_attention_slice(slice));
        self.up_blocks.iter_mut().for_each(|block| block.set_attention_slice(slice));
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }

    /// Bytes that a call on `batch` samples of `height` by `width` needs at least, without the weights.
    pub fn least_memory(&self, batch: usize, height: usize, width: usize) -> u64 {
        let config = &self.config;
        if self.side_multiple() > 1 {
            // In the first residual block of the last up block: the tensor from below, the skip, the two joined, the result.
            return least_memory::bytes(
                [batch, 5 * config.block_out_channels[0], height, width],
                self.dtype(),
            );
        }
        let layers = config.layers_per_block.expand(config.block_out_channels.len());
        let layers = layers.and_then(|layers| layers.first().copied()).unwrap_or(1);
        least_memory::unet(&config.block_out_channels, layers, [batch, height, width], self.dtype())
    }

    /// What the height and width of samples must be multiples of: 1, except with K blocks. If it is more than 1, they must be at
    /// least twice as large.
    pub(crate) fn side_multiple(&self) -> usize {
        let has_k_blocks = matches!(self.down_blocks[..], [DownBlock::K(_), ..]);
        if has_k_blocks { 1 << (self.down_blocks.len() - 1) } else { 1 }
    }

    /// Predicts the noise in `sample` `[batch, in_channels, height, width]` at `timestep`, given the text
    /// `encoder_hidden_states` `[batch, tokens, cross_attention_dim]`. The result is
    /// `[batch, out_channels, height, width]`, with any height and width; with K blocks, they must be multiples of
    /// `2 ^ (blocks - 1)`, and at least twice as large.
    ///
    /// # Errors
    /// When a shape is not what the configuration says, or the configuration asks for inputs besides the text.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timestep: f32,
        encoder_hidden_states: Tensor<3>,
    ) -> Result<Tensor<4>> {
        self.forward_with(sample, &[timestep], encoder_hidden_states, UNet2DConditionInputs::default())
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
        mut inputs: UNet2DConditionInputs,
    ) -> Result<Tensor<4>> {
        let timesteps = self.check_shapes(&sample, timesteps, &encoder_hidden_states)?;
        let residuals = self.take_residuals(&sample, &mut inputs)?;
        call(Self::CLASS_NAME, &sample.device(), || {
            self.predict(sample, &timesteps, encoder_hidden_states, inputs, residuals)
        })
    }

    fn predict(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        mut inputs: UNet2DConditionInputs,
        residuals: Residuals,
    ) -> Result<Tensor<4>> {
        let dtype = self.dtype();
        let [batch, _, height, width] = sample.dims();
        let images = self.image_prompts(inputs.ip_adapter.take(), batch, [height, width])?;
        #[cfg(feature = "cuda")]
        if self.placement.is_card() && self.is_conditioned_simply() {
            return self.predict_on_card(sample, timesteps, encoder_hidden_states, inputs.added, residuals);
        }
        let sample = self.centred(sample.cast(dtype));
        let context = encoder_hidden_states.cast(dtype);
        let image = inputs.added.image_embeds.clone();
        let (temb, hint) = self.embed_conditions(timesteps, &context, inputs, &sample.device())?;
        let sample = match hint {
            Some(hint) => Tensor::cat(vec![sample, hint], 1),
            None => sample,
        };
        let text = match &self.encoder_hid_proj {
            Some(projection) => projection.forward(context, image)?,
            None => context,
        };
        let context = AttentionContext { text, images };
        #[cfg(feature = "cuda")]
        if self.placement.is_card() {
            return self.denoise_on_card(sample, temb, context, residuals);
        }
        Ok(self.denoise(sample, &temb, &context, residuals))
    }

    /// As the configuration wants samples.
    fn centred(&self, sample: Tensor<4>) -> Tensor<4> {
        if self.config.center_input_sample { sample * 2.0 - 1.0 } else { sample }
    }

    /// The blocks, given the embedding of all conditions `[batch, time_embed_dim]`.
    fn denoise(
        &self,
        sample: Tensor<4>,
        temb: &Tensor<2>,
        context: &AttentionContext,
        residuals: Residuals,
    ) -> Tensor<4> {
        let mut x = self.conv_in.forward(sample);
        let mut skips = vec![x.clone()];
        let Residuals { features, control } = residuals;
        let mut features = features.into_iter();
        for block in &self.down_blocks {
            x = block.forward_adding(x, temb, context, &mut skips, features.next());
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, temb, context);
            if let Some(feature) = features.next() {
                x = x + feature;
            }
        }
        if let Some(control) = control {
            x = control.add_to(&mut skips, x);
        }
        for (index, block) in self.up_blocks.iter().enumerate() {
            let freeu = self.freeu.and_then(|freeu| freeu.stage(index));
            x = block.forward(x, temb, context, &mut skips, freeu);
        }
        let x = match &self.conv_norm_out {
            Some(norm) => norm.forward_activated(x, self.config.act_fn),
            None => x,
        };
        self.conv_out.forward(x)
    }

    /// Checks the inputs and returns one timestep per item of the batch.
    fn check_shapes(
        &self,
        sample: &Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: &Tensor<3>,
    ) -> Result<Vec<f32>> {
        let [batch, channels, height, width] = sample.dims();
        let taken = match self.config.addition_embed_type {
            // The hint takes the others.
            Some(AdditionEmbedType::ImageHint) => self.config.in_channels.saturating_sub(HINT_CHANNELS),
            _ => self.config.in_channels,
        };
        if channels != taken {
            let message = format!("has {channels} channels, the model takes {taken}");
            return Err(Error::argument("sample", message));
        }
        if batch == 0 || height == 0 || width == 0 {
            return Err(Error::argument("sample", format!("is empty: {:?}", sample.dims())));
        }
        let multiple = self.side_multiple();
        let fits = |side: usize| side.is_multiple_of(multiple) && side >= 2 * multiple;
        if multiple > 1 && !(fits(height) && fits(width)) {
            let message = format!(
                "is {height}x{width}, the model takes multiples of {multiple}, at least {}",
                2 * multiple
            );
            return Err(Error::argument("sample", message));
        }
        let [text_batch, _, text_dim] = encoder_hidden_states.dims();
        if text_batch != batch {
            let message = format!("has a batch of {text_batch}, but the sample has one of {batch}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        let attended = match &self.config.cross_attention_dim {
            PerBlock::Same(dim) => *dim,
            PerBlock::Each(dims) => dims[0],
        };
        let expected = self.encoder_hid_proj.as_ref().map_or(Some(attended), |it| it.text_features());
        if let Some(expected) = expected.filter(|expected| text_dim != *expected) {
            let message = format!("has tokens of length {text_dim}, the model takes {expected}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        match timesteps {
            [timestep] => Ok(vec![*timestep; batch]),
            _ if timesteps.len() == batch => Ok(timesteps.to_vec()),
            _ => Err(Error::argument("timestep", format!("{} for a batch of {batch}", timesteps.len()))),
        }
    }
}
