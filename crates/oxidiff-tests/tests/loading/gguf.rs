//! GGUF files that are damaged or lie: each error names the file, and the tensor or the field.

use std::path::Path;

use oxidiff::{Model, Qwen3Model, SingleFileOptions};

use crate::fixture::fixtures;

fn file() -> Vec<u8> {
    std::fs::read(fixtures().join("gguf/text_encoder.gguf")).unwrap()
}

fn load(path: &Path) -> oxidiff::Result<Qwen3Model> {
    let folder = path.parent().unwrap();
    std::fs::copy(fixtures().join("gguf/text_encoder.json"), folder.join("config.json")).unwrap();
    let config = Some(folder.to_str().unwrap().to_owned());
    Qwen3Model::from_single_file(path.to_str().unwrap(), &SingleFileOptions { config, ..Default::default() })
}

/// The error for a file of these bytes.
#[track_caller]
fn error(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    match load(&path) {
        Ok(_) => panic!("should have failed"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("model.gguf"), "{error}");
            error
        }
    }
}

#[track_caller]
fn expect(bytes: &[u8], words: &[&str]) {
    let error = error(bytes);
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

/// Where a text ends in the file.
fn after(bytes: &[u8], text: &str) -> usize {
    let place = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    place.unwrap_or_else(|| panic!("no {text}")) + text.len()
}

/// The file with other bytes at a place.
fn with(mut bytes: Vec<u8>, place: usize, new: &[u8]) -> Vec<u8> {
    bytes[place..place + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn a_whole_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, file()).unwrap();
    load(&path).unwrap();
    // The second version differs only in its number.
    std::fs::write(&path, with(file(), 4, &2u32.to_le_bytes())).unwrap();
    load(&path).unwrap();
}

#[test]
fn files_that_end_early() {
    let whole = file();
    let header = after(&whole, "output_norm.weight") + 32;
    // The last 48 bytes only fill up the last block of the alignment.
    for len in (5..header).step_by(7).chain([header, whole.len() / 2, whole.len() - 60]) {
        let error = error(&whole[..len]);
        assert!(error.contains("truncated") || error.contains("not a whole GGUF file"), "{len}: {error}");
    }
    expect(&whole[..whole.len() - 60], &["tensor `output_norm.weight`", "reach past the end"]);
    expect(&whole[..30], &["metadata"]);
    expect(&[], &["empty"]);
    expect(b"GGUF", &["the version"]);
}

#[test]
fn files_of_another_kind_or_version() {
    let whole = file();
    expect(&with(whole.clone(), 4, &1u32.to_le_bytes()), &["version 1", "versions 2 and 3"]);
    expect(&with(whole.clone(), 4, &3u32.to_be_bytes()), &["big-endian"]);
    expect(b"version https://git-lfs.github.com/spec/v1\n", &["Git LFS"]);
    expect(b"something else", &["does not begin with `GGUF`"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, &whole).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains(".gguf"), "{error}");
}

#[test]
fn counts_and_lengths_that_the_file_cannot_hold() {
    let whole = file();
    let huge = u64::MAX.to_le_bytes();
    expect(&with(whole.clone(), 8, &huge), &["tensors"]);
    expect(&with(whole.clone(), 16, &huge), &["metadata"]);
    // The length of the first name.
    expect(&with(whole.clone(), 24, &huge), &["the name of metadata 0"]);
    let tokens = after(&whole, "tokenizer.ggml.tokens");
    expect(&with(whole, tokens + 8, &huge), &["values in the metadata `tokenizer.ggml.tokens`"]);
}

#[test]
fn metadata_that_mean_nothing() {
    let whole = file();
    let alignment = after(&whole, "general.alignment");
    for value in [0u32, 48] {
        let changed = with(whole.clone(), alignment + 4, &value.to_le_bytes());
        expect(&changed, &["`general.alignment`", "power of two"]);
    }
    let kind = after(&whole, "test.true");
    expect(&with(whole.clone(), kind, &13u32.to_le_bytes()), &["`test.true`", "unknown type 13"]);
    let name = after(&whole, "test.negative") - "test.negative".len();
    expect(&with(whole, name, &[0xff]), &["the name of metadata", "UTF-8"]);
}

#[test]
fn tensors_that_lie() {
    const NAME: &str = "blk.0.attn_q.weight";
    let whole = file();
    let dimensions = after(&whole, NAME);
    let (kind, offset) = (dimensions + 4 + 16, dimensions + 4 + 16 + 4);
    let changed = |place: usize, new: &[u8]| with(whole.clone(), place, new);
    expect(&changed(kind, &20u32.to_le_bytes()), &[NAME, "IQ4_NL", "supported are F32", "Q4_K"]);
    expect(&changed(kind, &4u32.to_le_bytes()), &[NAME, "4, which is unknown"]);
    expect(&changed(kind, &0u32.to_le_bytes()), &[NAME]);
    expect(&changed(offset, &1u64.to_le_bytes()), &[NAME, "offset 1", "alignment 64"]);
    expect(&changed(offset, &(1u64 << 40).to_le_bytes()), &[NAME, "reach past the end"]);
    expect(&changed(offset, &(u64::MAX - 63).to_le_bytes()), &[NAME, "reach past the end"]);
    expect(&changed(offset, &0u64.to_le_bytes()), &[NAME, "reaches into tensor"]);
    expect(&changed(dimensions, &9u32.to_le_bytes()), &[NAME, "9 dimensions"]);
    expect(&changed(dimensions + 4, &255u64.to_le_bytes()), &[NAME, "rows of 255", "blocks of 256"]);
    expect(&changed(dimensions + 4, &(1u64 << 63).to_le_bytes()), &[NAME, "overflow"]);
    // Fewer rows than the configuration asks for.
    expect(&changed(dimensions + 12, &2u64.to_le_bytes()), &["self_attn.q_proj.weight", "[2, 256]"]);
    let twice = after(&whole, "blk.0.attn_k.weight") - "k.weight".len();
    expect(&changed(twice, b"q"), &[NAME, "twice"]);
}
