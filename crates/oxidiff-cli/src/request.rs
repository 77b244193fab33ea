//! From the command line to the request that a pipeline is called with.

use anyhow::bail;
use oxidiff::image::DynamicImage;
use oxidiff::{
    Argument, DiffusionPipeline, FluxPriorReduxPipelineOutput, Generator, OutputType, Request, Task,
};

use crate::arguments::GenerateArguments;
use crate::controlnets;
use crate::ip_adapters;

/// The most images at once; more fit into no memory.
const MOST_IMAGES: usize = 65_536;

/// The inputs of a call besides the words of the command line.
pub(crate) struct Inputs {
    /// Several only for T2I-Adapters, and for models that look at reference images.
    pub image: Vec<DynamicImage>,
    pub mask: Option<DynamicImage>,
    /// For ControlNets.
    pub control: Vec<DynamicImage>,
    /// What takes the place of the prompt.
    pub embedded: Option<FluxPriorReduxPipelineOutput>,
    pub generator: Generator,
    pub output_type: OutputType,
}

/// The arguments of the pipeline's call: the given ones, else the checkpoint's, else Python's defaults.
pub(crate) fn new(
    pipeline: &DiffusionPipeline,
    arguments: GenerateArguments,
    inputs: Inputs,
) -> anyhow::Result<Request> {
    let class_name = pipeline.class_name();
    let takes = |name: &str| pipeline.takes(name);
    let images = arguments.num_images;
    let prompt = arguments.prompt();
    // Where a caption has a language, the model writes it if there is no prompt.
    if takes("prompt") && prompt.is_none() && inputs.embedded.is_none() && !takes("use_en_prompt") {
        bail!("PROMPT: a {class_name} needs a prompt");
    }
    for (name, option, given) in [
        ("image", "--image", !inputs.image.is_empty()),
        ("mask_image", "--mask-image", inputs.mask.is_some()),
    ] {
        let is_optional =
            name == "image" && (controlnets::follows_image(pipeline) || may_look_at_images(pipeline));
        if takes(name) && !given && !is_optional {
            bail!("a {class_name} needs {} {option}", if name == "image" { "an" } else { "a" });
        }
    }

    let mut call = Call { pipeline, request: Request::default() };
    ip_adapters::set_pictures(&mut call.request, &arguments)?;
    call.set("--prompt", "prompt", prompt)?;
    call.set("--negative-prompt", "negative_prompt", arguments.negative_prompt)?;
    call.set("--mask-image", "mask_image", inputs.mask)?;
    call.set("--strength", "strength", arguments.strength)?;
    call.set("--steps", "num_inference_steps", arguments.steps)?;
    call.set("--guidance-scale", "guidance_scale", arguments.guidance_scale)?;
    call.set("--guidance-rescale", "guidance_rescale", arguments.guidance_rescale)?;
    call.set("--height", "height", arguments.height)?;
    call.set("--width", "width", arguments.width)?;
    call.set("--eta", "eta", arguments.eta)?;
    call.set("--clip-skip", "clip_skip", arguments.clip_skip)?;
    for (name, value) in arguments.keywords {
        call.set(&format!("--{}", name.replace('_', "-")), name, Some(Argument::Written(value)))?;
    }
    if let Some(embedded) = inputs.embedded {
        call.request.set("prompt_embeds", embedded.prompt_embeds);
        call.request.set("pooled_prompt_embeds", embedded.pooled_prompt_embeds);
    }
    call.request.set("generator", inputs.generator);
    call.request.set("output_type", inputs.output_type);

    // The images of one class are next to each other, like those of one prompt.
    let labels = arguments.class_labels.len().max(1);
    if images.saturating_mul(labels) > MOST_IMAGES {
        bail!("--num-images: 1 to {MOST_IMAGES} images can be made at once, not {images} times {labels}");
    }
    let several = inputs.image.len();
    if several > 1 && !takes("adapter_conditioning_scale") && !pipeline.looks_at_images() {
        bail!("--image: a {class_name} takes one image, not {several}");
    }
    let mut image = (several > 0).then_some(inputs.image);
    if takes("num_images_per_prompt") {
        call.request.set("num_images_per_prompt", images);
    } else if takes("batch_size") {
        call.request.set("batch_size", labels * images);
    } else if takes("class_labels") {
        if arguments.class_labels.is_empty() {
            bail!("--class-labels: a {class_name} needs the classes to show");
        }
    } else if takes("prompt") && images > 1 {
        bail!("--num-images: a {class_name} makes one image from each prompt");
    } else {
        image = image.map(|image| image.into_iter().cycle().take(images).collect());
    }
    call.set("--image", "image", image)?;
    controlnets::set_images(pipeline, &mut call.request, inputs.control)?;
    let labels: Vec<&str> =
        arguments.class_labels.iter().flat_map(|label| vec![label.as_str(); images]).collect();
    let labels = (!labels.is_empty()).then(|| Argument::Written(labels.join(",")));
    call.set("--class-labels", "class_labels", labels)?;

    let Call { mut request, .. } = call;
    pipeline.generation_config().fill(&mut request, takes);
    Ok(request)
}

/// Whether the pipeline makes an image from a prompt, and may look at others meanwhile.
fn may_look_at_images(pipeline: &DiffusionPipeline) -> bool {
    pipeline.task() == Some(Task::TextToImage)
        && pipeline.takes("image")
        && !pipeline.takes("adapter_conditioning_scale")
        && !controlnets::follows_image(pipeline)
}

/// A request under construction for a pipeline.
struct Call<'a> {
    pipeline: &'a DiffusionPipeline,
    request: Request,
}

impl Call<'_> {
    /// Sets an argument if it is given, and refuses one that the pipeline does not take.
    fn set<T: Into<Argument>>(
        &mut self,
        option: &str,
        name: impl Into<String>,
        value: Option<T>,
    ) -> anyhow::Result<()> {
        let (name, Some(value)) = (name.into(), value) else { return Ok(()) };
        if !self.pipeline.takes(&name) {
            bail!("{option}: {} does not take it", self.pipeline.class_name());
        }
        self.request.set(name, value);
        Ok(())
    }
}
