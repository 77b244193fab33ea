//! The keys of the tensors of an adapter in the layouts with paths.

use super::layer::{DOWN, NAMES, PEFT_MAGNITUDE, UP};
use super::{ALPHA, LoraTarget};

/// Whether a key without `lora` in it can belong to an adapter.
pub(super) fn is_of_adapter(key: &str) -> bool {
    key.rsplit_once('.').is_some_and(|(_, name)| name == ALPHA || NAMES.contains(&name))
}

/// Whether a tensor is added to a weight or a bias as a whole.
pub(super) fn is_full_change(key: &str) -> bool {
    key.ends_with(".diff") || key.ends_with(".diff_b")
}

/// The layer that a key belongs to, and the name of its tensor in kohya's layout, or PEFT's name for the lengths of DoRA.
pub(super) fn split_key(target: LoraTarget, key: &str) -> Option<(String, &'static str)> {
    let key = key.replace(".processor.", ".").replace(".default.", ".");
    let key = match target {
        LoraTarget::UNet | LoraTarget::TextEncoder2 | LoraTarget::Transformer => &key,
        LoraTarget::TextEncoder => key.strip_prefix("text_model.").unwrap_or(&key),
    };
    if matches!(target, LoraTarget::Transformer | LoraTarget::TextEncoder) {
        for name in NAMES.into_iter().chain([ALPHA]) {
            if let Some(module) = key.strip_suffix(name).and_then(|module| module.strip_suffix('.')) {
                return Some((module.to_owned(), name));
            }
        }
    }
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
