//! Models as the engine for cards records, plans and lays them out, against the same models on the CPU. The plan runs on the CPU
//! here, so this needs no card.

use std::cell::RefCell;

use oxidiff::{
    AutoencoderKL, CLIPTextModel, ControlNetModel, DType, Device, FreeU, Generator, IpAdapterInputs,
    IpAdapterLoader, IpAdapterOptions, LoadOptions, Model, Pipeline, StableDiffusionPipeline, Tensor,
    UNet2DConditionInputs, UNet2DConditionModel, interpreter,
};

pub fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/pipelines/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn load<M: Model>(folder: &str, part: &str, device: Device) -> M {
    let options = LoadOptions { subfolder: Some(part.into()), device, ..LoadOptions::default() };
    M::from_pretrained_with(folder, &options).unwrap()
}

thread_local! {
    /// Each test has a thread of its own, so its values do not depend on what runs beside it.
    static NOISE: RefCell<Generator> = RefCell::new(Generator::manual_seed(0));
}

pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let shape_of_all = [shape.iter().product(), 1, 1, 1];
    NOISE.with_borrow_mut(|noise| noise.randn(shape_of_all, DType::F32, &Device::flex())).reshape(shape)
}

/// The width of the text that a UNet takes.
fn text_width(unet: &UNet2DConditionModel) -> usize {
    match &unet.config().cross_attention_dim {
        oxidiff::PerBlock::Same(dim) => *dim,
        oxidiff::PerBlock::Each(dims) => dims[0],
    }
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
        let mut on_cpu: UNet2DConditionModel = load(&folder, "unet", Device::flex());
        let mut planned: UNet2DConditionModel = load(&folder, "unet", interpreter());
        let channels = on_cpu.config().in_channels;
        let width = text_width(&on_cpu);
        for [batch, height, side, freeu] in [[2, 8, 8, 0], [1, 9, 13, 0], [1, 9, 13, 1], [2, 8, 8, 1]] {
            let text = random([batch, 7, width]);
            if freeu == 1 {
                let factors = FreeU { s1: 0.9, s2: 0.2, b1: 1.5, b2: 1.6 };
                on_cpu.enable_freeu(factors).unwrap();
                planned.enable_freeu(factors).unwrap();
            }
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
fn models_that_left_a_card_come_back() {
    oxidiff::set_model_cpu_offload(true);
    let folder = fixture("sd1");
    let unet: UNet2DConditionModel = load(&folder, "unet", interpreter());
    let encoder: CLIPTextModel = load(&folder, "text_encoder", interpreter());
    let vae: AutoencoderKL = load(&folder, "vae", interpreter());
    let text = encoder.forward(&[vec![1, 2, 3]], None).unwrap().last_hidden_state;
    let sample = random([1, unet.config().in_channels, 8, 8]);
    let embedding = random([1, 7, text_width(&unet)]);
    let latents = random([1, vae.config().latent_channels, 8, 8]);
    let call = || {
        let text = encoder.forward(&[vec![1, 2, 3]], None).unwrap().last_hidden_state;
        (
            text,
            unet.forward(sample.clone(), 3.0, embedding.clone()).unwrap(),
            vae.decode(latents.clone()).unwrap(),
        )
    };
    let before = call();
    unet.release_memory();
    encoder.release_memory();
    Model::release_memory(&vae);
    let after = call();
    assert_eq!(distance(after.0, text), 0.0);
    assert_eq!(distance(after.1, before.1), 0.0);
    assert_eq!(distance(after.2, before.2), 0.0);
}

#[test]
fn weights_that_pass_through_a_card_give_the_same_results() {
    let folder = fixture("sd1");
    let models = || {
        let unet: UNet2DConditionModel = load(&folder, "unet", interpreter());
        (
            unet,
            load::<CLIPTextModel>(&folder, "text_encoder", interpreter()),
            load(&folder, "vae", interpreter()),
        )
    };
    let (unet, _, vae): (_, _, AutoencoderKL) = models();
    let sample = random([2, unet.config().in_channels, 8, 8]);
    let embedding = random([2, 7, text_width(&unet)]);
    let latents = random([1, vae.config().latent_channels, 8, 8]);
    let call = |(unet, encoder, vae): &(UNet2DConditionModel, CLIPTextModel, AutoencoderKL)| {
        (
            encoder.forward(&[vec![1, 2, 3]], None).unwrap().last_hidden_state,
            unet.forward(sample.clone(), 3.0, embedding.clone()).unwrap(),
            vae.decode(latents.clone()).unwrap(),
        )
    };
    let stayed = call(&models());
    oxidiff::set_sequential_cpu_offload(true);
    let models = models();
    let passed = [call(&models), call(&models)];
    models.0.release_memory();
    let again = call(&models);
    oxidiff::set_sequential_cpu_offload(false);
    for passed in passed.into_iter().chain([again]) {
        assert_eq!(distance(passed.0, stayed.0.clone()), 0.0);
        assert_eq!(distance(passed.1, stayed.1.clone()), 0.0);
        assert_eq!(distance(passed.2, stayed.2.clone()), 0.0);
    }
}

#[test]
fn controlnets_agree_and_unets_add_their_residuals() {
    let folder = format!("{}/../../tests/fixtures/controlnet", env!("CARGO_MANIFEST_DIR"));
    let on_cpu: ControlNetModel = load(&folder, "controlnet", Device::flex());
    let planned: ControlNetModel = load(&folder, "controlnet", interpreter());
    let [unet, planned_unet] =
        [Device::flex(), interpreter()].map(|device| load::<UNet2DConditionModel>(&folder, "unet", device));
    // Of the last one, an image inside has a single row.
    for [batch, height, width] in [[2, 8, 8], [1, 9, 6], [2, 2, 8]] {
        let (sample, text) = (random([batch, 4, height, width]), random([batch, 7, 24]));
        let image = random([batch, 3, 8 * height, 8 * width]);
        let expected = on_cpu.forward(sample.clone(), 501.0, text.clone(), image.clone()).unwrap();
        let found = planned.forward(sample.clone(), 501.0, text.clone(), image).unwrap();
        for (found, expected) in
            found.down_block_res_samples.into_iter().zip(&expected.down_block_res_samples)
        {
            let off = distance(found, expected.clone());
            assert!(off < 1e-5, "{height}x{width}: off by {off}");
        }
        let off = distance(found.mid_block_res_sample, expected.mid_block_res_sample.clone());
        assert!(off < 1e-5, "{height}x{width}: off by {off}");

        for pools in [false, true] {
            let pooled = |residual: &Tensor<4>| match pools {
                true => residual.clone().mean_dim(2).mean_dim(3),
                false => residual.clone(),
            };
            let inputs = UNet2DConditionInputs {
                down_block_additional_residuals: expected.down_block_res_samples.iter().map(pooled).collect(),
                mid_block_additional_residual: Some(pooled(&expected.mid_block_res_sample)),
                ..Default::default()
            };
            let call = |unet: &UNet2DConditionModel| {
                unet.forward_with(sample.clone(), &[501.0], text.clone(), inputs.clone()).unwrap()
            };
            let off = distance(call(&planned_unet), call(&unet));
            assert!(off < 1e-5, "{height}x{width}, pooled: {pools}: off by {off}");
        }
        // Without residuals, it is another plan.
        let plain = |unet: &UNet2DConditionModel| unet.forward(sample.clone(), 501.0, text.clone()).unwrap();
        let off = distance(plain(&planned_unet), plain(&unet));
        assert!(off < 1e-5, "{height}x{width}: off by {off}");
    }
}

#[test]
fn ip_adapters_agree() {
    let folder = format!("{}/../../tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let adapter = format!("{folder}/ip_adapter/models/ip-adapter-plus_sd15.safetensors");
    let with_adapter = |device| {
        let unet = load(&format!("{folder}/controlnet"), "unet", device);
        let mut pipeline = StableDiffusionPipeline::from_pretrained(&fixture("sd1")).unwrap();
        pipeline.unet = unet;
        pipeline.load_ip_adapter(&adapter, &IpAdapterOptions::default()).unwrap();
        pipeline
    };
    let (mut on_cpu, mut planned) = (with_adapter(Device::flex()), with_adapter(interpreter()));
    let (text, sample) = (random([2, 7, 24]), random([2, 4, 9, 6]));
    let image_embeds = vec![random([2, 2, 17, 16])];
    for scale in [1.0, 0.4, 0.0] {
        for pipeline in [&mut on_cpu, &mut planned] {
            pipeline.set_ip_adapter_scale(&[scale.into()]).unwrap();
        }
        for masks in [Vec::new(), vec![Some(random([1, 2, 36, 24]))]] {
            let inputs = UNet2DConditionInputs {
                ip_adapter: Some(IpAdapterInputs { image_embeds: image_embeds.clone(), masks }),
                ..Default::default()
            };
            let call = |unet: &UNet2DConditionModel| {
                unet.forward_with(sample.clone(), &[501.0], text.clone(), inputs.clone()).unwrap()
            };
            let off = distance(call(&planned.unet), call(&on_cpu.unet));
            assert!(off < 1e-5, "scale {scale}: off by {off}");
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

#[test]
fn unets_add_the_features_of_t2i_adapters() {
    let folder = fixture("sd1");
    let [unet, planned] =
        [Device::flex(), interpreter()].map(|device| load::<UNet2DConditionModel>(&folder, "unet", device));
    for [batch, height, width] in [[2, 8, 8], [1, 9, 6]] {
        let (sample, text) = (random([batch, 4, height, width]), random([batch, 7, 24]));
        let sized = |channels, halvings: u32| {
            let side = |side: usize| (0..halvings).fold(side, |side, _| side.div_ceil(2));
            random([batch, channels, side(height), side(width)])
        };
        let features = [sized(16, 0), sized(32, 1), sized(32, 2), sized(32, 2)];
        // Fewer, too: there is a plan for each number.
        let plain = unet.forward(sample.clone(), 501.0, text.clone()).unwrap();
        for count in [4, 1, 3] {
            let inputs = UNet2DConditionInputs {
                down_intrablock_additional_residuals: features[..count].to_vec(),
                ..Default::default()
            };
            let call = |unet: &UNet2DConditionModel| {
                unet.forward_with(sample.clone(), &[501.0], text.clone(), inputs.clone()).unwrap()
            };
            let expected = call(&unet);
            assert!(distance(expected.clone(), plain.clone()) > 1e-2);
            let off = distance(call(&planned), expected);
            assert!(off < 1e-5, "{count} features, {height}x{width}: off by {off}");
        }
    }
}
