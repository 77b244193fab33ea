//! NumPy's `SeedSequence`: well mixed seeds from one number and the place in a tree where the seed is needed.
//!
//! The mixing is O'Neill's [randutils `seed_seq_fe`](https://www.pcg-random.org/posts/developing-a-seed_seq-alternative.html).

/// A pool of entropy that seeds are drawn from.
#[derive(Clone, Debug)]
pub(crate) struct SeedSequence {
    pool: Vec<u32>,
}

impl SeedSequence {
    /// `SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size)`.
    pub fn new(entropy: u64, spawn_key: &[u64], pool_size: usize) -> Self {
        let mut words = words_of(entropy);
        if !spawn_key.is_empty() {
            // A spawned sequence differs from one whose entropy happens to end in the key.
            words.resize(words.len().max(pool_size), 0);
            words.extend(spawn_key.iter().flat_map(|&key| words_of(key)));
        }

        let mut hash = Hash { constant: 0x43b0_d7e5, multiplier: 0x931e_8875 };
        let mut pool: Vec<u32> =
            (0..pool_size).map(|index| hash.of(words.get(index).copied().unwrap_or(0))).collect();
        for source in 0..pool_size {
            for target in (0..pool_size).filter(|&target| target != source) {
                pool[target] = mix(pool[target], hash.of(pool[source]));
            }
        }
        for &word in words.iter().skip(pool_size) {
            for value in &mut pool {
                *value = mix(*value, hash.of(word));
            }
        }
        Self { pool }
    }

    /// The first of the numbers that `generate_state` gives.
    pub fn first_seed(&self) -> u32 {
        Hash { constant: 0x8b51_f9dd, multiplier: 0x58f3_8ded }.of(self.pool[0])
    }
}

/// A multiplicative hash whose constant changes with every use.
struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn of(&mut self, value: u32) -> u32 {
        let value = value ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let value = value.wrapping_mul(self.constant);
        value ^ value >> 16
    }
}

fn mix(x: u32, y: u32) -> u32 {
    let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
    mixed ^ mixed >> 16
}

/// A number in words of 32 bits, the lowest first; zero has one word.
fn words_of(number: u64) -> Vec<u32> {
    let (low, high) = (number as u32, (number >> 32) as u32);
    if high == 0 { vec![low] } else { vec![low, high] }
}

#[cfg(test)]
mod tests {
    use super::SeedSequence;

    /// `numpy.random.SeedSequence(entropy, spawn_key=key, pool_size=size).generate_state(1)` of NumPy 2.
    #[test]
    fn seeds_are_those_of_numpy() {
        let seeds: [(u64, &[u64], usize, u32); 8] = [
            (0, &[], 24, 4025752534),
            (42, &[], 24, 387750627),
            (4611686018427400249, &[], 24, 439630213),
            (1099511627776, &[0, 0], 24, 2972616859),
            (7, &[5, 3], 24, 1167487741),
            (7, &[34359738368, 36], 24, 1787800215),
            (1, &[1], 4, 1454127163),
            (9223372036854775806, &[3, 2, 1, 1099511627776], 4, 3456841369),
        ];
        for (entropy, key, size, expected) in seeds {
            assert_eq!(
                SeedSequence::new(entropy, key, size).first_seed(),
                expected,
                "{entropy} {key:?} {size}"
            );
        }
    }
}
