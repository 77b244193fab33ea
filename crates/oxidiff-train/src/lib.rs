//! Training and finetuning of diffusion models: what the example scripts of Hugging Face Diffusers do, in Rust.

#![forbid(unsafe_code)]

mod batches;
mod checkpoint;
pub mod data;
mod error;
mod image_transform;
mod learner;
mod options;
mod python_random;
mod random;
pub mod report;
mod stop;
mod task;
mod text_to_image_lora;
mod trainer;
mod unconditional;

pub use self::batches::{Batch, TrainingData};
pub use self::error::{Error, Result};
pub use self::image_transform::{ImageTransform, interpolation_mode};
pub use self::options::CommonOptions;
pub use self::python_random::PythonRandom;
pub use self::random::Random;
pub use self::stop::{INTERRUPTED, Stop};
pub use self::task::{Due, SampleImages, Task};
pub use self::text_to_image_lora::{TextToImageLoraOptions, text_to_image_lora};
pub use self::trainer::{Outcome, Plan, Steps, train};
pub use self::unconditional::{UnconditionalOptions, unconditional};
