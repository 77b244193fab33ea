//! Matrix products, packed into panels and blocked for the caches.

pub(crate) mod bf16_dot;
mod bf16_tiles;
mod blocked;
mod factor;
mod few_rows;
pub(crate) mod integers;
mod matrix;
mod operand;
pub(crate) mod panel;
mod row_major;
mod sink;

pub(crate) use bf16_dot::Group;
pub(crate) use blocked::{Size, multiply, multiply_rows};
pub(crate) use factor::{Left, Right};
pub(crate) use integers::Integers;
pub(crate) use matrix::Matrix;
pub(crate) use operand::Operand;
pub(crate) use panel::{ROW_STEP, Rows, Unit};
pub(crate) use row_major::RowMajor;
pub(crate) use sink::{Sink, Transposed};
