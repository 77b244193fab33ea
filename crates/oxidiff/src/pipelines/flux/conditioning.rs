//! From prompts to the transformer's inputs: the hidden states of one text encoder, and the pooled text of the other.

use burn::tensor::Tensor;

use super::components::FluxComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::ip_adapter::{GuidedPictures, PictureTokens};
use crate::pipelines::common::text::chat::{embed_each, warn_of_truncation};
use crate::pipelines::common::text::clip_prompt::ClipPrompt;
use crate::pipelines::common::text::pooled_prompts::PooledPrompts;
use crate::pipelines::common::text::prompts::broadcast;
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer};
use crate::wording::counted;

/// The most tokens of a prompt.
const MOST_TOKENS: usize = 512;

/// The texts of a call, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct FluxPrompts<'a> {
    pub given: PooledPrompts<'a>,
    /// How far to go beyond the prediction with the negative prompt.
    pub true_cfg_scale: f64,
    pub max_sequence_length: usize,
    /// The pictures for IP-Adapters.
    pub pictures: GuidedPictures<'a>,
}

/// What the transformer is told in each step.
pub(super) struct FluxConditions {
    pub texts: PromptEncoding,
    pub pictures: PictureTokens,
}

impl FluxPrompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        if !(1..=MOST_TOKENS).contains(&self.max_sequence_length) {
            let message = format!("must be between 1 and {MOST_TOKENS}, but is {}", self.max_sequence_length);
            return Err(Error::argument("max_sequence_length", message));
        }
        let images = self.given.images()?;
        let prompts = self.given.prompts.count()?;
        if let Some(embeds) = self.given.prompts.negative_prompt_embeds.map(|embeds| embeds.dims()[0])
            && embeds != 1
            && embeds != prompts
        {
            let message = format!("got {embeds} for {}", counted(prompts, "prompt"));
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(images)
    }

    /// Whether there is anything to go away from.
    fn has_negative(&self) -> bool {
        let prompts = &self.given.prompts;
        !prompts.negative_prompt.is_empty() || prompts.negative_prompt_embeds.is_some()
    }

    /// Whether a step calls the model twice.
    fn is_guided(&self) -> bool {
        self.true_cfg_scale > 1.0 && self.has_negative()
    }

    /// Warns of arguments that have no effect, as in Python.
    fn warn_of_ignored(&self) {
        let PooledPrompts { prompts, pooled, negative_pooled, negative_prompt_2, .. } = self.given;
        let why = "texts are pooled by the text encoder; give embedded prompts with it";
        warn_of_ignored("pooled_prompt_embeds", pooled.is_some() && prompts.prompt_embeds.is_none(), why);
        let unused = negative_pooled.is_some() && prompts.negative_prompt_embeds.is_none();
        warn_of_ignored("negative_pooled_prompt_embeds", unused, why);
        let why = "there is no negative prompt, so that the call uses no guidance";
        warn_of_ignored("true_cfg_scale", self.true_cfg_scale > 1.0 && !self.has_negative(), why);
        let why = "the call uses no guidance: that needs a `true_cfg_scale` above 1";
        let is_guided = self.is_guided();
        warn_of_ignored("negative_prompt", !prompts.negative_prompt.is_empty() && !is_guided, why);
        warn_of_ignored("negative_prompt_2", !negative_prompt_2.is_empty() && !is_guided, why);
        warn_of_ignored(
            "negative_prompt_embeds",
            prompts.negative_prompt_embeds.is_some() && !is_guided,
            why,
        );
    }
}

impl FluxComponents {
    /// Embeds the texts and the pictures for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt; when the pictures do not fit the
    /// IP-Adapters.
    pub(super) fn embed(&self, call: &FluxPrompts<'_>) -> Result<FluxConditions> {
        let pictures = self.pictures().prepare(call.pictures, call.is_guided(), call.given.images()?)?;
        Ok(FluxConditions { texts: self.embed_texts(call)?, pictures })
    }

    fn embed_texts(&self, call: &FluxPrompts<'_>) -> Result<PromptEncoding> {
        let given = &call.given;
        let prompts = &given.prompts;
        let count = prompts.count()?;
        call.warn_of_ignored();
        let positive = match prompts.prompt_embeds {
            Some(tokens) => self.checked(["prompt_embeds", "pooled_prompt_embeds"], tokens, given.pooled)?,
            None => {
                let second = if given.prompt_2.is_empty() { prompts.prompt } else { given.prompt_2 };
                self.encode([prompts.prompt, second], call.max_sequence_length)?
            }
        };
        let negative = match prompts.negative_prompt_embeds {
            _ if !call.is_guided() => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_pooled_prompt_embeds"];
                Some(self.checked(names, tokens, given.negative_pooled)?)
            }
            None => {
                let first = broadcast(prompts.negative_prompt, count);
                let second = match given.negative_prompt_2 {
                    [] => first.clone(),
                    texts => broadcast(texts, count),
                };
                Some(self.encode([&first, &second], call.max_sequence_length)?)
            }
        };
        if let Some(encoder) = &self.text_encoder_2 {
            encoder.release_memory();
        }
        let for_each_image = |encoding: TextEncoding| {
            let given = encoding.tokens.dims()[0];
            let copies = prompts.num_images_per_prompt;
            // One text may be for all prompts.
            let copies = if given < count { count * copies } else { copies };
            let encoding = encoding.moved_to(&self.transformer.device()).cast(self.transformer.dtype());
            encoding.for_each_image(copies)
        };
        Ok(PromptEncoding { positive: for_each_image(positive), negative: negative.map(for_each_image) })
    }

    /// Embeddings that were given.
    fn checked(
        &self,
        [tokens_name, pooled_name]: [&'static str; 2],
        tokens: &Tensor<3>,
        pooled: Option<&Tensor<2>>,
    ) -> Result<TextEncoding> {
        let config = self.transformer.config();
        if tokens.dims()[1] == 0 || tokens.dims()[2] != config.joint_attention_dim {
            let message = format!(
                "has the shape {:?}; the transformer takes at least one token of {} features",
                tokens.dims(),
                config.joint_attention_dim
            );
            return Err(Error::argument(tokens_name, message));
        }
        let pooled = pooled.ok_or_else(|| {
            Error::argument(pooled_name, format!("must be given together with `{tokens_name}`"))
        })?;
        if pooled.dims()[1] != config.pooled_projection_dim {
            let message = format!(
                "has the shape {:?}; the transformer takes {} features",
                pooled.dims(),
                config.pooled_projection_dim
            );
            return Err(Error::argument(pooled_name, message));
        }
        Ok(TextEncoding { tokens: tokens.clone(), pooled: Some(pooled.clone()) })
    }

    fn encode(&self, texts: [&[String]; 2], max_length: usize) -> Result<TextEncoding> {
        let encoders = Encoders {
            text_encoder: self.text_encoder.as_ref(),
            tokenizer: self.tokenizer.as_ref(),
            text_encoder_2: self.text_encoder_2.as_ref(),
            tokenizer_2: self.tokenizer_2.as_ref(),
        };
        encode_texts(encoders, texts, max_length)
    }
}

/// The text encoders of a pipeline and their tokenizers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoders<'a> {
    pub text_encoder: Option<&'a CLIPTextModel>,
    pub tokenizer: Option<&'a CLIPTokenizer>,
    pub text_encoder_2: Option<&'a T5EncoderModel>,
    pub tokenizer_2: Option<&'a T5Tokenizer>,
}

/// Pools the first texts, and embeds the tokens of the second ones; these are filled up to `max_length`, and what fills them is looked at
/// like the rest.
///
/// # Errors
/// When a text encoder or its tokenizer is missing, or refuses a text.
pub(super) fn encode_texts(
    encoders: Encoders<'_>,
    [first, second]: [&[String]; 2],
    max_length: usize,
) -> Result<TextEncoding> {
    let Encoders {
        text_encoder: Some(text_encoder),
        tokenizer: Some(tokenizer),
        text_encoder_2: Some(text_encoder_2),
        tokenizer_2: Some(tokenizer_2),
    } = encoders
    else {
        let message = "the pipeline lacks a text encoder: give `prompt_embeds` and `pooled_prompt_embeds`";
        return Err(Error::argument("prompt", message));
    };
    let clip = ClipPrompt { tokenizer, text_encoder, name: "text_encoder", weighting: false };
    let pooled = clip.encode_earlier(first, clip.max_length(), 0, None)?.pooled;
    let embedded = embed_each(second, |text| {
        let tokens = tokenizer_2.tokenize(&[text.to_owned()], max_length)?;
        warn_of_truncation(tokens.truncated[0].as_deref(), max_length);
        Ok(text_encoder_2.forward(&tokens.input_ids, None)?.last_hidden_state)
    })?;
    Ok(TextEncoding { tokens: Tensor::cat(embedded, 0), pooled: Some(pooled) })
}
