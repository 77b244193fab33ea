//! Where the images of a subject come from: what the trainings of DreamBooth that draw the parts of images once share.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::data::{Dataset, Role};
use crate::error::{Error, Result};
use crate::options::DatasetFolder;
use crate::sources::SubjectInstances;

/// The images of a subject: a folder of them, which have one prompt, or a dataset, which may have captions.
#[derive(Args, Clone, Debug)]
pub struct InstanceOptions {
    /// The folder of the images of the subject
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "dataset_name",
        conflicts_with = "dataset_name"
    )]
    pub instance_data_dir: Option<PathBuf>,
    /// A dataset of the subject instead, as it is on the hub, downloaded into a folder; its split `train` is used
    #[arg(long, value_name = "DIR")]
    pub dataset_name: Option<PathBuf>,
    /// The column of the images in the dataset; by default `image`
    #[arg(long, value_name = "NAME", requires = "dataset_name")]
    pub image_column: Option<String>,
    /// The column of captions in the dataset, which take the place of --instance-prompt
    #[arg(long, value_name = "NAME", requires = "dataset_name")]
    pub caption_column: Option<String>,
    /// How often each image of the subject is in an epoch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,
    /// The prompt for the subject, with a rare word for it: a photo of sks dog
    #[arg(long, value_name = "PROMPT")]
    pub instance_prompt: String,
}

impl InstanceOptions {
    /// Checks that there is either a folder or a dataset, and that only a dataset has captions.
    ///
    /// # Errors
    /// When it is not so.
    pub(crate) fn check(&self) -> Result<()> {
        if self.dataset_name.is_none() && self.caption_column.is_some() {
            return Err(Error::option("caption-column", "needs --dataset-name, as folders have no captions"));
        }
        if self.dataset_name.is_some() == self.instance_data_dir.is_some() {
            let message = "is needed, or else --dataset-name, but not both";
            return Err(Error::option("instance-data-dir", message));
        }
        Ok(())
    }

    /// The images, with their captions.
    ///
    /// # Errors
    /// When the folder or the dataset cannot be read, or lacks a column.
    pub(crate) fn open(&self, seed: u64) -> Result<SubjectInstances> {
        let dataset = match &self.instance_data_dir {
            Some(folder) => Dataset::open_plain_folder(folder)?,
            None => {
                let dataset_name = self.dataset_name.clone();
                let folder = DatasetFolder { dataset_name, train_data_dir: None, max_train_samples: None };
                folder.open(None, seed)?
            }
        };
        let image_column = dataset.choose(Role::Image, self.image_column.as_deref())?;
        let caption_column = self.caption_column.as_deref();
        let caption_column = caption_column.map(|name| dataset.choose(Role::Caption, Some(name)));
        Ok(SubjectInstances {
            image_column,
            caption_column: caption_column.transpose()?,
            dataset: Arc::new(dataset),
            prompt: self.instance_prompt.clone(),
            repeats: self.repeats as usize,
        })
    }

    /// The name of the dataset, if there is one.
    pub(crate) fn dataset(&self) -> Option<String> {
        self.dataset_name.as_ref().map(|name| name.display().to_string())
    }
}
