//! Dynamic thresholding, section 2.3 of [Imagen](https://arxiv.org/abs/2205.11487).

use burn::tensor::{DType, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::loading::config::Config;

/// Keeps the predicted noise-free pixels within what an image can hold.
///
/// For each item of the batch, s is the given quantile of its absolute values, at least 1 and at most the maximum;
/// the item is clipped to ±s and divided by s, which pulls saturated pixels inwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DynamicThresholding {
    quantile: f64,
    max_value: f64,
}

impl DynamicThresholding {
    /// What the configuration's fields describe; nothing unless they ask for thresholding.
    pub fn from_fields(
        thresholding: bool,
        dynamic_thresholding_ratio: f64,
        sample_max_value: f64,
        config: &Config,
    ) -> Result<Option<Self>> {
        if !thresholding {
            return Ok(None);
        }
        if !(0.0..=1.0).contains(&dynamic_thresholding_ratio) {
            let message = format!("is {dynamic_thresholding_ratio}, must be between 0 and 1");
            return Err(Error::config(config.origin(), "dynamic_thresholding_ratio", message));
        }
        Ok(Some(Self { quantile: dynamic_thresholding_ratio, max_value: sample_max_value }))
    }

    /// Thresholds a single-precision sample, `[batch, channels, height, width]`.
    pub fn apply(&self, sample: Tensor<4>) -> Result<Tensor<4>> {
        let [batch, channels, height, width] = sample.dims();
        let device = sample.device();
        let values: Vec<f32> = sample
            .clone()
            .abs()
            .into_data()
            .try_into_vec()
            .map_err(|error| Error::argument("sample", format!("cannot be read back: {error}")))?;
        let thresholds: Vec<f32> = values
            .chunks((channels * height * width).max(1))
            .map(|item| {
                // Not `clamp`, since the maximum may be below 1 and then takes precedence.
                quantile(item.to_vec(), self.quantile).max(1.0).min(self.max_value as f32)
            })
            .collect();

        let s = Tensor::<4>::from_data(TensorData::new(thresholds, [batch, 1, 1, 1]), (&device, DType::F32))
            .expand([batch, channels, height, width]);
        Ok(sample.max_pair(s.clone().neg()).min_pair(s.clone()) / s)
    }
}

/// Rejects a bound on the predicted noise-free sample that no value satisfies.
pub(crate) fn check_clip_range(clip_sample: bool, clip_sample_range: f64, config: &Config) -> Result<()> {
    if clip_sample && !(0.0..).contains(&clip_sample_range) {
        let message = format!("is {clip_sample_range}, must be at least 0");
        return Err(Error::config(config.origin(), "clip_sample_range", message));
    }
    Ok(())
}

/// The value that the fraction `q` of all values does not exceed, interpolated between neighbours.
fn quantile(mut values: Vec<f32>, q: f64) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let rank = q as f32 * (values.len() - 1) as f32;
    let below = values[rank.floor() as usize];
    let above = values[rank.ceil() as usize];
    below + (above - below) * rank.fract()
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        assert_eq!(quantile(vec![3.0, 0.0, 1.0, 2.0], 0.5), 1.5);
        assert_eq!(quantile(vec![3.0, 0.0, 1.0, 2.0], 1.0), 3.0);
        assert_eq!(quantile(vec![7.0], 0.995), 7.0);
    }
}
