//! The readers of the library, without the library: the same source files in a crate that has no tensors.

#![allow(dead_code, reason = "each fuzz target uses a part of the readers")]

extern crate self as oxidiff_kernels;

#[path = "../../crates/oxidiff/src/error.rs"]
mod error;
mod loading;
#[path = "../../crates/oxidiff-kernels/src/mapped_file.rs"]
mod mapped_file;

use std::collections::BTreeMap;
use std::path::Path;

use loading::config::Config;
use loading::lora::{LoraFile, LoraTarget};
use loading::original_layout::{self, OriginalModel};
use loading::state_dict::StateDict;
pub use mapped_file::MappedFile;

/// A file that holds what a fuzzer made up, in memory where the system has such files.
pub struct Input {
    file: tempfile::NamedTempFile,
}

impl Input {
    /// A file whose name ends with `.{extension}`.
    pub fn with_extension(extension: &str) -> Self {
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() { shared.to_path_buf() } else { std::env::temp_dir() };
        let suffix = format!(".{extension}");
        Self { file: tempfile::Builder::new().suffix(&suffix).tempfile_in(folder).unwrap() }
    }

    fn write(&self, data: &[u8]) -> &Path {
        std::fs::write(self.file.path(), data).unwrap();
        self.file.path()
    }
}

/// Opens a weights file, reads all of its tensors, and takes them for a checkpoint in the original layout.
pub fn weights(input: &Input, data: &[u8]) {
    let Ok(tensors) = StateDict::open(input.write(data)) else { return };
    for (_, tensor) in tensors.iter() {
        if let Ok(bytes) = tensor.read() {
            assert!(bytes.len() <= data.len());
        }
        let rows = tensor.shape().first().copied().unwrap_or(0);
        if let Some(third) = tensor.rows(rows / 3..rows / 3 * 2) {
            let _ = third.read();
        }
    }
    let _ = OriginalModel::infer(&tensors);
    let config = Config::parse(br#"{"layers_per_block": 2, "up_block_types": [1, 2]}"#, "fuzz").unwrap();
    for class in ["UNet2DConditionModel", "AutoencoderKL", "CLIPTextModel"] {
        let _ = original_layout::convert(&tensors, class, &config);
    }
}

/// Reads the layers of an adapter file.
pub fn lora(input: &Input, data: &[u8]) {
    let Ok(tensors) = StateDict::open(input.write(data)) else { return };
    let Ok(file) = LoraFile::new(tensors) else { return };
    let linear = [
        ("a.to_q.weight", vec![2, 2]),
        ("b.c.weight", vec![2, 2, 1, 1]),
        ("l.self_attn.q_proj.weight", vec![2, 2]),
    ];
    let weights: BTreeMap<String, Vec<usize>> =
        linear.into_iter().map(|(key, shape)| (key.to_owned(), shape)).collect();
    for target in [LoraTarget::UNet, LoraTarget::TextEncoder] {
        for layer in file.layers(target, &weights).into_iter().flatten().map(|(_, layer)| layer) {
            assert!(!layer.scaling.is_nan());
            let _ = (layer.down.read(), layer.up.read());
        }
    }
}

/// Reads a configuration, and reads again what it is written as.
pub fn config(data: &[u8]) {
    let Ok(config) = Config::parse(data, "fuzz") else { return };
    let again = Config::parse(config.to_json().as_bytes(), "fuzz").expect("what was written can be read");
    assert_eq!(config.values().len(), again.values().len());
    for (field, value) in config.values() {
        assert_eq!(Some(value), again.get(field));
    }
}
