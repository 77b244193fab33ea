//! Hugging Face Diffusers for Rust: pipelines, models and schedulers with the names of the Python library, and the same
//! numbers.
//!
//! ```
//! use oxidiff::{DiffusionPipeline, EulerDiscreteScheduler, Scheduler, TextToImage};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
//! let mut pipeline = DiffusionPipeline::from_pretrained(folder)?;
//! pipeline.set_scheduler(EulerDiscreteScheduler::from_config(pipeline.scheduler().config())?);
//! let arguments = TextToImage { num_inference_steps: 5, ..TextToImage::new("flat red apple") };
//! let images = pipeline.call(arguments)?.images.into_images();
//! assert_eq!(images[0].width(), 128);
//! # Ok::<(), oxidiff::Error>(())
//! ```
//!
//! # Overview
//!
//! - **Pipelines** are the entry point: [`DiffusionPipeline`] loads the pipeline that a checkpoint names, such as a
//!   [`StableDiffusionPipeline`], whose arguments are a [`TextToImage`]. [`DDPMPipeline`], [`DDIMPipeline`],
//!   [`PNDMPipeline`], [`ScoreSdeVePipeline`] and [`ConsistencyModelPipeline`] make images from noise alone
//!   ([`Unconditional`]), [`DiTPipeline`] images of a class ([`ClassConditional`]); [`RePaintPipeline`] inpaints
//!   ([`RePaint`]). [`Pipeline`] is their common trait.
//! - **Models** are the networks: [`UNet2DConditionModel`], [`UNet2DModel`] and [`DiTTransformer2DModel`] predict the
//!   noise in a sample, [`AutoencoderKL`] converts between images and latents, [`CLIPTokenizer`] and [`CLIPTextModel`]
//!   embed a prompt. [`Model`] is their common trait: loading, saving, and building from a configuration.
//! - **Schedulers** remove the predicted noise, step by step: see [`schedulers`] and the trait [`Scheduler`].
//! - **Training**: [`training`] has gradients, optimizers and losses, for loops that train or finetune a model.
//! - **Loading**: [`LoadOptions`] choose the element type, the [`Device`] and which files to read; [`Config`] holds the
//!   data of a configuration file.
//! - **Random numbers**: a [`Generator`] draws the numbers that PyTorch's CPU generator draws from the same seed.
//! - **Errors**: every function that can fail returns an [`Error`] that names the file, field or argument at fault.
//!
//! The CPU is the default backend. The feature `cuda` adds NVIDIA cards (`oxidiff::cuda`); `rocm`, `metal`, `vulkan` and `wgpu` add
//! others. Model code is the same for all of them.

#![forbid(unsafe_code)]

mod any_model;
#[cfg(feature = "cuda")]
mod cards;
mod control_preprocessors;
mod error;
mod image_processor;
mod interpolation;
mod loading;
mod memory;
mod models;
mod pipelines;
mod precision;
mod random;
pub mod schedulers;
mod text_encoders;
pub mod training;
mod upscaling;
mod vision;
mod wording;

pub use any_model::{AnyModel, CallableModel, ModelOutput};
pub use control_preprocessors::{ControlPreprocessor, LoadedPreprocessor, canny};
pub use error::{Error, Result};
pub use image_processor::{
    CropRegion, Images, OutputType, PipelineImageInput, PreprocessOptions, Resample, ResizeMode,
    VaeImageProcessor, load_image, load_image_unconverted,
};
pub use loading::config::{Config, DIFFUSERS_VERSION};
pub use loading::convert::{ConvertOptions, convert};
pub use loading::folder::EmbeddedFolder;
pub use loading::hub::{HubOptions, HubRepo};
pub use loading::quantisation::QuantizationConfig;
pub use loading::single_file::SingleFileOptions;
pub use loading::{LoadOptions, check_writable, download, write_whole};
pub use memory::{set_max_memory, set_model_cpu_offload, set_sequential_cpu_offload};
pub use models::adapters::{AdapterWeight, BlockWeight, BlockWeights};
pub use models::autoencoders::{
    Autoencoder, AutoencoderDC, AutoencoderDCConfig, AutoencoderKL, AutoencoderKLConfig, AutoencoderKLFlux2,
    AutoencoderKLFlux2Config, AutoencoderKLQwenImage, AutoencoderKLQwenImageConfig, AutoencoderTiny,
    AutoencoderTinyConfig, DCBlockType, DCNormType, DCTiles, DiagonalGaussianDistribution,
    DownEncoderBlockType, EncodedImage, UpDecoderBlockType, UpsampleFn,
};
pub use models::controlnets::{
    ControlNet, ControlNetChannelOrder, ControlNetConfig, ControlNetInputs, ControlNetModel,
    ControlNetOutput, ControlNetUnion, ControlNetUnionConfig, ControlNetUnionInputs, ControlNetUnionModel,
    ControlNets, FluxControlNet, FluxMultiControlNetModel, FromUNetOptions, HunyuanDiT2DMultiControlNetModel,
    HunyuanDiTControlNet, MultiControlNetModel, MultiControlNetUnionModel, QwenImageControlNet,
    QwenImageMultiControlNetModel, SD3ControlNet, SD3MultiControlNetModel,
};
pub use models::ip_adapters::FacePictures;
pub use models::layers::activations::Activation;
pub use models::layers::attention::AttentionSlice;
pub use models::layers::embeddings::TimeEmbeddingType;
pub use models::layers::feed_forward::FeedForwardActivation;
pub use models::layers::hidden_activation::HiddenActivation;
pub use models::layers::per_block::{PerBlock, SampleSize, TransformerLayers};
pub use models::layers::resnet::ResnetTimeScaleShift;
pub use models::model::Model;
pub use models::t2i_adapters::{MultiAdapter, T2IAdapter, T2IAdapterConfig, T2IAdapterType, T2IAdapters};
pub use models::transformers::{
    AuraFlowInputs, AuraFlowTransformer2DConfig, AuraFlowTransformer2DModel, ChromaInputs,
    ChromaTransformer2DConfig, ChromaTransformer2DModel, ControlNoiseRefiner, DiTTransformer2DConfig,
    DiTTransformer2DModel, Flux2Inputs, Flux2KVCache, Flux2Transformer2DConfig, Flux2Transformer2DModel,
    FluxControlCondition, FluxControlNetConfig, FluxControlNetInputs, FluxControlNetModel,
    FluxControlSamples, FluxInputs, FluxTransformer2DConfig, FluxTransformer2DModel, HunyuanDiT2DConfig,
    HunyuanDiT2DControlNetConfig, HunyuanDiT2DControlNetInputs, HunyuanDiT2DControlNetModel,
    HunyuanDiT2DModel, HunyuanDiTInputs, Lumina2Inputs, Lumina2Transformer2DConfig,
    Lumina2Transformer2DModel, PixArtInputs, PixArtTransformer2DConfig, PixArtTransformer2DModel,
    QwenImageControlNetConfig, QwenImageControlNetInputs, QwenImageControlNetModel, QwenImageInputs,
    QwenImageTransformer2DConfig, QwenImageTransformer2DModel, SD3ControlNetConfig, SD3ControlNetInputs,
    SD3ControlNetModel, SD3Inputs, SD3Transformer2DConfig, SD3Transformer2DModel, SanaControlNetConfig,
    SanaControlNetInputs, SanaControlNetModel, SanaInputs, SanaTransformer2DConfig, SanaTransformer2DModel,
    ZImageControlInputs, ZImageControlNetConfig, ZImageControlNetModel, ZImageInputs, ZImageOmniInputs,
    ZImageTransformer2DConfig, ZImageTransformer2DModel, get_2d_rotary_pos_embed,
};
pub use models::unets::{
    AddedConditions, AdditionEmbedType, ClassEmbedType, ClassLabels, DownBlockType, EncoderHidDimType, FreeU,
    IpAdapterInputs, MidBlockType, ResampleType, UNet2DConditionConfig, UNet2DConditionInputs,
    UNet2DConditionModel, UNet2DConfig, UNet2DModel, UpBlockType,
};
pub use pipelines::*;
pub use precision::set_allow_tf32;
pub use random::{Generator, Generators, Loan, RandomFloat};
pub use schedulers::{
    AlgorithmType, AmusedScheduler, AmusedSchedulerConfig, AmusedSchedulerOutput, AmusedStepOptions,
    BetaSchedule, CMStochasticIterativeScheduler, CMStochasticIterativeSchedulerConfig,
    CosineDPMSolverMultistepScheduler, CosineDPMSolverMultistepSchedulerConfig, DDIMInverseScheduler,
    DDIMInverseSchedulerConfig, DDIMScheduler, DDIMSchedulerConfig, DDPMScheduler, DDPMSchedulerConfig,
    DDPMWuerstchenScheduler, DDPMWuerstchenSchedulerConfig, DEISAlgorithmType, DEISMultistepScheduler,
    DEISMultistepSchedulerConfig, DEISSolverType, DPMSolverMultistepInverseScheduler,
    DPMSolverMultistepInverseSchedulerConfig, DPMSolverMultistepScheduler, DPMSolverMultistepSchedulerConfig,
    DPMSolverSDEScheduler, DPMSolverSDESchedulerConfig, DPMSolverSinglestepScheduler,
    DPMSolverSinglestepSchedulerConfig, EDMDPMSolverMultistepScheduler, EDMDPMSolverMultistepSchedulerConfig,
    EDMEulerScheduler, EDMEulerSchedulerConfig, EulerAncestralDiscreteScheduler,
    EulerAncestralDiscreteSchedulerConfig, EulerDiscreteScheduler, EulerDiscreteSchedulerConfig,
    FinalSigmasType, FlowMatchEulerDiscreteScheduler, FlowMatchEulerDiscreteSchedulerConfig,
    FlowMatchHeunDiscreteScheduler, FlowMatchHeunDiscreteSchedulerConfig, FlowMatchLCMScheduler,
    FlowMatchLCMSchedulerConfig, HeunDiscreteScheduler, HeunDiscreteSchedulerConfig, IPNDMScheduler,
    IPNDMSchedulerConfig, InterpolationType, KDPM2AncestralDiscreteScheduler,
    KDPM2AncestralDiscreteSchedulerConfig, KDPM2DiscreteScheduler, KDPM2DiscreteSchedulerConfig,
    LCMScheduler, LCMSchedulerConfig, LMSDiscreteScheduler, LMSDiscreteSchedulerConfig, MaskingSchedule,
    NoiseSamplerSeed, PNDMScheduler, PNDMSchedulerConfig, PredictionType, RePaintScheduler,
    RePaintSchedulerConfig, SAAlgorithmType, SASolverScheduler, SASolverSchedulerConfig, SCMScheduler,
    SCMSchedulerConfig, Scheduler, SchedulerOutput, ScoreSdeVeScheduler, ScoreSdeVeSchedulerConfig,
    SdeVeOutput, SigmaSchedule, SolverType, StepOptions, TCDScheduler, TCDSchedulerConfig,
    TCDSchedulerOutput, TimeShiftType, TimestepOptions, TimestepSpacing, TimestepType, TrainingNoise,
    UnCLIPScheduler, UnCLIPSchedulerConfig, UniPCMultistepScheduler, UniPCMultistepSchedulerConfig,
    UniPCSolverType, UpscaleMode, VQDiffusionScheduler, VQDiffusionSchedulerConfig, VarianceType,
    from_config as scheduler_from_config,
};
pub use text_encoders::{
    BertConfig, BertModel, BertOutput, BertTokenizer, CLIPTextConfig, CLIPTextModel,
    CLIPTextModelWithProjection, CLIPTextOutput, CLIPTextProjectionOutput, CLIPTokenizer, ChatContent,
    ChatMessage, ChatOptions, ChatPart, Gemma2Config, Gemma2Model, Gemma2Output, GemmaTokenizer, Generation,
    LlamaTokenizer, Mistral3Config, Mistral3ForConditionalGeneration, Mistral3Output, MistralConfig,
    PixtralProcessor, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLInputs,
    Qwen2_5_VLOutput, Qwen2_5_VLTextConfig, Qwen2_5_VLVisionConfig, Qwen2Tokenizer, Qwen2VLProcessed,
    Qwen2VLProcessor, Qwen3Config, Qwen3Model, Qwen3Output, T5Config, T5EncoderModel, T5EncoderOutput,
    T5Tokenizer, TextProgress, TextStep, TokenizedText, UMT5Config, UMT5EncoderModel, UnpaddedText,
};
pub use upscaling::{ImageUpscaler, UpscaleOptions};
pub use vision::{
    BitConfig, BitLayerType, BitPadding, CLIPConfig, CLIPImageProcessor, CLIPVisionConfig,
    CLIPVisionModelWithProjection, CLIPVisionOutput, CLIPVisionProjectionOutput, DPTConfig,
    DPTForDepthEstimation, DPTImageProcessor, DPTReadoutType, DepthEstimatorOutput, ImageProcessor,
    ImageProcessorConfig, ImageSize, Qwen2VLImageProcessor, Qwen2VLImages, ReduxImageEncoder,
    ReduxImageEncoderConfig, SafetyCheckerOutput, Siglip2ImageProcessor, Siglip2Images, Siglip2VisionConfig,
    Siglip2VisionModel, SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel, SiglipVisionOutput,
    StableDiffusionSafetyChecker,
};

pub use burn::tensor::{DType, Device, DeviceKind, Int, Tensor, TensorData};
#[cfg(feature = "cuda")]
pub use cards::cuda;
#[cfg(feature = "cuda")]
#[doc(hidden)]
pub use cards::interpreter;
pub use image;
pub use oxidiff_kernels::QuantisedFormat;

/// The snippets of the page about steering an image.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/steering.md")]
struct SteeringPage;

/// The snippets of the page about training.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/training.md")]
struct TrainingPage;

/// The snippet of the page about quantised weights.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/quantisation.md")]
struct QuantisationPage;
