//! The operations of `oxidiff-kernels`.

use burn_ir::{CustomOpIr, ScalarIr};
use oxidiff_kernels::recording;

use super::elementwise::number;
use super::modules::LinearParts;
use super::moving::shape;
use super::{CHANNELS_LAST, Lowering};
use crate::error::{Error, Result};
use crate::operation::{GroupNorm, Operation, Resizing};
use crate::program::{Program, Step};
use crate::view::View;

/// The arguments of a recorded operation, taken one after another.
struct Arguments {
    inputs: std::vec::IntoIter<View>,
    scalars: std::vec::IntoIter<ScalarIr>,
}

impl Arguments {
    fn tensor(&mut self) -> View {
        self.inputs.next().expect("as many inputs as were recorded")
    }

    fn scalar(&mut self) -> ScalarIr {
        self.scalars.next().expect("as many scalars as were recorded")
    }

    fn count(&mut self) -> usize {
        self.scalar().elem::<u64>() as usize
    }

    fn flag(&mut self) -> bool {
        self.scalar() == ScalarIr::Bool(true)
    }

    /// The next input, if the next scalar says that it is there.
    fn optional(&mut self) -> Option<View> {
        self.flag().then(|| self.tensor())
    }
}

impl Lowering<'_> {
    pub(super) fn fused(&mut self, operation: &CustomOpIr) -> Result<()> {
        let inputs: Vec<View> = operation.inputs.iter().map(|input| self.view(input)).collect();
        let mut arguments =
            Arguments { inputs: inputs.into_iter(), scalars: operation.scalars.clone().into_iter() };
        let out = &operation.outputs[0];
        let x = arguments.tensor();
        let y = match operation.id.as_str() {
            recording::CONV2D => {
                let weight = arguments.tensor();
                let (stride, padding) = (arguments.count(), arguments.count());
                let parts = (arguments.optional(), arguments.optional(), arguments.optional());
                self.convolution(x, weight, parts, stride, padding, out)
            }
            recording::LINEAR => {
                let weight = arguments.tensor();
                let (bias, residual) = (arguments.optional(), arguments.optional());
                self.linear(x, weight, LinearParts { bias, residual, gate: false }, &shape(out))
            }
            recording::LINEAR_GEGLU => {
                let weight = arguments.tensor();
                let bias = arguments.optional();
                self.linear(x, weight, LinearParts { bias, residual: None, gate: true }, &shape(out))
            }
            recording::GEGLU => {
                let features = x.shape[2] / 2;
                let halves = [0, features].map(|start| x.slice(2, start, features, 1));
                let mut program = Program { inputs: 2, instructions: Vec::new() };
                let gate = program.push(Step::Gelu, &[1]);
                program.push(Step::Mul, &[0, gate]);
                return self.compute(program, halves.to_vec(), out);
            }
            recording::ATTENTION => {
                let tokens = [x, arguments.tensor(), arguments.tensor()];
                let heads = arguments.count();
                let scale = 1.0 / ((tokens[0].shape[2] / heads) as f32).sqrt();
                self.attend(tokens, None, heads, scale, false)
            }
            recording::GROUP_NORM => {
                let x = self.pixels(x);
                let [weight, bias] =
                    [arguments.tensor(), arguments.tensor()].map(|view| self.contiguous(view));
                let groups = arguments.count();
                let epsilon = number(arguments.scalar());
                let silu = arguments.flag();
                self.add(&x.shape, &CHANNELS_LAST, x.dtype, |y| {
                    let (x, weight, bias) = (x.clone(), weight.clone(), bias.clone());
                    Operation::GroupNorm(Box::new(GroupNorm { x, weight, bias, y, groups, epsilon, silu }))
                })
            }
            recording::LAYER_NORM => {
                let (weight, bias) = (arguments.tensor(), arguments.tensor());
                self.layer_norm(x, (weight, Some(bias)), number(arguments.scalar()), false)
            }
            recording::RMS_NORM => {
                let weight = arguments.tensor();
                self.layer_norm(x, (weight, None), number(arguments.scalar()), true)
            }
            recording::NEAREST => self.resize(Resizing::Nearest, x, &shape(out)),
            other => return Err(Error::unsupported(other)),
        };
        self.define(out, y);
        Ok(())
    }
}
