//! Training and finetuning of diffusion models: what the example scripts of Hugging Face Diffusers do, in Rust.

#![forbid(unsafe_code)]

mod batches;
mod cache;
mod checkpoint;
pub mod data;
mod edm;
mod error;
mod flow_matching;
mod image_encoder;
mod image_transform;
mod latent_diffusion;
mod learner;
mod options;
mod order;
mod python_random;
mod random;
pub mod report;
mod sources;
mod stable_diffusion;
mod stable_diffusion_xl;
mod stop;
mod subject;
mod task;
mod tasks;
mod trainer;
mod validation;
mod z_image;

pub use self::batches::{Batch, GroupedSamples, Origin, Source, TrainingData};
pub use self::error::{Error, Result};
pub use self::flow_matching::{FlowOptions, WeightingScheme};
pub use self::image_transform::{ImageTransform, interpolation_mode};
pub use self::options::{CommonOptions, DatasetFolder, DatasetOptions, ModelOptions};
pub use self::python_random::PythonRandom;
pub use self::random::Random;
pub use self::sources::{
    BucketedInstance, Buckets, CaptionedImages, CaptionedImagesXl, Class, ConceptImages, ControlledImages,
    Cut, LearnableProperty, SubjectImages, SubjectImagesInBuckets, SubjectImagesXl, SubjectInstance,
    SubjectInstances,
};
pub use self::stop::{INTERRUPTED, Stop};
pub use self::task::{Due, SampleImages, Task};
pub use self::tasks::*;
pub use self::trainer::{Outcome, Plan, Steps, train};
