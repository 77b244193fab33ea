//! In which order an epoch takes its samples.

use oxidiff::Generator;
use oxidiff::training::StateFile;

use crate::batches::{GroupedSamples, Source, TrainingData};
use crate::error::Result;
use crate::random::Random;

/// The order of an epoch's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The seed that shuffles all samples.
    Seed(u64),
    /// The order of the batches that the source makes.
    Batches(Vec<usize>),
}

/// The names in checkpoints.
const SEED: &str = "sampler_seed";
const BATCHES: &str = "batch_order";

impl Order {
    /// The order before the first epoch.
    pub fn first<S: Source>(data: &TrainingData<S>) -> Self {
        match data.source.groups() {
            Some(groups) => Self::Batches((0..groups.batches.len()).collect()),
            None => Self::Seed(0),
        }
    }

    /// Draws the order of an epoch after one with this order.
    pub fn draw<S: Source>(&mut self, data: &TrainingData<S>, random: &mut Random) {
        // torch's loader draws a seed for its workers first, which nothing uses.
        random.draw_seed();
        match self {
            Self::Seed(seed) => *seed = random.draw_seed(),
            Self::Batches(order) => {
                if data.source.groups().is_some_and(|groups| groups.is_shuffled) {
                    random.python.shuffle(order);
                }
            }
        }
    }

    /// The numbers of all samples of the epoch.
    pub fn samples<S: Source>(&self, data: &TrainingData<S>) -> Vec<usize> {
        match (self, data.source.groups()) {
            (Self::Batches(order), Some(GroupedSamples { batches, .. })) => {
                order.iter().flat_map(|batch| batches[*batch].iter().copied()).collect()
            }
            (Self::Seed(seed), _) => {
                let shuffled = Generator::manual_seed(*seed).randperm_vec(data.source.len());
                shuffled.into_iter().map(|index| index as usize).collect()
            }
            (Self::Batches(_), None) => unreachable!("the order was made for the source"),
        }
    }

    /// Adds the order to the state of a checkpoint.
    pub fn save(&self, state: &mut StateFile) {
        match self {
            Self::Seed(seed) => state.put_u64(SEED, *seed),
            Self::Batches(order) => {
                let bytes = order.iter().flat_map(|batch| (*batch as u32).to_le_bytes());
                state.put_bytes(BATCHES, bytes.collect());
            }
        }
    }

    /// The order that [`Self::save`] wrote.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load<S: Source>(data: &TrainingData<S>, state: &StateFile) -> Result<Self> {
        let Some(groups) = data.source.groups() else { return Ok(Self::Seed(state.u64(SEED)?)) };
        let (order, rest) = state.bytes(BATCHES)?.as_chunks::<4>();
        let order: Vec<usize> = order.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !rest.is_empty() || !sorted.into_iter().eq(0..groups.batches.len()) {
            let message = format!("`{BATCHES}` is no order of {} batches", groups.batches.len());
            return Err(state.error(message).into());
        }
        Ok(Self::Batches(order))
    }
}
