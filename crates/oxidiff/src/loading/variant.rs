//! Which weights of a checkpoint to read: those of a variant, or the plain ones.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::hub::{MODEL_INDEX, component_names};

/// Which components of a checkpoint have a variant of their weights.
#[derive(Debug, Default)]
pub(crate) struct VariantCoverage<'a> {
    is_found: bool,
    /// The components with plain weights only.
    plain: Vec<&'a str>,
    /// The variants that any component has.
    available: BTreeSet<String>,
}

impl<'a> VariantCoverage<'a> {
    /// Adds a component, given the `names` of the files in its folder, and returns the weights to read.
    pub fn add<'n>(&mut self, component: &'a str, names: &[&'n str], variant: Option<&str>) -> Vec<&'n str> {
        let (chosen, found) = choose_weights(names, variant);
        if found.is_some() {
            self.is_found = true;
        } else if variant.is_some() && !chosen.is_empty() {
            self.plain.push(component);
        }
        self.available.extend(names.iter().filter_map(|name| {
            let variant = weights_variant(name, "safetensors").or_else(|| weights_variant(name, "bin"))?;
            variant.map(str::to_owned)
        }));
        chosen
    }

    /// Warns of components that fall back to their plain weights.
    ///
    /// # Errors
    /// When no component has the variant.
    pub fn check(&self, variant: &str) -> Result<()> {
        if !self.is_found {
            let available = Vec::from_iter(self.available.iter().map(|name| format!("`{name}`"))).join(", ");
            let available = if available.is_empty() { "none" } else { &available };
            let message =
                format!("there are no weights of variant `{variant}`; available variants: {available}");
            return Err(Error::argument("variant", message));
        }
        if !self.plain.is_empty() {
            tracing::warn!("no variant `{variant}` of {}: using the plain weights", self.plain.join(", "));
        }
        Ok(())
    }
}

/// Checks that a pipeline's folder has a variant of the weights.
///
/// # Errors
/// When no component has it.
pub(crate) fn check_pipeline(folder: &Folder, variant: &str) -> Result<()> {
    let text = folder.read(MODEL_INDEX, "a pipeline")?;
    let index = Config::parse(&text, &folder.locate(MODEL_INDEX).display().to_string())?;
    let mut coverage = VariantCoverage::default();
    for component in component_names(index.values()) {
        let names = folder.component(component).file_names();
        coverage.add(component, &Vec::from_iter(names.iter().map(String::as_str)), Some(variant));
    }
    coverage.check(variant)
}

/// Checks that a variant of the weights `weights` is among the `names` of the files in a model's folder.
///
/// # Errors
/// When it is not.
pub(crate) fn check_model(names: &[&str], weights: &str, variant: &str) -> Result<()> {
    let mut coverage = VariantCoverage::default();
    coverage.add(weights, names, Some(variant));
    coverage.check(variant)
}

/// The variants of weights among the `names` of files, quoted.
pub(crate) fn available_variants(names: &[String]) -> Vec<String> {
    let mut coverage = VariantCoverage::default();
    coverage.add("", &Vec::from_iter(names.iter().map(String::as_str)), None);
    coverage.available.iter().map(|variant| format!("`{variant}`")).collect()
}

/// The weights of `variant` among the `names` of one folder, or else the plain ones; and the variant found.
pub(crate) fn choose_weights<'a, 'v>(
    names: &[&'a str],
    variant: Option<&'v str>,
) -> (Vec<&'a str>, Option<&'v str>) {
    let weights = |wanted: Option<&str>, format: &str| -> Vec<&'a str> {
        let is_wanted = |name: &&str| weights_variant(name, format) == Some(wanted);
        names.iter().copied().filter(is_wanted).collect()
    };
    let preferred = [(variant, "safetensors"), (variant, "bin"), (None, "safetensors")];
    let found = preferred.into_iter().find_map(|(wanted, format)| {
        let chosen = weights(wanted, format);
        (!chosen.is_empty()).then_some((chosen, wanted))
    });
    found.unwrap_or_else(|| (weights(None, "bin"), None))
}

/// The variant of a file, if it is weights of a format (`safetensors` or `bin`) or their index: `Some(None)` for plain
/// weights.
fn weights_variant<'a>(name: &'a str, format: &str) -> Option<Option<&'a str>> {
    let rest = ["diffusion_pytorch_model", "pytorch_model", "model"]
        .into_iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;

    if let Some(rest) = rest.strip_suffix(".json") {
        // `.safetensors.index`, `.safetensors.index.fp16` or, in old repositories, `.safetensors.fp16.index`.
        let rest = rest.strip_prefix('.')?.strip_prefix(format)?.strip_prefix('.')?;
        return match rest.strip_prefix("index") {
            Some("") => Some(None),
            Some(variant) => variant.strip_prefix('.').map(Some),
            None => rest.strip_suffix(".index").map(Some),
        };
    }

    // ``, `-00001-of-00002`, `.fp16`, `.fp16-00001-of-00002` or, in old repositories, `-00001-of-00002.fp16`.
    let rest = rest.strip_suffix(format)?.strip_suffix('.')?;
    match rest.strip_prefix('.') {
        Some(variant) => Some(Some(split_shard(variant).map_or(variant, |(variant, _)| variant))),
        None if rest.is_empty() => Some(None),
        None => match split_shard(rest)? {
            ("", "") => Some(None),
            ("", variant) => variant.strip_prefix('.').map(Some),
            _ => None,
        },
    }
}

/// Splits a name at its first `-00001-of-00002`, which is dropped.
fn split_shard(name: &str) -> Option<(&str, &str)> {
    const SHAPE: &str = "-00000-of-00000";
    let is_shard = |text: &str| {
        text.bytes()
            .zip(SHAPE.bytes())
            .all(|(byte, shape)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
    };
    (0..name.len()).find_map(|start| {
        let shard = name.get(start..start + SHAPE.len())?;
        is_shard(shard).then(|| (&name[..start], &name[start + SHAPE.len()..]))
    })
}
