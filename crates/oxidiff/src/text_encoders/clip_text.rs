//! The text encoder of CLIP (Radford et al. 2021, <https://arxiv.org/abs/2103.00020>).

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::input_ids::check_input_ids;
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::weights::OldKey;
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::call::call;
use crate::models::layers::clip_encoder::{ClipEncoder, ClipShape, Visible};
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::{Embedding, Linear};
use crate::models::layers::low_rank::{LowRankTarget, inside};
use crate::models::layers::normalization::LayerNorm;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};
use crate::models::on_cards::computes_on_cards;
#[cfg(feature = "cuda")]
use crate::models::placement::Operand;
use crate::models::placement::Placement;

/// The configuration of a [`CLIPTextModel`]; fields and defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct CLIPTextConfig {
    pub architectures: Option<Vec<String>>,
    pub attention_dropout: f64,
    pub bos_token_id: Option<i64>,
    pub eos_token_id: Option<i64>,
    pub hidden_act: HiddenActivation,
    pub hidden_size: usize,
    pub initializer_factor: f64,
    pub initializer_range: f64,
    pub intermediate_size: usize,
    pub layer_norm_eps: f64,
    pub max_position_embeddings: usize,
    pub model_type: String,
    pub num_attention_heads: usize,
    pub num_hidden_layers: usize,
    pub pad_token_id: Option<i64>,
    pub projection_dim: Option<usize>,
    /// Whether pipelines mask the padding of a prompt.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_attention_mask: bool,
    pub vocab_size: usize,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for CLIPTextConfig {
    fn default() -> Self {
        Self {
            architectures: Some(vec!["CLIPTextModel".into()]),
            attention_dropout: 0.0,
            bos_token_id: Some(49406),
            eos_token_id: Some(49407),
            hidden_act: HiddenActivation::QuickGelu,
            hidden_size: 512,
            initializer_factor: 1.0,
            initializer_range: 0.02,
            intermediate_size: 2048,
            layer_norm_eps: 1e-5,
            max_position_embeddings: 77,
            model_type: "clip_text_model".into(),
            num_attention_heads: 8,
            num_hidden_layers: 12,
            pad_token_id: Some(1),
            projection_dim: Some(512),
            use_attention_mask: false,
            vocab_size: 49408,
            other: Map::new(),
        }
    }
}

impl CLIPTextConfig {
    /// The part of a configuration that is about texts: all of it, unless it is that of a whole CLIP.
    pub(super) fn of_text_half(config: &Config) -> Result<Config> {
        match config.get("text_config") {
            Some(text) => Config::parse(text.to_string().as_bytes(), config.origin()),
            None => Ok(config.clone()),
        }
    }

    fn shape(&self) -> ClipShape {
        ClipShape {
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            norm_epsilon: self.layer_norm_eps,
            initializer_factor: self.initializer_factor,
        }
    }
}

/// The result of a [`CLIPTextModel`].
#[derive(Clone, Debug)]
pub struct CLIPTextOutput {
    /// The last layer's result after the final norm, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The embedding, then the result of each layer, all before the final norm.
    pub hidden_states: Vec<Tensor<3>>,
    /// `last_hidden_state` at the end of each text, `[batch, hidden_size]`.
    pub pooler_output: Tensor<2>,
}

/// Embeds a text so that a UNet can attend to it.
#[derive(Module, Debug)]
pub struct CLIPTextModel {
    embeddings: TextEmbeddings,
    encoder: ClipEncoder,
    final_layer_norm: LayerNorm,
    #[module(skip)]
    config: CLIPTextConfig,
    #[module(skip)]
    adapters: Adapters,
    #[module(skip)]
    placement: Placement,
}

#[derive(Module, Debug)]
struct TextEmbeddings {
    token_embedding: Embedding,
    position_embedding: Embedding,
}

impl Model for CLIPTextModel {
    type Config = CLIPTextConfig;

    const CLASS_NAME: &'static str = "CLIPTextModel";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    /// Before transformers 5, the whole model was in a field `text_model`.
    const OLD_KEY: OldKey = |key| Some(format!("text_model.{key}"));

    fn init(config: &CLIPTextConfig, device: &Device) -> Result<Self> {
        check(config)?;
        let hidden = config.hidden_size;
        // As transformers draws them, whatever `initializer_range` says.
        let table =
            |entries| Embedding::init_scaled(entries, hidden, 0.02 * config.initializer_factor, device);
        Ok(Self {
            embeddings: TextEmbeddings {
                token_embedding: table(config.vocab_size),
                position_embedding: table(config.max_position_embeddings),
            },
            encoder: ClipEncoder::init(&config.shape(), device),
            final_layer_norm: LayerNorm::init(hidden, config.layer_norm_eps, device),
            config: config.clone(),
            adapters: Adapters::default(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &CLIPTextConfig {
        &self.config
    }

    computes_on_cards!();

    /// The configuration of a whole CLIP contains that of its text encoder as `text_config`.
    fn from_config(config: &Config, device: &Device) -> Result<Self> {
        let (typed, _) = CLIPTextConfig::of_text_half(config)?.resolve::<CLIPTextConfig>(Self::CLASS_NAME)?;
        Self::init(&typed, device).map_err(|error| error.in_file(config.origin()))
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    compiled_with_the_library!();
}

impl Adaptable for CLIPTextModel {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl LowRankTarget for CLIPTextModel {
    fn attention_projections_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        Ok(inside("encoder", self.encoder.attention_projections_mut()).collect())
    }
}

impl CLIPTextModel {
    /// Length of an embedding.
    pub(crate) fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }

    /// Gives the tokens `ids` the embeddings `[ids, hidden_size]`; the table then has `vocab_size` rows.
    ///
    /// # Errors
    /// When there are tokens besides `ids` without a row in the table.
    pub(crate) fn add_embeddings(
        &mut self,
        ids: &[u32],
        vocab_size: usize,
        embeddings: Tensor<2>,
    ) -> Result<()> {
        let table = &self.embeddings.token_embedding.weight;
        let [rows, _] = table.dims();
        let kept = vocab_size - ids.len();
        let contiguous = ids.iter().enumerate().all(|(index, id)| *id as usize == kept + index);
        if kept > rows || !contiguous {
            let message = format!("is {rows}, but the tokenizer has {kept} tokens");
            return Err(Error::config("text_encoder/config.json", "vocab_size", message));
        }
        let joined = Tensor::cat(vec![table.val().narrow(0, 0, kept), embeddings], 0);
        self.embeddings.token_embedding.weight = Param::initialized(table.id, joined);
        self.config.vocab_size = vocab_size;
        Ok(())
    }

    /// The embeddings of some tokens, `[tokens, hidden_size]`.
    pub(crate) fn token_embeddings(&self, tokens: &[usize]) -> Result<Tensor<2>> {
        self.embeddings.token_embedding.rows(tokens, "tokens", &self.device())
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.final_layer_norm.weight.val().device()
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.final_layer_norm.weight.val().dtype()
    }

    /// Embeds `input_ids` `[batch, tokens]`. With `attention_mask`, of the same shape, tokens whose value is 0 are
    /// masked.
    ///
    /// # Errors
    /// When there are more tokens than positions, a token is not in the vocabulary, or the mask has another shape.
    pub fn forward(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
    ) -> Result<CLIPTextOutput> {
        let (most, vocab_size) = (self.config.max_position_embeddings, self.config.vocab_size);
        let tokens = check_input_ids(input_ids, attention_mask, most, vocab_size)?;
        let device = self.final_layer_norm.weight.val().device();
        call(Self::CLASS_NAME, &device, || self.embed(input_ids, tokens, attention_mask, &device))
    }

    fn embed(
        &self,
        input_ids: &[Vec<u32>],
        tokens: usize,
        attention_mask: Option<&[Vec<u32>]>,
        device: &Device,
    ) -> Result<CLIPTextOutput> {
        let batch = input_ids.len();

        let ids: Vec<i64> = input_ids.iter().flatten().map(|&id| i64::from(id)).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch, tokens]), device);
        let positions = Tensor::<1, Int>::arange(0..tokens as i64, device).unsqueeze_dim(0);
        let hidden = self.embeddings.token_embedding.forward(ids)
            + self.embeddings.position_embedding.forward(positions);

        let mask = attention_mask.map(|mask| self.combine_with_causal(mask, tokens, device));
        let visible = mask.map_or(Visible::Earlier, Visible::ButFor);
        let mut hidden_states = self.encode(hidden, &visible)?;
        let last_hidden_state = hidden_states.pop().expect("the last layer's result");

        let ends = input_ids.iter().map(|ids| self.end_of_text(ids)).enumerate().map(|(item, end)| {
            last_hidden_state.clone().narrow(0, item, 1).narrow(1, end, 1).squeeze_dim::<2>(1)
        });
        let pooler_output = Tensor::cat(ends.collect(), 0);
        Ok(CLIPTextOutput { last_hidden_state, hidden_states, pooler_output })
    }

    /// The embedding and the result of each layer, then that of the last layer after the final norm.
    fn encode(&self, hidden: Tensor<3>, visible: &Visible) -> Result<Vec<Tensor<3>>> {
        let encode = |model: &Self, hidden, visible: &Visible| {
            let mut states = model.encoder.forward(hidden, visible);
            states.push(model.final_layer_norm(states[states.len() - 1].clone()));
            states
        };
        // A mask is part of what is recorded, so a text with one is encoded on the CPU.
        #[cfg(feature = "cuda")]
        if self.placement.is_card() && matches!(visible, Visible::Earlier) {
            let first = hidden.clone();
            let states = self.placement.call(self, "encode", &[hidden.into()], &[], |model, inputs| {
                let [hidden]: [Operand; 1] = inputs.try_into().expect("one input");
                let states = encode(model, hidden.into_tokens(), &Visible::Earlier);
                // The first is the input.
                Ok(states.into_iter().skip(1).map(Operand::from).collect())
            })?;
            return Ok([first].into_iter().chain(states.into_iter().map(Operand::into_tokens)).collect());
        }
        Ok(encode(self, hidden, visible))
    }

    /// The norm after the last layer, for use with the result of an earlier layer.
    pub fn final_layer_norm(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.final_layer_norm.forward(hidden)
    }

    /// `true` for masked tokens: later ones, and those that `mask` hides.
    fn combine_with_causal(&self, mask: &[Vec<u32>], tokens: usize, device: &Device) -> Tensor<4, Bool> {
        let heads = self.config.num_attention_heads;
        let hidden: Vec<bool> = mask
            .iter()
            .flat_map(|row| {
                (0..heads * tokens)
                    .flat_map(move |query| (0..tokens).map(move |key| key > query % tokens || row[key] == 0))
            })
            .collect();
        Tensor::from_data(TensorData::new(hidden, [mask.len(), heads, tokens, tokens]), device)
    }

    /// The end of a text. Configurations written before transformers 4.31 name a wrong end token (2); with these, the token with
    /// the highest number is the end.
    fn end_of_text(&self, ids: &[u32]) -> usize {
        let found = match self.config.eos_token_id {
            Some(2) | None => {
                let highest = ids.iter().max();
                ids.iter().position(|id| Some(id) == highest)
            }
            Some(end) => ids.iter().position(|&id| i64::from(id) == end),
        };
        found.unwrap_or(0)
    }
}

fn check(config: &CLIPTextConfig) -> Result<()> {
    let invalid = |field: &str, message: String| Err(Error::config("", field, message));
    for (field, value) in
        [("vocab_size", config.vocab_size), ("max_position_embeddings", config.max_position_embeddings)]
    {
        if value == 0 {
            return invalid(field, "must not be 0".into());
        }
    }
    config.shape().check()
}
