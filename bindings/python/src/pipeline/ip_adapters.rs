//! IP-Adapters, and FreeU.

use oxidiff::{FreeU, IpAdapterImages, IpAdapterLoader, IpAdapterOptions, IpAdapterScale, Request};
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::PyPipeline;
use crate::arguments::Arguments;
use crate::array::{Array, Like};
use crate::errors::to_py;
use crate::loading;

impl PyPipeline {
    fn with_ip_adapters<R>(
        &self,
        change: impl FnOnce(&mut dyn IpAdapterLoader) -> oxidiff::Result<R>,
    ) -> PyResult<R> {
        let mut pipeline = self.lock();
        let class_name = pipeline.class_name();
        match pipeline.ip_adapter_loader() {
            Some(loader) => change(loader).map_err(to_py),
            None => Err(PyNotImplementedError::new_err(format!("a {class_name} takes no IP-Adapter"))),
        }
    }
}

#[pymethods]
impl PyPipeline {
    /// Loads adapters, each from a name and options.
    fn load_ip_adapters(&self, py: Python<'_>, adapters: Vec<(String, Bound<'_, PyDict>)>) -> PyResult<()> {
        let adapters: Vec<(String, IpAdapterOptions)> = adapters
            .into_iter()
            .map(|(name, options)| Ok((name, loading::ip_adapter(&options)?)))
            .collect::<PyResult<_>>()?;
        let borrowed: Vec<(&str, IpAdapterOptions)> =
            adapters.iter().map(|(name, options)| (name.as_str(), options.clone())).collect();
        py.detach(|| self.with_ip_adapters(|loader| loader.load_ip_adapters(&borrowed)))
    }

    /// Sets the scale of each adapter, in JSON.
    fn set_ip_adapter_scale(&self, scales: Vec<String>) -> PyResult<()> {
        self.with_ip_adapters(|loader| {
            let scale = |json: &String| {
                let value = serde_json::from_str(json).expect("Python writes valid JSON");
                IpAdapterScale::from_json(&value)
            };
            let scales = scales.iter().map(scale).collect::<oxidiff::Result<Vec<_>>>()?;
            loader.set_ip_adapter_scale(&scales)
        })
    }

    fn unload_ip_adapter(&self) -> PyResult<()> {
        self.with_ip_adapters(|loader| {
            loader.unload_ip_adapter();
            Ok(())
        })
    }

    /// Embeds the pictures of each adapter.
    fn prepare_ip_adapter_image_embeds(
        &self,
        py: Python<'_>,
        images: &Bound<'_, PyAny>,
        num_images_per_prompt: usize,
        guided: bool,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let mut arguments = Arguments::default();
        let images = arguments.images(images, false)?;
        let images: Option<IpAdapterImages> =
            Request::default().with("ip_adapter_image", images).take("ip_adapter_image").map_err(to_py)?;
        let images = images.unwrap_or_default();
        let embeds = py.detach(|| {
            self.with_ip_adapters(|loader| {
                loader.prepare_ip_adapter_image_embeds(images, num_images_per_prompt, guided)
            })
        })?;
        let like = match arguments.like {
            Some(like) => like,
            None => Like::imported(py)?,
        };
        embeds
            .tensors()
            .iter()
            .map(|embeds| like.give(py, Array::from_tensor(embeds.clone().into())?))
            .collect()
    }

    /// Turns FreeU on with these factors, or off.
    #[pyo3(signature = (factors=None))]
    fn set_freeu(&self, factors: Option<[f64; 4]>) -> PyResult<()> {
        let factors = factors.map(|[s1, s2, b1, b2]| FreeU { s1, s2, b1, b2 });
        self.lock().set_freeu(factors).map_err(to_py)
    }
}
