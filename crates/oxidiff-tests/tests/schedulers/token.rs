//! Compares the schedulers that step tokens with Python's, as recorded by `tests/fixtures/generate_token_schedulers.py`.

use oxidiff::{
    AmusedScheduler, AmusedSchedulerConfig, AmusedStepOptions, Config, DType, Device, Generator, LoadOptions,
    MaskingSchedule, Tensor, VQDiffusionScheduler, VQDiffusionSchedulerConfig, schedulers,
};

use crate::fixture::{Recorded, assert_close, fixtures};

const CODEBOOK: usize = 11;
const MASK: i64 = 11;

fn recorded() -> Recorded {
    Recorded::open(&fixtures().join("token_schedulers/tokens.safetensors"))
}

fn tokens<const D: usize>(values: Vec<i64>, shape: [usize; D]) -> Tensor<D, oxidiff::Int> {
    Tensor::from_data(oxidiff::TensorData::new(values, shape), (&Device::flex(), DType::I64))
}

fn values<const D: usize>(tensor: Tensor<D, oxidiff::Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}

#[test]
fn exponential_samples_are_those_of_pytorch() {
    let recorded = recorded();
    for (seed, count) in [(0, 5), (3, 16), (4, 1000)] {
        let ours = Generator::manual_seed(seed).exponential_vec(count);
        let ours = Tensor::<1>::from_floats(ours.as_slice(), &Device::flex());
        let theirs = recorded.floats(&format!("exponential.{seed}.{count}"));
        assert_close("exponential", ours, theirs, 1e-6);
    }
}

#[test]
fn multinomial_samples_are_those_of_pytorch() {
    let recorded = recorded();
    let weights: Vec<f32> = recorded.floats::<2>("multinomial.weights").into_data().try_into_vec().unwrap();
    let mut generator = Generator::manual_seed(2);
    let drawn: Vec<i64> =
        generator.multinomial(&weights, 7).unwrap().into_iter().map(|drawn| drawn as i64).collect();
    assert_eq!(drawn, recorded.tokens("multinomial.drawn"));
    let then = Tensor::<1>::from_floats(generator.rand_vec::<f32>(3).as_slice(), &Device::flex());
    assert_close("then", then, recorded.floats("multinomial.then"), 0.0);

    for (weights, categories) in [
        (&[1.0, 2.0][..], 0),
        (&[1.0, 2.0, 3.0], 2),
        (&[0.0, 0.0], 2),
        (&[-1.0, 2.0], 2),
        (&[f32::NAN, 2.0], 2),
    ] {
        let error = generator.multinomial(weights, categories).unwrap_err().to_string();
        assert!(error.contains("weights"), "{error}");
    }
}

#[test]
fn masked_tokens_are_revealed_as_in_python() {
    let recorded = recorded();
    for (schedule, masking_schedule) in
        [("cosine", MaskingSchedule::Cosine), ("linear", MaskingSchedule::Linear)]
    {
        for (name, steps, temperature, starting_mask_ratio) in [
            ("one", 1, (2.0, 0.0), 1.0),
            ("few", 5, (2.0, 0.0), 1.0),
            ("many", 12, (4.5, 0.01), 1.0),
            ("part", 6, (10.0, 1.0), 0.6),
        ] {
            let fields = AmusedSchedulerConfig { mask_token_id: MASK, masking_schedule };
            let mut scheduler = AmusedScheduler::new(fields);
            scheduler.set_timesteps_with_temperature(steps, temperature).unwrap();
            let key = format!("amused.{schedule}.{name}");
            let temperatures = Tensor::<1>::from_floats(scheduler.temperatures(), &Device::flex());
            assert_close(&key, temperatures, recorded.floats(&format!("{key}.temperatures")), 1e-6);

            let mut generator = Generator::manual_seed(steps as u64);
            let mut start = vec![MASK; 48];
            if starting_mask_ratio < 1.0 {
                (0..16).for_each(|i| start[i / 2 * 6 + i % 2] = i as i64 % 8);
            }
            let mut sample = tokens(start, [2, 4, 6]);
            for (index, &timestep) in scheduler.timesteps().iter().enumerate() {
                let expected = |what: &str| recorded.tokens(&format!("{key}.{index}.{what}"));
                let logits = recorded.floats(&format!("{key}.{index}.model_output"));
                let options = AmusedStepOptions { starting_mask_ratio, generator: Some(&mut generator) };
                let output = scheduler.step(logits, timestep, sample, options).unwrap();
                assert_eq!(
                    values(output.pred_original_sample),
                    expected("pred_original_sample"),
                    "{key} {index}"
                );
                sample = output.prev_sample;
                assert_eq!(values(sample.clone()), expected("prev_sample"), "{key} {index}");
            }
            let clean = tokens((0..48).map(|token| token % CODEBOOK as i64).collect(), [2, 4, 6]);
            let mut generator = Generator::manual_seed(8);
            let timestep = scheduler.timesteps()[steps / 2];
            let noisy = scheduler.add_noise(clean, timestep, Some(&mut generator)).unwrap();
            assert_eq!(values(noisy), recorded.tokens(&format!("{key}.noisy")), "{key}");
        }
    }
    let mut scheduler =
        AmusedScheduler::from_config(&Config::from_json(r#"{"mask_token_id": 11}"#).unwrap()).unwrap();
    scheduler.set_timesteps(3).unwrap();
    let mut generator = Generator::manual_seed(6);
    let options = AmusedStepOptions { generator: Some(&mut generator), ..Default::default() };
    let logits = recorded.floats("amused.sequence.model_output");
    let output = scheduler.step_sequence(logits, 2, tokens(vec![MASK; 21], [3, 7]), options).unwrap();
    assert_eq!(values(output.prev_sample), recorded.tokens("amused.sequence.prev_sample"));
}

#[test]
fn replaced_tokens_are_restored_as_in_python() {
    let recorded = recorded();
    for (name, classes, config, steps) in [
        ("default", 10, r#"{"num_vec_classes": 10}"#, 100),
        ("short", 6, r#"{"num_vec_classes": 6, "num_train_timesteps": 8}"#, 8),
        (
            "part",
            6,
            r#"{"num_vec_classes": 6, "num_train_timesteps": 20, "alpha_cum_end": 0.2, "gamma_cum_end": 0.7,
                "gamma_cum_start": 0.01, "alpha_cum_start": 0.95}"#,
            9,
        ),
    ] {
        let mut scheduler = VQDiffusionScheduler::from_config(&Config::from_json(config).unwrap()).unwrap();
        scheduler.set_timesteps(steps).unwrap();
        let mut generator = Generator::manual_seed(steps as u64);
        let mut sample = tokens(vec![classes - 1; 24], [2, 12]);
        for (index, &timestep) in scheduler.timesteps().iter().enumerate() {
            let key = |what: &str| format!("vq.{name}.{index}.{what}");
            let output = if steps < 20 { index } else { index / 10 * 10 };
            let model_output = recorded.floats::<3>(&format!("vq.{name}.{output}.model_output"));
            if recorded.has(&key("posterior")) {
                let posterior =
                    scheduler.q_posterior(model_output.clone(), sample.clone(), timestep).unwrap();
                let theirs = recorded.floats::<3>(&key("posterior"));
                // Logarithms of probabilities down to 1e-30 and their products.
                assert_close(&key("posterior"), posterior / 100.0, theirs / 100.0, 1e-5);
            }
            sample = scheduler.step(model_output, timestep, sample, Some(&mut generator)).unwrap();
            if recorded.has(&key("prev_sample")) {
                assert_eq!(values(sample.clone()), recorded.tokens(&key("prev_sample")), "{name} {index}");
            }
        }
    }
}

#[test]
fn invalid_arguments_are_refused() {
    let contains = |error: oxidiff::Error, parts: &[&str]| {
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let config = |json: &str| Config::from_json(json).unwrap();
    for class_name in ["AmusedScheduler", "VQDiffusionScheduler"] {
        contains(schedulers::from_config(class_name, &config("{}")).unwrap_err(), &[class_name, "tokens"]);
    }
    contains(AmusedScheduler::from_config(&config("{}")).unwrap_err(), &["mask_token_id"]);
    contains(VQDiffusionScheduler::from_config(&config("{}")).unwrap_err(), &["num_vec_classes"]);
    for (json, field) in [
        (r#"{"num_vec_classes": 1}"#, "num_vec_classes"),
        (r#"{"num_vec_classes": 9, "num_train_timesteps": 1}"#, "num_train_timesteps"),
        (r#"{"num_vec_classes": 9, "alpha_cum_end": 1.5}"#, "alpha_cum_end"),
    ] {
        contains(VQDiffusionScheduler::from_config(&config(json)).unwrap_err(), &[field]);
    }
    let masking = r#"{"mask_token_id": 3, "masking_schedule": "sine"}"#;
    contains(AmusedScheduler::from_config(&config(masking)).unwrap_err(), &["masking_schedule"]);

    let mut amused = AmusedScheduler::new(AmusedSchedulerConfig {
        mask_token_id: MASK,
        masking_schedule: Default::default(),
    });
    contains(amused.set_timesteps(0).unwrap_err(), &["num_inference_steps"]);
    amused.set_timesteps(3).unwrap();
    let logits = Tensor::<4>::zeros([1, 10, 2, 2], &Device::flex());
    let masked = |shape: [usize; 3]| tokens(vec![MASK; shape.iter().product()], shape);
    let step = |logits, timestep, shape| {
        amused.step(logits, timestep, masked(shape), AmusedStepOptions::default()).unwrap_err()
    };
    contains(step(logits.clone(), 2, [1, 2, 3]), &["sample"]);
    contains(step(logits.clone(), 3, [1, 2, 2]), &["timestep"]);
    contains(step(logits * f32::NAN, 2, [1, 2, 2]), &["model_output"]);
    contains(amused.add_noise(masked([1, 2, 2]), 7, None).unwrap_err(), &["timestep"]);

    let vq = VQDiffusionScheduler::new(VQDiffusionSchedulerConfig::with_classes(5)).unwrap();
    let output = |classes| Tensor::<3>::zeros([1, classes, 4], &Device::flex());
    contains(vq.step(output(5), 3, tokens(vec![4; 4], [1, 4]), None).unwrap_err(), &["model_output"]);
    contains(vq.step(output(4), 100, tokens(vec![4; 4], [1, 4]), None).unwrap_err(), &["timestep"]);
    contains(vq.step(output(4), 3, tokens(vec![5; 4], [1, 4]), None).unwrap_err(), &["sample"]);
}

#[test]
fn configurations_are_saved_and_loaded() {
    let folder = std::env::temp_dir().join(format!("oxidiff-tokens-{}", std::process::id()));
    let vq = VQDiffusionScheduler::new(VQDiffusionSchedulerConfig::with_classes(5)).unwrap();
    vq.save_pretrained(&folder).unwrap();
    let loaded =
        VQDiffusionScheduler::from_pretrained(folder.to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert_eq!(loaded.config().values(), vq.config().values());
    let amused = AmusedScheduler::new(AmusedSchedulerConfig {
        mask_token_id: MASK,
        masking_schedule: Default::default(),
    });
    amused.save_pretrained(&folder).unwrap();
    let loaded = AmusedScheduler::from_pretrained(folder.to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert_eq!(loaded.config().values(), amused.config().values());
    std::fs::remove_dir_all(folder).unwrap();
}
