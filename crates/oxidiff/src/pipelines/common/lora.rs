//! Low-rank adapters (LoRA) on the models of a pipeline.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::loading::hub::HubOptions;
use crate::loading::locate::locate;
use crate::loading::lora::{LoraFile, LoraTarget, guess_file};
use crate::loading::state_dict::StateDict;
use crate::models::adapters::{AdapterWeight, Adapters, AnyAdaptable, union};

/// Which file holds a LoRA, and its name: the keyword arguments of Python's `load_lora_weights`.
#[derive(Clone, Debug, Default)]
pub struct LoraOptions {
    /// The file, if a folder or a repository is given.
    pub weight_name: Option<String>,
    /// The folder inside the folder or repository.
    pub subfolder: Option<String>,
    /// The name of the adapter; by default `default_0`, `default_1` and so on.
    pub adapter_name: Option<String>,
    /// Where and how to fetch the file.
    pub hub: HubOptions,
}

/// Loads and controls LoRAs: `StableDiffusionLoraLoaderMixin` and its siblings in Python.
///
/// Every pipeline whose models take adapters has these methods; a [`DiffusionPipeline`](crate::DiffusionPipeline) offers
/// them through [`lora_loader`](crate::DiffusionPipeline::lora_loader).
///
/// ```no_run
/// use oxidiff::{LoraLoader, LoraOptions, Pipeline, StableDiffusionPipeline};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// let style = LoraOptions { adapter_name: Some("style".into()), ..Default::default() };
/// pipeline.load_lora_weights("style.safetensors", &style)?;
/// pipeline.set_adapters(&[("style", 0.8)])?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub trait LoraLoader {
    /// The models that take adapters, in the order in which Python names them.
    #[doc(hidden)]
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)>;

    /// As [`LoraLoader::adaptable`], mutable.
    #[doc(hidden)]
    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)>;

    /// Loads a LoRA, LoCon, LoHa, LoKr or DoRA for some of the models from a file, a folder or the hub, in the layout of PEFT,
    /// diffusers, kohya or LyCORIS. It
    /// becomes the active adapter; see [`LoraLoader::set_adapters`] to use several. Tensors that belong to no layer of the
    /// models are left out with a warning.
    ///
    /// # Errors
    /// When there is no such file, when it holds no LoRA or one of a kind that is not supported, when none of its tensors
    /// belongs to a layer of the models, when one does not fit its layer, or when the name is taken.
    fn load_lora_weights(&mut self, name_or_path: &str, options: &LoraOptions) -> Result<()> {
        let file = LoraFile::new(StateDict::open(&options.locate(name_or_path)?)?)?;
        self.load_lora_file(&file, options.adapter_name.as_deref())
    }

    /// As [`LoraLoader::load_lora_weights`], from an open file.
    #[doc(hidden)]
    fn load_lora_file(&mut self, file: &LoraFile, adapter_name: Option<&str>) -> Result<()> {
        let (mut found, mut targets, mut used) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (target, model) in self.adaptable() {
            let layers = file.layers(target, &model.adaptable_weights(), &mut used)?;
            let name = adapter_name.map_or_else(|| model.adapters().default_name(), str::to_owned);
            model.adapters().check_free(&name)?;
            found.push((name, layers));
            targets.push(target);
        }
        file.check_used(&used, &targets)?;
        for ((_, model), (name, layers)) in self.adaptable_mut().into_iter().zip(found) {
            if !layers.is_empty() {
                let device = model.weights_device();
                model.change_adapters(&mut |adapters| adapters.add(&name, &layers, &device))?;
            }
        }
        Ok(())
    }

    /// Activates these adapters, each with a weight: 1 is the adapter as it was trained, 0 has no effect.
    ///
    /// # Errors
    /// When there is no adapter of a name, a weight is not finite, or one is so large that the model's weights overflow.
    fn set_adapters(&mut self, adapters: &[(&str, f64)]) -> Result<()> {
        let models = Vec::from_iter(self.adaptable().iter().map(|(target, _)| target.name()));
        let of_models = |weight: f64| models.iter().map(move |model| (*model, AdapterWeight::All(weight)));
        let weights = Vec::from_iter(adapters.iter().map(|(_, weight)| Vec::from_iter(of_models(*weight))));
        let named = adapters.iter().zip(&weights).map(|((name, _), weights)| (*name, &weights[..]));
        self.set_adapters_by_model(&Vec::from_iter(named))
    }

    /// As [`LoraLoader::set_adapters`], with a weight of an adapter for each model, by the names that Python has for them:
    /// `unet`, `transformer`, `text_encoder`, `text_encoder_2`. It is 1 for a model that is not named. A UNet can have weights for each block.
    ///
    /// # Errors
    /// When there is no adapter, model or block of a name, a weight is not finite, or one is so large that the model's weights
    /// overflow.
    fn set_adapters_by_model(&mut self, adapters: &[(&str, &[(&str, AdapterWeight)])]) -> Result<()> {
        check_names(self, adapters.iter().map(|(name, _)| *name))?;
        let weights = || adapters.iter().flat_map(|(_, weights)| *weights);
        check_finite("adapter_weights", weights().flat_map(|(_, weight)| weight.numbers()))?;
        let models = Vec::from_iter(self.adaptable().iter().map(|(target, _)| target.name()));
        if let Some((model, _)) = weights().find(|(model, _)| !models.contains(model)) {
            let message = format!("there is no model `{model}`; available: `{}`", models.join("`, `"));
            return Err(Error::argument("adapter_weights", message));
        }
        // All of them are found before anything changes.
        let mut resolved = Vec::new();
        for (target, model) in self.adaptable() {
            let keys = model.adaptable_weights();
            let own = adapters.iter().map(|(name, weights)| {
                let weight = weights.iter().find(|(model, _)| *model == target.name());
                let weight = weight.map_or(AdapterWeight::All(1.0), |(_, weight)| weight.clone());
                Ok((*name, weight.resolve(keys.keys())?))
            });
            resolved.push(own.collect::<Result<Vec<_>>>()?);
        }
        for ((_, model), own) in self.adaptable_mut().into_iter().zip(resolved) {
            model.change_adapters(&mut |adapters| {
                adapters.set(&own);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// A factor of all adapters that are not fused, in the calls that follow: what Python gives each call as
    /// `cross_attention_kwargs={"scale": scale}`.
    ///
    /// # Errors
    /// When it is not finite.
    fn set_lora_scale(&mut self, scale: f64) -> Result<()> {
        check_finite("scale", [scale])?;
        change_all(self, |adapters| {
            adapters.set_scale(scale);
            Ok(())
        })
    }

    /// Computes without adapters until [`LoraLoader::enable_lora`].
    fn disable_lora(&mut self) {
        set_enabled(self, false);
    }

    /// Computes with the active adapters again.
    fn enable_lora(&mut self) {
        set_enabled(self, true);
    }

    /// Merges the active adapters, or those named, into the weights, times `lora_scale`. Until
    /// [`LoraLoader::unfuse_lora`], the layers that they change no longer follow [`LoraLoader::set_adapters`] and the scale.
    ///
    /// # Errors
    /// When there is no adapter of a name, or the scale is not finite.
    fn fuse_lora(&mut self, lora_scale: f64, adapter_names: Option<&[&str]>) -> Result<()> {
        check_names(self, adapter_names.into_iter().flatten().copied())?;
        check_finite("lora_scale", [lora_scale])?;
        change_all(self, |adapters| {
            adapters.fuse(lora_scale, adapter_names);
            Ok(())
        })
    }

    /// Removes fused adapters from the weights. Everything is as before, except that the active ones keep the scale that
    /// they were fused with, as in Python.
    fn unfuse_lora(&mut self) {
        // What remains may overflow, as it did before; a call says so.
        let _ = change_all(self, |adapters| {
            adapters.unfuse();
            Ok(())
        });
    }

    /// Removes all adapters. Fused adapters stay in the weights.
    fn unload_lora_weights(&mut self) {
        for (_, model) in self.adaptable_mut() {
            model.unload_adapters();
        }
    }

    /// Removes some adapters.
    ///
    /// # Errors
    /// When there is no adapter of a name, or it is fused into the weights.
    fn delete_adapters(&mut self, adapter_names: &[&str]) -> Result<()> {
        check_names(self, adapter_names.iter().copied())?;
        change_all(self, |adapters| adapters.delete(adapter_names))
    }

    /// The adapters of each model.
    fn get_list_adapters(&self) -> Vec<(&'static str, Vec<&str>)> {
        self.adaptable()
            .into_iter()
            .map(|(target, model)| (target.name(), model.adapters().names()))
            .collect()
    }

    /// The adapters that are active in one of the models, sorted.
    fn get_active_adapters(&self) -> Vec<&str> {
        union(self.adaptable().into_iter().map(|(_, model)| model.adapters().active())).into_iter().collect()
    }

    /// The adapters that are fused into the weights of one of the models, sorted.
    fn fused_loras(&self) -> Vec<&str> {
        union(self.adaptable().into_iter().map(|(_, model)| model.adapters().fused())).into_iter().collect()
    }
}

/// Changes the adapters of each model.
fn change_all<L: LoraLoader + ?Sized>(
    loader: &mut L,
    mut change: impl FnMut(&mut Adapters) -> Result<()>,
) -> Result<()> {
    loader.adaptable_mut().into_iter().try_for_each(|(_, model)| model.change_adapters(&mut change))
}

fn set_enabled<L: LoraLoader + ?Sized>(loader: &mut L, enabled: bool) {
    // Adapters whose weights were set while they were off may overflow; a call says so.
    let _ = change_all(loader, |adapters| {
        adapters.set_enabled(enabled);
        Ok(())
    });
}

fn check_names<'a, L: LoraLoader + ?Sized>(
    loader: &L,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let known = union(loader.adaptable().into_iter().map(|(_, model)| model.adapters().names()));
    match names.into_iter().find(|name| !known.contains(name)) {
        Some(name) => {
            let known = Vec::from_iter(known).join("`, `");
            let known = if known.is_empty() { "none".to_owned() } else { format!("`{known}`") };
            Err(Error::argument("adapter_names", format!("there is no adapter `{name}`; available: {known}")))
        }
        None => Ok(()),
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
