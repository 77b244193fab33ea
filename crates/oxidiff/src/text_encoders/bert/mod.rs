//! BERT (Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>) as a text encoder.
#![expect(non_snake_case, reason = "`LayerNorm` is a key in checkpoints")]

mod config;
mod layer;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor};

pub use self::config::BertConfig;
use self::layer::Layer;
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::call::call;
use crate::models::layers::linear::{Embedding, Linear};
use crate::models::layers::normalization::LayerNorm;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::{CallTensors, Placement};
use crate::text_encoders::hidden_tokens::{flags, hidden_tokens, key_mask};
use crate::text_encoders::input_ids::check_input_ids;

/// The result of a [`BertModel`].
#[derive(Clone, Debug)]
pub struct BertOutput {
    /// A vector for each token, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// A vector for each text, made of that of its first token, `[batch, hidden_size]`.
    pub pooler_output: Tensor<2>,
}

/// Embeds a text, each token in the light of all the others.
///
/// ```
/// use oxidiff::{BertConfig, BertModel, Device, Model};
///
/// let config = BertConfig {
///     hidden_size: 16,
///     intermediate_size: 32,
///     num_attention_heads: 2,
///     num_hidden_layers: 2,
///     vocab_size: 50,
///     ..Default::default()
/// };
/// let model = BertModel::init(&config, &Device::flex())?;
/// let output = model.forward(&[vec![3, 1, 4, 1, 5]], None)?;
/// assert_eq!(output.last_hidden_state.dims(), [1, 5, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct BertModel {
    embeddings: Embeddings,
    encoder: Encoder,
    pooler: Pooler,
    #[module(skip)]
    config: BertConfig,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    LayerNorm: LayerNorm,
}

#[derive(Module, Debug)]
struct Encoder {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Pooler {
    dense: Linear,
}

impl Model for BertModel {
    type Config = BertConfig;

    const CLASS_NAME: &'static str = "BertModel";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// Files from before transformers have the names of TensorFlow for what a norm scales and adds.
    const OLD_KEY: OldKey = |key| {
        let norm = |suffix: &str| key.strip_suffix(suffix).filter(|name| name.ends_with("LayerNorm"));
        let scale = norm(".weight").map(|name| format!("{name}.gamma"));
        scale.or_else(|| norm(".bias").map(|name| format!("{name}.beta")))
    };

    /// What predicts words and sentences in training.
    const UNUSED_WEIGHTS: &'static [&'static str] = &["cls."];

    fn init(config: &BertConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let hidden = config.hidden_size;
        let table = |rows| Embedding::init_scaled(rows, hidden, config.initializer_range, device);
        let pooler = Linear::init(hidden, hidden, true, device);
        Ok(Self {
            embeddings: Embeddings {
                word_embeddings: table(config.vocab_size),
                position_embeddings: table(config.max_position_embeddings),
                token_type_embeddings: table(config.type_vocab_size),
                LayerNorm: LayerNorm::init(hidden, config.layer_norm_eps, device),
            },
            encoder: Encoder {
                layer: (0..config.num_hidden_layers).map(|_| Layer::init(config, device)).collect(),
            },
            pooler: Pooler { dense: pooler.with_normal_weights(config.initializer_range) },
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &BertConfig {
        &self.config
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl BertModel {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.embeddings.LayerNorm.weight.val().device()
    }

    /// The element type of the weights, and of the result.
    pub fn dtype(&self) -> DType {
        self.embeddings.LayerNorm.weight.val().dtype()
    }

    /// Embeds `input_ids` `[batch, tokens]`, all of the first type. With `attention_mask`, of the same shape, no token sees those whose
    /// value is 0.
    ///
    /// # Errors
    /// When there are more tokens than positions, a token is not in the vocabulary, or the mask has another shape or hides a whole text.
    pub fn forward(&self, input_ids: &[Vec<u32>], attention_mask: Option<&[Vec<u32>]>) -> Result<BertOutput> {
        let (most, vocabulary) = (self.config.max_position_embeddings, self.config.vocab_size);
        let tokens = check_input_ids(input_ids, attention_mask, most, vocabulary)?;
        let hidden = attention_mask.map(hidden_tokens).transpose()?.flatten();
        let device = self.device();
        call(Self::CLASS_NAME, &device, || {
            let Embeddings { word_embeddings, position_embeddings, token_type_embeddings, LayerNorm } =
                &self.embeddings;
            let positions = Tensor::<1, Int>::arange(0..tokens as i64, &device).unsqueeze_dim(0);
            let first_type = token_type_embeddings.rows(&[0], "token_type_ids", &device)?;
            let x = word_embeddings.of_texts(input_ids, &device)
                + first_type.unsqueeze_dim::<3>(0)
                + position_embeddings.forward(positions);
            let tensors = CallTensors {
                tokens: vec![LayerNorm.forward(x)],
                rows: hidden.iter().map(|hidden| flags(hidden, &device)).collect(),
                ..Default::default()
            };
            let last_hidden_state = self.placement.tokens(self, "", tensors, |model, mut tensors| {
                let mask = tensors.rows.pop().map(key_mask);
                let x = tensors.tokens.pop().expect("the embedded texts were given");
                model.encoder.layer.iter().fold(x, |x, layer| layer.forward(x, mask.as_ref()))
            })?;
            let first = last_hidden_state.clone().narrow(1, 0, 1).squeeze_dim::<2>(1);
            Ok(BertOutput { pooler_output: self.pooler.dense.forward(first).tanh(), last_hidden_state })
        })
    }
}
