//! Text to image with ControlNets.

use burn::tensor::Tensor;

use super::arguments::{Settings, prompt_arguments};
use super::components::HunyuanDiTComponents;
use super::denoising::Run;
use crate::error::Result;
use crate::image_processor::{PipelineImageInput, VaeImageProcessor};
use crate::models::controlnets::HunyuanDiTControlNet;
use crate::models::finite::Suspect;
use crate::models::transformers::{
    HunyuanDiT2DControlNetInputs, HunyuanDiT2DControlNetModel, HunyuanDiTInputs,
};
use crate::pipelines::common::control::{ControlImages, PerControlNet, pixels_to_follow};
use crate::pipelines::common::decoding;
use crate::pipelines::common::safety::REQUIRES;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts that follow other images.
///
/// Its fields are those of [`HunyuanDiTComponents`], and `controlnet`.
///
/// ```no_run
/// use oxidiff::{
///     HunyuanDiT2DControlNetModel, HunyuanDiTControlNetPipeline, HunyuanDiTControlNetTextToImage, LoadOptions, Model,
///     Pipeline, load_image,
/// };
///
/// let controlnet =
///     HunyuanDiT2DControlNetModel::from_pretrained("Tencent-Hunyuan/HunyuanDiT-v1.2-ControlNet-Diffusers-Canny")?;
/// let options = LoadOptions { controlnet: Some(controlnet.into()), ..Default::default() };
/// let name = "Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers";
/// let mut pipeline = HunyuanDiTControlNetPipeline::from_pretrained_with(name, &options)?;
/// let images = pipeline.call(HunyuanDiTControlNetTextToImage {
///     control_image: load_image("edges.png")?.into(),
///     ..HunyuanDiTControlNetTextToImage::new("在夜晚的酒店门前，一座古老的中国风格的狮子雕像矗立着")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HunyuanDiTControlNetPipeline {
    /// Tells the transformer what to add to the results of its blocks.
    pub controlnet: HunyuanDiTControlNet,
    components: HunyuanDiTComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `HunyuanDiTControlNetPipeline.__call__`.
    pub struct HunyuanDiTControlNetTextToImage: "text to image with HunyuanDiT and ControlNet" {
        /// The images to follow: one for all prompts, or one for each; with several ControlNets, one for each of them. They are
        /// resized to the size of the result; a tensor is taken as it is, with values in [-1, 1].
        pub control_image: ControlImages = ControlImages::default(),
        /// How strongly to follow the images: one number, or one for each ControlNet.
        pub controlnet_conditioning_scale: PerControlNet = PerControlNet::Same(1.0),
    }
}

/// The ControlNets of a run, what each follows `[images, channels, height, width]`, and how strongly.
pub(super) struct Control<'a>(Vec<(&'a HunyuanDiT2DControlNetModel, Tensor<4>, f64)>);

impl Control<'_> {
    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        self.0.iter().map(|(net, ..)| ("controlnet", *net as &dyn Suspect)).collect()
    }

    /// What the ControlNets add in a step to the results of the transformer's blocks.
    ///
    /// # Errors
    /// When a ControlNet cannot work with its inputs.
    pub fn samples(&self, inputs: &HunyuanDiTInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let mut sum: Vec<Tensor<3>> = Vec::new();
        for (net, followed, scale) in self.0.iter().filter(|(.., scale)| *scale != 0.0) {
            let copies = inputs.hidden_states.dims()[0] / followed.dims()[0];
            let samples = net.forward(&HunyuanDiT2DControlNetInputs {
                inputs: inputs.clone(),
                controlnet_cond: followed.clone().repeat_dim(0, copies),
                conditioning_scale: *scale,
            })?;
            sum = match sum.is_empty() {
                true => samples,
                false => sum.into_iter().zip(samples).map(|(one, other)| one + other).collect(),
            };
        }
        Ok(sum)
    }
}

impl HunyuanDiTControlNetPipeline {
    /// The names that the index can have.
    const INDEX_NAMES: [&str; 11] = {
        let [a, b, c, d, e, f, g, h, i, j] = HunyuanDiTComponents::INDEX_NAMES;
        [a, b, c, d, e, f, g, h, i, j, "controlnet"]
    };

    /// A pipeline with the given parts and ControlNets.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(
        components: HunyuanDiTComponents,
        controlnet: impl Into<HunyuanDiTControlNet>,
    ) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option(REQUIRES, false);
        Self::assemble(components, controlnet.into(), index)
    }

    fn assemble(
        components: HunyuanDiTComponents,
        controlnet: HunyuanDiTControlNet,
        mut index: ModelIndex,
    ) -> Result<Self> {
        components.prepare(&mut index)?;
        controlnet.nets().iter().try_for_each(|net| net.check_fit(&components.transformer))?;
        Ok(Self { controlnet, components, index, progress_bar: true })
    }
}

impl HunyuanDiTComponents {
    /// The latents of an image to follow for each image of the call: the most likely ones, where Python draws some that nobody can seed.
    fn latents_to_follow(
        &self,
        image: &PipelineImageInput,
        size: [usize; 2],
        settings: &Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        let processor =
            VaeImageProcessor { vae_scale_factor: self.vae.scale_factor(), ..VaeImageProcessor::default() };
        let counts = [settings.images, settings.num_images_per_prompt];
        let device = self.transformer.device();
        let pixels = pixels_to_follow("control_image", image, &processor, size, counts, &device)?;
        let encoded = decoding::encode(&*self.vae, pixels.cast(self.vae.dtype()), index)?.mode();
        Ok(encoded * self.vae.scaling_factor())
    }
}

impl Pipeline for HunyuanDiTControlNetPipeline {
    const CLASS_NAME: &'static str = "HunyuanDiTControlNetPipeline";

    type Arguments = HunyuanDiTControlNetTextToImage;

    fn call(&mut self, arguments: impl Into<HunyuanDiTControlNetTextToImage>) -> Result<ImagePipelineOutput> {
        const KIND: &str = "ControlNet";
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let (components, nets) = (&mut self.components, self.controlnet.nets());
        let images = arguments.control_image.for_each("control_image", nets.len(), KIND)?;
        let scales = arguments.controlnet_conditioning_scale.expand(
            "controlnet_conditioning_scale",
            nets.len(),
            KIND,
        )?;
        let size = match &images[..] {
            // A tensor is not resized, but says what size the result has.
            [PipelineImageInput::Tensor(values), ..] => {
                let size = [values.dims()[2], values.dims()[3]];
                components.check_size(size)?;
                size
            }
            _ => components.image_size(&settings.sizes)?,
        };
        nets.iter().try_for_each(|net| net.check_fit(&components.transformer))?;
        let texts = components.embed(&arguments.prompts())?;
        let mut control = Vec::new();
        for ((net, image), scale) in nets.iter().zip(&images).zip(scales) {
            control.push((net, components.latents_to_follow(image, size, &settings, &self.index)?, scale));
        }
        let run = Run {
            size,
            texts,
            latents: arguments.latents.take(),
            control: Some(Control(control)),
            perturbed: None,
        };
        components.run(run, settings, &self.index, self.progress_bar)
    }

    crate::pipelines::pipeline_fields::controlnet_part_methods!(
        HunyuanDiTComponents,
        HunyuanDiTControlNet,
        Self::INDEX_NAMES
    );
    crate::pipelines::pipeline_fields::field_methods!();
    crate::pipelines::pipeline_fields::vae_methods!();
}

crate::pipelines::pipeline_fields::expose_components!(HunyuanDiTControlNetPipeline, HunyuanDiTComponents);
