//! How inpainting uses an image and its mask. A UNet that was trained for it receives the mask and the image without the
//! masked part. Any other UNet denoises the whole image, and the unmasked part is put back after each step (as in RePaint,
//! Lugmayr et al. 2022, <https://arxiv.org/abs/2201.09865>).

use burn::tensor::{DType, Device, Tensor};
use image::DynamicImage;

use super::image_latents::{PreparedImage, Scaling, sample_latents};
use super::latents::{draw, given_or_noise, repeat_batch};
use crate::error::{Error, Result};
use crate::image_processor::{
    CropRegion, Images, OutputType, PipelineImageInput, PreprocessOptions, ResizeMode, VaeImageProcessor,
    resize_nearest,
};
use crate::models::autoencoders::Autoencoder;
use crate::models::finite::is_finite;
use crate::pipelines::model_index::ModelIndex;
use crate::random::Generators;
use crate::schedulers::Scheduler;
use crate::wording::counted;

/// The part of an image around its mask, enlarged to the size of the whole result for the work.
pub(crate) struct Crop {
    image: DynamicImage,
    mask: DynamicImage,
    region: CropRegion,
}

/// Height and width as they were asked for, else as they are: the proportions of the part that [`Crop`] takes. The image itself
/// has sides that the model can make.
pub(crate) fn proportions(asked: [Option<usize>; 2], size: [usize; 2]) -> [usize; 2] {
    [asked[0].unwrap_or(size[0]), asked[1].unwrap_or(size[1])]
}

impl Crop {
    /// The masked part and `pad` pixels around it, in the aspect ratio of `size`, height and width.
    ///
    /// # Errors
    /// When there is not exactly one image with one mask of its size, or the result should not be images.
    pub fn new(
        image: &PipelineImageInput,
        mask: &PipelineImageInput,
        pad: usize,
        [height, width]: [usize; 2],
        output_type: OutputType,
    ) -> Result<Self> {
        let one = |argument, input: &PipelineImageInput| match input.images() {
            Some([image]) => Ok(image.clone()),
            _ => Err(Error::argument(argument, "must be one image if `padding_mask_crop` is given")),
        };
        if output_type != OutputType::Image {
            let message = "must be images, not an array, if `padding_mask_crop` is given";
            return Err(Error::argument("output_type", message));
        }
        let (image, mask) = (one("image", image)?, one("mask_image", mask)?);
        if (image.width(), image.height()) != (mask.width(), mask.height()) {
            let message = format!(
                "is {}x{}, `image` {}x{}: with `padding_mask_crop` they must have the same size",
                mask.width(),
                mask.height(),
                image.width(),
                image.height()
            );
            return Err(Error::argument("mask_image", message));
        }
        let region = VaeImageProcessor::get_crop_region(&mask, width, height, pad)?;
        Ok(Self { image, mask, region })
    }

    /// Where the part is.
    pub fn region(&self) -> CropRegion {
        self.region
    }

    /// Puts each image back into the place of the part.
    ///
    /// # Errors
    /// When an image cannot be resized to the part.
    pub fn put_back(&self, processor: &VaeImageProcessor, images: Images) -> Result<Images> {
        let put_back = |image| processor.apply_overlay(&self.mask, &self.image, &image, Some(self.region));
        Ok(Images::Image(images.into_images().into_iter().map(put_back).collect::<Result<_>>()?))
    }
}

/// An image and its mask, ready for the models.
pub(crate) struct MaskedImage {
    /// `[images, channels, height, width]` in single precision.
    pub image: PreparedImage,
    /// 1 where the image is repainted, 0 elsewhere: `[masks, 1, height, width]`.
    pub mask: Tensor<4>,
}

impl MaskedImage {
    /// Prepares both for images of `size`, height and width.
    ///
    /// # Errors
    /// When one of them cannot be prepared.
    pub fn new(
        processor: &VaeImageProcessor,
        image: &PipelineImageInput,
        given: &PipelineImageInput,
        [height, width]: [usize; 2],
        crop: Option<&Crop>,
        device: &Device,
    ) -> Result<Self> {
        let options = PreprocessOptions {
            height: Some(height),
            width: Some(width),
            resize_mode: if crop.is_some() { ResizeMode::Fill } else { ResizeMode::Default },
            crops_coords: crop.map(|crop| crop.region),
        };
        let image = PreparedImage::new(processor, image, options)?.cast(DType::F32, device);
        let of_masks = VaeImageProcessor::of_masks(processor.vae_scale_factor);
        let mask = of_masks.preprocess(given, options)?.to_device(device).cast(DType::F32);
        if let PipelineImageInput::Tensor(values) | PipelineImageInput::Array(values) = given
            && !is_finite(values)
        {
            return Err(Error::argument("mask_image", "has values that are not finite"));
        }
        if mask.dims()[1] != 1 {
            let message = format!("has {} channels; a mask has one", mask.dims()[1]);
            return Err(Error::argument("mask_image", message));
        }
        Ok(Self { image, mask })
    }

    /// The mask at the size of the latents `shape`, for each image.
    ///
    /// # Errors
    /// When the number of masks does not fit.
    pub fn latent_mask(&self, [images, _, height, width]: [usize; 4], dtype: DType) -> Result<Tensor<4>> {
        let mask = resize_nearest(self.mask.clone(), [height, width]).cast(dtype);
        repeat_batch("mask_image", mask, images)
    }
}

/// The latents before the first step, and the tensors that they were made from.
pub(crate) struct Start {
    pub latents: Tensor<4>,
    pub noise: Tensor<4>,
    /// The image's latents, if they are needed after each step.
    pub image: Option<Tensor<4>>,
}

impl Start {
    /// The same in single precision, for latents that are denoised in it whatever the models compute in.
    pub fn in_single_precision(self) -> Self {
        let Self { latents, noise, image } = self;
        Self {
            latents: latents.cast(DType::F32),
            noise: noise.cast(DType::F32),
            image: image.map(|image| image.cast(DType::F32)),
        }
    }
}

impl Start {
    /// What a flow model starts from: the latents of `image`, one for each image of the call, with noise up to the level of
    /// `timestep`. `given` latents are the noise, and replace the latents.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub fn of_flow(
        image: Tensor<4>,
        given: Option<Tensor<4>>,
        timestep: f32,
        generator: &mut Generators,
        scheduler: &dyn Scheduler,
    ) -> Result<Self> {
        let (shape, is_given) = (image.dims(), given.is_some());
        generator.check(shape[0])?;
        let noise = given_or_noise(given, shape, generator, DType::F32, &image.device())?.cast(DType::F32);
        let latents = match is_given {
            true => noise.clone(),
            false => scheduler.add_noise(image.clone(), noise.clone(), &vec![timestep; shape[0]])?,
        };
        Ok(Self { latents, noise, image: Some(image) })
    }
}

/// What a run begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beginning {
    /// Noise alone.
    Noise,
    /// The image, with noise up to the level of this timestep.
    NoisyImage(f32),
    /// The image as it is: another model has left noise in it.
    Image,
}

/// The parts of a pipeline that inpaint.
pub(crate) struct Inpainting<'a> {
    pub vae: &'a dyn Autoencoder,
    pub scheduler: &'a dyn Scheduler,
    pub index: &'a ModelIndex,
    /// Whether the UNet was trained to receive the mask and the masked image.
    pub is_given_mask: bool,
    /// The type that the models compute in.
    pub dtype: DType,
}

impl Inpainting<'_> {
    /// The latents to start from, `shape`: those of the image if the run begins with it, or noise, which is drawn unless it
    /// is `given`. If the image's latents are needed, they are drawn first.
    ///
    /// # Errors
    /// When the image's latents or the given ones have another shape.
    pub fn start(
        &self,
        image: PreparedImage,
        given: Option<Tensor<4>>,
        beginning: Beginning,
        shape: [usize; 4],
        generator: &mut Generators,
    ) -> Result<Start> {
        let [images, ..] = shape;
        let device = image.device();
        let image = image.cast(self.dtype, &device);
        let from_image = given.is_none() && !matches!(beginning, Beginning::Noise);
        let needs_image = from_image || !self.is_given_mask || matches!(beginning, Beginning::Image);
        let image = if needs_image {
            let latents = sample_latents(self.vae, image, Scaling::Factor, generator, self.index)?;
            if latents.dims()[2..] != shape[2..] {
                let message = format!("has latents of shape {:?}, this call needs {shape:?}", latents.dims());
                return Err(Error::argument("image", message));
            }
            Some(repeat_batch("image", latents, images)?)
        } else {
            None
        };
        let noise = match given {
            Some(noise) if noise.dims() != shape => {
                let message = format!("have shape {:?}, this call needs {shape:?}", noise.dims());
                return Err(Error::argument("latents", message));
            }
            Some(noise) if !matches!(beginning, Beginning::Image) => noise.to_device(&device),
            _ => generator.randn(shape, self.dtype, &device)?,
        };
        let latents = match (&image, beginning) {
            (Some(image), Beginning::Image) => image.clone(),
            (Some(image), Beginning::NoisyImage(timestep)) if from_image => {
                self.scheduler.add_noise(image.clone(), noise.clone(), &vec![timestep; images])?
            }
            _ => noise.clone() * self.scheduler.init_noise_sigma(),
        };
        Ok(Start { latents, noise, image })
    }

    /// The latents of the image without its masked part, `shape`, unless they are `given`; `None` if the UNet does not take
    /// them. In that case, noise is still drawn for them, because the noise of the steps comes after it.
    ///
    /// # Errors
    /// When image and mask do not fit each other, or the latents do not fit the call.
    pub fn masked_latents(
        &self,
        masked_image: &MaskedImage,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
    ) -> Result<Option<Tensor<4>>> {
        const ARGUMENT: &str = "masked_image_latents";
        let MaskedImage { image, mask } = masked_image;
        let masked = match given {
            Some(given) if given.dims()[1] == self.vae.latent_channels() => PreparedImage::Latents(given),
            Some(given) => PreparedImage::Pixels(given),
            // No part of latents can be removed, and this UNet does not need it.
            None if !self.is_given_mask && matches!(image, PreparedImage::Latents(_)) => return Ok(None),
            None => without_masked_part(image, mask)?,
        };
        let masked = masked.cast(self.dtype, &mask.device());
        match masked {
            masked if self.is_given_mask => {
                let latents = sample_latents(self.vae, masked, Scaling::Factor, generator, self.index)?;
                let latents = repeat_batch(ARGUMENT, latents, shape[0])?;
                if latents.dims() != shape {
                    let message = format!("have shape {:?}, this call needs {shape:?}", latents.dims());
                    return Err(Error::argument(ARGUMENT, message));
                }
                Ok(Some(latents))
            }
            PreparedImage::Pixels(pixels) => {
                let [items, _, height, width] = pixels.dims();
                let (channels, factor) = (self.vae.latent_channels(), self.vae.scale_factor());
                draw([items, channels, height / factor, width / factor], &pixels, generator)?;
                Ok(None)
            }
            PreparedImage::Latents(_) => Ok(None),
        }
    }
}

/// The image, grey in the masked part.
///
/// # Errors
/// When image and mask do not fit each other.
pub(crate) fn without_masked_part(image: &PreparedImage, mask: &Tensor<4>) -> Result<PreparedImage> {
    let image = image.clone().into_values();
    let ([images, _, height, width], [masks, _, mask_height, mask_width]) = (image.dims(), mask.dims());
    if [height, width] != [mask_height, mask_width] {
        return Err(Error::argument("masked_image_latents", "are needed if `image` is latents"));
    }
    if images != masks && images != 1 && masks != 1 {
        return Err(Error::argument("mask_image", format!("got {masks} for {}", counted(images, "image"))));
    }
    Ok(PreparedImage::Pixels(image * (mask.clone().neg() + 1.0)))
}

/// Puts the image back into the latents where it is kept, with noise up to the level of the next step.
pub(crate) struct PutBack {
    pub start: Start,
    pub mask: Tensor<4>,
    /// The timesteps of the run.
    pub levels: Vec<f32>,
}

impl PutBack {
    /// The latents after step `index`.
    ///
    /// # Errors
    /// When the scheduler cannot add the noise.
    pub fn apply(&self, index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler) -> Result<Tensor<4>> {
        let Some(image) = &self.start.image else { return Ok(latents) };
        let images = image.dims()[0];
        let original = match self.levels.get(index + 1) {
            Some(&level) => {
                scheduler.add_noise(image.clone(), self.start.noise.clone(), &vec![level; images])?
            }
            None => image.clone(),
        };
        Ok((self.mask.clone().neg() + 1.0) * original + self.mask.clone() * latents)
    }
}
