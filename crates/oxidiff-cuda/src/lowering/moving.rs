//! Operations that only move elements.

use burn_ir::BaseOperationIr;

use super::{Lowering, unsupported};
use crate::error::Result;
use crate::operation::Operation;
use crate::view::View;

impl Lowering<'_> {
    pub(super) fn moved(&mut self, operation: &BaseOperationIr) -> Result<()> {
        let (out, view) = match operation {
            BaseOperationIr::Reshape(it) => {
                let view = self.view(&it.input);
                (&it.out, self.reshape(view, &shape(&it.out)))
            }
            BaseOperationIr::SwapDims(it) => {
                let view = self.view(&it.input);
                let mut axes: Vec<usize> = (0..view.shape.len()).collect();
                axes.swap(it.dim1, it.dim2);
                (&it.out, view.permute(&axes))
            }
            BaseOperationIr::Permute(it) => (&it.out, self.view(&it.input).permute(&it.axes)),
            BaseOperationIr::Expand(it) => (&it.out, self.view(&it.input).expand(&shape(&it.out))),
            BaseOperationIr::Slice(it) => {
                let mut view = self.view(&it.tensor);
                for (axis, range) in it.ranges.iter().enumerate() {
                    let length = view.shape[axis] as isize;
                    let at = |index: isize| if index < 0 { index + length } else { index }.clamp(0, length);
                    if range.step < 1 {
                        return Err(unsupported("a slice with a negative step", operation));
                    }
                    let (start, end) = (at(range.start), range.end.map_or(length, at));
                    let (start, step) = (start as usize, range.step as usize);
                    let length = (end as usize).saturating_sub(start).div_ceil(step);
                    view = view.slice(axis, start, length, step);
                }
                (&it.out, view)
            }
            BaseOperationIr::RepeatDim(it) => {
                let view = self.view(&it.tensor);
                // `[.., n, ..]` as `[.., 1, n, ..]`, repeated and merged.
                let mut split = view.shape.clone();
                split.insert(it.dim, 1);
                let mut repeated = split.clone();
                repeated[it.dim] = it.times;
                let view =
                    view.reshape(&split).expect("a dimension of length 1 needs no copy").expand(&repeated);
                (&it.out, self.reshape(view, &shape(&it.out)))
            }
            BaseOperationIr::Cat(it) => {
                let parts: Vec<View> = it.tensors.iter().map(|tensor| self.view(tensor)).collect();
                (&it.out, self.concatenate(&parts, it.dim, &shape(&it.out)))
            }
            BaseOperationIr::Select(it) => {
                let (table, indices) = (self.view(&it.tensor), self.view(&it.indices));
                if it.dim != 0 {
                    return Err(unsupported(
                        "a selection along a dimension that is not the first",
                        operation,
                    ));
                }
                (&it.out, self.gather(table, indices, &shape(&it.out)))
            }
            _ => return Err(unsupported("moving elements", operation)),
        };
        self.define(out, view);
        Ok(())
    }

    /// `parts` one after another along `axis`.
    pub(super) fn concatenate(&mut self, parts: &[View], axis: usize, shape: &[usize]) -> View {
        let order = parts[0].order();
        let y = self.graph.tensor(shape, &order, parts[0].dtype);
        let mut start = 0;
        for part in parts {
            let target = y.slice(axis, start, part.shape[axis], 1);
            self.graph.operations.push(Operation::copy(part.clone(), target));
            start += part.shape[axis];
        }
        y
    }

    /// The rows of `table` at `indices`.
    pub(super) fn gather(&mut self, table: View, indices: View, shape: &[usize]) -> View {
        let entries = table.shape[0];
        let features = table.elements() / entries;
        let table = self.reshape(table, &[entries, features]);
        let table = self.rows(table);
        let count = indices.elements();
        let indices = self.reshape(indices, &[count]);
        let indices = self.contiguous(indices);
        let y = self.add(&[count, features], &[0, 1], table.dtype, |y| Operation::Gather {
            table: table.clone(),
            indices: indices.clone(),
            y,
        });
        y.reshape(shape).expect("contiguous tensors take any shape")
    }
}

/// The shape of a recorded tensor.
pub(super) fn shape(tensor: &burn_ir::TensorIr) -> Vec<usize> {
    tensor.shape.iter().copied().collect()
}
