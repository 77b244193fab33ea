//! From values to blocks of `Q4_K`, as GGML's reference (`quantize_row_q4_K_ref`) rounds.

use half::f16;

/// Values with a common scale and minimum.
const GROUP: usize = 32;
/// Groups of a block.
const GROUPS: usize = 8;
/// The largest number, and the largest scale or minimum of a group.
const MOST: f32 = 15.0;
const MOST_SCALE: f32 = 63.0;
/// How many scales are tried besides the first.
const TRIALS: usize = 20;

/// A block of 256 values.
pub(super) fn q4_k(values: &[f32; GROUP * GROUPS], out: &mut Vec<u8>) {
    let groups = values.as_chunks::<GROUP>().0;
    let fits: [Fit; GROUPS] = std::array::from_fn(|group| Fit::of(&groups[group]));
    let largest = |of: fn(&Fit) -> f32| fits.iter().map(of).fold(0.0, f32::max);
    let (scale, minimum) = (largest(|fit| fit.scale), largest(|fit| fit.minimum));
    let rounded = |value: f32, largest: f32| {
        let inverse = if largest > 0.0 { MOST_SCALE / largest } else { 0.0 };
        (inverse * value).round_ties_even().min(MOST_SCALE) as u8
    };
    let scales = fits.each_ref().map(|fit| rounded(fit.scale, scale));
    let minima = fits.each_ref().map(|fit| rounded(fit.minimum, minimum));
    let [scale, minimum] = [scale, minimum].map(|largest| f16::from_f32(largest / MOST_SCALE));

    let mut numbers = fits.map(|fit| fit.numbers);
    for (group, numbers) in numbers.iter_mut().enumerate() {
        let scale = scale.to_f32() * f32::from(scales[group]);
        if scale == 0.0 {
            continue;
        }
        let minimum = minimum.to_f32() * f32::from(minima[group]);
        *numbers = groups[group].map(|value| number((value + minimum) / scale));
    }
    out.extend(scale.to_le_bytes());
    out.extend(minimum.to_le_bytes());
    out.extend(packed(scales, minima));
    for [low, high] in numbers.as_chunks::<2>().0 {
        out.extend(low.iter().zip(high).map(|(low, high)| low | high << 4));
    }
}

fn number(value: f32) -> u8 {
    value.round_ties_even().clamp(0.0, MOST) as u8
}

/// Scales and minima of 6 bits: those of the first four groups, then the lower four bits of the others, whose upper two are above
/// those of the first.
fn packed(scales: [u8; GROUPS], minima: [u8; GROUPS]) -> [u8; 12] {
    std::array::from_fn(|place| match place {
        0..4 => scales[place] | scales[place + 4] >> 4 << 6,
        4..8 => minima[place - 4] | minima[place] >> 4 << 6,
        _ => scales[place - 4] & 15 | minima[place - 4] << 4,
    })
}

/// `scale * number - minimum` for each value of a group, with an error that is as small as it gets.
struct Fit {
    numbers: [u8; GROUP],
    scale: f32,
    minimum: f32,
}

impl Fit {
    /// Tries several scales. For the numbers that each implies, weighted least squares give the best scale and minimum. Large values
    /// have more weight.
    fn of(values: &[f32; GROUP]) -> Self {
        let mean = (values.iter().map(|value| value * value).sum::<f32>() / GROUP as f32).sqrt();
        let weights = values.map(|value| mean + value.abs());
        let sum_weights: f32 = weights.iter().sum();
        let sum_values: f32 = weights.iter().zip(values).map(|(weight, value)| weight * value).sum();
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let smallest = values.iter().copied().fold(f32::INFINITY, f32::min).min(0.0);
        if largest == smallest {
            return Self { numbers: [0; GROUP], scale: 0.0, minimum: -smallest };
        }
        let range = largest - smallest;
        let numbers_for = |inverse: f32| values.map(|value| number(inverse * (value - smallest)));
        let error = |fit: &Self| {
            let terms = fit.numbers.iter().zip(values).zip(&weights).map(|((number, value), weight)| {
                let difference = fit.scale * f32::from(*number) - fit.minimum - value;
                weight * (difference * difference)
            });
            terms.sum::<f32>()
        };
        let inverse = MOST / range;
        let mut best = Self { numbers: numbers_for(inverse), scale: 1.0 / inverse, minimum: -smallest };
        let mut least = error(&best);
        for trial in 0..=TRIALS {
            let numbers = numbers_for((-1.0 + 0.1 * trial as f32 + MOST) / range);
            let (mut sum, mut sum_squares, mut sum_products) = (0.0, 0.0, 0.0);
            for ((number, value), weight) in numbers.iter().zip(values).zip(&weights) {
                let number = f32::from(*number);
                sum += weight * number;
                sum_squares += weight * number * number;
                sum_products += weight * number * value;
            }
            let determinant = sum_weights * sum_squares - sum * sum;
            if determinant <= 0.0 {
                continue;
            }
            let mut scale = (sum_weights * sum_products - sum_values * sum) / determinant;
            let mut offset = (sum_squares * sum_values - sum * sum_products) / determinant;
            if offset > 0.0 {
                (scale, offset) = (sum_products / sum_squares, 0.0);
            }
            let fit = Self { numbers, scale, minimum: -offset };
            let error = error(&fit);
            if error < least {
                (best, least) = (fit, error);
            }
        }
        best
    }
}
