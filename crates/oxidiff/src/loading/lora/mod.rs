//! Files of adapters (LoRA and its relatives): which layers of which model they change, whatever the layout of their keys.
//!
//! Three layouts are in use. PEFT and diffusers keep the path of a layer (`unet.….to_q.lora_A.weight`,
//! `unet.….processor.to_q_lora.down.weight`); kohya's trainer writes it with underscores
//! (`lora_unet_…_to_q.lora_down.weight`), so that the path is found only by comparison with the model's own names, or with
//! those that its layers have in a single file.

mod choose_file;
mod fused;
mod layer;
mod original_names;
mod peft_config;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use safetensors::tensor::Dtype;
use serde_json::{Map, Value};

pub(crate) use self::choose_file::guess_file;
use self::layer::{DOWN, NAMES, PEFT_MAGNITUDE, Parts, UP};
pub(crate) use self::layer::{
    Lengthened, LoraLayer, StoredChange, StoredFactor, StoredMagnitude, StoredProduct, Trainer,
};
use self::peft_config::PeftConfig;
use crate::error::{Error, Result};
use crate::loading::formats::state_dict::{Elements, StateDict, StoredTensor};
use crate::wording::listed;

/// The name of the number that a layer's change is multiplied by, after division by its rank.
const ALPHA: &str = "alpha";
/// The end of the name of the projection after an attention, which some trainers call `out`.
const OUT: &str = ".to_out.0";

/// The key of the metadata under which diffusers keeps the configurations of PEFT.
const METADATA_KEY: &str = "lora_adapter_metadata";

/// A model that adapters change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoraTarget {
    UNet,
    TextEncoder,
    TextEncoder2,
    Transformer,
}

/// The layers of one model that a file changes, by the key of their weight.
pub(crate) type LoraLayers = BTreeMap<String, LoraLayer>;

/// An adapter file.
pub struct LoraFile {
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
            Self::Transformer => "transformer",
        }
    }

    /// The rest of a key that belongs to this model in a layout with paths. Trainers of transformers call the model
    /// `diffusion_model`, or do not name it at all.
    fn without_prefix(self, key: &str) -> Option<&str> {
        let after = |name: &str| key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        match self {
            Self::Transformer => Some(after(self.name()).or_else(|| after("diffusion_model")).unwrap_or(key)),
            _ => after(self.name()),
        }
    }

    /// The name in diffusers of a module of this model.
    fn canonical(self, module: String) -> String {
        match (self, module.strip_suffix(".out")) {
            (Self::Transformer, Some(block)) => format!("{block}{OUT}"),
            _ => module,
        }
    }

    fn kohya_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::UNet => &["lora_unet_", "lycoris_"],
            Self::TextEncoder => &["lora_te_", "lora_te1_"],
            Self::TextEncoder2 => &["lora_te2_"],
            Self::Transformer => &["lora_unet_", "lora_transformer_", "lycoris_"],
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
            ("oft_", "OFT (orthogonal fine-tuning)"),
            ("lora_B.bias", "LoRA with a bias"),
            ("diff_b", "full fine-tuning"),
            ("on_input", "IA³ (scaling of activations)"),
        ] {
            if let Some(key) = tensors.keys().find(|key| key.contains(mark)) {
                let what = format!("`{}`, an adapter by {kind}", tensors.origin());
                let why = format!("the tensor `{key}` belongs neither to a LoRA nor to a LoHa, LoKr or DoRA");
                return Err(Error::unsupported(what, why));
            }
        }
        let starts = ["lora_te_", "lora_te1_", "lora_te2_", "lora_unet_", "lora_transformer_", "lycoris_"];
        let kohya = tensors.keys().all(|key| starts.iter().any(|start| key.starts_with(start)));
        if tensors.is_empty() {
            return Err(tensors.error("not a LoRA: the file has no tensors"));
        }
        if let Some(key) = tensors.keys().find(|key| !key.contains("lora") && !is_of_transformer(key)) {
            return Err(
                tensors.error(format!("not a LoRA: the name of the tensor `{key}` does not contain `lora`"))
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

    /// The layers of the model `target`, given the shapes of its weights by key. The names of the tensors that they consist of
    /// are added to `used`.
    ///
    /// # Errors
    /// When a layer lacks one of its matrices, or a matrix does not fit the shape of the weight.
    pub(crate) fn layers<'a>(
        &'a self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
        used: &mut BTreeSet<&'a str>,
    ) -> Result<LoraLayers> {
        let parts = match self.kohya {
            true => self.kohya_parts(target, weights, used)?,
            false => self.parts(target, weights, used)?,
        };
        let parts = fused::split(parts, weights, &self.tensors)?;
        let mut layers = LoraLayers::new();
        for (module, part) in &parts {
            let key = format!("{module}.weight");
            let (change, rank, magnitude) = part.change(&self.tensors, module, &weights[&key])?;
            let scaling = match rank {
                Some(rank) if part.is_plain() => self.scaling(target, module, rank as f64, &parts)?,
                Some(rank) => {
                    part.alpha.filter(|alpha| *alpha != 0.0).map_or(1.0, |alpha| alpha / rank as f64)
                }
                None => 1.0,
            };
            layers.insert(key, LoraLayer { change, scaling, magnitude });
        }
        Ok(layers)
    }

    /// Says what became of tensors that are not among those `used` by the models `targets`.
    ///
    /// # Errors
    /// When none is used.
    pub(crate) fn check_used(&self, used: &BTreeSet<&str>, targets: &[LoraTarget]) -> Result<()> {
        let unused = Vec::from_iter(self.tensors.keys().filter(|key| !used.contains(key)));
        if unused.is_empty() {
            return Ok(());
        }
        let list = listed(&unused);
        let models = Vec::from_iter(targets.iter().map(|target| target.name())).join(" or the ");
        if used.is_empty() {
            return Err(self.tensors.error(format!("no tensor belongs to a layer of the {models}: {list}")));
        }
        let (unused, all) = (unused.len(), unused.len() + used.len());
        tracing::warn!(
            "{}: {unused} of {all} tensors belong to no layer of the {models} and are ignored: {list}",
            self.origin()
        );
        Ok(())
    }

    /// The matrices in the layouts of PEFT and diffusers.
    fn parts<'a>(
        &'a self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
        used: &mut BTreeSet<&'a str>,
    ) -> Result<BTreeMap<String, Parts<'a>>> {
        let mut parts = BTreeMap::<String, Parts>::new();
        for (key, tensor) in self.tensors.iter() {
            let Some(rest) = target.without_prefix(key) else { continue };
            let Some((module, name)) = split_key(target, rest)
                .map(|(module, name)| (target.canonical(module), name))
                .filter(|(module, _)| has_weight(target, module, weights))
            else {
                continue;
            };
            let part = parts.entry(module).or_default();
            match name {
                ALPHA => part.alpha = Some(scalar(tensor)?),
                name => {
                    part.tensors.insert(name, tensor.clone());
                }
            }
            used.insert(key);
        }
        Ok(parts)
    }

    /// The matrices and alphas in kohya's layout.
    fn kohya_parts<'a>(
        &'a self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
        used: &mut BTreeSet<&'a str>,
    ) -> Result<BTreeMap<String, Parts<'a>>> {
        let modules = self.kohya_modules(target, weights);
        let mut parts = BTreeMap::<String, Parts>::new();
        for (key, tensor) in self.tensors.iter() {
            let Some(rest) = target.kohya_prefixes().iter().find_map(|prefix| key.strip_prefix(prefix))
            else {
                continue;
            };
            let Some((module, part)) = rest.split_once('.') else {
                return Err(self.tensors.error(format!("tensor `{key}` does not belong to a LoRA")));
            };
            let part = match part {
                "lora.down.weight" | "lora_A.weight" => DOWN,
                "lora.up.weight" | "lora_B.weight" => UP,
                part => part,
            };
            if part != ALPHA && !NAMES.contains(&part) {
                return Err(self.tensors.error(format!("tensor `{key}` does not belong to a LoRA")));
            }
            let Some(module) = modules.get(module) else { continue };
            used.insert(key);
            let parts = parts.entry(module.clone()).or_default();
            match part {
                ALPHA => parts.alpha = Some(scalar(tensor)?),
                name => {
                    parts.tensors.insert(name, tensor.clone());
                }
            }
        }
        Ok(parts)
    }

    /// The modules of a model by the names that they can have in kohya's layout.
    fn kohya_modules(
        &self,
        target: LoraTarget,
        weights: &BTreeMap<String, Vec<usize>>,
    ) -> HashMap<String, String> {
        let mut modules = HashMap::new();
        for module in weights.keys().filter_map(|key| key.strip_suffix(".weight")) {
            let flat = module.replace('.', "_");
            match target {
                LoraTarget::TextEncoder => {
                    modules.insert(format!("text_model_{flat}"), module.to_owned());
                }
                LoraTarget::Transformer => {
                    if let Some(block) = module.strip_suffix(OUT) {
                        let flat = block.replace('.', "_");
                        modules.insert(format!("{flat}_out"), module.to_owned());
                        modules.insert(format!("{flat}_qkv"), fused::name(block));
                    }
                }
                LoraTarget::UNet | LoraTarget::TextEncoder2 => {}
            }
            modules.insert(flat, module.to_owned());
        }
        // A file that names the blocks in both ways is read by the names of diffusers, as in Python.
        let blocks = ["lora_unet_down_blocks_", "lora_unet_mid_block_", "lora_unet_up_blocks_"];
        let is_mixed = self.tensors.keys().any(|key| blocks.iter().any(|block| key.starts_with(block)));
        if target == LoraTarget::UNet {
            let originals = original_names::of_unet(weights);
            modules.extend(
                originals
                    .filter(|(name, _)| !(is_mixed && original_names::is_in_block(name)))
                    .map(|(name, module)| (name.replace('.', "_"), module.to_owned())),
            );
        }
        modules
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
        if target == LoraTarget::Transformer {
            return Ok(parts[module].alpha.map_or(1.0, |alpha| alpha / rank));
        }
        let Some(common) = most_common(parts.values().filter_map(|part| part.alpha)) else { return Ok(1.0) };
        // Where alphas differ, diffusers looks up a layer's own alpha by name, which works only for these layers; all others
        // get the most common alpha.
        let ends_with = |names: &[&str]| names.iter().any(|name| module.ends_with(name));
        let by_name = match target {
            LoraTarget::UNet => !ends_with(&["to_q", "to_k", "to_v", "to_out.0"]),
            LoraTarget::TextEncoder | LoraTarget::Transformer => false,
            LoraTarget::TextEncoder2 => ends_with(&["mlp.fc1", "mlp.fc2"]),
        };
        let own = parts[module].alpha.filter(|_| by_name);
        Ok(own.unwrap_or(common) / rank)
    }
}

/// Whether the model has the module, or the three that one matrix stands for.
fn has_weight(target: LoraTarget, module: &str, weights: &BTreeMap<String, Vec<usize>>) -> bool {
    let is_fused = || target == LoraTarget::Transformer && fused::parts(module, weights).is_some();
    weights.contains_key(&format!("{module}.weight")) || is_fused()
}

/// Whether a key without `lora` in it can belong to an adapter of a transformer.
fn is_of_transformer(key: &str) -> bool {
    let has_prefix = ["transformer.", "diffusion_model."].iter().any(|prefix| key.starts_with(prefix));
    has_prefix && key.rsplit_once('.').is_some_and(|(_, name)| name == ALPHA || NAMES.contains(&name))
}

/// The layer that a key belongs to, and the name of its tensor in kohya's layout, or PEFT's name for the lengths of DoRA.
fn split_key(target: LoraTarget, key: &str) -> Option<(String, &'static str)> {
    let key = key.replace(".processor.", ".").replace(".default.", ".");
    if target == LoraTarget::Transformer {
        for name in NAMES.into_iter().chain([ALPHA]) {
            if let Some(module) = key.strip_suffix(name).and_then(|module| module.strip_suffix('.')) {
                return Some((module.to_owned(), name));
            }
        }
    }
    let key = match target {
        LoraTarget::UNet | LoraTarget::TextEncoder2 | LoraTarget::Transformer => &key,
        LoraTarget::TextEncoder => key.strip_prefix("text_model.").unwrap_or(&key),
    };
    for (suffix, name) in [
        (".lora_A.weight", DOWN),
        (".lora_B.weight", UP),
        (".lora_magnitude_vector", PEFT_MAGNITUDE),
        (".lora_magnitude_vector.weight", PEFT_MAGNITUDE),
        (".lora.down.weight", DOWN),
        (".lora.up.weight", UP),
        (".lora_linear_layer.down.weight", DOWN),
        (".lora_linear_layer.up.weight", UP),
    ] {
        if let Some(module) = key.strip_suffix(suffix) {
            return Some((module.to_owned(), name));
        }
    }
    for (suffix, name) in [(".down.weight", DOWN), (".up.weight", UP)] {
        if let Some((module, projection)) = key.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.')) {
            return Some((format!("{module}.{}", target.projection(projection)?), name));
        }
    }
    None
}

/// The only element of a tensor.
fn scalar(tensor: &StoredTensor) -> Result<f64> {
    let error = || Error::Weights {
        origin: tensor.origin().to_owned(),
        message: format!("an alpha is {:?} of shape {:?}, not a number", tensor.elements(), tensor.shape()),
    };
    let Elements::Plain(dtype) = tensor.elements() else { return Err(error()) };
    if tensor.len() != 1 {
        return Err(error());
    }
    let bytes = tensor.read()?;
    let value = match (dtype, &bytes[..]) {
        (Dtype::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        (Dtype::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).into(),
        (Dtype::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).into(),
        (Dtype::BF16, &[a, b]) => half::bf16::from_le_bytes([a, b]).into(),
        (Dtype::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
        (Dtype::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
        _ => return Err(error()),
    };
    if value.is_finite() {
        Ok(value)
    } else {
        Err(tensor.error(format!("an alpha is {value}, which is not finite")))
    }
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
