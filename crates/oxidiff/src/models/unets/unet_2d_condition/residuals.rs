//! What ControlNets add to the tensors inside a UNet (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>, section 3.2).

use burn::tensor::Tensor;

use super::UNet2DConditionModel;
use super::conditioning::UNet2DConditionInputs;
use super::config::UNet2DConditionConfig;
use crate::error::{Error, Result};
#[cfg(feature = "cuda")]
use crate::models::placement::Operand;

const DOWN: &str = "down_block_additional_residuals";
const MID: &str = "mid_block_additional_residual";

/// Checked residuals of one call.
pub(super) struct Residuals {
    /// One for each skip.
    down: Vec<Tensor<4>>,
    mid: Tensor<4>,
}

impl Residuals {
    /// Adds them to the skips and to the result of the middle block, `x`, which is returned.
    pub fn add_to(self, skips: &mut [Tensor<4>], x: Tensor<4>) -> Tensor<4> {
        for (skip, residual) in skips.iter_mut().zip(self.down) {
            *skip = skip.clone() + residual;
        }
        x + self.mid
    }

    /// The inputs of a call on a card.
    #[cfg(feature = "cuda")]
    pub fn into_operands(residuals: Option<Self>) -> impl Iterator<Item = Operand> {
        residuals.into_iter().flat_map(|Self { down, mid }| down.into_iter().chain([mid])).map(Operand::from)
    }

    /// The residuals of those inputs.
    #[cfg(feature = "cuda")]
    pub fn from_operands(operands: impl Iterator<Item = Operand>) -> Option<Self> {
        let mut down: Vec<Tensor<4>> = operands.map(Operand::into_image).collect();
        let mid = down.pop()?;
        Some(Self { down, mid })
    }
}

impl UNet2DConditionModel {
    /// Takes the residuals out of the inputs, if there are any.
    ///
    /// # Errors
    /// When some of them are missing, or one does not have the shape of what it is added to.
    pub(super) fn take_residuals(
        &self,
        sample: &Tensor<4>,
        inputs: &mut UNet2DConditionInputs,
    ) -> Result<Option<Residuals>> {
        let down = std::mem::take(&mut inputs.down_block_additional_residuals);
        let mid = match (inputs.mid_block_additional_residual.take(), down.is_empty()) {
            (None, true) => return Ok(None),
            (None, false) => {
                return Err(Error::argument(MID, format!("must be given together with `{DOWN}`")));
            }
            (Some(_), true) => {
                return Err(Error::argument(DOWN, format!("must be given together with `{MID}`")));
            }
            (Some(mid), false) => mid,
        };
        if self.side_multiple() > 1 {
            let message = "cannot be given: no ControlNet has the K blocks of this model";
            return Err(Error::argument(DOWN, message));
        }
        let [batch, _, height, width] = sample.dims();
        let shapes = skip_shapes(&self.config, [batch, height, width]);
        if shapes.len() != down.len() {
            let message = format!("has {} tensors, the model has {} skips", down.len(), shapes.len());
            return Err(Error::argument(DOWN, message));
        }
        let last = shapes[shapes.len() - 1];
        let residuals = down.iter().zip(&shapes).map(|(residual, shape)| (DOWN, residual, shape));
        for (argument, residual, shape) in residuals.chain([(MID, &mid, &last)]) {
            let given = residual.dims();
            let pooled = [shape[0], shape[1], 1, 1];
            if given != *shape && given != pooled {
                let message = format!("has shape {given:?}, the model takes {shape:?} or {pooled:?}");
                return Err(Error::argument(argument, message));
            }
        }
        let cast = |residual: Tensor<4>| residual.cast(self.dtype());
        Ok(Some(Residuals { down: down.into_iter().map(cast).collect(), mid: cast(mid) }))
    }
}

/// The shapes of the skips of a model without K blocks, for a sample `[batch, height, width]`.
fn skip_shapes(config: &UNet2DConditionConfig, [batch, height, width]: [usize; 3]) -> Vec<[usize; 4]> {
    let channels = &config.block_out_channels;
    let layers = config.layers_per_block.expand(channels.len()).unwrap_or_default();
    let sizes = level_sizes(config, [height, width]);
    let mut shapes = vec![[batch, channels[0], height, width]];
    for (block, (&channels, layers)) in channels.iter().zip(layers).enumerate() {
        let [height, width] = sizes[block];
        shapes.extend(vec![[batch, channels, height, width]; layers]);
        if let Some([height, width]) = sizes.get(block + 1) {
            shapes.push([batch, channels, *height, *width]);
        }
    }
    shapes
}

/// Height and width of the tensors in each block, for a sample of this size.
pub(super) fn level_sizes(config: &UNet2DConditionConfig, size: [usize; 2]) -> Vec<[usize; 2]> {
    // Without padding, one row and one column are added at the end.
    let padding = if config.downsample_padding == 0 { 1 } else { 2 * config.downsample_padding };
    let halved = |side: usize| (side + padding).saturating_sub(3) / 2 + 1;
    let levels = config.block_out_channels.len();
    std::iter::successors(Some(size), |size| Some(size.map(halved))).take(levels).collect()
}
