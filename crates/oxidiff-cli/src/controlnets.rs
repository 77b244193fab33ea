//! ControlNets that are given on the command line.

use anyhow::{anyhow, bail};
use oxidiff::image::DynamicImage;
use oxidiff::{
    AnyModel, AutoPipeline, ControlNetModel, ControlNets, DiffusionPipeline, Error, LoadOptions, Model,
    Request, SingleFileOptions, ZImageControlNetModel,
};

use crate::keywords;
use crate::load_arguments::LoadArguments;

/// The pipeline for a task with the parts of another one and with ControlNets: folders, or names on the hub.
pub(crate) fn add(
    pipeline: DiffusionPipeline,
    names: &[String],
    load: &LoadArguments,
    task: &str,
) -> anyhow::Result<DiffusionPipeline> {
    let mut options = load.options()?;
    // The revision is that of the model.
    options.hub.revision = None;
    let nets = load_all(names, &options)?;
    let kind = nets.class_name();
    let task = AutoPipeline::find(task).expect("it is one of the library's");
    let listed = names.join(", ");
    task.from_pipe_with_controlnet(&pipeline, nets).map_err(|error| match error {
        Error::Unsupported { .. } => {
            anyhow!("--controlnet {listed}: a {} does not take a {kind}", pipeline.class_name())
        }
        Error::InvalidArgument { argument: "controlnet", message } => {
            anyhow!("--controlnet {listed}: {message}")
        }
        other => anyhow!(other).context("--controlnet"),
    })
}

fn load_all(names: &[String], options: &LoadOptions) -> anyhow::Result<ControlNets> {
    let models: Vec<AnyModel> = names.iter().map(|name| load_one(name, options)).collect::<Result<_, _>>()?;
    ControlNets::try_from(models).map_err(|error| match error {
        Error::InvalidArgument { message, .. } => anyhow!("--controlnet {}: {message}", names.join(", ")),
        other => anyhow!(other).context("--controlnet"),
    })
}

/// A ControlNet of the class that its configuration names. A single file has none: it is one of a U-Net or of Z-Image.
fn load_one(name: &str, options: &LoadOptions) -> anyhow::Result<AnyModel> {
    let loaded = if crate::is_single_file(name) {
        let LoadOptions { dtype, device, hub, .. } = options.clone();
        let options = SingleFileOptions { dtype, device, hub, ..SingleFileOptions::default() };
        match AnyModel::from_single_file(ControlNetModel::CLASS_NAME, name, &options) {
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(ZImageControlNetModel::CLASS_NAME) =>
            {
                AnyModel::from_single_file(ZImageControlNetModel::CLASS_NAME, name, &options)
            }
            loaded => loaded,
        }
    } else {
        AnyModel::load_config(name, options).and_then(|config| {
            let class_name = config.class_name().unwrap_or(ControlNetModel::CLASS_NAME);
            with_or_without_variant(options, |options| AnyModel::from_pretrained(class_name, name, options))
        })
    };
    loaded.map_err(|error| anyhow!(error).context(format!("--controlnet {name}")))
}

pub(crate) fn load_folder<M: Model>(name: &str, options: &LoadOptions) -> oxidiff::Result<M> {
    with_or_without_variant(options, |options| M::from_pretrained_with(name, options))
}

/// Like any part of a model, an addition need not have the variant.
fn with_or_without_variant<T>(
    options: &LoadOptions,
    load: impl Fn(&LoadOptions) -> oxidiff::Result<T>,
) -> oxidiff::Result<T> {
    match load(options) {
        Err(Error::InvalidArgument { argument: "variant", .. }) => {
            load(&LoadOptions { variant: None, ..options.clone() })
        }
        other => other,
    }
}

/// Whether the images to follow are the argument `image` of a pipeline, as in text to image, and not `control_image`.
pub(crate) fn follows_image(pipeline: &DiffusionPipeline) -> bool {
    pipeline.takes("controlnet_conditioning_scale") && !pipeline.takes("control_image")
}

/// Sets the images to follow, under the name that the pipeline has for them.
pub(crate) fn set_images(
    pipeline: &DiffusionPipeline,
    request: &mut Request,
    images: Vec<DynamicImage>,
) -> anyhow::Result<()> {
    let class_name = pipeline.class_name();
    // A transformer may follow an image without a ControlNet.
    let takes = pipeline.takes("controlnet_conditioning_scale") || pipeline.takes("control_image");
    match images.is_empty() {
        true if takes && !request.has("image") => bail!("a {class_name} needs a --control-image"),
        true if pipeline.takes("control_image") => bail!("a {class_name} needs a --control-image"),
        true => Ok(()),
        false if !takes => bail!("--control-image: {class_name} does not take it; give a --controlnet"),
        false => {
            request.set(if follows_image(pipeline) { "image" } else { "control_image" }, images);
            Ok(())
        }
    }
}

/// Names the option that an error of a call is about.
pub(crate) fn name_option(error: Error, pipeline: &DiffusionPipeline) -> anyhow::Error {
    match error {
        Error::InvalidArgument { argument: "image", message } if follows_image(pipeline) => {
            anyhow!("--control-image: {message}")
        }
        Error::InvalidArgument { argument: "ip_adapter_scale", message } => {
            anyhow!("--ip-adapter-scale: {message}")
        }
        other => keywords::name_option(other, |argument| pipeline.takes(argument)),
    }
}
