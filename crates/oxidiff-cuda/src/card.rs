//! A plan on a card.

use std::sync::Arc;
use std::time::Duration;

use burn_flex::FlexTensor;
use oxidiff_kernels::{Cost, add_cost, breakdown_is_running};

use crate::driver::{Device, Event, Memory, Replay, Staging};
use crate::engine::bytes_of;
use crate::error::Result;
use crate::launch::Launch;
use crate::levels::Level;
use crate::plan::{Place, Plan};
use crate::segments::Segment;
use crate::start::{Scratch, Starter, scratch_bytes};
use crate::view::{BufferId, View};
use crate::weights::{Kept, OnCpu, Prepare, Weights, memory_of};

/// A card and what several plans share on it.
pub struct Card {
    device: Arc<Device>,
    kept: Kept,
}

impl Card {
    /// Opens the card `ordinal`, counted from 0.
    ///
    /// # Errors
    /// When there is no such card, it is too old, or the driver fails.
    pub fn open(ordinal: usize) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { device: Device::open(ordinal)?, kept: Kept::default() }))
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
    /// Where weights are while the operations that read them run.
    window: Memory,
    /// Partial sums and counters of kernels that divide a sum among blocks.
    _scratch: Memory,
    inputs: Vec<Staging>,
    outputs: Vec<Staging>,
    /// The conditions of the last call.
    conditions: Vec<(usize, Option<FlexTensor>)>,
    segments: Vec<OfSegment>,
}

/// A segment that is ready to run.
struct OfSegment {
    level: Level,
    /// The weights that are copied into the window before, each with its first byte there.
    loads: Vec<(OnCpu, usize)>,
    launches: Vec<Launch>,
    replay: Replay,
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
            let (counters, partial) = scratch_bytes(operation, &facts, plan.settings.precision)?;
            counter_bytes = counter_bytes.max(counters.next_multiple_of(256));
            partial_bytes = partial_bytes.max(partial);
        }
        let scratch_memory = Memory::new(&device, counter_bytes + partial_bytes)?;
        scratch_memory.fill(0)?;
        let start = scratch_memory.address();
        let scratch = Scratch { counters: start, partial: start + counter_bytes as u64 };
        let Weights { mut memory, on_cpu, temporary } =
            Prepare { device: &device, kept: &card.kept, plan: &plan, weights, scratch }.run()?;
        // Everything that is not a weight: inputs, results, what is kept between calls.
        for (index, buffer) in plan.graph.buffers.iter().enumerate() {
            if plan.places[index] == Place::Own && memory[index].is_none() && !temporary.contains(&index) {
                memory[index] = Some(memory_of(&device, buffer, weights)?);
            }
        }
        let window = Memory::new(&device, plan.window_bytes)?;
        let of_segment = |segment: &Segment| -> Result<OfSegment> {
            let address = |buffer: BufferId| match plan.places[buffer.0] {
                Place::Arena(start) => arena.address() + start as u64,
                Place::Passing => window.address() + segment.in_window(buffer).unwrap_or(0) as u64,
                Place::Own | Place::Nowhere => memory[buffer.0].as_ref().map_or(0, |memory| memory.address()),
            };
            let starter = Starter {
                card: &facts,
                address: &address,
                scratch,
                precision: plan.settings.precision,
                weights_are_ready: true,
            };
            let operations = plan.graph.operations[segment.operations.clone()].iter();
            let launches = operations.map(|operation| starter.launches(operation));
            let launches = launches.collect::<Result<Vec<_>>>()?.concat();
            let replay = Replay::record(&device, || {
                // SAFETY: the launches were made for the memory of this plan, which lives as long as the recorded graph.
                launches.iter().try_for_each(|launch| unsafe { device.launch(launch) })
            })?;
            let loads =
                segment.loads.iter().map(|(buffer, start)| (on_cpu[&buffer.0].clone(), *start)).collect();
            Ok(OfSegment { level: segment.level, loads, launches, replay })
        };
        let segments = plan.segments.iter().map(of_segment).collect::<Result<Vec<_>>>()?;
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
            window,
            _scratch: scratch_memory,
            inputs,
            outputs,
            conditions,
            segments,
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
        for segment in &self.segments {
            if changed || segment.level == Level::Call {
                self.run_segment(segment)?;
            }
        }
        for (output, staging) in self.plan.graph.outputs.iter().zip(&mut self.outputs) {
            let memory = self.memory[output.buffer.0].as_ref().expect("results have memory of their own");
            memory.copy_to(staging)?;
        }
        self.card.device.synchronize()?;
        Ok(self.outputs.iter().map(|output| output.bytes_of().to_vec()).collect())
    }

    fn run_segment(&self, segment: &OfSegment) -> Result<()> {
        // What ran before has left the window when the copies start: everything runs in order.
        for (weight, start) in &segment.loads {
            // SAFETY: the weights are those of this plan, and never change. Each call waits for the card.
            unsafe { self.window.write_at(*start, weight.bytes()) }?;
        }
        if breakdown_is_running() && segment.level == Level::Call {
            self.run_counting(&segment.launches)
        } else {
            segment.replay.launch()
        }
    }

    /// Runs launches one by one, and counts what each costs.
    fn run_counting(&self, launches: &[Launch]) -> Result<()> {
        let device = &self.card.device;
        for launch in launches {
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
