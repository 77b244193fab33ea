//! `VaeImageProcessor`: between images and the tensors of an autoencoder.

use oxidiff::image::DynamicImage;
use oxidiff::{Argument, CropRegion, FromArgument, Images, PipelineImageInput, PreprocessOptions};
use oxidiff::{OutputType, Resample, ResizeMode, VaeImageProcessor};
use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arguments::Arguments;
use crate::array::{Array, Given, Kind, Like};
use crate::errors::to_py;
use crate::images::to_pillow;

/// Turns images into tensors for an autoencoder, and decoded tensors back into images.
#[pyclass(name = "VaeImageProcessor", module = "oxidiff", frozen, subclass)]
pub struct PyVaeImageProcessor(VaeImageProcessor);

#[pymethods]
impl PyVaeImageProcessor {
    #[new]
    #[pyo3(signature = (
        do_resize=true, vae_scale_factor=8, vae_latent_channels=4, resample="lanczos", reducing_gap=None, do_normalize=true,
        do_binarize=false, do_convert_rgb=false, do_convert_grayscale=false,
    ))]
    #[expect(clippy::too_many_arguments, clippy::fn_params_excessive_bools, reason = "they are Python's")]
    fn new(
        do_resize: bool,
        vae_scale_factor: usize,
        vae_latent_channels: usize,
        resample: &str,
        reducing_gap: Option<i64>,
        do_normalize: bool,
        do_binarize: bool,
        do_convert_rgb: bool,
        do_convert_grayscale: bool,
    ) -> PyResult<Self> {
        if reducing_gap.is_some() {
            return Err(PyNotImplementedError::new_err("`reducing_gap` is not supported"));
        }
        let resample = match resample {
            "nearest" => Resample::Nearest,
            "linear" | "bilinear" => Resample::Bilinear,
            "bicubic" => Resample::Bicubic,
            "lanczos" => Resample::Lanczos,
            other => return Err(PyValueError::new_err(format!("`resample`: there is no filter `{other}`"))),
        };
        Ok(Self(VaeImageProcessor {
            do_resize,
            vae_scale_factor,
            vae_latent_channels,
            resample,
            do_normalize,
            do_binarize,
            do_convert_rgb,
            do_convert_grayscale,
        }))
    }

    /// The values of images, `[batch, channels, height, width]`: in [-1, 1], or in [0, 1] without `do_normalize`.
    #[pyo3(signature = (image, height=None, width=None, resize_mode="default", crops_coords=None))]
    fn preprocess(
        &self,
        py: Python<'_>,
        image: &Bound<'_, PyAny>,
        height: Option<usize>,
        width: Option<usize>,
        resize_mode: &str,
        crops_coords: Option<[i64; 4]>,
    ) -> PyResult<Py<PyAny>> {
        let crops_coords = crops_coords.map(region).transpose()?;
        let argument: Argument = Arguments::default().images(image, self.0.do_convert_grayscale)?;
        let images = PipelineImageInput::from_argument(argument).map_err(PyValueError::new_err)?;
        let options = PreprocessOptions {
            height,
            width,
            resize_mode: match resize_mode {
                "default" => ResizeMode::Default,
                "fill" => ResizeMode::Fill,
                "crop" => ResizeMode::Crop,
                other => {
                    return Err(PyValueError::new_err(format!("`resize_mode`: there is no mode `{other}`")));
                }
            },
            crops_coords,
        };
        let values = py.detach(|| self.0.preprocess(&images, options)).map_err(to_py)?;
        // As in Python, even arrays of numpy become tensors.
        Like::imported(py)?.give(py, Array::from_tensor(values.into())?)
    }

    /// Decoded images, `[batch, channels, height, width]`, as images of Pillow (`"pil"`), an array of numpy (`"np"`,
    /// `[batch, height, width, channels]`) or a tensor (`"pt"`).
    #[pyo3(signature = (image, output_type="pil", do_denormalize=None))]
    fn postprocess(
        &self,
        py: Python<'_>,
        image: &Bound<'_, PyAny>,
        output_type: &str,
        do_denormalize: Option<Vec<bool>>,
    ) -> PyResult<Py<PyAny>> {
        let Given { array, like } = Given::take(image)?;
        if output_type == "latent" {
            return Ok(image.clone().unbind());
        }
        let normalized =
            do_denormalize.as_ref().map_or(self.0.do_normalize, |flags| flags.iter().all(|flag| *flag));
        if do_denormalize.is_some_and(|flags| flags.iter().any(|flag| *flag) != normalized) {
            return Err(PyNotImplementedError::new_err(
                "`do_denormalize` that differs between images is not supported",
            ));
        }
        let form = match output_type {
            "pil" => OutputType::Image,
            "np" | "pt" => OutputType::Array,
            other => return Err(PyValueError::new_err(format!("`output_type`: there is no type `{other}`"))),
        };
        let values = array.tensor()?.to_rank::<4>("image").map_err(to_py)?;
        let processor = VaeImageProcessor { do_normalize: normalized, ..self.0 };
        match py.detach(|| processor.postprocess(values, form)).map_err(to_py)? {
            images @ (Images::Image(_) | Images::Layers(_)) => list(py, images.into_images()),
            Images::Array(values) | Images::Latent(values) if output_type == "pt" => {
                like.give(py, Array::from_tensor(values.permute([0, 3, 1, 2]).into())?)
            }
            Images::Array(values) | Images::Latent(values) => {
                Kind::Numpy.give(py, Array::from_tensor(values.into())?)
            }
        }
    }
}

fn region(corners: [i64; 4]) -> PyResult<CropRegion> {
    let corner = |corner: i64| {
        u32::try_from(corner).map_err(|_| {
            PyValueError::new_err(format!("`crops_coords`: {corner} lies outside of every image"))
        })
    };
    let [x1, y1, x2, y2] = corners;
    Ok(CropRegion { x1: corner(x1)?, y1: corner(y1)?, x2: corner(x2)?, y2: corner(y2)? })
}

fn list(py: Python<'_>, images: Vec<DynamicImage>) -> PyResult<Py<PyAny>> {
    let images = images.into_iter().map(|image| to_pillow(py, image)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, images)?.into_any().unbind())
}

/// The image in a file as one of Pillow: in RGB, and upright.
#[pyfunction]
fn read_image(py: Python<'_>, path: &str) -> PyResult<Py<PyAny>> {
    to_pillow(py, oxidiff::load_image(path).map_err(to_py)?)
}

/// Adds the class and the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyVaeImageProcessor>()?;
    module.add_function(wrap_pyfunction!(read_image, module)?)
}
