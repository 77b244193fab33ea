//! From prompts to the transformer's inputs: the hidden states of both text encoders, and which of their tokens count.

use burn::tensor::Tensor;

use super::components::HunyuanDiTComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::masked::{MaskedTexts, as_counts};
use crate::pipelines::common::text::prompts::{Prompts, broadcast};

/// The texts of a call, or the embeddings that replace them.
#[derive(Clone, Copy, Debug)]
pub(super) struct HunyuanPrompts<'a> {
    pub prompts: Prompts<'a>,
    pub positive: Given<'a>,
    pub negative: Given<'a>,
    /// Whether a step predicts with the negative prompts, too.
    pub is_guided: bool,
}

/// Embedded prompts for each text encoder, and which of their tokens count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    pub embeds: [Option<&'a Tensor<3>>; 2],
    pub masks: [Option<&'a Tensor<2>>; 2],
}

/// The names of the arguments of embedded prompts and their masks, for each text encoder.
const POSITIVE: [[&str; 2]; 2] =
    [["prompt_embeds", "prompt_attention_mask"], ["prompt_embeds_2", "prompt_attention_mask_2"]];
const NEGATIVE: [[&str; 2]; 2] = [
    ["negative_prompt_embeds", "negative_prompt_attention_mask"],
    ["negative_prompt_embeds_2", "negative_prompt_attention_mask_2"],
];

/// The texts of a run, one for each image, as both text encoders see them.
pub(super) struct Texts {
    pub positive: [MaskedTexts; 2],
    /// With guidance.
    pub negative: Option<[MaskedTexts; 2]>,
}

impl Texts {
    /// The batch: negative prompts first, and the others as often as asked for.
    pub fn batch(&self, copies: usize) -> [MaskedTexts; 2] {
        [0, 1].map(|encoder| {
            let negative = self.negative.iter().map(|texts| &texts[encoder]);
            let parts = negative.chain(std::iter::repeat_n(&self.positive[encoder], copies));
            MaskedTexts::cat(&parts.cloned().collect::<Vec<_>>())
        })
    }
}

impl HunyuanPrompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        if self.prompts.prompt.is_empty()
            && self.prompts.prompt_embeds.is_some()
            && self.positive.embeds[1].is_none()
        {
            return Err(Error::argument("prompt_embeds_2", "must be given together with `prompt_embeds`"));
        }
        self.prompts.images()
    }

    /// Warns of arguments that have no effect, as in Python.
    fn warn_of_ignored(&self) {
        let why = "the mask of texts follows from their lengths; give embedded prompts with it";
        for (names, given) in [(POSITIVE, self.positive), (NEGATIVE, self.negative)] {
            for (encoder, [_, mask]) in names.into_iter().enumerate() {
                let is_alone = given.masks[encoder].is_some() && given.embeds[encoder].is_none();
                warn_of_ignored(mask, is_alone, why);
            }
        }
        if !self.is_guided {
            let why = "the call uses no guidance, which `guidance_scale` turns on above 1";
            warn_of_ignored("negative_prompt", !self.prompts.negative_prompt.is_empty(), why);
            for (encoder, [embeds, _]) in NEGATIVE.into_iter().enumerate() {
                warn_of_ignored(embeds, self.negative.embeds[encoder].is_some(), why);
            }
        }
    }
}

impl HunyuanDiTComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, a text encoder is missing, or it refuses a prompt.
    pub(super) fn embed(&self, call: &HunyuanPrompts<'_>) -> Result<Texts> {
        let prompts = call.prompts.count()?;
        let counts = [prompts, call.prompts.num_images_per_prompt];
        call.warn_of_ignored();
        let positive = self.embed_all(POSITIVE, &call.positive, call.prompts.prompt, counts)?;
        let negative = match call.is_guided {
            true => {
                let texts = broadcast(call.prompts.negative_prompt, prompts);
                Some(self.embed_all(NEGATIVE, &call.negative, &texts, counts)?)
            }
            false => None,
        };
        self.text_encoder.iter().for_each(Model::release_memory);
        self.text_encoder_2.iter().for_each(Model::release_memory);
        Ok(Texts { positive, negative })
    }

    /// Embeds texts with both text encoders, or takes what is given instead.
    fn embed_all(
        &self,
        [first, second]: [[&'static str; 2]; 2],
        given: &Given<'_>,
        texts: &[String],
        counts: [usize; 2],
    ) -> Result<[MaskedTexts; 2]> {
        Ok([
            self.embed_one(0, first, given, texts, counts)?,
            self.embed_one(1, second, given, texts, counts)?,
        ])
    }

    fn embed_one(
        &self,
        encoder: usize,
        names: [&'static str; 2],
        given: &Given<'_>,
        texts: &[String],
        counts @ [prompts, copies]: [usize; 2],
    ) -> Result<MaskedTexts> {
        let config = self.transformer.config();
        let [length, features] = [
            [config.text_len, config.cross_attention_dim],
            [config.text_len_t5, config.cross_attention_dim_t5],
        ][encoder];
        let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
        if let Some(embeds) = given.embeds[encoder] {
            if embeds.dims()[1] != length {
                let message = format!("has {} tokens, the transformer takes {length}", embeds.dims()[1]);
                return Err(Error::argument(names[0], message));
            }
            let texts = MaskedTexts::given(names, embeds, given.masks[encoder], features)?;
            return texts.for_each_image(names[0], counts, dtype, &device);
        }
        let encoded = self.encode(encoder, names[0], texts, length)?;
        let mask = encoded.mask.clone().to_device(&device);
        let for_each_image = encoded.for_each_image(names[0], [prompts, copies], dtype, &device)?;
        // Python repeats the embeddings one by one, but the masks all together.
        Ok(MaskedTexts { mask: mask.repeat_dim(0, copies), ..for_each_image })
    }

    fn encode(
        &self,
        encoder: usize,
        argument: &'static str,
        texts: &[String],
        length: usize,
    ) -> Result<MaskedTexts> {
        match (encoder, &self.text_encoder, &self.tokenizer, &self.text_encoder_2, &self.tokenizer_2) {
            (0, Some(encoder), Some(tokenizer), ..) => {
                MaskedTexts::of_bert((encoder, tokenizer), texts, length)
            }
            (1, _, _, Some(encoder), Some(tokenizer)) => {
                MaskedTexts::of_t5((encoder, tokenizer), texts, length, as_counts)
            }
            _ => {
                let name = ["text_encoder", "text_encoder_2"][encoder];
                let message = format!("cannot be embedded: the pipeline has no `{name}`; give `{argument}`");
                Err(Error::argument("prompt", message))
            }
        }
    }
}
