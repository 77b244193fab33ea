//! Images of Pillow, and the library's.

use oxidiff::image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::generator::imported;

/// Whether an object is an image of Pillow.
pub fn is_image(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    match imported(object.py(), "PIL.Image")? {
        Some(module) => object.is_instance(&module.getattr(intern!(object.py(), "Image"))?),
        None => Ok(false),
    }
}

/// An image of Pillow. Palettes become colours, and images of one bit grey.
pub fn from_pillow(image: &Bound<'_, PyAny>) -> PyResult<DynamicImage> {
    let py = image.py();
    let mode: String = image.getattr(intern!(py, "mode"))?.extract()?;
    let known = matches!(&*mode, "L" | "LA" | "RGB" | "RGBA");
    let (mode, image) = if known {
        (mode, image.clone())
    } else {
        let converted = if mode == "1" { "L" } else { "RGB" };
        (converted.to_owned(), image.call_method1(intern!(py, "convert"), (converted,))?)
    };
    let (width, height): (u32, u32) = image.getattr(intern!(py, "size"))?.extract()?;
    let bytes: Vec<u8> = image.call_method0(intern!(py, "tobytes"))?.cast::<PyBytes>()?.as_bytes().to_vec();
    let image = match &*mode {
        "L" => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        "LA" => GrayAlphaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        "RGB" => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        _ => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from),
    };
    image.ok_or_else(|| PyValueError::new_err("the image has fewer pixels than its size says"))
}

/// The image as one of Pillow.
pub fn to_pillow(py: Python<'_>, image: DynamicImage) -> PyResult<Py<PyAny>> {
    let (size, mode) = ((image.width(), image.height()), mode(&image)?);
    let bytes = PyBytes::new(py, image.as_bytes());
    Ok(py.import("PIL.Image")?.call_method1("frombytes", (mode, size, bytes))?.unbind())
}

fn mode(image: &DynamicImage) -> PyResult<&'static str> {
    Ok(match image {
        DynamicImage::ImageLuma8(_) => "L",
        DynamicImage::ImageLumaA8(_) => "LA",
        DynamicImage::ImageRgb8(_) => "RGB",
        DynamicImage::ImageRgba8(_) => "RGBA",
        other => return Err(PyTypeError::new_err(format!("an image of {:?}", other.color()))),
    })
}
