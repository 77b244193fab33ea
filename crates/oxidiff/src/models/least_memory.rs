//! The least memory that a call of a model needs, from its configuration and the size of its input.
//!
//! This counts the tensors that are alive at the peak. It does not count weights, which are in mapped files.

use burn::tensor::DType;

/// Bytes that a call of a U-Net needs on `batch` samples of `height` by `width`.
///
/// The peak is in the first residual block of the last up block: alive are the tensor from below, the skips of the same size,
/// the two joined, and the result.
pub(crate) fn unet(
    block_out_channels: &[usize],
    layers_per_block: usize,
    [batch, height, width]: [usize; 3],
    dtype: DType,
) -> u64 {
    let top = block_out_channels.first().copied().unwrap_or(0);
    let below = block_out_channels.get(1).copied().unwrap_or(top);
    let channels = below + (layers_per_block + 1) * top + (below + top) + top;
    bytes([batch, channels, height, width], dtype)
}

/// The parts in which an autoencoder encodes and decodes a batch.
#[derive(Clone, Copy, Default)]
pub(crate) struct CodedParts {
    /// Whether images are processed one by one.
    pub slicing: bool,
    /// The side of a tile in pixels, if images are cut into tiles.
    pub tile: Option<usize>,
}

/// Bytes that decoding or encoding a batch of latents `[images, height, width]` needs in an autoencoder whose images are
/// `factor` times as large.
///
/// The peak is in the last upsampling: alive are its input, enlarged to the size of the image, and its result.
pub(crate) fn autoencoder(
    block_out_channels: &[usize],
    [images, height, width]: [usize; 3],
    factor: usize,
    parts: CodedParts,
    dtype: DType,
) -> u64 {
    let images = if parts.slicing { images.min(1) } else { images };
    let [height, width] = [height, width]
        .map(|side| side.saturating_mul(factor))
        .map(|pixels| parts.tile.map_or(pixels, |tile| pixels.min(tile)));
    let channels = block_out_channels.get(1).or(block_out_channels.first()).copied().unwrap_or(0);
    bytes([images, 2 * channels, height, width], dtype)
}

/// Bytes of a tensor.
pub(crate) fn bytes(shape: [usize; 4], dtype: DType) -> u64 {
    shape.iter().fold(dtype.size() as u64, |bytes, dim| bytes.saturating_mul(*dim as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_peak() {
        // 640 + 3 * 320 + 960 + 320 channels.
        let stable_diffusion = unet(&[320, 640, 1280, 1280], 2, [2, 64, 64], DType::F32);
        assert_eq!(stable_diffusion, 2880 * 2 * 64 * 64 * 4);
        let channels = [128, 256, 512, 512];
        let vae = |images, parts| autoencoder(&channels, [images, 64, 64], 8, parts, DType::F16);
        let whole = 512 * 512 * 512 * 2;
        assert_eq!(vae(1, CodedParts::default()), whole);
        assert_eq!(vae(3, CodedParts::default()), 3 * whole);
        assert_eq!(vae(3, CodedParts { slicing: true, tile: None }), whole);
        assert_eq!(vae(1, CodedParts { slicing: false, tile: Some(256) }), whole / 4);
        assert_eq!(vae(1, CodedParts { slicing: false, tile: Some(1024) }), whole);
        assert_eq!(bytes([usize::MAX; 4], DType::F32), u64::MAX);
    }
}
