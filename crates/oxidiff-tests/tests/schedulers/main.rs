//! Schedulers and random numbers, compared with those of Python and PyTorch.

#[path = "../fixture/mod.rs"]
mod fixture;

mod cases;
mod errors;
mod interchangeable;
mod random;
mod ranks;
mod specialised;
mod token;
