//! The sizes that images are cut to, so that those of a batch have the same one: aspect ratio buckets.

use crate::error::{Error, Result};

/// The sizes that images are cut to, heights and widths in pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// One of these: the one whose shape is nearest.
    Listed(Vec<[u32; 2]>),
    /// The one with the nearest shape of some with as many pixels as a square of this side, or fewer for smaller images.
    UpTo(u32),
}

/// Sides of buckets that are not listed are multiples of this.
const STEP: f64 = 16.0;

/// The shapes of buckets that are not listed, widths and heights.
const SHAPES: [[u32; 2]; 11] =
    [[1, 1], [4, 5], [5, 4], [2, 3], [3, 2], [3, 4], [4, 3], [9, 16], [16, 9], [1, 2], [2, 1]];

/// The longest side of a bucket.
const MOST_PIXELS: u32 = 8192;

/// The option that lists buckets.
const LISTED: &str = "aspect-ratio-buckets";

impl Buckets {
    /// The buckets of a list `height,width;height,width`, in pixels.
    ///
    /// # Errors
    /// When it is not one, or a side is no multiple of `factor`.
    pub(crate) fn parse(list: &str, factor: usize) -> Result<Self> {
        let side =
            |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=MOST_PIXELS).contains(side));
        let bucket = |text: &str| {
            let sides = text.split_once(',').and_then(|(height, width)| Some([side(height)?, side(width)?]));
            let sides = sides.ok_or_else(|| {
                let message = format!(
                    "`{text}` is no height and width from 1 to {MOST_PIXELS}, as in `1024,1024;768,1360`"
                );
                Error::option(LISTED, message)
            })?;
            match sides.iter().find(|side| !(**side as usize).is_multiple_of(factor)) {
                Some(side) => {
                    let message = format!("`{text}`: {side} must be a multiple of {factor}");
                    Err(Error::option(LISTED, message))
                }
                None => Ok(sides),
            }
        };
        Ok(Self::Listed(list.trim().split(';').map(bucket).collect::<Result<_>>()?))
    }

    /// The sizes that belong to a square of this side.
    ///
    /// # Errors
    /// When their sides are not all multiples of `factor`.
    pub(crate) fn up_to(side: u32, factor: usize) -> Result<Self> {
        if !(STEP as usize).is_multiple_of(factor) {
            let message =
                format!("makes sides that are multiples of {STEP}, but the model needs those of {factor}");
            return Err(Error::option("use-aspect-ratio-buckets", message));
        }
        Ok(Self::UpTo(side))
    }

    /// The size for an image of this height and width.
    pub(super) fn of(&self, size: [u32; 2]) -> [u32; 2] {
        match self {
            Self::Listed(sizes) => nearest(sizes, size),
            Self::UpTo(side) => {
                let [height, width] = size.map(f64::from);
                let own = (height * width).powf(0.5).round_ties_even();
                nearest(&ladder(own.min(f64::from(*side))), size)
            }
        }
    }
}

/// The sizes with as many pixels as a square of this side: `generate_aspect_ratio_buckets`.
fn ladder(side: f64) -> Vec<[u32; 2]> {
    let mut sizes = Vec::new();
    for [width, height] in SHAPES {
        let ratio = f64::from(width) / f64::from(height);
        let height = (side * side / ratio).powf(0.5);
        let size =
            [height, height * ratio].map(|side| ((side / STEP).round_ties_even() * STEP).max(STEP) as u32);
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes
}

/// The last of the sizes whose shape is nearest to that of `size`: `find_nearest_bucket`.
fn nearest(sizes: &[[u32; 2]], [height, width]: [u32; 2]) -> [u32; 2] {
    let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
    let distance = |size: &[u32; 2]| product(height, size[1]).abs_diff(product(width, size[0]));
    sizes.iter().rev().min_by_key(|size| distance(size)).copied().expect("at least one bucket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_python() {
        // diffusers.training_utils.generate_aspect_ratio_buckets(64), (20)
        assert_eq!(ladder(64.0), [[64, 64], [80, 48], [48, 80], [96, 48], [48, 96]]);
        assert_eq!(ladder(20.0), [[16, 16], [32, 16], [16, 32]]);
        let large = ladder(1024.0);
        assert_eq!((large.len(), large[1], large[10]), (11, [1152, 912], [720, 1456]));
        for (size, expected) in [
            ([40, 30], [48, 32]),
            ([30, 44], [32, 48]),
            ([100, 35], [80, 48]),
            ([64, 64], [64, 64]),
            ([17, 23], [16, 16]),
        ] {
            assert_eq!(Buckets::UpTo(64).of(size), expected, "{size:?}");
        }
    }

    #[test]
    fn the_last_of_equally_near_buckets_is_taken() {
        let buckets = Buckets::parse(" 48,64; 96 , 128;64,48", 16).unwrap();
        assert_eq!(buckets.of([30, 40]), [96, 128]);
        assert_eq!(buckets.of([50, 40]), [64, 48]);
    }

    #[test]
    fn lists_that_are_none_are_refused() {
        for (list, expected) in [
            ("", "`` is no height and width"),
            ("64", "`64` is no height"),
            ("64,64;", "`` is no height"),
            ("64,-16", "`64,-16` is no"),
            ("0,64", "`0,64` is no"),
            ("64,64,64", "`64,64,64` is no"),
            ("64,24", "24 must be a multiple of 16"),
            ("9999999,64", "is no height"),
        ] {
            let error = Buckets::parse(list, 16).unwrap_err().to_string();
            assert!(error.starts_with("--aspect-ratio-buckets: ") && error.contains(expected), "{error}");
        }
    }
}
