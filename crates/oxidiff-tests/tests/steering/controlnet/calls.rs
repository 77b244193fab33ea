//! The recorded calls of pipelines.

use oxidiff::image::DynamicImage;
use oxidiff::{
    ControlImages, ControlNet, Generator, Generators, OutputType, PerControlNet, PipelineImageInput, Request,
};
use serde::Deserialize;

use super::variant;
use crate::fixture::pictures::{blob, picture, values};

/// A call as the script writes it down.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    pub scheduler: String,
    nets: Option<Vec<String>>,
    variants: Option<Vec<String>>,
    pub unet9: bool,
    prompt: Vec<String>,
    negative_prompt: Vec<String>,
    num_inference_steps: usize,
    seed: OneOrMore<u64>,
    /// The sizes of the images of each ControlNet.
    control: Option<Vec<Vec<[u32; 2]>>>,
    control_tensor: Option<[usize; 4]>,
    scale: Option<OneOrMore<f64>>,
    start: Option<OneOrMore<f64>>,
    end: Option<OneOrMore<f64>>,
    guess_mode: bool,
    images: Option<Vec<[u32; 2]>>,
    tensor: Option<[usize; 4]>,
    low: f32,
    masks: Vec<[u32; 6]>,
    latents: Option<[usize; 4]>,
    pub padding_mask_crop: Option<usize>,
    strength: Option<f64>,
    guidance_scale: Option<f64>,
    height: Option<usize>,
    width: Option<usize>,
    num_images_per_prompt: Option<usize>,
    clip_skip: Option<usize>,
    eta: Option<f64>,
    sigmas: Option<Vec<f32>>,
    prompt_2: Option<Vec<String>>,
    denoising_end: Option<f64>,
    guidance_rescale: Option<f64>,
    original_size: Option<[usize; 2]>,
    negative_original_size: Option<[usize; 2]>,
    negative_target_size: Option<[usize; 2]>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T: Default> Default for OneOrMore<T> {
    fn default() -> Self {
        Self::One(T::default())
    }
}

impl From<OneOrMore<f64>> for PerControlNet {
    fn from(numbers: OneOrMore<f64>) -> Self {
        match numbers {
            OneOrMore::One(number) => number.into(),
            OneOrMore::More(numbers) => numbers.into(),
        }
    }
}

/// Pictures of the given sizes; every second one is mirrored, so that they differ.
fn pictures(sizes: &[[u32; 2]]) -> Vec<DynamicImage> {
    let made = sizes.iter().map(|size| picture("RGB", *size)).enumerate();
    made.map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image }).collect()
}

impl Call {
    /// The names of the ControlNets of the call.
    pub fn names(&self) -> Vec<String> {
        self.nets.clone().unwrap_or_else(|| vec!["controlnet".into()])
    }

    /// The ControlNets of the call.
    pub fn controlnet(&self) -> ControlNet {
        let nets = self.names();
        let variants = self.variants.clone().unwrap_or_else(|| vec!["plain".into(); 2]);
        let nets = nets.iter().zip(&variants).map(|(net, changed)| variant(net, changed));
        ControlNet::of(nets.collect()).unwrap()
    }

    /// The images to follow.
    pub fn control(&self) -> ControlImages {
        let Some(sizes) = &self.control else { return values(self.control_tensor.unwrap(), 0.0).into() };
        // The images of the second ControlNet are upside down.
        let each = sizes.iter().enumerate().map(|(index, sizes)| {
            let images = pictures(sizes).into_iter();
            images.map(|image| if index == 1 { image.rotate180() } else { image }).collect::<Vec<_>>()
        });
        let each: Vec<Vec<DynamicImage>> = each.collect();
        match each.as_slice() {
            [one] => one.clone().into(),
            several if several.iter().all(|images| images.len() == 1) => several.concat().into(),
            several => {
                several.iter().map(|images| images.clone().into()).collect::<Vec<PipelineImageInput>>().into()
            }
        }
    }

    fn generator(&self) -> Generators {
        match &self.seed {
            OneOrMore::One(seed) => Generator::manual_seed(*seed).into(),
            OneOrMore::More(seeds) => {
                seeds.iter().map(|seed| Generator::manual_seed(*seed)).collect::<Vec<_>>().into()
            }
        }
    }

    /// The arguments of the call, by name.
    pub fn request(&self) -> Request {
        let mut request = Request::default()
            .with("prompt", self.prompt.clone())
            .with("negative_prompt", self.negative_prompt.clone())
            .with("num_inference_steps", self.num_inference_steps)
            .with("generator", self.generator())
            .with("guess_mode", self.guess_mode)
            .with("guidance_scale", self.guidance_scale)
            .with("num_images_per_prompt", self.num_images_per_prompt)
            .with("clip_skip", self.clip_skip)
            .with("eta", self.eta);
        request.set(
            "output_type",
            match self.padding_mask_crop {
                Some(_) => OutputType::Image,
                None => OutputType::Array,
            },
        );
        for (name, value) in [
            ("controlnet_conditioning_scale", &self.scale),
            ("control_guidance_start", &self.start),
            ("control_guidance_end", &self.end),
        ] {
            match value.clone() {
                Some(OneOrMore::One(number)) => request.set(name, number),
                Some(OneOrMore::More(numbers)) => request.set(name, numbers),
                None => {}
            }
        }
        let image = match (&self.images, self.tensor) {
            (Some(sizes), _) => Some(pictures(sizes).into()),
            (None, Some(shape)) => Some(PipelineImageInput::from(values(shape, self.low))),
            (None, None) => None,
        };
        match image {
            Some(image) => {
                request.set("image", image);
                request.set("control_image", self.control());
            }
            None => request.set("image", self.control()),
        }
        if let [mask] = self.masks.as_slice() {
            request.set("mask_image", blob(*mask));
        }
        if let Some(shape) = self.latents {
            request.set("latents", values(shape, -1.7));
        }
        for (name, value) in
            [("height", self.height), ("width", self.width), ("padding_mask_crop", self.padding_mask_crop)]
        {
            if let Some(value) = value {
                request.set(name, value);
            }
        }
        if let Some(sigmas) = &self.sigmas {
            request.set("sigmas", sigmas.clone());
        }
        if let Some(prompts) = &self.prompt_2 {
            request.set("prompt_2", prompts.clone());
        }
        for (name, value) in [
            ("denoising_end", self.denoising_end),
            ("guidance_rescale", self.guidance_rescale),
            ("strength", self.strength),
        ] {
            if let Some(value) = value {
                request.set(name, value);
            }
        }
        for (name, size) in [
            ("original_size", self.original_size),
            ("negative_original_size", self.negative_original_size),
            ("negative_target_size", self.negative_target_size),
        ] {
            if let Some(size) = size {
                request.set(name, size);
            }
        }
        request
    }
}
