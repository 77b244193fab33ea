//! Where the values of each modulation are among those that the approximator makes.

/// A block with two streams modulates each of them twice, by a shift, a scale and a gate.
const OF_STREAM: usize = 6;
/// A block with one stream does it once.
const OF_SINGLE: usize = 3;
/// The last layer has a shift and a scale.
const OF_LAST: usize = 2;

/// The places of the modulations of a model with so many blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub double: usize,
    pub single: usize,
}

impl Places {
    /// The number of values.
    pub fn count(self) -> usize {
        self.last() + OF_LAST
    }

    /// Those of a block with one stream, which come first.
    pub fn of_single(self, block: usize) -> usize {
        OF_SINGLE * block
    }

    /// Those of a block with two streams around its attention and around its feed-forward: of the text, and of the images, which come
    /// before all those of texts.
    pub fn of_double(self, block: usize) -> [[usize; 2]; 2] {
        let image = OF_SINGLE * self.single + OF_STREAM * block;
        let text = image + OF_STREAM * self.double;
        [text, image].map(|start| [start, start + OF_STREAM / 2])
    }

    /// Those of the last layer.
    pub fn last(self) -> usize {
        OF_SINGLE * self.single + 2 * OF_STREAM * self.double
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_used_twice() {
        let places = Places { double: 2, single: 3 };
        let mut used: Vec<usize> = (0..3).map(|block| places.of_single(block)).collect();
        used.extend((0..2).flat_map(|block| places.of_double(block).into_iter().flatten()));
        used.push(places.last());
        used.sort_unstable();
        let gaps: Vec<usize> = used.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps, [3; 11]);
        assert_eq!(places.count(), 3 * 3 + 2 * 12 + 2);
        assert_eq!(places.of_double(0), [[21, 24], [9, 12]]);
    }
}
