//! Loading IP-Adapters.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;

use super::{IpAdapterEmbeds, IpAdapterImages, IpAdapterScale};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::loading::hub::HubOptions;
use crate::loading::locate::locate;
use crate::models::ip_adapters::FacePictures;
use crate::pipelines::common::lora::LoraLoader;
use crate::wording::listed;

/// Which file holds an IP-Adapter: the keyword arguments of Python's `load_ip_adapter`.
#[derive(Clone, Debug)]
pub struct IpAdapterOptions {
    /// The file, if a folder or a repository is given.
    pub weight_name: Option<String>,
    /// The folder of the file inside the folder or repository.
    pub subfolder: Option<String>,
    /// The folder of the image encoder: beside the file, or if it contains a slash, inside the folder or repository. With FLUX.1 and
    /// Stable Diffusion 3, one with a slash can also be a folder or a repository of its own. `None` loads no image encoder, so that calls
    /// take embeddings only.
    pub image_encoder_folder: Option<String>,
    /// Where and how to fetch the files.
    pub hub: HubOptions,
}

impl Default for IpAdapterOptions {
    fn default() -> Self {
        Self {
            weight_name: None,
            subfolder: None,
            image_encoder_folder: Some("image_encoder".to_owned()),
            hub: HubOptions::default(),
        }
    }
}

/// Loads and controls IP-Adapters: `IPAdapterMixin` in Python.
///
/// A [`DiffusionPipeline`](crate::DiffusionPipeline) offers these methods through
/// [`ip_adapter_loader`](crate::DiffusionPipeline::ip_adapter_loader).
///
/// ```no_run
/// use oxidiff::{IpAdapterLoader, IpAdapterOptions, Pipeline, StableDiffusionPipeline, TextToImage, load_image};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// let options = IpAdapterOptions {
///     subfolder: Some("models".into()),
///     weight_name: Some("ip-adapter_sd15.safetensors".into()),
///     ..Default::default()
/// };
/// pipeline.load_ip_adapter("h94/IP-Adapter", &options)?;
/// pipeline.set_ip_adapter_scale(&[0.6.into()])?;
/// let picture = load_image("picture.png")?;
/// let arguments = TextToImage { ip_adapter_image: picture.into(), ..TextToImage::new("a polar bear") };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
pub trait IpAdapterLoader: LoraLoader {
    /// Loads an IP-Adapter from a file, a folder or the hub, in place of those that are loaded, and its image encoder if the
    /// pipeline has none. If there is no image encoder on disk, a warning says so, and calls take embeddings only.
    ///
    /// The LoRA of a FaceID adapter is loaded with it, as `faceid_0`, and becomes the only active one, as in Python.
    ///
    /// # Errors
    /// When there is no such file, or no image encoder on the hub; when the file holds no IP-Adapter, or one that was made for
    /// another model; when no adapter has layers for the UNet: those with K blocks or with an `encoder_hid_dim_type`.
    fn load_ip_adapter(&mut self, name_or_path: &str, options: &IpAdapterOptions) -> Result<()> {
        self.load_ip_adapters(&[(name_or_path, options.clone())])
    }

    /// Loads several IP-Adapters, in place of those that are loaded.
    ///
    /// # Errors
    /// As [`IpAdapterLoader::load_ip_adapter`].
    fn load_ip_adapters(&mut self, adapters: &[(&str, IpAdapterOptions)]) -> Result<()>;

    /// Sets how strongly the pictures of each IP-Adapter count. With FLUX.1, one number can be for all adapters, and a list of numbers, one
    /// for each block with two streams, for the only one; Stable Diffusion 3 has one adapter and takes one number.
    ///
    /// # Errors
    /// When there is another number of adapters, the model has no block that is named, or a number is not finite.
    fn set_ip_adapter_scale(&mut self, scales: &[IpAdapterScale]) -> Result<()>;

    /// Gives a FaceID Plus adapter, counted from 0, the pictures of the faces whose embeddings calls will bring: in Python, the
    /// fields `clip_embeds`, `shortcut` and `shortcut_scale` of its image projection.
    ///
    /// # Errors
    /// When there is no such adapter, or it is of another kind.
    fn set_face_pictures(&mut self, adapter: usize, pictures: FacePictures) -> Result<()> {
        let _ = pictures;
        Err(no_face_adapter(adapter))
    }

    /// The hidden states of pictures, and then those of no picture, each `[pictures, tokens, features]`: Python's `encode_image`
    /// with hidden states. [`FacePictures`] are made of them:
    ///
    /// ```no_run
    /// # use oxidiff::{FacePictures, IpAdapterLoader, StableDiffusionPipeline, Tensor, load_image};
    /// # fn face(pipeline: &mut StableDiffusionPipeline) -> oxidiff::Result<()> {
    /// let [face, nothing] = pipeline.encode_image(&load_image("face.png")?.into())?;
    /// // For a call with guidance that makes one image.
    /// let clip_embeds = Tensor::stack(vec![nothing, face], 0);
    /// pipeline.set_face_pictures(0, FacePictures { clip_embeds, shortcut: true, shortcut_scale: 1.0 })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no image encoder, or the pipeline is one of FLUX.1, whose adapters look at no hidden states.
    fn encode_image(&self, pictures: &PipelineImageInput) -> Result<[Tensor<3>; 2]> {
        let _ = pictures;
        let message = "has no hidden states here: the IP-Adapters of this pipeline look at embeddings of whole pictures";
        Err(Error::argument("image", message))
    }

    /// Embeds the pictures of each IP-Adapter for `num_images_per_prompt` images: with guidance, the embedding of no picture comes
    /// first. Calls take the result as `ip_adapter_image_embeds`, except for editing by instructions, which wants another order.
    ///
    /// # Errors
    /// When there is another number of adapters, or no image encoder; with FLUX.1, when `do_classifier_free_guidance` is true.
    fn prepare_ip_adapter_image_embeds(
        &self,
        ip_adapter_image: IpAdapterImages,
        num_images_per_prompt: usize,
        do_classifier_free_guidance: bool,
    ) -> Result<IpAdapterEmbeds>;

    /// Removes the IP-Adapters and their image encoder. The LoRA of a FaceID adapter stays, as in Python.
    fn unload_ip_adapter(&mut self);
}

impl IpAdapterOptions {
    /// The file, fetched if it is on the hub.
    pub(crate) fn locate(&self, name_or_path: &str) -> Result<PathBuf> {
        locate(name_or_path, self.subfolder.as_deref(), &self.hub, |names| match &self.weight_name {
            Some(name) => Ok(name.clone()),
            None => only_file(names, name_or_path),
        })
    }
}

/// The only weights file among `names`.
fn only_file(names: &[String], origin: &str) -> Result<String> {
    let is_weights = |name: &&String| {
        Path::new(name).extension().is_some_and(|extension| extension == "safetensors" || extension == "bin")
    };
    let mut files: Vec<&str> = names.iter().filter(is_weights).map(String::as_str).collect();
    files.sort_unstable();
    match files[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(Error::MissingFile {
            path: PathBuf::from(origin),
            message: "no IP-Adapter here: there is no .safetensors or .bin file".into(),
        }),
        _ => {
            let message = format!("must name one of the files in {origin}: {}", listed(&files));
            Err(Error::argument("weight_name", message))
        }
    }
}

/// A FaceID Plus adapter was named, but there is none of this number.
pub(super) fn no_face_adapter(adapter: usize) -> Error {
    let message = format!("cannot be set: IP-Adapter {adapter} is no FaceID Plus adapter");
    Error::argument("clip_embeds", message)
}
