//! Timesteps and noise levels that are refused, and the longest runs.

use oxidiff::{
    Config, DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler, Scheduler,
    TimestepOptions, schedulers,
};

use super::{build, error, sample, step, with_betas};

#[test]
fn impossible_numbers_of_steps_are_refused() {
    for class_name in schedulers::CLASS_NAMES {
        let message = error(build(class_name, "{}").unwrap().set_timesteps(0));
        assert!(message.contains("num_inference_steps"), "{class_name}: {message}");
    }
    for class_name in ["DDIMScheduler", "DDPMScheduler"] {
        let message = error(build(class_name, "{}").unwrap().set_timesteps(1001));
        assert!(message.contains("1001 cannot be larger"), "{class_name}: {message}");
    }
    let message = error(PNDMScheduler::new(Default::default()).unwrap().set_timesteps(3));
    assert!(message.contains("skip_prk_steps"), "{message}");
}

#[test]
fn a_distillation_is_blamed_on_the_configuration_unless_it_is_given() {
    for class_name in ["LCMScheduler", "TCDScheduler"] {
        let json = r#"{"original_inference_steps": 2000}"#;
        let message = error(build(class_name, json).unwrap().set_timesteps(4));
        assert!(message.contains("field `original_inference_steps`"), "{class_name}: {message}");
    }
    let options = TimestepOptions { original_inference_steps: Some(2000), ..TimestepOptions::steps(4) };
    let message = error(build("LCMScheduler", "{}").unwrap().set_timesteps_with(options));
    assert!(message.starts_with("`original_inference_steps`"), "{message}");
}

#[test]
fn trailing_runs_have_the_requested_number_of_steps() {
    // 61 steps of 1000/61 add up to slightly less than 1000 after rounding.
    for class_name in with_betas() {
        let json = r#"{"timestep_spacing": "trailing", "skip_prk_steps": true}"#;
        let mut scheduler = build(class_name, json).unwrap();
        scheduler.set_timesteps(61).unwrap();
        let expected = match (class_name, scheduler.order()) {
            ("PNDMScheduler", _) => 62,
            // The last step is one call of the model, whatever the order.
            (_, order) => 61 * order - (order - 1),
        };
        assert_eq!(scheduler.timesteps().len(), expected, "{class_name}");
        assert!(scheduler.timesteps().iter().all(|&timestep| timestep >= 0.0), "{class_name}");
    }
}

#[test]
fn custom_timesteps_and_sigmas_are_checked() {
    let mut ddpm = DDPMScheduler::new(Default::default()).unwrap();
    assert!(error(ddpm.set_custom_timesteps(&[])).contains("empty"));
    assert!(error(ddpm.set_custom_timesteps(&[5.0, 5.0])).contains("descending"));
    assert!(error(ddpm.set_custom_timesteps(&[1000.0, 5.0])).contains("must start before"));
    assert!(error(ddpm.set_custom_timesteps(&[5.0, -1.0])).contains("-1"));
    assert!(error(ddpm.set_custom_timesteps(&[5.5])).contains("5.5"));
    assert!(error(ddpm.set_custom_sigmas(&[5.0, 0.0])).contains("DDPMScheduler"));

    for class_name in ["DDIMScheduler", "PNDMScheduler", "EulerAncestralDiscreteScheduler"] {
        let mut scheduler = build(class_name, "{}").unwrap();
        assert!(error(scheduler.set_custom_timesteps(&[5.0])).contains(class_name));
        assert!(error(scheduler.set_custom_sigmas(&[5.0, 0.0])).contains(class_name));
    }
    for class_name in ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler"] {
        for flag in ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] {
            let mut scheduler = build(class_name, &format!(r#"{{"{flag}": true}}"#)).unwrap();
            assert!(error(scheduler.set_custom_timesteps(&[5.0])).contains(flag), "{class_name}");
        }
        assert!(error(build(class_name, "{}").unwrap().set_custom_timesteps(&[])).contains("empty"));
    }
    let json = r#"{"timestep_type": "continuous", "prediction_type": "v_prediction"}"#;
    let message = error(build("EulerDiscreteScheduler", json).unwrap().set_custom_timesteps(&[5.0]));
    assert!(message.contains("continuous"), "{message}");
    let mut euler = EulerDiscreteScheduler::new(Default::default()).unwrap();
    assert!(error(euler.set_custom_sigmas(&[])).contains("sigmas"));
    assert!(error(euler.set_custom_sigmas(&[1.0])).contains("sigmas"));

    let mut dpm = DPMSolverMultistepScheduler::new(Default::default()).unwrap();
    assert!(error(dpm.set_timesteps_with_mu(5, 0.5)).contains("use_dynamic_shifting"));
    assert!(error(dpm.set_custom_timesteps(&[5.5])).contains("5.5"));
}

#[test]
fn solvers_refuse_arguments_that_only_others_take() {
    let mut inverse = build("DDIMInverseScheduler", r#"{"timestep_spacing": "linspace"}"#).unwrap();
    assert!(error(inverse.set_timesteps(5)).contains("timestep_spacing"));

    let shifting = r#"{"use_flow_sigmas": true, "use_dynamic_shifting": true}"#;
    assert!(error(build("UniPCMultistepScheduler", shifting).unwrap().set_timesteps(5)).contains("`mu`"));
    let mut unipc = build("UniPCMultistepScheduler", "{}").unwrap();
    assert!(error(unipc.set_custom_sigmas(&[0.5])).contains("use_flow_sigmas"));
    assert!(error(unipc.set_custom_timesteps(&[5.0])).contains("UniPCMultistepScheduler"));
    let mut flow = build("UniPCMultistepScheduler", r#"{"use_flow_sigmas": true}"#).unwrap();
    assert!(error(flow.set_custom_sigmas(&[])).contains("empty"));

    let mut single = build("DPMSolverSinglestepScheduler", r#"{"use_beta_sigmas": true}"#).unwrap();
    assert!(error(single.set_custom_timesteps(&[5.0])).contains("use_beta_sigmas"));
    let mut single = build("DPMSolverSinglestepScheduler", "{}").unwrap();
    assert!(error(single.set_custom_timesteps(&[])).contains("empty"));
    assert!(error(single.set_custom_timesteps(&[5.5])).contains("5.5"));

    let mut sde = build("DPMSolverSDEScheduler", r#"{"noise_sampler_seed": [1, 2, 3]}"#).unwrap();
    sde.set_timesteps(2).unwrap();
    assert!(error(step(sde.as_mut(), 999.0)).contains("3 seeds for a batch of 2"));
}

#[test]
fn runs_whose_first_timesteps_are_equal_begin_at_the_given_index() {
    for class_name in build("PNDMScheduler", "{}").unwrap().compatibles() {
        let mut scheduler =
            build(class_name, r#"{"use_exponential_sigmas": true, "skip_prk_steps": true}"#).unwrap();
        scheduler.set_timesteps(200).unwrap();
        scheduler.set_begin_index(0);
        for timestep in scheduler.timesteps().to_vec() {
            let message = |error| panic!("{class_name} at {timestep}: {error}");
            scheduler.scale_model_input(sample(3), timestep).unwrap_or_else(message);
            step(scheduler.as_mut(), timestep).unwrap_or_else(message);
        }
    }
}

#[test]
fn tables_of_the_longest_training_are_not_searched_linearly() {
    let begin = std::time::Instant::now();
    for class_name in [
        "DPMSolverSDEScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
    ] {
        let config = Config::default().with("num_train_timesteps", 1_000_000).with("use_karras_sigmas", true);
        schedulers::from_config(class_name, &config).unwrap();
    }
    // It takes a second or two; a million million comparisons take many minutes.
    assert!(begin.elapsed().as_secs() < 120);
}
