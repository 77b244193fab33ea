//! Compares trainings with PyTorch's, step by step: losses and weights at most 1e-4 apart, relative to PyTorch's.

#[path = "../../../oxidiff/examples/train_butterflies/butterflies.rs"]
mod butterflies;

use std::collections::BTreeMap;

use oxidiff::training::{
    AdamW, AdamWConfig, EMAModel, EMAModelConfig, LowRankInit, LowRankLayers, ParameterGradients, Recording,
    SchedulerType, StateFile, Trained, get_scheduler, min_snr_weights, mse, weighted_mse,
};
use oxidiff::{
    AutoencoderKL, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, DDPMScheduler, DType, Device, Generator,
    Generators, LoadOptions, Model, PredictionType, Scheduler, Tensor, UNet2DConditionInputs,
    UNet2DConditionModel, UNet2DModel,
};
use serde::Deserialize;

use crate::fixture::{fixtures, json};

const TOLERANCE: f64 = 1e-4;
const STEPS: usize = 50;

/// The norm and the first value of some tensors.
type Summary = BTreeMap<String, [f64; 2]>;

#[derive(Deserialize)]
struct Training {
    losses: Vec<f64>,
    norms: Vec<f64>,
    #[serde(default)]
    rates: Vec<f64>,
    #[serde(default)]
    decays: Vec<f64>,
    #[serde(default)]
    timesteps: Vec<Vec<f32>>,
    #[serde(default)]
    first_gradients: Summary,
    #[serde(default)]
    start: Summary,
    #[serde(default)]
    weights: Summary,
    #[serde(default)]
    averages: Summary,
    #[serde(default)]
    unet: Summary,
    #[serde(default)]
    text_encoder: Summary,
    #[serde(default)]
    saved_names: Vec<String>,
}

impl Training {
    fn recorded(name: &str) -> Self {
        let training: Self = json(&fixtures().join("training").join(format!("{name}.json")));
        assert_eq!(training.losses.len(), STEPS);
        training
    }
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64, scale: f64) {
    assert!((ours - theirs).abs() <= TOLERANCE * scale, "{what}: {ours}, PyTorch has {theirs}");
}

/// Compares what a summary has of tensors.
fn compare<'a>(what: &str, expected: &Summary, tensors: impl IntoIterator<Item = (String, &'a [f32])>) {
    // Values that are 0 but for rounding have no digits in common: of a key that one query alone looks up, for example.
    let largest = expected.values().map(|[norm, _]| *norm).fold(0.0, f64::max);
    let mut compared = 0;
    for (name, values) in tensors {
        let Some([norm, first]) = expected.get(&name) else { continue };
        let ours = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        close(&format!("{what} {name}: the norm"), ours, *norm, norm.max(0.01 * largest));
        close(
            &format!("{what} {name}: the first value"),
            f64::from(values[0]),
            *first,
            norm.max(0.01 * largest),
        );
        compared += 1;
    }
    assert_eq!(compared, expected.len(), "{what}: all names of the record");
}

fn compare_weights(what: &str, expected: &Summary, trained: &impl Trained) {
    let mut all = Vec::new();
    trained.read(&mut |name, _, values| all.push((name.to_owned(), values)));
    compare(what, expected, all.iter().map(|(name, values)| (name.clone(), values.as_slice())));
}

fn check_step(training: &Training, step: usize, loss: &Tensor<1>, norm: f64) {
    let theirs = training.losses[step];
    close(&format!("the loss of step {step}"), loss.clone().into_scalar::<f32>().into(), theirs, theirs);
    // The norm of a gradient is less well conditioned than the loss.
    close(&format!("the norm of step {step}"), norm, training.norms[step], 10.0 * training.norms[step]);
}

fn timesteps(generator: &mut Generator) -> Vec<f32> {
    generator.randint_vec(0, 1000, 2).unwrap().into_iter().map(|timestep| timestep as f32).collect()
}

fn pair(images: &Tensor<4>, [first, second]: [usize; 2]) -> Tensor<4> {
    Tensor::cat([first, second].map(|index| images.clone().narrow(0, index, 1)).to_vec(), 0)
}

#[test]
fn an_unconditional_model_learns_as_in_pytorch() {
    let expected = Training::recorded("unconditional");
    let device = Device::flex();
    let folder = fixtures().join("unconditional/unets/ddpm_cifar10");
    let mut model = UNet2DModel::from_pretrained(folder.to_str().unwrap()).unwrap();
    let scheduler = DDPMScheduler::new(Default::default()).unwrap();
    let mut optimizer =
        AdamW::new(AdamWConfig { beta1: 0.95, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-6 });
    let rate = get_scheduler(SchedulerType::Cosine, 1e-3, 5, STEPS as u64, None, 1.0).unwrap();
    let config = EMAModelConfig { use_ema_warmup: true, power: 0.75, ..Default::default() };
    let mut average = EMAModel::new(&model, config);

    let mut generator = Generator::manual_seed(0);
    let channels = model.config().in_channels;
    let images = generator.rand([8, channels, 16, 16], DType::F32, &device) * 2.0 - 1.0;
    for step in 0..STEPS {
        let clean = pair(&images, [2 * step % 8, (2 * step + 1) % 8]);
        let noise = generator.randn(clean.dims(), DType::F32, &device);
        let timesteps = timesteps(&mut generator);
        assert_eq!(timesteps, expected.timesteps[step]);
        let noisy = scheduler.add_noise(clean, noise.clone(), &timesteps).unwrap();

        let recording = Recording::of(&model, DType::F32);
        let loss = mse(recording.model().forward(noisy.autodiff(), &timesteps).unwrap(), noise);
        let mut gradients = recording.backward(&loss);
        if step == 0 {
            let all = gradients.iter().map(|(name, values)| (name.to_owned(), values));
            compare("the gradient of", &expected.first_gradients, all);
        }
        let norm = gradients.clip_norm(1.0);
        check_step(&expected, step, &loss, norm);
        close("the learning rate", rate.at(step as u64), expected.rates[step], 1e-3);
        model = optimizer.step(model, &gradients, rate.at(step as u64));
        average.step(&model);
        close("the decay", average.cur_decay(), expected.decays[step], 1.0);
    }
    compare_weights("the weight", &expected.weights, &model);
    compare_weights("the average of", &expected.averages, &average.copy_to(model));
}

/// The parts of a small Stable Diffusion, and a way to embed its prompts.
struct StableDiffusion {
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    scheduler: DDPMScheduler,
}

impl StableDiffusion {
    fn load() -> Self {
        let folder = fixtures().join("pipelines/sd1");
        let options = |part: &str| LoadOptions { subfolder: Some(part.into()), ..Default::default() };
        let path = folder.to_str().unwrap();
        Self {
            unet: UNet2DConditionModel::from_pretrained_with(path, &options("unet")).unwrap(),
            vae: AutoencoderKL::from_pretrained_with(path, &options("vae")).unwrap(),
            text_encoder: CLIPTextModel::from_pretrained_with(path, &options("text_encoder")).unwrap(),
            tokenizer: CLIPTokenizer::from_pretrained(folder.join("tokenizer")).unwrap(),
            scheduler: DDPMScheduler::from_pretrained_with(path, &options("scheduler")).unwrap(),
        }
    }

    fn tokens(&self, prompts: [&str; 2]) -> Vec<Vec<u32>> {
        let length = self.tokenizer.model_max_length().unwrap();
        self.tokenizer.tokenize(&prompts, length).unwrap().input_ids
    }

    fn latents(&self, images: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let encoded = self.vae.encode(images).unwrap();
        let drawn = generator.randn(encoded.mode().dims(), DType::F32, &Device::flex());
        (encoded.mode() + encoded.std() * drawn) * self.vae.config().scaling_factor
    }
}

#[test]
fn low_rank_layers_learn_as_in_pytorch() {
    let expected = Training::recorded("text_to_image_lora");
    let device = Device::flex();
    let mut parts = StableDiffusion::load();
    let mut layers =
        LowRankLayers::new(&mut parts.unet, 4, 4.0, LowRankInit::Gaussian, &mut Generator::manual_seed(7))
            .unwrap();
    compare_weights("the initial weight", &expected.start, &layers);
    let mut optimizer = AdamW::new(AdamWConfig::default());

    let mut generator = Generator::manual_seed(1);
    let images = generator.rand([4, 3, 32, 32], DType::F32, &device) * 2.0 - 1.0;
    let prompts = ["a red apple", "a green leaf", "a blue house", "a photo of a cat"];
    for step in 0..STEPS {
        let chosen = [2 * step % 4, (2 * step + 1) % 4];
        let latents = parts.latents(pair(&images, chosen), &mut generator);
        let [batch, channels, ..] = latents.dims();
        let noise = generator.randn(latents.dims(), DType::F32, &device)
            + generator.randn([batch, channels, 1, 1], DType::F32, &device) * 0.1;
        let timesteps = timesteps(&mut generator);
        let tokens = parts.tokens(chosen.map(|index| prompts[index]));
        let text = parts.text_encoder.forward(&tokens, None).unwrap().last_hidden_state;
        let noisy = parts.scheduler.add_noise(latents, noise.clone(), &timesteps).unwrap();

        let mut unet = Recording::frozen(&parts.unet, DType::F32);
        let leaves = layers.record(&mut unet, DType::F32).unwrap();
        let inputs = UNet2DConditionInputs::default();
        let prediction = unet.forward_with(noisy.autodiff(), &timesteps, text.autodiff(), inputs).unwrap();
        let weights = min_snr_weights(&parts.scheduler, PredictionType::Epsilon, &timesteps, 5.0).unwrap();
        let loss = weighted_mse(prediction, noise, &weights);
        let mut gradients = leaves.take(&mut loss.backward());
        let norm = gradients.clip_norm(1.0);
        check_step(&expected, step, &loss, norm);
        layers = optimizer.step(layers, &gradients, 1e-3);
    }
    compare_weights("the weight", &expected.weights, &layers);
    let mut file = StateFile::new();
    layers.export("unet", &mut file);
    let names: Vec<&str> = file.names().filter_map(|name| name.strip_prefix("unet.")).collect();
    assert_eq!(names[..8], expected.saved_names[..]);
}

#[test]
fn a_unet_and_its_text_encoder_learn_a_subject_as_in_pytorch() {
    let expected = Training::recorded("dreambooth");
    let device = Device::flex();
    let mut parts = StableDiffusion::load();
    let mut optimizers = [AdamW::new(AdamWConfig::default()), AdamW::new(AdamWConfig::default())];

    let mut generator = Generator::manual_seed(3);
    let images = generator.rand([4, 3, 32, 32], DType::F32, &device) * 2.0 - 1.0;
    let tokens = parts.tokens(["a photo of sks dog", "a photo of a dog"]);
    for step in 0..STEPS {
        let latents = parts.latents(pair(&images, [step % 2, 2 + step % 2]), &mut generator);
        let noise = generator.randn(latents.dims(), DType::F32, &device);
        let timesteps = timesteps(&mut generator);
        let noisy = parts.scheduler.add_noise(latents, noise.clone(), &timesteps).unwrap();

        let (unet, unet_leaves) = Recording::of(&parts.unet, DType::F32).into_parts();
        let (text_encoder, text_leaves) = Recording::of(&parts.text_encoder, DType::F32).into_parts();
        let text = text_encoder.forward(&tokens, None).unwrap().last_hidden_state;
        let inputs = UNet2DConditionInputs::default();
        let prediction = unet.forward_with(noisy.autodiff(), &timesteps, text, inputs).unwrap();
        let half = |tensor: &Tensor<4>, index| tensor.clone().narrow(0, index, 1);
        let [ours, prior] = [0, 1].map(|index| mse(half(&prediction, index), half(&noise, index)));
        let loss = ours + prior * 0.5;
        let mut all = loss.backward();
        let mut gradients = [unet_leaves.take(&mut all), text_leaves.take(&mut all)];
        let norm = ParameterGradients::clip_common_norm(&mut gradients, 1.0);
        check_step(&expected, step, &loss, norm);
        drop((unet, text_encoder));
        parts.unet = optimizers[0].step(parts.unet, &gradients[0], 1e-4);
        parts.text_encoder = optimizers[1].step(parts.text_encoder, &gradients[1], 1e-4);
    }
    compare_weights("the weight of the UNet's", &expected.unet, &parts.unet);
    compare_weights("the weight of the text encoder's", &expected.text_encoder, &parts.text_encoder);
}

#[test]
fn an_autoencoder_learns_as_in_pytorch() {
    let expected = Training::recorded("autoencoder");
    let mut vae = StableDiffusion::load().vae;
    let mut optimizer = AdamW::new(AdamWConfig::default());

    let mut generator = Generator::manual_seed(5);
    let images = generator.rand([4, 3, 32, 32], DType::F32, &Device::flex()) * 2.0 - 1.0;
    let mut noise = Generators::One(generator);
    for step in 0..STEPS {
        let pair = pair(&images, [2 * step % 4, (2 * step + 1) % 4]).autodiff();
        let recording = Recording::of(&vae, DType::F32);
        let posterior = recording.model().encode(pair.clone()).unwrap();
        let decoded = recording.model().decode(posterior.sample(&mut noise).unwrap()).unwrap();
        let difference = decoded - pair;
        let edges = difference.clone().narrow(2, 1, 31) - difference.clone().narrow(2, 0, 31);
        let loss = difference.square().mean() + edges.square().mean() * 0.5 + posterior.kl().mean() * 1e-3;
        let mut gradients = recording.backward(&loss);
        if step == 0 {
            let all = gradients.iter().map(|(name, values)| (name.to_owned(), values));
            compare("the gradient of", &expected.first_gradients, all);
        }
        let norm = gradients.clip_norm(1.0);
        check_step(&expected, step, &loss, norm);
        vae = optimizer.step(vae, &gradients, 1e-3);
    }
    compare_weights("the weight", &expected.weights, &vae);
}

/// `CLIPPreTrainedModel._init_weights` of transformers.
#[test]
fn a_text_encoder_begins_as_in_transformers() {
    let config = CLIPTextConfig {
        vocab_size: 500,
        hidden_size: 64,
        intermediate_size: 192,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        initializer_factor: 0.5,
        ..Default::default()
    };
    let model = CLIPTextModel::init(&config, &Device::flex()).unwrap();
    let of_layers = 1.0 / (64.0_f64 * 6.0).sqrt();
    let mut compared = 0;
    model.read(&mut |name, _, values| {
        let (mean, deviation) = match name.rsplit('.').nth(1).unwrap() {
            _ if name.ends_with("bias") => (0.0, 0.0),
            "token_embedding" | "position_embedding" => (0.0, 0.02),
            "q_proj" | "k_proj" | "v_proj" | "fc2" => (0.0, of_layers),
            "out_proj" => (0.0, 1.0 / 8.0),
            "fc1" => (0.0, 1.0 / 128.0_f64.sqrt()),
            "layer_norm1" | "layer_norm2" | "final_layer_norm" => (1.0, 0.0),
            other => panic!("no distribution is expected of {other}"),
        };
        let deviation = 0.5 * deviation;
        let count = values.len() as f64;
        let actual = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let squares = values.iter().map(|value| (f64::from(*value) - actual).powi(2)).sum::<f64>();
        // Five standard errors.
        assert!((actual - mean).abs() <= 5.0 * deviation / count.sqrt(), "{name}: the mean is {actual}");
        let spread = (squares / count).sqrt();
        assert!(
            (spread - deviation).abs() <= 5.0 * deviation / (2.0 * count).sqrt(),
            "{name}: the deviation is {spread}, not {deviation}"
        );
        compared += 1;
    });
    assert_eq!(compared, 2 + 3 * 16 + 2);
}

/// The tutorial in `examples/train_butterflies`, on plain pictures and with a small model.
#[test]
fn the_model_of_the_tutorial_learns() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, output) = (folder.path().join("pictures"), folder.path().join("model"));
    std::fs::create_dir(&pictures).unwrap();
    for index in 0..8_u8 {
        let color = [255 * (index % 2), 30 * index, 128];
        oxidiff::image::RgbImage::from_pixel(20, 16, color.into())
            .save(pictures.join(format!("{index}.png")))
            .unwrap();
    }
    let config = butterflies::TrainingConfig {
        image_size: 16,
        channels: vec![32, 32],
        train_batch_size: 4,
        num_epochs: 60,
        learning_rate: 2e-3,
        lr_warmup_steps: 5,
        num_inference_steps: 5,
        seed: 0,
    };
    let losses = butterflies::train(&config, &pictures, &output).unwrap();
    assert_eq!(losses.len(), 120);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..5]), mean(&losses[100..]));
    assert!(last < first / 4.0, "from {first} to {last}");
    let pipeline = oxidiff::DiffusionPipeline::from_pretrained(output.to_str().unwrap()).unwrap();
    assert!(format!("{pipeline:?}").contains("DDPM"));
    assert_eq!(oxidiff::image::open(output.join("sample.png")).unwrap().width(), 16);
}
