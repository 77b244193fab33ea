//! The images that ControlNets follow.

use burn::tensor::{Device, Tensor};
use image::DynamicImage;

use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor, load_image};
use crate::pipelines::request::{Argument, ArgumentKind, FromArgument};
use crate::wording::counted;

/// The images that the ControlNets of a call follow: values in [0, 1].
///
/// ```
/// use oxidiff::{ControlImages, PipelineImageInput, image::DynamicImage};
///
/// let edges = DynamicImage::new_rgb8(64, 64);
/// // For one ControlNet: an image for all prompts, or one for each prompt.
/// let one: ControlImages = edges.clone().into();
/// // For several ControlNets: an image for each.
/// let both: ControlImages = vec![edges.clone(), edges.clone()].into();
/// // For several ControlNets, with an image for each of two prompts.
/// let batches: ControlImages = vec![PipelineImageInput::Images(vec![edges.clone(), edges]); 2].into();
/// # let _ = (one, both, batches);
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a call")]
pub enum ControlImages {
    /// The images of one ControlNet: one for all prompts, or one for each. With several ControlNets, an image for each.
    Together(PipelineImageInput),
    /// The images of each ControlNet: one for all prompts, or one for each.
    Each(Vec<PipelineImageInput>),
}

impl Default for ControlImages {
    fn default() -> Self {
        Self::Together(PipelineImageInput::Images(Vec::new()))
    }
}

impl<T: Into<PipelineImageInput>> From<T> for ControlImages {
    fn from(images: T) -> Self {
        Self::Together(images.into())
    }
}

impl From<Vec<PipelineImageInput>> for ControlImages {
    fn from(each: Vec<PipelineImageInput>) -> Self {
        Self::Each(each)
    }
}

impl From<ControlImages> for Argument {
    fn from(images: ControlImages) -> Self {
        match images {
            ControlImages::Together(images) => images.into(),
            ControlImages::Each(each) => each.into(),
        }
    }
}

/// A list of lists has a row for each prompt, with an image for each ControlNet, as in Python.
impl FromArgument for ControlImages {
    const KIND: ArgumentKind = ArgumentKind::Images;

    fn from_argument(argument: Argument) -> std::result::Result<Self, String> {
        let Argument::List(items) = argument else {
            return Ok(Self::Together(PipelineImageInput::from_argument(argument)?));
        };
        let is_name = |item: &Argument| matches!(item, Argument::Text(_) | Argument::Written(_));
        if items.iter().any(|item| matches!(item, Argument::List(_))) {
            let rows = items.into_iter().map(row).collect::<std::result::Result<Vec<_>, _>>()?;
            return transposed(rows).map(Self::Each);
        }
        if items.iter().all(is_name) {
            return Ok(Self::Together(PipelineImageInput::from_argument(Argument::List(items))?));
        }
        let each = items.into_iter().map(PipelineImageInput::from_argument);
        Ok(Self::Each(each.collect::<std::result::Result<_, _>>()?))
    }
}

/// The images of one prompt.
fn row(argument: Argument) -> std::result::Result<Vec<DynamicImage>, String> {
    const EXPECTED: &str = "must be a list with a list of pictures for each prompt";
    let Argument::List(items) = argument else { return Err(EXPECTED.to_owned()) };
    let images = items.into_iter().map(|item| match item {
        Argument::Text(name) | Argument::Written(name) => {
            load_image(&name).map(|image| vec![image]).map_err(|error| error.to_string())
        }
        Argument::Images(images) => match images.images() {
            Some(images) => Ok(images.to_vec()),
            None => Err(EXPECTED.to_owned()),
        },
        _ => Err(EXPECTED.to_owned()),
    });
    Ok(images.collect::<std::result::Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The images of each ControlNet, from those of each prompt.
fn transposed(rows: Vec<Vec<DynamicImage>>) -> std::result::Result<Vec<PipelineImageInput>, String> {
    let nets = rows.first().map_or(0, Vec::len);
    if rows.iter().any(|row| row.len() != nets) {
        return Err("must have an image for each ControlNet in each of its lists".to_owned());
    }
    let of_net = |net: usize| rows.iter().map(|row| row[net].clone()).collect::<Vec<_>>().into();
    Ok((0..nets).map(of_net).collect())
}

impl ControlImages {
    /// All images, as those of one ControlNet.
    pub(in crate::pipelines::common) fn joined(self) -> std::result::Result<PipelineImageInput, String> {
        const EXPECTED: &str = "must be a list of lists of pictures";
        match self {
            Self::Together(images) => Ok(images),
            Self::Each(mut each) if each.len() == 1 => Ok(each.remove(0)),
            Self::Each(each) => {
                let pictures = each.iter().map(|images| images.images().ok_or(EXPECTED));
                let pictures = pictures.collect::<std::result::Result<Vec<_>, _>>()?;
                Ok(PipelineImageInput::Images(pictures.concat()))
            }
        }
    }

    /// The images of each of `nets` models of a `kind`.
    ///
    /// # Errors
    /// When there is another number of images; the error is about `argument`.
    pub(crate) fn for_each(
        &self,
        argument: &'static str,
        nets: usize,
        kind: &str,
    ) -> Result<Vec<PipelineImageInput>> {
        let wrong = |given: usize| {
            let message = format!("got {} for {}", counted(given, "image"), counted(nets, kind));
            Err(Error::argument(argument, message))
        };
        match self {
            Self::Each(each) if each.len() == nets => Ok(each.clone()),
            // A list of pictures for one ControlNet has one for each prompt.
            Self::Each(each) => wrong(each.len()),
            Self::Together(images) if nets == 1 => Ok(vec![images.clone()]),
            Self::Together(PipelineImageInput::Images(images)) if images.len() == nets => {
                Ok(images.iter().map(|image| image.clone().into()).collect())
            }
            Self::Together(PipelineImageInput::Unfiltered(images)) if images.len() == nets => {
                let one = |image: &DynamicImage| PipelineImageInput::Unfiltered(vec![image.clone()]);
                Ok(images.iter().map(one).collect())
            }
            Self::Together(PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images)) => {
                wrong(images.len())
            }
            Self::Together(PipelineImageInput::Tensor(values)) => split(values, nets)
                .map_or_else(|| wrong(values.dims()[0]), |parts| Ok(wrap(parts, PipelineImageInput::Tensor))),
            Self::Together(PipelineImageInput::Array(values)) => split(values, nets)
                .map_or_else(|| wrong(values.dims()[0]), |parts| Ok(wrap(parts, PipelineImageInput::Array))),
        }
    }
}

/// The values of images, `[images, channels, height, width]` for each item of the list, for `prompts` prompts with `images`
/// images in all.
///
/// # Errors
/// When the number of images does not fit, or one cannot be prepared; the error is about `argument`.
pub(super) fn prepare_each(
    argument: &'static str,
    each: &[PipelineImageInput],
    processor: &VaeImageProcessor,
    options: PreprocessOptions,
    [prompts, images]: [usize; 2],
    device: &Device,
) -> Result<Vec<Tensor<4>>> {
    let prepare = |own: &PipelineImageInput| {
        let values = processor.preprocess(own, options).map_err(|error| about(argument, error))?;
        let copies = match values.dims()[0] {
            1 => images,
            given if given == prompts => images / prompts,
            given => {
                let message =
                    format!("got {given} for {}: give one, or one for each", counted(prompts, "prompt"));
                return Err(Error::argument(argument, message));
            }
        };
        // The images of one prompt are next to each other.
        let [given, channels, height, width] = values.dims();
        let each = values.unsqueeze_dim::<5>(1).repeat_dim(1, copies);
        Ok(each.reshape([given * copies, channels, height, width]).to_device(device))
    };
    each.iter().map(prepare).collect()
}

fn split(values: &Tensor<4>, parts: usize) -> Option<Vec<Tensor<4>>> {
    let items = values.dims()[0];
    (items > 0 && items.is_multiple_of(parts)).then(|| values.clone().split(items / parts, 0))
}

fn wrap(parts: Vec<Tensor<4>>, kind: fn(Tensor<4>) -> PipelineImageInput) -> Vec<PipelineImageInput> {
    parts.into_iter().map(kind).collect()
}

/// The error of an image, under the name that it has in the call.
pub(crate) fn about(argument: &'static str, error: Error) -> Error {
    match error {
        Error::InvalidArgument { argument: "image", message } => Error::argument(argument, message),
        other => other,
    }
}
