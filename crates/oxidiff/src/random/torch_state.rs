//! The state of `torch.Generator`, as `get_state` returns it and `set_state` takes it.

use super::Generator;
use super::engine::{Engine, WORDS};
use super::loan::Lender;
use crate::error::{Error, Result};

/// The length of a state in bytes: PyTorch's `CPUGeneratorImplState`.
const BYTES: usize = 5056;
// The places of its fields.
const SEED: usize = 0;
const LEFT: usize = 8;
const SEEDED: usize = 12;
const NEXT: usize = 16;
const STATE: usize = 24;
const NEXT_NORMAL: usize = 5024;
const HAS_NEXT_NORMAL: usize = 5040;

impl Generator {
    /// A generator that continues where the `torch.Generator` with this state (`get_state`) is.
    ///
    /// # Errors
    /// When `state` is not that of a generator of the CPU.
    pub fn from_torch_state(state: &[u8]) -> Result<Self> {
        let invalid = |message: String| Error::argument("state", message);
        if state.len() != BYTES {
            let message = format!("has {} bytes, that of PyTorch's CPU generator has {BYTES}", state.len());
            return Err(invalid(message));
        }
        let u32_at = |place: usize| u32::from_le_bytes(std::array::from_fn(|index| state[place + index]));
        let u64_at = |place: usize| u64::from_le_bytes(std::array::from_fn(|index| state[place + index]));
        let (seed, next, left) = (u64_at(SEED), u64_at(NEXT), u32_at(LEFT));
        // With one left, all words have been drawn, and `next` does not count.
        let drawn = if left == 1 { WORDS as u64 } else { next };
        if u32_at(SEEDED) != 1 || drawn > WORDS as u64 {
            return Err(invalid("is not the state of a seeded Mersenne Twister".to_owned()));
        }
        let words = std::array::from_fn(|index| u64_at(STATE + 8 * index) as u32);
        let next_normal = (u32_at(HAS_NEXT_NORMAL) != 0).then(|| f64::from_bits(u64_at(NEXT_NORMAL)));
        let engine = Box::new(Engine::from_words(&words, drawn as usize));
        Ok(Self { seed, engine, next_normal, lender: Lender::default() })
    }

    /// The state of this generator for a `torch.Generator` to continue from (`set_state`); `None` if it was seeded and has
    /// drawn nothing: `manual_seed` with [`Generator::initial_seed`] then gives the same.
    pub fn to_torch_state(&self) -> Option<Vec<u8>> {
        let words = self.engine.words()?;
        let mut state = vec![0; BYTES];
        let mut write = |place: usize, bytes: &[u8]| state[place..place + bytes.len()].copy_from_slice(bytes);
        write(SEED, &self.seed.to_le_bytes());
        write(LEFT, &(WORDS as u32).to_le_bytes());
        write(SEEDED, &1_u32.to_le_bytes());
        write(NEXT, &1_u64.to_le_bytes());
        for (index, word) in words.iter().enumerate() {
            write(STATE + 8 * index, &u64::from(*word).to_le_bytes());
        }
        if let Some(normal) = self.next_normal {
            write(NEXT_NORMAL, &normal.to_bits().to_le_bytes());
            write(HAS_NEXT_NORMAL, &1_u32.to_le_bytes());
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_continues_from_its_state() {
        let mut generator = Generator::manual_seed(3);
        assert!(generator.to_torch_state().is_none());
        for len in [1, 20, 700, 3] {
            generator.randn_vec::<f32>(len);
            let mut restored = Generator::from_torch_state(&generator.to_torch_state().unwrap()).unwrap();
            assert_eq!(restored.initial_seed(), 3);
            assert_eq!(restored.randn_vec::<f64>(900), generator.clone().randn_vec::<f64>(900));
            assert_eq!(restored.randn_vec::<f32>(5).len(), 5);
        }
        assert!(Generator::from_torch_state(&[0; 16]).is_err());
    }
}
