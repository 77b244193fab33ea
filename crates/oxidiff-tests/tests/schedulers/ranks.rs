//! Compares schedulers with Python's for samples of ranks other than 4, as recorded by
//! `tests/fixtures/generate_scheduler_ranks.py`.

use oxidiff::{
    Config, DDIMScheduler, Device, FlowMatchLCMScheduler, Generator, Generators, RePaintScheduler, Scheduler,
    StepOptions, Tensor, schedulers,
};

use crate::fixture::{Recorded, assert_close, fixtures};

/// The cases of the generator: their names, classes, configurations and `eta`.
const CASES: [(&str, &str, &str, Option<f64>); 7] = [
    ("ddim", "DDIMScheduler", r#"{"clip_sample": false}"#, Some(0.7)),
    ("ddim_thresholding", "DDIMScheduler", r#"{"thresholding": true}"#, None),
    ("euler_ancestral", "EulerAncestralDiscreteScheduler", "{}", None),
    ("flow_match", "FlowMatchEulerDiscreteScheduler", r#"{"shift": 3.0}"#, None),
    ("dpmsolver", "DPMSolverMultistepScheduler", "{}", None),
    ("dpmsolver_sde", "DPMSolverMultistepScheduler", r#"{"algorithm_type": "sde-dpmsolver++"}"#, None),
    ("unipc", "UniPCMultistepScheduler", "{}", None),
];
const TOLERANCE: f32 = 1e-5;

/// The stand-in for a model that the generator uses.
fn model<const D: usize>(sample: Tensor<D>, timestep: f32) -> Tensor<D> {
    sample.clone() * 0.3 + sample.clamp(-1.0, 1.0) * 0.1 + 0.0005 * timestep
}

fn compare_runs<const D: usize>() {
    let recorded = Recorded::open(&fixtures().join("schedulers/ranks.safetensors"));
    let input = |name: &str| recorded.floats::<D>(&format!("{name}.{D}"));
    for (case, class_name, config, eta) in CASES {
        let compare = |what: &str, ours: Tensor<D>| {
            let key = format!("{case}.{D}.{what}");
            let theirs = recorded.floats::<D>(&key);
            let size = theirs.clone().abs().max().into_scalar::<f32>().max(1.0);
            assert_close(&key, ours / size, theirs / size, TOLERANCE);
        };
        let config = Config::from_json(config).unwrap();
        let mut scheduler = schedulers::from_config(class_name, &config).unwrap();
        scheduler.set_timesteps(3).unwrap();
        let timesteps = scheduler.timesteps().to_vec();
        compare("noisy", scheduler.add_noise_any(input("sample"), input("noise"), &timesteps[1..2]).unwrap());

        let mut generator = Generators::One(Generator::manual_seed(5));
        let mut sample = input("sample") * scheduler.init_noise_sigma();
        for (index, &timestep) in timesteps.iter().enumerate() {
            let scaled = scheduler.scale_model_input_any(sample.clone(), timestep).unwrap();
            let options = StepOptions { eta, generator: Some(&mut generator), ..Default::default() };
            let output = scheduler.step_any(model(scaled, timestep), timestep, sample, options).unwrap();
            if let Some(original) = output.pred_original_sample {
                assert_eq!(original.dims(), output.prev_sample.dims(), "{case}");
            }
            sample = output.prev_sample;
            if index == 0 {
                compare("first", sample.clone());
            }
        }
        compare("last", sample);
    }
}

#[test]
fn packed_latents_are_stepped_as_in_python() {
    compare_runs::<3>();
}

#[test]
fn videos_are_stepped_as_in_python() {
    compare_runs::<5>();
}

fn ones<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::ones(shape, &Device::flex())
}

/// The first step of a run of two.
fn first_step<const D: usize>(
    scheduler: &mut dyn Scheduler,
    model_output: Tensor<D>,
    sample: Tensor<D>,
    options: StepOptions<'_, D>,
) -> oxidiff::Result<Tensor<D>> {
    scheduler.set_timesteps(2).unwrap();
    let timestep = scheduler.timesteps()[0];
    scheduler.step_any(model_output, timestep, sample, options).map(|output| output.prev_sample)
}

#[test]
fn images_may_change_their_size() {
    let config = Config::from_json(r#"{"scale_factors": [1.5]}"#).unwrap();
    let mut scheduler = FlowMatchLCMScheduler::from_config(&config).unwrap();
    let image = || ones([1, 4, 4, 6]);
    let larger = first_step(&mut scheduler, image(), image(), StepOptions::default()).unwrap();
    assert_eq!(larger.dims(), [1, 4, 6, 9]);
}

#[test]
fn samples_of_two_dimensions_are_vectors() {
    let mut scheduler = DDIMScheduler::new(Default::default()).unwrap();
    let stepped = first_step(&mut scheduler, ones([3, 7]), ones([3, 7]), StepOptions::default()).unwrap();
    assert_eq!(stepped.dims(), [3, 7]);
}

#[track_caller]
fn refused<T>(result: oxidiff::Result<T>, parts: &[&str]) {
    let Err(error) = result else { panic!("should have failed") };
    let error = error.to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn what_is_for_images_refuses_other_ranks() {
    let video = || ones([1, 4, 3, 4, 4]);
    let tokens = || ones([2, 6, 4]);
    let mut repaint = RePaintScheduler::new(Default::default()).unwrap();
    let stepped = first_step(&mut repaint, tokens(), tokens(), StepOptions::default());
    refused(stepped, &["RePaintScheduler", "rank 3", "images"]);

    let mut flow = FlowMatchLCMScheduler::new(Default::default()).unwrap();
    first_step(&mut flow, video(), video(), StepOptions::default()).unwrap();
    let config = Config::from_json(r#"{"scale_factors": [1.5]}"#).unwrap();
    let mut growing = FlowMatchLCMScheduler::from_config(&config).unwrap();
    let stepped = first_step(&mut growing, video(), video(), StepOptions::default());
    refused(stepped, &["FlowMatchLCMScheduler", "rank 5", "images"]);

    let mut ddim = DDIMScheduler::new(Default::default()).unwrap();
    let options = StepOptions { mask: Some(tokens()), ..Default::default() };
    refused(first_step(&mut ddim, tokens(), tokens(), options), &["`mask`", "rank 3", "images"]);
    let options = StepOptions { original_image: Some(video()), ..Default::default() };
    refused(first_step(&mut ddim, video(), video(), options), &["`original_image`", "rank 5", "images"]);
}

#[test]
fn shapes_must_agree_before_they_are_folded() {
    let mut ddim = DDIMScheduler::new(Default::default()).unwrap();
    let video = || ones([1, 4, 3, 4, 4]);
    let turned = || ones([1, 4, 4, 3, 4]);
    refused(first_step(&mut ddim, turned(), video(), StepOptions::default()), &["model_output"]);
    let options = StepOptions { variance_noise: Some(turned()), ..Default::default() };
    refused(first_step(&mut ddim, video(), video(), options), &["variance_noise"]);
    let scheduler: &dyn Scheduler = &ddim;
    refused(scheduler.add_noise_any(video(), turned(), &[500.0]), &["noise"]);
    refused(
        first_step(&mut ddim, ones([4]), ones([4]), StepOptions::default()),
        &["[4]", "[batch, channels]"],
    );
}
