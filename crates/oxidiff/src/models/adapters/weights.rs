//! How strongly an adapter changes the layers of a model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::{Error, Result};

/// The weight of an adapter on a model: 1 is the adapter as it was trained, 0 has no effect.
///
/// ```
/// use oxidiff::{AdapterWeight, BlockWeight, BlockWeights};
///
/// let weaker: AdapterWeight = 0.5.into();
/// let by_block = AdapterWeight::Blocks(BlockWeights {
///     down: 0.2.into(),
///     up: BlockWeight::Each([(1, vec![1.0, 0.5, 0.0])].into()),
///     ..Default::default()
/// });
/// let json = serde_json::json!({"down": 0.2, "up": {"block_1": [1.0, 0.5, 0.0]}});
/// assert_eq!(AdapterWeight::from_json(&json)?, by_block);
/// # let _ = weaker;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum AdapterWeight {
    /// One for all layers.
    All(f64),
    /// Several for the blocks of a UNet.
    Blocks(BlockWeights),
}

/// The weights of an adapter on the blocks of a UNet that have attention. What is not given has the weight 1; for an IP-Adapter,
/// 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockWeights {
    /// The blocks that make the sample smaller.
    pub down: BlockWeight,
    /// The block between.
    pub mid: Option<f64>,
    /// The blocks that make the sample larger.
    pub up: BlockWeight,
}

/// The weights on one half of a UNet.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BlockWeight {
    /// The same as what is not given.
    #[default]
    Unchanged,
    /// One for all blocks.
    All(f64),
    /// By the number of the block: one for all of its layers, or one for each.
    Each(BTreeMap<usize, Vec<f64>>),
}

impl From<f64> for AdapterWeight {
    fn from(weight: f64) -> Self {
        Self::All(weight)
    }
}

impl From<f64> for BlockWeight {
    fn from(weight: f64) -> Self {
        Self::All(weight)
    }
}

const ARGUMENT: &str = "adapter_weights";

impl AdapterWeight {
    /// The weight in the form that Python's `set_adapters` takes: a number, or
    /// `{"down": 0.5, "mid": 0.8, "up": {"block_0": 0.6, "block_1": [0.4, 0.8, 1.0]}}`.
    ///
    /// # Errors
    /// When the value is of another form.
    pub fn from_json(value: &Value) -> Result<Self> {
        if let Some(weight) = value.as_f64() {
            return Ok(Self::All(weight));
        }
        let Value::Object(parts) = value else { return Err(wrong("a number or an object", value)) };
        let mut weights = BlockWeights::default();
        for (name, value) in parts {
            match name.as_str() {
                "down" => weights.down = half_from_json(value)?,
                "up" => weights.up = half_from_json(value)?,
                "mid" => {
                    let [weight] = numbers(value)?[..] else { return Err(wrong("one number", value)) };
                    weights.mid = Some(weight);
                }
                other => {
                    let message =
                        format!("there is no part `{other}` of a UNet: give `down`, `mid` and `up`");
                    return Err(Error::argument(ARGUMENT, message));
                }
            }
        }
        Ok(Self::Blocks(weights))
    }

    /// Every number in it.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let half = |half: &BlockWeight| match half {
            BlockWeight::Unchanged => Vec::new(),
            BlockWeight::All(weight) => vec![*weight],
            BlockWeight::Each(blocks) => blocks.values().flatten().copied().collect(),
        };
        match self {
            Self::All(weight) => vec![*weight],
            Self::Blocks(BlockWeights { down, mid, up }) => {
                half(down).into_iter().chain(*mid).chain(half(up)).collect()
            }
        }
    }

    /// The factors of a model's layers, of which `keys` are the weights that adapters can change.
    ///
    /// # Errors
    /// When the model is no UNet with the blocks that are named.
    pub(crate) fn resolve<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Result<Factors> {
        self.resolve_with_rest(keys, 1.0)
    }

    /// As [`Self::resolve`], with the weight of the blocks that are not given.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub(crate) fn resolve_with_rest<'a>(
        &self,
        keys: impl Iterator<Item = &'a String>,
        rest: f64,
    ) -> Result<Factors> {
        let blocks = match self {
            Self::All(weight) => return Ok(Factors { of_all: *weight, of_blocks: None, rest }),
            Self::Blocks(blocks) => blocks,
        };
        let attentions: BTreeSet<&str> = keys.filter_map(|key| attention_of(key)).collect();
        if attentions.is_empty() {
            return Err(Error::argument(
                ARGUMENT,
                "only a UNet with attention has blocks with weights of their own",
            ));
        }
        let mut of_blocks = BTreeMap::new();
        if let Some(weight) = blocks.mid {
            let name = "mid_block.attentions.0";
            if !attentions.contains(name) {
                return Err(Error::argument(ARGUMENT, "the block in the middle has no attention"));
            }
            of_blocks.insert(name.to_owned(), weight);
        }
        for (half, weights) in [("down_blocks", &blocks.down), ("up_blocks", &blocks.up)] {
            match weights {
                BlockWeight::Unchanged => {}
                BlockWeight::All(weight) => {
                    let own = attentions.iter().filter(|name| name.starts_with(half));
                    of_blocks.extend(own.map(|name| ((*name).to_owned(), *weight)));
                }
                BlockWeight::Each(blocks) => {
                    for (block, weights) in blocks {
                        of_blocks.extend(of_block(&attentions, &format!("{half}.{block}"), weights)?);
                    }
                }
            }
        }
        Ok(Factors { of_all: 1.0, of_blocks: Some(of_blocks), rest })
    }
}

/// The weights of the attentions of one block.
fn of_block(attentions: &BTreeSet<&str>, block: &str, weights: &[f64]) -> Result<Vec<(String, f64)>> {
    let start = format!("{block}.attentions.");
    let count = attentions.iter().filter(|name| name.starts_with(&start)).count();
    let weights = match weights {
        _ if count == 0 => {
            return Err(Error::argument(ARGUMENT, format!("the UNet has no block `{block}` with attention")));
        }
        [weight] => vec![*weight; count],
        each if each.len() == count => each.to_vec(),
        other => {
            let message = format!("got {} weights for the {count} attentions of `{block}`", other.len());
            return Err(Error::argument(ARGUMENT, message));
        }
    };
    Ok(weights.into_iter().enumerate().map(|(layer, weight)| (format!("{start}{layer}"), weight)).collect())
}

/// The attention of a UNet that a weight belongs to: `down_blocks.1.attentions.0`.
fn attention_of(key: &str) -> Option<&str> {
    let list = key.find(".attentions.")?;
    let number = list + ".attentions.".len();
    let end = number + key[number..].find('.')?;
    ["down_blocks", "mid_block", "up_blocks"]
        .iter()
        .any(|start| key.starts_with(start))
        .then_some(&key[..end])
}

/// The factors of an adapter's layers.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    of_all: f64,
    /// By the path of an attention.
    of_blocks: Option<BTreeMap<String, f64>>,
    /// Of all others, if there are any by path.
    rest: f64,
}

impl Factors {
    pub fn one() -> Self {
        Self { of_all: 1.0, of_blocks: None, rest: 1.0 }
    }

    pub fn scale(&mut self, factor: f64) {
        self.of_all *= factor;
    }

    /// The factor of the layer with the weight `key`. As in Python, layers beside an attention with the same number, such as
    /// those of the first residual block, have its factor.
    pub fn of(&self, key: &str) -> f64 {
        let Some(of_blocks) = &self.of_blocks else { return self.of_all };
        let fields: Vec<&str> = key.split('.').collect();
        let beside = match fields[..] {
            [half, block, _, layer, ..] => format!("{half}.{block}.attentions.{layer}"),
            _ => String::new(),
        };
        let own = attention_of(key).and_then(|attention| of_blocks.get(attention));
        self.of_all * own.or_else(|| of_blocks.get(&beside)).copied().unwrap_or(self.rest)
    }
}

fn half_from_json(value: &Value) -> Result<BlockWeight> {
    if let Some(weight) = value.as_f64() {
        return Ok(BlockWeight::All(weight));
    }
    let Value::Object(blocks) = value else { return Err(wrong("a number or an object", value)) };
    let block = |(name, value): (&String, &Value)| {
        let number = name.strip_prefix("block_").and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| {
            Error::argument(ARGUMENT, format!("`{name}` is not the name of a block, such as `block_0`"))
        })?;
        Ok((number, numbers(value)?))
    };
    Ok(BlockWeight::Each(blocks.iter().map(block).collect::<Result<_>>()?))
}

/// A number, or a list of numbers.
fn numbers(value: &Value) -> Result<Vec<f64>> {
    let number = |value: &Value| value.as_f64().ok_or_else(|| wrong("a number", value));
    match value {
        Value::Array(values) => values.iter().map(number).collect(),
        value => Ok(vec![number(value)?]),
    }
}

fn wrong(expected: &str, value: &Value) -> Error {
    Error::argument(ARGUMENT, format!("must be {expected}, not {value}"))
}
