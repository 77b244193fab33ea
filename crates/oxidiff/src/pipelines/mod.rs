//! Pipelines: what a user calls. A pipeline brings models, scheduler and tokenizer together.

mod auto_pipeline;
mod decoding;
mod diffusion_pipeline;
mod dit;
mod finite;
mod generation_config;
mod model_index;
mod output;
mod pipeline;
mod pipeline_fields;
mod progress;
mod stable_diffusion;
mod unconditional;

pub use auto_pipeline::{AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image};
pub use diffusion_pipeline::{DiffusionPipeline, PipelineArguments};
pub use dit::{ClassConditional, DiTPipeline};
pub use generation_config::{CallDefaults, GenerationConfig};
pub use model_index::ModelIndex;
pub use output::ImagePipelineOutput;
pub use pipeline::{Component, Pipeline};
pub use stable_diffusion::{
    DepthToImage, ImageToImage, Inpaint, InstructPix2Pix, LoraOptions, StableDiffusionComponents,
    StableDiffusionDepth2ImgPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline, StableDiffusionUpscalePipeline,
    StepCallback, StepEnd, TextToImage, TextualInversionOptions, Upscale,
};
pub use unconditional::{
    ConsistencyModelPipeline, DDIMPipeline, DDPMPipeline, PNDMPipeline, RePaint, RePaintPipeline,
    SamplingMethod, ScoreSdeVePipeline, Unconditional, UnconditionalPipeline,
};
