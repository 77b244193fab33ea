//! Transformers as the engine for cards records and plans them, against the same on the CPU.

use oxidiff::{
    Config, DType, FluxControlSamples, FluxInputs, FluxTransformer2DConfig, FluxTransformer2DModel, Model,
    Tensor, interpreter,
};

use crate::engine::random;
use crate::fixture::drawn::drawn;

/// The model with the same weights on the CPU, and as on a card, in both element types with the largest distance that is allowed.
fn models<M: Model>(config: &M::Config) -> [(M, M, f32); 2] {
    let config = Config::from_json(&serde_json::to_string(config).unwrap()).unwrap();
    let model: M = drawn(&config, 1);
    [(DType::F32, 2e-5), (DType::BF16, 3e-2)].map(|(dtype, most)| {
        let on_cpu = model.cast(dtype);
        let mut planned = on_cpu.clone();
        planned.place_on_card(&interpreter()).unwrap();
        (on_cpu, planned, most)
    })
}

/// Checks a result of a model as on a card, in the 2-norm.
fn assert_near(found: Tensor<3>, expected: Tensor<3>, most: f32, name: &str) {
    assert_eq!(found.dims(), expected.dims());
    let norm = |x: Tensor<3>| x.cast(DType::F32).square().sum().into_scalar::<f32>().sqrt();
    let size = norm(expected.clone());
    let distance = norm(found.cast(DType::F32) - expected.cast(DType::F32)) / size;
    assert!(distance < most && size > 0.0, "{name}: off by {distance}");
}

/// Places of the tokens of an image.
fn places(height: usize, width: usize) -> Vec<[f32; 3]> {
    (0..height * width).map(|token| [0.0, (token / width) as f32, (token % width) as f32]).collect()
}

#[test]
fn flux_agrees() {
    for guidance_embeds in [true, false] {
        let config = FluxTransformer2DConfig {
            in_channels: 8,
            num_layers: 2,
            num_single_layers: 2,
            attention_head_dim: 8,
            num_attention_heads: 2,
            joint_attention_dim: 6,
            pooled_projection_dim: 5,
            axes_dims_rope: [2, 2, 4],
            guidance_embeds,
            ..Default::default()
        };
        for (on_cpu, planned, most) in models::<FluxTransformer2DModel>(&config) {
            for (batch, [height, width], controls) in
                [(1, [2, 3], [0, 0]), (2, [3, 3], [1, 2]), (2, [3, 3], [2, 1])]
            {
                let img_ids = places(height, width);
                let [tokens, text] = [random([batch, height * width, 8]), random([batch, 4, 6])];
                let pooled = random([batch, 5]);
                let samples = |count| (0..count).map(|_| random([batch, height * width, 16])).collect();
                let [blocks, single_blocks] = controls.map(samples);
                let control = FluxControlSamples { blocks, single_blocks, repeat: false };
                for timestep in [1.0, 0.25] {
                    let inputs = FluxInputs {
                        hidden_states: tokens.clone(),
                        encoder_hidden_states: text.clone(),
                        pooled_projections: pooled.clone(),
                        timestep: &[timestep],
                        img_ids: &img_ids,
                        txt_ids: &[[0.0; 3]; 4],
                        guidance: guidance_embeds.then_some(&[3.5]),
                    };
                    let [expected, found] =
                        [&on_cpu, &planned].map(|model| model.forward_with(&inputs, &control).unwrap());
                    assert_near(found, expected, most, &format!("{controls:?}, timestep {timestep}"));
                }
            }
        }
    }
}
