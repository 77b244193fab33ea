//! Loading IP-Adapters.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Tensor};

use super::{IpAdapterArguments, IpAdapterEmbeds, IpAdapterImages, IpAdapterScale};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::loading::LoadOptions;
use crate::loading::hub::HubOptions;
use crate::loading::locate::locate;
use crate::loading::lora::LoraFile;
use crate::loading::state_dict::StateDict;
use crate::models::ip_adapters::{FacePictures, IpAdapterFile};
use crate::models::layers::ip_attention::IpScale;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionModel;
use crate::pipelines::common::lora::LoraLoader;
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection};
use crate::wording::{counted, listed};

/// Which file holds an IP-Adapter: the keyword arguments of Python's `load_ip_adapter`.
#[derive(Clone, Debug)]
pub struct IpAdapterOptions {
    /// The file, if a folder or a repository is given.
    pub weight_name: Option<String>,
    /// The folder of the file inside the folder or repository.
    pub subfolder: Option<String>,
    /// The folder of the image encoder: beside the file, or if it contains a slash, inside the folder or repository. `None` loads
    /// no image encoder, so that calls take embeddings only.
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

/// The parts of a pipeline that work with IP-Adapters.
#[doc(hidden)]
pub struct IpAdapterParts<'a> {
    pub unet: &'a UNet2DConditionModel,
    pub image_encoder: Option<&'a CLIPVisionModelWithProjection>,
    pub feature_extractor: Option<&'a CLIPImageProcessor>,
}

/// As [`IpAdapterParts`], mutable.
#[doc(hidden)]
pub struct IpAdapterPartsMut<'a> {
    pub unet: &'a mut UNet2DConditionModel,
    pub image_encoder: &'a mut Option<CLIPVisionModelWithProjection>,
    pub feature_extractor: &'a mut Option<CLIPImageProcessor>,
    /// Whether the pipeline has the feature extractor for its IP-Adapters only.
    pub owns_feature_extractor: bool,
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
    /// The parts that work with IP-Adapters.
    #[doc(hidden)]
    fn ip_adapter_parts(&self) -> IpAdapterParts<'_>;

    /// As [`IpAdapterLoader::ip_adapter_parts`], mutable.
    #[doc(hidden)]
    fn ip_adapter_parts_mut(&mut self) -> IpAdapterPartsMut<'_>;

    /// Loads an IP-Adapter from a file, a folder or the hub, in place of those that are loaded, and its image encoder if the
    /// pipeline has none. If there is no image encoder on disk, a warning says so, and calls take embeddings only.
    ///
    /// The LoRA of a FaceID adapter is loaded with it, as `faceid_0`, and becomes the only active one, as in Python.
    ///
    /// # Errors
    /// When there is no such file, or no image encoder on the hub; when the file holds no IP-Adapter, or one that was made for
    /// another UNet; when no adapter has layers for the UNet: those with K blocks or with an `encoder_hid_dim_type`.
    fn load_ip_adapter(&mut self, name_or_path: &str, options: &IpAdapterOptions) -> Result<()> {
        self.load_ip_adapters(&[(name_or_path, options.clone())])
    }

    /// Loads several IP-Adapters, in place of those that are loaded.
    ///
    /// # Errors
    /// As [`IpAdapterLoader::load_ip_adapter`].
    fn load_ip_adapters(&mut self, adapters: &[(&str, IpAdapterOptions)]) -> Result<()> {
        let parts = self.ip_adapter_parts();
        let attentions = parts.unet.cross_attentions()?;
        let (dtype, device) = (parts.unet.dtype(), parts.unet.device());
        let (mut files, mut loaded, mut encoder) = (Vec::new(), Vec::new(), None);
        for (name, options) in adapters {
            let path = options.locate(name)?;
            let file = IpAdapterFile::new(StateDict::open(&path)?)?;
            let adapter = file.load(&attentions, dtype, &device)?;
            if parts.image_encoder.is_none() && encoder.is_none() && !adapter.image_proj.is_for_faces_alone()
            {
                encoder = options.image_encoder(name, &path, dtype)?;
            }
            files.push(file);
            loaded.push(adapter);
        }
        let size =
            encoder.as_ref().or(parts.image_encoder).map_or(224, |encoder| encoder.config().image_size);
        let IpAdapterPartsMut { unet, image_encoder, feature_extractor, .. } = self.ip_adapter_parts_mut();
        unet.set_ip_adapters(loaded)?;
        if encoder.is_some() {
            *image_encoder = encoder;
        }
        if feature_extractor.is_none() {
            *feature_extractor = Some(CLIPImageProcessor::of_size(size)?);
        }
        // Python numbers the attentions of a UNet to itself, too.
        let all = attentions
            .iter()
            .flat_map(|attention| [attention.path.replace(".attn2", ".attn1"), attention.path.clone()]);
        let all: Vec<String> = all.collect();
        for (number, file) in files.iter().enumerate() {
            let name = format!("faceid_{number}");
            let is_loaded = self.get_list_adapters().iter().any(|(_, names)| names.contains(&name.as_str()));
            if let Some(lora) = file.lora(&all)
                && !is_loaded
            {
                tracing::debug!("loading the LoRA of {}", file.origin());
                self.load_lora_file(&LoraFile::new(lora)?, Some(&name))?;
                self.set_adapters(&[(&name, 1.0)])?;
            }
        }
        Ok(())
    }

    /// Sets how strongly the pictures of each IP-Adapter count.
    ///
    /// # Errors
    /// When there is another number of adapters, the UNet has no block that is named, or a number is not finite.
    fn set_ip_adapter_scale(&mut self, scales: &[IpAdapterScale]) -> Result<()> {
        let unet = self.ip_adapter_parts_mut().unet;
        let adapters = unet.image_projections().len();
        if scales.len() != adapters {
            let (given, adapters) = (counted(scales.len(), "scale"), counted(adapters, "IP-Adapter"));
            return Err(Error::argument("ip_adapter_scale", format!("has {given} for {adapters}")));
        }
        let paths: Vec<String> =
            unet.cross_attentions()?.into_iter().map(|attention| attention.path).collect();
        let resolved = scales.iter().map(|scale| scale.resolve(&paths)).collect::<Result<Vec<_>>>()?;
        unet.set_ip_adapter_scales(|path| {
            let number = paths.iter().position(|other| other == path).expect("a path of the same UNet");
            resolved.iter().map(|scales: &Vec<IpScale>| scales[number].clone()).collect()
        })
    }

    /// Gives a FaceID Plus adapter, counted from 0, the pictures of the faces whose embeddings calls will bring: in Python, the
    /// fields `clip_embeds`, `shortcut` and `shortcut_scale` of its image projection.
    ///
    /// # Errors
    /// When there is no such adapter, or it is of another kind.
    fn set_face_pictures(&mut self, adapter: usize, pictures: FacePictures) -> Result<()> {
        let unet = self.ip_adapter_parts_mut().unet;
        let layer = unet.image_projections_mut().get_mut(adapter);
        let Some(slot) = layer.and_then(|layer| layer.face_pictures_mut()) else {
            let message = format!("cannot be set: IP-Adapter {adapter} is no FaceID Plus adapter");
            return Err(Error::argument("clip_embeds", message));
        };
        *slot = Some(pictures);
        Ok(())
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
    /// When there is no image encoder.
    fn encode_image(&self, pictures: &PipelineImageInput) -> Result<[Tensor<3>; 2]> {
        self.ip_adapter_parts().hidden_states(pictures)
    }

    /// Embeds the pictures of each IP-Adapter for `num_images_per_prompt` images: with guidance, the embedding of no picture comes
    /// first. Calls take the result as `ip_adapter_image_embeds`, except for editing by instructions, which wants another order.
    ///
    /// # Errors
    /// When there is another number of adapters, or no image encoder.
    fn prepare_ip_adapter_image_embeds(
        &self,
        ip_adapter_image: IpAdapterImages,
        num_images_per_prompt: usize,
        do_classifier_free_guidance: bool,
    ) -> Result<IpAdapterEmbeds> {
        let pictures = IpAdapterArguments { image: ip_adapter_image, ..Default::default() };
        self.ip_adapter_parts().embeds(pictures, do_classifier_free_guidance, num_images_per_prompt)
    }

    /// Removes the IP-Adapters and their image encoder. The LoRA of a FaceID adapter stays, as in Python.
    fn unload_ip_adapter(&mut self) {
        let parts = self.ip_adapter_parts_mut();
        parts.unet.unload_ip_adapters();
        *parts.image_encoder = None;
        if parts.owns_feature_extractor {
            *parts.feature_extractor = None;
        }
    }
}

impl IpAdapterOptions {
    /// The file, fetched if it is on the hub.
    fn locate(&self, name_or_path: &str) -> Result<PathBuf> {
        locate(name_or_path, self.subfolder.as_deref(), &self.hub, |names| match &self.weight_name {
            Some(name) => Ok(name.clone()),
            None => only_file(names, name_or_path),
        })
    }

    /// The image encoder that belongs to the file at `path`. There need not be one on disk: a call can bring embeddings.
    fn image_encoder(
        &self,
        name_or_path: &str,
        path: &Path,
        dtype: DType,
    ) -> Result<Option<CLIPVisionModelWithProjection>> {
        let Some(folder) = &self.image_encoder_folder else { return Ok(None) };
        let options = LoadOptions { dtype, hub: self.hub.clone(), ..LoadOptions::default() };
        let given = Path::new(name_or_path);
        let beside = path.parent().unwrap_or(Path::new(""));
        if given.exists() {
            let root = if given.is_dir() && folder.contains('/') { given } else { beside };
            let local = root.join(folder);
            if !local.join("config.json").is_file() {
                tracing::warn!(
                    "{name_or_path}: there is no image encoder in {}, so calls take `ip_adapter_image_embeds` only",
                    local.display()
                );
                return Ok(None);
            }
            return CLIPVisionModelWithProjection::from_pretrained_with(
                &local.display().to_string(),
                &options,
            )
            .map(Some);
        }
        let subfolder = match &self.subfolder {
            Some(subfolder) if !folder.contains('/') => format!("{subfolder}/{folder}"),
            _ => folder.clone(),
        };
        let options = LoadOptions { subfolder: Some(subfolder), ..options };
        CLIPVisionModelWithProjection::from_pretrained_with(name_or_path, &options).map(Some)
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
