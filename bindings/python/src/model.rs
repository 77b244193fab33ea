//! Models of any class.

use std::sync::{Mutex, MutexGuard};

use oxidiff::{
    AnyModel, AnyTensor, Config, ControlNetChannelOrder, ControlNetModel, ControlNetUnionModel, Device,
    EncodedImage, FromUNetOptions, Model, UNet2DConditionModel,
};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::Arguments;
use crate::array::{Array, Given, Like};
use crate::device::device;
use crate::dtype::{Element, PyDType};
use crate::errors::to_py;
use crate::info;
use crate::loading;
use crate::lock::lock;

/// A model of any class. The classes of the package hold one.
#[pyclass(name = "ModelCore", module = "oxidiff._oxidiff", frozen)]
pub struct PyModel(Mutex<AnyModel>);

impl From<AnyModel> for PyModel {
    fn from(model: AnyModel) -> Self {
        Self(Mutex::new(model))
    }
}

impl PyModel {
    pub fn lock(&self) -> MutexGuard<'_, AnyModel> {
        lock(&self.0)
    }

    fn no_autoencoder(&self) -> PyErr {
        PyNotImplementedError::new_err(format!("a {} is not an autoencoder", self.lock().class_name()))
    }
}

#[pymethods]
impl PyModel {
    #[staticmethod]
    fn from_config(class_name: &str, json: &str) -> PyResult<Self> {
        let config = Config::from_json(json).map_err(to_py)?;
        Ok(AnyModel::from_config(class_name, &config, &Device::flex()).map_err(to_py)?.into())
    }

    /// The configuration that a new model has, as JSON.
    #[staticmethod]
    fn default_config(class_name: &str) -> PyResult<String> {
        AnyModel::default_config(class_name).map(|config| config.to_json()).map_err(to_py)
    }

    #[staticmethod]
    fn from_pretrained(
        py: Python<'_>,
        class_name: &str,
        name_or_path: &str,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let options = loading::options(options)?;
        let model = py.detach(|| AnyModel::from_pretrained(class_name, name_or_path, &options));
        Ok(model.map_err(to_py)?.into())
    }

    #[staticmethod]
    fn from_single_file(
        py: Python<'_>,
        class_name: &str,
        path: &str,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let options = loading::single_file(options)?;
        let model = py.detach(|| AnyModel::from_single_file(class_name, path, &options));
        Ok(model.map_err(to_py)?.into())
    }

    /// A copy, which shares the weights.
    fn copy(&self) -> Self {
        self.lock().clone().into()
    }

    #[getter]
    fn class_name(&self) -> &'static str {
        self.lock().class_name()
    }

    /// The configuration as JSON.
    fn config(&self) -> String {
        self.lock().config().to_json()
    }

    /// The names of the values of the configuration, in the order of the class.
    fn fields(&self) -> Vec<String> {
        self.lock().config().values().keys().cloned().collect()
    }

    #[getter]
    fn dtype(&self) -> PyDType {
        // The weights of all models are of a type that arrays can have.
        PyDType(Element::from_burn(self.lock().dtype()).unwrap_or(Element::Float32))
    }

    fn num_parameters(&self) -> usize {
        self.lock().num_parameters()
    }

    /// Converts the weights to another type, in place.
    fn convert(&self, dtype: &Bound<'_, PyAny>) -> PyResult<()> {
        let element = Element::extract(dtype)?;
        let mut model = self.lock();
        if model.dtype() != element.burn() {
            *model = model.cast(element.burn());
        }
        Ok(())
    }

    /// Computes on a device from now on: `cpu` or `cuda:0`.
    fn place(&self, name: &str) -> PyResult<()> {
        self.lock().place(&device(name)?).map_err(to_py)
    }

    /// The name of the card that the model computes on, if it does.
    #[getter]
    fn card(&self) -> Option<String> {
        self.lock().card().map(str::to_owned)
    }

    /// Calls the model. Returns its tensors with their names, in the form of the first array among the arguments.
    fn call(&self, py: Python<'_>, given: &Bound<'_, PyDict>) -> PyResult<Vec<(&'static str, Py<PyAny>)>> {
        let known = AnyModel::arguments_of(self.class_name()).map_err(to_py)?;
        let Arguments { request, lent, like } = Arguments::of(given, known)?;
        let output = py.detach(|| self.lock().call(request));
        lent.give_back(py)?;
        let like = like.map_or_else(|| Like::imported(py), Ok)?;
        let field = |(name, tensor)| Ok((name, like.give(py, Array::from_tensor(tensor)?)?));
        output.map_err(to_py)?.into_iter().map(field).collect()
    }

    /// Encodes images. Returns mean and logarithm of the variance of the latents; or the latents and nothing.
    fn encode(&self, py: Python<'_>, image: &Bound<'_, PyAny>) -> PyResult<(Py<PyAny>, Option<Py<PyAny>>)> {
        let Given { array, like } = Given::take(image)?;
        let image = array.tensor()?.to_rank::<4>("x").map_err(to_py)?;
        let encoded = py.detach(|| self.lock().as_autoencoder().map(|autoencoder| autoencoder.encode(image)));
        let give =
            |tensor: burn::tensor::Tensor<4>| like.give(py, Array::from_tensor(AnyTensor::from(tensor))?);
        match encoded.ok_or_else(|| self.no_autoencoder())?.map_err(to_py)? {
            EncodedImage::Distribution(distribution) => {
                Ok((give(distribution.mean)?, Some(give(distribution.logvar)?)))
            }
            other => Ok((give(other.mode())?, None)),
        }
    }

    /// Decodes latents to images.
    fn decode(&self, py: Python<'_>, latents: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Given { array, like } = Given::take(latents)?;
        let latents = array.tensor()?.to_rank::<4>("z").map_err(to_py)?;
        let decoded =
            py.detach(|| self.lock().as_autoencoder().map(|autoencoder| autoencoder.decode(latents)));
        let decoded = decoded.ok_or_else(|| self.no_autoencoder())?.map_err(to_py)?;
        like.give(py, Array::from_tensor(decoded.into())?)
    }

    /// Turns tiling and slicing of an autoencoder on or off.
    #[pyo3(signature = (*, tiling=None, slicing=None))]
    fn set_parts(&self, tiling: Option<bool>, slicing: Option<bool>) -> PyResult<()> {
        let mut model = self.lock();
        let Some(autoencoder) = model.as_autoencoder_mut() else {
            drop(model);
            return Err(self.no_autoencoder());
        };
        match tiling {
            Some(true) => autoencoder.enable_tiling(),
            Some(false) => autoencoder.disable_tiling(),
            None => {}
        }
        match slicing {
            Some(true) => autoencoder.enable_slicing(),
            Some(false) => autoencoder.disable_slicing(),
            None => {}
        }
        Ok(())
    }

    fn save_pretrained(&self, py: Python<'_>, folder: std::path::PathBuf) -> PyResult<()> {
        py.detach(|| self.lock().save_pretrained(&folder)).map_err(to_py)
    }
}

/// A ControlNet of a class with the layers of a UNet, and with Python's further arguments of `from_unet`.
#[pyfunction]
pub fn controlnet_from_unet(
    class_name: &str,
    unet: &PyModel,
    channel_order: &str,
    conditioning_embedding_out_channels: Vec<usize>,
    load_weights_from_unet: bool,
    conditioning_channels: usize,
) -> PyResult<PyModel> {
    let controlnet_conditioning_channel_order = match channel_order {
        "rgb" => ControlNetChannelOrder::Rgb,
        "bgr" => ControlNetChannelOrder::Bgr,
        other => {
            let message = format!("`controlnet_conditioning_channel_order`: there is no order `{other}`");
            return Err(PyValueError::new_err(message));
        }
    };
    let options = FromUNetOptions {
        controlnet_conditioning_channel_order,
        conditioning_embedding_out_channels,
        load_weights_from_unet,
        conditioning_channels,
    };
    let component = unet.lock().to_component();
    let Some(unet) = component.as_any().downcast_ref::<UNet2DConditionModel>() else {
        return Err(PyTypeError::new_err("`unet`: must be a UNet2DConditionModel"));
    };
    let made: AnyModel = if class_name == ControlNetUnionModel::CLASS_NAME {
        ControlNetUnionModel::from_unet(unet, &options).map_err(to_py)?.into()
    } else {
        ControlNetModel::from_unet(unet, &options).map_err(to_py)?.into()
    };
    Ok(made.into())
}

/// The configuration of a model in a folder or on the hub, as JSON.
#[pyfunction]
pub fn model_config(name_or_path: &str, options: &Bound<'_, PyDict>) -> PyResult<String> {
    let config = AnyModel::load_config(name_or_path, &loading::options(options)?).map_err(to_py)?;
    Ok(config.to_json())
}

/// A class: its name, the arguments of a call, and whether its models are autoencoders.
type Class = (&'static str, Vec<Py<PyDict>>, bool);

/// All classes.
#[pyfunction]
pub fn model_classes(py: Python<'_>) -> PyResult<Vec<Class>> {
    let class = |name| {
        let arguments = info::describe(py, AnyModel::arguments_of(name).map_err(to_py)?)?;
        Ok((name, arguments, AnyModel::is_autoencoder(name).map_err(to_py)?))
    };
    AnyModel::class_names().into_iter().map(class).collect()
}
