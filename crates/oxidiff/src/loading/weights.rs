//! Checkpoints: from weights files to the parameters of a module, and back.
//!
//! A parameter's key in the file is the path of its field in the module (`down_blocks.0.resnets.1.conv1.weight`), so
//! reading a checkpoint means walking the module and looking up each path.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::formats::float8::{self, is_float8};
use crate::loading::formats::shard_index::ShardIndex;
use crate::loading::formats::state_dict::{Elements, StateDict, StoredTensor};
use crate::loading::original;
use crate::loading::quantisation::QuantizationConfig;
use crate::loading::variant::available_variants;
use crate::loading::{WeightOptions, write_whole};
use crate::memory;
use crate::models::layers::quantised_weight::QuantisedWeight;
use crate::wording::{counted, listed};

/// An open checkpoint: one weights file, or the shards that an index lists.
pub(crate) struct Checkpoint {
    tensors: StateDict,
}

/// What the layers are called whose weights are rounded.
const LINEAR: &str = "Struct:Linear";
/// What gives scores to the tokens of a language model is large, and few calls write texts: rounding it takes time that others should
/// not wait for.
const LM_HEAD: &str = "lm_head.weight";

/// How the matrix `name` is rounded while a model is loaded; `None` if it stays as it is.
fn rounded_format(
    quantization: Option<&QuantizationConfig>,
    name: &str,
    shape: &[usize],
) -> Option<QuantisedFormat> {
    quantization.filter(|_| !name.ends_with(LM_HEAD))?.format_of(name, shape)
}

/// Maps a parameter's key to the key under which old checkpoints store it.
pub(crate) type OldKey = fn(&str) -> Option<String>;

impl Checkpoint {
    /// The checkpoint that consists of these tensors.
    pub(crate) fn of(tensors: StateDict) -> Self {
        Self { tensors }
    }

    /// Opens the weights `{stem}` in `folder`, or their variant (`{stem}.fp16.safetensors`) if there is one, in one file or in
    /// shards. Safetensors come before pickled weights (`{stem}.bin`).
    pub(crate) fn open(folder: &Folder, stem: &str, variant: Option<&str>, class_name: &str) -> Result<Self> {
        if let Folder::Original { original, .. } = folder {
            let text = folder.read("config.json", class_name)?;
            let config = Config::parse(&text, &folder.locate("config.json").display().to_string())?;
            return Ok(Self { tensors: original::convert(original, class_name, &config)? });
        }
        let candidates = candidates(stem, variant);
        for Candidate { single, indices } in &candidates {
            if folder.has(single) {
                let tensors = float8::with_scales(folder.state_dict(single, class_name)?)?;
                return Ok(Self { tensors });
            }
            for index in indices {
                if folder.has(index) {
                    return Self::from_index(folder, index, class_name);
                }
            }
        }
        let names: Vec<&str> = candidates.iter().map(|candidate| candidate.single.as_str()).collect();
        let mut message = format!("no weights for {class_name}: looked for {}", names.join(", "));
        let variants = available_variants(&folder.file_names());
        if !variants.is_empty() {
            message +=
                &format!("; choose one of the available variants with `variant`: {}", variants.join(", "));
        }
        Err(Error::MissingFile { path: folder.name(), message })
    }

    fn from_index(folder: &Folder, index: &str, class_name: &str) -> Result<Self> {
        let text = folder.read(index, class_name)?;
        let index = ShardIndex::parse(&text, &folder.locate(index).display().to_string())?;
        let mut all: Option<StateDict> = None;
        for file in index.shards() {
            let shard = folder.state_dict(file, class_name)?;
            match &mut all {
                Some(all) => all.extend(shard),
                None => all = Some(shard),
            }
        }
        let tensors = all.expect("an index lists at least one file");
        if let Some((key, file)) = index.tensors().find(|(key, _)| !tensors.contains(key)) {
            let message = format!("tensor `{key}` is not in this shard, where the index says it is");
            return Err(Error::Weights { origin: folder.locate(file).display().to_string(), message });
        }
        Ok(Self { tensors: float8::with_scales(tensors)? })
    }

    /// The tensors.
    pub(crate) fn into_tensors(self) -> StateDict {
        self.tensors
    }

    /// The checkpoint without the weights whose names begin with one of `prefixes`.
    pub(crate) fn without(self, prefixes: &[&str]) -> Self {
        if prefixes.is_empty() {
            return self;
        }
        let is_kept = |key: &str| !prefixes.iter().any(|prefix| key.starts_with(prefix));
        Self { tensors: self.tensors.rename(|key| is_kept(key).then(|| key.to_owned())) }
    }

    /// Whether there are weights whose names begin with `prefix`.
    pub(crate) fn has(&self, prefix: &str) -> bool {
        self.tensors.keys().any(|key| key.starts_with(prefix))
    }

    /// Whether any weights are quantised.
    pub(crate) fn is_quantised(&self) -> bool {
        self.tensors.iter().any(|(_, tensor)| matches!(tensor.elements(), Elements::Quantised(_)))
    }

    /// Gives every parameter of `module` its value from the checkpoint, as `dtype` on `device`.
    ///
    /// Tensors that no parameter uses are named in a warning, as in Python.
    ///
    /// Where the file already holds `dtype`, CPU parameters use the mapped file itself. Otherwise each parameter is converted
    /// on first use, and its part of the file given back to the system.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape than the configuration says, or the converted weights do not fit into
    /// memory.
    pub(crate) fn load_into<M: Module>(
        &self,
        module: M,
        options: WeightOptions<'_>,
        (class_name, old_key): (&str, OldKey),
    ) -> Result<M> {
        let WeightOptions { dtype, device, quantization, .. } = options;
        let copied = |(name, tensor): (&str, &StoredTensor)| {
            let stored = match tensor.elements() {
                // Matrices in blocks are multiplied where they are.
                Elements::Quantised(_) => return 0,
                Elements::Plain(stored) => stored,
            };
            if let Some(format) = rounded_format(quantization, name, tensor.shape()) {
                return (tensor.len() / format.block_len() * format.block_bytes()) as u64;
            }
            let stays = tensor.is_mapped()
                && !is_float8(stored)
                && tensor.element_type(name).is_ok_and(|stored| stored == dtype);
            if stays { 0 } else { tensor.len() as u64 * dtype.size() as u64 }
        };
        let needed = self.tensors.iter().map(copied).sum();
        let advice = "compute in the type of the weights, which needs no conversion, or in a smaller one, or quantise the weights";
        memory::check(&format!("loading {}", self.tensors.origin()), needed, device, advice)?;

        let mut reader = Reader {
            tensors: &self.tensors,
            options,
            old_key,
            path: Vec::new(),
            container: String::new(),
            used: BTreeSet::new(),
            errors: vec![],
            rounded: false,
        };
        let module = module.map(&mut reader);
        let Reader { used, mut errors, rounded, .. } = reader;
        if !errors.is_empty() {
            return Err(errors.swap_remove(0));
        }
        if let Some(config) = quantization.filter(|_| !rounded) {
            let why = match self.is_quantised() {
                true => "they are quantised already",
                false => "no layer in its blocks is large enough, or all are excluded",
            };
            let (origin, format) = (self.tensors.origin(), config.format.name());
            tracing::warn!("{origin}: no weights of the {class_name} are rounded to {format}: {why}");
        }
        // Transformers once stored the numbers of the positions; batch normalization counts the batches of its training.
        let counts = ["position_ids", "num_batches_tracked"];
        // A weight that is in the file under both of its names.
        let copies: BTreeSet<String> = used.iter().filter_map(|key| old_key(key)).collect();
        let is_unused = |key: &&str| {
            !used.contains(*key) && !copies.contains(*key) && !counts.iter().any(|count| key.ends_with(count))
        };
        let unused: Vec<&str> = self.tensors.keys().filter(is_unused).collect();
        if !unused.is_empty() {
            let (origin, count) = (self.tensors.origin(), counted(unused.len(), "tensor"));
            tracing::warn!(
                "{origin}: {count} of the file {} to no layer of the {class_name}: {}",
                if unused.len() == 1 { "belongs" } else { "belong" },
                listed(&unused)
            );
        }
        Ok(module)
    }
}

/// A weight as it is stored in a file.
pub(crate) struct StoredWeight {
    /// The file, for messages.
    pub file: String,
    /// Whether all of its stored values are finite.
    pub is_finite: bool,
}

/// Looks for the weight under one of the `keys` in the weights files of a folder. Of several files, such as variants, the
/// first in which the weight is not finite counts.
pub(crate) fn stored_weight(folder: &Folder, keys: &[Option<&str>]) -> Option<StoredWeight> {
    let mut found = None;
    for tensors in folder.state_dicts() {
        let stored = keys.iter().flatten().find_map(|key| Some((*key, tensors.get(key)?)));
        let Some((key, tensor)) = stored else { continue };
        let Ok(data) = tensor.data(key) else { continue };
        let is_finite = data.iter::<f32>().all(f32::is_finite);
        if found.is_none() || !is_finite {
            found = Some(StoredWeight { file: tensor.origin().to_owned(), is_finite });
        }
        if !is_finite {
            break;
        }
    }
    found
}

/// Names that weights may have in a folder.
struct Candidate {
    single: String,
    /// Names of the index, if the weights are in shards.
    indices: Vec<String>,
}

/// The names to look for, in order: the variant before the plain weights, safetensors before pickled weights.
fn candidates(stem: &str, variant: Option<&str>) -> Vec<Candidate> {
    // transformers uses a different name in each format.
    let pickled = if stem == "model" { "pytorch_model" } else { stem };
    let files = [(stem, "safetensors"), (pickled, "bin")];
    let of_variant = files.into_iter().flat_map(|(stem, format)| {
        variant.map(|variant| Candidate {
            single: format!("{stem}.{variant}.{format}"),
            indices: vec![
                format!("{stem}.{format}.index.{variant}.json"),
                // Until 2023.
                format!("{stem}.{format}.{variant}.index.json"),
            ],
        })
    });
    let plain = files.into_iter().map(|(stem, format)| Candidate {
        single: format!("{stem}.{format}"),
        indices: vec![format!("{stem}.{format}.index.json")],
    });
    of_variant.chain(plain).collect()
}

/// Walks a module and replaces its parameters with those of a checkpoint.
struct Reader<'a> {
    tensors: &'a StateDict,
    options: WeightOptions<'a>,
    old_key: OldKey,
    path: Vec<String>,
    /// What the last field of the path belongs to.
    container: String,
    used: BTreeSet<String>,
    errors: Vec<Error>,
    /// Whether any weight was rounded to small numbers.
    rounded: bool,
}

impl Reader<'_> {
    fn lookup<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Result<Param<Tensor<D>>> {
        let shape = param.lazy_shape().dims::<D>();
        let key = self.path.join(".");
        let stored = if self.tensors.contains(&key) {
            key.clone()
        } else {
            (self.old_key)(&key).filter(|old| self.tensors.contains(old)).ok_or_else(|| {
                let message =
                    format!("tensor `{key}` is missing; the configuration asks for it with shape {shape:?}");
                self.tensors.error(message)
            })?
        };
        let found = self.tensors.get(&stored).expect("the key was looked up");
        if found.shape() != shape {
            let message = format!(
                "tensor `{stored}` has shape {:?}, the configuration asks for {shape:?}",
                found.shape()
            );
            return Err(found.error(message));
        }
        let WeightOptions { dtype, device, quantization, .. } = self.options;
        let quantization = quantization.filter(|_| self.container == LINEAR);
        let format = rounded_format(quantization, &key, &shape);
        let (mut loaded, matrix) = match format {
            Some(format) if matches!(found.elements(), Elements::Plain(_)) => {
                let matrix = found.rounded(&stored, format)?;
                // Whoever needs the weight widens the blocks, so that the layer computes with the same numbers everywhere.
                let values = matrix.clone();
                let widen = move |device: &Device, _| values.dequantised(dtype, device).reshape(shape);
                let widened = Param::uninitialized(param.id, widen, device.clone(), false, shape.into());
                (widened, Some(matrix))
            }
            _ => (found.parameter(param.id, &stored, dtype, device)?, found.quantised()?),
        };
        if let Some(matrix) = matrix {
            loaded = QuantisedWeight::attach(loaded, matrix, dtype, device);
        }
        self.rounded |= format.is_some_and(|_| matches!(found.elements(), Elements::Plain(_)));
        self.used.insert(stored);
        Ok(loaded)
    }
}

impl ModuleMapper for Reader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
        container_type.clone_into(&mut self.container);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.errors.is_empty() {
            return param;
        }
        self.lookup(&param).unwrap_or_else(|error| {
            self.errors.push(error);
            param
        })
    }
}

/// Writes the parameters of `module` to `file`, each under the path of its field and in its own element type.
///
/// The file is written completely or not at all.
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
    // Python's loaders accept a file only with `format: pt`.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let contents = safetensors::serialize(tensors, Some(metadata))
        .map_err(|error| Error::Weights { origin: file.display().to_string(), message: error.to_string() })?;
    write_whole(file, &contents)
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

/// Appends a field to the path of a parameter. Variants of an enum are not fields and leave no trace in the key.
pub(crate) fn push_field(path: &mut Vec<String>, name: &str, container_type: &str) {
    if !container_type.starts_with("Enum:") {
        path.push(name.to_owned());
    }
}

/// Takes the last field off the path of a parameter.
pub(crate) fn pop_field(path: &mut Vec<String>, container_type: &str) {
    if !container_type.starts_with("Enum:") {
        path.pop();
    }
}
