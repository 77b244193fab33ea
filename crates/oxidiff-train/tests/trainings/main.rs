//! Trainings of small models, from their options to their results.

mod whole;
