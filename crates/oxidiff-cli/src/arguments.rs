//! The arguments of the command line.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use oxidiff::{
    ControlPreprocessor, ConvertOptions, Error, FreeU, HubOptions, IpAdapterScale, QuantizationConfig,
};

use crate::load_arguments::LoadArguments;
use crate::train::TrainCommand;
use crate::values::{
    at_least_one, at_most, control_preprocessor, freeu, ip_adapter_scale, lora, number, seed, whole_number,
};

/// Images from text prompts: Hugging Face Diffusers in one binary.
#[derive(Debug, Parser)]
#[command(name = "oxidiff", version, about, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make images from a prompt, or from whatever else the model takes
    Generate(Box<GenerateArguments>),
    /// Enlarge a picture with an ESRGAN network
    Upscale(UpscaleArguments),
    /// Print the components of a pipeline
    Inspect(ModelArguments),
    /// Download a pipeline from the hub into the cache and print its folder
    Download(DownloadArguments),
    /// Round a model's weights to small numbers and write them to a GGUF file
    Convert(ConvertArguments),
    /// Train or finetune a model; options may be written with underscores, as those of Python's example scripts
    #[command(subcommand)]
    Train(TrainCommand),
    /// Time one denoising call and one decoding
    Bench(BenchArguments),
}

#[derive(Args, Debug)]
pub(crate) struct GenerateArguments {
    /// What to show; not needed for models without text input
    #[arg(value_name = "PROMPT", required_unless_present_any = ["prompt_option", "model"])]
    prompt: Option<String>,
    /// What to show, as an option
    #[arg(id = "prompt_option", long = "prompt", value_name = "PROMPT", conflicts_with = "prompt")]
    prompt_option: Option<String>,
    /// A folder, a checkpoint in one file, or a name on the hub; by default the embedded emoji model
    #[arg(long, value_name = "DIR_FILE_OR_HUB_ID", value_parser = NonEmptyStringValueParser::new())]
    pub model: Option<String>,
    /// What not to show
    #[arg(long, value_name = "PROMPT")]
    pub negative_prompt: Option<String>,
    /// The classes to show, by number or name, for models that were trained on classes
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub class_labels: Vec<String>,
    /// An image to start from, to edit, to enlarge, or for a T2I-Adapter to follow; can be given several times, once for each T2I-Adapter, or for each image that FLUX.2, Qwen-Image-Edit, Z-Image-Omni or --redux looks at
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,
    /// Which part of the image to repaint (white) and to keep (black); the other way round for a RePaintPipeline, as in Python
    #[arg(long, value_name = "FILE", requires = "image")]
    pub mask_image: Option<PathBuf>,
    /// A ControlNet, which makes the result follow a control image: a folder, a file or a name on the hub; can be given several times
    #[arg(long, value_name = "DIR_FILE_OR_HUB_ID")]
    pub controlnet: Vec<String>,
    /// An image for a ControlNet to follow, such as edges or a depth map; can be given several times, once for each ControlNet or type of images
    #[arg(long, value_name = "FILE")]
    pub control_image: Vec<PathBuf>,
    /// How to make the image to follow out of each --control-image, or of each --image with --adapter: canny, canny:100,200, invert, tile, tile:1024 or depth:MODEL; can be given several times, once for each image
    #[arg(long, value_name = "NAME[:OPTIONS]", value_parser = control_preprocessor)]
    pub control_preprocessor: Vec<ControlPreprocessor>,
    /// An IP-Adapter, which lets pictures act as prompts: a file or a folder, with its image_encoder beside the file, or a file on the hub (OWNER/NAME/FOLDER/FILE); can be given several times
    #[arg(long, value_name = "DIR_FILE_OR_HUB_ID")]
    pub ip_adapter: Vec<String>,
    /// A picture for an IP-Adapter; can be given several times, once for each IP-Adapter, or for one IP-Adapter
    #[arg(long, value_name = "FILE", requires = "ip_adapter")]
    pub ip_adapter_image: Vec<PathBuf>,
    /// A picture for an IP-Adapter of FLUX.1 beside the negative prompt, black by default; can be given several times, once for each IP-Adapter
    #[arg(long, value_name = "FILE", requires = "ip_adapter")]
    pub negative_ip_adapter_image: Vec<PathBuf>,
    /// How strongly the pictures count, 1 by default (0.5 with Stable Diffusion 3): a number, one for each picture that has a mask (0.7,0.3), JSON for the blocks of the UNet, or with FLUX.1 a number for each block; can be given several times, once for each IP-Adapter
    #[arg(long, value_name = "SCALE", requires = "ip_adapter", value_parser = ip_adapter_scale)]
    pub ip_adapter_scale: Vec<IpAdapterScale>,
    /// The folder of the IP-Adapter's image encoder, if it is not beside the file: on disk, or if it contains a slash, in the repository on the hub; with FLUX.1 and Stable Diffusion 3, also a repository of its own (OWNER/NAME)
    #[arg(long, value_name = "FOLDER", requires = "ip_adapter")]
    pub ip_adapter_image_encoder: Option<String>,
    /// Where a picture counts (white); can be given several times, once for each picture
    #[arg(long, value_name = "FILE", requires = "ip_adapter_image")]
    pub ip_adapter_masks: Vec<PathBuf>,
    /// FLUX.1 Redux, which lets each --image act as the end of the prompt: a folder or a name on the hub
    #[arg(long, value_name = "DIR_OR_HUB_ID", requires = "image", conflicts_with = "adapter")]
    pub redux: Option<String>,
    /// How strongly the prompt and the images of --redux count, 1 by default: a number, or one for each image
    #[arg(long, value_name = "SCALE,...", requires = "redux", value_delimiter = ',', value_parser = number)]
    pub prompt_embeds_scale: Vec<f64>,
    /// How strongly the pooled prompt of --redux counts, 1 by default: a number, or one for each image
    #[arg(long, value_name = "SCALE,...", requires = "redux", value_delimiter = ',', value_parser = number)]
    pub pooled_prompt_embeds_scale: Vec<f64>,
    /// A T2I-Adapter, which makes the result follow --image: a folder or a name on the hub; can be given several times
    #[arg(long, value_name = "DIR_OR_HUB_ID", requires = "image", conflicts_with = "controlnet")]
    pub adapter: Vec<String>,
    /// How much of the image to change, 0 to 1; by default 0.8, and 1 with a mask (Stable Diffusion XL: 0.3 and 0.9999)
    #[arg(long, value_name = "PART", requires = "image", value_parser = number)]
    pub strength: Option<f64>,
    /// Number of denoising steps; by default what the model's generation_config.json says (the embedded model: 25),
    /// else usually 50, 75 to enlarge an image, 100 to edit one, 1000 for DDPM
    #[arg(long, alias = "num-inference-steps", value_name = "N", value_parser = at_least_one)]
    pub steps: Option<usize>,
    /// How strongly to follow the prompt; 1 turns guidance off for models that guide by a negative prompt. By default what the model's generation_config.json says (the embedded model: 4), else what the pipeline has in Python: 7.5 for Stable Diffusion, 9 to enlarge an image
    #[arg(long, value_name = "SCALE", value_parser = number)]
    pub guidance_scale: Option<f64>,
    /// How far to restore the contrast that guidance changes, 0 to 1
    #[arg(long, value_name = "PART", value_parser = number)]
    pub guidance_rescale: Option<f64>,
    /// Seed of the random numbers: the same seed makes the same image. Negative seeds work as in torch's `manual_seed`; by default a new seed each time
    #[arg(long, value_name = "N", value_parser = seed)]
    pub seed: Option<u64>,
    /// Height of the images in pixels; by default the size that the model was trained on
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub height: Option<usize>,
    /// Width of the images in pixels; by default the size that the model was trained on
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub width: Option<usize>,
    /// Number of images
    #[arg(long, alias = "num-images-per-prompt", value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub num_images: usize,
    /// A LoRA to apply: a file, a folder or a name on the hub, and how strongly, 1 by default; can be given several times
    #[arg(long, value_name = "FILE[:SCALE]", value_parser = lora)]
    pub lora: Vec<Lora>,
    /// A learned word to use in prompts (textual inversion): a file, a folder or a name on the hub; can be given several times
    #[arg(long, value_name = "FILE")]
    pub textual_inversion: Vec<String>,
    /// A scheduler class, such as EulerDiscreteScheduler; by default the model's own
    #[arg(long, value_name = "CLASS")]
    pub scheduler: Option<String>,
    /// Noise in each step of DDIMScheduler or RePaintScheduler, 0 to 1
    #[arg(long, value_name = "PART", value_parser = number)]
    pub eta: Option<f64>,
    /// How many of the text encoder's last layers to leave out
    #[arg(long, value_name = "LAYERS", value_parser = whole_number)]
    pub clip_skip: Option<usize>,
    /// FreeU: factors of the skips (S) and of the backbone (B) in two blocks of the UNet, such as 0.9,0.2,1.5,1.6 for Stable Diffusion 1.5; a 0 turns it off
    #[arg(long, value_name = "S1,S2,B1,B2", value_parser = freeu)]
    pub freeu: Option<FreeU>,
    /// Decode large images in overlapping tiles, which takes less memory
    #[arg(long)]
    pub vae_tiling: bool,
    /// Decode several images one by one, which takes less memory
    #[arg(long)]
    pub vae_slicing: bool,
    /// The file to write: .png, .jpg, .webp, or .npy for the values in [0, 1] as float32 [N, H, W, 3]; several images, or the layers of one, get numbers
    #[arg(long, value_name = "FILE", default_value = "output.png")]
    pub output: PathBuf,
    /// Hide the progress bar
    #[arg(long)]
    pub no_progress: bool,
    /// Keyword arguments of the pipeline that have no field here, as written
    #[arg(skip)]
    pub keywords: Vec<(String, String)>,
    #[command(flatten)]
    pub load: LoadArguments,
}

impl GenerateArguments {
    pub fn prompt(&self) -> Option<String> {
        self.prompt.clone().or_else(|| self.prompt_option.clone())
    }

    /// Takes the prompt away.
    pub fn take_prompt(&mut self) -> Option<String> {
        self.prompt.take().or_else(|| self.prompt_option.take())
    }

    /// Takes away the value of a keyword argument.
    pub fn take_keyword(&mut self, name: &str) -> Option<String> {
        let place = self.keywords.iter().position(|(keyword, _)| keyword == name)?;
        Some(self.keywords.remove(place).1)
    }
}

/// A LoRA, and how strongly to apply it.
#[derive(Clone, Debug)]
pub(crate) struct Lora {
    pub file: String,
    pub scale: f64,
}

#[derive(Args, Debug)]
pub(crate) struct ModelArguments {
    /// A folder or a name on the hub; by default the embedded emoji model
    #[arg(value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub model: Option<String>,
    #[command(flatten)]
    pub load: LoadArguments,
}

#[derive(Args, Debug)]
pub(crate) struct UpscaleArguments {
    /// The picture to enlarge
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write: .png, .jpg, .webp, or .npy for the values in [0, 1] as float32 [1, H, W, 3]
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// An ESRGAN network (RRDBNet or SRVGGNetCompact): a .safetensors or .pth file
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// The side of the squares that the picture is cut into, so that memory does not grow with its size; 0 enlarges it as a whole
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = whole_number)]
    pub tile: usize,
    /// How many pixels around its square the network sees
    #[arg(long, value_name = "PIXELS", default_value_t = 10, value_parser = whole_number)]
    pub tile_pad: usize,
    /// How many pixels to add at the right and at the bottom before, and to cut off after
    #[arg(long, value_name = "PIXELS", default_value_t = 0, value_parser = whole_number)]
    pub pre_pad: usize,
    /// Hide the progress bar
    #[arg(long)]
    pub no_progress: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DownloadArguments {
    /// The name on the hub, as owner/name
    pub hub_id: String,
    #[command(flatten)]
    pub load: LoadArguments,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArguments {
    /// A folder or a name on the hub; by default the embedded emoji model. If the folder holds reference.safetensors, its
    /// inputs are used and the error against its outputs is printed
    #[arg(value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub model: Option<String>,
    /// Height and width of the latents; by default the size that the model was trained on
    #[arg(long, value_name = "N", value_parser = |text: &str| at_most(4096, text))]
    pub size: Option<usize>,
    /// Number of latents in the denoising call; by default 2, an image with and without its prompt
    #[arg(long, value_name = "N", value_parser = |text: &str| at_most(1024, text))]
    pub batch: Option<usize>,
    /// Number of threads; by default one for each core
    #[arg(long, value_name = "N", value_parser = |text: &str| at_most(1024, text))]
    pub threads: Option<usize>,
    /// Number of times to time each call, after one untimed call
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    pub runs: usize,
    /// Also print where one call of each spends its time, by kind of operation (on the CPU)
    #[arg(long)]
    pub breakdown: bool,
    #[command(flatten)]
    pub load: LoadArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ConvertArguments {
    /// A file with weights, the folder of a model or of a pipeline, or a name on the hub
    #[arg(value_name = "DIR_FILE_OR_HUB_ID", value_parser = NonEmptyStringValueParser::new())]
    pub source: String,
    /// The file to write
    #[arg(value_name = "FILE.gguf")]
    pub output: PathBuf,
    /// The part of a pipeline to convert, such as transformer or text_encoder
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// The type of the weights: q8_0, q5_1, q5_0, q4_1, q4_0 or q4_k
    #[arg(long = "type", value_name = "FORMAT", default_value = "q8_0")]
    quantization: QuantizationConfig,
    /// Layers that stay as they are: those whose name contains one of these
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    modules_to_not_convert: Vec<String>,
    /// Which variant of the weights to read, such as fp16
    #[arg(long)]
    variant: Option<String>,
    /// Which revision to fetch from the hub: a branch, a tag or a commit
    #[arg(long)]
    revision: Option<String>,
}

impl ConvertArguments {
    pub fn options(&self) -> ConvertOptions {
        let mut quantization = self.quantization.clone();
        quantization.modules_to_not_convert = self.modules_to_not_convert.clone();
        let hub = HubOptions { revision: self.revision.clone(), ..HubOptions::default() };
        let (component, variant) = (self.component.clone(), self.variant.clone());
        ConvertOptions { quantization, component, variant, hub }
    }

    /// Names the option that an error is about.
    pub fn name_option(error: Error) -> anyhow::Error {
        match error {
            Error::InvalidArgument { argument: "component", message } => anyhow!("--component: {message}"),
            Error::InvalidArgument { argument: "file", message } => anyhow!("FILE.gguf: {message}"),
            other => other.into(),
        }
    }
}
