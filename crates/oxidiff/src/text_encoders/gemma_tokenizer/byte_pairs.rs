//! Gemma's tokenizer made from the model file of SentencePiece: pairs of pieces are merged, and what is left are bytes.

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::Replace;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{DecoderWrapper, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer};

use crate::error::Result;
use crate::text_encoders::sentencepiece::SentencePieces;

/// The tokenizer as Gemma uses it: spaces are `▁`, and no space is put before a text.
///
/// # Errors
/// When a piece has no text, or none stands for what is unknown.
pub(super) fn tokenizer(model: &SentencePieces, unknown: &str) -> Result<Tokenizer> {
    let vocabulary = vocabulary(model)?;
    if !vocabulary.contains_key(unknown) {
        return Err(model.error(format!("`{unknown}`, which stands for what is unknown, is no piece")));
    }
    let merges = merges(&vocabulary);
    let pairs = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .unk_token(unknown.to_owned())
        .fuse_unk(true)
        .byte_fallback(true)
        .build()
        .map_err(|cause| model.error(cause))?;
    let spaces = Replace::new(" ", "▁").map_err(|cause| model.error(cause))?;
    let words = SplitPattern::String(" ".into());
    let words = Split::new(words, SplitDelimiterBehavior::MergedWithPrevious, false)
        .map_err(|cause| model.error(cause))?;
    let decoders = vec![
        DecoderWrapper::Replace(Replace::new("▁", " ").map_err(|cause| model.error(cause))?),
        DecoderWrapper::ByteFallback(ByteFallback::default()),
        DecoderWrapper::Fuse(Fuse::default()),
    ];
    let mut tokenizer = Tokenizer::new(pairs);
    tokenizer
        .with_normalizer(Some(NormalizerWrapper::Replace(spaces)))
        .map_err(|cause| model.error(cause))?
        .with_pre_tokenizer(Some(words))
        .with_decoder(Some(Sequence::new(decoders)));
    Ok(tokenizer)
}

fn vocabulary(model: &SentencePieces) -> Result<Vocab> {
    let mut vocabulary = Vocab::default();
    for (id, piece) in model.pieces().iter().enumerate() {
        let (text, id) = (piece.piece(), u32::try_from(id).expect("a file has fewer pieces"));
        if text.is_empty() || vocabulary.insert(text.to_owned(), id).is_some() {
            return Err(model.error(format!("piece {id}, `{text}`, has no text of its own")));
        }
    }
    Ok(vocabulary)
}

/// Every pair of pieces that make a piece. Pieces with smaller numbers were found first and are merged first; of one piece, the pair
/// whose first half is shorter.
fn merges(vocabulary: &Vocab) -> Merges {
    let mut pairs: Vec<(u32, usize, &str, &str)> = Vec::new();
    for (text, id) in vocabulary {
        for (place, _) in text.char_indices().skip(1) {
            let (first, second) = text.split_at(place);
            if vocabulary.contains_key(first) && vocabulary.contains_key(second) {
                pairs.push((*id, place, first, second));
            }
        }
    }
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, _, first, second)| (first.to_owned(), second.to_owned())).collect()
}
