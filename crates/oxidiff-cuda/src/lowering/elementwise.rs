//! Operations on each element by itself, and reductions.

use burn_ir::{
    ActivationOperationIr, BaseOperationIr, BinaryOpIr, BoolOperationIr, FloatOperationIr, IntOperationIr,
    NumericOperationIr, PadModeIr, PadOpIr, ReduceDimOpIr, ScalarIr, ScalarOpIr, TensorIr, UnaryOpIr,
};

use super::moving::shape;
use super::{Lowering, unsupported};
use crate::error::Result;
use crate::operation::{Operation, Reduction};
use crate::program::{Program, Step};
use crate::view::View;

impl Lowering<'_> {
    /// Adds a program on `inputs`, which are repeated to the shape of the result.
    pub(super) fn compute(&mut self, program: Program, inputs: Vec<View>, out: &TensorIr) -> Result<()> {
        let shape = shape(out);
        let inputs: Vec<View> = inputs.into_iter().map(|input| input.expand(&shape)).collect();
        let whole = |input: &&View| {
            input.strides.iter().zip(&shape).all(|(stride, length)| *stride != 0 || *length == 1)
        };
        let order = match inputs.iter().find(whole) {
            Some(input) => input.order(),
            None => (0..shape.len()).collect(),
        };
        let y = self.add(&shape, &order, out.dtype, |y| Operation::Elementwise {
            program: program.clone(),
            inputs: inputs.clone(),
            y,
        });
        self.define(out, y);
        Ok(())
    }

    fn unary(&mut self, step: Step, it: &UnaryOpIr) -> Result<()> {
        let input = self.view(&it.input);
        self.compute(Program::of(step), vec![input], &it.out)
    }

    fn binary(&mut self, step: Step, it: &BinaryOpIr) -> Result<()> {
        let inputs = vec![self.view(&it.lhs), self.view(&it.rhs)];
        self.compute(Program::of(step), inputs, &it.out)
    }

    fn scalar(&mut self, step: Step, it: &ScalarOpIr) -> Result<()> {
        let input = self.view(&it.lhs);
        self.compute(Program::with_constant(step, number(it.rhs)), vec![input], &it.out)
    }

    /// `second > first`, or `>=`.
    fn less(&mut self, step: Step, lhs: &TensorIr, rhs: &TensorIr, out: &TensorIr) -> Result<()> {
        let inputs = vec![self.view(rhs), self.view(lhs)];
        self.compute(Program::of(step), inputs, out)
    }

    fn less_than_scalar(&mut self, step: Step, it: &ScalarOpIr) -> Result<()> {
        let input = self.view(&it.lhs);
        let mut program = Program { inputs: 1, instructions: Vec::new() };
        let constant = program.push(Step::Constant(number(it.rhs)), &[]);
        program.push(step, &[constant, 0]);
        self.compute(program, vec![input], &it.out)
    }

    pub(super) fn fill(&mut self, out: &TensorIr, value: f32) -> Result<()> {
        self.compute(Program::constant(value), Vec::new(), out)
    }

    pub(super) fn cast(&mut self, input: &TensorIr, out: &TensorIr) -> Result<()> {
        let view = self.view(input);
        if view.dtype == out.dtype {
            self.define(out, view);
            return Ok(());
        }
        self.compute(Program::copy(), vec![view], out)
    }

    /// Comparisons and choices by a mask.
    pub(super) fn choose(&mut self, operation: &BaseOperationIr) -> Result<()> {
        match operation {
            BaseOperationIr::Equal(it) => self.binary(Step::Equal, it),
            BaseOperationIr::EqualElem(it) => self.scalar(Step::Equal, it),
            BaseOperationIr::NotEqual(it) => {
                let inputs = vec![self.view(&it.lhs), self.view(&it.rhs)];
                let mut program = Program::of(Step::Equal);
                let equal = program.result();
                program.push(Step::Not, &[equal]);
                self.compute(program, inputs, &it.out)
            }
            BaseOperationIr::NotEqualElem(it) => {
                let input = self.view(&it.lhs);
                let mut program = Program::with_constant(Step::Equal, number(it.rhs));
                let equal = program.result();
                program.push(Step::Not, &[equal]);
                self.compute(program, vec![input], &it.out)
            }
            BaseOperationIr::MaskWhere(it) => {
                let inputs = vec![self.view(&it.mask), self.view(&it.value), self.view(&it.tensor)];
                self.compute(Program::of(Step::Select), inputs, &it.out)
            }
            BaseOperationIr::MaskFill(it) => {
                let inputs = vec![self.view(&it.mask), self.view(&it.tensor)];
                let mut program = Program { inputs: 2, instructions: Vec::new() };
                let value = program.push(Step::Constant(number(it.value)), &[]);
                program.push(Step::Select, &[0, value, 1]);
                self.compute(program, inputs, &it.out)
            }
            _ => Err(unsupported("choosing elements", operation)),
        }
    }

    pub(super) fn numeric(&mut self, operation: &NumericOperationIr) -> Result<()> {
        use NumericOperationIr as N;
        match operation {
            N::Add(it) => self.binary(Step::Add, it),
            N::Sub(it) => self.binary(Step::Sub, it),
            N::Mul(it) => self.binary(Step::Mul, it),
            N::Div(it) => self.binary(Step::Div, it),
            N::Rem(it) => self.binary(Step::Remainder, it),
            N::AddScalar(it) => self.scalar(Step::Add, it),
            N::SubScalar(it) => self.scalar(Step::Sub, it),
            N::MulScalar(it) => self.scalar(Step::Mul, it),
            N::DivScalar(it) => self.scalar(Step::Div, it),
            N::RemScalar(it) => self.scalar(Step::Remainder, it),
            N::Abs(it) => self.unary(Step::Abs, it),
            N::Neg(it) => self.unary(Step::Neg, it),
            N::Sign(it) => self.unary(Step::Sign, it),
            N::Full(it) => self.fill(&it.out, number(it.value)),
            N::Powi(it) => self.binary(Step::Pow, it),
            N::PowiScalar(it) => self.power(it),
            N::Greater(it) => self.binary(Step::Greater, it),
            N::GreaterElem(it) => self.scalar(Step::Greater, it),
            N::GreaterEqual(it) => self.binary(Step::GreaterEqual, it),
            N::GreaterEqualElem(it) => self.scalar(Step::GreaterEqual, it),
            N::Lower(it) => self.less(Step::Greater, &it.lhs, &it.rhs, &it.out),
            N::LowerElem(it) => self.less_than_scalar(Step::Greater, it),
            N::LowerEqual(it) => self.less(Step::GreaterEqual, &it.lhs, &it.rhs, &it.out),
            N::LowerEqualElem(it) => self.less_than_scalar(Step::GreaterEqual, it),
            N::Clamp(it) => {
                let input = self.view(&it.tensor);
                let mut program = Program { inputs: 1, instructions: Vec::new() };
                let least = program.push(Step::Constant(number(it.min)), &[]);
                let most = program.push(Step::Constant(number(it.max)), &[]);
                let raised = program.push(Step::Max, &[0, least]);
                program.push(Step::Min, &[raised, most]);
                self.compute(program, vec![input], &it.out)
            }
            N::Pad(it) => self.pad(it),
            N::SumDim(it) => self.reduce(Reduction::Sum, it),
            N::MeanDim(it) => self.reduce(Reduction::Mean, it),
            N::MaxDim(it) => self.reduce(Reduction::Max, it),
            N::MinDim(it) => self.reduce(Reduction::Min, it),
            _ => Err(unsupported("numbers", operation)),
        }
    }

    /// A square is a product: exact, and right for negative numbers.
    fn power(&mut self, it: &ScalarOpIr) -> Result<()> {
        let input = self.view(&it.lhs);
        let program = if number(it.rhs) == 2.0 {
            let mut program = Program { inputs: 1, instructions: Vec::new() };
            program.push(Step::Mul, &[0, 0]);
            program
        } else {
            Program::with_constant(Step::Pow, number(it.rhs))
        };
        self.compute(program, vec![input], &it.out)
    }

    /// The input in the middle of a larger tensor.
    fn pad(&mut self, it: &PadOpIr) -> Result<()> {
        let input = self.view(&it.input);
        let y = self.graph.tensor(&shape(&it.out), &input.order(), it.out.dtype);
        if let PadModeIr::Constant(value) = it.mode {
            self.graph.operations.push(Operation::fill(number(value), y.clone()));
        }
        let middle =
            it.padding.iter().enumerate().fold(y.clone(), |middle, (axis, (before, _))| {
                middle.slice(axis, *before, input.shape[axis], 1)
            });
        self.graph.operations.push(Operation::copy(input.clone(), middle));
        if !matches!(it.mode, PadModeIr::Constant(_)) {
            // One dimension after another, so that corners are filled from what the dimension before has added.
            let mut filled = it.padding.iter().enumerate().fold(y.clone(), |filled, (axis, (before, _))| {
                filled.slice(axis, *before, input.shape[axis], 1)
            });
            for (axis, &(before, after)) in it.padding.iter().enumerate() {
                let length = input.shape[axis];
                // The distance from the edge of what is repeated there.
                let source =
                    |distance: usize| if matches!(it.mode, PadModeIr::Reflect) { distance } else { 0 };
                let whole = View { offset: filled.offset - before * y.strides[axis], ..filled.clone() };
                for distance in 1..=before {
                    let from = filled.slice(axis, source(distance), 1, 1);
                    self.graph
                        .operations
                        .push(Operation::copy(from, whole.slice(axis, before - distance, 1, 1)));
                }
                for distance in 1..=after {
                    let from = filled.slice(axis, length - 1 - source(distance), 1, 1);
                    let to = whole.slice(axis, before + length - 1 + distance, 1, 1);
                    self.graph.operations.push(Operation::copy(from, to));
                }
                filled = whole.slice(axis, 0, before + length + after, 1);
            }
        }
        self.define(&it.out, y);
        Ok(())
    }

    fn reduce(&mut self, reduction: Reduction, it: &ReduceDimOpIr) -> Result<()> {
        let x = self.view(&it.input);
        let axis = it.axis;
        let outer: usize = x.shape[..axis].iter().product();
        let inner: usize = x.shape[axis + 1..].iter().product();
        let folded = self.reshape(x.clone(), &[outer, x.shape[axis], inner]);
        let y = self.add(&[outer, 1, inner], &[0, 1, 2], it.out.dtype, |y| Operation::Reduce {
            reduction,
            x: folded.clone(),
            y,
        });
        self.define(&it.out, y.reshape(&shape(&it.out)).expect("contiguous tensors take any shape"));
        Ok(())
    }

    pub(super) fn float(&mut self, operation: &FloatOperationIr) -> Result<()> {
        use FloatOperationIr as F;
        match operation {
            F::Exp(it) => self.unary(Step::Exp, it),
            F::Log(it) => self.unary(Step::Log, it),
            F::Log1p(it) => self.unary(Step::Log1p, it),
            F::Erf(it) => self.unary(Step::Erf, it),
            F::Sqrt(it) => self.unary(Step::Sqrt, it),
            F::Cos(it) => self.unary(Step::Cos, it),
            F::Sin(it) => self.unary(Step::Sin, it),
            F::Tanh(it) => self.unary(Step::Tanh, it),
            F::Recip(it) => self.unary(Step::Recip, it),
            F::Floor(it) => self.unary(Step::Floor, it),
            F::Ceil(it) => self.unary(Step::Ceil, it),
            F::Round(it) => self.unary(Step::Round, it),
            F::Powf(it) => self.binary(Step::Pow, it),
            F::PowfScalar(it) => self.power(it),
            F::IntoInt(it) => self.cast(&it.input, &it.out),
            F::Matmul(it) => self.matmul(it),
            _ => Err(unsupported("real numbers", operation)),
        }
    }

    pub(super) fn boolean(&mut self, operation: &BoolOperationIr) -> Result<()> {
        match operation {
            BoolOperationIr::IntoFloat(it) => self.cast(&it.input, &it.out),
            BoolOperationIr::IntoInt(it) => self.cast(&it.input, &it.out),
            BoolOperationIr::Not(it) => self.unary(Step::Not, it),
            BoolOperationIr::And(it) => self.binary(Step::Mul, it),
            BoolOperationIr::Or(it) => self.binary(Step::Max, it),
            _ => Err(unsupported("truth values", operation)),
        }
    }

    pub(super) fn integer(&mut self, operation: &IntOperationIr) -> Result<()> {
        match operation {
            IntOperationIr::IntoFloat(it) => self.cast(&it.input, &it.out),
            _ => Err(unsupported("integers", operation)),
        }
    }

    pub(super) fn activation(&mut self, operation: &ActivationOperationIr) -> Result<()> {
        match operation {
            ActivationOperationIr::Relu(it) => self.unary(Step::Relu, it),
            ActivationOperationIr::Gelu(it) => self.unary(Step::Gelu, it),
            ActivationOperationIr::Sigmoid(it) => self.unary(Step::Sigmoid, it),
            ActivationOperationIr::Softmax(it) => {
                let x = self.view(&it.input);
                if it.axis + 1 != x.shape.len() {
                    return Err(unsupported("a softmax along a dimension that is not the last", operation));
                }
                let x = self.rows(x);
                let y = self.add_in_order(&x.shape, x.dtype, |y| Operation::Softmax { x: x.clone(), y });
                self.define(&it.out, y);
                Ok(())
            }
            _ => Err(unsupported("activations", operation)),
        }
    }
}

/// A recorded scalar as kernels take it.
pub(super) fn number(scalar: ScalarIr) -> f32 {
    scalar.elem::<f32>()
}
