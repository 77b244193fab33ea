//! What a configuration must agree on.

use super::config::{ResampleType, UNet2DConfig};
use crate::error::Result;
use crate::models::unets::block_types::{DownBlockType, UpBlockType};
use crate::models::unets::class_embedding::ClassEmbedType;
use crate::models::unets::invalid;
use crate::models::unets::skip_blocks::SAMPLE_CHANNELS;

/// Checks a configuration.
///
/// # Errors
/// When it contradicts itself.
pub(super) fn check(config: &UNet2DConfig) -> Result<()> {
    let count = config.block_out_channels.len();
    if count == 0 || count > 16 {
        return Err(invalid("block_out_channels", format!("has {count} values; 1 to 16 make sense")));
    }
    for (field, blocks) in
        [("down_block_types", config.down_block_types.len()), ("up_block_types", config.up_block_types.len())]
    {
        if blocks != count {
            let message = format!("has {blocks} blocks, `block_out_channels` {count} values");
            return Err(invalid(field, message));
        }
    }
    for (field, value) in [
        ("in_channels", Some(config.in_channels)),
        ("out_channels", Some(config.out_channels)),
        ("attention_head_dim", config.attention_head_dim),
        ("time_embedding_dim", config.time_embedding_dim),
        ("num_class_embeds", config.num_class_embeds),
        ("num_train_timesteps", config.num_train_timesteps),
    ] {
        if value == Some(0) {
            return Err(invalid(field, "must not be 0"));
        }
    }
    if config.layers_per_block == 0 || config.layers_per_block > 1024 {
        return Err(invalid("layers_per_block", "must be between 1 and 1024"));
    }
    if matches!(config.class_embed_type, Some(ClassEmbedType::Projection | ClassEmbedType::SimpleProjection))
    {
        return Err(invalid("class_embed_type", "must be `timestep` or `identity` for this model"));
    }
    check_norms(config)?;
    check_attention(config)?;
    check_skip_blocks(config)?;

    let convolves = config.down_block_types[..count - 1].iter().any(|block| match block {
        DownBlockType::DownBlock2D => true,
        DownBlockType::AttnDownBlock2D => config.downsample_type.unwrap_or_default() == ResampleType::Conv,
        _ => false,
    });
    if convolves && config.downsample_padding > 1 {
        let message = format!("must be 0 or 1, so that sizes halve, is {}", config.downsample_padding);
        return Err(invalid("downsample_padding", message));
    }
    Ok(())
}

/// The channels of every norm must divide into its groups.
fn check_norms(config: &UNet2DConfig) -> Result<()> {
    let is_skip_down = |block: &DownBlockType| {
        matches!(block, DownBlockType::SkipDownBlock2D | DownBlockType::AttnSkipDownBlock2D)
    };
    let is_skip_up =
        |block: &UpBlockType| matches!(block, UpBlockType::SkipUpBlock2D | UpBlockType::AttnSkipUpBlock2D);
    let plain =
        !config.down_block_types.iter().all(is_skip_down) || !config.up_block_types.iter().all(is_skip_up);
    if plain && config.norm_num_groups.is_none() {
        return Err(invalid("norm_num_groups", "must be set for blocks other than the skip blocks"));
    }
    for &channels in &config.block_out_channels {
        let groups = config.norm_groups(channels);
        if groups == 0 || channels == 0 || channels % groups != 0 {
            let message = format!("{channels} channels do not divide into {groups} groups");
            return Err(invalid("norm_num_groups", message));
        }
    }
    if let (Some(groups), Some(_)) = (config.mid_attention_groups(), config.mid_block_type) {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        if groups == 0 || !channels.is_multiple_of(groups) {
            let message = format!("{channels} channels do not divide into {groups} groups");
            return Err(invalid("attn_norm_num_groups", message));
        }
    }
    Ok(())
}

/// Every attention needs channels for at least one head.
fn check_attention(config: &UNet2DConfig) -> Result<()> {
    let Some(dim_head) = config.attention_head_dim else {
        return Ok(());
    };
    let last = config.block_out_channels.len() - 1;
    for (block, &channels) in config.block_out_channels.iter().enumerate() {
        let down = matches!(
            config.down_block_types[block],
            DownBlockType::AttnDownBlock2D | DownBlockType::AttnSkipDownBlock2D
        );
        let up = matches!(
            config.up_block_types[last - block],
            UpBlockType::AttnUpBlock2D | UpBlockType::AttnSkipUpBlock2D
        );
        let mid = block == last && config.mid_block_type.is_some() && config.add_attention;
        if (down || up || mid) && channels < dim_head {
            let message = format!("{channels} channels are fewer than the {dim_head} of one head");
            return Err(invalid("attention_head_dim", message));
        }
    }
    Ok(())
}

/// The sample that skip blocks pass on has the right size only if all higher resolutions have skip blocks too.
fn check_skip_blocks(config: &UNet2DConfig) -> Result<()> {
    let count = config.block_out_channels.len();
    let down: Vec<bool> = config
        .down_block_types
        .iter()
        .map(|block| matches!(block, DownBlockType::SkipDownBlock2D | DownBlockType::AttnSkipDownBlock2D))
        .collect();
    let up: Vec<bool> = config
        .up_block_types
        .iter()
        .map(|block| matches!(block, UpBlockType::SkipUpBlock2D | UpBlockType::AttnSkipUpBlock2D))
        .collect();
    let halving = &down[..count - 1];
    if let Some(last) = halving.iter().rposition(|&skip| skip) {
        if halving[..last].contains(&false) {
            return Err(invalid("down_block_types", "a skip block must not come after other blocks"));
        }
        if config.in_channels != SAMPLE_CHANNELS {
            return Err(invalid("in_channels", format!("must be {SAMPLE_CHANNELS} for skip blocks")));
        }
    }
    let doubling = &up[..count - 1];
    if let Some(first) = doubling.iter().position(|&skip| skip) {
        if up[first..].contains(&false) {
            return Err(invalid("up_block_types", "a skip block must not come before other blocks"));
        }
        if config.out_channels != SAMPLE_CHANNELS {
            return Err(invalid("out_channels", format!("must be {SAMPLE_CHANNELS} for skip blocks")));
        }
    }
    Ok(())
}
