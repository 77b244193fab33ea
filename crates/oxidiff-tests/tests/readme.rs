//! The Rust snippets of the README, run in its order. The test fails if a snippet of the README is missing here, or
//! differs. A program of its own, because the snippets need another current folder.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use oxidiff::DiffusionPipeline;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

type Snippet = fn() -> Result<(), Box<dyn Error>>;

fn load_and_call() -> Result<(), Box<dyn Error>> {
    use oxidiff::DiffusionPipeline;

    let mut pipeline = DiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    println!("{pipeline}");

    let images = pipeline.call("flat red apple")?.images.into_images();
    images[0].save("apple.png")?;
    Ok(())
}

fn call_with_arguments() -> Result<(), Box<dyn Error>> {
    use oxidiff::{DiffusionPipeline, Generator, TextToImage};

    let mut pipeline = DiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    let output = pipeline.call(TextToImage {
        negative_prompt: vec!["green".into()],
        num_inference_steps: 20,
        guidance_scale: 4.0,
        generator: Some(Generator::manual_seed(0).into()),
        ..TextToImage::new("3d red apple")
    })?;
    output.images.into_images()[0].save("apple.jpg")?;
    Ok(())
}

fn call_as_the_checkpoint_says() -> Result<(), Box<dyn Error>> {
    use oxidiff::{DiffusionPipeline, TextToImage};

    let mut pipeline = DiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    let arguments = pipeline.generation_config().apply_to(TextToImage::new("3d rocket"));
    pipeline.call(arguments)?.images.into_images()[0].save("rocket.png")?;
    Ok(())
}

fn swap_the_scheduler() -> Result<(), Box<dyn Error>> {
    use oxidiff::{DiffusionPipeline, EulerDiscreteScheduler, Scheduler};

    let mut pipeline = DiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    pipeline.set_scheduler(EulerDiscreteScheduler::from_config(pipeline.scheduler().config())?);
    pipeline.call("purple cat face")?.images.into_images()[0].save("cat.png")?;
    Ok(())
}

fn by_hand() -> Result<(), Box<dyn Error>> {
    use oxidiff::{
        AutoencoderKL, CLIPTextModel, CLIPTokenizer, DDIMScheduler, DType, Generator, LoadOptions, Model,
        Scheduler, StepOptions, UNet2DConditionModel,
    };

    let repo = "models/emoji-diffusion";
    let part = |name: &str| LoadOptions { subfolder: Some(name.into()), ..LoadOptions::default() };
    let tokenizer = CLIPTokenizer::from_pretrained("models/emoji-diffusion/tokenizer")?;
    let text_encoder = CLIPTextModel::from_pretrained_with(repo, &part("text_encoder"))?;
    let unet = UNet2DConditionModel::from_pretrained_with(repo, &part("unet"))?;
    let vae = AutoencoderKL::from_pretrained_with(repo, &part("vae"))?;
    let mut scheduler = DDIMScheduler::from_pretrained_with(repo, &part("scheduler"))?;
    println!("{}", scheduler.config());
    assert_eq!(unet.config().in_channels, 8);

    let tokens = tokenizer.tokenize(&["octopus"], 32)?;
    let text = text_encoder.forward(&tokens.input_ids, None)?.last_hidden_state;

    scheduler.set_timesteps(10)?;
    let mut generator = Generator::manual_seed(0);
    let mut sample =
        generator.randn([1, 8, 16, 16], DType::F32, &text.device()) * scheduler.init_noise_sigma();
    for timestep in scheduler.timesteps().to_vec() {
        let input = scheduler.scale_model_input(sample.clone(), timestep)?;
        let predicted = unet.forward(input, timestep, text.clone())?;
        sample = scheduler.step(predicted, timestep, sample, StepOptions::default())?.prev_sample;
    }
    let image = vae.decode(sample / vae.config().scaling_factor)?;
    assert_eq!(image.dims(), [1, 3, 128, 128]);
    Ok(())
}

fn begin_with_an_image() -> Result<(), Box<dyn Error>> {
    use oxidiff::{
        Generator, ImageToImage, Inpaint, Pipeline, StableDiffusionImg2ImgPipeline,
        StableDiffusionInpaintPipeline, StableDiffusionPipeline, load_image,
    };

    let mut pipeline = StableDiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    pipeline.call("flat red apple")?.images.into_images()[0].save("apple.png")?;
    let image = load_image("apple.png")?;

    let mut variations = StableDiffusionImg2ImgPipeline::from_pipe(&pipeline)?;
    let output = variations.call(ImageToImage {
        prompt: vec!["flat green apple".into()],
        image: image.clone().into(),
        strength: 0.6,
        num_inference_steps: 25,
        generator: Some(Generator::manual_seed(0).into()),
        ..ImageToImage::default()
    })?;
    output.images.into_images()[0].save("green-apple.png")?;

    let mut inpainting = StableDiffusionInpaintPipeline::from_pipe(&pipeline)?;
    let mask = oxidiff::image::GrayImage::from_fn(128, 128, |x, _| [if x < 64 { 255 } else { 0 }].into());
    let output = inpainting.call(Inpaint {
        prompt: vec!["flat cat face".into()],
        image: image.into(),
        mask_image: oxidiff::image::DynamicImage::from(mask).into(),
        num_inference_steps: 25,
        ..Inpaint::default()
    })?;
    output.images.into_images()[0].save("half-cat.png")?;
    Ok(())
}

fn follow_an_image() -> Result<(), Box<dyn Error>> {
    use oxidiff::{
        ControlNetModel, ControlNetTextToImage, FromUNetOptions, Pipeline, StableDiffusionControlNetPipeline,
        StableDiffusionPipeline, load_image,
    };

    let pipeline = StableDiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    let controlnet = ControlNetModel::from_unet(&pipeline.unet, &FromUNetOptions::default())?;
    let mut pipeline = StableDiffusionControlNetPipeline::new((*pipeline).clone(), controlnet)?;
    let output = pipeline.call(ControlNetTextToImage {
        num_inference_steps: 5,
        controlnet_conditioning_scale: 0.8.into(),
        control_guidance_end: 0.6.into(),
        ..ControlNetTextToImage::new("flat red apple", load_image("apple.png")?)
    })?;
    output.images.into_images()[0].save("controlled.png")?;
    Ok(())
}

fn call_by_names() -> Result<(), Box<dyn Error>> {
    use oxidiff::{DiffusionPipeline, Generator, Request};

    let mut pipeline = DiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    let request = Request::new("flat red apple")
        .with("num_inference_steps", 20)
        .with("generator", Generator::manual_seed(0));
    pipeline.call(request)?.images.into_images()[0].save("apple.webp")?;
    Ok(())
}

fn save() -> Result<(), Box<dyn Error>> {
    use oxidiff::DiffusionPipeline;

    let pipeline = DiffusionPipeline::from_pretrained("models/emoji-diffusion")?;
    pipeline.save_pretrained("my-pipeline")?;
    DiffusionPipeline::from_pretrained("my-pipeline")?;
    Ok(())
}

const SNIPPETS: [Snippet; 9] = [
    load_and_call,
    call_with_arguments,
    call_as_the_checkpoint_says,
    swap_the_scheduler,
    by_hand,
    begin_with_an_image,
    follow_an_image,
    call_by_names,
    save,
];

#[test]
fn snippets_are_those_of_the_readme_and_run() {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let snippets: Vec<&str> = readme
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("each snippet ends with a fence"))
        .collect();
    let source: Vec<&str> = include_str!("readme.rs").lines().map(str::trim).collect();
    for snippet in &snippets {
        let lines: Vec<&str> = snippet.trim_end().lines().map(str::trim).collect();
        assert!(source.windows(lines.len()).any(|window| window == lines), "not run by a test:\n{snippet}");
    }
    assert_eq!(snippets.len(), SNIPPETS.len());

    // The snippets use the model's path relative to the root of the repository, but write elsewhere.
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&Path::new(ROOT).join("models"), &folder.path().join("models"));
    std::env::set_current_dir(&folder).unwrap();
    for snippet in SNIPPETS {
        snippet().unwrap();
    }
    for file in [
        "apple.png",
        "apple.jpg",
        "rocket.png",
        "cat.png",
        "green-apple.png",
        "half-cat.png",
        "controlled.png",
        "apple.webp",
        "my-pipeline/model_index.json",
    ] {
        assert!(Path::new(file).is_file(), "{file}");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_readme_and_the_fixtures_know_every_class() {
    let names = DiffusionPipeline::class_names();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");

    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let table: String = readme.lines().filter(|line| line.starts_with("| ")).collect();
    let listed: BTreeSet<&str> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.ends_with("Pipeline") && !word.contains(' '))
        .collect();
    assert_eq!(listed, unique);

    let scripts: String = std::fs::read_dir(Path::new(ROOT).join("tests/fixtures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for name in unique {
        assert!(scripts.contains(name), "no script in tests/fixtures records a {name}");
    }
}

#[test]
fn every_argument_is_described() {
    for argument in DiffusionPipeline::all_arguments() {
        assert!(!argument.help.trim().is_empty(), "`{}` has no documentation", argument.name);
        assert!(argument.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    }
}
