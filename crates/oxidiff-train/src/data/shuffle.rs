//! The permutation that `datasets.Dataset.shuffle(seed)` draws: NumPy's `default_rng(seed).permutation(n)`.

use rand_core::Rng;
use rand_pcg::Pcg64;

/// Constants of NumPy's `SeedSequence`, after O'Neill's `seed_seq_fe`.
const INIT_A: u32 = 0x43b0_d7e5;
const MULTIPLY_A: u32 = 0x931e_8875;
const INIT_B: u32 = 0x8b51_f9dd;
const MULTIPLY_B: u32 = 0x58f3_8ded;
const MIX_LEFT: u32 = 0xca01_f9dd;
const MIX_RIGHT: u32 = 0x4973_f715;
const SHIFT: u32 = 16;

/// The numbers `0..count` in the order that `default_rng(seed).permutation(count)` gives them.
pub(super) fn permutation(seed: u64, count: u32) -> Vec<u32> {
    let mut source = Words::new(seed);
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last as usize, source.up_to(last) as usize);
    }
    order
}

/// Halves of PCG64's numbers, the lower half first.
struct Words {
    generator: Pcg64,
    upper: Option<u32>,
}

impl Words {
    fn new(seed: u64) -> Self {
        let [state_high, state_low, stream_high, stream_low] = seed_words(seed);
        let join = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        Self {
            generator: Pcg64::new(join(state_high, state_low), join(stream_high, stream_low)),
            upper: None,
        }
    }

    fn next(&mut self) -> u32 {
        self.upper.take().unwrap_or_else(|| {
            let word = self.generator.next_u64();
            self.upper = Some((word >> 32) as u32);
            word as u32
        })
    }

    /// A number from 0 to `largest`, which is not 0, each equally likely: of words cut to the bits that `largest` has, the
    /// first that is not larger.
    fn up_to(&mut self, largest: u32) -> u32 {
        let mask = u32::MAX >> largest.leading_zeros();
        loop {
            let word = self.next() & mask;
            if word <= largest {
                return word;
            }
        }
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_words(seed: u64) -> [u64; 4] {
    // The entropy's words, least significant first; absent words are hashed as zero.
    let entropy = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mut constant = INIT_A;
    let mut hash = |word: u32| {
        let word = word ^ constant;
        constant = constant.wrapping_mul(MULTIPLY_A);
        let word = word.wrapping_mul(constant);
        word ^ word >> SHIFT
    };
    let mut pool = entropy.map(&mut hash);
    for source in 0..4 {
        for target in (0..4).filter(|target| *target != source) {
            let mixed =
                pool[target].wrapping_mul(MIX_LEFT).wrapping_sub(hash(pool[source]).wrapping_mul(MIX_RIGHT));
            pool[target] = mixed ^ mixed >> SHIFT;
        }
    }
    let mut constant = INIT_B;
    let mut word = |index: usize| {
        let word = pool[index % 4] ^ constant;
        constant = constant.wrapping_mul(MULTIPLY_B);
        let word = word.wrapping_mul(constant);
        u64::from(word ^ word >> SHIFT)
    };
    std::array::from_fn(|index| word(2 * index) | word(2 * index + 1) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from NumPy 2.4.6: the first elements, and the sum of each element times its position.
    #[test]
    fn the_order_is_numpys() {
        let checksum =
            |order: &[u32]| order.iter().zip(0..).map(|(value, at)| u64::from(*value) * at).sum::<u64>();
        let recorded: [(u32, u64, &[u32], u64); 6] = [
            (5, 0, &[2, 4, 3, 0, 1], 14),
            (10, 42, &[5, 6, 0, 7, 3, 2, 4, 9, 1, 8], 216),
            (1000, 7, &[816, 923, 151, 900, 213, 100, 851, 503, 643, 172, 205, 533], 249_031_891),
            (1, 3, &[0], 0),
            (257, (1 << 32) + 5, &[47, 153, 213, 88, 23, 6, 188, 168, 160, 133, 109, 256], 4_214_824),
            (20, 1 << 63, &[16, 15, 13, 7, 19, 6, 18, 12, 9, 17, 2, 8], 1434),
        ];
        for (count, seed, first, sum) in recorded {
            let order = permutation(seed, count);
            assert_eq!(&order[..first.len()], first, "seed {seed}");
            assert_eq!(checksum(&order), sum, "seed {seed}");
        }
        assert!(permutation(1, 0).is_empty());
    }
}
