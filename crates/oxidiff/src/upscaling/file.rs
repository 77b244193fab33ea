//! Files of ESRGAN networks, in the layouts in which they are published.

use burn::tensor::{DType, Device};

use super::rrdb_net::{COLOURS, RRDBNet, RRDBNetConfig};
use super::srvgg_net_compact::{SRVGGNetCompact, SRVGGNetCompactConfig};
use crate::error::{Error, Result};
use crate::loading::WeightOptions;
use crate::loading::state_dict::StateDict;
use crate::loading::weights::Checkpoint;

/// A network that enlarges pictures.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a program")]
pub(super) enum Network {
    Rrdb(RRDBNet),
    Compact(SRVGGNetCompact),
}

/// The dictionaries in which training scripts keep the weights: those averaged over the training come first.
const NESTED: [&str; 2] = ["params_ema.", "params."];

/// Names of ESRGAN's second layout, and those of Real-ESRGAN, which are the paths of our fields.
const SECOND_LAYOUT: [(&str, &str); 5] = [
    ("RRDB_trunk.", "body."),
    ("trunk_conv.", "conv_body."),
    ("upconv1.", "conv_up.0."),
    ("upconv2.", "conv_up.1."),
    ("HRconv.", "conv_hr."),
];

impl Network {
    /// The network that the tensors of a file describe, with its weights.
    ///
    /// # Errors
    /// When they describe none that is known.
    pub fn of_file(tensors: StateDict, device: &Device) -> Result<Self> {
        let tensors = unnested(tensors);
        let options = WeightOptions::new(DType::F32, device);
        if tensors.contains("body.0.weight") {
            let config = compact(&tensors)?;
            let checkpoint = Checkpoint::of(tensors);
            let network =
                checkpoint.load_into(config.init(device), options, ("SRVGGNetCompact", |_| None))?;
            return Ok(Self::Compact(network));
        }
        let tensors = in_fields(&tensors);
        let config = rrdb(&tensors)?;
        let checkpoint = Checkpoint::of(tensors);
        let network = checkpoint.load_into(config.init(device), options, ("RRDBNet", |_| None))?;
        Ok(Self::Rrdb(network))
    }
}

/// The weights, out of the dictionary that they are in.
fn unnested(tensors: StateDict) -> StateDict {
    let nest = NESTED.into_iter().find(|nest| tensors.keys().any(|key| key.starts_with(nest)));
    match nest {
        Some(nest) => tensors.rename(|key| key.strip_prefix(nest).map(str::to_owned)),
        None => tensors,
    }
}

/// The tensors under the paths that the fields of [`RRDBNet`] have.
fn in_fields(tensors: &StateDict) -> StateDict {
    if tensors.contains("model.0.weight") {
        return first_layout(tensors);
    }
    tensors.rename(|key| {
        if let Some(rest) = key.strip_prefix("conv_up").filter(|rest| !rest.starts_with('.')) {
            let (number, rest) = rest.split_once('.')?;
            return Some(format!("conv_up.{}.{rest}", number.parse::<usize>().ok()?.checked_sub(1)?));
        }
        let mut renamed = SECOND_LAYOUT.iter().filter_map(|(old, new)| Some((key.strip_prefix(old)?, new)));
        Some(match renamed.next() {
            Some((rest, new)) => format!("{new}{}", rest.replace("RDB", "rdb")),
            None => key.to_owned(),
        })
    })
}

/// ESRGAN's first layout numbers all layers: the first convolution, the blocks with the convolution after them, and the convolutions
/// after that, of which the last two do not enlarge.
fn first_layout(tensors: &StateDict) -> StateDict {
    const BLOCKS: &str = "model.1.sub.";
    let number =
        |key: &str| -> Option<usize> { key.strip_prefix("model.")?.strip_suffix(".weight")?.parse().ok() };
    let mut after: Vec<usize> = tensors.keys().filter_map(number).filter(|number| *number > 1).collect();
    after.sort_unstable();
    let doublings = after.len().saturating_sub(2);
    tensors.rename(|key| {
        if let Some(rest) = key.strip_prefix("model.0.") {
            return Some(format!("conv_first.{rest}"));
        }
        if let Some(rest) = key.strip_prefix(BLOCKS) {
            let (block, rest) = rest.split_once('.')?;
            if !rest.starts_with("RDB") {
                return Some(format!("conv_body.{rest}"));
            }
            return Some(format!("body.{block}.{}", rest.replace("RDB", "rdb").replacen(".0.", ".", 1)));
        }
        let (number, rest) = key.strip_prefix("model.")?.split_once('.')?;
        let place = after.iter().position(|other| Some(*other) == number.parse().ok())?;
        Some(match place {
            place if place < doublings => format!("conv_up.{place}.{rest}"),
            place if place == doublings => format!("conv_hr.{rest}"),
            _ => format!("conv_last.{rest}"),
        })
    })
}

/// Length of an axis of a tensor.
fn length(tensors: &StateDict, key: &str, axis: usize) -> Result<usize> {
    let tensor = tensors.get(key).ok_or_else(|| {
        tensors.error(format!(
            "not a network that enlarges pictures, or none of a known kind (RRDBNet, SRVGGNetCompact): there is no tensor `{key}`"
        ))
    })?;
    match tensor.shape().get(axis) {
        Some(0) | None => Err(tensor.error(format!("tensor `{key}` has shape {:?}", tensor.shape()))),
        Some(length) => Ok(*length),
    }
}

/// How many keys `PREFIX0`, `PREFIX1`, ... begin with, counted from 0.
fn count(tensors: &StateDict, prefix: &str) -> usize {
    let has = |number: &usize| {
        let start = format!("{prefix}{number}.");
        tensors.keys().any(|key| key.starts_with(&start))
    };
    (0..).take_while(has).count()
}

fn rrdb(tensors: &StateDict) -> Result<RRDBNetConfig> {
    let of = |key: &str, axis: usize| length(tensors, &format!("{key}.weight"), axis);
    let (inputs, features) = (of("conv_first", 1)?, of("conv_first", 0)?);
    let doublings = count(tensors, "conv_up.");
    let fold = [1, 2, 4].into_iter().find(|fold| COLOURS * fold * fold == inputs && *fold <= 1 << doublings);
    let outputs = of("conv_last", 0)?;
    let Some(fold) = fold.filter(|_| outputs == COLOURS && doublings <= 4) else {
        let what =
            format!("an RRDBNet from {inputs} to {outputs} channels that doubles pictures {doublings} times");
        return Err(Error::unsupported(what, "only networks for pictures of three colours are"));
    };
    let blocks = count(tensors, "body.");
    let growth = of("body.0.rdb1.conv1", 0)?;
    if let Some(key) = tensors.keys().find(|key| key.contains("conv1x1")) {
        return Err(Error::unsupported(
            "an ESRGAN+ network",
            format!("its dense blocks have further layers: `{key}`"),
        ));
    }
    Ok(RRDBNetConfig { fold, features, blocks, growth, doublings })
}

fn compact(tensors: &StateDict) -> Result<SRVGGNetCompactConfig> {
    let all = count(tensors, "body.");
    let last = format!("body.{}.weight", all.saturating_sub(1));
    let (outputs, features) = (length(tensors, &last, 0)?, length(tensors, "body.0.weight", 0)?);
    let scale = (1..=8).find(|scale| COLOURS * scale * scale == outputs);
    // Activations without weights leave gaps between the convolutions.
    let Some(scale) = scale.filter(|_| all >= 3 && all % 2 == 1) else {
        let what = format!("an SRVGGNetCompact of {all} layers to {outputs} channels");
        let why = "only networks for pictures of three colours whose activations are PReLU are";
        return Err(Error::unsupported(what, why));
    };
    Ok(SRVGGNetCompactConfig { features, layers: (all - 3) / 2, scale })
}
