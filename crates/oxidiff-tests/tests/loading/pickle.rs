//! Weights that PyTorch pickled: the same as in safetensors; and malicious files do nothing but fail.

use std::collections::HashMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use oxidiff::{AutoencoderKL, Error, LoadOptions, Model};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::fixture::fixtures;

fn pickled() -> PathBuf {
    fixtures().join("formats/pickled")
}

fn load(folder: &Path, variant: Option<&str>) -> Result<AutoencoderKL, Error> {
    let options = LoadOptions { variant: variant.map(str::to_owned), ..Default::default() };
    AutoencoderKL::from_pretrained_with(folder.to_str().unwrap(), &options)
}

/// The tensors of a model, byte for byte.
fn tensors(model: &AutoencoderKL) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    fs::read(folder.path().join("diffusion_pytorch_model.safetensors")).unwrap()
}

fn plain() -> Vec<u8> {
    tensors(&load(&pickled().join("plain"), None).unwrap())
}

/// A folder with the model's configuration and the given files.
fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(pickled().join("plain/config.json"), folder.path().join("config.json")).unwrap();
    for (name, contents) in files {
        fs::write(folder.path().join(name), contents).unwrap();
    }
    folder
}

fn error_of(contents: &[u8]) -> String {
    let folder = folder_with(&[("diffusion_pytorch_model.bin", contents)]);
    let error = load(folder.path(), None).expect_err("this is not a checkpoint");
    assert!(matches!(error, Error::Weights { .. } | Error::WrongKind { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn every_way_of_pickling_gives_the_same_weights() {
    for name in ["zip", "legacy", "training"] {
        assert!(tensors(&load(&pickled().join(name), None).unwrap()) == plain(), "{name}");
    }
}

#[test]
fn safetensors_come_first_and_the_variant_before_both() {
    let bin = fs::read(pickled().join("zip/diffusion_pytorch_model.bin")).unwrap();
    let safe = fs::read(pickled().join("plain/diffusion_pytorch_model.safetensors")).unwrap();

    let folder = folder_with(&[
        ("diffusion_pytorch_model.safetensors", &safe),
        ("diffusion_pytorch_model.bin", b"never read"),
    ]);
    assert!(tensors(&load(folder.path(), None).unwrap()) == plain());

    let folder = folder_with(&[
        ("diffusion_pytorch_model.safetensors", b"never read"),
        ("diffusion_pytorch_model.fp16.bin", &bin),
    ]);
    assert!(tensors(&load(folder.path(), Some("fp16")).unwrap()) == plain());
}

/// Splits the weights in two, under the names given, and writes the index.
fn sharded(names: [&str; 2], index: &str) -> tempfile::TempDir {
    let safe = fs::read(pickled().join("plain/diffusion_pytorch_model.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&safe).unwrap();
    let mut halves: [Vec<(String, TensorView)>; 2] = [vec![], vec![]];
    let mut weight_map = HashMap::new();
    for (number, (key, view)) in all.tensors().into_iter().enumerate() {
        weight_map.insert(key.clone(), names[number % 2]);
        halves[number % 2].push((key, view));
    }
    let folder = folder_with(&[]);
    for (name, half) in names.iter().zip(halves) {
        fs::write(folder.path().join(name), safetensors::serialize(half, None).unwrap()).unwrap();
    }
    let text = serde_json::json!({"metadata": {}, "weight_map": weight_map}).to_string();
    fs::write(folder.path().join(index), text).unwrap();
    folder
}

#[test]
fn shards_of_a_variant_are_found_under_old_and_new_names() {
    for (names, index) in [
        (
            [
                "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
                "diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
            ],
            "diffusion_pytorch_model.safetensors.fp16.index.json",
        ),
        (
            [
                "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
                "diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
            ],
            "diffusion_pytorch_model.safetensors.index.fp16.json",
        ),
    ] {
        let folder = sharded(names, index);
        assert!(tensors(&load(folder.path(), Some("fp16")).unwrap()) == plain(), "{index}");
        let error = load(folder.path(), None).unwrap_err();
        assert!(matches!(error, Error::MissingFile { .. }), "{error}");
    }
}

#[test]
fn pickled_shards_are_joined() {
    let folder = folder_with(&[]);
    let bin = fs::read(pickled().join("zip/diffusion_pytorch_model.bin")).unwrap();
    let shard = "diffusion_pytorch_model-00001-of-00001.bin";
    fs::write(folder.path().join(shard), bin).unwrap();
    let index = folder.path().join("diffusion_pytorch_model.bin.index.json");
    let write = |key: &str| {
        let text = serde_json::json!({"weight_map": {key: shard}}).to_string();
        fs::write(&index, text).unwrap();
    };
    write("quant_conv.weight");
    assert!(tensors(&load(folder.path(), None).unwrap()) == plain());

    write("no_such.weight");
    let error = load(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("no_such.weight") && error.contains(shard), "{error}");
    fs::write(&index, r#"{"weight_map": {}}"#).unwrap();
    let error = load(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("weight_map"), "{error}");
}

#[test]
fn a_pickle_that_calls_a_function_is_refused_and_nothing_runs() {
    let canary = tempfile::tempdir().unwrap();
    let file = canary.path().join("ran");
    let command = format!("touch {}", file.display());
    // os.system(command), as the file itself.
    let call = format!("cos\nsystem\n(V{command}\ntR.");
    let message = error_of(call.as_bytes());
    assert!(message.contains("diffusion_pytorch_model.bin") && message.contains("os.system"), "{message}");
    // The same in place of a weight: {"quant_conv.weight": os.system(command)}.
    let call = format!("}}Vquant_conv.weight\ncos\nsystem\n(V{command}\ntRs.");
    let message = error_of(call.as_bytes());
    assert!(message.contains("`quant_conv.weight`") && message.contains("os.system"), "{message}");
    assert!(!file.exists());
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for name in ["zip", "legacy", "training"] {
        let whole = fs::read(pickled().join(name).join("diffusion_pytorch_model.bin")).unwrap();
        for cut in (0..whole.len()).step_by(whole.len() / 40).chain([1, 2, 9, whole.len() - 1]) {
            error_of(&whole[..cut]);
        }
    }
}

#[test]
fn what_is_not_a_checkpoint_is_an_error() {
    for contents in [&b"not weights"[..], b"", b"\x80\x02K\x01.", b"]]]]]]]]", b"(((((((((", b"PK\x03\x04"] {
        let message = error_of(contents);
        assert!(message.contains("diffusion_pytorch_model.bin"), "{message}");
    }
    // Lists in lists in lists.
    let deep = [&b"\x80\x02"[..], &vec![b']'; 1 << 20], &vec![b'a'; (1 << 20) - 1], b"."].concat();
    error_of(&deep);
}

/// A zip archive with an entry of this number of zeros.
fn archive(entry: &str, zeros: usize, compression: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(compression);
    archive.start_file(entry, options).unwrap();
    archive.write_all(&vec![0; zeros]).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn an_archive_that_expands_beyond_its_file_is_refused_unread() {
    use zip::CompressionMethod::{Deflated, Stored};
    let bomb = archive("archive/data/0", 1 << 20, Deflated);
    assert!(bomb.len() < 1 << 12);
    let message = error_of(&bomb);
    assert!(message.contains("compressed archive of 1048576 bytes"), "{message}");
    // Pickles take much more memory than their length even if they are not compressed.
    for compression in [Deflated, Stored] {
        let message = error_of(&archive("archive/data.pkl", (16 << 20) + 1, compression));
        assert!(message.contains("pickle in it has 16777217 bytes"), "{message}");
    }
}

#[test]
fn lengths_that_a_pickle_claims_are_not_believed() {
    for claim in [
        &b"\x80\x02\x8b\xff\xff\xff\x7f"[..],            // LONG4
        b"\x80\x03B\xff\xff\xff\x7f",                    // BINBYTES
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", // BINBYTES8
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff", // BINUNICODE8
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x3f", // BYTEARRAY8
    ] {
        let message = error_of(claim);
        assert!(message.contains("found 0"), "{message}");
    }
    // A list in which each list holds the previous one many times.
    let bomb = [&b"]q\0"[..], &b"(h\0h\0h\0h\0h\0h\0h\0h\0lq\0".repeat(40), b"."].concat();
    let message = error_of(&bomb);
    assert!(message.contains("memo bomb"), "{message}");
}

/// A safetensors file with this header before `data` zeros.
fn safetensors_error(header: &str, length: u64, data: usize) -> String {
    let contents = [&length.to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat();
    let folder = folder_with(&[("diffusion_pytorch_model.safetensors", &contents)]);
    let error = load(folder.path(), None).expect_err("this is not a checkpoint");
    assert!(matches!(error, Error::Weights { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn what_a_safetensors_header_claims_is_not_believed() {
    for length in [1 << 60, u64::MAX, 100_000_000, 3] {
        let message = safetensors_error("{}", length, 0);
        assert!(message.contains("diffusion_pytorch_model.safetensors"), "{message}");
    }
    let tensor = |shape: &str, start: u64, end: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    for tensors in [
        vec![tensor("[4]", 0, 16)],                      // past the end
        vec![tensor("[2]", 0, 8), tensor("[2]", 4, 12)], // overlapping
        vec![tensor("[1]", 0, 4), tensor("[1]", 8, 12)], // with a gap
        vec![tensor("[1]", 4, 0)],                       // backwards
        vec![tensor("[4611686018427387904, 4]", 0, 0)],  // larger than an integer
        vec![tensor("[4294967296, 4294967296, 0]", 0, 0)],
        vec![tensor("[3]", 0, 12)], // valid, but not a parameter
    ] {
        let fields: Vec<String> =
            tensors.iter().enumerate().map(|(index, tensor)| format!(r#""{index}":{tensor}"#)).collect();
        let header = format!("{{{}}}", fields.join(","));
        safetensors_error(&header, header.len() as u64, 12);
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    safetensors_error(&deep, deep.len() as u64, 0);
}

#[test]
fn a_file_of_another_model_names_the_tensor() {
    let bytes = fs::read(pickled().join("zip/diffusion_pytorch_model.bin")).unwrap();
    let folder = folder_with(&[("diffusion_pytorch_model.bin", &bytes)]);
    let config = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let wider = config.replace("\"latent_channels\": 2", "\"latent_channels\": 3");
    assert_ne!(config, wider);
    fs::write(folder.path().join("config.json"), wider).unwrap();
    let message = load(folder.path(), None).unwrap_err().to_string();
    assert!(message.contains("has shape") && message.contains("diffusion_pytorch_model.bin"), "{message}");
}
