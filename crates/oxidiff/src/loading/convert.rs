//! From a model's weights to a GGUF file of small numbers.

use std::path::Path;

use burn::tensor::DType;
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::Dtype;

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::formats::float8;
use crate::loading::formats::gguf::write::{self, Value, Written};
use crate::loading::formats::state_dict::{Elements, StateDict, StoredTensor};
use crate::loading::hub::HubOptions;
use crate::loading::quantisation::QuantizationConfig;
use crate::loading::weights::Checkpoint;
use crate::loading::write_whole::check_writable;
use crate::loading::{LoadOptions, Needed};

/// How GGML's blocks are laid out, since 2023.
const QUANTISATION_VERSION: u32 = 2;

/// What to convert, and how.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// Which weights to round, and how.
    pub quantization: QuantizationConfig,
    /// The part of a pipeline to convert, such as `transformer`; none for a model that is in a file or a folder of its own.
    pub component: Option<String>,
    /// Which variant of the weights to read, if a folder has several.
    pub variant: Option<String>,
    /// Where and how to fetch files from the hub.
    pub hub: HubOptions,
}

/// Writes the weights of a model to a GGUF file, which is written completely or not at all.
///
/// `source` is a file of weights, the folder of a model or of a pipeline, or a name on the hub. Tensors keep their names, so that a
/// file in the layout of a model's authors or of ComfyUI is still one, and is read by the programs that read such files. A tensor is read
/// and rounded only when it is written.
///
/// ```no_run
/// use std::path::Path;
///
/// use oxidiff::{ConvertOptions, HubOptions, convert};
///
/// let component = Some("transformer".to_owned());
/// let (quantization, hub) = ("q4_k".parse()?, HubOptions::default());
/// let options = ConvertOptions { quantization, component, variant: None, hub };
/// convert("Tongyi-MAI/Z-Image-Turbo", Path::new("z_image_turbo-Q4_K.gguf"), &options)?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
///
/// # Errors
/// When the weights are missing, damaged or quantised already, no weight can be rounded to the format, or the file cannot be written.
pub fn convert(source: &str, file: &Path, options: &ConvertOptions) -> Result<()> {
    options.quantization.check()?;
    if file.extension().is_none_or(|extension| extension != "gguf") {
        let message = format!("{}: the name must end in .gguf, by which the file is known", file.display());
        return Err(Error::argument("file", message));
    }
    check_writable(file)?;
    let Opened { tensors, class } = open(source, options)?;
    check_apart(file, &tensors)?;
    if tensors.iter().any(|(_, tensor)| matches!(tensor.elements(), Elements::Quantised(_))) {
        return Err(
            tensors.error("its weights are quantised already; convert the file that they were made from")
        );
    }
    let written: Vec<Written> = tensors
        .iter()
        .map(|(name, tensor)| {
            let elements = elements(name, tensor, &options.quantization);
            Written { name: name.to_owned(), shape: tensor.shape().to_vec(), elements }
        })
        .collect();
    if !written.iter().any(|tensor| matches!(tensor.elements, Elements::Quantised(_))) {
        let format = options.quantization.format.name();
        return Err(
            tensors.error(format!("has no layers in blocks whose weights could be rounded to {format}"))
        );
    }
    let metadata = [
        ("general.architecture", Value::Text(architecture(&tensors, class))),
        ("general.quantization_version", Value::Number(QUANTISATION_VERSION)),
        ("general.file_type", Value::Number(file_type(options.quantization.format))),
    ];
    write::write(file, &metadata, &written, |Written { name, elements, .. }| {
        let tensor = tensors.get(name).expect("it was listed");
        let bytes = bytes(name, tensor, *elements)?;
        tensor.release();
        Ok(bytes)
    })
}

/// # Errors
/// When the weights would be read from the file that is written, by whatever name.
fn check_apart(file: &Path, tensors: &StateDict) -> Result<()> {
    let Ok(written) = file.canonicalize() else { return Ok(()) };
    let is_read = |(_, tensor): (&str, &StoredTensor)| {
        Path::new(tensor.origin()).canonicalize().is_ok_and(|read| read == written)
    };
    match tensors.iter().any(is_read) {
        true => {
            let message = format!("{}: the weights are read from this file", file.display());
            Err(Error::argument("file", message))
        }
        false => Ok(()),
    }
}

/// The weights, and what their configuration calls the model.
struct Opened {
    tensors: StateDict,
    class: Option<String>,
}

fn open(source: &str, options: &ConvertOptions) -> Result<Opened> {
    let ConvertOptions { component, variant, hub, .. } = options;
    if Path::new(source).is_file() {
        if let Some(component) = component {
            let message = format!("`{component}`: {source} is a file, which has no components");
            return Err(Error::argument("component", message));
        }
        let tensors = float8::with_scales(StateDict::open(Path::new(source))?)?;
        return Ok(Opened { tensors, class: None });
    }
    check_component(source, component.as_deref())?;
    // The models of transformers are called otherwise than those of diffusers.
    let is_text = component.as_ref().is_some_and(|component| component.starts_with("text_encoder"));
    let weights = if is_text { "model" } else { "diffusion_pytorch_model" };
    let load = LoadOptions {
        variant: variant.clone(),
        subfolder: component.clone(),
        hub: hub.clone(),
        ..LoadOptions::default()
    };
    let folder = load.open(source, Needed::Model { config: "config.json", weights })?;
    let checkpoint = Checkpoint::open(&folder, weights, variant.as_deref(), "model")?;
    let config = folder.read("config.json", "model")?;
    let config = Config::parse(&config, &folder.locate("config.json").display().to_string())?;
    let class =
        config.get("model_type").and_then(|model| model.as_str()).or(config.class_name()).map(str::to_owned);
    Ok(Opened { tensors: checkpoint.into_tensors(), class })
}

/// The folder of a pipeline holds several models: one of them must be chosen.
fn check_component(source: &str, component: Option<&str>) -> Result<()> {
    let folder = Path::new(source);
    if !folder.join("model_index.json").is_file() {
        return Ok(());
    }
    let message = match component {
        None => format!("{source} is a pipeline: choose the part to convert, such as transformer"),
        Some(component) if !folder.join(component).is_dir() => {
            format!("{source} has no part `{component}`")
        }
        Some(_) => return Ok(()),
    };
    Err(Error::argument("component", message))
}

/// How a tensor is stored.
fn elements(name: &str, tensor: &StoredTensor, config: &QuantizationConfig) -> Elements {
    if let Some(format) = config.format_of(name, tensor.shape()) {
        return Elements::Quantised(format);
    }
    let Elements::Plain(stored) = tensor.elements() else { return tensor.elements() };
    let is_vector = tensor.shape().len() <= 1;
    Elements::Plain(match stored {
        // Programs that compute with GGML add biases and multiply with norms in single precision only.
        Dtype::F16 | Dtype::BF16 if is_vector => Dtype::F32,
        Dtype::F64 => Dtype::F32,
        Dtype::F8_E4M3 | Dtype::F8_E5M2 if is_vector => Dtype::F32,
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => Dtype::BF16,
        Dtype::U8 | Dtype::BOOL => Dtype::I8,
        other => other,
    })
}

/// The elements of a tensor, stored as it was decided.
fn bytes(name: &str, tensor: &StoredTensor, elements: Elements) -> Result<Vec<u8>> {
    let dtype = match elements {
        Elements::Quantised(format) => return Ok(tensor.rounded(name, format)?.blocks().to_vec()),
        stored if stored == tensor.elements() => return Ok(tensor.read()?.to_vec()),
        Elements::Plain(Dtype::BF16) => DType::BF16,
        Elements::Plain(Dtype::I8) => return Ok(tensor.read()?.to_vec()),
        Elements::Plain(_) => DType::F32,
    };
    Ok(oxidiff_kernels::convert(tensor.data(name)?, dtype).as_bytes().to_vec())
}

/// What other programs call the model: those that read such files choose their network by it.
/// (<https://github.com/city96/ComfyUI-GGUF/blob/main/tools/convert.py>)
fn architecture(tensors: &StateDict, class: Option<String>) -> String {
    const MARKS: [(&str, &str); 4] = [
        ("double_blocks.0.", "flux"),
        ("joint_blocks.0.", "sd3"),
        ("cap_embedder.0.", "lumina2"),
        ("transformer_blocks.0.img_mod.1.", "qwen_image"),
    ];
    let has = |mark: &str| tensors.keys().any(|key| key.contains(mark));
    let known = MARKS.iter().find(|(mark, _)| has(mark)).map(|(_, name)| (*name).to_owned());
    known.or(class).unwrap_or_else(|| "unknown".to_owned())
}

/// What llama.cpp calls a file whose weights are mostly of this format.
fn file_type(format: QuantisedFormat) -> u32 {
    match format {
        QuantisedFormat::Q4_0 => 2,
        QuantisedFormat::Q4_1 => 3,
        QuantisedFormat::Q8_0 => 7,
        QuantisedFormat::Q5_0 => 8,
        QuantisedFormat::Q5_1 => 9,
        QuantisedFormat::Q2K => 10,
        QuantisedFormat::Q3K => 11,
        QuantisedFormat::Q4K => 14,
        QuantisedFormat::Q5K => 16,
        QuantisedFormat::Q6K => 18,
    }
}
