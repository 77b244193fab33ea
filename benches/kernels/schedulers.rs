//! Times what happens between two calls of a model: guidance, and a step of the scheduler, with the latents of 512x512 and 1024x1024
//! pixels.

use criterion::{Criterion, criterion_group, criterion_main};
use oxidiff::{Config, DType, Device, Generator, StepOptions, Tensor, scheduler_from_config};

fn steps(criterion: &mut Criterion) {
    let mut generator = Generator::manual_seed(0);
    let mut random = |batch, side| generator.randn([batch, 4, side, side], DType::F32, &Device::flex());
    for side in [64, 128] {
        let mut group = criterion.benchmark_group(format!("guidance and a step, {side}x{side} latents"));
        for class in [
            "DDIMScheduler",
            "PNDMScheduler",
            "EulerDiscreteScheduler",
            "DPMSolverMultistepScheduler",
            "UniPCMultistepScheduler",
        ] {
            let config = Config::from_json("{}").expect("a configuration");
            let mut scheduler = scheduler_from_config(class, &config).expect("a scheduler");
            let (sample, predictions) = (random(1, side), random(2, side));
            scheduler.set_timesteps(50).expect("as many steps");
            let timesteps = scheduler.timesteps().to_vec();
            let mut next = 0;
            group.bench_function(class, |b| {
                b.iter(|| {
                    if next == timesteps.len() {
                        scheduler.set_timesteps(50).expect("as many steps");
                        next = 0;
                    }
                    let timestep = timesteps[next];
                    next += 1;
                    let pair = Tensor::cat(vec![sample.clone(), sample.clone()], 0);
                    scheduler.scale_model_input(pair, timestep).expect("a timestep of this run");
                    let [without, with] = predictions.clone().chunk(2, 0).try_into().expect("two halves");
                    let prediction: Tensor<4> = without.clone() + (with - without) * 7.5;
                    scheduler.step(prediction, timestep, sample.clone(), StepOptions::default())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
