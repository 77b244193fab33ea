//! `oxidiff bench`, on the embedded model and on a folder with a reference.

use std::collections::HashMap;
use std::path::PathBuf;

use oxidiff::{AutoencoderKL, DType, Device, Generator, Model, Tensor, UNet2DConditionModel};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

/// Checks a result line of `oxidiff bench`, which has `start` before the seconds; returns the rest after them.
#[track_caller]
fn check_line(line: &str, start: &str) -> String {
    let rest = line.strip_prefix(start).unwrap_or_else(|| panic!("no `{start}` at the start of: {line}"));
    let (seconds, rest) = rest.split_once(" s").expect(line);
    assert!(seconds.parse::<f64>().unwrap() > 0.0, "{line}");
    rest.to_owned()
}

#[test]
fn prints_times_and_their_breakdown() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(["bench", "--runs", "2", "--threads", "1", "--breakdown"]).succeeded();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(check_line(lines[0], "unet f32: median "), "");
    let vae = lines.iter().position(|line| line.starts_with("vae")).unwrap();
    assert_eq!(check_line(lines[vae], "vae f32: median "), "");
    for breakdown in [&lines[1..vae], &lines[vae + 1..lines.len() - 1]] {
        let (head, operations) = breakdown.split_first().unwrap();
        assert!(head.contains("GFLOP/s"), "{head}");
        let names: Vec<&str> = operations.iter().map(|line| line[2..46].trim()).collect();
        assert!(names.contains(&"convolution 3x3") && names.contains(&"all others"), "{names:?}");
        let percent: f64 = operations.iter().map(|line| line[62..68].trim().parse::<f64>().unwrap()).sum();
        assert!((percent - 100.0).abs() < 2.0, "{percent} % in: {}", run.stdout);
    }
    let memory = lines.last().unwrap().strip_prefix("peak memory ").unwrap().strip_suffix(" GiB").unwrap();
    assert!(memory.parse::<f64>().unwrap() > 0.0);
    assert!(sandbox.files().is_empty());
}

/// A pipeline folder with a reference: the outputs of the models for some inputs, each multiplied by a factor.
struct WithReference {
    sandbox: Sandbox,
    tensors: HashMap<&'static str, (Vec<usize>, Vec<f32>)>,
}

impl WithReference {
    fn new(unet_factor: f32, vae_factor: f32) -> Self {
        let sandbox = Sandbox::new();
        copy_folder(&PathBuf::from(ROOT).join("tests/fixtures/pipelines/sd1"), &sandbox.path("model"));
        let folder = sandbox.path("model");
        let folder = folder.to_str().unwrap();
        let unet = UNet2DConditionModel::from_pretrained(&format!("{folder}/unet")).unwrap();
        let vae = AutoencoderKL::from_pretrained(&format!("{folder}/vae")).unwrap();

        let mut generator = Generator::manual_seed(0);
        let mut random = |shape| generator.randn(shape, DType::F32, &Device::flex());
        let width = unet.config().cross_attention_dim.clone();
        let oxidiff::PerBlock::Same(width) = width else { panic!("one width") };
        let (sample, latents) = (random([1, 4, 8, 8]), random([1, 4, 8, 8]));
        let text = random([1, 1, 77, width]).squeeze_dim::<3>(0);
        let unet_out = unet.forward(sample.clone(), 500.0, text.clone()).unwrap() * unet_factor;
        let vae_out = vae.decode(latents.clone()).unwrap() * vae_factor;
        let parts = |x: Tensor<4>| (x.dims().to_vec(), x.into_data().try_to_vec::<f32>().unwrap());
        let tensors = HashMap::from([
            ("unet_sample", parts(sample)),
            ("unet_timestep", (vec![1], vec![500.0])),
            ("unet_text", (text.dims().to_vec(), text.into_data().try_to_vec().unwrap())),
            ("vae_latent", parts(latents)),
            ("unet_out", parts(unet_out)),
            ("vae_out", parts(vae_out)),
        ]);
        Self { sandbox, tensors }
    }

    fn bench(&self, arguments: &[&str]) -> Run {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let stored: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| (*name, shape.clone(), bytes(values)))
            .collect();
        let views = stored
            .iter()
            .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        let file = self.sandbox.path("model/reference.safetensors");
        std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
        self.sandbox.run([&["bench", "model", "--runs", "1"], arguments].concat())
    }
}

/// The relative errors of UNet and VAE that a run printed.
#[track_caller]
fn errors(run: Run) -> [f64; 2] {
    let run = run.succeeded();
    let mut lines = run.stdout.lines();
    ["unet", "vae"].map(|model| {
        let line = lines.next().unwrap();
        let (_, error) = line.split_once(", relative error ").unwrap_or_else(|| panic!("{model}: {line}"));
        error.parse().unwrap()
    })
}

#[test]
fn prints_the_error_against_the_reference() {
    let [unet, vae] = errors(WithReference::new(1.0, 1.0).bench(&[]));
    assert!(unet < 1e-6 && vae < 1e-6, "{unet} {vae}");
    let [unet, vae] = errors(WithReference::new(2.0, 1.25).bench(&["--batch", "1", "--size", "8"]));
    assert!((unet - 0.5).abs() < 1e-3 && (vae - 0.2).abs() < 1e-3, "{unet} {vae}");
    let [unet, vae] = errors(WithReference::new(1.0, 1.0).bench(&["--dtype", "bf16"]));
    assert!(unet > 1e-4 && vae > 1e-4 && unet < 0.1 && vae < 0.1, "{unet} {vae}");
}

#[test]
fn a_reference_of_another_size_is_ignored() {
    let run = WithReference::new(1.0, 1.0).bench(&["--size", "16"]).succeeded();
    assert!(run.stderr.contains("random inputs are used"), "{}", run.stderr);
    assert!(!run.stdout.contains("relative error"), "{}", run.stdout);
}

#[test]
fn references_that_do_not_fit_are_refused() {
    let mut missing = WithReference::new(1.0, 1.0);
    missing.tensors.remove("vae_out");
    missing.bench(&[]).failed_with(&["reference.safetensors", "`vae_out`"]);

    let mut other = WithReference::new(1.0, 1.0);
    other.tensors.insert("unet_out", (vec![1, 4, 2, 2], vec![0.0; 16]));
    other.bench(&[]).failed_with(&["reference.safetensors", "[1, 4, 2, 2]", "[1, 4, 8, 8]"]);
}

#[test]
fn pipelines_without_a_text_conditioned_unet_are_refused() {
    let folder = format!("{ROOT}/tests/fixtures/unconditional/pipelines/ddpm");
    Sandbox::new().run(["bench", &folder]).failed_with(&["DDPMPipeline", "UNet2DConditionModel"]);
}

#[test]
fn sizes_beyond_all_models_are_refused() {
    let sandbox = Sandbox::new();
    for (option, most) in [("--size", "4096"), ("--batch", "1024"), ("--threads", "1024")] {
        let range = format!("from 1 to {most}");
        sandbox.run(["bench", option, "100000000"]).failed_with(&[option, &range]);
    }
}
