//! The tokenizer of BERT: the longest pieces of words that are in the vocabulary (Devlin et al. 2018,
//! <https://arxiv.org/abs/1810.04805>).

use std::any::Any;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, ModelWrapper, Tokenizer, decoders};

use super::added_tokens::with_added_tokens;
use super::clip_tokenizer::TokenizedText;
use super::fixed_length::FixedLengthTokenizer;
use super::tokenizer_config::{CONFIG, check_class, token};
use super::vocabulary_files::{read_json, read_tokenizer, wrong};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::pipelines::component::Component;

const CLASS_NAME: &str = "BertTokenizer";
const VOCABULARY: &str = "vocab.txt";
const TOKENIZER: &str = "tokenizer.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// Splits texts into the tokens of a [`BertModel`](super::BertModel).
///
/// ```no_run
/// use oxidiff::BertTokenizer;
///
/// let tokenizer = BertTokenizer::from_pretrained("HunyuanDiT-v1.2-Diffusers/tokenizer")?;
/// let tokens = tokenizer.tokenize(&["一个宇航员在骑马"], 77)?;
/// assert_eq!(tokens.input_ids[0].len(), 77);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BertTokenizer(FixedLengthTokenizer);

impl Component for BertTokenizer {
    fn class(&self) -> (&'static str, String) {
        ("transformers", CLASS_NAME.to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        Self::save_pretrained(self, folder)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl BertTokenizer {
    /// The classes that write configurations for this tokenizer. The last two stand for any tokenizer.
    pub(crate) const CLASSES: [&str; 4] =
        [CLASS_NAME, "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"];

    /// Loads a tokenizer from a folder that holds `tokenizer.json` or `vocab.txt`.
    ///
    /// # Errors
    /// When neither is there, or a file lacks something that a tokenizer needs.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load(&Folder::Directory(folder.as_ref().to_path_buf()))
    }

    pub(crate) fn load(folder: &Folder) -> Result<Self> {
        let read = |file: &str| match folder.has(file) {
            true => read_json(folder, file, CLASS_NAME),
            false => Ok(Map::new()),
        };
        let (config, others) = (read(CONFIG)?, read(SPECIAL_TOKENS)?);
        let [origin, others_origin] =
            [CONFIG, SPECIAL_TOKENS].map(|file| folder.locate(file).display().to_string());
        check_class(&config, &Self::CLASSES, &origin)?;
        let named = |name: &str, default: &str| -> Result<String> {
            let found = match token(&config, name, &origin)? {
                None => token(&others, name, &others_origin)?,
                found => found,
            };
            Ok(found.unwrap_or_else(|| default.to_owned()))
        };
        let special = [
            named("pad_token", "[PAD]")?,
            named("unk_token", "[UNK]")?,
            named("cls_token", "[CLS]")?,
            named("sep_token", "[SEP]")?,
            named("mask_token", "[MASK]")?,
        ];
        let (vocabulary, added, file) = vocabulary(folder)?;
        let [_, unknown, begin, end, _] = &special;
        let mut tokenizer = tokenizer(vocabulary, normalizer(&config, &origin)?, [unknown, begin, end])
            .map_err(wrong(folder, file))?;
        tokenizer.add_tokens(added).map_err(wrong(folder, file))?;
        let tokenizer = with_added_tokens(tokenizer, folder, &config, (CLASS_NAME, file))?;
        Ok(Self(FixedLengthTokenizer::new(tokenizer, config, &special, false, (folder, file))?))
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    /// The tokens of each text between the one that begins and the one that ends it, cut off or filled up to `max_length`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for beginning and end, or a text cannot be tokenized.
    pub fn tokenize(&self, texts: &[impl AsRef<str>], max_length: usize) -> Result<TokenizedText> {
        self.0.tokenize(texts, max_length)
    }

    /// The text of tokens, without special ones.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.0.decode(ids)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.0.save(folder.as_ref(), CLASS_NAME)
    }
}

/// The pieces of words, the tokens beside them, and the file that has them. Everything else in `tokenizer.json` follows from the
/// configuration, as in transformers.
fn vocabulary(folder: &Folder) -> Result<(Vocab, Vec<AddedToken>, &'static str)> {
    if !folder.has(TOKENIZER) && folder.has(VOCABULARY) {
        let text = folder.read(VOCABULARY, CLASS_NAME)?;
        let text = std::str::from_utf8(&text).map_err(|error| Error::Tokenizer {
            origin: folder.locate(VOCABULARY).display().to_string(),
            message: error.to_string(),
        })?;
        let pieces = text.lines().zip(0..).map(|(piece, number)| (piece.to_owned(), number));
        return Ok((pieces.collect(), Vec::new(), VOCABULARY));
    }
    let tokenizer = read_tokenizer(folder, CLASS_NAME)?;
    if !matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_)) {
        return Err(Error::Tokenizer {
            origin: folder.locate(TOKENIZER).display().to_string(),
            message: "`model` is not of the type `WordPiece`, as that of BERT is".into(),
        });
    }
    let mut added: Vec<(u32, AddedToken)> = tokenizer.get_added_tokens_decoder().into_iter().collect();
    added.sort_by_key(|(number, _)| *number);
    let added = added.into_iter().map(|(_, token)| token).collect();
    Ok((tokenizer.get_vocab(false).into_iter().collect(), added, TOKENIZER))
}

/// What is done to a text before it is split.
///
/// # Errors
/// When a field of the configuration is no truth value.
fn normalizer(config: &Map<String, Value>, origin: &str) -> Result<BertNormalizer> {
    let flag = |name: &str| match config.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(Error::config(origin, name, format!("must be true or false, not {other}"))),
    };
    let chinese = flag("tokenize_chinese_chars")?.unwrap_or(true);
    Ok(BertNormalizer::new(true, chinese, flag("strip_accents")?, flag("do_lower_case")?.unwrap_or(true)))
}

/// The tokenizer as BERT uses it, with the tokens for what is unknown, for the beginning, and for the end of a text.
fn tokenizer(
    vocabulary: Vocab,
    normalizer: BertNormalizer,
    [unknown, begin, end]: [&String; 3],
) -> tokenizers::Result<Tokenizer> {
    if !vocabulary.contains_key(unknown) {
        return Err(format!("`{unknown}`, which stands for what is unknown, is not in the vocabulary").into());
    }
    let number = |token: &String| match vocabulary.get(token) {
        Some(number) => Ok((token.clone(), *number)),
        None => Err(format!("the special token `{token}` is not in the vocabulary")),
    };
    let template = TemplateProcessing::builder()
        .try_single(vec![begin.clone(), "$A".to_owned(), end.clone()])?
        .special_tokens(vec![number(begin)?, number(end)?])
        .build()?;
    let pieces = WordPiece::builder().vocab(vocabulary).unk_token(unknown.clone()).build()?;
    let mut tokenizer = Tokenizer::new(pieces);
    tokenizer
        .with_normalizer(Some(normalizer))?
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_decoder(Some(decoders::wordpiece::WordPiece::default()))
        .with_post_processor(Some(template));
    Ok(tokenizer)
}
