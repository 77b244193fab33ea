//! `oxidiff bench`: times one denoising call and one decoding.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use oxidiff::{
    AddedConditions, AdditionEmbedType, AutoencoderKL, DType, Device, Generator, Model, PerBlock, SampleSize,
    Tensor, UNet2DConditionInputs, UNet2DConditionModel,
};
use oxidiff_kernels::{finish_breakdown, start_breakdown};
use safetensors::SafeTensors;

use crate::arguments::BenchArguments;
use crate::standard_output::print_line;

/// The inputs of both calls, and the results of another program for them.
struct Inputs {
    sample: Tensor<4>,
    timestep: f32,
    text: Tensor<3>,
    /// What models such as Stable Diffusion XL's receive besides the text.
    added: AddedConditions,
    latents: Tensor<4>,
    reference: Option<Reference>,
}

struct Reference {
    unet: Tensor<4>,
    vae: Tensor<4>,
}

pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("--threads")?;
    }
    let options = arguments.load.options()?;
    let pipeline = crate::load(arguments.model.as_deref(), &arguments.load)?;
    let components = pipeline.components();
    let unet = components.get::<UNet2DConditionModel>("unet");
    let vae = components.get::<AutoencoderKL>("vae");
    let (Some(unet), Some(vae)) = (unet, vae) else {
        bail!("a {} has no UNet2DConditionModel and AutoencoderKL to time", pipeline.class_name());
    };

    // Models on a card of NVIDIA take tensors on the CPU.
    let device = unet.device();
    let inputs = match reference(arguments, &device)? {
        Some(inputs) => inputs,
        None => random(arguments, unet, vae, &device)?,
    };
    let Inputs { sample, timestep, text, added, latents, reference } = inputs;
    let (sample, text) = (sample.cast(options.dtype), text.cast(options.dtype));
    let latents = latents.cast(options.dtype);
    let (unet_reference, vae_reference) =
        reference.map_or((None, None), |reference| (Some(reference.unet), Some(reference.vae)));

    let conditions = UNet2DConditionInputs { added, ..Default::default() };
    let predict = || unet.forward_with(sample.clone(), &[timestep], text.clone(), conditions.clone());
    time("unet", arguments, unet_reference, options.dtype, predict)?;
    time("vae", arguments, vae_reference, options.dtype, || vae.decode(latents.clone()))?;
    if let Some(peak) = peak_memory() {
        print_line(format_args!("peak memory {peak:.2} GiB"))?;
    }
    Ok(())
}

/// Calls a model once and then the requested number of times, and prints the median time.
fn time(
    name: &str,
    arguments: &BenchArguments,
    reference: Option<Tensor<4>>,
    dtype: DType,
    call: impl Fn() -> oxidiff::Result<Tensor<4>>,
) -> anyhow::Result<()> {
    // Reading one value waits for devices that compute in the background.
    let wait = |output: Tensor<4>| drop(output.slice([0..1, 0..1, 0..1, 0..1]).into_data());
    let output = call()?;
    wait(output.clone());
    let mut seconds = Vec::new();
    for _ in 0..arguments.runs {
        let start = Instant::now();
        wait(call()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    let median = match seconds.len() % 2 {
        1 => seconds[middle],
        _ => (seconds[middle - 1] + seconds[middle]) / 2.0,
    };
    let dtype = format!("{dtype:?}").to_lowercase();
    let error = reference.map(|reference| relative_error(output, reference)).transpose()?;
    let error = error.map_or(String::new(), |error| format!(", relative error {error:.2e}"));
    print_line(format_args!("{name} {dtype}: median {median:.5} s{error}"))?;
    if arguments.breakdown {
        print_breakdown(&call)?;
    }
    Ok(())
}

/// Prints where a call spends its time, one line for each kind of operation with its speed.
fn print_breakdown(call: impl Fn() -> oxidiff::Result<Tensor<4>>) -> anyhow::Result<()> {
    start_breakdown();
    let start = Instant::now();
    let result = call();
    let total = start.elapsed().as_secs_f64();
    let costs = finish_breakdown();
    result?;
    print_line("  operation                                    calls        s      %  GFLOP/s    GB/s")?;
    let line = |name: &str, calls: usize, seconds: f64, speed: String| {
        let percent = 100.0 * seconds / total;
        print_line(format_args!("  {name:<44} {calls:>5} {seconds:>8.5} {percent:>6.1} {speed}"))
    };
    let mut others = total;
    for cost in &costs {
        let seconds = cost.time.as_secs_f64();
        others -= seconds;
        let per_second = |amount: f64| amount / seconds / 1e9;
        let speed = format!("{:>8.1} {:>7.1}", per_second(cost.flop), per_second(cost.bytes));
        line(&cost.operation, cost.calls, seconds, speed)?;
    }
    Ok(line("all others", 0, others.max(0.0), String::new())?)
}

/// The norm of the difference of `found` from `expected`, relative to that of `expected`.
fn relative_error(found: Tensor<4>, expected: Tensor<4>) -> anyhow::Result<f32> {
    let found = found.cast(DType::F32);
    ensure!(
        found.dims() == expected.dims(),
        "reference.safetensors: an output has shape {:?}, the model makes {:?}",
        expected.dims(),
        found.dims()
    );
    let norm = |x: Tensor<4>| x.square().sum().sqrt().into_scalar::<f32>();
    Ok(norm(found - expected.clone()) / norm(expected))
}

/// The inputs next to the model, if they are there and have the requested size.
fn reference(arguments: &BenchArguments, device: &Device) -> anyhow::Result<Option<Inputs>> {
    let Some(file) = arguments.model.as_deref().map(|model| Path::new(model).join("reference.safetensors"))
    else {
        return Ok(None);
    };
    if !file.is_file() {
        return Ok(None);
    }
    let tensors = read(&file)?;
    let get =
        |name: &str| tensors.get(name).with_context(|| format!("{}: has no tensor `{name}`", file.display()));
    let inputs = Inputs {
        sample: tensor(get("unet_sample")?, device)?,
        timestep: tensor::<1>(get("unet_timestep")?, device)?.into_scalar(),
        text: tensor(get("unet_text")?, device)?,
        added: AddedConditions {
            text_embeds: tensors.get("unet_text_embeds").map(|stored| tensor(stored, device)).transpose()?,
            time_ids: tensors.get("unet_time_ids").map(|stored| tensor(stored, device)).transpose()?,
            ..Default::default()
        },
        latents: tensor(get("vae_latent")?, device)?,
        reference: Some(Reference {
            unet: tensor(get("unet_out")?, device)?,
            vae: tensor(get("vae_out")?, device)?,
        }),
    };
    let [batch, _, height, _] = inputs.sample.dims();
    let fits = |given: Option<usize>, stored: usize| given.is_none_or(|given| given == stored);
    if fits(arguments.batch, batch) && fits(arguments.size, height) {
        return Ok(Some(inputs));
    }
    eprintln!("{}: is for batch {batch} and size {height}; random inputs are used instead", file.display());
    Ok(None)
}

/// A tensor of a file, as values and shape.
struct Stored {
    values: Vec<f32>,
    shape: Vec<usize>,
}

fn read(file: &PathBuf) -> anyhow::Result<HashMap<String, Stored>> {
    let name = || file.display().to_string();
    let bytes = std::fs::read(file).with_context(name)?;
    let tensors = SafeTensors::deserialize(&bytes).with_context(name)?;
    tensors
        .iter()
        .map(|(key, view)| {
            let values = match view.dtype() {
                safetensors::Dtype::F32 => {
                    let (values, _) = view.data().as_chunks();
                    values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
                }
                safetensors::Dtype::I64 => {
                    let (values, _) = view.data().as_chunks();
                    values.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect()
                }
                other => bail!("{}: `{key}` is of type {other:?}; only f32 and i64 are supported", name()),
            };
            Ok((key.to_owned(), Stored { values, shape: view.shape().to_vec() }))
        })
        .collect()
}

fn tensor<const D: usize>(stored: &Stored, device: &Device) -> anyhow::Result<Tensor<D>> {
    let shape: [usize; D] = match &*stored.shape {
        [] => [1; D],
        shape => shape.try_into().with_context(|| {
            format!("reference.safetensors: a tensor has shape {shape:?} instead of {D} dimensions")
        })?,
    };
    Ok(Tensor::<1>::from_floats(&*stored.values, device).reshape(shape))
}

/// Normally distributed inputs.
fn random(
    arguments: &BenchArguments,
    unet: &UNet2DConditionModel,
    vae: &AutoencoderKL,
    device: &Device,
) -> anyhow::Result<Inputs> {
    /// The length of a CLIP text encoder's prompt.
    const TOKENS: usize = 77;
    let config = unet.config();
    let [height, width] = match (arguments.size, config.sample_size) {
        (Some(size), _) => [size; 2],
        (None, Some(SampleSize::Square(side))) => [side; 2],
        (None, Some(size)) => size.height_width(),
        (None, None) => bail!("--size: must be given, the model's configuration has no `sample_size`"),
    };
    let batch = arguments.batch.unwrap_or(2);
    let features = match &config.cross_attention_dim {
        PerBlock::Same(features) => *features,
        PerBlock::Each(features) => *features.first().context("cross_attention_dim: is an empty list")?,
    };
    let mut generator = Generator::manual_seed(0);
    let mut normal = |shape: [usize; 4]| generator.randn(shape, DType::F32, device);
    Ok(Inputs {
        sample: normal([batch, config.in_channels, height, width]),
        timestep: 981.0,
        text: normal([batch, TOKENS, features, 1]).reshape([batch, TOKENS, features]),
        added: added(unet, batch, |[rows, columns]| normal([rows, columns, 1, 1]).reshape([rows, columns]))?,
        latents: normal([1, vae.config().latent_channels, height, width]),
        reference: None,
    })
}

/// What the model receives besides the text.
fn added(
    unet: &UNet2DConditionModel,
    batch: usize,
    mut normal: impl FnMut([usize; 2]) -> Tensor<2>,
) -> anyhow::Result<AddedConditions> {
    /// Stable Diffusion XL's: the size of the training image, its crop, and the size of the result.
    const NUMBERS: usize = 6;
    let config = unet.config();
    match config.addition_embed_type {
        None | Some(AdditionEmbedType::Text) => Ok(AddedConditions::default()),
        Some(AdditionEmbedType::TextTime) => {
            let all = config.projection_class_embeddings_input_dim.unwrap_or_default();
            let numbers = NUMBERS * config.addition_time_embed_dim.unwrap_or_default();
            let text =
                all.checked_sub(numbers).context("projection_class_embeddings_input_dim: is too small")?;
            Ok(AddedConditions {
                text_embeds: Some(normal([batch, text])),
                time_ids: Some(normal([batch, NUMBERS]) * 100.0 + 1024.0),
                ..Default::default()
            })
        }
        Some(other) => bail!("addition_embed_type: a model with `{other:?}` cannot be timed"),
    }
}

/// The peak memory of the process, in GiB.
#[cfg(unix)]
fn peak_memory() -> Option<f64> {
    use nix::sys::resource::{UsageWho, getrusage};

    /// Apple counts bytes; others count kilobytes.
    const UNIT: f64 = if cfg!(target_vendor = "apple") { 1.0 } else { 1024.0 };
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some(usage.max_rss() as f64 * UNIT / (1u64 << 30) as f64)
}

/// Not known on this system.
#[cfg(not(unix))]
fn peak_memory() -> Option<f64> {
    None
}
