//! What each block of a UNet looks like, from a configuration that gives some values once for all blocks.

use super::config::{EncoderHidDimType, UNet2DConditionConfig};
use crate::error::Result;
use crate::models::layers::per_block::{PerBlock, TransformerLayers};
use crate::models::unets::block_types::{DownBlockType, MidBlockType, UpBlockType};
use crate::models::unets::invalid;

/// The most layers of any block: a file that asks for more is damaged.
const MOST_LAYERS: usize = 1024;

/// The configuration's values for each block, checked.
pub(in crate::models) struct BlockShapes {
    /// Groups of the norms, except those inside K blocks and the last one.
    pub groups: usize,
    /// The number of heads; in K blocks, the channels in a head.
    pub attention_head_dim: Vec<usize>,
    pub layers: Vec<usize>,
    pub cross_attention_dim: Vec<usize>,
    pub only_cross_attention: Vec<bool>,
    /// One for each attention of each block.
    pub transformer_layers: Vec<Vec<usize>>,
    /// The same, in the order of the up blocks, which have one layer more.
    pub up_transformer_layers: Vec<Vec<usize>>,
    /// Of the attention in the middle.
    pub mid_transformer_layers: usize,
}

impl BlockShapes {
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    pub fn new(config: &UNet2DConditionConfig) -> Result<Self> {
        refuse_unsupported(config)?;
        let count = config.down_block_types.len();
        if count == 0 {
            return Err(invalid("down_block_types", "must name at least one block"));
        }
        if config.up_block_types.len() != count {
            let message = format!("has {} blocks, `down_block_types` {count}", config.up_block_types.len());
            return Err(invalid("up_block_types", message));
        }
        if config.block_out_channels.len() != count {
            let message = format!("has {} values for {count} blocks", config.block_out_channels.len());
            return Err(invalid("block_out_channels", message));
        }
        let groups = norm_groups(config)?;
        for (field, kernel) in
            [("conv_in_kernel", config.conv_in_kernel), ("conv_out_kernel", config.conv_out_kernel)]
        {
            if kernel % 2 == 0 {
                return Err(invalid(field, format!("must be odd, is {kernel}")));
            }
        }
        if config.downsample_padding > 3 {
            let message =
                format!("must be at most 3, as wide as the kernel, is {}", config.downsample_padding);
            return Err(invalid("downsample_padding", message));
        }
        for (field, value) in [("in_channels", config.in_channels), ("out_channels", config.out_channels)] {
            if value == 0 {
                return Err(invalid(field, "must not be 0"));
            }
        }

        let layers = per_block("layers_per_block", &config.layers_per_block, count)?;
        let transformer_layers = transformer_layers(config, count)?;
        let up_transformer_layers = match &config.reverse_transformer_layers_per_block {
            Some(each) if each.len() != count => {
                let message = format!("has {} values for {count} blocks", each.len());
                return Err(invalid("reverse_transformer_layers_per_block", message));
            }
            Some(each) => each.clone(),
            None => transformer_layers.iter().rev().cloned().collect(),
        };
        let mid_transformer_layers = match &transformer_layers[count - 1] {
            PerBlock::Same(layers) => *layers,
            PerBlock::Each(each) => *each.first().ok_or_else(|| {
                invalid("transformer_layers_per_block", "has an empty list for the last block")
            })?,
        };
        let up_layers = layers.iter().rev().map(|layers| layers + 1);
        let shapes = Self {
            groups,
            attention_head_dim: per_block("attention_head_dim", &config.attention_head_dim, count)?,
            cross_attention_dim: per_block("cross_attention_dim", &config.cross_attention_dim, count)?,
            only_cross_attention: per_block("only_cross_attention", &config.only_cross_attention, count)?,
            up_transformer_layers: expand(
                "reverse_transformer_layers_per_block",
                &up_transformer_layers,
                up_layers,
            )?,
            transformer_layers: expand(
                "transformer_layers_per_block",
                &transformer_layers,
                layers.iter().copied(),
            )?,
            mid_transformer_layers,
            layers,
        };
        // K blocks check theirs.
        let attends = |block: usize| match config.down_block_types[block].is_k_block() {
            true => {
                block == count - 1 && config.mid_block_type == Some(MidBlockType::UNetMidBlock2DCrossAttn)
            }
            false => true,
        };
        for block in (0..count).filter(|&block| attends(block)) {
            let (heads, channels) = (shapes.attention_head_dim[block], config.block_out_channels[block]);
            if heads == 0 || heads > channels {
                let message = format!("{heads} heads for {channels} channels");
                return Err(invalid("attention_head_dim", message));
            }
        }
        if shapes.layers.iter().any(|&layers| layers == 0 || layers > MOST_LAYERS) {
            return Err(invalid("layers_per_block", format!("must be between 1 and {MOST_LAYERS}")));
        }
        let mut transformer_layers = shapes.transformer_layers.iter().chain(&shapes.up_transformer_layers);
        if transformer_layers.any(|layers| layers.iter().any(|&layers| layers > MOST_LAYERS)) {
            return Err(invalid("transformer_layers_per_block", format!("must be at most {MOST_LAYERS}")));
        }
        Ok(shapes)
    }
}

/// The groups of the norms.
///
/// # Errors
/// When the channels of a block do not divide into them.
fn norm_groups(config: &UNet2DConditionConfig) -> Result<usize> {
    let channels = &config.block_out_channels;
    let last = channels[channels.len() - 1];
    let has_k_blocks = config.down_block_types[0].is_k_block();
    let groups = match config.norm_num_groups {
        Some(groups) => groups,
        None if has_k_blocks => (last / 4).min(32),
        None => {
            let message = "cannot be null: the residual blocks of this model need group normalization";
            return Err(invalid("norm_num_groups", message));
        }
    };
    // K blocks have groups of their own, so only the block in the middle and the last norm count.
    let is_normed = |block: usize| {
        let in_the_middle = block == channels.len() - 1 && config.mid_block_type.is_some();
        let at_the_end = block == 0 && config.norm_num_groups.is_some();
        !has_k_blocks || in_the_middle || at_the_end
    };
    for (_, &channels) in channels.iter().enumerate().filter(|(block, _)| is_normed(*block)) {
        if groups == 0 || channels == 0 || channels % groups != 0 {
            let message = format!("{channels} channels do not divide into {groups} groups");
            return Err(invalid("norm_num_groups", message));
        }
    }
    Ok(groups)
}

/// The values of `transformer_layers_per_block` for each block.
fn transformer_layers(config: &UNet2DConditionConfig, count: usize) -> Result<Vec<PerBlock<usize>>> {
    match &config.transformer_layers_per_block {
        TransformerLayers::Same(layers) => Ok(vec![PerBlock::Same(*layers); count]),
        TransformerLayers::Each(each) if each.len() != count => {
            let message = format!("must have one value for each of {count} blocks");
            Err(invalid("transformer_layers_per_block", message))
        }
        TransformerLayers::Each(each) => {
            let is_nested = each.iter().any(|layers| matches!(layers, PerBlock::Each(_)));
            if is_nested && config.reverse_transformer_layers_per_block.is_none() {
                let message = "must be given if `transformer_layers_per_block` has lists in a list";
                return Err(invalid("reverse_transformer_layers_per_block", message));
            }
            Ok(each.clone())
        }
    }
}

/// One value for each of as many attentions as each block has `layers`.
fn expand(
    field: &str,
    blocks: &[PerBlock<usize>],
    layers: impl Iterator<Item = usize>,
) -> Result<Vec<Vec<usize>>> {
    let expand = |(block, layers): (&PerBlock<usize>, usize)| {
        let message = || invalid(field, format!("must have {layers} numbers for a block of as many layers"));
        match block {
            PerBlock::Same(number) => Ok(vec![*number; layers.min(MOST_LAYERS + 1)]),
            PerBlock::Each(each) => each.get(..layers).map(<[usize]>::to_vec).ok_or_else(message),
        }
    };
    blocks.iter().zip(layers).map(expand).collect()
}

fn per_block<T: Clone>(field: &str, values: &PerBlock<T>, count: usize) -> Result<Vec<T>> {
    values
        .expand(count)
        .ok_or_else(|| invalid(field, format!("must have one value for each of {count} blocks")))
}

/// Refuses values that other families of models use: ignoring them would give a wrong image.
fn refuse_unsupported(config: &UNet2DConditionConfig) -> Result<()> {
    let refuse = |field: &str, value: &str| {
        let message = format!("{value} is not supported: no checkpoint of a supported family has it");
        Err(invalid(field, message))
    };
    let unknown = |field: &str, index: usize, name: String| {
        Err(invalid(&format!("{field}[{index}]"), format!("`{name}` is not a block of this model")))
    };
    for (index, block) in config.down_block_types.iter().enumerate() {
        let is_plain = matches!(block, DownBlockType::DownBlock2D | DownBlockType::CrossAttnDownBlock2D);
        if !is_plain && !block.is_k_block() {
            return unknown("down_block_types", index, format!("{block:?}"));
        }
    }
    for (index, block) in config.up_block_types.iter().enumerate() {
        let is_plain = matches!(block, UpBlockType::UpBlock2D | UpBlockType::CrossAttnUpBlock2D);
        if !is_plain && !block.is_k_block() {
            return unknown("up_block_types", index, format!("{block:?}"));
        }
    }
    let down = config.down_block_types.iter().map(|block| block.is_k_block());
    let mut k_blocks = down.chain(config.up_block_types.iter().map(|block| block.is_k_block()));
    let first = k_blocks.next();
    if k_blocks.any(|is_k_block| Some(is_k_block) != first) {
        let message =
            "mixes K blocks with others: all blocks must be K blocks, in `up_block_types` too, or none";
        return Err(invalid("down_block_types", message));
    }
    if config.encoder_hid_dim_type == Some(EncoderHidDimType::IpImageProj) {
        return refuse("encoder_hid_dim_type", "`ip_image_proj`");
    }
    if config.dual_cross_attention {
        return refuse("dual_cross_attention", "true");
    }
    if config.attention_type != "default" {
        return refuse("attention_type", &config.attention_type);
    }
    if config.num_attention_heads.is_some() {
        return Err(invalid(
            "num_attention_heads",
            "cannot be set; this model calls its number of heads `attention_head_dim`",
        ));
    }
    Ok(())
}
