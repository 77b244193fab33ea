//! What other models add to the tensors inside a UNet: ControlNets (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>,
//! section 3.2) and T2I-Adapters (Mou et al. 2023, <https://arxiv.org/abs/2302.08453>, section 3.3).

use burn::tensor::Tensor;

use super::UNet2DConditionModel;
use super::conditioning::UNet2DConditionInputs;
use super::config::UNet2DConditionConfig;
use crate::error::{Error, Result};
#[cfg(feature = "cuda")]
use crate::models::placement::Operand;

const DOWN: &str = "down_block_additional_residuals";
const MID: &str = "mid_block_additional_residual";
const INSIDE: &str = "down_intrablock_additional_residuals";

/// Checked residuals of one call.
#[derive(Default)]
pub(super) struct Residuals {
    /// Those of T2I-Adapters: for the down blocks, and then for the middle block; there may be fewer than blocks.
    pub features: Vec<Tensor<4>>,
    /// Those of ControlNets.
    pub control: Option<ControlResiduals>,
}

/// The checked residuals of ControlNets.
pub(super) struct ControlResiduals {
    /// One for each skip.
    down: Vec<Tensor<4>>,
    mid: Tensor<4>,
}

impl ControlResiduals {
    /// Adds them to the skips and to the result of the middle block, `x`, which is returned.
    pub fn add_to(self, skips: &mut [Tensor<4>], x: Tensor<4>) -> Tensor<4> {
        for (skip, residual) in skips.iter_mut().zip(self.down) {
            *skip = skip.clone() + residual;
        }
        x + self.mid
    }
}

/// How many residuals of each kind are among the inputs of a call on a card.
#[cfg(feature = "cuda")]
#[derive(Clone, Copy)]
pub(super) struct Layout {
    features: usize,
}

#[cfg(feature = "cuda")]
impl Layout {
    /// The name of a call with these residuals: a plan is for one number of each kind.
    pub fn name(self, call: &str) -> String {
        if self.features == 0 { call.to_owned() } else { format!("{call} with {} features", self.features) }
    }
}

#[cfg(feature = "cuda")]
impl Residuals {
    pub fn layout(&self) -> Layout {
        Layout { features: self.features.len() }
    }

    /// The inputs of a call on a card.
    pub fn into_operands(self) -> impl Iterator<Item = Operand> {
        let control = self.control.into_iter().flat_map(|it| it.down.into_iter().chain([it.mid]));
        self.features.into_iter().chain(control).map(Operand::from)
    }

    /// The residuals of those inputs.
    pub fn from_operands(operands: impl Iterator<Item = Operand>, layout: Layout) -> Self {
        let mut features: Vec<Tensor<4>> = operands.map(Operand::into_image).collect();
        let mut down = features.split_off(layout.features);
        let control = down.pop().map(|mid| ControlResiduals { down, mid });
        Self { features, control }
    }
}

impl UNet2DConditionModel {
    /// Takes the residuals out of the inputs.
    ///
    /// # Errors
    /// When some of them are missing, or one does not have the shape of what it is added to.
    pub(super) fn take_residuals(
        &self,
        sample: &Tensor<4>,
        inputs: &mut UNet2DConditionInputs,
    ) -> Result<Residuals> {
        let features = std::mem::take(&mut inputs.down_intrablock_additional_residuals);
        let control = self.take_control(sample, inputs)?;
        let [batch, _, height, width] = sample.dims();
        let shapes = feature_shapes(&self.config, [batch, height, width]);
        if !features.is_empty() && self.side_multiple() > 1 {
            let message = "cannot be given: no T2I-Adapter has the K blocks of this model";
            return Err(Error::argument(INSIDE, message));
        }
        if features.len() > shapes.len() {
            let message = format!("has {} tensors, the model adds at most {}", features.len(), shapes.len());
            return Err(Error::argument(INSIDE, message));
        }
        for (index, (feature, shape)) in features.iter().zip(&shapes).enumerate() {
            if feature.dims() != *shape {
                let message = format!("has shape {:?} at {index}, the model takes {shape:?}", feature.dims());
                return Err(Error::argument(INSIDE, message));
            }
        }
        let features = features.into_iter().map(|feature| feature.cast(self.dtype())).collect();
        Ok(Residuals { features, control })
    }

    fn take_control(
        &self,
        sample: &Tensor<4>,
        inputs: &mut UNet2DConditionInputs,
    ) -> Result<Option<ControlResiduals>> {
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
        Ok(Some(ControlResiduals { down: down.into_iter().map(cast).collect(), mid: cast(mid) }))
    }
}

/// The size of a sample after the end of a block that halves it.
fn halved(config: &UNet2DConditionConfig, size: [usize; 2]) -> [usize; 2] {
    // Without padding, one row and one column are added at the end.
    let padding = if config.downsample_padding == 0 { 1 } else { 2 * config.downsample_padding };
    size.map(|side| (side + padding).saturating_sub(3) / 2 + 1)
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
    let levels = config.block_out_channels.len();
    std::iter::successors(Some(size), |size| Some(halved(config, *size))).take(levels).collect()
}

/// The shapes of what a model without K blocks adds for T2I-Adapters: in each down block, and to the result of the middle one.
fn feature_shapes(config: &UNet2DConditionConfig, [batch, height, width]: [usize; 3]) -> Vec<[usize; 4]> {
    let mut size = [height, width];
    let mut shapes = Vec::new();
    for (block, (&channels, kind)) in
        config.block_out_channels.iter().zip(&config.down_block_types).enumerate()
    {
        let inside = size;
        if block + 1 < config.block_out_channels.len() {
            size = halved(config, size);
        }
        let [rows, columns] = if kind.has_cross_attention() { inside } else { size };
        shapes.push([batch, channels, rows, columns]);
    }
    let middle = config.mid_block_type.and(config.block_out_channels.last());
    shapes.extend(middle.map(|&channels| [batch, channels, size[0], size[1]]));
    shapes
}
