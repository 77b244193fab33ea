//! The parts of these pipelines.

use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::models::unets::UNet2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::component::{Component, Components};
use crate::pipelines::output::MOST_PIXELS;
use crate::schedulers::Scheduler;

/// The names in the index of such a pipeline.
pub(super) const INDEX_NAMES: [&str; 2] = ["unet", "scheduler"];

/// Loads the parts that the index of a checkpoint names.
///
/// # Errors
/// When a part is of another class, or a file is missing or damaged.
pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<(UNet2DModel, Box<dyn Scheduler>)> {
    Ok((loader.model("unet")?, loader.scheduler("scheduler")?))
}

/// The parts of another pipeline, which share its weights.
///
/// # Errors
/// When it has other parts.
pub(super) fn of(components: &Components<'_>) -> Result<(UNet2DModel, Box<dyn Scheduler>)> {
    Ok((components.take("unet")?, components.take("scheduler")?))
}

/// The parts, by their names in `model_index.json`.
pub(super) fn list<'a>(unet: &'a UNet2DModel, scheduler: &'a dyn Component) -> Components<'a> {
    let mut list = Components::default();
    list.push("unet", unet);
    list.push("scheduler", scheduler);
    list
}

/// The shape of the sample, which is that of the images.
///
/// # Errors
/// When the model's configuration does not give the size of images, or too large a size.
pub(super) fn image_shape(unet: &UNet2DModel, batch_size: usize) -> Result<[usize; 4]> {
    let config = unet.config();
    let invalid = |message: String| Error::config("unet/config.json", "sample_size", message);
    let size = config
        .sample_size
        .ok_or_else(|| invalid("must be set: it is the size of the pipeline's images".into()))?;
    let [height, width] = size.height_width();
    if height.max(width) > MOST_PIXELS {
        return Err(invalid(format!("is {height}x{width}; at most {MOST_PIXELS} make sense")));
    }
    Ok([batch_size, config.in_channels, height, width])
}
