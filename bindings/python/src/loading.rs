//! How to load: the keyword arguments of `from_pretrained` and `from_single_file`, as the package's Python code has checked
//! them.

use std::collections::BTreeMap;

use burn::tensor::DType;
use oxidiff::{
    AnyModel, ControlNets, Device, Error, HubOptions, IpAdapterOptions, LoadOptions, LoraOptions, Model,
    QuantizationConfig, SingleFileOptions, T2IAdapter, T2IAdapters, TextualInversionOptions,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};

use crate::device;
use crate::dtype::Element;
use crate::errors::to_py;
use crate::model::PyModel;

fn text(given: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<String>> {
    match given.get_item(name)? {
        Some(value) if !value.is_none() => value.extract().map(Some),
        _ => Ok(None),
    }
}

fn flag(given: &Bound<'_, PyDict>, name: &str, default: bool) -> PyResult<bool> {
    given.get_item(name)?.filter(|value| !value.is_none()).map_or(Ok(default), |value| value.is_truthy())
}

fn dtype(given: &Bound<'_, PyDict>) -> PyResult<DType> {
    let dtype = given.get_item("dtype")?.filter(|value| !value.is_none());
    Ok(dtype.map_or(Ok(Element::Float32), |dtype| Element::extract(&dtype))?.burn())
}

fn device(given: &Bound<'_, PyDict>) -> PyResult<Device> {
    text(given, "device")?.map_or_else(|| Ok(Device::flex()), |name| device::device(&name))
}

fn hub(given: &Bound<'_, PyDict>) -> PyResult<HubOptions> {
    Ok(HubOptions {
        revision: text(given, "revision")?,
        cache_dir: text(given, "cache_dir")?.map(Into::into),
        token: text(given, "token")?,
        endpoint: text(given, "endpoint")?,
        local_files_only: flag(given, "local_files_only", false)?,
        ..Default::default()
    })
}

/// Which weights to round: the fields of a `QuantizationConfig`.
fn quantization(given: &Bound<'_, PyDict>) -> PyResult<Option<QuantizationConfig>> {
    let Some(config) = given.get_item("quantization_config")?.filter(|config| !config.is_none()) else {
        return Ok(None);
    };
    let names = |field: &str| config.getattr(field)?.extract::<Option<Vec<String>>>();
    let mut quantization: QuantizationConfig =
        config.getattr("format")?.extract::<String>()?.parse().map_err(to_py)?;
    quantization.components = names("components_to_quantize")?;
    quantization.modules_to_not_convert = names("modules_to_not_convert")?.unwrap_or_default();
    Ok(Some(quantization))
}

/// The models that replace those of a checkpoint.
fn replacements(given: &Bound<'_, PyDict>) -> PyResult<BTreeMap<String, AnyModel>> {
    let Some(models) = given.get_item("models")? else { return Ok(BTreeMap::new()) };
    let models = models
        .cast::<PyDict>()?
        .iter()
        .map(|(name, core)| Ok((name.extract()?, core.cast::<PyModel>()?.get().lock().clone())));
    models.collect()
}

/// The ControlNets that a pipeline is to have.
pub fn controlnet(given: &Bound<'_, PyDict>) -> PyResult<Option<ControlNets>> {
    given.get_item("controlnet")?.map(|cores| controlnets(&cores)).transpose()
}

/// A ControlNet, or a list of them of one class, as one part of a pipeline.
pub fn controlnets(cores: &Bound<'_, PyAny>) -> PyResult<ControlNets> {
    let model = |core: PyResult<Bound<'_, PyAny>>| Ok(core?.cast::<PyModel>()?.get().lock().clone());
    let nets = if cores.is_instance_of::<PyModel>() {
        ControlNets::try_from(model(Ok(cores.clone()))?)
    } else {
        ControlNets::try_from(cores.try_iter()?.map(model).collect::<PyResult<Vec<AnyModel>>>()?)
    };
    nets.map_err(|error| match error {
        // To Python, what is of another class is of another type.
        Error::InvalidArgument { .. } => PyTypeError::new_err(error.to_string()),
        other => to_py(other),
    })
}

/// The T2I-Adapters that a pipeline is to have.
pub fn adapter(given: &Bound<'_, PyDict>) -> PyResult<Option<T2IAdapters>> {
    given.get_item("adapter")?.map(|cores| adapters(&cores)).transpose()
}

/// A list of T2I-Adapters as one part of a pipeline.
pub fn adapters(cores: &Bound<'_, PyAny>) -> PyResult<T2IAdapters> {
    T2IAdapters::of(models::<T2IAdapter>("adapter", cores)?).map_err(to_py)
}

/// A list of models of one class.
fn models<M: Model + 'static>(name: &str, cores: &Bound<'_, PyAny>) -> PyResult<Vec<M>> {
    let model = |core: PyResult<Bound<'_, PyAny>>| {
        let component = core?.cast::<PyModel>()?.get().lock().to_component();
        let model = component.as_any().downcast_ref::<M>().cloned();
        let message = || format!("`{name}`: must be a {}, or a list of them", M::CLASS_NAME);
        model.ok_or_else(|| PyTypeError::new_err(message()))
    };
    cores.try_iter()?.map(model).collect()
}

/// Values for fields of a model's configuration, in JSON.
fn config_overrides(given: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let Some(json) = text(given, "config_overrides")? else { return Ok(Map::new()) };
    serde_json::from_str(&json).map_err(|error| PyValueError::new_err(error.to_string()))
}

pub fn options(given: &Bound<'_, PyDict>) -> PyResult<LoadOptions> {
    Ok(LoadOptions {
        dtype: dtype(given)?,
        device: device(given)?,
        variant: text(given, "variant")?,
        subfolder: text(given, "subfolder")?.filter(|subfolder| !subfolder.is_empty()),
        safety_checker: flag(given, "safety_checker", true)?,
        controlnet: controlnet(given)?,
        adapter: adapter(given)?,
        weights: BTreeMap::new(),
        models: replacements(given)?,
        quantization: quantization(given)?,
        config_overrides: config_overrides(given)?,
        hub: hub(given)?,
    })
}

pub fn single_file(given: &Bound<'_, PyDict>) -> PyResult<SingleFileOptions> {
    Ok(SingleFileOptions {
        dtype: dtype(given)?,
        device: device(given)?,
        config: text(given, "config")?,
        subfolder: text(given, "subfolder")?,
        extract_ema: flag(given, "extract_ema", false)?,
        quantization: quantization(given)?,
        config_overrides: config_overrides(given)?,
        hub: hub(given)?,
    })
}

pub fn lora(given: &Bound<'_, PyDict>) -> PyResult<LoraOptions> {
    Ok(LoraOptions {
        weight_name: text(given, "weight_name")?,
        subfolder: text(given, "subfolder")?,
        adapter_name: text(given, "adapter_name")?,
        hub: hub(given)?,
    })
}

pub fn textual_inversion(given: &Bound<'_, PyDict>) -> PyResult<TextualInversionOptions> {
    Ok(TextualInversionOptions {
        token: text(given, "prompt_token")?,
        weight_name: text(given, "weight_name")?,
        subfolder: text(given, "subfolder")?,
        hub: hub(given)?,
    })
}

pub fn ip_adapter(given: &Bound<'_, PyDict>) -> PyResult<IpAdapterOptions> {
    Ok(IpAdapterOptions {
        weight_name: text(given, "weight_name")?,
        subfolder: text(given, "subfolder")?.filter(|subfolder| !subfolder.is_empty()),
        image_encoder_folder: text(given, "image_encoder_folder")?,
        hub: hub(given)?,
    })
}
