//! Mistral 3 (Mistral AI 2025, <https://mistral.ai/news/mistral-small-3-1>), a language model that sees images, as an encoder of
//! texts. Its layers are those of Mistral 7B (Jiang et al. 2023, <https://arxiv.org/abs/2310.06825>).

mod config;
mod generate;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use oxidiff_kernels::Pairs;

pub use self::config::{Mistral3Config, MistralConfig};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::weights::OldKey;
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::linear::Linear;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, text_angles};
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;
use crate::text_encoders::language_model::{
    self, GenerationFile, Hidden, LM_HEAD, LanguageModel, Layers, embedding_methods,
};

/// The result of a [`Mistral3ForConditionalGeneration`].
#[derive(Clone, Debug)]
pub struct Mistral3Output {
    /// The last layer's result after the final norm, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The embedding, then the result of each layer; the last one is after the final norm.
    pub hidden_states: Vec<Tensor<3>>,
}

/// Embeds a text, each token in the light of those before it, and writes texts: see [`Self::generate`]. What sees images is not loaded.
///
/// ```
/// use oxidiff::{Device, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, Model};
///
/// let text_config = MistralConfig {
///     hidden_size: 16,
///     intermediate_size: 32,
///     num_hidden_layers: 2,
///     num_attention_heads: 4,
///     num_key_value_heads: Some(2),
///     head_dim: Some(8),
///     vocab_size: 50,
///     ..Default::default()
/// };
/// let config = Mistral3Config { text_config, ..Default::default() };
/// let model = Mistral3ForConditionalGeneration::init(&config, &Device::flex())?;
/// let output = model.forward(&[vec![3, 1, 4, 1, 5]], None)?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 5, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Mistral3ForConditionalGeneration {
    model: Parts,
    /// Gives scores to the next token, if the checkpoint has it.
    lm_head: Option<Linear>,
    #[module(skip)]
    generation: Option<GenerationFile>,
    #[module(skip)]
    config: Mistral3Config,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct Parts {
    language_model: LanguageModel,
}

impl Model for Mistral3ForConditionalGeneration {
    type Config = Mistral3Config;

    const CLASS_NAME: &'static str = "Mistral3ForConditionalGeneration";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// In files, the language model is a whole one, which predicts tokens, and holds this one in its field `model`.
    const OLD_KEY: OldKey = |key| match key.strip_prefix("model.language_model.") {
        Some(rest) => Some(format!("language_model.model.{rest}")),
        None => key.starts_with(LM_HEAD).then(|| format!("language_model.{key}")),
    };

    const UNUSED_WEIGHTS: &'static [&'static str] =
        &["vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector."];

    fn init(config: &Mistral3Config, device: &Device) -> Result<Self> {
        config.check()?;
        let text = &config.text_config;
        let shape = text.shape();
        let language_model = LanguageModel::init(&shape, text.vocab_size, text.num_hidden_layers, device);
        Ok(Self {
            model: Parts { language_model },
            lm_head: None,
            generation: None,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &Mistral3Config {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    fn with_parts_of(mut self, folder: &Folder, has: &dyn Fn(&str) -> bool) -> Result<Self> {
        self.generation = GenerationFile::read(folder, Self::CLASS_NAME)?;
        let text = &self.config.text_config;
        let has_head = has(LM_HEAD) || has("language_model.lm_head.");
        let head = || Linear::init(text.hidden_size, text.vocab_size, false, &self.device());
        self.lm_head = has_head.then(head);
        Ok(self)
    }

    fn save_other_files(&self, folder: &Path) -> Result<()> {
        self.generation.as_ref().map_or(Ok(()), |file| file.write(folder))
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

embedding_methods!(
    Mistral3ForConditionalGeneration,
    Mistral3Output,
    [model.language_model.norm],
    [config.text_config]
);

impl Mistral3ForConditionalGeneration {
    /// The layers of the language model, and the norm after them.
    fn layers(&self) -> Layers<'_> {
        self.model.language_model.layers()
    }

    fn embed(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
        numbers: &[usize],
        device: &Device,
    ) -> Result<Vec<Tensor<3>>> {
        let tokens = input_ids[0].len();
        let x = self.model.language_model.embed(input_ids, device);
        let text = &self.config.text_config;
        let angles = text_angles(text.rope_theta()?, text.head_dim(), tokens);
        let rotary = RotaryEmbedding::new(&angles, tokens, Pairs::Halves, device);
        let window = text.sliding_window.unwrap_or(usize::MAX);
        let hidden = match attention_mask {
            Some(mask) => HiddenTokens::outside(mask, window, device),
            None => HiddenTokens::outside(&vec![vec![1; tokens]; input_ids.len()], window, device),
        };
        let hidden = Hidden { usual: hidden, ..Default::default() };
        language_model::hidden_states((self, &self.placement, Self::layers), x, &rotary, &hidden, numbers)
    }
}
