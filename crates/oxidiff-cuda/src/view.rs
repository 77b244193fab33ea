//! Where the elements of a tensor lie in a buffer.

use burn::tensor::DType;

/// Names a buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// A tensor as a part of a buffer: element `[i, j, ...]` is at `offset + i * strides[0] + j * strides[1] + ...`, counted in
/// elements. Transposed, sliced and repeated tensors are views of one buffer, and images keep the channels of a pixel together
/// whatever the order of their dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub buffer: BufferId,
    /// Where the first element is.
    pub offset: usize,
    /// Lengths of the dimensions.
    pub shape: Vec<usize>,
    /// Distances between neighbours along each dimension; 0 repeats an element.
    pub strides: Vec<usize>,
    /// The element type.
    pub dtype: DType,
}

/// Rows of neighbouring elements: the form in which kernels take matrices, tokens and pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// How many.
    pub rows: usize,
    /// Elements of a row.
    pub columns: usize,
    /// Distance from the start of one row to that of the next.
    pub pitch: usize,
}

/// The strides of a contiguous tensor.
fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

impl View {
    /// All of a buffer, in the order of the dimensions.
    pub fn contiguous(buffer: BufferId, shape: &[usize], dtype: DType) -> Self {
        let (shape, strides) = (shape.to_vec(), contiguous_strides(shape));
        Self { buffer, offset: 0, shape, strides, dtype }
    }

    /// All of a buffer, with the dimensions in memory in the order `order`, the outermost first.
    pub fn ordered(buffer: BufferId, shape: &[usize], order: &[usize], dtype: DType) -> Self {
        let mut strides = vec![0; shape.len()];
        let mut stride = 1;
        for &axis in order.iter().rev() {
            strides[axis] = stride;
            stride *= shape[axis];
        }
        Self { buffer, offset: 0, shape: shape.to_vec(), strides, dtype }
    }

    /// How many elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements follow each other in the order of the dimensions.
    pub fn is_contiguous(&self) -> bool {
        let expected = contiguous_strides(&self.shape);
        self.elements() == 0
            || (0..self.shape.len()).all(|axis| self.shape[axis] == 1 || self.strides[axis] == expected[axis])
    }

    /// Dimension `axis` of the result is dimension `axes[axis]` of this.
    pub fn permute(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            ..self.clone()
        }
    }

    /// Repeats dimensions of length 1; new dimensions come first.
    pub fn expand(&self, shape: &[usize]) -> Self {
        let added = shape.len() - self.shape.len();
        let strides = (0..shape.len()).map(|axis| match axis.checked_sub(added) {
            Some(own) if self.shape[own] == shape[axis] => self.strides[own],
            _ => 0,
        });
        Self { strides: strides.collect(), shape: shape.to_vec(), ..self.clone() }
    }

    /// Every `step`th element from `start`, `length` of them, along `axis`.
    pub fn slice(&self, axis: usize, start: usize, length: usize, step: usize) -> Self {
        let mut sliced = self.clone();
        sliced.offset += start * self.strides[axis];
        sliced.shape[axis] = length;
        sliced.strides[axis] *= step;
        sliced
    }

    /// The same elements in the same order with another shape, if that needs no copy.
    pub fn reshape(&self, shape: &[usize]) -> Option<Self> {
        debug_assert_eq!(self.elements(), shape.iter().product::<usize>(), "as many elements");
        if self.elements() == 0 {
            return Some(Self { shape: shape.to_vec(), strides: contiguous_strides(shape), ..self.clone() });
        }
        // Runs of dimensions that can be walked with one stride, innermost last: (length, stride).
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (&length, &stride) in self.shape.iter().zip(&self.strides) {
            if length == 1 {
                continue;
            }
            match runs.last_mut() {
                Some((whole, inner)) if *inner == stride * length => {
                    *whole *= length;
                    *inner = stride;
                }
                _ => runs.push((length, stride)),
            }
        }
        // Each new dimension must divide what is left of a run.
        let mut strides = vec![0; shape.len()];
        let mut run = runs.pop();
        for axis in (0..shape.len()).rev() {
            let length = shape[axis];
            if length == 1 {
                strides[axis] = 1;
                continue;
            }
            let (left, stride) = run?;
            if left % length != 0 {
                return None;
            }
            strides[axis] = stride;
            run = match left / length {
                1 => runs.pop(),
                left => Some((left, stride * length)),
            };
        }
        Some(Self { shape: shape.to_vec(), strides, ..self.clone() })
    }

    /// This as rows, if elements along the last dimension are neighbours and the rows are evenly spaced.
    pub fn rows(&self) -> Option<Rows> {
        let columns = *self.shape.last()?;
        let rows = self.elements() / columns.max(1);
        let flat = self.reshape(&[rows, columns])?;
        let adjacent = columns == 1 || flat.strides[1] == 1;
        let pitch = if rows == 1 { columns } else { flat.strides[0] };
        (adjacent && pitch >= columns).then_some(Rows { rows, columns, pitch })
    }

    /// This as rows, with the dimensions in the order in which they are in memory.
    pub fn rows_in_order(&self) -> Option<Rows> {
        self.permute(&self.order()).rows()
    }

    /// An image `[batch, channels, height, width]` as pixels of neighbouring channels, if it is laid out so.
    pub fn pixels(&self) -> Option<Rows> {
        self.permute(&[0, 2, 3, 1]).rows()
    }

    /// Where the element at `index` is.
    pub fn position(&self, index: &[usize]) -> usize {
        self.offset + index.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum::<usize>()
    }

    /// The order of the dimensions in memory, the outermost first.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shape.len()).collect();
        // Dimensions of length 1 have no place of their own: they stay before the next one.
        let stride = |axis: usize| match self.shape[axis] {
            1 => (axis + 1..self.shape.len())
                .find(|&next| self.shape[next] != 1)
                .map_or(0, |next| self.strides[next]),
            _ => self.strides[axis],
        };
        order.sort_by_key(|&axis| std::cmp::Reverse(stride(axis)));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(batch: usize, channels: usize, height: usize, width: usize) -> View {
        View::ordered(BufferId(0), &[batch, channels, height, width], &[0, 2, 3, 1], DType::F32)
    }

    #[test]
    fn images_are_tokens_without_a_copy() {
        let tokens = image(2, 3, 4, 5).permute(&[0, 2, 3, 1]).reshape(&[2, 20, 3]).expect("a view");
        assert!(tokens.is_contiguous());
        let back = tokens.reshape(&[2, 4, 5, 3]).unwrap().permute(&[0, 3, 1, 2]);
        assert_eq!(back, image(2, 3, 4, 5));
        assert_eq!(image(2, 3, 4, 5).reshape(&[2, 3, 20]).unwrap().strides, [60, 1, 3]);
        assert_eq!(image(2, 3, 4, 5).reshape(&[2, 60]), None);
    }

    #[test]
    fn slices_keep_their_pitch() {
        let part = image(2, 8, 4, 5).slice(1, 2, 3, 1);
        assert_eq!(part.pixels(), Some(Rows { rows: 40, columns: 3, pitch: 8 }));
        assert_eq!(part.offset, 2);
        assert_eq!(part.position(&[1, 2, 3, 4]), 2 + 160 + 2 + 3 * 40 + 4 * 8);
        let narrow = image(2, 8, 4, 5).slice(3, 1, 4, 1);
        assert_eq!(narrow.pixels(), None);
    }

    #[test]
    fn reshapes_split_and_merge() {
        let view = View::contiguous(BufferId(0), &[6, 4], DType::F32);
        assert_eq!(view.reshape(&[2, 3, 2, 2]).unwrap().strides, [12, 4, 2, 1]);
        assert_eq!(view.permute(&[1, 0]).reshape(&[2, 2, 6]).unwrap().strides, [2, 1, 4]);
        assert_eq!(view.permute(&[1, 0]).reshape(&[24]), None);
        let repeated = View::contiguous(BufferId(0), &[1, 4], DType::F32).expand(&[3, 6, 4]);
        assert_eq!(repeated.strides, [0, 0, 1]);
        assert_eq!(repeated.reshape(&[18, 4]).unwrap().strides, [0, 1]);
    }

    #[test]
    fn knows_the_order_in_memory() {
        assert_eq!(image(2, 3, 4, 5).order(), [0, 2, 3, 1]);
        assert_eq!(View::contiguous(BufferId(0), &[2, 1, 4], DType::F32).order(), [0, 1, 2]);
    }
}
