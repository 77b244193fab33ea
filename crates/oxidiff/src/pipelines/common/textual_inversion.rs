//! Textual inversion (Gal et al. 2022, <https://arxiv.org/abs/2208.01618>): words that were learned from images.

use std::path::PathBuf;

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::loading::bare_tensor::BARE_TENSOR;
use crate::loading::formats::state_dict::{StateDict, StoredTensor};
use crate::loading::hub::HubOptions;
use crate::loading::locate::locate;
use crate::models::finite::is_finite;
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};

/// The name that diffusers gives the file, without its extension.
const WEIGHTS_NAME: &str = "learned_embeds";
/// The keys of the vectors and of the word in files from A1111's training.
const A1111_VECTORS: &str = "string_to_param.";
const A1111_WORD: &str = "name";
/// The key of the vectors for the larger text encoder of Stable Diffusion XL.
const LARGER: &str = "clip_g";

/// Which file holds a learned word, and how to write it: the keyword arguments of Python's `load_textual_inversion`.
#[derive(Clone, Debug, Default)]
pub struct TextualInversionOptions {
    /// What to write in a prompt; by default the word that the file names, or the name of a file for the two text encoders of
    /// Stable Diffusion XL, which names none.
    pub token: Option<String>,
    /// The file, if a folder or a repository is given.
    pub weight_name: Option<String>,
    /// The folder inside the folder or repository.
    pub subfolder: Option<String>,
    /// Where and how to fetch the file.
    pub hub: HubOptions,
}

/// Loads learned words: `TextualInversionLoaderMixin` in Python. Every pipeline that encodes prompts with CLIP has this
/// method.
///
/// ```no_run
/// use oxidiff::{Pipeline, StableDiffusionPipeline, TextualInversionLoader, TextualInversionOptions};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// pipeline.load_textual_inversion("sd-concepts-library/cat-toy", &TextualInversionOptions::default())?;
/// let images = pipeline.call("a <cat-toy> backpack")?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub trait TextualInversionLoader {
    /// The text encoders that can learn words, with their tokenizers.
    #[doc(hidden)]
    fn word_encoders(&mut self) -> Vec<WordEncoder<'_>>;

    /// Adds a learned word to the tokenizer and its vectors to the text encoder, from a file, a folder or the hub, in the
    /// format of diffusers or A1111, or a tensor that was saved alone, whose word `options.token` gives. A file for Stable
    /// Diffusion XL has the vectors of one word for each text encoder, `clip_l` and `clip_g`. A word of several vectors is
    /// written once in a prompt.
    ///
    /// # Errors
    /// When there is no such file, when it holds no learned word or one for another text encoder, or when the tokenizer
    /// knows the word already.
    fn load_textual_inversion(
        &mut self,
        name_or_path: &str,
        options: &TextualInversionOptions,
    ) -> Result<()> {
        let path = options.locate(name_or_path)?;
        let file = StateDict::open(&path)?;
        let mut encoders = self.word_encoders();
        let mut learned = Learned::find(&file, &encoders)?;
        if learned.is_by_encoder {
            learned.word = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        }
        let token = options.token.clone().or(learned.word).ok_or_else(|| {
            Error::argument("token", format!("must be given: {} does not name its word", file.origin()))
        })?;
        if token.trim().is_empty() {
            return Err(Error::argument("token", "is empty"));
        }
        let words = learned.vectors.into_iter().map(|(index, vectors)| {
            let encoder = &encoders[index];
            Ok((index, encoder.word(&token, vectors, &file)?))
        });
        let words = words.collect::<Result<Vec<_>>>()?;
        words.into_iter().try_for_each(|(index, word)| encoders[index].add(word))
    }
}

/// A text encoder that can learn words, with its tokenizer.
pub struct WordEncoder<'a> {
    /// The key of its vectors in files for several encoders: `clip_l` or `clip_g`.
    pub key: &'static str,
    pub tokenizer: &'a mut CLIPTokenizer,
    pub text_encoder: &'a mut CLIPTextModel,
}

/// A word that fits an encoder.
struct Word {
    tokens: Vec<String>,
    /// `[tokens, features]`.
    embedding: Tensor<2>,
}

impl WordEncoder<'_> {
    /// Checks that the word is new and its vectors fit.
    fn word(&self, token: &str, stored: &StoredTensor, file: &StateDict) -> Result<Word> {
        let features = self.text_encoder.hidden_size();
        let vectors = match stored.shape() {
            [length] if *length == features => 1,
            [vectors, length] if *length == features && *vectors > 0 => *vectors,
            shape => {
                let message =
                    format!("the word has shape {shape:?}, the text encoder takes vectors of {features}");
                return Err(file.error(message));
            }
        };
        // The vectors after the first have tokens of their own; in a prompt, the first token stands for all of them.
        let further = (1..vectors).map(|number| format!("{token}_{number}"));
        let tokens: Vec<String> = std::iter::once(token.to_owned()).chain(further).collect();
        let taken = tokens.iter().find(|token| self.tokenizer.knows(token));
        let follows = format!("{token}_1");
        if let Some(taken) = taken.or_else(|| self.tokenizer.knows(&follows).then_some(&follows)) {
            let message = format!("`{taken}` is in the tokenizer's vocabulary already: choose another word");
            return Err(Error::argument("token", message));
        }
        let embedding = stored.reshaped(&[vectors, features]).expect("the shape was checked");
        let (dtype, device) = (self.text_encoder.dtype(), self.text_encoder.device());
        let embedding = embedding.tensor(token, dtype, &device)?;
        if !is_finite(&embedding) {
            return Err(file.error(format!("the values of `{token}` are not finite in {dtype:?}")));
        }
        Ok(Word { tokens, embedding })
    }

    /// Adds the word to the tokenizer and its vectors to the text encoder.
    fn add(&mut self, Word { tokens, embedding }: Word) -> Result<()> {
        let mut tokenizer = self.tokenizer.clone();
        let ids = tokenizer.add_tokens(&tokens)?;
        self.text_encoder.add_embeddings(&ids, tokenizer.vocab_size(), embedding)?;
        *self.tokenizer = tokenizer;
        Ok(())
    }
}

/// The contents of a file.
struct Learned<'a> {
    /// The word, if the file names it.
    word: Option<String>,
    /// The vectors, and which encoder they are for.
    vectors: Vec<(usize, &'a StoredTensor)>,
    /// Whether the keys are those of the encoders.
    is_by_encoder: bool,
}

impl<'a> Learned<'a> {
    /// # Errors
    /// When the file does not hold one word.
    fn find(file: &'a StateDict, encoders: &[WordEncoder<'_>]) -> Result<Self> {
        let by_key =
            encoders.iter().enumerate().filter_map(|(index, encoder)| Some((index, file.get(encoder.key)?)));
        let by_key: Vec<_> = by_key.collect();
        // Without the larger of the two encoders, the vectors are not for this model.
        let is_for_others = file.contains(LARGER) && !encoders.iter().any(|encoder| encoder.key == LARGER);
        if !by_key.is_empty() && !is_for_others {
            return Ok(Self { word: None, vectors: by_key, is_by_encoder: true });
        }
        let (word, vectors) = find_word(file)?;
        // If the file is for several encoders, vectors of this length belong to this one.
        let length = vectors.shape().last().copied();
        let fits = |encoder: &WordEncoder<'_>| Some(encoder.text_encoder.hidden_size()) == length;
        let index = encoders.iter().position(fits).unwrap_or(0);
        Ok(Self { word, vectors: vec![(index, vectors)], is_by_encoder: false })
    }
}

/// The word in a file, if the file names it, and its vectors.
fn find_word(file: &StateDict) -> Result<(Option<String>, &StoredTensor)> {
    let of_a1111: Vec<_> = file.iter().filter(|(key, _)| key.starts_with(A1111_VECTORS)).collect();
    let all: Vec<_> = file.iter().collect();
    match (&*of_a1111, &*all) {
        ([(_, vectors)], _) => Ok((file.text(A1111_WORD).map(str::to_owned), vectors)),
        ([], [(BARE_TENSOR, vectors)]) => Ok((None, vectors)),
        ([], [(word, vectors)]) => Ok((Some((*word).to_owned()), vectors)),
        _ => {
            let keys: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
            Err(file.error(format!(
                "no learned word: the file must hold one tensor, under the word itself (diffusers), in `string_to_param` \
                 (A1111) or alone; it holds {}: {}",
                keys.len(),
                keys.join(", ")
            )))
        }
    }
}

impl TextualInversionOptions {
    /// The file, fetched if it is on the hub: safetensors, or else pickled.
    fn locate(&self, name_or_path: &str) -> Result<PathBuf> {
        locate(name_or_path, self.subfolder.as_deref(), &self.hub, |files| {
            let names = match &self.weight_name {
                Some(name) => vec![name.clone()],
                None => vec![format!("{WEIGHTS_NAME}.safetensors"), format!("{WEIGHTS_NAME}.bin")],
            };
            let found = names.iter().find(|name| files.contains(name)).cloned();
            found.ok_or_else(|| Error::MissingFile {
                path: PathBuf::from(name_or_path),
                message: format!("no learned word: looked for {}", names.join(", ")),
            })
        })
    }
}
