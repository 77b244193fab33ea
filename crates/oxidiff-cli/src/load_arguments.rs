//! How to load a model: the options that several commands share.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use oxidiff::{DType, Device, Error, LoadOptions, QuantizationConfig, SingleFileOptions};

use crate::values::size_of_memory;

/// A device as the user names it.
#[derive(Clone, Copy, Debug)]
struct ChosenDevice {
    name: DeviceName,
    /// Which of several cards.
    ordinal: usize,
}

/// A name, and for cards of NVIDIA a number after a colon.
fn device(value: &str) -> Result<ChosenDevice, String> {
    let (name, ordinal) = value.split_once(':').unwrap_or((value, "0"));
    let name = DeviceName::from_str(name, false).map_err(|_| {
        let names = DeviceName::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        format!("possible values: {}", names.join(", "))
    })?;
    let ordinal = match ordinal.parse() {
        Ok(ordinal) if ordinal == 0 || matches!(name, DeviceName::Cuda) => ordinal,
        Ok(_) => return Err("only cuda takes a number".into()),
        Err(_) => return Err(format!("`{ordinal}` is not the number of a card")),
    };
    Ok(ChosenDevice { name, ordinal })
}

/// How to load a model.
#[derive(Args, Debug)]
pub(crate) struct LoadArguments {
    /// Where to compute: cpu, cuda (or cuda:1 for the second card), rocm, metal, vulkan or wgpu
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = device)]
    device: ChosenDevice,
    /// The element type to compute in
    #[arg(long, value_enum, default_value_t = DTypeName::F32)]
    dtype: DTypeName,
    /// Which variant of the weights to read, such as fp16
    #[arg(long)]
    variant: Option<String>,
    /// Do not run the model's safety checker
    #[arg(long)]
    no_safety_checker: bool,
    /// Which revision to fetch from the hub: a branch, a tag or a commit
    #[arg(long)]
    revision: Option<String>,
    /// Where a model in one file takes its configurations and tokenizers from: a folder or a name on the hub; by default from
    /// this program, which has those of the models that it knows
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    config: Option<String>,
    /// Weights of the model's transformer from another file, such as a GGUF file
    #[arg(long, value_name = "FILE")]
    transformer: Option<String>,
    /// Weights of the model's text encoder from another file, such as a GGUF file
    #[arg(long, value_name = "FILE")]
    text_encoder: Option<String>,
    /// Weights of the model's second text encoder from another file, such as a GGUF file
    #[arg(long, value_name = "FILE")]
    text_encoder_2: Option<String>,
    /// Weights of the model's third text encoder from another file, such as a GGUF file
    #[arg(long, value_name = "FILE")]
    text_encoder_3: Option<String>,
    /// Round the weights of transformers, UNets and text encoders to small numbers while they are loaded: q8_0, q5_1, q5_0, q4_1, q4_0 or q4_k
    #[arg(long, value_name = "FORMAT")]
    quantize: Option<QuantizationConfig>,
    /// The only components to quantise, such as transformer,text_encoder_2
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "quantize")]
    components_to_quantize: Vec<String>,
    /// Layers that are not quantised: those whose name contains one of these
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "quantize")]
    modules_to_not_convert: Vec<String>,
    /// Take the weights averaged over the training (EMA) from a model in one file that has both
    #[arg(long)]
    extract_ema: bool,
    /// How much memory to use, such as 12GiB: images that do not fit are decoded in tiles, other work is refused. Weights that stay in their files do not count
    #[arg(long, value_name = "SIZE", value_parser = size_of_memory)]
    max_memory: Option<u64>,
    /// Keep only the model that computes in the memory of the card, which needs less of it; with --device cuda
    #[arg(long)]
    model_cpu_offload: bool,
    /// Keep weights in the memory of the card only while they are used, which needs the least of it and is slow; with --device cuda
    #[arg(long)]
    sequential_cpu_offload: bool,
    /// Let the card round the factors of f32 products to 10 bits (TF32), which is faster; with --device cuda
    #[arg(long)]
    allow_tf32: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeviceName {
    Cpu,
    Cuda,
    Rocm,
    Metal,
    Vulkan,
    Wgpu,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DTypeName {
    F32,
    Bf16,
    F16,
}

impl LoadArguments {
    /// Limits the memory of this process and of the card, and the precision of the card, if the user asks for it.
    pub fn set_limits(&self) -> anyhow::Result<()> {
        let offloads = [
            ("--model-cpu-offload", self.model_cpu_offload),
            ("--sequential-cpu-offload", self.sequential_cpu_offload),
        ];
        for (option, _) in offloads.into_iter().filter(|(_, given)| *given) {
            if !matches!(self.device.name, DeviceName::Cuda) {
                bail!("{option}: only NVIDIA cards have a memory that models can leave; add --device cuda");
            }
        }
        if self.allow_tf32 {
            if !matches!(self.device.name, DeviceName::Cuda) {
                bail!("--allow-tf32: only NVIDIA cards compute in TF32; add --device cuda");
            }
            if !matches!(self.dtype, DTypeName::F32) {
                bail!("--allow-tf32: has an effect on f32 only; leave it out, or leave out --dtype");
            }
        }
        oxidiff::set_allow_tf32(self.allow_tf32);
        oxidiff::set_max_memory(self.max_memory);
        oxidiff::set_model_cpu_offload(self.model_cpu_offload);
        oxidiff::set_sequential_cpu_offload(self.sequential_cpu_offload);
        Ok(())
    }

    pub fn options(&self) -> anyhow::Result<LoadOptions> {
        let dtype = match self.dtype {
            DTypeName::F32 => DType::F32,
            DTypeName::Bf16 => DType::BF16,
            DTypeName::F16 => DType::F16,
        };
        let mut options = LoadOptions { dtype, device: self.device()?, ..LoadOptions::default() };
        options.variant = self.variant.clone();
        options.safety_checker = !self.no_safety_checker;
        options.hub.revision = self.revision.clone();
        options.weights =
            self.weights().map(|(_, component, file)| (component.into(), file.clone())).collect();
        options.quantization = self.quantization();
        Ok(options)
    }

    fn quantization(&self) -> Option<QuantizationConfig> {
        let mut config = self.quantize.clone()?;
        if !self.components_to_quantize.is_empty() {
            config.components = Some(self.components_to_quantize.clone());
        }
        config.modules_to_not_convert = self.modules_to_not_convert.clone();
        Some(config)
    }

    /// Files with weights of components: the option, the component and the file.
    fn weights(&self) -> impl Iterator<Item = (&'static str, &'static str, &String)> {
        let options = [
            ("--transformer", "transformer", &self.transformer),
            ("--text-encoder", "text_encoder", &self.text_encoder),
            ("--text-encoder-2", "text_encoder_2", &self.text_encoder_2),
            ("--text-encoder-3", "text_encoder_3", &self.text_encoder_3),
        ];
        options.into_iter().filter_map(|(option, component, file)| Some((option, component, file.as_ref()?)))
    }

    /// How to load a model in one file.
    pub fn single_file_options(&self, model: &str) -> anyhow::Result<SingleFileOptions> {
        if let Some(variant) = &self.variant {
            bail!("--variant {variant}: a model in one file has no variants");
        }
        if let Some((option, _, file)) = self.weights().next() {
            bail!("{option} {file}: only the parts of a model in a folder or on the hub can be replaced");
        }
        let is_local = |name: &String| Path::new(name).exists();
        if Path::new(model).is_file() && self.config.as_ref().is_none_or(is_local) {
            self.refuse_revision()?;
        }
        let LoadOptions { dtype, device, hub, quantization, .. } = self.options()?;
        let (config, extract_ema) = (self.config.clone(), self.extract_ema);
        Ok(SingleFileOptions {
            dtype,
            device,
            config,
            extract_ema,
            hub,
            quantization,
            ..SingleFileOptions::default()
        })
    }

    /// Names the option that an error of loading is about.
    pub fn name_option(&self, error: Error) -> anyhow::Error {
        let options = match &error {
            Error::InvalidArgument { argument: "weights", .. } => {
                self.weights().map(|(option, ..)| option).collect()
            }
            Error::InvalidArgument { argument: "quantization_config", .. } => {
                match self.components_to_quantize.is_empty() {
                    true => vec!["--quantize"],
                    false => vec!["--components-to-quantize"],
                }
            }
            _ => vec![],
        };
        match error {
            Error::InvalidArgument { message, .. } if !options.is_empty() => {
                anyhow!("{}: {message}", options.join(", "))
            }
            other => other.into(),
        }
    }

    /// Refuses `--revision` for a model that is not on the hub.
    pub fn refuse_revision(&self) -> anyhow::Result<()> {
        match &self.revision {
            Some(revision) => bail!("--revision {revision}: only a model on the hub has revisions"),
            None => Ok(()),
        }
    }

    /// Refuses the options that only a model in one file takes.
    pub fn refuse_single_file_options(&self) -> anyhow::Result<()> {
        for (option, given) in [("--config", self.config.is_some()), ("--extract-ema", self.extract_ema)] {
            if given {
                bail!("{option}: only a --model that is one file takes this option");
            }
        }
        Ok(())
    }

    fn device(&self) -> anyhow::Result<Device> {
        Ok(match self.device.name {
            DeviceName::Cpu => Device::flex(),
            #[cfg(feature = "cuda")]
            DeviceName::Cuda => oxidiff::cuda(self.device.ordinal)?,
            #[cfg(feature = "rocm")]
            DeviceName::Rocm => Device::rocm(0),
            #[cfg(feature = "metal")]
            DeviceName::Metal => Device::metal(oxidiff::DeviceKind::DefaultDevice),
            #[cfg(feature = "vulkan")]
            DeviceName::Vulkan => Device::vulkan(oxidiff::DeviceKind::DefaultDevice),
            #[cfg(feature = "wgpu")]
            DeviceName::Wgpu => Device::wgpu(oxidiff::DeviceKind::DefaultDevice),
            #[allow(unreachable_patterns, reason = "reachable unless every backend is compiled in")]
            other => {
                let name = other.to_possible_value().expect("no device is hidden").get_name().to_owned();
                bail!("--device {name}: this binary was built without it; build with `--features {name}`")
            }
        })
    }
}
