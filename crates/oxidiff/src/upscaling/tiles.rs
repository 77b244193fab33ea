//! Pictures that are enlarged piece by piece.

use burn::tensor::Tensor;

/// A piece of a picture along one side: what it covers, and what the network sees of its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins, and its length.
    pub covers: [usize; 2],
    /// Where what the network sees begins, and its length.
    pub sees: [usize; 2],
}

/// The pieces of a side of this `length`, of at most `tile` pixels each, with up to `pad` pixels around them.
pub(super) fn pieces(length: usize, tile: usize, pad: usize) -> Vec<Piece> {
    let piece = |start: usize| {
        let end = start.saturating_add(tile).min(length);
        let (from, to) = (start.saturating_sub(pad), end.saturating_add(pad).min(length));
        Piece { covers: [start, end - start], sees: [from, to - from] }
    };
    (0..length).step_by(tile).map(piece).collect()
}

/// A picture `[batch, channels, height, width]`, longer at the right and at the bottom: mirrored, without the last row and column.
pub(super) fn reflected(x: Tensor<4>, [below, right]: [usize; 2]) -> Tensor<4> {
    reflected_along(reflected_along(x, 2, below), 3, right)
}

fn reflected_along(x: Tensor<4>, axis: usize, more: usize) -> Tensor<4> {
    if more == 0 {
        return x;
    }
    let length = x.dims()[axis];
    let mirrored = x.clone().narrow(axis, length - 1 - more, more).flip([axis as isize]);
    Tensor::cat(vec![x, mirrored], axis)
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces, reflected};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn pieces_cover_a_side_without_overlap() {
        let found = pieces(25, 12, 4);
        assert_eq!(
            found,
            [
                Piece { covers: [0, 12], sees: [0, 16] },
                Piece { covers: [12, 12], sees: [8, 17] },
                Piece { covers: [24, 1], sees: [20, 5] },
            ]
        );
        assert_eq!(pieces(5, 5, 9), [Piece { covers: [0, 5], sees: [0, 5] }]);
    }

    #[test]
    fn the_border_is_not_repeated() {
        let row = Tensor::<1>::from_floats([1.0, 2.0, 3.0], &Device::flex()).reshape([1, 1, 1, 3]);
        let longer: Vec<f32> = reflected(row, [0, 2]).into_data().iter().collect();
        assert_eq!(longer, [1.0, 2.0, 3.0, 2.0, 1.0]);
    }
}
