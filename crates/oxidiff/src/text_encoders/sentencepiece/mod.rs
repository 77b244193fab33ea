//! The model files of SentencePiece (Kudo & Richardson 2018, <https://arxiv.org/abs/1808.06226>), as far as tokenizers here need them.
//! Fields and their numbers are those of `sentencepiece_model.proto`.

mod character_map;

use prost::Message;
use tokenizers::{AddedToken, Tokenizer};

pub(super) use self::character_map::{check, check_normalizer};
use crate::error::{Error, Result};
use crate::loading::folder::Folder;

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
pub(super) struct Piece {
    #[prost(string, optional, tag = "1")]
    pub piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub score: Option<f32>,
    #[prost(enumeration = "PieceType", optional, tag = "3")]
    pub kind: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum PieceType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(enumeration = "ModelType", optional, tag = "3")]
    model_type: Option<i32>,
}

/// How a text is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ModelType {
    /// Into the most probable pieces.
    Unigram = 1,
    /// By merging pairs.
    Bpe = 2,
    Word = 3,
    Char = 4,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
}

/// A model file.
pub(super) struct SentencePieces {
    /// The file, for messages.
    pub origin: String,
    model: ModelProto,
}

impl SentencePieces {
    /// Reads a model file of a folder, whose model must be of `kind`.
    ///
    /// # Errors
    /// When the file is missing or damaged, or its model is of another kind.
    pub fn read(folder: &Folder, file: &str, needed_by: &str, kind: ModelType) -> Result<Self> {
        let origin = folder.locate(file).display().to_string();
        let error = |message: String| Error::Tokenizer { origin: origin.clone(), message };
        let model = ModelProto::decode(folder.read(file, needed_by)?)
            .map_err(|cause| error(format!("not a model of SentencePiece: {cause}")))?;
        if model.pieces.is_empty() {
            return Err(error("not a model of SentencePiece: there are no pieces".into()));
        }
        let found = model.trainer_spec.as_ref().and_then(|spec| spec.model_type).unwrap_or(1);
        if found != kind as i32 {
            let kind = format!("{kind:?}").to_lowercase();
            return Err(error(format!("`model_type` is not {kind}, as {needed_by} needs it")));
        }
        Ok(Self { origin, model })
    }

    /// The pieces, in the order of their numbers.
    pub fn pieces(&self) -> &[Piece] {
        &self.model.pieces
    }

    /// The replacements of characters before a text is split, if there are any.
    pub fn character_map(&self) -> Option<&[u8]> {
        let map = self.model.normalizer_spec.as_ref()?.precompiled_charsmap.as_deref()?;
        (!map.is_empty()).then_some(map)
    }

    /// Adds the pieces that are found in a text before it is normalized: control pieces, those that users defined, and `extra`
    /// special ones.
    pub fn with_special_pieces(
        &self,
        mut tokenizer: Tokenizer,
        extra: impl Iterator<Item = String>,
    ) -> tokenizers::Result<Tokenizer> {
        let pieces = self.pieces().iter().filter_map(|piece| match piece.kind() {
            PieceType::Control => Some((piece.piece().to_owned(), true)),
            PieceType::UserDefined => Some((piece.piece().to_owned(), false)),
            _ => None,
        });
        for (piece, is_special) in pieces.chain(extra.map(|piece| (piece, true))) {
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

    /// An error about the file.
    pub fn error(&self, message: impl ToString) -> Error {
        Error::Tokenizer { origin: self.origin.clone(), message: message.to_string() }
    }
}
