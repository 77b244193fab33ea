//! Programs for each element, and copies: `kernels/elementwise.cu`.

use bytemuck::{Pod, Zeroable};

use super::strided::{Strided, is_integer, type_number};
use super::{Card, Launch};
use crate::error::{Error, Result};
use crate::program::{Instruction, Program, Step};

/// The most inputs of a program.
pub const MOST_INPUTS: usize = 8;
/// The most steps of a program.
pub const MOST_STEPS: usize = 32;
/// The most values of a program that are needed at a time.
pub const MOST_REGISTERS: usize = 32;

/// The most dimensions of the operands, after joining.
pub const MOST_DIMENSIONS: usize = 6;
/// The inputs and two results.
const MOST_OPERANDS: usize = MOST_INPUTS + 2;
const THREADS: usize = 128;
/// Elements of a thread where neighbours are together.
const WIDTH: usize = 8;

/// A program on tensors of the shape `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Elementwise {
    /// What to compute.
    pub program: Program,
    /// The shape of all operands.
    pub shape: Vec<usize>,
    /// The inputs.
    pub inputs: Vec<Strided>,
    /// The result.
    pub y: Strided,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Operand {
    address: u64,
    stride: i64,
    kind: i32,
    place: i32,
}

/// `ElementwiseParams` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Parameters {
    dimensions: i32,
    input_count: i32,
    output_count: i32,
    instruction_count: i32,
    row_vectors: u32,
    vectors: u32,
    length: i32,
    unused: i32,
    operands: [Operand; MOST_OPERANDS],
    code: [u32; MOST_STEPS],
    constants: [f32; MOST_STEPS],
    outer_lengths: [i32; MOST_DIMENSIONS - 1],
    unused_too: i32,
    outer_strides: [[i64; MOST_DIMENSIONS - 1]; MOST_OPERANDS],
}

/// The number of a step in `Opcode`, and whether integers can do it.
fn opcode(step: Step) -> (u32, bool) {
    match step {
        Step::Constant(value) => (0, value.fract() == 0.0 && value.abs() <= 16_777_216.0),
        Step::Neg => (16, true),
        Step::Abs => (17, true),
        Step::Exp => (18, false),
        Step::Log => (19, false),
        Step::Log1p => (20, false),
        Step::Sqrt => (21, false),
        Step::Recip => (23, false),
        Step::Sin => (25, false),
        Step::Cos => (26, false),
        Step::Tanh => (27, false),
        Step::Erf => (28, false),
        Step::Sigmoid => (29, false),
        Step::Silu => (30, false),
        Step::Gelu => (31, false),
        Step::Relu => (34, true),
        Step::Floor => (35, false),
        Step::Ceil => (36, false),
        Step::Round => (37, false),
        Step::Sign => (39, true),
        Step::Not => (40, true),
        Step::Add => (64, true),
        Step::Sub => (65, true),
        Step::Mul => (66, true),
        Step::Div => (67, false),
        Step::Min => (68, true),
        Step::Max => (69, true),
        Step::Pow => (70, false),
        Step::Remainder => (71, true),
        Step::Equal => (72, true),
        Step::Greater => (75, true),
        Step::GreaterEqual => (76, true),
        Step::Select => (128, true),
    }
}

/// The operands' common dimensions, the innermost of the result first: its length, and the stride of each
/// operand. Dimensions that all operands walk with one stride are joined.
fn joined(shape: &[usize], strides: &[&[usize]]) -> Vec<(usize, Vec<usize>)> {
    let of_result = strides.last().expect("a result");
    let mut axes: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] != 1).collect();
    axes.sort_by_key(|&axis| of_result[axis]);
    let mut dimensions: Vec<(usize, Vec<usize>)> = Vec::new();
    for axis in axes {
        let own: Vec<usize> = strides.iter().map(|strides| strides[axis]).collect();
        match dimensions.last_mut() {
            Some((length, inner)) if own.iter().zip(&*inner).all(|(own, inner)| *own == inner * *length) => {
                *length *= shape[axis];
            }
            _ => dimensions.push((shape[axis], own)),
        }
    }
    if dimensions.is_empty() {
        dimensions.push((1, vec![1; strides.len()]));
    }
    dimensions
}

/// A program for the registers of the kernels.
struct Code {
    words: Vec<u32>,
    constants: Vec<f32>,
    /// The register of the result.
    result: usize,
    /// How many registers there are.
    registers: usize,
}

/// Chooses registers: a value keeps its own until the last step that takes it.
fn assemble(program: &Program) -> Option<Code> {
    let values = program.inputs + program.instructions.len();
    let mut last_use = vec![0; values];
    for (index, Instruction { step, arguments }) in program.instructions.iter().enumerate() {
        arguments[..step.arity()].iter().for_each(|&value| last_use[value] = index);
    }
    if let Some(last) = last_use.get_mut(program.result()) {
        *last = usize::MAX;
    }
    let mut owner: Vec<Option<usize>> = (0..program.inputs).map(Some).collect();
    let mut place: Vec<usize> = (0..program.inputs).collect();
    let mut code = Code { words: Vec::new(), constants: Vec::new(), result: 0, registers: 0 };
    for (index, Instruction { step, arguments }) in program.instructions.iter().enumerate() {
        // The arguments are read before the result is written, so it may take the place of one.
        for slot in &mut owner {
            *slot = slot.filter(|&value| last_use[value] > index);
        }
        let value = program.inputs + index;
        let free = owner.iter().position(Option::is_none).unwrap_or(owner.len());
        if free == owner.len() {
            owner.push(None);
        }
        owner[free] = Some(value);
        place.push(free);
        let mut word = opcode(*step).0 | (free as u32) << 8;
        for (position, &argument) in arguments[..step.arity()].iter().enumerate() {
            word |= (place[argument] as u32) << (13 + 5 * position);
        }
        code.words.push(word);
        code.constants.push(if let Step::Constant(value) = step { *value } else { 0.0 });
    }
    code.result = place[program.result()];
    code.registers = owner.len();
    let fits =
        program.inputs <= MOST_INPUTS && code.words.len() <= MOST_STEPS && code.registers <= MOST_REGISTERS;
    fits.then_some(code)
}

/// How many values of `program` are needed at a time, if the kernels can run it.
pub fn registers(program: &Program) -> Option<usize> {
    assemble(program).map(|code| code.registers)
}

/// How many dimensions the kernels walk for operands of the shape `shape`, the result last.
pub fn dimensions(shape: &[usize], strides: &[&[usize]]) -> usize {
    joined(shape, strides).len()
}

impl Elementwise {
    /// The launch, or none if there are no elements.
    ///
    /// # Errors When the program is too long, an operand has a type or more dimensions than the kernels take,
    /// or integers would lose bits.
    pub fn launches(&self, card: &Card) -> Result<Vec<Launch>> {
        let elements: usize = self.shape.iter().product();
        if elements == 0 {
            return Ok(Vec::new());
        }
        let code = assemble(&self.program).ok_or_else(|| {
            Error::unsupported("an elementwise program with too many inputs, steps or values")
        })?;
        let strides: Vec<&[usize]> = self.operands().map(|operand| operand.strides.as_slice()).collect();
        let dimensions = joined(&self.shape, &strides);
        if dimensions.len() > MOST_DIMENSIONS {
            return Err(Error::unsupported(format!(
                "an elementwise operation on {} dimensions",
                dimensions.len()
            )));
        }
        let inner = dimensions[0].0;
        let size = self.y.dtype.size();
        let (kernel, width, register_bytes) = if self.program.is_copy()
            && self.inputs[0].dtype == self.y.dtype
        {
            (format!("oxd_copy_{size}"), 16 / size, 0)
        } else if self.is_of_integers()? {
            ("oxd_elementwise_i64_v1".into(), 1, 8)
        } else if inner < WIDTH || code.registers * WIDTH * THREADS * 4 > card.shared_bytes_per_block as usize
        {
            ("oxd_elementwise_f32_v1".into(), 1, 4)
        } else {
            (format!("oxd_elementwise_f32_v{WIDTH}"), WIDTH, 4)
        };
        let row_vectors = inner.div_ceil(width);
        let vectors = row_vectors * (elements / inner);
        let too_large = || Error::unsupported(format!("an elementwise operation on {elements} elements"));
        let mut parameters = Parameters {
            dimensions: dimensions.len() as i32,
            input_count: self.inputs.len() as i32,
            output_count: 1,
            instruction_count: code.words.len() as i32,
            row_vectors: u32::try_from(row_vectors).map_err(|_| too_large())?,
            vectors: u32::try_from(vectors).ok().filter(|&it| it <= u32::MAX - 128).ok_or_else(too_large)?,
            length: i32::try_from(inner).map_err(|_| too_large())?,
            ..Parameters::zeroed()
        };
        for (axis, (length, _)) in dimensions[1..].iter().enumerate() {
            parameters.outer_lengths[axis] = i32::try_from(*length).map_err(|_| too_large())?;
        }
        for (number, operand) in self.operands().enumerate() {
            parameters.operands[number] = Operand {
                address: operand.address,
                stride: dimensions[0].1[number] as i64,
                kind: type_number(operand.dtype)?,
                place: code.result as i32,
            };
            for (axis, (_, strides)) in dimensions[1..].iter().enumerate() {
                parameters.outer_strides[number][axis] = strides[number] as i64;
            }
        }
        parameters.code[..code.words.len()].copy_from_slice(&code.words);
        parameters.constants[..code.constants.len()].copy_from_slice(&code.constants);
        Ok(vec![Launch {
            kernel,
            grid: [vectors.div_ceil(THREADS) as u32, 1, 1],
            block: [THREADS as u32, 1, 1],
            shared_bytes: (code.registers.max(1) * width * THREADS * register_bytes) as u32,
            early: false,
            parameters: bytemuck::bytes_of(&parameters).to_vec(),
            tensor_maps: Vec::new(),
            operations: (elements * code.words.len()) as f64,
            bytes: self.operands().map(|operand| self.bytes_of(operand)).sum(),
        }])
    }

    fn operands(&self) -> impl Iterator<Item = &Strided> {
        self.inputs.iter().chain([&self.y])
    }

    /// Bytes of the elements that are not repetitions.
    fn bytes_of(&self, operand: &Strided) -> f64 {
        let lengths = self.shape.iter().zip(&operand.strides).filter(|(_, stride)| **stride != 0);
        (lengths.map(|(length, _)| length).product::<usize>() * operand.dtype.size()) as f64
    }

    /// Whether everything is computed in 64-bit integers. Of mixed operands, the integers are rounded to
    /// `f32`.
    fn is_of_integers(&self) -> Result<bool> {
        if !self.operands().all(|operand| is_integer(operand.dtype)) {
            return Ok(false);
        }
        match self.program.instructions.iter().find(|instruction| !opcode(instruction.step).1) {
            None => Ok(true),
            // Truth values and bytes are exact in f32.
            Some(_) if self.operands().all(|operand| operand.dtype.size() == 1) => Ok(false),
            Some(Instruction { step, .. }) => Err(Error::unsupported(format!("{step:?} of integers"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;

    const CARD: Card = Card { capability: (9, 0), multiprocessors: 132, shared_bytes_per_block: 227 * 1024 };

    fn operation(
        program: Program,
        shape: &[usize],
        inputs: &[&[usize]],
        y: &[usize],
        dtype: DType,
    ) -> Elementwise {
        let strided = |(number, strides): (usize, &&[usize])| Strided {
            address: 256 * (number as u64 + 1),
            dtype,
            strides: strides.to_vec(),
        };
        let inputs: Vec<Strided> = inputs.iter().enumerate().map(strided).collect();
        Elementwise { program, shape: shape.to_vec(), inputs, y: strided((9, &y)) }
    }

    fn launch(operation: &Elementwise) -> (Launch, Parameters) {
        let mut launches = operation.launches(&CARD).expect("a launch");
        let launch = launches.remove(0);
        let parameters = *bytemuck::from_bytes(&launch.parameters);
        (launch, parameters)
    }

    #[test]
    fn dimensions_are_joined() {
        let contiguous: &[usize] = &[60, 20, 5, 1];
        assert_eq!(joined(&[2, 3, 4, 5], &[contiguous, contiguous]), [(120, vec![1, 1])]);
        // Channels together in both, one of them with a pitch.
        let pixels: &[usize] = &[160, 1, 40, 8];
        let dense: &[usize] = &[60, 1, 15, 3];
        assert_eq!(joined(&[2, 3, 4, 5], &[pixels, dense]), [(3, vec![1, 1]), (40, vec![8, 3])]);
        let repeated: &[usize] = &[0, 1];
        assert_eq!(joined(&[4, 3], &[repeated, &[3, 1]]), [(3, vec![1, 1]), (4, vec![0, 3])]);
        assert_eq!(joined(&[1, 1], &[&[7, 7], &[1, 1]]), [(1, vec![1, 1])]);
    }

    #[test]
    fn copies_keep_bits_and_move_16_bytes_at_once() {
        let copy = operation(Program::copy(), &[1000], &[&[1]], &[1], DType::I64);
        let (launch, parameters) = launch(&copy);
        assert_eq!(launch.kernel, "oxd_copy_8");
        assert_eq!((parameters.vectors, launch.grid[0]), (500, 4));
        assert_eq!(launch.bytes, 16000.0);
    }

    #[test]
    fn registers_are_used_again() {
        let mut program = Program { inputs: 2, instructions: Vec::new() };
        let mut value = program.push(Step::Add, &[0, 1]);
        for _ in 0..20 {
            value = program.push(Step::Mul, &[value, 1]);
        }
        let code = assemble(&program).expect("it fits");
        assert_eq!((code.registers, code.words.len(), code.result), (2, 21, 0));
        // The sum takes the place of input 0, which nothing needs any more.
        assert_eq!(code.words[0], 64 | 1 << 18);
        assert_eq!(code.words[1], 66 | 1 << 18);
        let (launch, parameters) =
            launch(&operation(program, &[4, 8], &[&[8, 1], &[0, 1]], &[8, 1], DType::BF16));
        assert_eq!(launch.kernel, "oxd_elementwise_f32_v8");
        assert_eq!(launch.shared_bytes, 2 * 8 * 128 * 4);
        assert_eq!((parameters.vectors, parameters.dimensions, parameters.operands[2].place), (4, 2, 0));
    }

    #[test]
    fn unused_inputs_and_constants_work() {
        let mut program = Program { inputs: 1, instructions: Vec::new() };
        program.push(Step::Constant(2.0), &[]);
        let code = assemble(&program).expect("it fits");
        assert_eq!((code.constants, code.result), (vec![2.0], 0));
        let fill = operation(Program { inputs: 0, ..program }, &[3], &[], &[1], DType::F32);
        assert_eq!(launch(&fill).0.kernel, "oxd_elementwise_f32_v1");
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let of = |step| operation(Program::of(step), &[64], &vec![&[1][..]; step.arity()], &[1], DType::I64);
        assert_eq!(launch(&of(Step::Mul)).0.kernel, "oxd_elementwise_i64_v1");
        let error = of(Step::Pow).launches(&CARD).expect_err("not exact");
        assert!(error.to_string().contains("Pow of integers"), "{error}");
    }

    #[test]
    fn long_programs_are_refused() {
        let mut program = Program { inputs: 1, instructions: Vec::new() };
        for _ in 0..MOST_STEPS {
            program.push(Step::Exp, &[0]);
        }
        assert!(registers(&program).is_some());
        program.push(Step::Exp, &[0]);
        assert!(registers(&program).is_none());
    }
}
