//! The pictures that IP-Adapters look at.

use image::DynamicImage;

use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::pipelines::request::{Argument, ArgumentKind, FromArgument};
use crate::wording::counted;

/// The pictures of each IP-Adapter: one, or several. With a single adapter, all of them are for it.
///
/// ```
/// use oxidiff::{IpAdapterImages, PipelineImageInput, image::DynamicImage};
///
/// let picture = DynamicImage::new_rgb8(64, 64);
/// // For one adapter.
/// let one: IpAdapterImages = picture.clone().into();
/// // For two adapters: two pictures for the first, one for the second.
/// let several: Vec<PipelineImageInput> = vec![vec![picture.clone(); 2].into(), picture.into()];
/// let both: IpAdapterImages = several.into();
/// # let _ = (one, both);
/// ```
#[derive(Clone, Debug, Default)]
pub struct IpAdapterImages(Vec<PipelineImageInput>);

impl<T: Into<PipelineImageInput>> From<T> for IpAdapterImages {
    /// A list of pictures has one for each adapter.
    fn from(images: T) -> Self {
        Self(separated(images.into()))
    }
}

impl From<Vec<PipelineImageInput>> for IpAdapterImages {
    fn from(each: Vec<PipelineImageInput>) -> Self {
        Self(each)
    }
}

impl FromArgument for IpAdapterImages {
    const KIND: ArgumentKind = ArgumentKind::Images;

    fn from_argument(argument: Argument) -> std::result::Result<Self, String> {
        let Argument::List(items) = argument else {
            return Ok(Self(separated(PipelineImageInput::from_argument(argument)?)));
        };
        items.into_iter().map(of_one_adapter).collect::<std::result::Result<_, _>>().map(Self)
    }
}

/// The pictures of one adapter, which can be a list.
fn of_one_adapter(argument: Argument) -> std::result::Result<PipelineImageInput, String> {
    let Argument::List(items) = argument else { return PipelineImageInput::from_argument(argument) };
    let mut pictures = Vec::new();
    for item in items {
        let item = PipelineImageInput::from_argument(item)?;
        match item.images() {
            Some(images) => pictures.extend_from_slice(images),
            None => return Err("must have pictures in its lists, not values".to_owned()),
        }
    }
    Ok(pictures.into())
}

/// Each picture of a list by itself.
fn separated(images: PipelineImageInput) -> Vec<PipelineImageInput> {
    match images.images() {
        Some(images) => images.iter().map(|image| image.clone().into()).collect(),
        None => vec![images],
    }
}

impl IpAdapterImages {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pictures of each of `adapters` IP-Adapters.
    ///
    /// # Errors
    /// When there are pictures for another number of adapters, or an adapter has none; the error is about `argument`.
    pub(crate) fn for_each(
        &self,
        argument: &'static str,
        adapters: usize,
    ) -> Result<Vec<PipelineImageInput>> {
        if let Some(empty) = self.0.iter().position(|images| images.images().is_some_and(<[_]>::is_empty)) {
            return Err(Error::argument(argument, format!("has no picture for IP-Adapter {empty}")));
        }
        if self.0.len() == adapters {
            return Ok(self.0.clone());
        }
        let all: Option<Vec<&[DynamicImage]>> = self.0.iter().map(PipelineImageInput::images).collect();
        match all {
            Some(all) if adapters == 1 => Ok(vec![all.concat().into()]),
            _ => {
                let (given, adapters) = (counted(self.0.len(), "item"), counted(adapters, "IP-Adapter"));
                Err(Error::argument(argument, format!("has {given} for {adapters}: give one for each")))
            }
        }
    }
}
