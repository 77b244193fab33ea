//! The library's readers without the library: the same source files in a crate without tensors.

#![allow(dead_code, unused_imports, reason = "each fuzz target uses a part of the readers")]

extern crate self as oxidiff_kernels;

#[path = "../../crates/oxidiff/src/error.rs"]
mod error;
mod loading;
#[path = "../../crates/oxidiff-kernels/src/cpu/quantised/format.rs"]
mod format;
#[path = "../../crates/oxidiff-kernels/src/host/mapped_file.rs"]
mod mapped_file;
#[path = "../../crates/oxidiff/src/wording.rs"]
mod wording;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use loading::config::Config;
use loading::lora::{LoraFile, LoraTarget};
use loading::original;
use loading::formats::shard_index::ShardIndex;
use loading::formats::state_dict::StateDict;
pub use format::QuantisedFormat;
pub use mapped_file::MappedFile;
use serde::{Deserialize, Serialize};

/// A file for the input of a fuzzer, in memory if the system supports that.
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

/// Opens a weights file, reads all of its tensors, and treats them as a checkpoint in the original layout.
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
    let _ = original::infer_configs(&tensors);
    let config = Config::parse(br#"{"layers_per_block": 2, "up_block_types": [1, 2]}"#, "fuzz").unwrap();
    for class in ["UNet2DConditionModel", "AutoencoderKL", "CLIPTextModel", "CLIPTextModelWithProjection"] {
        let _ = original::convert(&tensors, class, &config);
    }
}

/// The layers of a model, one of every kind that adapters change.
static LAYERS: LazyLock<BTreeMap<String, Vec<usize>>> = LazyLock::new(|| {
    let layers = [
        ("a.to_q.weight", vec![2, 2]),
        ("a.to_out.0.weight", vec![2, 2]),
        ("b.c.weight", vec![2, 2, 1, 1]),
        ("down_blocks.0.resnets.0.conv1.weight", vec![2, 2, 1, 1]),
        ("l.self_attn.q_proj.weight", vec![2, 2]),
        ("l.mlp.fc1.weight", vec![2, 2]),
    ];
    layers.into_iter().map(|(key, shape)| (key.to_owned(), shape)).collect()
});

/// Reads the layers of an adapter file.
pub fn lora(input: &Input, data: &[u8]) {
    let Ok(tensors) = StateDict::open(input.write(data)) else { return };
    let Ok(file) = LoraFile::new(tensors) else { return };
    let mut used = BTreeSet::new();
    let targets = [LoraTarget::UNet, LoraTarget::TextEncoder, LoraTarget::TextEncoder2];
    for target in targets {
        for (key, layer) in file.layers(target, &LAYERS, &mut used).into_iter().flatten() {
            assert!(!layer.scaling.is_nan());
            let weight = &LAYERS[&key];
            assert_eq!((layer.up.shape()[0], &layer.down.shape()[1..]), (weight[0], &weight[1..]));
            assert_eq!(layer.up.shape()[1], layer.down.shape()[0]);
            let _ = (layer.down.read(), layer.up.read());
        }
    }
    let _ = file.check_used(&used, &targets);
}

/// Fields of every kind that configurations have.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Fields {
    num_train_timesteps: usize,
    beta_start: f64,
    #[serde(with = "loading::non_finite")]
    lambda_min_clipped: f64,
    trained_betas: Option<Vec<f64>>,
    timestep_spacing: Spacing,
    clip_sample: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spacing {
    Linspace,
    Leading,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            lambda_min_clipped: f64::NEG_INFINITY,
            trained_betas: None,
            timestep_spacing: Spacing::Linspace,
            clip_sample: false,
        }
    }
}

/// Reads a configuration, writes it and reads it again, and passes it from one class to another; also treats the text as
/// the index of a checkpoint in shards.
pub fn config(data: &[u8]) {
    if let Ok(index) = ShardIndex::parse(data, "fuzz") {
        let shards = index.shards();
        assert!(
            shards.iter().all(|shard| Path::new("folder").join(shard).parent() == Some(Path::new("folder")))
        );
        assert!(index.tensors().all(|(_, shard)| shards.contains(shard)));
    }
    let Ok(config) = Config::parse(data, "fuzz") else { return };
    let again = Config::parse(config.to_json().as_bytes(), "fuzz").expect("a written configuration can be read");
    assert_eq!(config.values().len(), again.values().len());
    for (field, value) in config.values() {
        assert_eq!(Some(value), again.get(field));
    }
    let Ok((_, first)) = config.resolve::<Fields>("FirstScheduler") else { return };
    let (_, second) = first.resolve::<Fields>("SecondScheduler").expect("the fields are valid");
    let kept = |field: &&String| !["_class_name", "_diffusers_version"].contains(&field.as_str());
    for field in config.values().keys().filter(kept) {
        assert_eq!(first.get(field), second.get(field));
    }
}
