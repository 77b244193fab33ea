//! CLIP's tokenizer: byte-pair encoding of lower-case text (Radford et al. 2021, <https://arxiv.org/abs/2103.00020>).

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::clip_tokenizer_config::TokenizerConfig;
use super::clip_vocabulary::{self, MERGES_OF_CLIP};
use super::vocabulary_files::{read_merges, read_tokenizer, read_vocab, write_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::pipelines::component::Component;

/// Who needs the files, for messages.
const NEEDED_BY: &str = "CLIPTokenizer";

/// Splits prompts into the tokens of a CLIP text encoder.
#[derive(Clone, Debug)]
pub struct CLIPTokenizer {
    tokenizer: Tokenizer,
    config: Map<String, Value>,
    bos_token_id: u32,
    eos_token_id: u32,
    pad_token_id: u32,
    model_max_length: Option<usize>,
}

impl Component for CLIPTokenizer {
    fn class(&self) -> (&'static str, String) {
        ("transformers", "CLIPTokenizer".to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        Self::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A batch of tokenized texts, all of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedText {
    /// The tokens of each text, padded to the same length.
    pub input_ids: Vec<Vec<u32>>,
    /// 1 for a token of the text, 0 for padding.
    pub attention_mask: Vec<Vec<u32>>,
    /// For each text, the part that did not fit, if any.
    pub truncated: Vec<Option<String>>,
}

impl CLIPTokenizer {
    /// Loads a tokenizer from a folder that holds `tokenizer.json`, or `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// When neither is there, or a file lacks something that a tokenizer needs.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load(&Folder::Directory(folder.as_ref().to_path_buf()))
    }

    pub(crate) fn load(folder: &Folder) -> Result<Self> {
        let TokenizerConfig { values, bos, eos, pad, unk, model_max_length } = TokenizerConfig::read(folder)?;
        let (mut tokenizer, file) = if folder.has("tokenizer.json") {
            (read_tokenizer(folder, NEEDED_BY)?, "tokenizer.json")
        } else {
            (from_vocabulary(folder, &bos, &eos, &unk)?, "vocab.json")
        };
        // As in transformers, special tokens are looked for in a text before anything else: `!` is that token where it pads.
        let known = tokenizer.get_added_vocabulary().get_vocab().clone();
        let is_new = |token: &&String| !known.contains_key(*token) && tokenizer.token_to_id(token).is_some();
        let special = [&bos, &eos, &unk, &pad].into_iter().filter(is_new);
        let special = Vec::from_iter(special.map(|token| AddedToken::from(token.clone(), true)));
        tokenizer.add_special_tokens(special).map_err(wrong(folder, file))?;

        let id = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| Error::Tokenizer {
                origin: folder.locate(file).display().to_string(),
                message: format!("the special token `{token}` is not in the vocabulary"),
            })
        };
        let (bos_token_id, eos_token_id, pad_token_id) = (id(&bos)?, id(&eos)?, id(&pad)?);
        Ok(Self { tokenizer, config: values, bos_token_id, eos_token_id, pad_token_id, model_max_length })
    }

    /// The most tokens that the model accepts, including start and end, if the tokenizer has a limit.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether a text is a single token.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.tokenizer.token_to_id(token).is_some()
    }

    /// Adds tokens to the vocabulary, and returns their ids.
    ///
    /// # Errors
    /// When a text cannot be a token.
    pub(crate) fn add_tokens(&mut self, tokens: &[String]) -> Result<Vec<u32>> {
        let error = |message: String| Error::Tokenizer { origin: "added token".into(), message };
        let added = tokens.iter().map(|token| AddedToken::from(token.clone(), false));
        self.tokenizer.add_tokens(added).map_err(|cause| error(cause.to_string()))?;
        let ids = tokens.iter().map(|token| {
            self.tokenizer.token_to_id(token).ok_or_else(|| error(format!("`{token}` cannot be a token")))
        });
        ids.collect()
    }

    /// Expands words of several vectors, which textual inversion adds: if the vocabulary contains `<cat>` and `<cat>_1`, both
    /// replace `<cat>` in a prompt.
    pub fn maybe_convert_prompt(&self, prompt: &str) -> String {
        let added = self.tokenizer.get_added_vocabulary().get_vocab();
        let mut converted = prompt.to_owned();
        let Ok(encoding) = self.tokenizer.encode(prompt, false) else { return converted };
        let mut seen = HashSet::new();
        for token in encoding.get_tokens() {
            if !seen.insert(token) || !added.contains_key(token) {
                continue;
            }
            let further =
                (1..).map(|number| format!("{token}_{number}")).take_while(|token| added.contains_key(token));
            let all: Vec<String> = std::iter::once(token.clone()).chain(further).collect();
            converted = converted.replace(token.as_str(), &all.join(" "));
        }
        converted
    }

    /// The tokens of each text between the start and end token, truncated or padded to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for start and end.
    ///
    /// # Examples
    /// ```no_run
    /// use oxidiff::CLIPTokenizer;
    ///
    /// let tokenizer = CLIPTokenizer::from_pretrained("stable-diffusion-v1-5/tokenizer")?;
    /// let tokens = tokenizer.tokenize(&["a photo of an astronaut riding a horse"], 77)?;
    /// assert_eq!(tokens.input_ids[0].len(), 77);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        if max_length < 2 {
            return Err(Error::argument("max_length", format!("{max_length} leaves no room for a text")));
        }
        let mut out = TokenizedText { input_ids: vec![], attention_mask: vec![], truncated: vec![] };
        for text in texts {
            let tokens = self.tokens(text.as_ref())?;
            let kept = tokens.len().min(max_length - 2);
            let (ids, mask) = self.enclose(&tokens[..kept], max_length);
            out.input_ids.push(ids);
            out.attention_mask.push(mask);
            let lost = &tokens[kept..];
            out.truncated.push((!lost.is_empty()).then(|| self.decode(lost)));
        }
        Ok(out)
    }

    /// The tokens of a text, without start and end.
    ///
    /// # Errors
    /// When the text cannot be tokenized.
    pub(crate) fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(|error| Error::Tokenizer { origin: "prompt".into(), message: error.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokens between start and end, padded to `length`; and 1 for each of them, 0 for the padding.
    pub(crate) fn enclose(&self, tokens: &[u32], length: usize) -> (Vec<u32>, Vec<u32>) {
        let mut ids = vec![self.bos_token_id];
        ids.extend(tokens);
        ids.push(self.eos_token_id);
        let mut mask = vec![1; ids.len()];
        ids.resize(length, self.pad_token_id);
        mask.resize(length, 0);
        (ids, mask)
    }

    /// The token of a comma that ends a word.
    pub(crate) fn comma(&self) -> Option<u32> {
        self.tokenizer.token_to_id(",</w>")
    }

    /// The text of tokens, without special ones.
    pub fn decode(&self, ids: &[u32]) -> String {
        let text = self.tokenizer.decode(ids, true).unwrap_or_default();
        text.replace("</w>", " ").trim().to_owned()
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let mut config = self.config.clone();
        let token = |id| Value::from(self.tokenizer.id_to_token(id).unwrap_or_default());
        config.insert("tokenizer_class".into(), "CLIPTokenizer".into());
        config.insert("bos_token".into(), token(self.bos_token_id));
        config.insert("eos_token".into(), token(self.eos_token_id));
        config.insert("pad_token".into(), token(self.pad_token_id));
        write_tokenizer(folder.as_ref(), &self.tokenizer, &config)
    }
}

/// The tokenizer of a vocabulary and its merges, set up as in the training of CLIP.
fn from_vocabulary(folder: &Folder, bos: &str, eos: &str, unk: &str) -> Result<Tokenizer> {
    let (vocab, merges) = match folder.has(MERGES_OF_CLIP) && !folder.has("vocab.json") {
        true => clip_vocabulary::read(folder)?,
        false => (read_vocab(folder, NEEDED_BY)?, read_merges(folder, NEEDED_BY)?),
    };
    let ids: HashMap<&str, u32> =
        [bos, eos].into_iter().filter_map(|token| Some((token, *vocab.get(token)?))).collect();
    let special = |token: &str| {
        let id = ids.get(token).copied().ok_or_else(|| Error::Tokenizer {
            origin: folder.locate("vocab.json").display().to_string(),
            message: format!("the special token `{token}` is not in the vocabulary"),
        })?;
        Ok((token.to_owned(), id))
    };
    let processing = RobertaProcessing::new(special(eos)?, special(bos)?).trim_offsets(false);

    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .unk_token(unk.to_owned())
        .end_of_word_suffix("</w>".into())
        .build()
        .map_err(wrong(folder, "merges.txt"))?;
    let words =
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let split = Split::new(SplitPattern::Regex(words.into()), SplitDelimiterBehavior::Removed, true)
        .expect("a regular expression known to be right");
    let spaces = Replace::new(tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".into()), " ")
        .expect("a regular expression known to be right");

    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer
        .with_normalizer(Some(Normalizers::new(vec![
            NormalizerWrapper::NFC(NFC),
            NormalizerWrapper::Replace(spaces),
            NormalizerWrapper::Lowercase(Lowercase),
        ])))
        .map_err(wrong(folder, "vocab.json"))?
        .with_pre_tokenizer(Some(PreTokenizers::new(vec![
            PreTokenizerWrapper::Split(split),
            PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true)),
        ])))
        .with_decoder(Some(ByteLevel::default()))
        .with_post_processor(Some(processing.add_prefix_space(false)));
    Ok(tokenizer)
}
