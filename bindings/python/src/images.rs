//! Images of Pillow, and the library's.

use oxidiff::PipelineImageInput;
use oxidiff::image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError, PyValueError};
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

/// Images of Pillow. Those of one bit or with a palette stay apart, because Pillow resizes them without a filter.
///
/// `grey` ones are converted by Pillow, which knows the colours of every mode.
pub fn several_from_pillow(images: &[Bound<'_, PyAny>], grey: bool) -> PyResult<PipelineImageInput> {
    let mut unfiltered = 0;
    for image in images {
        if !is_image(image)? {
            let message = format!("a list of images of Pillow holds a {}", image.get_type());
            return Err(PyTypeError::new_err(message));
        }
        let mode: String = image.getattr(intern!(image.py(), "mode"))?.extract()?;
        unfiltered += usize::from(matches!(&*mode, "1" | "P"));
    }
    let converted = images.iter().map(|image| {
        let mode: String = image.getattr(intern!(image.py(), "mode"))?.extract()?;
        match grey && matches!(&*mode, "YCbCr" | "HSV" | "LAB") {
            true => from_pillow(&image.call_method1(intern!(image.py(), "convert"), ("L",))?),
            false => from_pillow(image),
        }
    });
    let converted = converted.collect::<PyResult<Vec<_>>>()?;
    match unfiltered {
        0 => Ok(converted.into()),
        all if all == images.len() => Ok(PipelineImageInput::Unfiltered(converted)),
        _ => Err(PyNotImplementedError::new_err(
            "images of mode `1` or `P` beside others are not supported: convert them to one mode",
        )),
    }
}

/// An image of Pillow. Palettes become colours, and images of one bit grey; of other modes with three bytes a pixel, the
/// bytes are taken as they are, as numpy takes them.
pub fn from_pillow(image: &Bound<'_, PyAny>) -> PyResult<DynamicImage> {
    let py = image.py();
    let mode: String = image.getattr(intern!(py, "mode"))?.extract()?;
    let known = matches!(&*mode, "L" | "LA" | "RGB" | "RGBA");
    let (mode, image) = if matches!(&*mode, "YCbCr" | "HSV" | "LAB") {
        ("RGB".to_owned(), image.clone())
    } else if known {
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
