//! Trainings of small models, from their options to their results.

mod scripts;
mod whole;
