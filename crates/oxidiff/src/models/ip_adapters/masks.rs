//! Where the pictures of an IP-Adapter count.

use burn::tensor::Tensor;

use crate::interpolation::{Corners, Interpolation, interpolate};

/// Masks `[1, images, height, width]` for each of these numbers of `positions`: `[images, positions, 1]`.
///
/// The positions of a UNet are assumed to have the masks' proportions. If they do not, masks are filled up with zeros or cut off
/// at the end, as in Python.
pub(crate) fn masks_at(masks: &Tensor<4>, positions: &[usize]) -> Vec<Tensor<3>> {
    positions.iter().map(|&positions| mask_at(masks, positions)).collect()
}

fn mask_at(masks: &Tensor<4>, positions: usize) -> Tensor<3> {
    let [_, images, height, width] = masks.dims();
    let [rows, columns] = size_at([height, width], positions);
    let mask = interpolate(masks.clone(), [rows, columns], Interpolation::Bicubic, Corners::Free);
    let area = rows * columns;
    let mask = mask.reshape([images, area, 1]);
    if area == positions {
        return mask;
    }
    tracing::warn!(
        "a mask of an IP-Adapter has other proportions than the image: {width}x{height} for {positions} positions"
    );
    if area > positions {
        return mask.narrow(1, 0, positions);
    }
    let rest = Tensor::zeros([images, positions - area, 1], (&mask.device(), mask.dtype()));
    Tensor::cat(vec![mask, rest], 1)
}

/// The height and width of a mask for a number of positions.
fn size_at([height, width]: [usize; 2], positions: usize) -> [usize; 2] {
    let ratio = width as f64 / height as f64;
    let rows = ((positions as f64 / ratio).sqrt() as usize).max(1);
    let rows = rows + usize::from(!positions.is_multiple_of(rows));
    [rows, (positions / rows).max(1)]
}

#[cfg(test)]
mod tests {
    use super::size_at;

    #[test]
    fn sizes_have_the_proportions_of_the_mask() {
        assert_eq!(size_at([64, 96], 24), [4, 6]);
        assert_eq!(size_at([512, 512], 4096), [64, 64]);
        // 72x40 pixels, 9x5 positions.
        assert_eq!(size_at([72, 40], 45), [9, 5]);
    }
}
