//! Compares the schedulers that can take over from each other with Python's, as recorded by
//! `tests/fixtures/generate_schedulers.py`.

mod scheduler_cases;

use oxidiff::{Config, schedulers};
use scheduler_cases::{Fixtures, compare_cases, compare_swaps};

fn fixtures() -> Fixtures {
    Fixtures::load("schedulers", &["cases", "k_diffusion", "sde_and_inverse", "solvers"])
}

#[test]
fn every_case_computes_what_python_does() {
    let fixtures = fixtures();
    assert!(fixtures.cases.len() > 1100, "only {} cases", fixtures.cases.len());
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
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSDEScheduler",
        "DPMSolverSinglestepScheduler",
        "EDMEulerScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    ];
    for class_name in expected.into_iter().filter(|class_name| *class_name != "EDMEulerScheduler") {
        assert_eq!(compatibles(class_name), expected, "{class_name}");
    }
    // Those can take over from these, but not these from those.
    for class_name in ["DPMSolverMultistepInverseScheduler", "SASolverScheduler"] {
        let mut others = compatibles(class_name);
        assert!(others.contains(&class_name), "{class_name}");
        others.retain(|other| *other != class_name);
        assert_eq!(others, expected, "{class_name}");
    }
    for class_name in ["DDIMInverseScheduler", "EDMEulerScheduler"] {
        assert_eq!(compatibles(class_name), [class_name]);
    }
}
