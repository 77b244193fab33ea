//! ControlNets that are given on the command line.

use anyhow::{anyhow, bail};
use oxidiff::image::DynamicImage;
use oxidiff::{
    AutoPipeline, ControlNet, ControlNetModel, ControlNetUnion, ControlNetUnionModel, ControlNets,
    DiffusionPipeline, Error, FluxControlNet, FluxControlNetModel, HunyuanDiT2DControlNetModel,
    HunyuanDiTControlNet, LoadOptions, Model, QwenImageControlNet, QwenImageControlNetModel, Request,
    SD3ControlNet, SD3ControlNetModel, SanaControlNetModel, SingleFileOptions, ZImageControlNetModel,
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

/// A ControlNet for one type of images, or for several.
enum Loaded {
    Plain(Box<ControlNetModel>),
    Union(Box<ControlNetUnionModel>),
    Flux(Box<FluxControlNetModel>),
    HunyuanDiT(Box<HunyuanDiT2DControlNetModel>),
    QwenImage(Box<QwenImageControlNetModel>),
    SD3(Box<SD3ControlNetModel>),
    Sana(Box<SanaControlNetModel>),
    ZImage(Box<ZImageControlNetModel>),
}

fn load_all(names: &[String], options: &LoadOptions) -> anyhow::Result<ControlNets> {
    let (mut plain, mut union, mut flux) = (Vec::new(), Vec::new(), Vec::new());
    let (mut hunyuan_dit, mut qwen_image, mut sd3) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sana, mut z_image) = (Vec::new(), Vec::new());
    for name in names {
        match load_one(name, options)? {
            Loaded::Plain(net) => plain.push(*net),
            Loaded::Union(net) => union.push(*net),
            Loaded::Flux(net) => flux.push(*net),
            Loaded::HunyuanDiT(net) => hunyuan_dit.push(*net),
            Loaded::QwenImage(net) => qwen_image.push(*net),
            Loaded::SD3(net) => sd3.push(*net),
            Loaded::Sana(net) => sana.push(net),
            Loaded::ZImage(net) => z_image.push(net),
        }
    }
    for (count, class_name) in
        [(sana.len(), SanaControlNetModel::CLASS_NAME), (z_image.len(), ZImageControlNetModel::CLASS_NAME)]
    {
        if count > 0 && names.len() > 1 {
            bail!("--controlnet {}: a {class_name} works only alone", names.join(", "));
        }
    }
    let alone = z_image.pop().map(ControlNets::ZImage).or_else(|| sana.pop().map(ControlNets::Sana));
    if let Some(alone) = alone {
        return Ok(alone);
    }
    for (count, class_name) in [
        (flux.len(), FluxControlNetModel::CLASS_NAME),
        (hunyuan_dit.len(), HunyuanDiT2DControlNetModel::CLASS_NAME),
        (qwen_image.len(), QwenImageControlNetModel::CLASS_NAME),
        (sd3.len(), SD3ControlNetModel::CLASS_NAME),
    ] {
        if count != 0 && count != names.len() {
            bail!("--controlnet {}: a {class_name} works only with others of its class", names.join(", "));
        }
    }
    if !flux.is_empty() {
        return Ok(FluxControlNet::of(flux)?.into());
    }
    if !hunyuan_dit.is_empty() {
        return Ok(HunyuanDiTControlNet::of(hunyuan_dit)?.into());
    }
    if !qwen_image.is_empty() {
        return Ok(QwenImageControlNet::of(qwen_image)?.into());
    }
    if !sd3.is_empty() {
        return Ok(SD3ControlNet::of(sd3)?.into());
    }
    match (plain.is_empty(), union.is_empty()) {
        (false, false) => bail!(
            "--controlnet {}: a {} and a {} do not work together",
            names.join(", "),
            ControlNetModel::CLASS_NAME,
            ControlNetUnionModel::CLASS_NAME
        ),
        (_, true) => Ok(ControlNet::of(plain)?.into()),
        _ => Ok(ControlNetUnion::of(union)?.into()),
    }
}

fn load_one(name: &str, options: &LoadOptions) -> anyhow::Result<Loaded> {
    let loaded = if crate::is_single_file(name) {
        let LoadOptions { dtype, device, hub, .. } = options.clone();
        let options = SingleFileOptions { dtype, device, hub, ..SingleFileOptions::default() };
        match ControlNetModel::from_single_file(name, &options) {
            // It is of the other family.
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(ZImageControlNetModel::CLASS_NAME) =>
            {
                ZImageControlNetModel::from_single_file(name, &options)
                    .map(|net| Loaded::ZImage(Box::new(net)))
            }
            loaded => loaded.map(|net| Loaded::Plain(Box::new(net))),
        }
    } else {
        match load_folder(name, options) {
            // It is of the other class.
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(ControlNetUnionModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::Union(Box::new(net)))
            }
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(FluxControlNetModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::Flux(Box::new(net)))
            }
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(HunyuanDiT2DControlNetModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::HunyuanDiT(Box::new(net)))
            }
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(QwenImageControlNetModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::QwenImage(Box::new(net)))
            }
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(SD3ControlNetModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::SD3(Box::new(net)))
            }
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(SanaControlNetModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::Sana(Box::new(net)))
            }
            Err(Error::Config { field, message, .. })
                if field == "_class_name" && message.contains(ZImageControlNetModel::CLASS_NAME) =>
            {
                load_folder(name, options).map(|net| Loaded::ZImage(Box::new(net)))
            }
            loaded => loaded.map(|net| Loaded::Plain(Box::new(net))),
        }
    };
    loaded.map_err(|error| anyhow!(error).context(format!("--controlnet {name}")))
}

pub(crate) fn load_folder<M: Model>(name: &str, options: &LoadOptions) -> oxidiff::Result<M> {
    match M::from_pretrained_with(name, options) {
        // Like any part of a model, it need not have the variant.
        Err(Error::InvalidArgument { argument: "variant", .. }) => {
            M::from_pretrained_with(name, &LoadOptions { variant: None, ..options.clone() })
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
        false if !takes => bail!("--control-image: a {class_name} does not take it; give a --controlnet"),
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
