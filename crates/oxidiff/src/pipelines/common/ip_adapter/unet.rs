//! IP-Adapters of pipelines with a UNet.

use burn::tensor::Tensor;

use super::encoders::EncoderNames;
use super::loader::{IpAdapterLoader, IpAdapterOptions, no_face_adapter};
use super::{IpAdapterArguments, IpAdapterEmbeds, IpAdapterImages, IpAdapterScale};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::loading::lora::LoraFile;
use crate::loading::state_dict::StateDict;
use crate::models::ip_adapters::{FacePictures, IpAdapterFile};
use crate::models::layers::ip_attention::IpScale;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionModel;
use crate::pipelines::common::lora::LoraLoader;
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection};
use crate::wording::counted;

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

/// The parts of a pipeline whose UNet IP-Adapters can steer.
#[doc(hidden)]
pub trait UNetIpAdapters: LoraLoader {
    /// The parts that work with IP-Adapters.
    fn ip_adapter_parts(&self) -> IpAdapterParts<'_>;

    /// As [`UNetIpAdapters::ip_adapter_parts`], mutable.
    fn ip_adapter_parts_mut(&mut self) -> IpAdapterPartsMut<'_>;
}

impl<T: UNetIpAdapters> IpAdapterLoader for T {
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
                encoder = options.image_encoder(name, &path, EncoderNames::Folders, dtype)?;
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

    fn set_face_pictures(&mut self, adapter: usize, pictures: FacePictures) -> Result<()> {
        let unet = self.ip_adapter_parts_mut().unet;
        let layer = unet.image_projections_mut().get_mut(adapter);
        let Some(slot) = layer.and_then(|layer| layer.face_pictures_mut()) else {
            return Err(no_face_adapter(adapter));
        };
        *slot = Some(pictures);
        Ok(())
    }

    fn encode_image(&self, pictures: &PipelineImageInput) -> Result<[Tensor<3>; 2]> {
        self.ip_adapter_parts().hidden_states(pictures)
    }

    fn prepare_ip_adapter_image_embeds(
        &self,
        ip_adapter_image: IpAdapterImages,
        num_images_per_prompt: usize,
        do_classifier_free_guidance: bool,
    ) -> Result<IpAdapterEmbeds> {
        let pictures = IpAdapterArguments { image: ip_adapter_image, ..Default::default() };
        self.ip_adapter_parts().embeds(pictures, do_classifier_free_guidance, num_images_per_prompt)
    }

    fn unload_ip_adapter(&mut self) {
        let parts = self.ip_adapter_parts_mut();
        parts.unet.unload_ip_adapters();
        *parts.image_encoder = None;
        if parts.owns_feature_extractor {
            *parts.feature_extractor = None;
        }
    }
}
