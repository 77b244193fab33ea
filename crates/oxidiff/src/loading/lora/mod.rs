//! Files of low-rank adapters (LoRA): which layers of which model they change, whatever the layout of their keys.
//!
//! Three layouts are in use. PEFT and diffusers keep the path of a layer (`unet.….to_q.lora_A.weight`,
//! `unet.….processor.to_q_lora.down.weight`); kohya's trainer writes it with underscores
//! (`lora_unet_…_to_q.lora_down.weight`), so that the path is found only by comparison with the model's own names.

mod choose_file;
mod peft_config;

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::Dtype;
use serde_json::{Map, Value};

pub(crate) use self::choose_file::guess_file;
use self::peft_config::PeftConfig;
use crate::error::{Error, Result};
use crate::loading::formats::state_dict::{StateDict, StoredTensor};

/// The key of the metadata under which diffusers keeps the configurations of PEFT.
const METADATA_KEY: &str = "lora_adapter_metadata";

/// A model that adapters change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraTarget {
    UNet,
    TextEncoder,
    TextEncoder2,
}

/// The change to one layer: `up · down · scaling` is added to its weight.
#[derive(Clone, Debug)]
pub(crate) struct LoraLayer {
    /// `[rank, in, ...]`.
    pub down: StoredTensor,
    /// `[out, rank, ...]`.
    pub up: StoredTensor,
    pub scaling: f64,
}

/// The layers of one model that a file changes, by the key of their weight.
pub(crate) type LoraLayers = BTreeMap<String, LoraLayer>;

/// The two matrices of a layer and its scale, as far as they were found.
#[derive(Default)]
struct Parts {
    down: Option<StoredTensor>,
    up: Option<StoredTensor>,
    alpha: Option<f64>,
}

/// An adapter file.
pub(crate) struct LoraFile {
    tensors: StateDict,
    kohya: bool,
    metadata: Map<String, Value>,
}

impl LoraTarget {
    /// The first part of a key in diffusers' layout.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UNet => "unet",
            Self::TextEncoder => "text_encoder",
            Self::TextEncoder2 => "text_encoder_2",
        }
    }

    fn kohya_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::UNet => &["lora_unet_"],
            Self::TextEncoder => &["lora_te_", "lora_te1_"],
            Self::TextEncoder2 => &["lora_te2_"],
        }
    }

    /// The name of a projection in this model. Diffusers' first layout used the same names for all models.
    fn projection(self, old: &str) -> Option<&'static str> {
        Some(match (self, old) {
            (Self::UNet, "to_q_lora") => "to_q",
            (Self::UNet, "to_k_lora") => "to_k",
            (Self::UNet, "to_v_lora") => "to_v",
            (Self::UNet, "to_out_lora") => "to_out.0",
            (Self::TextEncoder | Self::TextEncoder2, "to_q_lora") => "q_proj",
            (Self::TextEncoder | Self::TextEncoder2, "to_k_lora") => "k_proj",
            (Self::TextEncoder | Self::TextEncoder2, "to_v_lora") => "v_proj",
            (Self::TextEncoder | Self::TextEncoder2, "to_out_lora") => "out_proj",
            _ => return None,
        })
    }
}

impl LoraFile {
    /// # Errors
    /// When the tensors are not those of a LoRA, or of an unsupported kind.
    pub(crate) fn new(tensors: StateDict) -> Result<Self> {
        for (mark, kind) in [
            ("hada_", "LoHa (Hadamard products)"),
            ("lokr_", "LoKr (Kronecker products)"),
            ("lora_mid", "LoCon with a Tucker decomposition"),
            ("oft_", "OFT (orthogonal fine-tuning)"),
            ("dora_scale", "DoRA (weight decomposition)"),
            ("lora_magnitude_vector", "DoRA (weight decomposition)"),
            ("lora_B.bias", "LoRA with a bias"),
        ] {
            if let Some(key) = tensors.keys().find(|key| key.contains(mark)) {
                let what = format!("`{}`, an adapter by {kind}", tensors.origin());
                return Err(Error::unsupported(
                    what,
                    format!("the tensor `{key}` does not belong to a plain LoRA"),
                ));
            }
        }
        let starts = ["lora_te_", "lora_te1_", "lora_te2_", "lora_unet_"];
        let kohya = tensors.keys().all(|key| starts.iter().any(|start| key.starts_with(start)));
        if tensors.is_empty() {
            return Err(tensors.error("not a LoRA: the file has no tensors"));
        }
        if let Some(key) = tensors.keys().find(|key| !key.contains("lora")) {
            return Err(
                tensors.error(format!("not a LoRA: the name of the tensor `{key}` does not contain `lora`"))
            );
        }
        let known =
            ["lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "unet.", "text_encoder.", "text_encoder_2."];
        let others: Vec<&str> =
            tensors.keys().filter(|key| !known.iter().any(|start| key.starts_with(start))).collect();
        if !others.is_empty() {
            let list = others.join(", ");
            tracing::warn!(
                "{}: ignoring tensors that belong to no model of the pipeline: {list}",
                tensors.origin()
            );
        }
        let metadata = match tensors.text(METADATA_KEY) {
            Some(text) => serde_json::from_str(text).map_err(|error| {
                Error::config(tensors.origin(), METADATA_KEY, format!("not a JSON object: {error}"))
            })?,
            None => Map::new(),
        };
        Ok(Self { tensors, kohya, metadata })
    }

    pub(crate) fn origin(&self) -> &str {
        self.tensors.origin()
    }

    /// The layers of the model `target`, given the shapes of its weights by key.
    ///
    /// Tensors that match nothing in the model are ignored with a warning, as in diffusers.
    ///
    /// # Errors
    /// When a layer lacks one of its matrices, or a matrix does not fit the shape of the weight.
    pub(crate) fn layers(
        &self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
    ) -> Result<LoraLayers> {
        let (parts, unknown) =
            if self.kohya { self.kohya_parts(target, weights)? } else { self.parts(target, weights) };
        if !unknown.is_empty() {
            tracing::warn!(
                "{}: the {} has no layers for these tensors, which are ignored: {}",
                self.origin(),
                target.name(),
                unknown.join(", ")
            );
        }
        let mut layers = LoraLayers::new();
        for (module, part) in &parts {
            let (Some(down), Some(up)) = (&part.down, &part.up) else {
                let missing = if part.down.is_none() { "down (A)" } else { "up (B)" };
                return Err(self.tensors.error(format!("layer `{module}` has no {missing} matrix")));
            };
            let key = format!("{module}.weight");
            check_shapes(&self.tensors, module, down, up, &weights[&key])?;
            let rank = down.shape()[0] as f64;
            let scaling = self.scaling(target, module, rank, &parts)?;
            layers.insert(key, LoraLayer { down: down.clone(), up: up.clone(), scaling });
        }
        Ok(layers)
    }

    /// The matrices in the layouts of PEFT and diffusers, and the tensors that match no layer.
    fn parts(
        &self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
    ) -> (BTreeMap<String, Parts>, Vec<String>) {
        let mut parts = BTreeMap::<String, Parts>::new();
        let mut unknown = Vec::new();
        for (key, tensor) in self.tensors.iter() {
            let Some(rest) = key.strip_prefix(target.name()).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            match split_key(target, rest)
                .filter(|(module, _)| weights.contains_key(&format!("{module}.weight")))
            {
                Some((module, Matrix::Down)) => parts.entry(module).or_default().down = Some(tensor.clone()),
                Some((module, Matrix::Up)) => parts.entry(module).or_default().up = Some(tensor.clone()),
                None => unknown.push(key.to_owned()),
            }
        }
        (parts, unknown)
    }

    /// The matrices and alphas in kohya's layout, and the tensors that match no layer.
    fn kohya_parts(
        &self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
    ) -> Result<(BTreeMap<String, Parts>, Vec<String>)> {
        let mut modules = HashMap::new();
        for module in weights.keys().filter_map(|key| key.strip_suffix(".weight")) {
            let flat = module.replace('.', "_");
            if target == LoraTarget::TextEncoder {
                modules.insert(format!("text_model_{flat}"), module);
            }
            modules.insert(flat, module);
        }
        let mut parts = BTreeMap::<String, Parts>::new();
        let mut unknown = Vec::new();
        for (key, tensor) in self.tensors.iter() {
            let Some(rest) = target.kohya_prefixes().iter().find_map(|prefix| key.strip_prefix(prefix))
            else {
                continue;
            };
            let Some((module, part)) = rest.split_once('.') else {
                return Err(self.tensors.error(format!("tensor `{key}` does not belong to a LoRA")));
            };
            if !matches!(part, "lora_down.weight" | "lora_up.weight" | "alpha") {
                return Err(self.tensors.error(format!("tensor `{key}` does not belong to a LoRA")));
            }
            let Some(module) = modules.get(module) else {
                unknown.push(key.to_owned());
                continue;
            };
            let parts = parts.entry((*module).to_owned()).or_default();
            match part {
                "lora_down.weight" => parts.down = Some(tensor.clone()),
                "lora_up.weight" => parts.up = Some(tensor.clone()),
                _ => parts.alpha = Some(scalar(tensor)?),
            }
        }
        Ok((parts, unknown))
    }

    /// `alpha / rank`, or 1 without an alpha.
    fn scaling(
        &self,
        target: LoraTarget,
        module: &str,
        rank: f64,
        parts: &BTreeMap<String, Parts>,
    ) -> Result<f64> {
        if let Some(config) = PeftConfig::read(&self.metadata, self.origin(), target.name())? {
            return Ok(config.scaling(module, rank));
        }
        let Some(common) = most_common(parts.values().filter_map(|part| part.alpha)) else { return Ok(1.0) };
        // Where alphas differ, diffusers looks up a layer's own alpha by name, which works only for these layers; all others
        // get the most common alpha.
        let by_name = target == LoraTarget::UNet
            && !["to_q", "to_k", "to_v", "to_out.0"].iter().any(|name| module.ends_with(name));
        let own = parts[module].alpha.filter(|_| by_name);
        Ok(own.unwrap_or(common) / rank)
    }
}

enum Matrix {
    Down,
    Up,
}

/// The layer that a key belongs to, and which of its matrices.
fn split_key(target: LoraTarget, key: &str) -> Option<(String, Matrix)> {
    let key = key.replace(".processor.", ".");
    let key = match target {
        LoraTarget::UNet | LoraTarget::TextEncoder2 => &key,
        LoraTarget::TextEncoder => key.strip_prefix("text_model.").unwrap_or(&key),
    };
    for (suffix, matrix) in [
        (".lora_A.weight", Matrix::Down),
        (".lora_B.weight", Matrix::Up),
        (".lora.down.weight", Matrix::Down),
        (".lora.up.weight", Matrix::Up),
        (".lora_linear_layer.down.weight", Matrix::Down),
        (".lora_linear_layer.up.weight", Matrix::Up),
    ] {
        if let Some(module) = key.strip_suffix(suffix) {
            return Some((module.to_owned(), matrix));
        }
    }
    for (suffix, matrix) in [(".down.weight", Matrix::Down), (".up.weight", Matrix::Up)] {
        if let Some((module, projection)) = key.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.')) {
            return Some((format!("{module}.{}", target.projection(projection)?), matrix));
        }
    }
    None
}

fn check_shapes(
    file: &StateDict,
    module: &str,
    down: &StoredTensor,
    up: &StoredTensor,
    weight: &[usize],
) -> Result<()> {
    let fits = down.shape().len() == weight.len()
        && up.shape().len() == weight.len()
        && down.shape()[0] == up.shape()[1]
        && down.shape()[0] > 0
        && down.shape()[1..] == weight[1..]
        && up.shape()[0] == weight[0]
        && up.shape()[2..].iter().all(|size| *size == 1);
    if fits {
        return Ok(());
    }
    Err(file.error(format!(
        "layer `{module}` has matrices of shapes {:?} and {:?}, which do not fit a weight of {weight:?}",
        down.shape(),
        up.shape()
    )))
}

/// The only element of a tensor.
fn scalar(tensor: &StoredTensor) -> Result<f64> {
    let error = || Error::Weights {
        origin: tensor.origin().to_owned(),
        message: format!("an alpha is {:?} of shape {:?}, not a number", tensor.dtype(), tensor.shape()),
    };
    if tensor.len() != 1 {
        return Err(error());
    }
    let bytes = tensor.read()?;
    let value = match (tensor.dtype(), &bytes[..]) {
        (Dtype::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        (Dtype::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).into(),
        (Dtype::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).into(),
        (Dtype::BF16, &[a, b]) => half::bf16::from_le_bytes([a, b]).into(),
        (Dtype::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
        (Dtype::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
        _ => return Err(error()),
    };
    if value.is_finite() { Ok(value) } else { Err(error()) }
}

/// The value that occurs most often; the first of several.
fn most_common(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut counts: Vec<(f64, usize)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(other, _)| *other == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}
