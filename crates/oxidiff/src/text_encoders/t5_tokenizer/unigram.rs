//! T5's tokenizer made from the model file of SentencePiece: the most probable split into pieces.

use serde_json::{Map, Value};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::error::{Error, Result};
use crate::text_encoders::sentencepiece::{PieceType, SentencePieces, check};

/// How many tokens `<extra_id_0>`, … T5 has, unless the configuration says otherwise.
const EXTRA_IDS: usize = 100;
/// More are in no vocabulary.
const MOST_EXTRA_IDS: usize = 1 << 16;

/// How many tokens `<extra_id_0>`, … a configuration asks for.
///
/// # Errors
/// When it is not a number of tokens.
pub(super) fn extra_ids(config: &Map<String, Value>, origin: &str) -> Result<usize> {
    match config.get("extra_ids") {
        None | Some(Value::Null) => Ok(EXTRA_IDS),
        Some(count) => {
            let known = count.as_u64().and_then(|count| usize::try_from(count).ok());
            known.filter(|count| *count <= MOST_EXTRA_IDS).ok_or_else(|| {
                Error::config(origin, "extra_ids", format!("must be a number of tokens, not {count}"))
            })
        }
    }
}

pub(super) fn extra_id(number: usize) -> String {
    format!("<extra_id_{number}>")
}

/// The tokenizer as T5 uses it: words begin with `▁`, and a text ends with `end`.
///
/// # Errors
/// When there is no piece for what is unknown, or none for the end, or the character map is damaged.
pub(super) fn tokenizer(model: &SentencePieces, extra_ids: usize, end: &str) -> Result<Tokenizer> {
    let unknown = model.pieces().iter().position(|piece| piece.kind() == PieceType::Unknown);
    let unknown = unknown.ok_or_else(|| model.error("no piece stands for what is unknown"))?;
    let pieces = model.pieces().iter().map(|piece| (piece.piece().to_owned(), f64::from(piece.score())));
    let extra = (0..extra_ids).rev().map(|number| (extra_id(number), 0.0));
    let vocabulary: Vec<(String, f64)> = pieces.chain(extra).collect();
    if vocabulary.iter().any(|(piece, score)| piece.is_empty() || !score.is_finite()) {
        return Err(model.error("a piece has no text, or no probability"));
    }
    let unigram = Unigram::from(vocabulary, Some(unknown), false).map_err(|cause| model.error(cause))?;
    let mut tokenizer = Tokenizer::new(unigram);
    if let Some(map) = model.character_map() {
        check(map, &model.origin)?;
        let map = Precompiled::from(map).map_err(|cause| model.error(cause))?;
        tokenizer
            .with_normalizer(Some(NormalizerWrapper::Precompiled(map)))
            .map_err(|cause| model.error(cause))?;
    }
    let spaces = || Metaspace::new('▁', PrependScheme::Always, true);
    let splits: [PreTokenizerWrapper; 2] = [WhitespaceSplit.into(), spaces().into()];
    tokenizer.with_pre_tokenizer(Some(Sequence::new(splits.to_vec()))).with_decoder(Some(spaces()));
    let end_id = tokenizer.token_to_id(end);
    let end_id = end_id.ok_or_else(|| model.error(format!("`{end}`, the end of a text, is no piece")))?;
    let template = TemplateProcessing::builder()
        .try_single(vec!["$A".to_owned(), end.to_owned()])
        .map_err(|cause| model.error(cause))?
        .special_tokens(vec![(end.to_owned(), end_id)])
        .build()
        .map_err(|cause| model.error(cause))?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}
