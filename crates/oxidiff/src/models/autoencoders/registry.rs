//! The autoencoders that a pipeline can load.

use super::{
    Autoencoder, AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage, AutoencoderTiny,
};
use crate::error::{Error, Result};
use crate::loading::WeightOptions;
use crate::loading::folder::Folder;
use crate::models::model::Model;

/// A class of autoencoders.
pub(crate) struct AutoencoderClass {
    pub name: &'static str,
    /// Loads one from the folder that holds its configuration and weights.
    pub load: fn(&Folder, WeightOptions<'_>) -> Result<Box<dyn Autoencoder>>,
}

/// One row per class.
pub(crate) const AUTOENCODERS: &[AutoencoderClass] = &[
    AutoencoderClass::of::<AutoencoderDC>(),
    AutoencoderClass::of::<AutoencoderKL>(),
    AutoencoderClass::of::<AutoencoderKLFlux2>(),
    AutoencoderClass::of::<AutoencoderKLQwenImage>(),
    AutoencoderClass::of::<AutoencoderTiny>(),
];

impl AutoencoderClass {
    const fn of<A: Autoencoder + Model + 'static>() -> Self {
        Self { name: A::CLASS_NAME, load: |folder, options| Ok(Box::new(A::load_folder(folder, options)?)) }
    }
}

/// Loads the autoencoder of a pipeline, of the class that its index names, from the folder that holds its configuration and
/// weights.
///
/// # Errors
/// When there is no such class, or a file is missing or damaged.
pub(crate) fn load(
    class_name: &str,
    folder: &Folder,
    options: WeightOptions<'_>,
) -> Result<Box<dyn Autoencoder>> {
    match AUTOENCODERS.iter().find(|class| class.name == class_name) {
        Some(class) => (class.load)(folder, options),
        None => {
            let names = Vec::from_iter(AUTOENCODERS.iter().map(|class| class.name)).join(", ");
            let message = format!("is a `{class_name}`; available classes: {names}");
            Err(Error::config("", "vae", message))
        }
    }
}
