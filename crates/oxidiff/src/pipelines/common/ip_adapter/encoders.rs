//! The image encoder of a pipeline with IP-Adapters.

use std::path::Path;

use burn::tensor::{DType, Tensor};

use super::loader::IpAdapterOptions;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::loading::LoadOptions;
use crate::models::model::Model;
use crate::vision::ImageProcessor;

/// What [`IpAdapterOptions::image_encoder_folder`] with a slash means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncoderNames {
    /// A folder inside the adapter's own.
    Folders,
    /// That, or else a folder or a repository of its own.
    FoldersOrNames,
}

impl IpAdapterOptions {
    /// The image encoder that belongs to the file at `path`. There need not be one on disk: a call can bring embeddings.
    pub(crate) fn image_encoder<M: Model>(
        &self,
        name_or_path: &str,
        path: &Path,
        names: EncoderNames,
        dtype: DType,
    ) -> Result<Option<M>> {
        let options = LoadOptions { dtype, hub: self.hub.clone(), ..LoadOptions::default() };
        let Some((name, subfolder)) = self.image_encoder_place(name_or_path, path, names) else {
            return Ok(None);
        };
        M::from_pretrained_with(&name, &LoadOptions { subfolder, ..options }).map(Some)
    }

    /// Where the image encoder is: the folder or the repository, and the folder inside it.
    pub(crate) fn image_encoder_place(
        &self,
        name_or_path: &str,
        path: &Path,
        names: EncoderNames,
    ) -> Option<(String, Option<String>)> {
        let folder = self.image_encoder_folder.as_ref()?;
        let given = Path::new(name_or_path);
        let can_be_name = names == EncoderNames::FoldersOrNames && folder.contains('/');
        if given.exists() {
            let beside = path.parent().unwrap_or(Path::new(""));
            let root = if given.is_dir() && folder.contains('/') { given } else { beside };
            let local = root.join(folder);
            if local.join("config.json").is_file() {
                return Some((local.display().to_string(), None));
            }
            if can_be_name {
                return Some((folder.clone(), None));
            }
            tracing::warn!(
                "{name_or_path}: there is no image encoder in {}, so calls take `ip_adapter_image_embeds` only",
                local.display()
            );
            return None;
        }
        if can_be_name {
            return Some((folder.clone(), None));
        }
        let subfolder = match &self.subfolder {
            Some(subfolder) if !folder.contains('/') => format!("{subfolder}/{folder}"),
            _ => folder.clone(),
        };
        Some((name_or_path.to_owned(), Some(subfolder)))
    }
}

/// The pixels that an image encoder takes for pictures, of which `argument` and `embeds` are the names, if there is an encoder.
///
/// # Errors
/// When there is none, or it cannot take the pictures.
pub(crate) fn pixels<'a, E, P: ImageProcessor>(
    (encoder, processor): (Option<&'a E>, Option<&P>),
    [argument, embeds]: [&'static str; 2],
    pictures: &PipelineImageInput,
) -> Result<(&'a E, Tensor<4>)> {
    let (Some(encoder), Some(processor)) = (encoder, processor) else {
        let message = format!(
            "needs an image encoder, which the pipeline lacks: put one into `image_encoder` beside the adapter, or give \
             `{embeds}`"
        );
        return Err(Error::argument(argument, message));
    };
    let pixels = match pictures {
        PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
            processor.preprocess(images)?
        }
        // A tensor is prepared already.
        PipelineImageInput::Tensor(values) => values.clone(),
        PipelineImageInput::Array(values) => {
            processor.preprocess_tensor(values.clone().permute([0, 3, 1, 2]))?
        }
    };
    Ok((encoder, pixels))
}
