//! The language model Gemma 2 (Gemma Team 2024, <https://arxiv.org/abs/2408.00118>) as a text encoder.

mod config;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use oxidiff_kernels::Pairs;

pub use self::config::Gemma2Config;
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::linear::Embedding;
use crate::models::layers::normalization::RmsNorm;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, text_angles};
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::text_encoders::input_ids::check_input_ids;
use crate::text_encoders::language_model::{self, DecoderLayer, check_numbers};

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
        })
    }

    fn config(&self) -> &Gemma2Config {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    compiled_with_the_library!();
}

impl Gemma2Model {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.norm.weight.val().device()
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.norm.weight.val().dtype()
    }

    /// Embeds `input_ids` `[batch, tokens]`. With `attention_mask`, of the same shape, no token sees those whose value is 0.
    ///
    /// # Errors
    /// When there are more tokens than positions, a token is not in the vocabulary, or the mask has another shape.
    pub fn forward(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
    ) -> Result<Gemma2Output> {
        let all: Vec<usize> = (0..=self.config.num_hidden_layers).collect();
        let hidden_states = self.hidden_states(input_ids, attention_mask, &all)?;
        let last_hidden_state = hidden_states.last().expect("at least the embedding").clone();
        Ok(Gemma2Output { last_hidden_state, hidden_states })
    }

    /// Those of the [`hidden_states`](Gemma2Output::hidden_states) with these numbers, in ascending order. Layers after the last of
    /// them are not computed.
    ///
    /// # Errors
    /// As for [`Self::forward`], and when there is no layer of a number or the numbers do not ascend.
    pub fn hidden_states(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
        numbers: &[usize],
    ) -> Result<Vec<Tensor<3>>> {
        check_numbers(numbers, self.config.num_hidden_layers)?;
        let (most, vocab_size) = (self.config.max_position_embeddings, self.config.vocab_size);
        check_input_ids(input_ids, attention_mask, most, vocab_size)?;
        let device = self.device();
        call(Self::CLASS_NAME, &device, || self.embed(input_ids, attention_mask, numbers, &device))
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
        let hidden = outside(usize::MAX);
        let slides = windows.iter().any(|window| *window < tokens);
        let hidden_in_window = self.config.sliding_window.filter(|_| slides).and_then(outside);
        let hidden = |layer: usize| match windows[layer] < tokens {
            true => hidden_in_window.as_ref(),
            false => hidden.as_ref(),
        };
        let layers = (self.layers.as_slice(), &self.norm);
        Ok(language_model::hidden_states(x, layers, &rotary, hidden, numbers))
    }
}
