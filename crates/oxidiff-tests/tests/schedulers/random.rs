//! Compares random numbers with PyTorch's, as recorded by tests/fixtures/generate_random.py.

use std::path::PathBuf;

use burn::tensor::TensorData;
use half::{bf16, f16};
use oxidiff::{DType, Device, Error, Generator, Generators, RandomFloat, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    keep: usize,
    sequences: Vec<Sequence>,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Sequence {
    name: String,
    seed: u64,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Call {
    Randn { dtype: Float, shape: Vec<usize> },
    Rand { dtype: Float, shape: Vec<usize> },
    Randint { low: i64, high: i64, shape: Vec<usize> },
    Randperm { n: usize },
}

#[derive(Deserialize)]
struct Batch {
    name: String,
    list: bool,
    seeds: Vec<u64>,
    shape: [usize; 4],
    dtype: Float,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Float {
    Float32,
    Float64,
    Float16,
    Bfloat16,
}

impl Float {
    fn dtype(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Float64 => DType::F64,
            Self::Float16 => DType::F16,
            Self::Bfloat16 => DType::BF16,
        }
    }

    /// The allowed difference from PyTorch: logarithms and sines of other processors differ in the last bits.
    fn tolerance(self) -> f64 {
        match self {
            Self::Float32 => 1e-6,
            Self::Float64 => 1e-14,
            Self::Float16 | Self::Bfloat16 => 0.0,
        }
    }
}

fn fixture() -> (Fixture, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/random");
    let calls = serde_json::from_slice(&std::fs::read(folder.join("calls.json")).unwrap()).unwrap();
    (calls, std::fs::read(folder.join("random.safetensors")).unwrap())
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = tensors.tensor(name).unwrap();
    let data = view.data();
    match view.dtype() {
        Dtype::F64 => data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        Dtype::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).into()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).into()).collect(),
        other => panic!("{name} is {other:?}"),
    }
}

fn integers(tensors: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    tensors
        .tensor(name)
        .unwrap()
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| i64::from_le_bytes(bytes))
        .collect()
}

/// The part of a long result that the fixture keeps.
fn kept<T: Clone>(values: Vec<T>, keep: usize) -> Vec<T> {
    if values.len() <= 1000 {
        return values;
    }
    [&values[..keep], &values[values.len() - keep..]].concat()
}

fn vec<T: RandomFloat + Into<f64>>(generator: &mut Generator, normal: bool, len: usize) -> Vec<f64> {
    let values = if normal { generator.randn_vec::<T>(len) } else { generator.rand_vec::<T>(len) };
    values.into_iter().map(Into::into).collect()
}

fn draw(generator: &mut Generator, normal: bool, dtype: Float, len: usize) -> Vec<f64> {
    match dtype {
        Float::Float32 => vec::<f32>(generator, normal, len),
        Float::Float64 => vec::<f64>(generator, normal, len),
        Float::Float16 => vec::<f16>(generator, normal, len),
        Float::Bfloat16 => vec::<bf16>(generator, normal, len),
    }
}

fn to_f64(data: TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// Compares values, and counts the exactly equal ones and all of them.
fn compare(name: &str, actual: &[f64], expected: &[f64], tolerance: f64, count: &mut (usize, usize)) {
    assert_eq!(actual.len(), expected.len(), "{name}");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * e.abs().max(1.0), "{name}[{i}]: {a} instead of {e}");
        count.0 += usize::from(a == e);
        count.1 += 1;
    }
}

#[test]
fn numbers_are_pytorchs() {
    let (fixture, bytes) = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (mut normal, mut uniform, mut calls) = ((0, 0), (0, 0), 0);
    for sequence in &fixture.sequences {
        let mut generator = Generator::manual_seed(sequence.seed);
        assert_eq!(generator.initial_seed(), sequence.seed);
        for (i, call) in sequence.calls.iter().enumerate() {
            let name = format!("{}.{i}", sequence.name);
            match call {
                Call::Randn { dtype, shape } => {
                    let actual = draw(&mut generator, true, *dtype, shape.iter().product());
                    let expected = floats(&tensors, &name);
                    compare(&name, &kept(actual, fixture.keep), &expected, dtype.tolerance(), &mut normal);
                }
                Call::Rand { dtype, shape } => {
                    let actual = draw(&mut generator, false, *dtype, shape.iter().product());
                    let expected = floats(&tensors, &name);
                    compare(&name, &kept(actual, fixture.keep), &expected, 0.0, &mut uniform);
                }
                Call::Randint { low, high, shape } => {
                    let actual = generator.randint_vec(*low, *high, shape.iter().product()).unwrap();
                    assert_eq!(actual, integers(&tensors, &name), "{name}");
                }
                Call::Randperm { n } => {
                    let actual = kept(generator.randperm_vec(*n), fixture.keep);
                    assert_eq!(actual, integers(&tensors, &name), "{name}");
                }
            }
            calls += 1;
        }
    }
    assert!(calls > 800, "the fixture has only {calls} calls");
    println!("{} of {} normal samples are equal to the last bit", normal.0, normal.1);
    println!("{} of {} uniform samples are equal to the last bit", uniform.0, uniform.1);
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        assert!(normal.0 * 1000 >= normal.1 * 999, "only {} of {} are exact", normal.0, normal.1);
    }
}

#[test]
fn batches_are_diffusers() {
    let (fixture, bytes) = fixture();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let device = Device::default();
    for batch in &fixture.batches {
        let mut generators: Vec<_> = batch.seeds.iter().map(|&seed| Generator::manual_seed(seed)).collect();
        let mut generators: Generators =
            if batch.list { generators.into() } else { generators.remove(0).into() };
        for i in 0..2 {
            let name = format!("{}.{i}", batch.name);
            let noise = generators.randn(batch.shape, batch.dtype.dtype(), &device).unwrap();
            assert_eq!(noise.dims(), batch.shape);
            assert_eq!(noise.dtype(), batch.dtype.dtype());
            let actual = to_f64(noise.into_data());
            compare(&name, &actual, &floats(&tensors, &name), batch.dtype.tolerance(), &mut (0, 0));
        }
    }
}

#[test]
fn tensors_and_vectors_hold_the_same_numbers() {
    let device = Device::default();
    for dtype in [Float::Float32, Float::Float64, Float::Float16, Float::Bfloat16] {
        let (mut a, mut b) = (Generator::manual_seed(9), Generator::manual_seed(9));
        let normal: Tensor<3> = a.randn([2, 3, 5], dtype.dtype(), &device);
        assert_eq!((normal.dims(), normal.dtype()), ([2, 3, 5], dtype.dtype()));
        assert_eq!(to_f64(normal.into_data()), draw(&mut b, true, dtype, 30));
        let uniform: Tensor<2> = a.rand([3, 2], dtype.dtype(), &device);
        assert_eq!((uniform.dims(), uniform.dtype()), ([3, 2], dtype.dtype()));
        assert_eq!(to_f64(uniform.into_data()), draw(&mut b, false, dtype, 6));
        let empty: Tensor<2> = a.randn([0, 4], dtype.dtype(), &device);
        assert_eq!((empty.dims(), to_f64(empty.into_data())), ([0, 4], vec![]));
    }

    let (mut a, mut b) = (Generator::manual_seed(9), Generator::manual_seed(9));
    let integers = a.randint(-3, 1 << 40, [2, 2], &device).unwrap();
    assert_eq!((integers.dims(), integers.dtype()), ([2, 2], DType::I64));
    assert_eq!(
        integers.into_data().iter::<i64>().collect::<Vec<_>>(),
        b.randint_vec(-3, 1 << 40, 4).unwrap()
    );
    let order = a.randperm(6, &device);
    assert_eq!(order.dtype(), DType::I64);
    assert_eq!(order.into_data().iter::<i64>().collect::<Vec<_>>(), b.randperm_vec(6));
}

#[test]
fn a_wrong_number_of_generators_is_an_error() {
    let device = Device::default();
    for count in [0, 2, 4] {
        let mut generators = Generators::from(vec![Generator::manual_seed(0); count]);
        let error = generators.randn([3, 1, 2, 2], DType::F32, &device).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { argument: "generator", .. }));
        assert!(error.to_string().contains(&format!("{count} generators for a batch of 3")), "{error}");
    }
}

#[test]
fn an_empty_range_of_integers_is_an_error() {
    let mut generator = Generator::manual_seed(0);
    for (low, high) in [(3, 3), (4, 3)] {
        assert!(matches!(generator.randint_vec(low, high, 0), Err(Error::InvalidArgument { .. })));
    }
}

#[test]
fn seeds_from_the_system_differ() {
    let (mut a, b) = (Generator::from_entropy(), Generator::from_entropy());
    assert_ne!(a.initial_seed(), b.initial_seed());
    let mut again = Generator::manual_seed(a.initial_seed());
    assert_eq!(a.randn_vec::<f32>(20), again.randn_vec::<f32>(20));
}

#[test]
fn items_that_share_a_generator_draw_from_it_in_turn() {
    let shape = [3, 2, 4, 5];
    let device = Device::flex();
    let mut shared = Generators::Shared {
        generators: vec![Generator::manual_seed(1), Generator::manual_seed(2)],
        of_item: vec![0, 1, 0],
    };
    let drawn = shared.randn(shape, DType::F32, &device).unwrap();

    let (mut first, mut second) = (Generator::manual_seed(1), Generator::manual_seed(2));
    let item = |generator: &mut Generator| generator.randn([1, 2, 4, 5], DType::F32, &device);
    let expected = Tensor::cat(vec![item(&mut first), item(&mut second), item(&mut first)], 0);
    assert_eq!(drawn.into_data(), expected.into_data());

    let mut lacking =
        Generators::Shared { generators: vec![Generator::manual_seed(1)], of_item: vec![0, 7, 0] };
    assert!(lacking.randn(shape, DType::F32, &device).unwrap_err().to_string().contains("generator"));
    let mut too_few = Generators::Shared { generators: vec![Generator::manual_seed(1)], of_item: vec![0, 0] };
    assert!(too_few.randn(shape, DType::F32, &device).is_err());
    assert!(Generators::PerItem(Vec::new()).randn(shape, DType::F32, &device).is_err());
}
