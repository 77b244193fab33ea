//! `generation_config.json` of a language model: how it chooses the next token.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::hub::GENERATION_CONFIG;
use crate::loading::write_whole;

/// The fields that change the result and are not supported, each with the values that change nothing; `null` never does.
const NEUTRAL: [(&str, &[f64]); 26] = [
    ("assistant_early_exit", &[]),
    ("bad_words_ids", &[]),
    ("begin_suppress_tokens", &[]),
    ("diversity_penalty", &[0.0]),
    ("dola_layers", &[]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("exponential_decay_length_penalty", &[]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
    ("guidance_scale", &[1.0]),
    ("max_time", &[]),
    ("min_length", &[0.0]),
    ("min_new_tokens", &[0.0]),
    ("no_repeat_ngram_size", &[0.0]),
    ("num_beam_groups", &[1.0]),
    ("num_beams", &[1.0]),
    ("num_return_sequences", &[1.0]),
    ("penalty_alpha", &[]),
    ("prompt_lookup_num_tokens", &[]),
    ("remove_invalid_values", &[]),
    ("sequence_bias", &[]),
    ("stop_strings", &[]),
    ("suppress_tokens", &[]),
    ("token_healing", &[]),
    ("watermarking_config", &[]),
];
/// The same for fields that only matter where tokens are drawn.
const NEUTRAL_IN_DRAWS: [(&str, &[f64]); 4] =
    [("epsilon_cutoff", &[0.0]), ("eta_cutoff", &[0.0]), ("top_h", &[]), ("typical_p", &[1.0])];
/// How many tokens are drawn from where a file does not say.
const DEFAULT_TOP_K: usize = 50;

/// The file of a checkpoint, which is only understood when text is generated: other calls do not need it.
#[derive(Clone, Debug)]
pub struct GenerationFile(Config);

/// How the next token is chosen: `GenerationConfig` of transformers.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenChoice {
    /// Whether tokens are drawn; otherwise the most likely one is taken.
    pub draw: Option<Draw>,
    /// What positive scores of tokens that are in the text already are divided by, and negative ones multiplied with.
    pub repetition_penalty: f32,
    /// The tokens that end a text.
    pub end: Vec<u32>,
    /// The token that fills up a text which has ended before others.
    pub filling: u32,
}

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// What scores are divided by.
    pub temperature: f32,
    /// Of how many tokens one is drawn; 0 for all.
    pub top_k: usize,
    /// The probability of those tokens of which one is drawn (Holtzman et al. 2019, <https://arxiv.org/abs/1904.09751>).
    pub top_p: f32,
    /// The least probability of a token, as a part of that of the most likely one.
    pub min_p: f32,
}

impl GenerationFile {
    /// The file in the folder of a model; `None` if there is none.
    ///
    /// # Errors
    /// When the file is not JSON.
    pub fn read(folder: &Folder, class_name: &str) -> Result<Option<Self>> {
        if !folder.has(GENERATION_CONFIG) {
            return Ok(None);
        }
        let origin = folder.locate(GENERATION_CONFIG).display().to_string();
        Ok(Some(Self(Config::parse(&folder.read(GENERATION_CONFIG, class_name)?, &origin)?)))
    }

    /// How tokens are chosen by a checkpoint's `file`, or, without one, by its `configs`: older checkpoints have one configuration for all.
    ///
    /// # Errors
    /// As [`Self::choice`].
    pub fn choice_of(
        file: Option<&Self>,
        configs: &[&Map<String, Value>],
        temperature: Option<f64>,
    ) -> Result<TokenChoice> {
        match file {
            Some(file) => file.choice(temperature),
            None => Self::of_fields(configs)?.choice(temperature),
        }
    }

    /// What stands for a file where there is none: the first of these fields of configurations that is not `null`.
    fn of_fields(configs: &[&Map<String, Value>]) -> Result<Self> {
        let mut fields = Map::new();
        for (field, value) in configs.iter().rev().flat_map(|config| config.iter()) {
            if !value.is_null() {
                fields.insert(field.clone(), value.clone());
            }
        }
        Ok(Self(Config::parse(Value::Object(fields).to_string().as_bytes(), "text_encoder/config.json")?))
    }

    /// Writes the file as it was.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &std::path::Path) -> Result<()> {
        write_whole(&folder.join(GENERATION_CONFIG), (self.0.to_json() + "\n").as_bytes())
    }

    /// What the file says, but for tokens that are drawn with this `temperature`, if one is given.
    ///
    /// # Errors
    /// When a field has an impossible value, or asks for something that is not supported.
    fn choice(&self, temperature: Option<f64>) -> Result<TokenChoice> {
        self.check_neutral(&NEUTRAL)?;
        let do_sample = match self.field("do_sample") {
            None => false,
            Some(Value::Bool(value)) => *value,
            Some(other) => return Err(self.wrong("do_sample", format!("must be true or false, not {other}"))),
        };
        let draw = (do_sample || temperature.is_some()).then(|| self.draw(temperature)).transpose()?;
        let repetition_penalty =
            self.number("repetition_penalty", 1.0, "above 0", |value| value > 0.0 && value.is_finite())?;
        let end = self.tokens("eos_token_id")?;
        let filling = self.tokens("pad_token_id")?.first().or(end.first()).copied().unwrap_or_default();
        Ok(TokenChoice { draw, repetition_penalty: repetition_penalty as f32, end, filling })
    }

    fn draw(&self, temperature: Option<f64>) -> Result<Draw> {
        self.check_neutral(&NEUTRAL_IN_DRAWS)?;
        let is_positive = |value: f64| value > 0.0 && value.is_finite();
        let temperature = match temperature {
            Some(given) => given,
            None => self.number("temperature", 1.0, "above 0", is_positive)?,
        };
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        let is_count = |value: f64| value >= 0.0 && value.fract() == 0.0 && value < f64::from(u32::MAX);
        Ok(Draw {
            temperature: temperature as f32,
            top_k: self.number("top_k", DEFAULT_TOP_K as f64, "a number of tokens, or 0", is_count)? as usize,
            top_p: self.number("top_p", 1.0, "between 0 and 1", is_share)? as f32,
            min_p: self.number("min_p", 0.0, "between 0 and 1", is_share)? as f32,
        })
    }

    /// A token, or a list of them.
    fn tokens(&self, field: &str) -> Result<Vec<u32>> {
        let values = match self.field(field) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        // As in Python, a negative number ends nothing.
        let ids: Option<Vec<i64>> = values.iter().map(Value::as_i64).collect();
        let ids = ids.ok_or_else(|| {
            self.wrong(field, format!("must be a token or a list of tokens, not {}", Value::from(values)))
        })?;
        Ok(ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect())
    }

    fn check_neutral(&self, fields: &[(&str, &[f64])]) -> Result<()> {
        for (field, neutral) in fields {
            let Some(value) = self.field(field) else { continue };
            let is_neutral = match value {
                Value::Bool(value) => !value,
                value => value.as_f64().is_some_and(|value| neutral.contains(&value)),
            };
            if !is_neutral {
                return Err(self.wrong(field, format!("is {value}, which is not supported; remove it")));
            }
        }
        Ok(())
    }

    fn number(
        &self,
        field: &str,
        default: f64,
        range: &str,
        is_possible: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let Some(value) = self.field(field) else { return Ok(default) };
        value
            .as_f64()
            .filter(|value| is_possible(*value))
            .ok_or_else(|| self.wrong(field, format!("must be {range}, not {value}")))
    }

    fn field(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn wrong(&self, field: &str, message: String) -> Error {
        Error::config(self.0.origin(), field, message)
    }
}
