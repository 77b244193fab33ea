//! What an elementwise operation computes for each element.

/// An operation on numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "each is named for what it computes")]
pub enum Step {
    Constant(f32),
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Pow,
    Remainder,
    Neg,
    Abs,
    Exp,
    Log,
    Log1p,
    Sqrt,
    Recip,
    Sin,
    Cos,
    Tanh,
    Erf,
    Sigmoid,
    Silu,
    Gelu,
    Relu,
    Floor,
    Ceil,
    Round,
    Sign,
    Equal,
    Greater,
    GreaterEqual,
    Not,
    /// `if first != 0 { second } else { third }`.
    Select,
}

impl Step {
    /// How many numbers it takes.
    pub fn arity(self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Min | Self::Max | Self::Pow => 2,
            Self::Remainder | Self::Equal | Self::Greater | Self::GreaterEqual => 2,
            Self::Select => 3,
            _ => 1,
        }
    }
}

/// One step: what to compute from which earlier values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction {
    /// The operation.
    pub step: Step,
    /// The values that it takes, as many as [`Step::arity`] says: the inputs come first, then the results of the steps before.
    pub arguments: [usize; 3],
}

/// A list of steps; the result is that of the last one, or the first input if there are no steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// How many inputs there are.
    pub inputs: usize,
    /// The steps.
    pub instructions: Vec<Instruction>,
}

impl Program {
    /// Returns its input.
    pub fn copy() -> Self {
        Self { inputs: 1, instructions: Vec::new() }
    }

    /// Returns `value`.
    pub fn constant(value: f32) -> Self {
        let mut program = Self::default();
        program.push(Step::Constant(value), &[]);
        program
    }

    /// One step on as many inputs as it takes.
    pub fn of(step: Step) -> Self {
        let instruction = Instruction { step, arguments: [0, 1, 2] };
        Self { inputs: step.arity(), instructions: vec![instruction] }
    }

    /// `step(x, value)` for the one input `x`.
    pub fn with_constant(step: Step, value: f32) -> Self {
        let constant = Instruction { step: Step::Constant(value), arguments: [0; 3] };
        Self { inputs: 1, instructions: vec![constant, Instruction { step, arguments: [0, 1, 0] }] }
    }

    /// Adds a step and returns the number of its value.
    pub fn push(&mut self, step: Step, arguments: &[usize]) -> usize {
        let mut all = [0; 3];
        all[..arguments.len()].copy_from_slice(arguments);
        self.instructions.push(Instruction { step, arguments: all });
        self.inputs + self.instructions.len() - 1
    }

    /// The number of the value that the program returns.
    pub fn result(&self) -> usize {
        if self.instructions.is_empty() { 0 } else { self.inputs + self.instructions.len() - 1 }
    }

    /// Whether the result is the input, unchanged but for its type.
    pub fn is_copy(&self) -> bool {
        self.instructions.is_empty()
    }

    /// Whether computing it again costs less than reading its result from memory.
    pub fn is_cheap(&self) -> bool {
        let is_cheap = |step: Step| {
            use Step::{Abs, Add, Constant, Max, Min, Mul, Neg, Relu, Select, Sub};
            matches!(step, Constant(_) | Add | Sub | Mul | Min | Max | Neg | Abs | Relu | Select)
        };
        self.instructions.len() <= 4 && self.instructions.iter().all(|it| is_cheap(it.step))
    }

    /// Computes the program for one element.
    pub fn evaluate(&self, inputs: &[f32]) -> f32 {
        let mut values = inputs.to_vec();
        for Instruction { step, arguments } in &self.instructions {
            let [a, b, c] = arguments.map(|argument| values.get(argument).copied().unwrap_or(0.0));
            values.push(apply(*step, a, b, c));
        }
        values[self.result()]
    }
}

fn apply(step: Step, a: f32, b: f32, c: f32) -> f32 {
    let truth = |condition: bool| f32::from(u8::from(condition));
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    match step {
        Step::Constant(value) => value,
        Step::Add => a + b,
        Step::Sub => a - b,
        Step::Mul => a * b,
        Step::Div => a / b,
        Step::Min => a.min(b),
        Step::Max => a.max(b),
        Step::Pow => a.powf(b),
        Step::Remainder => a - (a / b).floor() * b,
        Step::Neg => -a,
        Step::Abs => a.abs(),
        Step::Exp => a.exp(),
        Step::Log => a.ln(),
        Step::Log1p => a.ln_1p(),
        Step::Sqrt => a.sqrt(),
        Step::Recip => a.recip(),
        Step::Sin => a.sin(),
        Step::Cos => a.cos(),
        Step::Tanh => a.tanh(),
        Step::Erf => libm::erff(a),
        Step::Sigmoid => sigmoid(a),
        Step::Silu => a * sigmoid(a),
        Step::Gelu => 0.5 * a * (1.0 + libm::erff(a * std::f32::consts::FRAC_1_SQRT_2)),
        Step::Relu => a.max(0.0),
        Step::Floor => a.floor(),
        Step::Ceil => a.ceil(),
        Step::Round => a.round_ties_even(),
        Step::Sign => {
            if a == 0.0 {
                0.0
            } else {
                a.signum()
            }
        }
        Step::Equal => truth(a == b),
        Step::Greater => truth(a > b),
        Step::GreaterEqual => truth(a >= b),
        Step::Not => truth(a == 0.0),
        Step::Select => {
            if a != 0.0 {
                b
            } else {
                c
            }
        }
    }
}
