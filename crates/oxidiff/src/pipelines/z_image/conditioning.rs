//! From prompts to the hidden states that the transformer reads.

use burn::tensor::Tensor;

use super::components::ZImageComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::arguments::check_images;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::{conversation, embed_each, warn_of_truncation};
use crate::pipelines::common::text::prompts::{broadcast, count_texts};
use crate::text_encoders::Qwen2Tokenizer;
use crate::wording::counted;

/// The hidden states of a text's parts, `[tokens, features]`. It is one part, unless images are part of it.
pub(super) type Caption = Vec<Tensor<2>>;

/// How an embedded text can be given.
pub(super) trait AsCaption {
    fn caption(&self) -> Caption;
}

impl AsCaption for Tensor<2> {
    fn caption(&self) -> Caption {
        vec![self.clone()]
    }
}

impl AsCaption for Caption {
    fn caption(&self) -> Caption {
        self.clone()
    }
}

/// Embedded texts as they are given.
pub(super) fn captions<T: AsCaption>(embeds: Option<&[T]>) -> Option<Vec<Caption>> {
    embeds.map(|embeds| embeds.iter().map(AsCaption::caption).collect())
}

/// The words around a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wording {
    /// Those of the tokenizer's chat template.
    Chat,
    /// Those around a prompt that so many images are part of.
    Around(usize),
}

impl Wording {
    /// The parts of a prompt with the words around it.
    fn parts(self, tokenizer: &Qwen2Tokenizer, prompt: &str) -> Result<Vec<String>> {
        const USER: &str = "<|im_start|>user\n";
        const ASSISTANT: &str = "<|im_end|>\n<|im_start|>assistant\n";
        const IMAGE: [&str; 2] = ["<|vision_start|>", "<|vision_end|>"];
        let [start, end] = IMAGE;
        Ok(match self {
            Self::Chat => vec![conversation(tokenizer, prompt, true)?],
            Self::Around(0) => vec![format!("{USER}{prompt}{ASSISTANT}")],
            Self::Around(images) => {
                let between = std::iter::repeat_n(format!("{end}{start}"), images - 1);
                let last = [format!("{end}{prompt}{ASSISTANT}{start}"), format!("{end}<|im_end|>")];
                [format!("{USER}{start}")].into_iter().chain(between).chain(last).collect()
            }
        })
    }
}

/// The texts of a call, or the embeddings that replace them.
#[derive(Clone, Debug)]
pub(super) struct Prompts<'a> {
    pub prompt: &'a [String],
    pub negative_prompt: &'a [String],
    pub prompt_embeds: Option<Vec<Caption>>,
    pub negative_prompt_embeds: Option<Vec<Caption>>,
    pub num_images_per_prompt: usize,
    pub max_sequence_length: usize,
}

/// The hidden states of the texts for each image.
#[derive(Clone, Debug)]
pub(super) struct Captions {
    pub positive: Vec<Caption>,
    /// With guidance, those of the negative prompts; otherwise empty.
    pub negative: Vec<Caption>,
}

impl Captions {
    /// All parts of all texts.
    pub fn parts(&self) -> impl Iterator<Item = &Tensor<2>> {
        self.positive.iter().chain(&self.negative).flatten()
    }
}

impl Prompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of prompts.
    fn count(&self) -> Result<usize> {
        let prompts = count_texts(
            [self.prompt, self.negative_prompt],
            self.prompt_embeds.as_ref().map(Vec::len),
            self.negative_prompt_embeds.is_some(),
        )?;
        if let Some(embeds) = self.negative_prompt_embeds.as_ref().filter(|embeds| embeds.len() != prompts) {
            let message = format!("got {} for {}", embeds.len(), counted(prompts, "prompt"));
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        if self.max_sequence_length == 0 {
            return Err(Error::argument("max_sequence_length", "must be at least 1"));
        }
        check_images("num_images_per_prompt", prompts.saturating_mul(self.num_images_per_prompt))?;
        Ok(prompts)
    }

    /// The number of images that the prompts ask for.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        Ok(self.count()? * self.num_images_per_prompt)
    }
}

impl ZImageComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, or the tokenizer or the encoder refuses a prompt.
    pub(super) fn embed(&self, prompts: &Prompts<'_>, wording: Wording, is_guided: bool) -> Result<Captions> {
        let count = prompts.count()?;
        let positive = match &prompts.prompt_embeds {
            Some(embeds) => self.checked("prompt_embeds", embeds)?,
            None => self.embed_parts(prompts.prompt, wording, prompts.max_sequence_length)?,
        };
        let negative = match &prompts.negative_prompt_embeds {
            _ if !is_guided => {
                let why = "the call uses no guidance, which a `guidance_scale` above 0 turns on";
                warn_of_ignored("negative_prompt", !prompts.negative_prompt.is_empty(), why);
                warn_of_ignored("negative_prompt_embeds", prompts.negative_prompt_embeds.is_some(), why);
                Vec::new()
            }
            Some(embeds) => self.checked("negative_prompt_embeds", embeds)?,
            None if prompts.prompt_embeds.is_some() && prompts.negative_prompt.is_empty() => {
                let message = "must be given with `prompt_embeds`, since the call uses guidance";
                return Err(Error::argument("negative_prompt_embeds", message));
            }
            None => {
                let texts = broadcast(prompts.negative_prompt, count);
                self.embed_parts(&texts, wording, prompts.max_sequence_length)?
            }
        };
        self.text_encoder.release_memory();
        let copies = prompts.num_images_per_prompt;
        let for_each_image = |embeds: Vec<Caption>| {
            embeds.into_iter().flat_map(|embeds| std::iter::repeat_n(embeds, copies)).collect()
        };
        Ok(Captions { positive: for_each_image(positive), negative: for_each_image(negative) })
    }

    fn checked(&self, argument: &'static str, embeds: &[Caption]) -> Result<Vec<Caption>> {
        let features = self.transformer.config().cap_feat_dim;
        let is_wrong = |part: &&Tensor<2>| part.dims()[0] == 0 || part.dims()[1] != features;
        if let Some(wrong) = embeds.iter().flatten().find(is_wrong) {
            let message = format!(
                "has the shape {:?}; the transformer takes at least one token of {features} features",
                wrong.dims()
            );
            return Err(Error::argument(argument, message));
        }
        Ok(embeds.to_vec())
    }

    /// The hidden states of each text before the language model's last layer, `[tokens, features]`, of at most `max_length` tokens
    /// with the words around it that the model expects: `encode_prompt` in Python. Texts are encoded one by one: so none needs
    /// padding.
    ///
    /// # Errors
    /// When the tokenizer or the encoder refuses a text.
    pub fn embed_texts(&self, texts: &[String], max_length: usize) -> Result<Vec<Tensor<2>>> {
        Ok(self.embed_parts(texts, Wording::Chat, max_length)?.into_iter().flatten().collect())
    }

    /// As [`Self::embed_texts`], with other words around the texts; each part of a text is encoded by itself.
    ///
    /// # Errors
    /// As [`Self::embed_texts`].
    fn embed_parts(&self, texts: &[String], wording: Wording, max_length: usize) -> Result<Vec<Caption>> {
        let parts = texts.iter().map(|text| wording.parts(&self.tokenizer, text));
        let parts: Vec<Vec<String>> = parts.collect::<Result<_>>()?;
        let layer = self.text_encoder.config().num_hidden_layers - 1;
        let embedded = embed_each(&parts.concat(), |part| {
            let tokens = self.tokenizer.tokenize_unpadded(part, max_length)?;
            warn_of_truncation(tokens.truncated.as_deref(), max_length);
            if tokens.input_ids.is_empty() {
                return Err(Error::argument("prompt", "has no tokens"));
            }
            let states = self.text_encoder.hidden_states(&[tokens.input_ids], None, &[layer])?;
            let state = states.into_iter().next().expect("one layer was asked for");
            Ok(state.squeeze_dim(0))
        })?;
        let mut embedded = embedded.into_iter();
        Ok(parts.iter().map(|parts| embedded.by_ref().take(parts.len()).collect()).collect())
    }
}
