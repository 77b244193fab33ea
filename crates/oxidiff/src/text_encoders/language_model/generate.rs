//! Language models that write: one token after another, each chosen by the scores that the model gives to all.

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use oxidiff_kernels::Pairs;

use super::generation_config::TokenChoice;
use super::kept_tokens::KeptTokens;
use super::parts::LanguageModel;
use crate::error::{Error, Result};
use crate::models::call::call;
use crate::models::layers::causal_attention::HiddenTokens;
use crate::models::layers::linear::Linear;
use crate::models::layers::rotary_embedding::{RotaryEmbedding, angles_at};
use crate::random::Generator;

/// Called after each token; an error ends the writing.
pub type TextProgress<'a> = &'a mut dyn FnMut(TextStep<'_>) -> Result<()>;

/// A token of each text that was just written.
#[derive(Clone, Copy, Debug)]
pub struct TextStep<'a> {
    /// The number of tokens so far.
    pub done: usize,
    /// What scores the model gave to all tokens, before `generation_config.json` changed them: those for one text after another.
    pub scores: &'a [f32],
}

/// How a text is written. What it does not say is in the `generation_config.json` of the model.
///
/// ```
/// use oxidiff::{Device, Generation, Generator, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, Model};
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
/// let generation = Generation {
///     max_new_tokens: 4,
///     temperature: Some(0.7),
///     generator: &mut Generator::manual_seed(0),
///     progress: &mut |step| {
///         println!("{} tokens", step.done);
///         Ok(())
///     },
/// };
/// let written = model.generate(&[vec![3, 1, 4, 1, 5]], None, generation)?;
/// assert_eq!(written[0].len(), 4);
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub struct Generation<'a> {
    /// The most tokens that are written.
    pub max_new_tokens: usize,
    /// Draws tokens with this temperature, whatever the model's file says: the lower, the likelier are likely tokens.
    pub temperature: Option<f64>,
    /// What tokens are drawn with.
    pub generator: &'a mut Generator,
    /// Called after each token.
    pub progress: TextProgress<'a>,
}

/// A language model that writes.
pub struct Writer<'a> {
    pub class_name: &'static str,
    pub parts: &'a LanguageModel,
    /// Gives scores to all tokens.
    pub head: &'a Linear,
    /// How far the pairs of a head turn per position.
    pub frequencies: Vec<f32>,
    /// How many tokens a token sees, itself included.
    pub window: usize,
}

/// What the texts begin with. All of them end at the same place: shorter ones are filled up before they begin.
pub struct Beginning<'a> {
    /// `[batch, tokens, hidden_size]`.
    pub embedded: Tensor<3>,
    pub input_ids: &'a [Vec<u32>],
    /// 0 for tokens that fill up a text.
    pub mask: Vec<Vec<u32>>,
    /// Those of one token after another, `[batch * tokens, pairs]`.
    pub angles: Vec<f32>,
    /// The position of the next token of each text.
    pub next: Vec<usize>,
}

impl Writer<'_> {
    /// The tokens that follow each text, up to the one that ends it.
    ///
    /// # Errors
    /// When memory runs out, a score is not finite, or `progress` fails.
    pub fn write(
        &self,
        beginning: Beginning<'_>,
        choice: &TokenChoice,
        generation: Generation<'_>,
    ) -> Result<Vec<Vec<u32>>> {
        let Generation { max_new_tokens, generator, progress, .. } = generation;
        let device = self.parts.device();
        let Beginning { embedded, input_ids, mut mask, angles, next } = beginning;
        // The texts without what fills them up.
        let mut texts: Vec<Vec<u32>> =
            input_ids.iter().zip(&mask).map(|(ids, mask)| shown(ids, mask)).collect();
        let begun: Vec<usize> = texts.iter().map(Vec::len).collect();
        let mut is_done = vec![false; texts.len()];
        let (mut kept, mut scores) =
            call(self.class_name, &device, || Ok(self.begin(embedded, &angles, &mask, &device)))?;
        for count in 1..=max_new_tokens {
            let mut tokens = choice.next(&scores, &texts, generator)?;
            for ((text, token), is_done) in texts.iter_mut().zip(&mut tokens).zip(&mut is_done) {
                if *is_done {
                    // Any token of the vocabulary will do.
                    *token = choice.filling.min((scores.len() / begun.len() - 1) as u32);
                    continue;
                }
                text.push(*token);
                *is_done = choice.end.contains(token);
            }
            progress(TextStep { done: count, scores: &scores })?;
            if count == max_new_tokens || is_done.iter().all(|is_done| *is_done) {
                break;
            }
            mask.iter_mut().for_each(|mask| mask.push(1));
            // Texts that have ended are filled up: no other sees them.
            let places: Vec<usize> = next.iter().map(|next| next + count - 1).collect();
            scores = call(self.class_name, &device, || {
                Ok(self.go_on(&tokens, &places, &mut kept, &mask, &device))
            })?;
        }
        Ok(texts.iter().zip(begun).map(|(text, begun)| text[begun..].to_vec()).collect())
    }

    /// What all layers keep of the texts, and the scores of their next tokens.
    fn begin(
        &self,
        mut x: Tensor<3>,
        angles: &[f32],
        mask: &[Vec<u32>],
        device: &Device,
    ) -> (Vec<KeptTokens>, Vec<f32>) {
        let tokens = mask[0].len();
        let rotary = self.rotary(angles, device);
        let hidden = HiddenTokens::outside(mask, self.window, device);
        let layers = self.parts.layers.iter().map(|layer| {
            let (next, kept) = layer.forward_keeping(x.clone(), &rotary, hidden.as_ref());
            x = next;
            kept
        });
        let kept = layers.collect();
        (kept, self.scores(x.narrow(1, tokens - 1, 1)))
    }

    /// The scores of the tokens after these, which are at these `places`.
    fn go_on(
        &self,
        tokens: &[u32],
        places: &[usize],
        kept: &mut [KeptTokens],
        mask: &[Vec<u32>],
        device: &Device,
    ) -> Vec<f32> {
        let ids: Vec<Vec<u32>> = tokens.iter().map(|token| vec![*token]).collect();
        let rotary = self.rotary(&angles_at(places.iter().copied(), &self.frequencies), device);
        let hidden = self.hidden_from_last(mask, device);
        let mut x = self.parts.embed(&ids, device);
        for (layer, kept) in self.parts.layers.iter().zip(kept) {
            x = layer.forward_next(x, &rotary, kept, hidden.as_ref());
        }
        self.scores(x)
    }

    /// The scores of all tokens after each of `x` `[batch, 1, hidden_size]`.
    fn scores(&self, x: Tensor<3>) -> Vec<f32> {
        let scores = self.head.forward(self.parts.norm.forward(x));
        scores.cast(DType::F32).into_data().iter().collect()
    }

    fn rotary(&self, angles: &[f32], device: &Device) -> RotaryEmbedding {
        RotaryEmbedding::new(angles, angles.len() / self.frequencies.len(), Pairs::Halves, device)
    }

    /// The tokens that the last one of each text does not see, `[batch, 1, 1, tokens]`; `None` if it sees all.
    fn hidden_from_last(&self, mask: &[Vec<u32>], device: &Device) -> Option<Tensor<4, Bool>> {
        let tokens = mask[0].len();
        let first = tokens.saturating_sub(self.window);
        let hidden: Vec<bool> = mask
            .iter()
            .flat_map(|row| row.iter().enumerate().map(|(token, shown)| *shown == 0 || token < first))
            .collect();
        let data = || TensorData::new(hidden.clone(), [mask.len(), 1, 1, tokens]);
        hidden.contains(&true).then(|| Tensor::from_data(data(), device))
    }
}

fn shown(ids: &[u32], mask: &[u32]) -> Vec<u32> {
    ids.iter().zip(mask).filter(|(_, shown)| **shown != 0).map(|(id, _)| *id).collect()
}

/// The mask of texts that end at the same place.
///
/// # Errors
/// When one is filled up at its end.
pub fn check_mask(input_ids: &[Vec<u32>], mask: Option<&[Vec<u32>]>) -> Result<Vec<Vec<u32>>> {
    let Some(mask) = mask else {
        return Ok(input_ids.iter().map(|ids| vec![1; ids.len()]).collect());
    };
    if mask.iter().any(|row| row.last() == Some(&0)) {
        let message = "hides the last token of a text: fill up texts on the left to write on after them";
        return Err(Error::argument("attention_mask", message));
    }
    Ok(mask.to_vec())
}

/// The positions of the tokens of texts, of one after the other: those that fill up a text have none.
pub fn text_positions(mask: &[Vec<u32>]) -> Vec<usize> {
    let rows = mask.iter().flat_map(|row| {
        let mut next = 0;
        row.iter().map(move |shown| {
            next += usize::from(*shown != 0);
            next.saturating_sub(1)
        })
    });
    rows.collect()
}

/// The positions after the last tokens of texts.
pub fn next_text_positions(mask: &[Vec<u32>]) -> Vec<usize> {
    mask.iter().map(|row| row.iter().filter(|shown| **shown != 0).count()).collect()
}
