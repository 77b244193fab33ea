//! The weights of a plan in the form in which kernels take them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn_flex::FlexTensor;

use crate::driver::{Device, Memory};
use crate::engine::bytes_of;
use crate::error::Result;
use crate::graph::{Buffer, Origin};
use crate::levels::Level;
use crate::operation::Operation;
use crate::plan::{Place, Plan};
use crate::start::{Scratch, Starter};
use crate::view::BufferId;

/// What several plans share, by what it was made from.
#[derive(Default)]
pub struct Kept {
    on_card: Mutex<HashMap<u64, Weak<Memory>>>,
    on_cpu: Mutex<HashMap<u64, Weak<Vec<u8>>>>,
}

/// A weight on the CPU, from where it passes through the card.
#[derive(Clone)]
pub enum OnCpu {
    /// As the model has it.
    OfModel(FlexTensor),
    /// As a card prepared it for its kernels.
    Prepared(Arc<Vec<u8>>),
}

impl OnCpu {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::OfModel(weight) => bytes_of(weight),
            Self::Prepared(bytes) => bytes,
        }
    }
}

/// What the memory of a buffer is made from. Equal ones hold equal values.
fn fingerprints(plan: &Plan, weights: &[FlexTensor]) -> Vec<u64> {
    let hash = |values: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        values(&mut hasher);
        hasher.finish()
    };
    let mut found: Vec<u64> = plan
        .graph
        .buffers
        .iter()
        .enumerate()
        .map(|(index, buffer)| match &buffer.origin {
            Origin::Weight(weight) => hash(&|hasher| {
                let weight = &weights[*weight];
                (Arc::as_ptr(&weight.data_arc()) as usize).hash(hasher);
                format!("{:?} {:?}", weight.layout(), weight.dtype()).hash(hasher);
            }),
            Origin::Constant(bytes) => hash(&|hasher| bytes.hash(hasher)),
            Origin::Input(_) | Origin::Computed => hash(&|hasher| index.hash(hasher)),
        })
        .collect();
    let mut written = vec![false; found.len()];
    for operation in &plan.graph.operations {
        let target = operation.writes().buffer.0;
        let before = if written[target] { found[target] } else { 0 };
        written[target] = true;
        found[target] = hash(&|hasher| {
            before.hash(hasher);
            let mut named = operation.clone();
            named.writes_mut().buffer = BufferId(0);
            for view in named.reads_mut() {
                found[view.buffer.0].hash(hasher);
                view.buffer = BufferId(0);
            }
            format!("{named:?}").hash(hasher);
        });
    }
    found
}

/// Memory for a buffer, with what it holds from the start.
pub fn memory_of(device: &Arc<Device>, buffer: &Buffer, weights: &[FlexTensor]) -> Result<Arc<Memory>> {
    let memory = Memory::new(device, buffer.bytes)?;
    match &buffer.origin {
        Origin::Constant(bytes) => memory.write(bytes)?,
        Origin::Weight(weight) => memory.write(bytes_of(&weights[*weight].to_contiguous()))?,
        Origin::Input(_) | Origin::Computed => {}
    }
    Ok(Arc::new(memory))
}

/// Where the weights of a plan are.
pub struct Weights {
    /// The memory of each buffer that stays on the card.
    pub memory: Vec<Option<Arc<Memory>>>,
    /// The buffers that pass through the card.
    pub on_cpu: HashMap<usize, OnCpu>,
    /// Buffers that are not needed any more.
    pub temporary: Vec<usize>,
}

/// Computes what depends on the weights alone, on the card.
pub struct Prepare<'a> {
    pub device: &'a Arc<Device>,
    pub kept: &'a Kept,
    pub plan: &'a Plan,
    pub weights: &'a [FlexTensor],
    pub scratch: Scratch,
}

impl Prepare<'_> {
    /// # Errors
    /// When the card has too little memory, or the driver fails.
    pub fn run(self) -> Result<Weights> {
        let Self { device, kept, plan, weights, scratch } = self;
        let facts = *device.facts();
        let fingerprints = fingerprints(plan, weights);
        let mut on_card = kept.on_card.lock().unwrap_or_else(PoisonError::into_inner);
        on_card.retain(|_, memory| memory.strong_count() > 0);
        let mut prepared = kept.on_cpu.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.retain(|_, bytes| bytes.strong_count() > 0);
        let mut memory: Vec<Option<Arc<Memory>>> = vec![None; plan.graph.buffers.len()];
        let mut on_cpu = HashMap::new();
        let passes = |buffer: usize| plan.places[buffer] == Place::Passing;
        let early: Vec<&Operation> = plan
            .graph
            .operations
            .iter()
            .zip(&plan.levels)
            .filter(|(_, level)| **level == Level::Weights)
            .map(|(operation, _)| operation)
            .collect();
        let later: Vec<&Operation> = plan.graph.operations[early.len()..].iter().collect();
        let is_needed_later = |buffer: usize| {
            later.iter().any(|operation| operation.reads().iter().any(|view| view.buffer.0 == buffer))
                || plan.graph.outputs.iter().any(|output| output.buffer.0 == buffer)
        };
        // The last operation that reads or writes a buffer.
        let mut last_use: HashMap<usize, usize> = HashMap::new();
        for (index, operation) in early.iter().enumerate() {
            for view in operation.reads().into_iter().chain([operation.writes()]) {
                last_use.insert(view.buffer.0, index);
            }
        }
        let needed: HashMap<usize, bool> =
            last_use.keys().map(|buffer| (*buffer, is_needed_later(*buffer))).collect();
        let mut temporary = Vec::new();
        // Results that another plan has made already.
        for (&buffer, _) in needed.iter().filter(|(_, needed)| **needed) {
            if passes(buffer) {
                let found = prepared.get(&fingerprints[buffer]).and_then(Weak::upgrade);
                on_cpu.extend(found.map(|bytes| (buffer, OnCpu::Prepared(bytes))));
            } else {
                memory[buffer] = on_card.get(&fingerprints[buffer]).and_then(Weak::upgrade);
            }
        }
        for (buffer, Buffer { origin, .. }) in plan.graph.buffers.iter().enumerate() {
            if let (true, Origin::Weight(weight)) = (passes(buffer), origin) {
                on_cpu.insert(buffer, OnCpu::OfModel(weights[*weight].to_contiguous()));
            }
        }
        let shared: Vec<bool> =
            (0..memory.len()).map(|it| memory[it].is_some() || on_cpu.contains_key(&it)).collect();
        for (index, operation) in early.iter().enumerate() {
            let target = operation.writes().buffer.0;
            if !shared[target] {
                for buffer in operation.reads().iter().map(|view| view.buffer.0).chain([target]) {
                    if memory[buffer].is_none() {
                        let own = memory_of(device, &plan.graph.buffers[buffer], weights)?;
                        // Another plan has made it already, and only the CPU still has it.
                        if let Some(OnCpu::Prepared(bytes)) = on_cpu.get(&buffer) {
                            own.write(bytes)?;
                        }
                        memory[buffer] = Some(own);
                    }
                }
                let address =
                    |buffer: BufferId| memory[buffer.0].as_ref().map_or(0, |memory| memory.address());
                let starter = Starter {
                    card: &facts,
                    address: &address,
                    scratch,
                    precision: self.plan.settings.precision,
                    weights_are_ready: false,
                };
                for launch in starter.launches(operation)? {
                    // SAFETY: made for the memory above.
                    unsafe { device.launch(&launch) }?;
                }
            }
            for view in operation.reads().into_iter().chain([operation.writes()]) {
                let buffer = view.buffer.0;
                if last_use[&buffer] != index || needed[&buffer] && !passes(buffer) {
                    continue;
                }
                if let (true, false, Some(memory)) = (needed[&buffer], shared[buffer], &memory[buffer]) {
                    let bytes = Arc::new(memory.read()?);
                    prepared.insert(fingerprints[buffer], Arc::downgrade(&bytes));
                    on_cpu.insert(buffer, OnCpu::Prepared(bytes));
                }
                memory[buffer] = None;
                temporary.push(buffer);
            }
        }
        for (&buffer, &needed) in &needed {
            if let (true, Some(memory)) = (needed, &memory[buffer]) {
                on_card.insert(fingerprints[buffer], Arc::downgrade(memory));
            }
        }
        Ok(Weights { memory, on_cpu, temporary })
    }
}
