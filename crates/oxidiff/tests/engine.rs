//! Models as the engine for cards records, plans and lays them out, against the same models on the CPU. The plan runs on the CPU
//! here, so this needs no card.
#![cfg(feature = "cuda")]

use burn::tensor::Distribution;
use oxidiff::{
    AutoencoderKL, CLIPTextModel, DType, Device, LoadOptions, Model, Tensor, UNet2DConditionModel,
    interpreter,
};

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/pipelines/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn load<M: Model>(folder: &str, part: &str, device: Device) -> M {
    let options = LoadOptions { subfolder: Some(part.into()), device, ..LoadOptions::default() };
    M::from_pretrained_with(folder, &options).unwrap()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// The relative distance in the 2-norm.
fn distance<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let norm = |x: Tensor<D>| x.cast(DType::F32).square().sum().into_scalar::<f32>().sqrt();
    norm(found - expected.clone()) / norm(expected)
}

#[test]
fn unets_agree() {
    for folder in [fixture("sd1"), fixture("sd2")] {
        let on_cpu: UNet2DConditionModel = load(&folder, "unet", Device::flex());
        let planned: UNet2DConditionModel = load(&folder, "unet", interpreter());
        let channels = on_cpu.config().in_channels;
        let width = match &on_cpu.config().cross_attention_dim {
            oxidiff::PerBlock::Same(dim) => *dim,
            oxidiff::PerBlock::Each(dims) => dims[0],
        };
        for [batch, height, side] in [[2, 8, 8], [1, 9, 13]] {
            let text = random([batch, 7, width]);
            for timestep in [981.0, 1.0] {
                let sample = random([batch, channels, height, side]);
                let expected = on_cpu.forward(sample.clone(), timestep, text.clone()).unwrap();
                let found = planned.forward(sample, timestep, text.clone()).unwrap();
                let distance = distance(found, expected);
                assert!(distance < 1e-5, "{folder}, {height}x{side}, timestep {timestep}: off by {distance}");
            }
        }
    }
}

#[test]
fn autoencoders_agree() {
    for folder in [fixture("sd1"), fixture("sd2")] {
        let on_cpu: AutoencoderKL = load(&folder, "vae", Device::flex());
        let planned: AutoencoderKL = load(&folder, "vae", interpreter());
        let latents = random([2, on_cpu.config().latent_channels, 7, 6]);
        let expected = on_cpu.decode(latents.clone()).unwrap();
        let off = distance(planned.decode(latents).unwrap(), expected);
        assert!(off < 1e-5, "{folder}: decoding is off by {off}");
        let image = random([1, 3, 32, 40]);
        let expected = on_cpu.encode(image.clone()).unwrap().mode();
        let off = distance(planned.encode(image).unwrap().mode(), expected);
        assert!(off < 1e-5, "{folder}: encoding is off by {off}");
    }
}

#[test]
fn text_encoders_agree() {
    for folder in [fixture("sd1"), fixture("sd2")] {
        let on_cpu: CLIPTextModel = load(&folder, "text_encoder", Device::flex());
        let planned: CLIPTextModel = load(&folder, "text_encoder", interpreter());
        let ids: Vec<Vec<u32>> = (0..2).map(|item| (0..9).map(|id| id * 3 + item).collect()).collect();
        let expected = on_cpu.forward(&ids, None).unwrap();
        let found = planned.forward(&ids, None).unwrap();
        assert_eq!(found.hidden_states.len(), expected.hidden_states.len());
        let off = distance(found.last_hidden_state, expected.last_hidden_state);
        assert!(off < 1e-5, "{folder}: off by {off}");
        let off = distance(found.pooler_output, expected.pooler_output);
        assert!(off < 1e-5, "{folder}: off by {off}");
    }
}
