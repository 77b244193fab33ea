//! A plan on a card.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use burn_flex::FlexTensor;
use oxidiff_kernels::{Cost, add_cost, breakdown_is_running};

use crate::driver::{Device, Event, Memory, Replay, Staging};
use crate::engine::bytes_of;
use crate::error::Result;
use crate::graph::{Buffer, Origin};
use crate::launch::Launch;
use crate::operation::Operation;
use crate::plan::{Level, Place, Plan};
use crate::start::{Scratch, Starter, scratch_bytes};
use crate::view::{BufferId, View};

/// A card and what several plans share on it.
pub struct Card {
    device: Arc<Device>,
    /// Weights in the form in which kernels take them, by what they were made from.
    kept: Mutex<HashMap<u64, Weak<Memory>>>,
}

impl Card {
    /// Opens the card `ordinal`, counted from 0.
    ///
    /// # Errors
    /// When there is no such card, it is too old, or the driver fails.
    pub fn open(ordinal: usize) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { device: Device::open(ordinal)?, kept: Mutex::default() }))
    }

    /// The card's name.
    pub fn name(&self) -> &str {
        self.device.name()
    }
}

/// A plan that is ready to run.
pub struct OnCard {
    card: Arc<Card>,
    plan: Plan,
    /// The memory of each buffer that has its own.
    memory: Vec<Option<Arc<Memory>>>,
    /// Where the tensors of a call are; the recorded graphs work in it.
    _arena: Memory,
    /// Partial sums and counters of kernels that divide a sum among blocks.
    _scratch: Memory,
    inputs: Vec<Staging>,
    outputs: Vec<Staging>,
    /// The conditions of the last call.
    conditions: Vec<(usize, Option<FlexTensor>)>,
    on_conditions: Option<Replay>,
    /// The launches of a call.
    launches: Vec<Launch>,
    on_call: Replay,
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

impl OnCard {
    /// Puts `plan` on the card, with the weights that it takes.
    ///
    /// # Errors
    /// When the card has too little memory, or the driver fails.
    pub fn new(card: Arc<Card>, plan: Plan, weights: &[FlexTensor]) -> Result<Self> {
        let device = card.device.clone();
        let _turn = device.take_turn();
        let arena = Memory::new(&device, plan.arena_bytes)?;
        let facts = *device.facts();
        let (mut counter_bytes, mut partial_bytes) = (0, 0);
        for operation in &plan.graph.operations {
            let (counters, partial) = scratch_bytes(operation, &facts)?;
            counter_bytes = counter_bytes.max(counters.next_multiple_of(256));
            partial_bytes = partial_bytes.max(partial);
        }
        let scratch_memory = Memory::new(&device, counter_bytes + partial_bytes)?;
        scratch_memory.fill(0)?;
        let start = scratch_memory.address();
        let scratch = Scratch { counters: start, partial: start + counter_bytes as u64 };
        let mut memory: Vec<Option<Arc<Memory>>> = vec![None; plan.graph.buffers.len()];
        let prepared = Prepare { card: &card, plan: &plan, weights, memory: &mut memory, scratch }.run()?;
        // Everything that is not a weight: inputs, results, what is kept between calls.
        for (index, buffer) in plan.graph.buffers.iter().enumerate() {
            if plan.places[index] == Place::Own
                && memory[index].is_none()
                && !prepared.temporary.contains(&index)
            {
                memory[index] = Some(memory_of(&device, buffer, weights)?);
            }
        }
        let address = |buffer: BufferId| match plan.places[buffer.0] {
            Place::Arena(start) => arena.address() + start as u64,
            Place::Own | Place::Nowhere => memory[buffer.0].as_ref().map_or(0, |memory| memory.address()),
        };
        let starter = Starter { card: &facts, address: &address, scratch, weights_are_ready: true };
        let of_level = |level: Level| -> Result<Vec<Launch>> {
            let operations = plan.graph.operations.iter().zip(&plan.levels).filter(|(_, of)| **of == level);
            let launches = operations.map(|(operation, _)| starter.launches(operation));
            Ok(launches.collect::<Result<Vec<_>>>()?.concat())
        };
        let record = |all: &[Launch]| {
            Replay::record(&device, || {
                // SAFETY: the launches were made for the memory of this plan, which lives as long as the recorded graph.
                all.iter().try_for_each(|launch| unsafe { device.launch(launch) })
            })
        };
        let on_conditions = of_level(Level::Conditions)?;
        let on_conditions = if on_conditions.is_empty() { None } else { Some(record(&on_conditions)?) };
        let launches = of_level(Level::Call)?;
        let on_call = record(&launches)?;
        let stagings = |views: &[View]| -> Result<Vec<Staging>> {
            views.iter().map(|view| Staging::new(&device, plan.graph.buffer(view.buffer).bytes)).collect()
        };
        let (inputs, outputs) = (stagings(&plan.graph.inputs)?, stagings(&plan.graph.outputs)?);
        let conditions = plan.conditions.iter().map(|index| (*index, None)).collect();
        device.synchronize()?;
        Ok(Self {
            card,
            plan,
            memory,
            _arena: arena,
            _scratch: scratch_memory,
            inputs,
            outputs,
            conditions,
            on_conditions,
            launches,
            on_call,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan alone: its memory on the card is released.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// Runs the plan and returns the bytes of the results.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn run(&mut self, inputs: &[FlexTensor]) -> Result<Vec<Vec<u8>>> {
        let device = self.card.device.clone();
        let _turn = device.take_turn();
        let mut changed = false;
        for (index, input) in inputs.iter().enumerate() {
            let condition = self.conditions.iter_mut().find(|(condition, _)| *condition == index);
            if let Some((_, last)) = condition {
                let is_last = |last: &FlexTensor| {
                    Arc::ptr_eq(&last.data_arc(), &input.data_arc()) && last.layout() == input.layout()
                };
                if last.as_ref().is_some_and(is_last) {
                    continue;
                }
                *last = Some(input.clone());
                changed = true;
            }
            let view = &self.plan.graph.inputs[index];
            let Some(memory) = &self.memory[view.buffer.0] else { continue };
            self.inputs[index].bytes_mut().copy_from_slice(bytes_of(input));
            memory.copy_from(&self.inputs[index])?;
        }
        if let (true, Some(replay)) = (changed, &self.on_conditions) {
            replay.launch()?;
        }
        if breakdown_is_running() {
            self.run_counting()?;
        } else {
            self.on_call.launch()?;
        }
        for (output, staging) in self.plan.graph.outputs.iter().zip(&mut self.outputs) {
            let memory = self.memory[output.buffer.0].as_ref().expect("results have memory of their own");
            memory.copy_to(staging)?;
        }
        self.card.device.synchronize()?;
        Ok(self.outputs.iter().map(|output| output.bytes_of().to_vec()).collect())
    }

    /// Runs the launches of a call one by one, and counts what each costs.
    fn run_counting(&self) -> Result<()> {
        let device = &self.card.device;
        for launch in &self.launches {
            let start = Event::now(device)?;
            // SAFETY: the launches were made for the memory of this plan.
            unsafe { device.launch(launch) }?;
            let milliseconds = Event::now(device)?.since(&start)?;
            add_cost(Cost {
                operation: launch.kernel.clone().into(),
                calls: 1,
                time: Duration::from_secs_f32(milliseconds / 1e3),
                flop: launch.operations,
                bytes: launch.bytes,
            });
        }
        Ok(())
    }
}

/// Memory for a buffer, with what it holds from the start.
fn memory_of(device: &Arc<Device>, buffer: &Buffer, weights: &[FlexTensor]) -> Result<Arc<Memory>> {
    let memory = Memory::new(device, buffer.bytes)?;
    match &buffer.origin {
        Origin::Constant(bytes) => memory.write(bytes)?,
        Origin::Weight(weight) => memory.write(bytes_of(&weights[*weight].to_contiguous()))?,
        Origin::Input(_) | Origin::Computed => {}
    }
    Ok(Arc::new(memory))
}

/// Computes what depends on the weights alone.
struct Prepare<'a> {
    card: &'a Arc<Card>,
    plan: &'a Plan,
    weights: &'a [FlexTensor],
    memory: &'a mut Vec<Option<Arc<Memory>>>,
    scratch: Scratch,
}

struct Prepared {
    /// Buffers that are not needed any more.
    temporary: Vec<usize>,
}

impl Prepare<'_> {
    fn run(self) -> Result<Prepared> {
        let Self { card, plan, weights, memory, scratch } = self;
        let device = &card.device;
        let facts = *device.facts();
        let fingerprints = fingerprints(plan, weights);
        let mut kept = card.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, memory| memory.strong_count() > 0);
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
            memory[buffer] = kept.get(&fingerprints[buffer]).and_then(Weak::upgrade);
        }
        let shared: Vec<bool> = memory.iter().map(Option::is_some).collect();
        for (index, operation) in early.iter().enumerate() {
            let target = operation.writes().buffer.0;
            if !shared[target] {
                for buffer in operation.reads().iter().map(|view| view.buffer.0).chain([target]) {
                    if memory[buffer].is_none() {
                        memory[buffer] = Some(memory_of(device, &plan.graph.buffers[buffer], weights)?);
                    }
                }
                let address =
                    |buffer: BufferId| memory[buffer.0].as_ref().map_or(0, |memory| memory.address());
                let starter = Starter { card: &facts, address: &address, scratch, weights_are_ready: false };
                for launch in starter.launches(operation)? {
                    // SAFETY: made for the memory above.
                    unsafe { device.launch(&launch) }?;
                }
            }
            for view in operation.reads().into_iter().chain([operation.writes()]) {
                let buffer = view.buffer.0;
                if last_use[&buffer] == index && !needed[&buffer] {
                    memory[buffer] = None;
                    temporary.push(buffer);
                }
            }
        }
        for (&buffer, &needed) in &needed {
            if let (true, Some(memory)) = (needed, &memory[buffer]) {
                kept.insert(fingerprints[buffer], Arc::downgrade(memory));
            }
        }
        Ok(Prepared { temporary })
    }
}
