//! Compares the schedulers that can replace each other with Python's, as recorded by
//! `tests/fixtures/generate_schedulers.py`.

use oxidiff::{
    Config, Device, Scheduler, StepOptions, Tensor, TimestepOptions, UniPCMultistepScheduler, schedulers,
};

use super::cases::{Fixtures, compare_cases, compare_swaps, deviation, model, values};

fn fixtures() -> Fixtures {
    Fixtures::load("schedulers", &["cases", "k_diffusion", "sde_and_inverse", "solvers", "further_arguments"])
}

#[test]
fn every_case_computes_what_python_does() {
    let fixtures = fixtures();
    assert!(fixtures.cases.len() > 1100, "only {} cases", fixtures.cases.len());
    compare_cases(&fixtures);
}

#[test]
fn configurations_survive_a_change_of_scheduler_as_in_python() {
    let fixtures = fixtures();
    assert!(fixtures.swaps.len() > 10, "only {} swaps", fixtures.swaps.len());
    compare_swaps(&fixtures);
}

#[test]
fn compatible_classes_are_the_available_ones_of_python() {
    let compatibles = |class_name: &str| {
        schedulers::from_config(class_name, &Config::from_json("{}").unwrap()).unwrap().compatibles()
    };
    let expected = [
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSDEScheduler",
        "DPMSolverSinglestepScheduler",
        "EDMEulerScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    ];
    // EDMEulerScheduler is in the others' lists, but does not list them.
    for class_name in expected.into_iter().filter(|&class_name| class_name != "EDMEulerScheduler") {
        assert_eq!(compatibles(class_name), expected, "{class_name}");
    }
    // The classes above can replace these, but not the other way round.
    for class_name in ["DPMSolverMultistepInverseScheduler", "SASolverScheduler"] {
        let mut others = compatibles(class_name);
        assert!(others.contains(&class_name), "{class_name}");
        others.retain(|other| *other != class_name);
        assert_eq!(others, expected, "{class_name}");
    }
    for class_name in ["DDIMInverseScheduler", "EDMEulerScheduler"] {
        assert_eq!(compatibles(class_name), [class_name]);
    }
}

/// The samples of a run of UniPC, and its last prediction.
fn unipc_samples(json: &str, steps: usize) -> oxidiff::Result<(Vec<Tensor<4>>, Tensor<4>)> {
    let fixtures = fixtures();
    let mut scheduler = UniPCMultistepScheduler::from_config(&Config::from_json(json)?)?;
    scheduler.set_timesteps(steps)?;
    let mut sample = fixtures.tensor("sample");
    let mut samples = vec![sample.clone()];
    let mut prediction = sample.clone();
    for timestep in scheduler.timesteps().to_vec() {
        prediction = model(&fixtures, sample.clone(), timestep, false);
        sample = scheduler.step(prediction.clone(), timestep, sample, StepOptions::default())?.prev_sample;
        samples.push(sample.clone());
    }
    Ok((samples, prediction))
}

/// Pipelines give every scheduler the shift of an image's size.
#[test]
fn unipc_with_a_fixed_shift_has_no_use_for_another() {
    let config = Config::from_json(r#"{"use_flow_sigmas": true, "flow_shift": 3.0}"#).unwrap();
    let sigmas = |mu: Option<f64>| {
        let mut scheduler = UniPCMultistepScheduler::from_config(&config).unwrap();
        let options = TimestepOptions { num_inference_steps: Some(4), mu, ..TimestepOptions::default() };
        scheduler.set_timesteps_with(options).unwrap();
        scheduler.timesteps().to_vec()
    };
    assert_eq!(sigmas(Some(0.7)), sigmas(None));
}

#[test]
fn unipc_is_finite_where_python_is_not() {
    for solver in ["bh1", "bh2"] {
        for predict_x0 in [true, false] {
            for rule in ["use_karras_sigmas", "use_flow_sigmas", "thresholding"] {
                for order in [1, 2, 3] {
                    let json = |last: &str| {
                        format!(
                            r#"{{"prediction_type": "sample", "solver_type": "{solver}", "predict_x0": {predict_x0},
                            "solver_order": {order}, "{rule}": true, "disable_corrector": [0, 1, 2, 3, 4, 5], {last}}}"#
                        )
                    };
                    // A step to no noise leaves the noise-free sample.
                    let (samples, prediction) =
                        unipc_samples(&json(r#""final_sigmas_type": "zero""#), 6).unwrap();
                    let expected = match rule {
                        // The model predicts the noise-free sample, which thresholding clips.
                        "thresholding" if predict_x0 => prediction.clamp(-1.0, 1.0),
                        _ => prediction,
                    };
                    let off = deviation(&values(samples[6].clone()), &values(expected));
                    assert!(off < 1e-4, "{solver} {predict_x0} {rule} {order}: {off}");

                    // Without lower orders at the end there is no limit.
                    let full = json(r#""final_sigmas_type": "zero", "lower_order_final": false"#);
                    match unipc_samples(&full, 6) {
                        Ok(_) => assert_eq!(order, 1),
                        Err(error) => assert!(error.to_string().contains("not finite"), "{error}"),
                    }
                    // A step between equal levels changes nothing.
                    if rule != "thresholding" {
                        let last = r#""final_sigmas_type": "sigma_min", "lower_order_final": false"#;
                        let (samples, _) = unipc_samples(&json(last), 6).unwrap();
                        assert_eq!(values(samples[6].clone()), values(samples[5].clone()));
                    }
                }
            }
        }
    }
}

/// What DEISMultistepScheduler of diffusers 0.42.1 computes from the sample [0.5, -1] and the prediction 0.3·x + 0.1.
const DEIS_OF_VELOCITIES: [(bool, [[f32; 2]; 3]); 2] = [
    (false, [[8.175_201, -16.379_948], [38.224_34, -76.760_87], [41.698_284, -83.983_72]]),
    (true, [[0.416_748, -0.933_380_1], [0.342_534_2, -0.874_012_5], [0.342_534_2, -0.874_012_5]]),
];

#[test]
fn deis_takes_velocities_as_python_does() {
    for (use_flow_sigmas, expected) in DEIS_OF_VELOCITIES {
        let config = Config::from_json(r#"{"prediction_type": "flow_prediction"}"#).unwrap();
        let config = config.with("use_flow_sigmas", use_flow_sigmas);
        let mut scheduler = schedulers::from_config("DEISMultistepScheduler", &config).unwrap();
        scheduler.set_timesteps(3).unwrap();
        let mut sample = Tensor::<4>::from_floats([[[[0.5, -1.0]]]], &Device::default());
        for (timestep, expected) in scheduler.timesteps().to_vec().into_iter().zip(expected) {
            let prediction = sample.clone() * 0.3 + 0.1;
            sample =
                scheduler.step(prediction, timestep, sample, StepOptions::default()).unwrap().prev_sample;
            let off = deviation(&values(sample.clone()), &expected);
            assert!(off < 1e-5, "{use_flow_sigmas}, {timestep}: {off}");
        }
    }
}

#[test]
fn a_run_cannot_begin_with_the_second_call_of_a_step() {
    for class_name in ["KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DPMSolverSDEScheduler"] {
        let mut scheduler = schedulers::from_config(class_name, &Config::default()).unwrap();
        let sample = || Tensor::<4>::ones([1, 1, 2, 2], &Device::default());
        for (begin, steps) in [(1, 2), (1, 5), (3, 5)] {
            scheduler.set_timesteps(steps).unwrap();
            scheduler.set_begin_index(begin);
            let timestep = scheduler.timesteps()[begin];
            let scaled = scheduler.scale_model_input(sample(), timestep).map(|_| ());
            let stepped = scheduler.step(sample(), timestep, sample(), StepOptions::default()).map(|_| ());
            for error in [scaled.unwrap_err(), stepped.unwrap_err()] {
                assert!(error.to_string().contains("begin_index"), "{class_name}, {begin}: {error}");
            }
        }
    }
}

#[test]
fn unipc_shifts_given_noise_levels_like_its_own() {
    let config = Config::from_json(r#"{"use_flow_sigmas": true, "use_dynamic_shifting": true}"#).unwrap();
    let mut own = UniPCMultistepScheduler::from_config(&config).unwrap();
    own.set_timesteps_with_mu(5, 0.8).unwrap();
    let sigmas: Vec<f32> = (0..5).map(|step| 1.0 - 0.999 * step as f32 / 5.0).collect();
    let mut given = own.clone();
    let options = TimestepOptions { sigmas: Some(&sigmas), mu: Some(0.8), ..Default::default() };
    given.set_timesteps_with(options).unwrap();
    assert!(deviation(given.sigmas().unwrap(), own.sigmas().unwrap()) < 1e-6);
    assert_eq!(given.timesteps(), own.timesteps());
}
