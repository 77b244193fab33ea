//! What these pipelines consist of: a UNet on pixels and a scheduler.

use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::models::model::{self, Model};
use crate::models::unets::UNet2DModel;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;
use crate::pipelines::pipeline::Component;
use crate::schedulers::{self, Scheduler};

/// What the index of such a pipeline names.
pub(super) const INDEX_NAMES: [&str; 2] = ["unet", "scheduler"];

/// Loads the parts that the index of a checkpoint names.
///
/// # Errors
/// When one is of another class, or a file is missing or damaged.
pub(super) fn load(
    folder: &Folder,
    index: &ModelIndex,
    options: &LoadOptions,
) -> Result<(UNet2DModel, Box<dyn Scheduler>)> {
    index.expect_class("unet", UNet2DModel::CLASS_NAME)?;
    let scheduler_class = index.required("scheduler")?;
    let scheduler = schedulers::load(&folder.component("scheduler"), scheduler_class)?;
    let variant = options.variant.as_deref();
    let unet = model::load(&folder.component("unet"), variant, options.dtype, &options.device)?;
    Ok((unet, scheduler))
}

/// The parts of another pipeline, which share its weights.
///
/// # Errors
/// When it has others.
pub(super) fn of(components: &[(&'static str, Component<'_>)]) -> Result<(UNet2DModel, Box<dyn Scheduler>)> {
    let missing = |name: &str| {
        Error::argument("pipeline", format!("has no `{name}` that makes images from noise alone"))
    };
    let unet = components.iter().find_map(|(_, component)| match component {
        Component::UNet2DModel(unet) => Some((*unet).clone()),
        _ => None,
    });
    let scheduler = components.iter().find_map(|(_, component)| match component {
        Component::Scheduler(scheduler) => Some(scheduler.clone_box()),
        _ => None,
    });
    Ok((unet.ok_or_else(|| missing("unet"))?, scheduler.ok_or_else(|| missing("scheduler"))?))
}

/// The parts by the names that `model_index.json` gives them.
pub(super) fn list<'a>(
    unet: &'a UNet2DModel,
    scheduler: &'a dyn Scheduler,
) -> Vec<(&'static str, Component<'a>)> {
    vec![("unet", Component::UNet2DModel(unet)), ("scheduler", Component::Scheduler(scheduler))]
}

/// The shape of the sample, which is that of the images.
///
/// # Errors
/// When the model's configuration does not say how large images are, or says too much.
pub(super) fn image_shape(unet: &UNet2DModel, batch_size: usize) -> Result<[usize; 4]> {
    let config = unet.config();
    let invalid = |message: String| Error::config("unet/config.json", "sample_size", message);
    let size = config
        .sample_size
        .ok_or_else(|| invalid("must be set: it is the size of the images that the pipeline makes".into()))?;
    let [height, width] = size.height_width();
    if height.max(width) > MOST_PIXELS {
        return Err(invalid(format!("is {height}x{width}; at most {MOST_PIXELS} make sense")));
    }
    Ok([batch_size, config.in_channels, height, width])
}
