//! Checkpoints: safetensors files to the parameters of a module and back.
//!
//! A parameter's key in the file is the path of its field in the module (`down_blocks.0.resnets.1.conv1.weight`), so
//! reading a checkpoint is walking the module and looking up each path.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{AllocationProperty, Bytes, DType, Device, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorView};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::loading::folder::{Contents, Folder};

/// An open checkpoint: one safetensors file, or the shards that an index lists.
pub(crate) struct Checkpoint {
    shards: Vec<Shard>,
    /// Which shard holds a key.
    keys: HashMap<String, usize>,
}

struct Shard {
    /// The file, for messages.
    origin: String,
    contents: Contents,
    metadata: Metadata,
    /// Where the tensors start in the file, behind the header.
    data_start: usize,
}

/// A `*.safetensors.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// Another key under which old checkpoints store the parameter of the given key.
pub(crate) type OldKey = fn(&str) -> Option<String>;

impl Checkpoint {
    /// Opens `{stem}.safetensors` in `folder`, or the variant of it (`{stem}.fp16.safetensors`) where there is one, single
    /// or in shards.
    pub(crate) fn open(folder: &Folder, stem: &str, variant: Option<&str>, class_name: &str) -> Result<Self> {
        let mut candidates = Vec::new();
        if let Some(variant) = variant {
            candidates.push((
                format!("{stem}.{variant}.safetensors"),
                format!("{stem}.safetensors.index.{variant}.json"),
            ));
        }
        candidates.push((format!("{stem}.safetensors"), format!("{stem}.safetensors.index.json")));

        for (single, index) in &candidates {
            if folder.has(single) {
                return Self::from_shards(folder, BTreeSet::from([single.clone()]), None, class_name);
            }
            if folder.has(index) {
                let text = folder.read(index, class_name)?;
                let index_file = folder.locate(index).display().to_string();
                let index: ShardIndex = serde_json::from_slice(&text)
                    .map_err(|error| Error::config(&index_file, "weight_map", error.to_string()))?;
                if let Some(escape) = index.weight_map.values().find(|shard| !is_plain_file_name(shard)) {
                    let message = format!("the shard `{escape}` is not a file name");
                    return Err(Error::config(index_file, "weight_map", message));
                }
                let shards = index.weight_map.values().cloned().collect();
                return Self::from_shards(folder, shards, Some(index.weight_map), class_name);
            }
        }

        let names: Vec<&str> = candidates.iter().map(|(single, _)| single.as_str()).collect();
        let hint = if folder.has(&format!("{stem}.bin")) || folder.has("pytorch_model.bin") {
            "; its pickled weights (.bin) are not read"
        } else {
            ""
        };
        Err(Error::MissingFile {
            path: folder.name(),
            message: format!("no weights for {class_name}: looked for {}{hint}", names.join(", ")),
        })
    }

    fn from_shards(
        folder: &Folder,
        files: BTreeSet<String>,
        weight_map: Option<BTreeMap<String, String>>,
        class_name: &str,
    ) -> Result<Self> {
        let mut shards = Vec::new();
        let mut keys = HashMap::new();
        for file in &files {
            let shard = Shard::open(folder, file, class_name)?;
            for key in shard.metadata.offset_keys() {
                keys.insert(key, shards.len());
            }
            shards.push(shard);
        }
        for (key, file) in weight_map.into_iter().flatten() {
            if !keys.contains_key(&key) {
                let message = format!("tensor `{key}` is not in this shard, where the index says it is");
                return Err(Error::Weights { origin: folder.locate(&file).display().to_string(), message });
            }
        }
        Ok(Self { shards, keys })
    }

    /// Gives every parameter of `module` its value from the checkpoint, as `dtype` on `device`.
    ///
    /// Where the file already holds `dtype`, CPU parameters use the mapped file itself; otherwise one tensor after the
    /// other is converted, so that never more than one exists twice.
    ///
    /// # Errors
    /// When a parameter is missing, or has another shape than the configuration says.
    pub(crate) fn load_into<M: Module>(
        &self,
        module: M,
        dtype: DType,
        device: &Device,
        old_key: OldKey,
    ) -> Result<M> {
        let mut reader = Reader {
            checkpoint: self,
            dtype,
            device,
            old_key,
            path: Vec::new(),
            used: BTreeSet::new(),
            errors: vec![],
        };
        let module = module.map(&mut reader);
        let Reader { used, mut errors, .. } = reader;
        if !errors.is_empty() {
            return Err(errors.swap_remove(0));
        }
        let unused: Vec<&str> =
            self.keys.keys().filter(|key| !used.contains(*key)).map(String::as_str).collect();
        if !unused.is_empty() {
            tracing::debug!(file = self.shards[0].origin, ?unused, "weights that the model does not have");
        }
        Ok(module)
    }

    /// Whether the checkpoint has a tensor of this name.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// The file, or the first of them, for messages.
    fn origin(&self) -> &str {
        &self.shards[0].origin
    }
}

impl Shard {
    fn open(folder: &Folder, file: &str, class_name: &str) -> Result<Self> {
        let origin = folder.locate(file).display().to_string();
        let contents = folder.map(file, class_name)?;
        let (header_len, metadata) = SafeTensors::read_metadata(contents.bytes()).map_err(|error| {
            let message = format!("not a whole safetensors file ({error}); is it truncated?");
            Error::Weights { origin: origin.clone(), message }
        })?;
        Ok(Self { origin, contents, metadata, data_start: header_len + size_of::<u64>() })
    }

    fn tensor<const D: usize>(
        &self,
        key: &str,
        expected: [usize; D],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let error = |message: String| Error::Weights { origin: self.origin.clone(), message };
        let info = self.metadata.info(key).expect("the key was listed by this shard");
        if info.shape != expected {
            return Err(error(format!(
                "tensor `{key}` has shape {:?}, the configuration asks for {expected:?}",
                info.shape
            )));
        }
        let stored = match info.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => return Err(error(format!("tensor `{key}` has element type {other:?}, not a float"))),
        };
        let range = self.data_start + info.data_offsets.0..self.data_start + info.data_offsets.1;
        let slice = self.contents.slice(range.clone());
        let aligned = slice.as_ptr().align_offset(stored.size()) == 0;
        let bytes = if aligned {
            Bytes::from_shared(slice, AllocationProperty::File)
        } else {
            Bytes::from_bytes_vec(slice.to_vec())
        };
        let data = TensorData::from_bytes(bytes, expected, stored);
        if stored == dtype && aligned {
            return Ok(Tensor::from_data(data, (device, dtype)));
        }
        let tensor = Tensor::from_data(data.convert_dtype(dtype), (device, dtype));
        self.contents.release(range);
        Ok(tensor)
    }
}

/// Walks a module and replaces its parameters by those of a checkpoint.
struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    dtype: DType,
    device: &'a Device,
    old_key: OldKey,
    path: Vec<String>,
    used: BTreeSet<String>,
    errors: Vec<Error>,
}

impl Reader<'_> {
    fn lookup<const D: usize>(&mut self, shape: [usize; D]) -> Result<Tensor<D>> {
        let key = self.path.join(".");
        let stored = if self.checkpoint.contains(&key) {
            key.clone()
        } else {
            (self.old_key)(&key).filter(|old| self.checkpoint.contains(old)).ok_or_else(|| {
                Error::Weights {
                    origin: self.checkpoint.origin().to_owned(),
                    message: format!(
                        "tensor `{key}` is missing; the configuration asks for it with shape {shape:?}"
                    ),
                }
            })?
        };
        let shard = &self.checkpoint.shards[self.checkpoint.keys[&stored]];
        let tensor = shard.tensor(&stored, shape, self.dtype, self.device)?;
        self.used.insert(stored);
        Ok(tensor)
    }
}

impl ModuleMapper for Reader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.errors.is_empty() {
            return param;
        }
        match self.lookup(param.lazy_shape().dims()) {
            Ok(tensor) => Param::initialized(param.id, tensor),
            Err(error) => {
                self.errors.push(error);
                param
            }
        }
    }
}

/// Writes the parameters of `module` to `file`, each under the path of its field, in its own element type.
///
/// The file appears whole or not at all.
///
/// # Errors
/// When the folder does not exist or cannot be written.
pub(crate) fn save<M: Module>(module: &M, file: &Path) -> Result<()> {
    let mut writer = Writer::default();
    module.visit(&mut writer);
    let tensors = writer.tensors.iter().map(|(key, (dtype, data))| {
        let shape = data.shape().to_vec();
        let view = TensorView::new(*dtype, shape, data.as_bytes()).expect("tensor data fits its own shape");
        (key.clone(), view)
    });
    // `format: pt` is what Python's loaders look for before they accept a file.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let contents = safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Error::Weights { origin: file.display().to_string(), message: error.to_string() })?;
    super::write_whole(file, &contents)
}

#[derive(Default)]
struct Writer {
    path: Vec<String>,
    tensors: BTreeMap<String, (Dtype, TensorData)>,
}

impl ModuleVisitor for Writer {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        let dtype = match data.dtype() {
            DType::F64 => Dtype::F64,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            _ => Dtype::F32,
        };
        self.tensors.insert(self.path.join("."), (dtype, data));
    }
}

/// Variants of an enum are no fields: they leave no trace in the key.
fn push_field(path: &mut Vec<String>, name: &str, container_type: &str) {
    if !container_type.starts_with("Enum:") {
        path.push(name.to_owned());
    }
}

fn pop_field(path: &mut Vec<String>, container_type: &str) {
    if !container_type.starts_with("Enum:") {
        path.pop();
    }
}

fn is_plain_file_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|file| file == name)
}
