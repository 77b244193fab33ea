//! Compares the schedulers for models of one kind with Python's, as recorded by
//! `tests/fixtures/generate_specialised_schedulers.py`.

mod scheduler_cases;

use scheduler_cases::{Fixtures, compare_cases, compare_swaps};

fn fixtures() -> Fixtures {
    Fixtures::load("specialised_schedulers", &["distilled", "flow_matching"])
}

#[test]
fn every_case_computes_what_python_does() {
    let fixtures = fixtures();
    assert!(fixtures.cases.len() > 100, "only {} cases", fixtures.cases.len());
    compare_cases(&fixtures);
}

#[test]
fn configurations_survive_a_change_of_scheduler_as_in_python() {
    let fixtures = fixtures();
    assert!(fixtures.swaps.len() > 5, "only {} swaps", fixtures.swaps.len());
    compare_swaps(&fixtures);
}
