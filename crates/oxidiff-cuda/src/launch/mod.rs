//! From operations to kernel launches: which kernel, how many blocks, which parameters.
//!
//! A file for each kernel file in `kernels/`. Everything here is computed without a card.

pub mod attention;
pub mod convolution;
pub mod convolution_wgmma;
pub mod elementwise;
pub mod norm;
pub mod plain;
pub mod resize;
pub mod rows;
pub mod strided;
pub mod tensor_map;

pub use tensor_map::TensorMap;

/// The element type of a kernel's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Half precision with the range of single precision.
    Bf16,
}

impl Element {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// As the names of kernels spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// One kernel launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The name of the kernel.
    pub kernel: String,
    /// Blocks in each direction.
    pub grid: [u32; 3],
    /// Threads of a block in each direction.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
    /// Whether the kernel may start while the one before it still runs: it then waits by itself (`griddepcontrol.wait`) before it
    /// touches memory.
    pub early: bool,
    /// The bytes of the one parameter.
    pub parameters: Vec<u8>,
    /// Descriptions of tensors that the driver encodes, and where in the parameter the result goes.
    pub tensor_maps: Vec<(usize, TensorMap)>,
    /// Floating-point operations.
    pub operations: f64,
    /// The fewest bytes that must be moved: each input read once, each result written once.
    pub bytes: f64,
}

/// The facts about a card that choices depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// The most shared memory that a block can ask for, bytes.
    pub shared_bytes_per_block: u32,
}
