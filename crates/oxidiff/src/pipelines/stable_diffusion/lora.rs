//! Low-rank adapters (LoRA) on the models of a pipeline.

use std::path::PathBuf;

use super::components::StableDiffusionComponents;
use crate::error::{Error, Result};
use crate::loading::hub::HubOptions;
use crate::loading::locate::locate;
use crate::loading::lora::{LoraFile, LoraTarget, guess_file};
use crate::loading::state_dict::StateDict;
use crate::models::adapters::{Adaptable, adaptable_weights, union};

/// Which file holds a LoRA and what to call it: the keyword arguments of Python's `load_lora_weights`.
#[derive(Clone, Debug, Default)]
pub struct LoraOptions {
    /// The file, where the name is that of a folder or a repository.
    pub weight_name: Option<String>,
    /// The folder inside the folder or repository.
    pub subfolder: Option<String>,
    /// What to call the adapter; by default `default_0`, `default_1` and so on.
    pub adapter_name: Option<String>,
    /// Where and how to fetch the file.
    pub hub: HubOptions,
}

impl StableDiffusionComponents {
    /// Loads a LoRA for the UNet, the text encoder or both, from a file, a folder or the hub, in the layout of PEFT,
    /// diffusers or kohya. It becomes the active adapter; see [`Self::set_adapters`] to use several.
    ///
    /// ```no_run
    /// use oxidiff::{LoraOptions, Pipeline, StableDiffusionPipeline};
    ///
    /// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
    /// let style = LoraOptions { adapter_name: Some("style".into()), ..Default::default() };
    /// pipeline.load_lora_weights("style.safetensors", &style)?;
    /// pipeline.set_adapters(&[("style", 0.8)])?;
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such file, when it holds no LoRA or one of a kind that is not supported, when it does not fit the
    /// models, or when the name is taken.
    pub fn load_lora_weights(&mut self, name_or_path: &str, options: &LoraOptions) -> Result<()> {
        let file = LoraFile::new(StateDict::open(&options.locate(name_or_path)?)?)?;
        let unet_layers = file.layers(LoraTarget::UNet, &adaptable_weights(&self.unet))?;
        let text_layers = file.layers(LoraTarget::TextEncoder, &adaptable_weights(&self.text_encoder))?;
        if unet_layers.is_empty() && text_layers.is_empty() {
            return Err(Error::Weights {
                origin: file.origin().to_owned(),
                message: "has no layers for the unet or the text_encoder of this pipeline".into(),
            });
        }
        let name = |model: &dyn Fn() -> String| options.adapter_name.clone().unwrap_or_else(model);
        let unet_name = name(&|| self.unet.adapters().default_name());
        let text_name = name(&|| self.text_encoder.adapters().default_name());
        self.unet.adapters().check_free(&unet_name)?;
        self.text_encoder.adapters().check_free(&text_name)?;
        if !unet_layers.is_empty() {
            let device = self.unet.device();
            self.unet.adapt(|adapters| adapters.add(&unet_name, &unet_layers, &device))?;
        }
        if !text_layers.is_empty() {
            let device = self.text_encoder.device();
            self.text_encoder.adapt(|adapters| adapters.add(&text_name, &text_layers, &device))?;
        }
        Ok(())
    }

    /// Makes these adapters the active ones, each with its weight: 1 is the adapter as it was trained, 0 is without it.
    ///
    /// # Errors
    /// When there is no adapter of a name, or a weight is NaN.
    pub fn set_adapters(&mut self, adapters: &[(&str, f64)]) -> Result<()> {
        self.check_names(adapters.iter().map(|(name, _)| *name))?;
        check_finite("adapter_weights", adapters.iter().map(|(_, weight)| *weight))?;
        self.unet.adapt(|own| {
            own.set(adapters);
            Ok(())
        })?;
        self.text_encoder.adapt(|own| {
            own.set(adapters);
            Ok(())
        })
    }

    /// A factor of all adapters that are not fused, in the calls that follow: what Python gives each call as
    /// `cross_attention_kwargs={"scale": scale}`.
    ///
    /// # Errors
    /// When it is NaN.
    pub fn set_lora_scale(&mut self, scale: f64) -> Result<()> {
        check_finite("scale", [scale])?;
        self.unet.adapt(|adapters| {
            adapters.set_scale(scale);
            Ok(())
        })?;
        self.text_encoder.adapt(|adapters| {
            adapters.set_scale(scale);
            Ok(())
        })
    }

    /// Computes without adapters until [`Self::enable_lora`].
    pub fn disable_lora(&mut self) {
        self.set_lora_enabled(false);
    }

    /// Computes with the active adapters again.
    pub fn enable_lora(&mut self) {
        self.set_lora_enabled(true);
    }

    fn set_lora_enabled(&mut self, enabled: bool) {
        let unet = self.unet.adapt(|adapters| {
            adapters.set_enabled(enabled);
            Ok(())
        });
        let text_encoder = self.text_encoder.adapt(|adapters| {
            adapters.set_enabled(enabled);
            Ok(())
        });
        unet.and(text_encoder).expect("setting a flag cannot fail");
    }

    /// Merges the active adapters, or those named, into the weights, times `lora_scale`. Until [`Self::unfuse_lora`], the
    /// layers that they change no longer follow [`Self::set_adapters`] and the scale.
    ///
    /// # Errors
    /// When there is no adapter of a name, or the scale is NaN.
    pub fn fuse_lora(&mut self, lora_scale: f64, adapter_names: Option<&[&str]>) -> Result<()> {
        self.check_names(adapter_names.into_iter().flatten().copied())?;
        check_finite("lora_scale", [lora_scale])?;
        self.unet.adapt(|adapters| {
            adapters.fuse(lora_scale, adapter_names);
            Ok(())
        })?;
        self.text_encoder.adapt(|adapters| {
            adapters.fuse(lora_scale, adapter_names);
            Ok(())
        })
    }

    /// Takes fused adapters out of the weights; they are as before, except that those which were active keep the scale that
    /// they were fused with, as in Python.
    pub fn unfuse_lora(&mut self) {
        let unet = self.unet.adapt(|adapters| {
            adapters.unfuse();
            Ok(())
        });
        let text_encoder = self.text_encoder.adapt(|adapters| {
            adapters.unfuse();
            Ok(())
        });
        unet.and(text_encoder).expect("clearing a list cannot fail");
    }

    /// Takes all adapters off. What is fused stays in the weights.
    pub fn unload_lora_weights(&mut self) {
        self.unet.unload_adapters();
        self.text_encoder.unload_adapters();
    }

    /// Takes some adapters off.
    ///
    /// # Errors
    /// When there is no adapter of a name, or it is fused into the weights.
    pub fn delete_adapters(&mut self, adapter_names: &[&str]) -> Result<()> {
        self.check_names(adapter_names.iter().copied())?;
        self.unet.adapt(|adapters| adapters.delete(adapter_names))?;
        self.text_encoder.adapt(|adapters| adapters.delete(adapter_names))
    }

    /// The adapters of each model.
    pub fn get_list_adapters(&self) -> Vec<(&'static str, Vec<&str>)> {
        vec![
            (LoraTarget::UNet.name(), self.unet.adapters().names()),
            (LoraTarget::TextEncoder.name(), self.text_encoder.adapters().names()),
        ]
    }

    /// The adapters that are active in one of the models, sorted.
    pub fn get_active_adapters(&self) -> Vec<&str> {
        union([self.unet.adapters().active(), self.text_encoder.adapters().active()]).into_iter().collect()
    }

    /// The adapters that are fused into the weights of one of the models, sorted.
    pub fn fused_loras(&self) -> Vec<&str> {
        union([self.unet.adapters().fused(), self.text_encoder.adapters().fused()]).into_iter().collect()
    }

    fn check_names<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let known = union([self.unet.adapters().names(), self.text_encoder.adapters().names()]);
        match names.into_iter().find(|name| !known.contains(name)) {
            Some(name) => {
                let known = Vec::from_iter(known).join("`, `");
                let known = if known.is_empty() { "none".to_owned() } else { format!("`{known}`") };
                Err(Error::argument(
                    "adapter_names",
                    format!("there is no adapter `{name}`; there are: {known}"),
                ))
            }
            None => Ok(()),
        }
    }
}

impl LoraOptions {
    /// The file, fetched if it is on the hub.
    fn locate(&self, name_or_path: &str) -> Result<PathBuf> {
        locate(name_or_path, self.subfolder.as_deref(), &self.hub, |names| match &self.weight_name {
            Some(name) => Ok(name.clone()),
            None => guess_file(names, name_or_path),
        })
    }
}

fn check_finite(argument: &'static str, numbers: impl IntoIterator<Item = f64>) -> Result<()> {
    match numbers.into_iter().find(|number| !number.is_finite()) {
        Some(number) => Err(Error::argument(argument, format!("cannot be {number}"))),
        None => Ok(()),
    }
}
