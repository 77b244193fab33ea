//! Checks of arguments that many calls have.

use crate::error::{Error, Result};
use crate::pipelines::output::MOST_IMAGES;

/// Refuses a number that is not finite.
pub(crate) fn check_finite(argument: &'static str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::argument(argument, format!("cannot be {value}"))) }
}

/// Checks the number of denoising steps.
pub(crate) fn check_steps(num_inference_steps: usize) -> Result<()> {
    if num_inference_steps > 0 {
        return Ok(());
    }
    Err(Error::argument("num_inference_steps", "must be at least 1"))
}

/// Checks a number of images that `argument` asks for.
pub(crate) fn check_images(argument: &'static str, images: usize) -> Result<()> {
    if (1..=MOST_IMAGES).contains(&images) {
        return Ok(());
    }
    let message = format!("asks for {images} images in one batch; 1 to {MOST_IMAGES} are possible");
    Err(Error::argument(argument, message))
}
