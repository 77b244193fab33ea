//! Where the tokens are of a prompt that images are part of.
//!
//! A text of several parts runs in time from 1 on. After each part there are two moments: one for the image that belongs to it, one
//! for what a vision model saw in that image.

use super::patches::{Patches, padding};
use super::sequence::Position;

/// Tokens of one kind of an item, each part filled up with further tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub positions: Vec<Position>,
    /// How many tokens after each other are noisy, or clean.
    pub runs: Vec<(usize, bool)>,
}

impl Places {
    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.runs.iter().map(|(tokens, _)| tokens).sum()
    }

    fn add(&mut self, positions: Vec<Position>, is_noisy: bool) {
        self.runs.push((positions.len(), is_noisy));
        self.positions.extend(positions);
    }

    /// The highest position on each axis.
    pub fn last(&self) -> Position {
        let highest = |axis: usize| self.positions.iter().map(|position| position[axis]).max();
        [0, 1, 2].map(|axis| highest(axis).unwrap_or_default())
    }
}

/// The places of the parts of a text with so many tokens each, and the moment after each part. They have more positions than tokens:
/// see [`cut_off`].
pub(super) fn text(lengths: &[usize], is_noisy: impl Fn(usize) -> bool) -> (Places, Vec<usize>) {
    let (mut places, mut ends, mut start) = (Places::default(), Vec::new(), 1);
    for (part, length) in lengths.iter().enumerate() {
        let filled = length + padding(*length);
        places.runs.push((filled, is_noisy(part)));
        places.positions.extend((start..start + filled).map(|time| [time, 0, 0]));
        places.positions.extend(std::iter::repeat_n([0; 3], padding(*length)));
        ends.push(start + length);
        start += length + 2;
    }
    (places, ends)
}

/// The positions of a text that its tokens get. The reference gives each part positions for its filled up tokens and then more for
/// those that fill it up, so the positions of later parts begin too late, and the last ones are not used. The model knows it this way.
pub(super) fn cut_off(places: &mut Places) {
    let tokens = places.tokens();
    places.positions.truncate(tokens);
}

/// The places of images, each cut into patches, that belong to parts of a text which end at these moments.
pub(super) fn images(patches: &[Patches], ends: &[usize], noise: &[bool]) -> Places {
    let mut places = Places::default();
    for ((patches, end), is_noisy) in patches.iter().zip(ends).zip(noise) {
        places.add(patches.positions(*end), *is_noisy);
    }
    places
}

/// The places of what a vision model saw in images, rows and columns of tokens each, or nothing. They are spread over the positions of
/// the image's latents.
pub(super) fn sights(
    sights: &[Option<[usize; 2]>],
    patches: &[Patches],
    ends: &[usize],
    noise: &[bool],
) -> Places {
    let mut places = Places::default();
    for (index, sight) in sights.iter().enumerate() {
        let Some([rows, columns]) = *sight else {
            places.add(vec![[0; 3]; padding(1) + 1], noise[index]);
            continue;
        };
        let [height, width] = patches[index].sides();
        let spread = |place: usize, count: usize, side: usize| {
            (place as f32 / (count.max(2) - 1) as f32 * (side - 1) as f32) as usize
        };
        let time = ends[index] + 1;
        let own = (0..rows).flat_map(|row| {
            (0..columns).map(move |column| [time, spread(row, rows, height), spread(column, columns, width)])
        });
        let added = std::iter::repeat_n([0; 3], padding(rows * columns));
        places.add(own.chain(added).collect(), noise[index]);
    }
    places
}
