//! Configurations that are refused.

use oxidiff::schedulers;

use super::{build, error, with_betas};

#[test]
fn errors_about_unknown_classes_list_the_available_ones() {
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
            // A class ignores fields that it does not have.
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
