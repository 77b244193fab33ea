//! Steps that are refused.

use oxidiff::{
    DDIMScheduler, DDPMScheduler, DDPMSchedulerConfig, DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler, Generator, Generators, Scheduler, StepOptions, schedulers,
};

use super::{build, error, sample, step};

#[test]
fn steps_need_timesteps_as_in_python() {
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
fn timesteps_must_be_in_the_run() {
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
fn a_finished_run_does_not_continue() {
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
        if ["DDIMInverseScheduler", "IPNDMScheduler", "RePaintScheduler", "SCMScheduler"].contains(class_name)
        {
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
fn ddim_has_one_source_of_noise_and_a_maximal_eta() {
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
    // Without a source, noise is drawn from a fresh one.
    ddpm.step(sample(3), 5.0, sample(3), StepOptions::default()).unwrap();
}

#[test]
fn steps_that_lead_to_nan_are_refused() {
    let first = |class_name: &str, json: &str| {
        let mut scheduler = build(class_name, json).unwrap();
        scheduler.set_timesteps(6)?;
        let timestep = scheduler.timesteps()[0];
        step(scheduler.as_mut(), timestep)
    };
    // In Python, all of these give NaN from the first step on.
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
    // Some noise levels coincide, because there are as many steps as in training.
    let json = r#"{"num_train_timesteps": 20, "beta_end": 0.3}"#;
    let mut inverse = build("DPMSolverMultistepInverseScheduler", json).unwrap();
    inverse.set_timesteps(20).unwrap();
    let timesteps = inverse.timesteps().to_vec();
    let failed = timesteps.into_iter().find_map(|timestep| step(inverse.as_mut(), timestep).err());
    assert!(failed.expect("a step to NaN").to_string().contains("not finite"));
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
