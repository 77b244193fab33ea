//! The random numbers of a training: the global generators of torch and of Python's `random`.

use oxidiff::Generator;
use oxidiff::training::StateFile;

use crate::data::Caption;
use crate::error::Result;
use crate::python_random::PythonRandom;

/// The generators that the scripts draw from.
#[derive(Clone, Debug)]
pub struct Random {
    /// `torch`'s generator on the CPU: crops, flips, noise and timesteps.
    pub torch: Generator,
    /// Python's `random`: which of several captions.
    pub python: PythonRandom,
}

impl Random {
    /// The generators after `accelerate.utils.set_seed(seed)`; with a seed from the operating system if there is none.
    pub fn new(seed: Option<u32>) -> Self {
        let torch = seed.map_or_else(Generator::from_entropy, |seed| Generator::manual_seed(seed.into()));
        let python = PythonRandom::seed(torch.initial_seed());
        Self { torch, python }
    }

    /// `torch.empty((), dtype=torch.int64).random_()`: how torch's loaders draw seeds.
    pub fn draw_seed(&mut self) -> u64 {
        // Numbers of 63 bits have a range that `randint` can only express with negative numbers.
        let drawn = self.torch.randint_vec(i64::MIN, 0, 1).expect("not an empty range");
        (drawn[0] & i64::MAX) as u64
    }

    /// One of several captions, drawn as the scripts do.
    pub fn choose_caption(&mut self, caption: Caption) -> String {
        match caption {
            Caption::One(caption) => caption,
            Caption::Several(captions) => self.python.choice(&captions).clone(),
        }
    }

    /// Adds the state to a file, under `prefix`.
    pub fn save(&self, file: &mut StateFile, prefix: &str) {
        match self.torch.to_torch_state() {
            Some(state) => file.put_bytes(format!("{prefix}.torch"), state),
            None => file.put_u64(format!("{prefix}.torch_seed"), self.torch.initial_seed()),
        }
        let (seed, drawn) = self.python.state();
        file.put_u64(format!("{prefix}.python_seed"), seed);
        file.put_u64(format!("{prefix}.python_drawn"), drawn);
    }

    /// The generators in the state that [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the state is missing or damaged.
    pub fn load(file: &StateFile, prefix: &str) -> Result<Self> {
        let seed = format!("{prefix}.torch_seed");
        let torch = if file.names().any(|name| name == seed) {
            Generator::manual_seed(file.u64(&seed)?)
        } else {
            let name = format!("{prefix}.torch");
            Generator::from_torch_state(file.bytes(&name)?)
                .map_err(|error| file.error(format!("`{name}`: {error}")))?
        };
        let drawn = file.u64(&format!("{prefix}.python_drawn"))?;
        // Restoring draws them again, which would not end for a number that is not one.
        const MOST_DRAWN: u64 = 1 << 40;
        if drawn > MOST_DRAWN {
            return Err(file.error(format!("`{prefix}.python_drawn` is {drawn}")).into());
        }
        let python = PythonRandom::restored(file.u64(&format!("{prefix}.python_seed"))?, drawn);
        Ok(Self { torch, python })
    }
}
