//! LoRAs and learned words that are given on the command line.

use anyhow::{anyhow, bail};
use oxidiff::{DiffusionPipeline, LoraOptions, TextualInversionOptions};

use crate::arguments::{GenerateArguments, Lora};

/// Loads what was given into the pipeline.
pub(crate) fn load(pipeline: &mut DiffusionPipeline, arguments: &GenerateArguments) -> anyhow::Result<()> {
    load_loras(pipeline, &arguments.lora)?;
    let class_name = pipeline.class_name();
    for file in &arguments.textual_inversion {
        let Some(loader) = pipeline.textual_inversion_loader() else {
            bail!("--textual-inversion: {class_name} does not take it");
        };
        let loaded = loader.load_textual_inversion(file, &TextualInversionOptions::default());
        loaded.map_err(|error| about_file("--textual-inversion", file, &error))?;
    }
    Ok(())
}

/// Loads all LoRAs and applies each with its scale.
fn load_loras(pipeline: &mut DiffusionPipeline, loras: &[Lora]) -> anyhow::Result<()> {
    if loras.is_empty() {
        return Ok(());
    }
    let class_name = pipeline.class_name();
    let Some(loader) = pipeline.lora_loader() else { bail!("--lora: {class_name} does not take it") };
    // The same file can be given twice.
    let name = |number: usize, lora: &Lora| format!("--lora {} ({})", lora.file, number + 1);
    let named = loras.iter().enumerate().map(|(number, lora)| (name(number, lora), lora));
    let named = Vec::from_iter(named);
    for (name, Lora { file, .. }) in &named {
        let options = LoraOptions { adapter_name: Some(name.clone()), ..LoraOptions::default() };
        loader.load_lora_weights(file, &options).map_err(|error| about_file("--lora", file, &error))?;
    }
    let scales = Vec::from_iter(named.iter().map(|(name, lora)| (name.as_str(), lora.scale)));
    Ok(loader.set_adapters(&scales)?)
}

/// The error of an option's file, whose name many messages have already.
pub(crate) fn about_file(option: &str, file: &str, error: &oxidiff::Error) -> anyhow::Error {
    let message = error.to_string();
    if message.starts_with(file) {
        anyhow!("{option} {message}")
    } else {
        anyhow!("{option} {file}: {message}")
    }
}
