//! Checkpoints: weights files to the parameters of a module and back.
//!
//! A parameter's key in the file is the path of its field in the module (`down_blocks.0.resnets.1.conv1.weight`), so
//! reading a checkpoint is walking the module and looking up each path.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{AllocationProperty, DType, Device, Tensor, TensorData};
use bytes::Bytes;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::original_layout;
use crate::loading::shard_index::ShardIndex;
use crate::loading::state_dict::{StateDict, StoredTensor};
use crate::loading::variant::available_variants;
use crate::memory;

/// An open checkpoint: one weights file, or the shards that an index lists.
pub(crate) struct Checkpoint {
    tensors: StateDict,
}

/// Another key under which old checkpoints store the parameter of the given key.
pub(crate) type OldKey = fn(&str) -> Option<String>;

impl Checkpoint {
    /// Opens the weights `{stem}` in `folder`, or the variant of them (`{stem}.fp16.safetensors`) where there is one, single
    /// or in shards; safetensors before pickled ones (`{stem}.bin`).
    pub(crate) fn open(folder: &Folder, stem: &str, variant: Option<&str>, class_name: &str) -> Result<Self> {
        if let Folder::Original { original, .. } = folder {
            let text = folder.read("config.json", class_name)?;
            let config = Config::parse(&text, &folder.locate("config.json").display().to_string())?;
            return Ok(Self { tensors: original_layout::convert(original, class_name, &config)? });
        }
        let candidates = candidates(stem, variant);
        for Candidate { single, indices } in &candidates {
            if folder.has(single) {
                return Ok(Self { tensors: folder.state_dict(single, class_name)? });
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
        Ok(Self { tensors })
    }

    /// Gives every parameter of `module` its value from the checkpoint, as `dtype` on `device`.
    ///
    /// Where the file already holds `dtype`, CPU parameters use the mapped file itself; otherwise each is converted when it is
    /// first used, and its part of the file given back to the system.
    ///
    /// # Errors
    /// When a parameter is missing, or has another shape than the configuration says, or converted weights do not fit into
    /// memory.
    pub(crate) fn load_into<M: Module>(
        &self,
        module: M,
        dtype: DType,
        device: &Device,
        old_key: OldKey,
    ) -> Result<M> {
        let is_copied = |name: &str, tensor: &StoredTensor| {
            !tensor.is_mapped() || tensor.element_type(name).is_ok_and(|stored| stored != dtype)
        };
        let copied = self.tensors.iter().filter(|(name, tensor)| is_copied(name, tensor));
        let needed = copied.map(|(_, tensor)| tensor.len() as u64 * dtype.size() as u64).sum();
        let advice = "compute in the type of the weights, which is not converted, or in a smaller one";
        memory::check(&format!("loading {}", self.tensors.origin()), needed, device, advice)?;

        let mut reader = Reader {
            tensors: &self.tensors,
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
        let unused: Vec<&str> = self.tensors.keys().filter(|key| !used.contains(*key)).collect();
        if !unused.is_empty() {
            tracing::debug!(file = self.tensors.origin(), ?unused, "weights that the model does not have");
        }
        Ok(module)
    }
}

/// A weight as a file has it.
pub(crate) struct StoredWeight {
    /// The file, for messages.
    pub file: String,
    /// Whether none of its values is NaN or infinite there.
    pub is_finite: bool,
}

/// Looks for the weight of one of the `keys` in the weights files of a folder. Of several files, such as variants, the first
/// in which it is not finite counts.
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
    /// Of the index, where there are shards.
    indices: Vec<String>,
}

/// The names to look for, in this order: the variant before the plain weights, safetensors before pickled ones.
fn candidates(stem: &str, variant: Option<&str>) -> Vec<Candidate> {
    // transformers calls its weights otherwise in each format.
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

impl StoredTensor {
    /// The type of the elements.
    ///
    /// # Errors
    /// When it is no type of numbers.
    fn element_type(&self, name: &str) -> Result<DType> {
        Ok(match self.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::I64 => DType::I64,
            Dtype::I32 => DType::I32,
            Dtype::I16 => DType::I16,
            Dtype::I8 => DType::I8,
            Dtype::U64 => DType::U64,
            Dtype::U32 => DType::U32,
            Dtype::U16 => DType::U16,
            Dtype::U8 | Dtype::BOOL => DType::U8,
            other => {
                let message = format!("tensor `{name}` has elements of type {other:?}, which is not read");
                return Err(self.error(message));
            }
        })
    }

    /// Reads the tensor as `dtype` onto `device`. Where the file already holds `dtype`, memory on the CPU is the mapped
    /// file itself.
    ///
    /// # Errors
    /// When the file does not hold what it says, or its elements are not numbers.
    pub(crate) fn tensor<const D: usize>(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<D>> {
        let shape: [usize; D] = self.shape().try_into().map_err(|_| {
            self.error(format!("tensor `{name}` has shape {:?}, not {D} dimensions", self.shape()))
        })?;
        let stored = self.element_type(name)?;
        Ok(self.place(self.read()?, stored, shape, dtype, device))
    }

    /// The elements as they are stored.
    fn data(&self, name: &str) -> Result<TensorData> {
        let dtype = self.element_type(name)?;
        Ok(TensorData::from_bytes_vec(self.read()?.to_vec(), self.shape(), dtype))
    }

    /// As [`Self::tensor`], a parameter. Where the file holds another type, it is converted on first use, so that nothing waits
    /// for the weights of a part that has not begun its work.
    ///
    /// # Errors
    /// As for [`Self::tensor`].
    fn parameter<const D: usize>(
        &self,
        id: ParamId,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Param<Tensor<D>>> {
        let stored = self.element_type(name)?;
        if stored == dtype || !self.is_mapped() {
            return Ok(Param::initialized(id, self.tensor(name, dtype, device)?));
        }
        let shape: [usize; D] = self.shape().try_into().expect("the shape of the parameter");
        let (tensor, bytes) = (self.clone(), self.read()?);
        let convert = move |device: &Device, _| tensor.place(bytes, stored, shape, dtype, device);
        Ok(Param::uninitialized(id, convert, device.clone(), false, shape.into()))
    }

    /// Elements of type `stored` as a tensor of type `dtype` on `device`.
    fn place<const D: usize>(
        &self,
        bytes: Bytes,
        stored: DType,
        shape: [usize; D],
        dtype: DType,
        device: &Device,
    ) -> Tensor<D> {
        let aligned = bytes.as_ptr().align_offset(stored.size()) == 0;
        let bytes = if aligned {
            burn::tensor::Bytes::from_shared(bytes, AllocationProperty::File)
        } else {
            burn::tensor::Bytes::from_bytes_vec(bytes.to_vec())
        };
        let data = TensorData::from_bytes(bytes, shape, stored);
        if stored == dtype && aligned {
            return Tensor::from_data(data, (device, dtype));
        }
        let tensor = Tensor::from_data(oxidiff_kernels::convert(data, dtype), (device, dtype));
        self.release();
        tensor
    }
}

/// Walks a module and replaces its parameters by those of a checkpoint.
struct Reader<'a> {
    tensors: &'a StateDict,
    dtype: DType,
    device: &'a Device,
    old_key: OldKey,
    path: Vec<String>,
    used: BTreeSet<String>,
    errors: Vec<Error>,
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
        let loaded = found.parameter(param.id, &stored, self.dtype, self.device)?;
        self.used.insert(stored);
        Ok(loaded)
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
        self.lookup(&param).unwrap_or_else(|error| {
            self.errors.push(error);
            param
        })
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
pub(crate) fn push_field(path: &mut Vec<String>, name: &str, container_type: &str) {
    if !container_type.starts_with("Enum:") {
        path.push(name.to_owned());
    }
}

pub(crate) fn pop_field(path: &mut Vec<String>, container_type: &str) {
    if !container_type.starts_with("Enum:") {
        path.pop();
    }
}
