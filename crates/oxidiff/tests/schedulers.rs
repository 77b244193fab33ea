//! Compares the schedulers that can take over from each other with Python's, as recorded by
//! `tests/fixtures/generate_schedulers.py`.

mod scheduler_cases;

use oxidiff::{Config, schedulers};
use scheduler_cases::{Fixtures, compare_cases, compare_swaps};

fn fixtures() -> Fixtures {
    Fixtures::load("schedulers", &["cases", "k_diffusion"])
}

#[test]
fn every_case_computes_what_python_does() {
    let fixtures = fixtures();
    assert!(fixtures.cases.len() > 600, "only {} cases", fixtures.cases.len());
    compare_cases(&fixtures);
}

#[test]
fn configurations_survive_a_change_of_scheduler_as_in_python() {
    let fixtures = fixtures();
    assert!(fixtures.swaps.len() > 10, "only {} swaps", fixtures.swaps.len());
    compare_swaps(&fixtures);
}

#[test]
fn compatible_classes_are_those_of_python_that_exist_here() {
    let compatibles = |class_name: &str| {
        schedulers::from_config(class_name, &Config::from_json("{}").unwrap()).unwrap().compatibles()
    };
    let expected = [
        "DDIMScheduler",
        "DDPMScheduler",
        "DPMSolverMultistepScheduler",
        "EDMEulerScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
    ];
    // EDMEulerScheduler is in the others' lists, but does not list them.
    for class_name in expected.into_iter().filter(|&class_name| class_name != "EDMEulerScheduler") {
        assert_eq!(compatibles(class_name), expected, "{class_name}");
    }
}
