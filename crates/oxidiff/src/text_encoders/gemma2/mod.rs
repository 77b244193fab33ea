//! The language model Gemma 2 (Gemma Team 2024, <https://arxiv.org/abs/2408.00118>) as a text encoder.

mod config;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

pub use self::config::Gemma2Config;
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::linear::Embedding;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, text_angles};
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;
use crate::text_encoders::language_model::{self, DecoderLayer, Hidden, Layers, embedding_methods};

/// The result of a [`Gemma2Model`].
#[derive(Clone, Debug)]
pub struct Gemma2Output {
    /// The last layer's result after the final norm, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The embedding, then the result of each layer; the last one is after the final norm.
    pub hidden_states: Vec<Tensor<3>>,
}

/// Embeds a text, each token in the light of those before it. In every other layer, it sees only the nearest of them.
///
/// ```
/// use oxidiff::{Device, Gemma2Config, Gemma2Model, Model};
///
/// let config = Gemma2Config {
///     hidden_size: 16,
///     intermediate_size: 32,
///     num_hidden_layers: 2,
///     num_attention_heads: 4,
///     num_key_value_heads: 2,
///     head_dim: 8,
///     vocab_size: 50,
///     ..Default::default()
/// };
/// let model = Gemma2Model::init(&config, &Device::flex())?;
/// let output = model.forward(&[vec![2, 3, 1, 4, 5]], None)?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 5, 16]);
/// assert_eq!(output.hidden_states.len(), 3);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Gemma2Model {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    #[module(skip)]
    config: Gemma2Config,
    #[module(skip)]
    placement: Placement,
}

impl Model for Gemma2Model {
    type Config = Gemma2Config;

    const CLASS_NAME: &'static str = "Gemma2Model";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// The model that also predicts the next token holds this one.
    const FORMER_CLASS_NAMES: &'static [&'static str] = &["Gemma2ForCausalLM"];

    /// In a checkpoint of that model, this one is in a field `model`.
    const OLD_KEY: OldKey = |key| Some(format!("model.{key}"));

    fn init(config: &Gemma2Config, device: &Device) -> Result<Self> {
        config.check()?;
        let shape = config.shape();
        Ok(Self {
            embed_tokens: Embedding::init(config.vocab_size, config.hidden_size, device),
            layers: (0..config.num_hidden_layers).map(|_| DecoderLayer::init(&shape, device)).collect(),
            norm: RmsNorm::init_centered(config.hidden_size, config.rms_norm_eps, device),
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &Gemma2Config {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

embedding_methods!(Gemma2Model, Gemma2Output);

impl Gemma2Model {
    /// The layers of the language model, and the norm after them.
    fn layers(&self) -> Layers<'_> {
        (&self.layers, &self.norm)
    }

    fn embed(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
        numbers: &[usize],
        device: &Device,
    ) -> Result<Vec<Tensor<3>>> {
        let tokens = input_ids[0].len();
        let x = self.embed_tokens.of_texts(input_ids, device);
        // The factor has the type of the weights: in `bf16`, it is rounded.
        let factor =
            Tensor::<3>::full([1, 1, 1], (self.config.hidden_size as f64).sqrt(), (device, DType::F32));
        let x = x.clone() * factor.cast(x.dtype());
        let angles = text_angles(self.config.rope_theta()?, self.config.head_dim, tokens);
        let rotary = RotaryEmbedding::new(&angles, tokens, Pairs::Halves, device);
        let all = vec![vec![1; tokens]; input_ids.len()];
        let mask = attention_mask.unwrap_or(&all);
        let windows = self.config.windows()?;
        let outside = |window| HiddenTokens::outside(mask, window, device).map(HiddenTokens::averaging);
        let has_window: Vec<bool> = windows.iter().map(|window| *window < tokens).collect();
        let slides = has_window.contains(&true);
        let hidden = Hidden {
            usual: outside(usize::MAX),
            in_window: self.config.sliding_window.filter(|_| slides).and_then(outside),
            has_window: &has_window,
        };
        language_model::hidden_states((self, &self.placement, Self::layers), x, &rotary, &hidden, numbers)
    }
}
