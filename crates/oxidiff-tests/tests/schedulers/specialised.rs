//! Compares the schedulers for models of one kind with Python's, as recorded by
//! `tests/fixtures/generate_specialised_schedulers.py`.

use oxidiff::{
    CMStochasticIterativeScheduler, Config, CosineDPMSolverMultistepScheduler, DType, Device,
    EDMEulerScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchEulerDiscreteSchedulerConfig, Generator,
    Generators, LCMScheduler, RePaintScheduler, RePaintSchedulerConfig, SCMScheduler, Scheduler,
    ScoreSdeVeScheduler, StepOptions, TCDScheduler, Tensor, TimestepOptions, UnCLIPScheduler, schedulers,
};

use super::cases::{Fixtures, compare_cases, compare_swaps, model};
use crate::fixture::{self, Recorded, assert_close};

fn fixtures() -> Fixtures {
    Fixtures::load(
        "specialised_schedulers",
        &["distilled", "flow_matching", "preconditioned", "preconditioned_solvers", "relatives_of_ddpm"],
    )
}

#[test]
fn every_case_computes_what_python_does() {
    let fixtures = fixtures();
    assert!(fixtures.cases.len() > 300, "only {} cases", fixtures.cases.len());
    compare_cases(&fixtures);
}

#[test]
fn configurations_survive_a_change_of_scheduler_as_in_python() {
    let fixtures = fixtures();
    assert!(fixtures.swaps.len() > 5, "only {} swaps", fixtures.swaps.len());
    compare_swaps(&fixtures);
}

/// The recorded results of individual methods.
fn methods() -> Recorded {
    Recorded::open(&fixture::fixtures().join("specialised_schedulers/methods.safetensors"))
}

fn seeded(seed: u64) -> Generators {
    Generators::One(Generator::manual_seed(seed))
}

fn floats(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(values, (&Device::flex(), DType::F32))
}

const TOLERANCE: f32 = 1e-5;

#[test]
fn tcd_returns_the_predicted_noised_sample() {
    let (fixtures, methods) = (fixtures(), methods());
    let mut tcd = TCDScheduler::new(Default::default()).unwrap();
    tcd.set_timesteps(4).unwrap();
    let timestep = tcd.timesteps()[1];
    assert_eq!(timestep, 759.0);
    let sample = fixtures.tensor("sample");
    let options = StepOptions { variance_noise: Some(fixtures.noise(1)), ..Default::default() };
    let output =
        tcd.step_noised(model(&fixtures, sample.clone(), timestep, false), timestep, sample, options);
    let output = output.unwrap();
    assert_close("prev_sample", output.prev_sample, methods.floats("tcd.prev_sample"), TOLERANCE);
    let expected = methods.floats("tcd.pred_noised_sample");
    assert_close("pred_noised_sample", output.pred_noised_sample, expected, TOLERANCE);
}

#[test]
fn tokens_of_a_flow_can_have_their_own_timesteps() {
    let (fixtures, methods) = (fixtures(), methods());
    let sample = fixtures.tensor("sample").reshape([2, 9, 5]);
    let velocity = fixtures.tensor("pattern").reshape([2, 9, 5]);
    for (stochastic_sampling, key) in [(false, "per_token.False"), (true, "per_token.True")] {
        let fields = FlowMatchEulerDiscreteSchedulerConfig { stochastic_sampling, ..Default::default() };
        let mut flow = FlowMatchEulerDiscreteScheduler::new(fields).unwrap();
        flow.set_custom_sigmas(&[1.0, 0.75, 0.5, 0.25]).unwrap();
        let timesteps = methods.floats::<2>("per_token.levels") * 1000.0;
        let mut generator = seeded(7);
        let (timestep, generator) = (flow.timesteps()[0], Some(&mut generator));
        let tokens =
            flow.step_per_token(velocity.clone(), timestep, timesteps, sample.clone(), generator).unwrap();
        assert_close(key, tokens, methods.floats(key), TOLERANCE);
        // The run continued with its next step.
        let options = StepOptions::default();
        let sample = fixtures.tensor("sample");
        let next =
            flow.step(sample.clone(), flow.timesteps()[1], sample.clone(), options).unwrap().prev_sample;
        if !stochastic_sampling {
            assert_close("next step", next, sample * 0.75, TOLERANCE);
        }
    }
}

#[test]
fn score_models_are_predicted_and_corrected() {
    let (fixtures, methods) = (fixtures(), methods());
    let mut scheduler = ScoreSdeVeScheduler::new(Default::default()).unwrap();
    for (name, steps, min, max, eps) in
        [("short", 5, None, None, None), ("long", 700, Some(0.02), Some(50.0), Some(1e-3))]
    {
        match eps {
            Some(eps) => scheduler.set_timesteps_to(steps, eps).unwrap(),
            None => scheduler.set_timesteps(steps).unwrap(),
        }
        scheduler.set_sigmas(steps, min, max, eps).unwrap();
        let key = |what: &str| format!("sde_ve.{name}.{what}");
        let timesteps = scheduler.timesteps().to_vec();
        assert_close("timesteps", floats(&timesteps), methods.floats(&key("timesteps")), 1e-6);
        let expected = methods.floats::<1>(&key("sigmas"));
        let sigmas = floats(scheduler.sigmas().unwrap());
        assert_close("sigmas", sigmas / expected.clone(), expected.ones_like(), 1e-5);

        let mut sample = fixtures.tensor("sample") * 50.0;
        for (index, &timestep) in timesteps[..5].iter().enumerate() {
            let score = model(&fixtures, sample.clone(), 0.0, false) / -2500.0;
            let options =
                || StepOptions { variance_noise: Some(fixtures.noise(index)), ..Default::default() };
            sample = scheduler.step_correct(score.clone(), sample, options()).unwrap();
            let output = scheduler.step_pred(score, timestep, sample, options()).unwrap();
            sample = output.prev_sample;
            // Samples are as large as the highest noise level.
            for (what, ours) in
                [("prev_sample", sample.clone()), ("prev_sample_mean", output.prev_sample_mean)]
            {
                let theirs = methods.floats::<4>(&key(&format!("{index}.{what}")));
                let size: f32 = theirs.clone().abs().max().into_scalar();
                assert_close(what, ours / size, theirs / size, 1e-4);
            }
        }
        let noisy = scheduler.add_noise(fixtures.tensor("pattern"), fixtures.noise(0), &[0.0, 3.0]).unwrap();
        assert_close("noisy", noisy, methods.floats(&key("noisy")), 1e-4);
    }
    // The corrector draws in single precision whatever the sample's type.
    let half = |name: &str| fixtures.tensor(name).cast(DType::F16);
    let mut generator = seeded(4);
    let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
    let corrected = scheduler.step_correct(half("sample"), half("pattern"), options).unwrap();
    assert_close("half", corrected.cast(DType::F32), methods.floats("sde_ve.half"), 4e-3);
}

#[test]
fn repaint_goes_back_and_forth() {
    let methods = methods();
    let fields = RePaintSchedulerConfig { num_train_timesteps: 100, ..Default::default() };
    let mut repaint = RePaintScheduler::new(fields).unwrap();
    for (steps, length, samples) in [(20, 5, 3), (13, 4, 2), (10, 1, 2), (7, 10, 10)] {
        repaint.set_timesteps_with_jumps(steps, length, samples).unwrap();
        let key = format!("repaint.{steps},{length},{samples}");
        assert_close(&key, floats(repaint.timesteps()), methods.floats(&key), 0.0);
    }
    let mut by_options = repaint.clone();
    let jumps =
        TimestepOptions { jump_length: Some(5), jump_n_sample: Some(3), ..TimestepOptions::steps(20) };
    by_options.set_timesteps_with(jumps).unwrap();
    repaint.set_timesteps_with_jumps(20, 5, 3).unwrap();
    assert_eq!(by_options.timesteps(), repaint.timesteps());
    let mut generator = seeded(9);
    let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
    let noisier = repaint.undo_step(fixtures().tensor("sample"), 40.0, options).unwrap();
    assert_close("undo_step", noisier, methods.floats("repaint.undo"), TOLERANCE);

    for (what, message) in [
        (repaint.set_timesteps_with_jumps(20, 0, 3), "jump_length"),
        (repaint.set_timesteps_with_jumps(100, 1, 1_000_000), "jump_n_sample"),
        (repaint.set_timesteps_with_jumps(0, 5, 3), "num_inference_steps"),
    ] {
        assert!(what.unwrap_err().to_string().contains(message), "{message}");
    }
}

#[test]
fn steps_of_unclip_go_to_the_given_timesteps() {
    let (fixtures, methods) = (fixtures(), methods());
    for (kind, variance) in [("fixed_small_log", false), ("learned_range", true)] {
        let config = Config::from_json(&format!(r#"{{"variance_type": "{kind}"}}"#)).unwrap();
        let mut scheduler = UnCLIPScheduler::from_config(&config).unwrap();
        scheduler.set_timesteps(5).unwrap();
        let timesteps = scheduler.timesteps().to_vec();
        let mut sample = fixtures.tensor("sample");
        for (index, &timestep) in timesteps.iter().enumerate() {
            let options = StepOptions {
                prev_timestep: timesteps.get(index + 1).copied(),
                variance_noise: Some(fixtures.noise(index)),
                ..Default::default()
            };
            let model_output = model(&fixtures, sample.clone(), timestep, variance);
            sample = scheduler.step(model_output, timestep, sample, options).unwrap().prev_sample;
            let key = format!("unclip.{kind}.{index}");
            assert_close(&key, sample.clone(), methods.floats(&key), 1e-4);
        }
    }
}

#[test]
fn scalings_and_preconditioning_are_those_of_python() {
    let (fixtures, methods) = (fixtures(), methods());
    let close = |key: &str, ours: Vec<f64>| {
        let ours: Vec<f32> = ours.into_iter().map(|value| value as f32).collect();
        let theirs = methods.floats::<1>(key);
        let size = theirs.clone().abs().clamp_min(1.0);
        assert_close(key, floats(&ours) / size.clone(), theirs / size, 1e-6);
    };
    let pairs = |pairs: Vec<(f64, f64)>| pairs.into_iter().flat_map(|(a, b)| [a, b]).collect::<Vec<_>>();
    let lcm = LCMScheduler::new(Default::default()).unwrap();
    let at = |timestep| lcm.get_scalings_for_boundary_condition_discrete(timestep);
    close("lcm.scalings", pairs([0.0, 1.0, 999.0].map(at).to_vec()));

    let cm = CMStochasticIterativeScheduler::new(Default::default()).unwrap();
    let sigmas = [0.002, 0.5, 80.0];
    let scalings = [
        sigmas.map(|sigma| cm.get_scalings(sigma)),
        sigmas.map(|sigma| cm.get_scalings_for_boundary_condition(sigma)),
    ];
    let columns = scalings
        .iter()
        .flat_map(|pairs| pairs.map(|pair| pair.0).into_iter().chain(pairs.map(|pair| pair.1)));
    close("cm.scalings", columns.collect());
    close("cm.timesteps", cm.sigma_to_t(&sigmas).into_iter().map(f64::from).collect());

    let edm = EDMEulerScheduler::new(Default::default()).unwrap();
    let (sample, pattern) = (fixtures.tensor("sample"), fixtures.tensor("pattern"));
    assert_close(
        "inputs",
        edm.precondition_inputs(sample.clone(), 3.0),
        methods.floats("edm.inputs"),
        TOLERANCE,
    );
    let outputs = edm.precondition_outputs(sample, pattern, 3.0).unwrap();
    assert_close("outputs", outputs, methods.floats("edm.outputs"), TOLERANCE);
    close("edm.noise", vec![edm.precondition_noise(3.0).into()]);

    let mut flow = FlowMatchEulerDiscreteScheduler::new(Default::default()).unwrap();
    flow.set_shift(2.5);
    flow.set_timesteps(6).unwrap();
    assert_eq!(flow.shift(), 2.5);
    assert_eq!(flow.config().get("shift").unwrap(), 1.0);
    assert_close("shifted", floats(flow.timesteps()), methods.floats("flow.shifted"), 1e-4);
}

#[test]
fn each_item_has_its_brownian_motion() {
    let (fixtures, methods) = (fixtures(), methods());
    let (sample, pattern) = (fixtures.tensor("sample"), fixtures.tensor("pattern"));
    let mut cosine = CosineDPMSolverMultistepScheduler::new(Default::default()).unwrap();
    let inputs = cosine.precondition_inputs(sample.clone(), 3.0);
    assert_close("inputs", inputs, methods.floats("cosine.inputs"), TOLERANCE);
    let outputs = cosine.precondition_outputs(sample.clone(), pattern.clone(), 3.0).unwrap();
    assert_close("outputs", outputs, methods.floats("cosine.outputs"), TOLERANCE);
    assert_close("noise", floats(&[cosine.precondition_noise(3.0)]), methods.floats("cosine.noise"), 1e-6);

    cosine.set_timesteps(4).unwrap();
    let timesteps = cosine.timesteps().to_vec();
    let seeds =
        |seeds: &[u64]| Generators::PerItem(seeds.iter().map(|&seed| Generator::manual_seed(seed)).collect());
    let mut step = |timestep, generator: &mut Generators| {
        let options = StepOptions { generator: Some(generator), ..Default::default() };
        cosine.step(pattern.clone(), timestep, sample.clone(), options)
    };
    let error = step(timesteps[0], &mut seeds(&[5, 6, 7])).unwrap_err().to_string();
    assert!(error.contains("generator"), "{error}");
    for (index, &timestep) in timesteps[..2].iter().enumerate() {
        let ours = step(timestep, &mut seeds(&[5, 6])).unwrap().prev_sample;
        let theirs = methods.floats::<4>(&format!("cosine.{index}"));
        let size: f32 = theirs.clone().abs().max().into_scalar();
        assert_close("step", ours / size, theirs / size, 1e-4);
    }
}

#[test]
fn a_last_step_between_equal_levels_adds_no_noise() {
    // Python's torchsde divides such an interval forever.
    let config = Config::from_json(r#"{"final_sigmas_type": "sigma_min"}"#).unwrap();
    for steps in [1, 7, 20] {
        let mut cosine = CosineDPMSolverMultistepScheduler::from_config(&config).unwrap();
        cosine.set_timesteps(steps).unwrap();
        let mut sample = fixtures().tensor("sample");
        let mut generator = seeded(3);
        for timestep in cosine.timesteps().to_vec() {
            let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
            sample = cosine.step(sample.clone(), timestep, sample, options).unwrap().prev_sample;
        }
        assert!(!sample.contains_nan().into_scalar::<bool>(), "{steps} steps");
    }
}

#[test]
fn only_edm_euler_is_compatible_with_others_and_only_in_one_direction() {
    let compatibles = |class_name: &str| {
        let config = Config::from_json("{}").unwrap();
        schedulers::from_config(class_name, &config).unwrap().compatibles()
    };
    for class_name in [
        "CMStochasticIterativeScheduler",
        "CosineDPMSolverMultistepScheduler",
        "DDPMWuerstchenScheduler",
        "EDMDPMSolverMultistepScheduler",
        "EDMEulerScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "FlowMatchLCMScheduler",
        "IPNDMScheduler",
        "LCMScheduler",
        "RePaintScheduler",
        "ScoreSdeVeScheduler",
        "TCDScheduler",
        "UnCLIPScheduler",
    ] {
        assert_eq!(compatibles(class_name), [class_name]);
        assert_eq!(
            compatibles("DDIMScheduler").contains(&class_name),
            class_name == "EDMEulerScheduler",
            "{class_name}"
        );
    }
}

#[test]
fn scm_turns_from_noise_to_data() {
    let fixtures = fixtures();
    let mut scm = SCMScheduler::new(Default::default()).unwrap();
    scm.set_timesteps(4).unwrap();
    for (ours, theirs) in scm.timesteps().iter().zip([15708, 11781, 7854, 3927, 0]) {
        let theirs = theirs as f32 / 1e4;
        assert!((ours - theirs).abs() < 1e-6, "{ours} instead of {theirs}");
    }
    scm.set_timesteps(2).unwrap();
    let first: f32 = 15708.0 / 1e4;
    assert_eq!(scm.timesteps(), [first, 1.3, 0.0]);
    let (sample, output, noise) = (fixtures.tensor("sample"), fixtures.tensor("pattern"), fixtures.noise(1));
    let options = StepOptions { variance_noise: Some(noise.clone()), ..Default::default() };
    let stepped = scm.step(output.clone(), first, sample.clone(), options).unwrap();
    let (sin, cos) = first.sin_cos();
    let original = sample * cos - output * sin;
    let (sin, cos) = 1.3f32.sin_cos();
    let expected = original.clone() * cos + noise * (0.5 * sin);
    assert_close("prev_sample", stepped.prev_sample, expected, TOLERANCE);
    assert_close("original", stepped.pred_original_sample.unwrap(), original, TOLERANCE);

    let mut refused = |options: TimestepOptions<'_>| scm.set_timesteps_with(options).unwrap_err().to_string();
    let given = TimestepOptions { timesteps: Some(&[1.5, 1.0, 0.0]), ..Default::default() };
    let both = refused(TimestepOptions { max_timesteps: Some(1.5), ..given });
    assert!(both.contains("max_timesteps") && both.contains("timesteps"), "{both}");
    let other = refused(TimestepOptions { num_inference_steps: Some(3), ..given });
    assert!(other.contains("one more than steps"), "{other}");
    let one = refused(TimestepOptions { intermediate_timesteps: Some(1.3), ..TimestepOptions::steps(1) });
    assert!(one.contains("intermediate_timesteps"), "{one}");
    scm.set_timesteps_with(given).unwrap();
    assert_eq!(scm.timesteps(), [1.5, 1.0, 0.0]);
}
