//! Resizing of images to other proportions: they are stretched, filled up or cropped.

use super::bitmap::Bitmap;
use super::resample::{Edge, Resample};
use crate::error::{Error, Result};

/// How to bring an image to other proportions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResizeMode {
    /// Stretch it.
    #[default]
    Default,
    /// Keep its proportions and fit it inside; fill the rest with the colours at its edges.
    Fill,
    /// Keep its proportions and cover everything; cut off what is too much.
    Crop,
}

/// The image in another size.
///
/// # Errors
/// When a side would have no pixels.
pub(super) fn resize(
    image: &Bitmap,
    height: usize,
    width: usize,
    mode: ResizeMode,
    filter: Resample,
) -> Result<Bitmap> {
    let too_small = |height: usize, width: usize| {
        (height.min(width) == 0).then(|| {
            let message = format!(
                "{}x{} pixels would become {width}x{height}: a side would have no pixels",
                image.width, image.height
            );
            Error::argument("image", message)
        })
    };
    if let Some(error) = too_small(image.height, image.width).or(too_small(height, width)) {
        return Err(error);
    }
    if mode == ResizeMode::Default {
        return Ok(image.resize(width, height, filter));
    }

    let ratio = width as f64 / height as f64;
    let own_ratio = image.width as f64 / image.height as f64;
    let fits_width = match mode {
        ResizeMode::Fill => ratio < own_ratio,
        _ => ratio > own_ratio,
    };
    let inner_width = if fits_width { width } else { image.width * height / image.height };
    let fits_height = match mode {
        ResizeMode::Fill => ratio >= own_ratio,
        _ => ratio <= own_ratio,
    };
    let inner_height = if fits_height { height } else { image.height * width / image.width };
    if let Some(error) = too_small(inner_height, inner_width) {
        return Err(error);
    }
    let inner = image.resize(inner_width, inner_height, filter);
    let left = (width / 2) as i64 - (inner_width / 2) as i64;
    let top = (height / 2) as i64 - (inner_height / 2) as i64;
    let mut outer = Bitmap::new(width, height, 3);
    outer.paste(&inner.to_rgb(), left, top);

    if mode == ResizeMode::Fill && ratio < own_ratio && top > 0 {
        let edge = |edge| inner.stretch_edge(edge, width, top as usize).to_rgb();
        outer.paste(&edge(Edge::Top), 0, 0);
        outer.paste(&edge(Edge::Bottom), 0, top + inner_height as i64);
    } else if mode == ResizeMode::Fill && ratio > own_ratio && left > 0 {
        let edge = |edge| inner.stretch_edge(edge, left as usize, height).to_rgb();
        outer.paste(&edge(Edge::Left), 0, 0);
        outer.paste(&edge(Edge::Right), left + inner_width as i64, 0);
    }
    Ok(outer)
}
