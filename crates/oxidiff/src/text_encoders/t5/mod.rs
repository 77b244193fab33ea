//! The encoder of T5 (Raffel et al. 2020, <https://arxiv.org/abs/1910.10683>) as a text encoder.

mod attention;
mod config;
mod feed_forward;
mod relative_position;
mod stack;
mod umt5;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub use self::config::T5Config;
use self::stack::Stack;
pub use self::umt5::{UMT5Config, UMT5EncoderModel};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::linear::Embedding;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::text_encoders::hidden_tokens::{flags, hidden_tokens, key_mask};
use crate::text_encoders::input_ids::check_input_ids;

/// The result of a [`T5EncoderModel`].
#[derive(Clone, Debug)]
pub struct T5EncoderOutput {
    /// A vector for each token, `[batch, tokens, d_model]`.
    pub last_hidden_state: Tensor<3>,
}

/// Embeds a text, each token in the light of all the others.
///
/// In `f16`, the sums of layers are kept in `f32`: large models leave the range of `f16`.
///
/// ```
/// use oxidiff::{Device, Model, T5Config, T5EncoderModel};
///
/// let config = T5Config {
///     d_model: 16,
///     d_ff: 32,
///     d_kv: 4,
///     num_heads: 4,
///     num_layers: 2,
///     vocab_size: 50,
///     feed_forward_proj: "gated-gelu".into(),
///     ..Default::default()
/// };
/// let model = T5EncoderModel::init(&config, &Device::flex())?;
/// let output = model.forward(&[vec![3, 1, 4, 1, 5]], None)?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 5, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct T5EncoderModel {
    shared: Embedding,
    encoder: Stack,
    #[module(skip)]
    config: T5Config,
    #[module(skip)]
    placement: Placement,
}

impl Model for T5EncoderModel {
    type Config = T5Config;

    const CLASS_NAME: &'static str = "T5EncoderModel";
    /// The encoder of mT5 (Xue et al. 2020, <https://arxiv.org/abs/2010.11934>) is the same with another vocabulary.
    const FORMER_CLASS_NAMES: &'static [&'static str] = &["MT5EncoderModel"];
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// Some files have the embedding only as a part of the encoder.
    const OLD_KEY: OldKey = |key| (key == "shared.weight").then(|| "encoder.embed_tokens.weight".to_owned());

    fn init(config: &T5Config, device: &Device) -> Result<Self> {
        config.check()?;
        Ok(Self {
            shared: Embedding::init(config.vocab_size, config.d_model, device),
            encoder: Stack::init(config, false, device)?,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &T5Config {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl T5EncoderModel {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.encoder.final_layer_norm.weight.val().device()
    }

    /// The element type of the weights, and of the result.
    pub fn dtype(&self) -> DType {
        self.encoder.final_layer_norm.weight.val().dtype()
    }

    /// Embeds `input_ids` `[batch, tokens]`. With `attention_mask`, of the same shape, no token sees those whose value is 0.
    ///
    /// # Errors
    /// When a token is not in the vocabulary, or the mask has another shape or hides a whole text.
    pub fn forward(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
    ) -> Result<T5EncoderOutput> {
        check_input_ids(input_ids, attention_mask, usize::MAX, self.config.vocab_size)?;
        let hidden = attention_mask.map(hidden_tokens).transpose()?.flatten();
        let device = self.device();
        call(Self::CLASS_NAME, &device, || {
            let tensors = CallTensors {
                tokens: vec![self.shared.of_texts(input_ids, &device)],
                rows: hidden.iter().map(|hidden| flags(hidden, &device)).collect(),
                ..Default::default()
            };
            let last_hidden_state = self.placement.tokens(self, "", tensors, |model, mut tensors| {
                let x = tensors.tokens.pop().expect("the embedded texts were given");
                model.encoder.forward(x, tensors.rows.pop().map(key_mask))
            })?;
            Ok(T5EncoderOutput { last_hidden_state })
        })
    }
}
