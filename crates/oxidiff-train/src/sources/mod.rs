//! Where samples come from: one source for each way in which the scripts read images and captions.

mod buckets;
mod captioned_images;
mod captioned_images_xl;
mod concept_images;
mod controlled_images;
mod cut;
mod subject_images;
mod subject_images_in_buckets;
mod subject_images_xl;

pub use buckets::Buckets;
pub use captioned_images::CaptionedImages;
pub use captioned_images_xl::CaptionedImagesXl;
pub use concept_images::{ConceptImages, LearnableProperty};
pub use controlled_images::ControlledImages;
pub use cut::Cut;
pub use subject_images::{Class, SubjectImages};
pub(crate) use subject_images_in_buckets::BucketTransform;
pub use subject_images_in_buckets::{BucketedInstance, SubjectImagesInBuckets};
pub use subject_images_xl::{SubjectImagesXl, SubjectInstance, SubjectInstances};
