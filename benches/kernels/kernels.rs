//! Times each kernel and the equivalent plain Burn expression, with the sizes of Stable Diffusion 1.5 at 512x512; and products with
//! quantised weights beside those with `bf16`.

use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{DType, Device, Distribution, Tensor, activation, module};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oxidiff_kernels::{
    Addends, GroupNormActivation, QuantisedFormat, QuantisedMatrix, attention, conv2d, depthwise_glu, geglu,
    group_norm, layer_norm, linear, linear_attention, linear_geglu, quantised_linear,
};

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// An image in channels-last order, as kernels produce it.
fn image([batch, channels, height, width]: [usize; 4]) -> Tensor<4> {
    random([batch, height, width, channels]).permute([0, 3, 1, 2])
}

fn project(criterion: &mut Criterion) {
    for (rows, depth, features) in [
        (8192, 320, 320),
        (8192, 1280, 320),
        (2048, 640, 640),
        (512, 1280, 1280),
        (128, 1280, 1280),
        (154, 768, 320),
    ] {
        let mut group = criterion.benchmark_group(format!("linear {rows}x{depth} to {features}"));
        group.sample_size(10);
        let (x, weight, bias) = (random([1, rows, depth]), random([features, depth]), random([features]));
        group.bench_function("kernel", |b| {
            b.iter(|| linear(x.clone(), weight.clone(), Some(bias.clone()), None));
        });
        group.bench_function("burn", |b| {
            b.iter(|| module::linear(x.clone(), weight.clone().transpose(), Some(bias.clone())));
        });
    }
    for (rows, depth, features) in [(8192, 320, 1280), (512, 1280, 5120)] {
        let mut group = criterion.benchmark_group(format!("linear and GEGLU {rows}x{depth} to {features}"));
        group.sample_size(10);
        let (x, weight) = (random([1, rows, depth]), random([2 * features, depth]));
        group.bench_function("kernel", |b| b.iter(|| linear_geglu(x.clone(), weight.clone(), None)));
        group.bench_function("burn", |b| {
            b.iter(|| {
                let y = module::linear(x.clone(), weight.clone().transpose(), None);
                y.clone().narrow(2, 0, features) * activation::gelu(y.narrow(2, features, features))
            });
        });
    }
}

fn attend(criterion: &mut Criterion) {
    for (tokens, keys, heads, dim) in
        [(4096, 4096, 8, 40), (1024, 1024, 8, 80), (4096, 77, 8, 40), (4096, 4096, 1, 512)]
    {
        let mut group =
            criterion.benchmark_group(format!("attention {tokens}x{keys}, {heads} heads of {dim}"));
        group.sample_size(10);
        let width = heads * dim;
        let (query, key, value) =
            (random([2, tokens, width]), random([2, keys, width]), random([2, keys, width]));
        group.bench_function("kernel", |b| {
            b.iter(|| attention(query.clone(), key.clone(), value.clone(), heads));
        });
        let split = |x: &Tensor<3>, tokens| x.clone().reshape([2, tokens, heads, dim]).swap_dims(1, 2);
        group.bench_function("burn", |b| {
            b.iter(|| {
                let (query, key, value) = (split(&query, tokens), split(&key, keys), split(&value, keys));
                let options = AttentionModuleOptions::default();
                let out = module::attention(query, key, value, None, None, options);
                out.swap_dims(1, 2).reshape([2, tokens, width])
            });
        });
    }
}

fn normalize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group norm and SiLU, 2x320x64x64");
    group.sample_size(20);
    let (x, weight, bias) = (random([2, 320, 64, 64]), random([320]), random([320]));
    let channels_last = image([2, 320, 64, 64]);
    group.bench_function("kernel", |b| {
        b.iter(|| {
            let silu = GroupNormActivation::Silu;
            group_norm(channels_last.clone(), 32, weight.clone(), bias.clone(), 1e-5, silu)
        });
    });
    group.bench_function("burn", |b| {
        b.iter(|| {
            let grouped = x.clone().reshape([2, 32, 10 * 64 * 64]);
            let centred = grouped.clone() - grouped.mean_dim(2);
            let variance = centred.clone().square().mean_dim(2);
            let normal = (centred / (variance + 1e-5).sqrt()).reshape([2, 320, 64, 64]);
            let per_channel = |parameter: &Tensor<1>| parameter.clone().reshape([1, 320, 1, 1]);
            activation::silu(normal * per_channel(&weight) + per_channel(&bias))
        });
    });
}

fn normalize_tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer norm, 8192x320");
    group.sample_size(20);
    let (x, weight, bias) = (random([2, 4096, 320]), random([320]), random([320]));
    group.bench_function("kernel", |b| b.iter(|| layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5)));
    group.bench_function("burn", |b| {
        b.iter(|| module::layer_norm(x.clone(), weight.clone(), Some(bias.clone()), 1e-5));
    });
}

fn gate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("GEGLU, 2x4096x2560");
    group.sample_size(20);
    let x = random([2, 4096, 2560]);
    group.bench_function("kernel", |b| b.iter(|| geglu(x.clone())));
    group.bench_function("burn", |b| {
        b.iter(|| x.clone().narrow(2, 0, 1280) * activation::gelu(x.clone().narrow(2, 1280, 1280)));
    });
}

fn convolve(criterion: &mut Criterion) {
    for (batch, channels, out_channels, side, kernel, stride) in [
        (2, 320, 320, 64, 3, 1),
        (2, 640, 320, 64, 3, 1),
        (2, 640, 640, 32, 3, 1),
        (2, 1280, 1280, 16, 3, 1),
        (2, 1280, 1280, 8, 3, 1),
        (2, 1280, 1280, 4, 3, 1),
        (1, 128, 128, 256, 3, 1),
        (2, 32, 32, 8, 3, 1),
        (2, 320, 320, 64, 3, 2),
        (2, 640, 320, 64, 1, 1),
    ] {
        let name = format!(
            "{kernel}x{kernel} convolution {batch}x{channels}x{side}x{side} to {out_channels}, {stride}"
        );
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        let x = random([batch, channels, side, side]);
        let (weight, bias) = (random([out_channels, channels, kernel, kernel]), random([out_channels]));
        let padding = kernel / 2;
        let addends = Addends { bias: Some(bias.clone()), ..Addends::default() };
        let channels_last = image([batch, channels, side, side]);
        group.bench_function("kernel", |b| {
            b.iter(|| conv2d(channels_last.clone(), weight.clone(), addends.clone(), stride, padding));
        });
        group.bench_function("burn", |b| {
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            b.iter(|| module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options.clone()));
        });
    }
}

/// Products with weights in blocks, of the sizes of a feed-forward of Z-Image: for one row of activations, the throughput is the
/// speed at which weights are read; for 1024, elements are multiplications and additions.
fn project_quantised(criterion: &mut Criterion) {
    let (depth, features) = (3840, 10_240);
    for rows in [1, 8, 64, 1024] {
        let mut group = criterion.benchmark_group(format!("quantised linear {rows}x{depth} to {features}"));
        group.sample_size(10);
        let x = random([1, rows, depth]).cast(DType::BF16);
        let flop = Throughput::Elements(2 * (rows * depth * features) as u64);
        let throughput =
            |bytes: usize| if rows == 1 { Throughput::Bytes(bytes as u64) } else { flop.clone() };
        for format in QuantisedFormat::ALL {
            // Several matrices in turn, so that none stays in a cache.
            let weights: Vec<QuantisedMatrix> =
                (0..4).map(|seed| blocks(format, [features, depth], seed)).collect();
            group.throughput(throughput(weights[0].blocks().len()));
            let mut next = weights.iter().cycle();
            group.bench_function(format.name(), |b| {
                b.iter(|| quantised_linear(x.clone(), next.next().expect("a cycle"), None, None));
            });
        }
        let weights: Vec<Tensor<2>> = (0..4).map(|_| random([features, depth]).cast(DType::BF16)).collect();
        group.throughput(throughput(2 * features * depth));
        let mut next = weights.iter().cycle();
        group.bench_function("bf16", |b| {
            b.iter(|| linear(x.clone(), next.next().expect("a cycle").clone(), None, None));
        });
    }
}

/// A matrix of random blocks, whose scales are ordinary numbers.
fn blocks(format: QuantisedFormat, [rows, columns]: [usize; 2], seed: u64) -> QuantisedMatrix {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let bytes = format.row_bytes(columns).expect("whole blocks") * rows;
    let random = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // As the upper half of an `f16`, each of these bytes is a number between 1/16384 and 2.
        (state >> 32) as u8 & 0x3f
    });
    QuantisedMatrix::new(format, random.collect::<Vec<u8>>().into(), [rows, columns]).expect("whole blocks")
}

/// Of Sana at 1024x1024: 32 by 32 tokens.
fn attend_linearly(criterion: &mut Criterion) {
    let (tokens, heads, dim) = (1024, 70, 32);
    let mut group = criterion.benchmark_group(format!("linear attention {tokens}, {heads} heads of {dim}"));
    group.sample_size(10);
    let [query, key, value] = [0, 1, 2].map(|_| random([1, tokens, heads * dim]));
    group.bench_function("kernel", |b| {
        b.iter(|| linear_attention(query.clone(), key.clone(), value.clone(), heads));
    });
    group.bench_function("burn", |b| {
        b.iter(|| {
            let split = |x: &Tensor<3>| x.clone().reshape([1, tokens, heads, dim]).swap_dims(1, 2);
            let (query, key) = (activation::relu(split(&query)), activation::relu(split(&key)));
            let divisor = query.clone().matmul(key.clone().sum_dim(2).swap_dims(2, 3)) + 1e-15;
            query.matmul(key.swap_dims(2, 3).matmul(split(&value))) / divisor
        });
    });
}

fn gate_neighbours(criterion: &mut Criterion) {
    let channels = 11200;
    let mut group = criterion.benchmark_group(format!("depthwise gate {channels}x32x32"));
    group.sample_size(10);
    let (x, weight, bias) = (image([1, channels, 32, 32]), random([channels, 1, 3, 3]), random([channels]));
    group.bench_function("kernel", |b| {
        b.iter(|| depthwise_glu(x.clone(), weight.clone(), Some(bias.clone())));
    });
    group.bench_function("burn", |b| {
        b.iter(|| {
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], channels);
            let y = module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
            let [value, gate] = y.chunk(2, 1).try_into().expect("two halves");
            value * activation::silu(gate)
        });
    });
}

criterion_group!(
    kernels,
    project,
    project_quantised,
    attend,
    convolve,
    normalize,
    normalize_tokens,
    gate,
    attend_linearly,
    gate_neighbours
);
criterion_main!(kernels);
