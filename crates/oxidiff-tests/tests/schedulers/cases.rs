//! Compares schedulers with Python's: timesteps, noise levels, trajectories, added noise and configurations,
//! as recorded by `tests/fixtures/scheduler_recording.py`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use oxidiff::{
    Config, DType, Device, Generator, Generators, SASolverScheduler, Scheduler, StepOptions, Tensor,
    TimestepOptions, UniPCMultistepScheduler, schedulers,
};
use safetensors::SafeTensors;
use serde_json::Value;

/// The recordings of a generator.
pub struct Fixtures {
    pub cases: Vec<Value>,
    pub swaps: Vec<Value>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Fixtures {
    /// Reads sets of cases from a folder of `tests/fixtures`.
    pub fn load(folder: &str, sets: &[&str]) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(folder);
        let mut fixtures = Self { cases: Vec::new(), swaps: Vec::new(), tensors: BTreeMap::new() };
        for set in sets {
            let text = std::fs::read_to_string(folder.join(set).with_extension("json")).expect("cases");
            let mut index: Value = serde_json::from_str(&text).expect("valid JSON");
            let bytes = std::fs::read(folder.join(set).with_extension("safetensors")).expect("tensors");
            for (name, view) in SafeTensors::deserialize(&bytes).expect("valid safetensors").tensors() {
                let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
                let values = view.data().chunks_exact(4).map(number).collect();
                // Cases are numbered within their set; the inputs belong to all of them.
                let name =
                    if name.parse::<usize>().is_ok() { format!("{set}/{name}") } else { name.to_owned() };
                fixtures.tensors.insert(name, (view.shape().to_vec(), values));
            }
            let list = |value: Value| value.as_array().cloned().expect("a list");
            fixtures.cases.extend(list(index["cases"].take()).into_iter().map(|mut case| {
                case["id"] = format!("{set}/{}", self::text(&case["id"])).into();
                case
            }));
            fixtures.swaps.extend(list(index["swaps"].take()));
        }
        fixtures
    }

    pub fn tensor(&self, name: &str) -> Tensor<4> {
        if name == "mask" {
            return self.tensor("pattern").greater_elem(0.0).float();
        }
        let (shape, values) = &self.tensors[name];
        tensor(values, shape)
    }

    pub fn noise(&self, step: usize) -> Tensor<4> {
        let (shape, values) = &self.tensors["noise"];
        let size = values.len() / shape[0];
        let start = step % shape[0] * size;
        tensor(&values[start..start + size], &shape[1..])
    }

    /// The recordings of a case, by name.
    fn recorded(&self, case: &Value) -> BTreeMap<&str, &[f32]> {
        let mut rest = self.tensors[text(&case["id"])].1.as_slice();
        let mut recorded = BTreeMap::new();
        for entry in case["layout"].as_array().expect("a layout") {
            let (values, tail) = rest.split_at(floats(&entry[1]).into_iter().product::<f32>() as usize);
            // Names must be constants to live as long as the tensors.
            let name = ["timesteps", "sigmas", "noisy", "velocity", "samples", "originals"]
                .into_iter()
                .find(|&name| name == text(&entry[0]))
                .expect("a known name");
            recorded.insert(name, values);
            rest = tail;
        }
        recorded
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

pub fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor<4> {
    let shape: [usize; 4] = shape.try_into().expect("four dimensions");
    Tensor::<1>::from_floats(values, &Device::default()).reshape(shape)
}

pub fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_into_vec().expect("single precision")
}

/// The generator's stand-in for a model.
pub fn model(fixtures: &Fixtures, sample: Tensor<4>, timestep: f32, variance: bool) -> Tensor<4> {
    let dtype = sample.dtype();
    let x = sample.cast(DType::F32);
    let pattern = fixtures.tensor("pattern");
    let mut output = x.clone() * 0.3 + x.clamp(-1.0, 1.0) * 0.1 + 0.0005 * timestep;
    if output.dims() == pattern.dims() {
        output = output + pattern.clone() * 0.2;
    }
    if variance {
        output = Tensor::cat(vec![output, (pattern * 0.5).clamp(-1.0, 1.0).abs()], 1);
    }
    output.cast(dtype)
}

/// The largest difference, as a fraction of the expected magnitude (at least 1).
pub fn deviation(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let magnitude = expected.iter().fold(1f32, |max, value| max.max(value.abs()));
    let difference = |(a, b): (&f32, &f32)| {
        if a.is_finite() { f64::from((a - b).abs() / magnitude) } else { f64::INFINITY }
    };
    actual.iter().zip(expected).map(difference).fold(0.0, f64::max)
}

/// Builds the scheduler of a case and chooses its timesteps.
fn start(case: &Value) -> oxidiff::Result<Box<dyn Scheduler>> {
    let config = Config::from_json(&case["config"].to_string())?;
    let mut scheduler = schedulers::from_config(text(&case["class"]), &config)?;
    if let Some(tau) = case["tau"].as_f64() {
        scheduler = SASolverScheduler::from_config(&config)?.with_tau(move |_| tau).into();
    }
    if let Some(predictor) = case["solver_p"].as_str() {
        let predictor = schedulers::from_config(predictor, &Config::default())?;
        scheduler = UniPCMultistepScheduler::from_config(&config)?.with_solver_p(predictor).into();
    }
    let list = |name: &str| case[name].is_array().then(|| floats(&case[name]));
    let (timesteps, sigmas) = (list("timesteps"), list("sigmas"));
    let arguments = &case["arguments"];
    let options = TimestepOptions {
        num_inference_steps: case["steps"].as_u64().map(|steps| steps as usize),
        timesteps: timesteps.as_deref(),
        sigmas: sigmas.as_deref(),
        mu: case["mu"].as_f64(),
        original_inference_steps: arguments["original_inference_steps"].as_u64().map(|steps| steps as usize),
        strength: arguments["strength"].as_f64(),
        num_train_timesteps: arguments["num_train_timesteps"].as_u64().map(|steps| steps as usize),
        jump_length: arguments["jump_length"].as_u64().map(|steps| steps as usize),
        jump_n_sample: arguments["jump_n_sample"].as_u64().map(|steps| steps as usize),
        max_timesteps: arguments["max_timesteps"].as_f64(),
        intermediate_timesteps: arguments["intermediate_timesteps"].as_f64(),
    };
    // Without any of them, the scheduler stays as it was built.
    if options != TimestepOptions::default() {
        scheduler.set_timesteps_with(options)?;
    }
    Ok(scheduler)
}

/// The factor of a class's tolerances in half precision.
///
/// Python's classes step in the sample's own type, ours in single precision. The steps of two classes magnify the
/// rounding errors of half precision. Python in half precision differs from Python in single precision by up to 5.2e-3
/// (bfloat16: 4.8e-2) for the first and 1.3e-2 (6.1e-2) for the second, whose first step multiplies the sample by 20 and
/// subtracts nearly as much again. Single-precision steps between half-precision samples, as in our classes, differ by
/// 1.3e-3 (7.8e-3) and 7.0e-4 (6.3e-3).
fn half_precision_factor(class_name: &str) -> f64 {
    match class_name {
        "KDPM2AncestralDiscreteScheduler" => 2.0,
        "DPMSolverMultistepInverseScheduler" => 4.0,
        _ => 1.0,
    }
}

/// The deviations of one case: of timesteps, noise levels, samples and so on, each with its tolerance.
fn run(case: &Value, fixtures: &Fixtures) -> oxidiff::Result<Vec<(&'static str, f64, f64)>> {
    let mut scheduler = start(case)?;
    let recorded = fixtures.recorded(case);
    let (dtype, tolerance) = match text(&case["dtype"]) {
        "float16" => (DType::F16, 4e-3),
        "bfloat16" => (DType::BF16, 3e-2),
        _ => (DType::F32, 1e-4),
    };
    let class_name = text(&case["class"]);
    let tolerance =
        if dtype == DType::F32 { tolerance } else { tolerance * half_precision_factor(class_name) };
    let mut deviations = Vec::new();

    let mut timesteps = scheduler.timesteps().to_vec();
    assert_eq!(timesteps.len(), recorded["timesteps"].len(), "number of timesteps");
    let absolute = |(a, b): (&f32, &f32)| f64::from((a - b).abs());
    let worst = timesteps.iter().zip(recorded["timesteps"]).map(absolute).fold(0.0, f64::max);
    deviations.push(("timesteps", worst, 1e-4));

    if let Some(expected) = recorded.get("sigmas") {
        let sigmas = scheduler.sigmas().expect("noise levels");
        assert_eq!(sigmas.len(), expected.len(), "number of noise levels");
        let relative = |(a, b): (&f32, &f32)| if a == b { 0.0 } else { f64::from((a - b).abs() / b.abs()) };
        let worst = sigmas.iter().zip(*expected).map(relative).fold(0.0, f64::max);
        deviations.push(("sigmas", worst, 1e-5));
    }
    let expected = case["init_noise_sigma"].as_f64().expect("a number");
    let worst = (scheduler.init_noise_sigma() - expected).abs() / expected;
    deviations.push(("init_noise_sigma", worst, 1e-5));

    if let Some(begin) = case["begin"].as_u64() {
        scheduler.set_begin_index(begin as usize);
        timesteps.drain(..begin as usize);
    }
    if let Some(calls) = case["calls"].as_u64() {
        timesteps.truncate(calls as usize);
    }
    let added_to = [timesteps[0], timesteps[timesteps.len() / 2]];
    let (original, noise) = (fixtures.tensor("pattern").cast(dtype), fixtures.noise(0).cast(dtype));
    match (scheduler.add_noise(original.clone(), noise.clone(), &added_to), recorded.get("noisy")) {
        (Ok(noisy), Some(noisy_in_python)) => {
            deviations.push(("add_noise", deviation(&values(noisy), noisy_in_python), tolerance));
        }
        (Err(error), Some(_)) => return Err(error),
        (noisy, None) => assert!(noisy.is_err(), "adds noise, unlike Python's class"),
    }

    if let Some(expected) = recorded.get("velocity") {
        let velocity = scheduler.get_velocity(original, noise, &added_to)?;
        deviations.push(("velocity", deviation(&values(velocity), expected), tolerance));
    }

    let option_tensor =
        |name: &str| case["options"].get(name).map(|tensor| fixtures.tensor(text(tensor)).cast(dtype));
    let option = |name: &str| case["options"].get(name).and_then(Value::as_f64);
    let mut generator = case["seed"].as_u64().map(|seed| Generators::One(Generator::manual_seed(seed)));
    let kept = floats(&case["kept"]);
    let mut sample = (fixtures.tensor("sample") * scheduler.init_noise_sigma()).cast(dtype);
    let mut expected_samples = recorded["samples"];
    for (index, &timestep) in timesteps.iter().enumerate() {
        let scaled = scheduler.scale_model_input(sample.clone(), timestep)?;
        let model_output = model(fixtures, scaled, timestep, case["variance"] == true);
        let defaults: StepOptions = StepOptions::default();
        let options = StepOptions {
            eta: option("eta"),
            use_clipped_model_output: case["options"].get("use_clipped_model_output")
                == Some(&Value::Bool(true)),
            variance_noise: generator.is_none().then(|| fixtures.noise(index).cast(dtype)),
            generator: generator.as_mut(),
            s_churn: option("s_churn").unwrap_or(defaults.s_churn),
            s_tmin: option("s_tmin").unwrap_or(defaults.s_tmin),
            s_tmax: option("s_tmax").unwrap_or(defaults.s_tmax),
            s_noise: option("s_noise").unwrap_or(defaults.s_noise),
            order: option("order").map_or(defaults.order, |order| order as usize),
            prev_timestep: option("prev_timestep").map(|timestep| timestep as f32),
            pred_original_sample: option_tensor("pred_original_sample"),
            original_image: option_tensor("original_image"),
            mask: option_tensor("mask"),
        };
        let output = scheduler.step(model_output, timestep, sample, options)?;
        assert_eq!(output.prev_sample.dtype(), dtype, "type of the previous sample");
        sample = output.prev_sample;
        if kept.contains(&(index as f32)) {
            let values = values(sample.clone());
            let (expected, rest) = expected_samples.split_at_checked(values.len()).expect("as many values");
            deviations.push(("sample", deviation(&values, expected), tolerance));
            expected_samples = rest;
        }
        if index + 1 == timesteps.len() {
            let original = output.pred_original_sample.map(values);
            assert_eq!(original.is_some(), recorded.contains_key("originals"), "pred_original_sample");
            if let Some(original) = original {
                let worst = deviation(&original, recorded["originals"]);
                deviations.push(("pred_original_sample", worst, tolerance));
            }
        }
    }
    Ok(deviations)
}

/// Fails if a case gives other results than in Python.
pub fn compare_cases(fixtures: &Fixtures) {
    let mut worst: BTreeMap<(&str, &str, &str), f64> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in &fixtures.cases {
        let mut summary = case.clone();
        summary
            .as_object_mut()
            .expect("an object")
            .retain(|key, _| !["layout", "kept"].contains(&key.as_str()));
        match catch_unwind(AssertUnwindSafe(|| run(case, fixtures))) {
            Ok(Ok(deviations)) => {
                for (what, deviation, tolerance) in deviations {
                    if deviation.is_nan() || deviation > tolerance {
                        failures
                            .push(format!("{what} deviates by {deviation:.2e} > {tolerance:.0e}: {summary}"));
                    }
                    let entry = worst.entry((text(&case["class"]), text(&case["dtype"]), what)).or_default();
                    *entry = entry.max(deviation);
                }
            }
            Ok(Err(error)) => failures.push(format!("{error}: {summary}")),
            Err(_) => failures.push(format!("panicked: {summary}")),
        }
    }
    for ((class_name, dtype, what), deviation) in &worst {
        println!("{class_name:<32} {dtype:<9} {what:<21} {deviation:.1e}");
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Equality of JSON in which 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Fails if a configuration that passes through several classes becomes another one than in Python.
pub fn compare_swaps(fixtures: &Fixtures) {
    for swap in &fixtures.swaps {
        let mut config = Config::from_json(&swap["config"].to_string()).unwrap();
        for class_name in swap["classes"].as_array().expect("a list") {
            config = schedulers::from_config(text(class_name), &config).unwrap().config().clone();
        }
        let actual = Value::Object(config.values().clone());
        assert!(same(&actual, &swap["expected"]), "{swap}\nbecame {actual:#}");
    }
}
