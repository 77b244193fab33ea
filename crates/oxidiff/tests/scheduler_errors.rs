//! What schedulers refuse, and that they say why.

use oxidiff::{
    Config, DDIMScheduler, DDPMScheduler, DDPMSchedulerConfig, DPMSolverMultistepScheduler, Device,
    EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, Generator, Generators, PNDMScheduler, Result,
    Scheduler, StepOptions, Tensor, schedulers,
};

fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

fn build(class_name: &str, json: &str) -> Result<Box<dyn Scheduler>> {
    schedulers::from_config(class_name, &Config::from_json(json)?)
}

/// The classes for models that were trained with a schedule of β, any of which can take over from any other.
fn with_betas() -> Vec<&'static str> {
    let mut class_names = build("DDIMScheduler", "{}").unwrap().compatibles();
    class_names.retain(|&class_name| class_name != "EDMEulerScheduler");
    class_names
}

fn sample(channels: usize) -> Tensor<4> {
    Tensor::ones([2, channels, 3, 5], &Device::default())
}

fn step(scheduler: &mut dyn Scheduler, timestep: f32) -> Result<Tensor<4>> {
    let options = StepOptions { variance_noise: Some(sample(3)), ..Default::default() };
    scheduler.step(sample(3), timestep, sample(3), options).map(|output| output.prev_sample)
}

#[test]
fn unknown_classes_are_answered_with_the_known_ones() {
    let message = error(build("HeunScheduler", "{}"));
    assert!(message.contains("HeunScheduler"), "{message}");
    assert!(schedulers::CLASS_NAMES.iter().all(|name| message.contains(name)), "{message}");
}

#[test]
fn every_listed_class_can_be_built_and_cloned() {
    for class_name in schedulers::CLASS_NAMES {
        let scheduler = build(class_name, "{}").unwrap();
        assert_eq!(scheduler.config().class_name(), Some(*class_name));
        assert_eq!(scheduler.clone().config(), scheduler.config());
    }
}

#[test]
fn configuration_errors_name_the_field() {
    let any: &[&str] = &with_betas();
    let sigma_based = &["EulerDiscreteScheduler", "DPMSolverMultistepScheduler"];
    let dpm = &["DPMSolverMultistepScheduler"];
    let (single, unipc) = (&["DPMSolverSinglestepScheduler"], &["UniPCMultistepScheduler"]);
    let sa = &["SASolverScheduler"];
    let cases: &[(&[&str], &str, &str)] = &[
        (any, r#"{"num_train_timesteps": 0}"#, "num_train_timesteps"),
        (any, r#"{"num_train_timesteps": -5}"#, "num_train_timesteps"),
        (any, r#"{"num_train_timesteps": "many"}"#, "num_train_timesteps"),
        (any, r#"{"beta_schedule": "bogus"}"#, "beta_schedule"),
        (any, r#"{"beta_start": -0.1}"#, "beta_start"),
        (any, r#"{"beta_end": 1.5}"#, "beta_end"),
        (any, r#"{"trained_betas": []}"#, "trained_betas"),
        (any, r#"{"trained_betas": [0.1, 2.0]}"#, "trained_betas"),
        (any, r#"{"timestep_spacing": "wide"}"#, "timestep_spacing"),
        (any, r#"{"prediction_type": "weather"}"#, "prediction_type"),
        (any, r#"{"steps_offset": -1}"#, "steps_offset"),
        (&["DDIMScheduler", "EulerDiscreteScheduler"], r#"{"beta_schedule": "sigmoid"}"#, "beta_schedule"),
        (&["PNDMScheduler"], r#"{"prediction_type": "sample"}"#, "prediction_type"),
        (&["EulerAncestralDiscreteScheduler"], r#"{"prediction_type": "sample"}"#, "prediction_type"),
        (&["DDPMScheduler"], r#"{"variance_type": "fixed_large_log"}"#, "variance_type"),
        (&["DDPMScheduler"], r#"{"variance_type": "huge"}"#, "variance_type"),
        (
            &["DDIMScheduler", "DDPMScheduler"],
            r#"{"thresholding": true, "dynamic_thresholding_ratio": 2}"#,
            "dynamic_thresholding_ratio",
        ),
        (
            &["DDIMScheduler"],
            r#"{"rescale_betas_zero_snr": true, "num_train_timesteps": 1}"#,
            "rescale_betas_zero_snr",
        ),
        (sigma_based, r#"{"use_karras_sigmas": true, "use_beta_sigmas": true}"#, "use_beta_sigmas"),
        (
            sigma_based,
            r#"{"use_karras_sigmas": true, "use_exponential_sigmas": true}"#,
            "use_exponential_sigmas",
        ),
        (sigma_based, r#"{"final_sigmas_type": "low"}"#, "final_sigmas_type"),
        (&["EulerDiscreteScheduler"], r#"{"interpolation_type": "cubic"}"#, "interpolation_type"),
        (&["EulerDiscreteScheduler"], r#"{"timestep_type": "vague"}"#, "timestep_type"),
        (dpm, r#"{"algorithm_type": "magic"}"#, "algorithm_type"),
        (dpm, r#"{"solver_type": "magic"}"#, "solver_type"),
        (dpm, r#"{"solver_order": 4}"#, "solver_order"),
        (dpm, r#"{"algorithm_type": "dpmsolver"}"#, "final_sigmas_type"),
        (
            dpm,
            r#"{"algorithm_type": "sde-dpmsolver", "solver_order": 3, "final_sigmas_type": "sigma_min"}"#,
            "solver_order",
        ),
        (dpm, r#"{"algorithm_type": "dpmsolver", "prediction_type": "flow_prediction"}"#, "prediction_type"),
        (dpm, r#"{"lambda_min_clipped": 100}"#, "lambda_min_clipped"),
        (dpm, r#"{"lambda_min_clipped": "low"}"#, "lambda_min_clipped"),
        (dpm, r#"{"time_shift_type": "linear"}"#, "time_shift_type"),
        (
            &["DEISMultistepScheduler", "DPMSolverSinglestepScheduler"],
            r#"{"time_shift_type": "linear"}"#,
            "time_shift_type",
        ),
        (single, r#"{"algorithm_type": "sde-dpmsolver"}"#, "algorithm_type"),
        (single, r#"{"algorithm_type": "dpmsolver"}"#, "final_sigmas_type"),
        (single, r#"{"lambda_min_clipped": 100}"#, "lambda_min_clipped"),
        (&["DEISMultistepScheduler"], r#"{"algorithm_type": "sde-dpmsolver++"}"#, "algorithm_type"),
        (
            &["DEISMultistepScheduler", "DPMSolverMultistepInverseScheduler", "DPMSolverSinglestepScheduler"],
            r#"{"solver_order": 4}"#,
            "solver_order",
        ),
        (unipc, r#"{"solver_order": 0}"#, "solver_order"),
        (unipc, r#"{"solver_type": "magic"}"#, "solver_type"),
        (unipc, r#"{"predict_x0": false, "prediction_type": "flow_prediction"}"#, "prediction_type"),
        (unipc, r#"{"shift_terminal": 0.1}"#, "shift_terminal"),
        (unipc, r#"{"shift_terminal": 1.0, "use_flow_sigmas": true}"#, "shift_terminal"),
        (unipc, r#"{"solver_p": {"_class_name": "DDIMScheduler"}}"#, "solver_p"),
        (sa, r#"{"algorithm_type": "dpmsolver++"}"#, "algorithm_type"),
        (
            sa,
            r#"{"algorithm_type": "noise_prediction", "prediction_type": "flow_prediction"}"#,
            "prediction_type",
        ),
        (sa, r#"{"predictor_order": 0}"#, "predictor_order"),
        (sa, r#"{"corrector_order": 5}"#, "corrector_order"),
        (sa, r#"{"tau_func": "one"}"#, "tau_func"),
        (&["DPMSolverSDEScheduler"], r#"{"prediction_type": "sample"}"#, "prediction_type"),
        (&["DPMSolverSDEScheduler"], r#"{"noise_sampler_seed": -1}"#, "noise_sampler_seed"),
        (&["DDIMInverseScheduler"], r#"{"clip_sample_range": -1}"#, "clip_sample_range"),
    ];
    for (class_names, json, field) in cases {
        for class_name in *class_names {
            // A class does not look at a field that it does not have.
            if build(class_name, "{}").unwrap().config().get(field).is_none() {
                assert_eq!(*class_names, any, "{class_name} {json}");
                continue;
            }
            let message = error(build(class_name, json));
            let named = message.contains(&format!("`{field}`"));
            assert!(named, "{class_name} {json}: {message}");
        }
    }
}

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
fn trailing_runs_have_the_steps_that_were_asked_for() {
    // 61 steps of 1000/61 are rounded to a little less than 1000.
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
fn steps_need_timesteps_where_they_do_in_python() {
    for class_name in ["DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler"] {
        let message = error(step(build(class_name, "{}").unwrap().as_mut(), 999.0));
        assert!(message.contains("set_timesteps"), "{class_name}: {message}");
    }
    for class_name in ["DDPMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"] {
        step(build(class_name, "{}").unwrap().as_mut(), 999.0).unwrap();
    }
    let dpm = DPMSolverMultistepScheduler::new(Default::default()).unwrap();
    assert!(error(dpm.add_noise(sample(3), sample(3), &[1.0])).contains("set_timesteps"));
}

#[test]
fn timesteps_must_be_of_the_run() {
    for class_name in ["DDPMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"] {
        let mut scheduler = build(class_name, "{}").unwrap();
        scheduler.set_timesteps(10).unwrap();
        let message = error(step(scheduler.as_mut(), 998.0));
        assert!(message.contains("998 is not one of this run's 10 timesteps"), "{class_name}: {message}");
    }
    let mut ddim = DDIMScheduler::new(Default::default()).unwrap();
    ddim.set_timesteps(10).unwrap();
    assert!(error(step(&mut ddim, 1000.0)).contains("not a training timestep"));
    assert!(error(step(&mut ddim, 1.5)).contains("not a whole training timestep"));
    assert!(error(step(&mut ddim, f32::NAN)).contains("not a whole training timestep"));
    assert!(error(ddim.add_noise(sample(3), sample(3), &[-1.0])).contains("-1"));
}

#[test]
fn a_finished_run_does_not_go_on() {
    for class_name in
        ["DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"]
    {
        let mut scheduler = build(class_name, "{}").unwrap();
        scheduler.set_timesteps(2).unwrap();
        for timestep in scheduler.timesteps().to_vec() {
            step(scheduler.as_mut(), timestep).unwrap();
        }
        assert!(error(step(scheduler.as_mut(), 0.0)).contains("is over"), "{class_name}");
        scheduler.set_timesteps(2).unwrap();
        scheduler.set_begin_index(2);
        assert!(error(step(scheduler.as_mut(), 0.0)).contains("is over"), "{class_name}");
    }
}

#[test]
fn shapes_must_agree() {
    for class_name in schedulers::CLASS_NAMES {
        let mut scheduler = build(class_name, r#"{"skip_prk_steps": true}"#).unwrap();
        scheduler.set_timesteps(2).unwrap();
        let timestep = scheduler.timesteps()[0];
        let message = error(scheduler.step(sample(6), timestep, sample(3), StepOptions::default()));
        assert!(message.contains("model_output"), "{class_name}: {message}");
        if ["DDIMInverseScheduler", "IPNDMScheduler", "RePaintScheduler"].contains(class_name) {
            assert!(error(scheduler.add_noise(sample(3), sample(3), &[timestep])).contains("add_noise"));
            continue;
        }
        let message = error(scheduler.add_noise(sample(3), sample(4), &[timestep]));
        assert!(message.contains("noise"), "{class_name}: {message}");
        let message = error(scheduler.add_noise(sample(3), sample(3), &[timestep; 3]));
        assert!(message.contains("timesteps"), "{class_name}: {message}");
        scheduler.add_noise(sample(3), sample(3), &[timestep]).unwrap();
    }
    let fields = DDPMSchedulerConfig {
        variance_type: Some(oxidiff::VarianceType::LearnedRange),
        ..Default::default()
    };
    let mut learned = DDPMScheduler::new(fields).unwrap();
    assert!(error(step(&mut learned, 5.0)).contains("channels for the variance"));
    let options = StepOptions { variance_noise: Some(sample(4)), ..Default::default() };
    let mut ancestral = EulerAncestralDiscreteScheduler::new(Default::default()).unwrap();
    assert!(error(ancestral.step(sample(3), 5.0, sample(3), options)).contains("variance_noise"));
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
fn ddim_has_one_source_of_noise_and_adds_no_more_than_there_is() {
    let mut ddim = DDIMScheduler::new(Default::default()).unwrap();
    ddim.set_timesteps(10).unwrap();
    let options = StepOptions { eta: Some(3.0), variance_noise: Some(sample(3)), ..Default::default() };
    assert!(error(ddim.step(sample(3), 900.0, sample(3), options)).contains("`eta`"));
    let mut generator = Generators::One(Generator::manual_seed(0));
    let options = StepOptions {
        eta: Some(0.5),
        variance_noise: Some(sample(3)),
        generator: Some(&mut generator),
        ..Default::default()
    };
    assert!(error(ddim.step(sample(3), 900.0, sample(3), options)).contains("`variance_noise`"));
}

#[test]
fn each_item_needs_its_generator() {
    let mut generators = Generators::PerItem(vec![Generator::manual_seed(0); 3]);
    let options = StepOptions { generator: Some(&mut generators), ..Default::default() };
    let mut ddpm = DDPMScheduler::new(Default::default()).unwrap();
    assert!(ddpm.step(sample(3), 5.0, sample(3), options).is_err());
    // Without any source, noise is drawn from a fresh one.
    ddpm.step(sample(3), 5.0, sample(3), StepOptions::default()).unwrap();
}

#[test]
fn steps_without_numbers_are_refused() {
    let first = |class_name: &str, json: &str| {
        let mut scheduler = build(class_name, json).unwrap();
        scheduler.set_timesteps(6)?;
        let timestep = scheduler.timesteps()[0];
        step(scheduler.as_mut(), timestep)
    };
    // In Python all of these are NaN from the first step on.
    for algorithm in ["sde-dpmsolver", "sde-dpmsolver++"] {
        let json = format!(r#"{{"algorithm_type": "{algorithm}"}}"#);
        let message = error(first("DPMSolverMultistepInverseScheduler", &json));
        assert!(message.contains("backwards"), "{message}");
    }
    let message = error(first("DDIMInverseScheduler", r#"{"prediction_type": "sample"}"#));
    assert!(message.contains("set_alpha_to_one"), "{message}");
    for class_name in [
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "SASolverScheduler",
        "UniPCMultistepScheduler",
    ] {
        let json = r#"{"use_flow_sigmas": true, "use_exponential_sigmas": true}"#;
        let message = error(first(class_name, json));
        assert!(message.contains("use_flow_sigmas"), "{class_name}: {message}");
    }
    // Levels that coincide, as those of as many steps as in training do.
    let json = r#"{"num_train_timesteps": 20, "beta_end": 0.3}"#;
    let mut inverse = build("DPMSolverMultistepInverseScheduler", json).unwrap();
    inverse.set_timesteps(20).unwrap();
    let timesteps = inverse.timesteps().to_vec();
    let failed = timesteps.into_iter().find_map(|timestep| step(inverse.as_mut(), timestep).err());
    assert!(failed.expect("a step without numbers").to_string().contains("not finite"));
}

#[test]
fn what_only_some_solvers_take_is_refused_by_the_others() {
    let mut inverse = build("DDIMInverseScheduler", r#"{"timestep_spacing": "linspace"}"#).unwrap();
    assert!(error(inverse.set_timesteps(5)).contains("timestep_spacing"));

    let shifting = r#"{"use_flow_sigmas": true, "use_dynamic_shifting": true}"#;
    assert!(error(build("UniPCMultistepScheduler", shifting).unwrap().set_timesteps(5)).contains("`mu`"));
    let mut unipc = build("UniPCMultistepScheduler", "{}").unwrap();
    assert!(error(unipc.set_timesteps_with_mu(5, 0.5)).contains("use_dynamic_shifting"));
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
fn samples_keep_their_shape_during_a_run() {
    for class_name in [
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverMultistepInverseScheduler",
        "DPMSolverSDEScheduler",
        "SASolverScheduler",
        "UniPCMultistepScheduler",
    ] {
        let mut scheduler = build(class_name, "{}").unwrap();
        scheduler.set_timesteps(3).unwrap();
        let timesteps = scheduler.timesteps().to_vec();
        step(scheduler.as_mut(), timesteps[0]).unwrap();
        let options = StepOptions { variance_noise: Some(sample(4)), ..Default::default() };
        let message = error(scheduler.step(sample(4), timesteps[1], sample(4), options));
        assert!(message.contains("`sample`"), "{class_name}: {message}");
    }
}

#[test]
fn runs_whose_first_timesteps_are_equal_begin_where_they_are_told_to() {
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
fn tables_of_the_longest_training_are_not_gone_through_for_each_of_their_entries() {
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
