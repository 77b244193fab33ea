//! Files of adapters (LoRA and its relatives): which layers of which model they change, whatever the layout of their keys.
//!
//! Three layouts are in use. PEFT and diffusers keep the path of a layer (`unet.….to_q.lora_A.weight`,
//! `unet.….processor.to_q_lora.down.weight`); kohya's trainer writes it with underscores
//! (`lora_unet_…_to_q.lora_down.weight`), so that the path is found only by comparison with the model's own names, or with
//! those that its layers have in a single file.

mod alpha;
mod choose_file;
mod fused;
mod keys;
mod layer;
mod original_names;
mod peft_config;
mod transformer_names;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use self::alpha::{most_common, scalar};
pub(crate) use self::choose_file::guess_file;
use self::keys::{is_full_change, is_of_adapter, split_key};
use self::layer::{DOWN, NAMES, Parts, UP};
pub(crate) use self::layer::{
    Lengthened, LoraLayer, StoredChange, StoredFactor, StoredMagnitude, StoredProduct, Trainer,
};
use self::peft_config::PeftConfig;
use crate::error::{Error, Result};
use crate::loading::formats::state_dict::StateDict;
use crate::wording::listed;

/// The name of the number that a layer's change is multiplied by, after division by its rank.
const ALPHA: &str = "alpha";
/// The end of the name of the projection after an attention, which some trainers call `out`.
const OUT: &str = ".to_out.0";

/// The key of the metadata under which diffusers keeps the configurations of PEFT.
pub(crate) const METADATA_KEY: &str = "lora_adapter_metadata";

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
            Self::Transformer => {
                let names = [self.name(), "diffusion_model", "base_model.model"];
                Some(names.into_iter().find_map(after).unwrap_or(key))
            }
            // ComfyUI's name of the smaller CLIP.
            Self::TextEncoder => after(self.name()).or_else(|| after("text_encoders.clip_l.transformer")),
            Self::UNet | Self::TextEncoder2 => after(self.name()),
        }
    }

    /// The name in diffusers of a module of this model, which has these weights.
    fn canonical(self, module: String, weights: &BTreeMap<String, Vec<usize>>) -> String {
        match self {
            Self::Transformer => transformer_names::canonical(module, weights),
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
            // XLabs' names for FLUX.1: those of the image, of the text, and of both.
            (Self::Transformer, "qkv_lora1") => "img_attn.qkv",
            (Self::Transformer, "proj_lora1") => "img_attn.proj",
            (Self::Transformer, "qkv_lora2") => "txt_attn.qkv",
            (Self::Transformer, "proj_lora2") => "txt_attn.proj",
            (Self::Transformer, "qkv_lora") => "qkv",
            (Self::Transformer, "proj_lora") => "linear2",
            _ => return None,
        })
    }
}

impl LoraFile {
    /// # Errors
    /// When the tensors are not those of a LoRA, or of an unsupported kind.
    pub(crate) fn new(tensors: StateDict) -> Result<Self> {
        // Trainers of FLUX.1 write changed biases and norms beside the LoRA, often of zeros. As in Python, these are left out.
        let of_flux =
            tensors.keys().any(|key| key.contains("double_blocks") || key.contains("single_blocks"));
        let is_known =
            |key: &str| key.contains("lora") || is_of_adapter(key) || of_flux && is_full_change(key);
        for (mark, kind) in [
            ("oft_", "OFT (orthogonal fine-tuning)"),
            ("lora_B.bias", "LoRA with a bias"),
            ("diff_b", "full fine-tuning"),
            ("on_input", "IA³ (scaling of activations)"),
        ] {
            if of_flux && mark == "diff_b" {
                continue;
            }
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
        if let Some(key) = tensors.keys().find(|key| !is_known(key)) {
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
            let Some((module, name)) = split_key(target, rest) else { continue };
            let original = module.clone();
            let module = target.canonical(module, weights);
            // The first text encoder may have a projection, and is then inside of a model.
            let inner = format!("text_model.{module}");
            let module = if has_weight(target, &module, weights) {
                module
            } else if target == LoraTarget::TextEncoder && has_weight(target, &inner, weights) {
                inner
            } else {
                continue;
            };
            let swaps = name == UP && transformer_names::shifts_first(&original, &module, weights);
            let part = parts.entry(module).or_default();
            match name {
                ALPHA => part.alpha = Some(scalar(tensor)?),
                name => {
                    let swapped = if swaps { tensor.with_halves_swapped()? } else { None };
                    part.tensors.insert(name, swapped.unwrap_or_else(|| tensor.clone()));
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
            if is_full_change(key) {
                continue;
            }
            if part != ALPHA && !NAMES.contains(&part) {
                return Err(self.tensors.error(format!("tensor `{key}` does not belong to a LoRA")));
            }
            let original = module;
            let Some(module) = modules.get(original) else { continue };
            used.insert(key);
            let swaps = part == UP && transformer_names::shifts_first(original, module, weights);
            let parts = parts.entry(module.clone()).or_default();
            match part {
                ALPHA => parts.alpha = Some(scalar(tensor)?),
                name => {
                    let swapped = if swaps { tensor.with_halves_swapped()? } else { None };
                    parts.tensors.insert(name, swapped.unwrap_or_else(|| tensor.clone()));
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
        if target == LoraTarget::Transformer {
            modules.extend(transformer_names::of_authors(weights));
        }
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
