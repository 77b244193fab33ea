//! The Mersenne Twister, with a state that can be read and set at any position.

use std::collections::VecDeque;

use rand_mt::Mt;

/// The number of words of the state.
pub(super) const WORDS: usize = 624;

/// The twister of `rand_mt`, which can only be put before a block of words: the words that are left of the block before it
/// are kept here.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    left: VecDeque<u32>,
    twister: Mt,
    /// The last number drawn, if one was drawn since the seed.
    last: Option<u32>,
}

impl Engine {
    pub fn new(seed: u32) -> Self {
        Self { left: VecDeque::new(), twister: Mt::new(seed), last: None }
    }

    pub fn next_u32(&mut self) -> u32 {
        let number = match self.left.pop_front() {
            Some(number) => number,
            None => self.twister.next_u32(),
        };
        self.last = Some(number);
        number
    }

    /// The engine whose state is `words`, of which the first `drawn` have been drawn.
    pub fn from_words(words: &[u32; WORDS], drawn: usize) -> Self {
        let numbers = words.map(temper);
        let left = numbers[drawn..].iter().copied().collect();
        let last = drawn.checked_sub(1).map(|last| numbers[last]);
        Self { left, twister: Mt::from(numbers), last }
    }

    /// A state of this engine of which one word has been drawn; `None` if none was drawn since the seed.
    pub fn words(&self) -> Option<[u32; WORDS]> {
        let last = self.last?;
        let mut ahead = self.clone();
        Some(std::array::from_fn(|index| untemper(if index == 0 { last } else { ahead.next_u32() })))
    }
}

/// The number that a word of the state gives.
fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

/// The inverse of [`temper`].
fn untemper(mut number: u32) -> u32 {
    number ^= number >> 18;
    number ^= (number << 15) & 0xefc6_0000;
    let mut word = number;
    // Each round restores seven more bits.
    for _ in 0..4 {
        word = number ^ ((word << 7) & 0x9d2c_5680);
    }
    let mut earlier = word;
    for _ in 0..2 {
        earlier = word ^ (earlier >> 11);
    }
    earlier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untempering_is_the_inverse() {
        for number in [0, 1, 0xdead_beef, u32::MAX, 0x8000_0001] {
            assert_eq!(untemper(temper(number)), number);
        }
    }

    #[test]
    fn an_engine_continues_from_its_words() {
        for drawn in [1, 5, 623, 624, 700, 2000] {
            let mut engine = Engine::new(7);
            (0..drawn).for_each(|_| _ = engine.next_u32());
            let mut restored = Engine::from_words(&engine.words().unwrap(), 1);
            for _ in 0..2000 {
                assert_eq!(restored.next_u32(), engine.next_u32());
            }
            assert_eq!(restored.words(), engine.words());
        }
        assert_eq!(Engine::new(7).words(), None);
    }
}
