//! Qwen2.5-VL (Bai et al. 2025, <https://arxiv.org/abs/2502.13923>), a language model that sees images, as an encoder of texts with
//! images.

mod config;
mod generate;
mod inputs;
mod positions;
mod vision;
mod vision_config;
mod windows;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use oxidiff_kernels::Pairs;

pub use self::config::{Qwen2_5_VLConfig, Qwen2_5_VLTextConfig};
pub use self::inputs::Qwen2_5_VLInputs;
use self::positions::{angles, positions};
use self::vision::VisionTransformer;
pub use self::vision_config::Qwen2_5_VLVisionConfig;
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::linear::Linear;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, text_angles};
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;
use crate::text_encoders::input_ids::check_input_ids;
use crate::text_encoders::language_model::{
    self, GenerationFile, Hidden, LM_HEAD, LanguageModel, Layers, check_numbers,
};
use crate::vision::Qwen2VLImages;

/// The result of a [`Qwen2_5_VLForConditionalGeneration`].
#[derive(Clone, Debug)]
pub struct Qwen2_5_VLOutput {
    /// The last layer's result after the final norm, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The embedding, then the result of each layer; the last one is after the final norm.
    pub hidden_states: Vec<Tensor<3>>,
}

/// Embeds texts with images, each token in the light of those before it, and writes texts: see [`Self::generate`].
///
/// ```
/// use oxidiff::{
///     Device, Model, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLInputs, Qwen2_5_VLTextConfig,
/// };
///
/// let text_config = Qwen2_5_VLTextConfig {
///     hidden_size: 32,
///     intermediate_size: 32,
///     num_hidden_layers: 2,
///     num_attention_heads: 4,
///     num_key_value_heads: Some(2),
///     vocab_size: 50,
///     ..Default::default()
/// };
/// let config = Qwen2_5_VLConfig { text_config: Some(text_config), ..Default::default() };
/// let model = Qwen2_5_VLForConditionalGeneration::init(&config, &Device::flex())?;
/// let inputs = Qwen2_5_VLInputs { input_ids: &[vec![3, 1, 4, 1, 5]], ..Default::default() };
/// assert_eq!(model.last_hidden_state(&inputs)?.dims(), [1, 5, 32]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Qwen2_5_VLForConditionalGeneration {
    model: Parts,
    /// Gives scores to the next token, if the checkpoint has it.
    lm_head: Option<Linear>,
    #[module(skip)]
    generation: Option<GenerationFile>,
    #[module(skip)]
    config: Qwen2_5_VLConfig,
    #[module(skip)]
    text: Qwen2_5_VLTextConfig,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct Parts {
    language_model: LanguageModel,
    visual: Option<VisionTransformer>,
}

impl Model for Qwen2_5_VLForConditionalGeneration {
    type Config = Qwen2_5_VLConfig;

    const CLASS_NAME: &'static str = "Qwen2_5_VLForConditionalGeneration";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// In most checkpoints, `model` is the language model, beside what sees images.
    const OLD_KEY: OldKey = |key| {
        let key = key.strip_prefix("model.")?;
        let of_language_model = key.strip_prefix("language_model.").map(|key| format!("model.{key}"));
        Some(of_language_model.unwrap_or_else(|| key.to_owned()))
    };

    fn init(config: &Qwen2_5_VLConfig, device: &Device) -> Result<Self> {
        let config = config.resolved()?;
        let text = config.text_config.clone().expect("just resolved");
        let shape = text.shape();
        Ok(Self {
            model: Parts {
                language_model: LanguageModel::init(&shape, text.vocab_size, text.num_hidden_layers, device),
                visual: config.vision_config.as_ref().map(|vision| VisionTransformer::init(vision, device)),
            },
            lm_head: None,
            generation: None,
            config,
            text,
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &Qwen2_5_VLConfig {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    /// Files of the language model alone, such as those of llama.cpp, see no images.
    fn without_missing_parts(
        config: &Qwen2_5_VLConfig,
        has: &dyn Fn(&str) -> bool,
    ) -> Option<Qwen2_5_VLConfig> {
        let is_blind = config.vision_config.is_some() && !has("model.visual.") && !has("visual.");
        is_blind.then(|| Qwen2_5_VLConfig { vision_config: None, ..config.clone() })
    }

    fn with_parts_of(mut self, folder: &Folder, has: &dyn Fn(&str) -> bool) -> Result<Self> {
        self.generation = GenerationFile::read(folder, Self::CLASS_NAME)?;
        let (hidden, tokens) = (self.text.hidden_size, self.text.vocab_size);
        self.lm_head = has(LM_HEAD).then(|| Linear::init(hidden, tokens, false, &self.device()));
        Ok(self)
    }

    fn save_other_files(&self, folder: &Path) -> Result<()> {
        self.generation.as_ref().map_or(Ok(()), |file| file.write(folder))
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl Qwen2_5_VLForConditionalGeneration {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.model.language_model.device()
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.model.language_model.dtype()
    }

    /// Whether the model sees images: files of the language model alone do not have what that takes.
    pub fn has_vision(&self) -> bool {
        self.model.visual.is_some()
    }

    /// Embeds texts with images.
    ///
    /// # Errors
    /// When there are more tokens than positions, a token is not in the vocabulary, the mask has another shape, or images and
    /// their tokens do not fit each other.
    pub fn forward(&self, inputs: &Qwen2_5_VLInputs) -> Result<Qwen2_5_VLOutput> {
        let all: Vec<usize> = (0..=self.text.num_hidden_layers).collect();
        let hidden_states = self.hidden_states(inputs, &all)?;
        let last_hidden_state = hidden_states.last().expect("at least the embedding").clone();
        Ok(Qwen2_5_VLOutput { last_hidden_state, hidden_states })
    }

    /// The [`last_hidden_state`](Qwen2_5_VLOutput::last_hidden_state) alone.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub fn last_hidden_state(&self, inputs: &Qwen2_5_VLInputs) -> Result<Tensor<3>> {
        Ok(self.hidden_states(inputs, &[self.text.num_hidden_layers])?.remove(0))
    }

    /// Those of the [`hidden_states`](Qwen2_5_VLOutput::hidden_states) with these numbers, in ascending order. Layers after the last
    /// of them are not computed.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when there is no layer of a number or the numbers do not ascend.
    pub fn hidden_states(&self, inputs: &Qwen2_5_VLInputs, numbers: &[usize]) -> Result<Vec<Tensor<3>>> {
        check_numbers(numbers, self.text.num_hidden_layers)?;
        self.check(inputs)?;
        let device = self.device();
        call(Self::CLASS_NAME, &device, || self.embed(inputs, numbers, &device))
    }

    fn check(&self, inputs: &Qwen2_5_VLInputs) -> Result<()> {
        let (most, vocab_size) = (self.text.max_position_embeddings, self.text.vocab_size);
        check_input_ids(inputs.input_ids, inputs.attention_mask, most, vocab_size)?;
        inputs.check(self.config.image_token_id, self.config.vision_config.as_ref())
    }

    /// What the language model gets of images: `[squares, hidden_size]`, in the order of the images.
    ///
    /// # Errors
    /// When the model does not see images, or the patches are not those of images of these sizes.
    pub fn image_features(&self, images: &Qwen2VLImages) -> Result<Tensor<2>> {
        inputs::check_images(images, self.config.vision_config.as_ref())?;
        call(Self::CLASS_NAME, &self.device(), || self.see(images))
    }

    fn see(&self, images: &Qwen2VLImages) -> Result<Tensor<2>> {
        let visual = self.model.visual.as_ref().expect("checked");
        visual.forward(images.pixel_values.clone(), &images.image_grid_thw)
    }

    /// The layers of the language model, and the norm after them.
    fn layers(&self) -> Layers<'_> {
        self.model.language_model.layers()
    }

    fn embed(&self, inputs: &Qwen2_5_VLInputs, numbers: &[usize], device: &Device) -> Result<Vec<Tensor<3>>> {
        let x = self.embed_tokens(inputs, device)?;
        let tokens = inputs.input_ids[0].len();
        let angles = match (inputs.images, inputs.mm_token_type_ids) {
            (Some(images), Some(types)) => {
                let vision = self.config.vision_config.as_ref().expect("checked");
                let merge_size = vision.spatial_merge_size;
                let positions = positions(types, inputs.attention_mask, &images.image_grid_thw, merge_size)?;
                angles(&self.text, &positions)?
            }
            _ => text_angles(self.text.rope_theta()?, self.text.head_dim(), tokens),
        };
        let rows = angles.len() / (self.text.head_dim() / 2);
        let rotary = RotaryEmbedding::new(&angles, rows, Pairs::Halves, device);
        let hidden = inputs.attention_mask.and_then(|mask| HiddenTokens::of(mask, device));
        let hidden = Hidden { usual: hidden, ..Default::default() };
        language_model::hidden_states((self, &self.placement, Self::layers), x, &rotary, &hidden, numbers)
    }

    /// The embedding of texts and images, `[batch, tokens, hidden_size]`.
    fn embed_tokens(&self, inputs: &Qwen2_5_VLInputs, device: &Device) -> Result<Tensor<3>> {
        let x = self.model.language_model.embed(inputs.input_ids, device);
        match inputs.images {
            Some(images) => Ok(self.with_images(x, inputs.input_ids, self.see(images)?)),
            None => Ok(x),
        }
    }

    /// The embedding `[batch, tokens, hidden_size]` with `seen` `[squares, hidden_size]` in the place of the tokens of images.
    fn with_images(&self, x: Tensor<3>, input_ids: &[Vec<u32>], seen: Tensor<2>) -> Tensor<3> {
        let dims @ [batch, tokens, hidden] = x.dims();
        let (x, seen) = (x.reshape([batch * tokens, hidden]), seen.cast(self.dtype()));
        // Rows of the texts, or those of the images behind them.
        let mut next = batch * tokens;
        let rows = input_ids.iter().flatten().enumerate().map(|(row, id)| {
            if *id != self.config.image_token_id {
                return row as i64;
            }
            next += 1;
            next as i64 - 1
        });
        let rows = TensorData::new(rows.collect::<Vec<i64>>(), [batch * tokens]);
        let rows = Tensor::<1, Int>::from_data(rows, &x.device());
        Tensor::cat(vec![x, seen], 0).select(0, rows).reshape(dims)
    }
}
