//! From prompts to the embeddings that a UNet attends to.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::memory;
use crate::models::least_memory;
use crate::models::model::Model;
use crate::pipelines::output::MOST_IMAGES;
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};

/// A text encoder and its tokenizer.
pub(super) struct PromptEncoder<'a> {
    pub tokenizer: &'a CLIPTokenizer,
    pub text_encoder: &'a CLIPTextModel,
}

impl PromptEncoder<'_> {
    /// The most tokens that a prompt can have.
    pub fn max_length(&self) -> usize {
        let positions = self.text_encoder.config().max_position_embeddings;
        self.tokenizer.model_max_length().map_or(positions, |length| length.min(positions))
    }

    /// Embeds prompts, cut or padded to `max_length` tokens: `[prompts, max_length, hidden_size]`. With `clip_skip`, the
    /// result is that of so many layers before the last.
    ///
    /// # Errors
    /// When the encoder has fewer layers than are to be skipped, or another vocabulary than the tokenizer.
    pub fn encode(
        &self,
        prompts: &[String],
        max_length: usize,
        clip_skip: Option<usize>,
    ) -> Result<Tensor<3>> {
        let prompts: Vec<String> =
            prompts.iter().map(|prompt| self.tokenizer.maybe_convert_prompt(prompt)).collect();
        let tokens = self.tokenizer.tokenize(&prompts, max_length)?;
        for lost in tokens.truncated.iter().flatten() {
            tracing::warn!(
                "the prompt is longer than the {max_length} tokens that the text encoder takes; this part was cut: {lost}"
            );
        }
        let mask = self.text_encoder.config().use_attention_mask.then_some(&*tokens.attention_mask);
        let output = self.text_encoder.forward(&tokens.input_ids, mask)?;
        self.text_encoder.release_memory();
        let Some(skipped) = clip_skip else { return Ok(output.last_hidden_state) };
        let layers = output.hidden_states.len() - 1;
        if skipped > layers {
            let message = format!("is {skipped}, but the text encoder has {layers} layers");
            return Err(Error::argument("clip_skip", message));
        }
        Ok(self.text_encoder.final_layer_norm(output.hidden_states[layers - skipped].clone()))
    }
}

/// What the images of one call shall show and shall not show.
pub(super) struct Prompts<'a> {
    pub prompt: &'a [String],
    pub negative_prompt: &'a [String],
    pub prompt_embeds: Option<&'a Tensor<3>>,
    pub negative_prompt_embeds: Option<&'a Tensor<3>>,
    pub num_images_per_prompt: usize,
    pub clip_skip: Option<usize>,
}

/// The embedded texts of each image, `[images, tokens, features]`.
pub(super) struct PromptEmbeds {
    pub positive: Tensor<3>,
    /// With guidance: what not to show.
    pub negative: Option<Tensor<3>>,
}

impl PromptEmbeds {
    /// The batch that guidance wants: the negative prompts come first.
    pub fn for_guidance(self) -> Tensor<3> {
        match self.negative {
            Some(negative) => Tensor::cat(vec![negative, self.positive], 0),
            None => self.positive,
        }
    }

    /// The batch that guidance by text and image wants: the negative prompts come last, and twice.
    pub fn for_text_and_image_guidance(self) -> Tensor<3> {
        match self.negative {
            Some(negative) => Tensor::cat(vec![self.positive, negative.clone(), negative], 0),
            None => self.positive,
        }
    }
}

impl Prompts<'_> {
    /// Checks what needs no model to be checked, and returns the number of prompts.
    ///
    /// # Errors
    /// When there is none, more than one way of giving them is used, or their numbers do not fit.
    pub fn count(&self) -> Result<usize> {
        let prompts = match (self.prompt, self.prompt_embeds) {
            ([], None) => return Err(Error::argument("prompt", "give one, or `prompt_embeds`")),
            ([], Some(embeds)) => embeds.dims()[0],
            (prompts, None) => prompts.len(),
            (_, Some(_)) => {
                return Err(Error::argument("prompt", "cannot be given together with `prompt_embeds`"));
            }
        };
        if !self.negative_prompt.is_empty() && self.negative_prompt_embeds.is_some() {
            let message = "cannot be given together with `negative_prompt_embeds`";
            return Err(Error::argument("negative_prompt", message));
        }
        let negative = self.negative_prompt.len();
        if negative > 1 && negative != prompts {
            let message = format!("{negative} of them for {prompts} prompts");
            return Err(Error::argument("negative_prompt", message));
        }
        if prompts == 0 || self.num_images_per_prompt == 0 {
            return Err(Error::argument("num_images_per_prompt", "no image was asked for"));
        }
        let images = prompts.saturating_mul(self.num_images_per_prompt);
        if images > MOST_IMAGES {
            let message = format!("asks for {images} images in one batch; at most {MOST_IMAGES} make sense");
            return Err(Error::argument("num_images_per_prompt", message));
        }
        Ok(prompts)
    }

    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When the embeddings of the prompts and of the negative prompts differ in shape, or the encoder refuses them.
    pub fn encode(&self, encoder: &PromptEncoder<'_>, guided: bool) -> Result<PromptEmbeds> {
        let positive = match self.prompt_embeds {
            Some(embeds) => embeds.clone(),
            None => encoder.encode(self.prompt, encoder.max_length(), self.clip_skip)?,
        };
        // The embeddings with and without the prompt, and both together.
        let [prompts, tokens, features] = positive.dims();
        let copies = if guided { 4 } else { 1 };
        let shape = [copies * prompts, self.num_images_per_prompt, tokens, features];
        let work = format!("embedding the prompts of {} images", prompts * self.num_images_per_prompt);
        let needed = least_memory::bytes(shape, encoder.text_encoder.dtype());
        memory::check(&work, needed, &positive.device(), "make fewer images at once")?;
        if !guided {
            return Ok(PromptEmbeds { positive: self.for_each_image(positive, encoder), negative: None });
        }
        let negative = match self.negative_prompt_embeds {
            Some(embeds) => embeds.clone(),
            None => {
                let negative = match self.negative_prompt {
                    [] => vec![String::new(); prompts],
                    [one] => vec![one.clone(); prompts],
                    each => each.to_vec(),
                };
                encoder.encode(&negative, tokens, None)?
            }
        };
        if positive.dims() != negative.dims() {
            let message = format!(
                "has shape {:?}, but the embeddings of the prompt have {:?}",
                negative.dims(),
                positive.dims()
            );
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(PromptEmbeds {
            positive: self.for_each_image(positive, encoder),
            negative: Some(self.for_each_image(negative, encoder)),
        })
    }

    fn for_each_image(&self, embeds: Tensor<3>, encoder: &PromptEncoder<'_>) -> Tensor<3> {
        let [batch, tokens, features] = embeds.dims();
        let copies = self.num_images_per_prompt;
        let embeds = embeds.cast(encoder.text_encoder.dtype()).reshape([batch, 1, tokens, features]);
        embeds.repeat_dim(1, copies).reshape([batch * copies, tokens, features])
    }
}
