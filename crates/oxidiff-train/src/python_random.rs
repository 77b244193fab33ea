//! Python's module `random`, value for value: the scripts let it choose among several captions.

use rand_mt::Mt;

/// Python's `random.Random`, as far as the scripts use it.
#[derive(Clone, Debug)]
pub struct PythonRandom {
    seed: u64,
    /// How many words of the twister were drawn.
    drawn: u64,
    twister: Mt,
}

impl PythonRandom {
    /// The generator after `random.seed(seed)`.
    pub fn seed(seed: u64) -> Self {
        // The seed's words, without zeros at the upper end.
        let words = [seed as u32, (seed >> 32) as u32];
        let len = if words[1] == 0 { 1 } else { 2 };
        Self { seed, drawn: 0, twister: Mt::new_with_key(words.into_iter().take(len)) }
    }

    /// The generator with this seed of which `drawn` words were drawn.
    pub fn restored(seed: u64, drawn: u64) -> Self {
        let mut random = Self::seed(seed);
        for _ in 0..drawn {
            random.word();
        }
        random
    }

    /// The seed, and how many words were drawn: the arguments of [`Self::restored`].
    pub fn state(&self) -> (u64, u64) {
        (self.seed, self.drawn)
    }

    /// `random.choice(values)`.
    ///
    /// # Panics
    /// When there are no values.
    pub fn choice<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(u32::try_from(values.len()).expect("fewer than 2³² values"))]
    }

    /// `random.shuffle(values)`.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let bound = u32::try_from(last + 1).expect("fewer than 2³² values");
            values.swap(last, self.below(bound));
        }
    }

    /// `random.random()`: a number from 0 up to 1, of 53 bits.
    pub fn random(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * f64::from(1 << 26) + f64::from(low)) / (1_u64 << 53) as f64
    }

    /// `_randbelow`: draws as many bits as the bound has until they are below it.
    fn below(&mut self, bound: u32) -> usize {
        assert!(bound > 0, "there is something to choose from");
        let unused = bound.leading_zeros();
        loop {
            let drawn = self.word() >> unused;
            if drawn < bound {
                return drawn as usize;
            }
        }
    }

    fn word(&mut self) -> u32 {
        self.drawn += 1;
        self.twister.next_u32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(random: &mut PythonRandom, len: usize, count: usize) -> Vec<usize> {
        let values: Vec<usize> = (0..len).collect();
        (0..count).map(|_| *random.choice(&values)).collect()
    }

    #[test]
    fn choices_are_those_of_python() {
        // random.seed(0); [random.choice(range(5)) for _ in range(10)]
        assert_eq!(indices(&mut PythonRandom::seed(0), 5, 10), [3, 3, 0, 2, 4, 3, 3, 2, 3, 2]);
        assert_eq!(indices(&mut PythonRandom::seed(42), 3, 10), [2, 0, 0, 2, 1, 0, 0, 0, 2, 0]);
        assert_eq!(indices(&mut PythonRandom::seed(1 << 40), 1000, 4), [106, 361, 686, 67]);
    }

    #[test]
    fn numbers_are_those_of_python() {
        // random.seed(0); random.random(), random.random()
        let mut random = PythonRandom::seed(0);
        assert_eq!([random.random(), random.random()], [0.8444218515250481, 0.7579544029403025]);
    }

    #[test]
    fn shuffled_values_are_those_of_python() {
        // random.seed(3); x = list(range(10)); random.shuffle(x); random.shuffle(x)
        let mut random = PythonRandom::seed(3);
        let mut values: Vec<u32> = (0..10).collect();
        random.shuffle(&mut values);
        assert_eq!(values, [1, 5, 6, 0, 9, 4, 7, 2, 8, 3]);
        random.shuffle(&mut values);
        assert_eq!(values, [6, 1, 7, 8, 3, 4, 5, 0, 9, 2]);
        random.shuffle::<u32>(&mut []);
    }

    #[test]
    fn a_generator_continues_from_its_state() {
        let mut random = PythonRandom::seed(7);
        indices(&mut random, 3, 700);
        let (seed, drawn) = random.state();
        let mut restored = PythonRandom::restored(seed, drawn);
        assert_eq!(indices(&mut restored, 100, 50), indices(&mut random, 100, 50));
    }
}
