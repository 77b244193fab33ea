//! LoRAs and learned words.

use oxidiff::{AdapterWeight, LoraLoader, TextualInversionLoader};
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::PyPipeline;
use crate::errors::to_py;
use crate::loading;

impl PyPipeline {
    fn with_lora<R>(&self, change: impl FnOnce(&mut dyn LoraLoader) -> oxidiff::Result<R>) -> PyResult<R> {
        let mut pipeline = self.lock();
        let class_name = pipeline.class_name();
        match pipeline.lora_loader() {
            Some(loader) => change(loader).map_err(to_py),
            None => Err(PyNotImplementedError::new_err(format!("a {class_name} takes no LoRA"))),
        }
    }

    fn with_words<R>(
        &self,
        change: impl FnOnce(&mut dyn TextualInversionLoader) -> oxidiff::Result<R>,
    ) -> PyResult<R> {
        let mut pipeline = self.lock();
        let class_name = pipeline.class_name();
        match pipeline.textual_inversion_loader() {
            Some(loader) => change(loader).map_err(to_py),
            None => Err(PyNotImplementedError::new_err(format!("a {class_name} has no text encoder"))),
        }
    }
}

/// The name of an adapter, its weight, and its weights for single models, as JSON.
type Adapter = (String, f64, Vec<(String, String)>);

fn weight_of_model((model, json): &(String, String)) -> oxidiff::Result<(&str, AdapterWeight)> {
    let value = serde_json::from_str(json).expect("Python writes valid JSON");
    Ok((model, AdapterWeight::from_json(&value)?))
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[pymethods]
impl PyPipeline {
    fn load_lora_weights(
        &self,
        py: Python<'_>,
        name_or_path: &str,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let options = loading::lora(options)?;
        py.detach(|| self.with_lora(|loader| loader.load_lora_weights(name_or_path, &options)))
    }

    /// Activates adapters, each with a weight for each model that is named.
    fn set_adapters(&self, py: Python<'_>, adapters: Vec<Adapter>) -> PyResult<()> {
        py.detach(|| {
            self.with_lora(|loader| {
                let models: Vec<&'static str> =
                    loader.get_list_adapters().into_iter().map(|(model, _)| model).collect();
                let weights: Vec<Vec<(&str, AdapterWeight)>> = adapters
                    .iter()
                    .map(|(_, weight, by_model)| match by_model.is_empty() {
                        true => Ok(models.iter().map(|model| (*model, (*weight).into())).collect()),
                        false => by_model.iter().map(weight_of_model).collect(),
                    })
                    .collect::<oxidiff::Result<_>>()?;
                let adapters: Vec<_> = adapters
                    .iter()
                    .zip(&weights)
                    .map(|((name, ..), weights)| (name.as_str(), &**weights))
                    .collect();
                loader.set_adapters_by_model(&adapters)
            })
        })
    }

    fn set_lora_scale(&self, scale: f64) -> PyResult<()> {
        self.with_lora(|loader| loader.set_lora_scale(scale))
    }

    fn enable_lora(&self, enabled: bool) -> PyResult<()> {
        self.with_lora(|loader| {
            if enabled {
                loader.enable_lora();
            } else {
                loader.disable_lora();
            }
            Ok(())
        })
    }

    #[pyo3(signature = (lora_scale, adapter_names=None))]
    fn fuse_lora(&self, py: Python<'_>, lora_scale: f64, adapter_names: Option<Vec<String>>) -> PyResult<()> {
        let names = adapter_names.as_deref().map(borrowed);
        py.detach(|| self.with_lora(|loader| loader.fuse_lora(lora_scale, names.as_deref())))
    }

    fn unfuse_lora(&self) -> PyResult<()> {
        self.with_lora(|loader| {
            loader.unfuse_lora();
            Ok(())
        })
    }

    fn unload_lora_weights(&self) -> PyResult<()> {
        self.with_lora(|loader| {
            loader.unload_lora_weights();
            Ok(())
        })
    }

    fn delete_adapters(&self, adapter_names: Vec<String>) -> PyResult<()> {
        self.with_lora(|loader| loader.delete_adapters(&borrowed(&adapter_names)))
    }

    fn get_list_adapters(&self) -> PyResult<Vec<(&'static str, Vec<String>)>> {
        self.with_lora(|loader| {
            let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
            Ok(loader.get_list_adapters().into_iter().map(|(model, names)| (model, owned(names))).collect())
        })
    }

    fn get_active_adapters(&self) -> PyResult<Vec<String>> {
        self.with_lora(|loader| Ok(loader.get_active_adapters().into_iter().map(str::to_owned).collect()))
    }

    fn fused_loras(&self) -> PyResult<Vec<String>> {
        self.with_lora(|loader| Ok(loader.fused_loras().into_iter().map(str::to_owned).collect()))
    }

    fn load_textual_inversion(
        &self,
        py: Python<'_>,
        name_or_path: &str,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let options = loading::textual_inversion(options)?;
        py.detach(|| self.with_words(|loader| loader.load_textual_inversion(name_or_path, &options)))
    }
}
