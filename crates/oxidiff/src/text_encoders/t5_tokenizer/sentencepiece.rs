//! The model files of SentencePiece (Kudo & Richardson 2018, <https://arxiv.org/abs/1808.06226>), as far as T5 needs them. Fields and
//! their numbers are those of `sentencepiece_model.proto`.

use prost::Message;
use serde_json::{Map, Value};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::SENTENCEPIECE;
use super::character_map::check;
use crate::error::{Error, Result};
use crate::loading::folder::Folder;
use crate::text_encoders::tokenizer_config::CONFIG;

/// How many tokens `<extra_id_0>`, … T5 has, unless the configuration says otherwise.
const EXTRA_IDS: usize = 100;
/// More are in no vocabulary.
const MOST_EXTRA_IDS: usize = 1 << 16;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(enumeration = "PieceType", optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum PieceType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    /// 1: the most probable split; 2: byte-pair encoding; 3: words; 4: characters.
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
}

/// A model file.
pub(super) struct SentencePieces {
    /// The file, for messages.
    origin: String,
    model: ModelProto,
    extra_ids: usize,
}

/// Reads the model file of a folder.
///
/// # Errors
/// When the file is missing or damaged, or its model is of another kind.
pub(super) fn read(folder: &Folder, config: &Map<String, Value>, needed_by: &str) -> Result<SentencePieces> {
    let origin = folder.locate(SENTENCEPIECE).display().to_string();
    let error = |message: String| Error::Tokenizer { origin: origin.clone(), message };
    let model = ModelProto::decode(folder.read(SENTENCEPIECE, needed_by)?)
        .map_err(|cause| error(format!("not a model of SentencePiece: {cause}")))?;
    if model.pieces.is_empty() {
        return Err(error("not a model of SentencePiece: there are no pieces".into()));
    }
    if model.trainer_spec.as_ref().and_then(|spec| spec.model_type).is_some_and(|kind| kind != 1) {
        return Err(error("`model_type` is not unigram, as in T5".into()));
    }
    let extra_ids = match config.get("extra_ids") {
        None | Some(Value::Null) => EXTRA_IDS,
        Some(count) => {
            let known = count.as_u64().and_then(|count| usize::try_from(count).ok());
            known.filter(|count| *count <= MOST_EXTRA_IDS).ok_or_else(|| {
                let origin = folder.locate(CONFIG).display().to_string();
                Error::config(origin, "extra_ids", format!("must be a number of tokens, not {count}"))
            })?
        }
    };
    Ok(SentencePieces { origin, model, extra_ids })
}

impl SentencePieces {
    /// The tokenizer as T5 uses it: words begin with `▁`, and a text ends with `end`.
    ///
    /// # Errors
    /// When there is no piece for what is unknown, or none for the end, or the character map is damaged.
    pub fn tokenizer(&self, end: &str) -> Result<Tokenizer> {
        let kinds = || self.model.pieces.iter().map(Piece::kind);
        let unknown = kinds().position(|kind| kind == PieceType::Unknown);
        let unknown = unknown.ok_or_else(|| self.error("no piece stands for what is unknown"))?;
        let pieces =
            self.model.pieces.iter().map(|piece| (piece.piece().to_owned(), f64::from(piece.score())));
        let extra = (0..self.extra_ids).rev().map(|number| (extra_id(number), 0.0));
        let vocabulary: Vec<(String, f64)> = pieces.chain(extra).collect();
        if vocabulary.iter().any(|(piece, score)| piece.is_empty() || !score.is_finite()) {
            return Err(self.error("a piece has no text, or no probability"));
        }
        let unigram = Unigram::from(vocabulary, Some(unknown), false).map_err(|cause| self.error(cause))?;
        let mut tokenizer = Tokenizer::new(unigram);
        if let Some(map) = self.character_map() {
            check(map, &self.origin)?;
            let map = Precompiled::from(map).map_err(|cause| self.error(cause))?;
            tokenizer
                .with_normalizer(Some(NormalizerWrapper::Precompiled(map)))
                .map_err(|cause| self.error(cause))?;
        }
        let spaces = || Metaspace::new('▁', PrependScheme::Always, true);
        let splits: [PreTokenizerWrapper; 2] = [WhitespaceSplit.into(), spaces().into()];
        tokenizer.with_pre_tokenizer(Some(Sequence::new(splits.to_vec()))).with_decoder(Some(spaces()));
        let end_id = tokenizer.token_to_id(end);
        let end_id = end_id.ok_or_else(|| self.error(format!("`{end}`, the end of a text, is no piece")))?;
        let template = TemplateProcessing::builder()
            .try_single(vec!["$A".to_owned(), end.to_owned()])
            .map_err(|cause| self.error(cause))?
            .special_tokens(vec![(end.to_owned(), end_id)])
            .build()
            .map_err(|cause| self.error(cause))?;
        tokenizer.with_post_processor(Some(template));
        Ok(tokenizer)
    }

    /// Adds the pieces that are found in a text before it is normalized: control pieces, those that users defined, and extra ids.
    pub fn with_special_pieces(&self, mut tokenizer: Tokenizer) -> tokenizers::Result<Tokenizer> {
        let pieces = self.model.pieces.iter().filter_map(|piece| match piece.kind() {
            PieceType::Control => Some((piece.piece().to_owned(), true)),
            PieceType::UserDefined => Some((piece.piece().to_owned(), false)),
            _ => None,
        });
        let extra = (0..self.extra_ids).map(|number| (extra_id(number), true));
        for (piece, is_special) in pieces.chain(extra) {
            if tokenizer.get_added_vocabulary().get_vocab().contains_key(&piece) {
                continue;
            }
            let token = [AddedToken::from(piece, is_special).normalized(false)];
            match is_special {
                true => tokenizer.add_special_tokens(token)?,
                false => tokenizer.add_tokens(token)?,
            };
        }
        Ok(tokenizer)
    }

    fn character_map(&self) -> Option<&[u8]> {
        let map = self.model.normalizer_spec.as_ref()?.precompiled_charsmap.as_deref()?;
        (!map.is_empty()).then_some(map)
    }

    fn error(&self, message: impl ToString) -> Error {
        Error::Tokenizer { origin: self.origin.clone(), message: message.to_string() }
    }
}

fn extra_id(number: usize) -> String {
    format!("<extra_id_{number}>")
}
