//! Values that begin with a minus sign, and options instead of values.

use crate::sandbox::Sandbox;

fn failed(arguments: &[&str], words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.run([&["generate"], arguments].concat()).failed_with(words);
    assert!(sandbox.files().is_empty(), "{arguments:?} left {:?}", sandbox.files());
}

#[test]
fn values_may_begin_with_a_minus_sign() {
    let sandbox = Sandbox::new();
    let quick = ["--steps", "1", "--height", "64", "--width", "64"];
    let run = |arguments: &[&str]| sandbox.run([&["generate"], arguments, &quick].concat());
    run(&["-cat"]).succeeded();
    run(&["--prompt", "-cat", "--negative-prompt", "-ugly"]).succeeded();
    run(&["cat", "--guidance-scale", "-3"]).succeeded();
    run(&["cat", "--guidance-scale=-3.5", "--eta", "0"]).succeeded();
    run(&["--prompt=--two", "--seed", "5"]).succeeded();
    sandbox.run([&["generate"], &quick[..], &["--", "--two"]].concat()).succeeded();
}

/// `torch.Generator().manual_seed(-1).initial_seed()` is 2^64 - 1.
#[test]
fn negative_seeds_work_as_in_torch() {
    let sandbox = Sandbox::new();
    let made = |seed: &str| {
        let arguments =
            ["generate", "cat", "--steps", "1", "--height", "64", "--width", "64", "--seed", seed];
        let run = sandbox.run(arguments);
        (run.succeeded().stdout, std::fs::read(sandbox.path("output.png")).unwrap())
    };
    let (said, picture) = made("-1");
    assert_eq!(said, "output.png (seed 18446744073709551615)\n");
    assert_eq!((said, picture), made("18446744073709551615"));
    assert_eq!(made("-9223372036854775808").0, "output.png (seed 9223372036854775808)\n");
}

#[test]
fn numbers_out_of_range_name_the_option_and_the_range() {
    for seed in ["18446744073709551616", "-9223372036854775809"] {
        failed(&["cat", "--seed", seed], &["--seed", seed, "-9223372036854775808", "18446744073709551615"]);
    }
    failed(&["cat", "--seed", "-x"], &["--seed", "-x"]);
    for option in ["--steps", "--height", "--width", "--num-images"] {
        for value in ["-1", "0", "many", "1.5"] {
            failed(&["cat", option, value], &[option, value, "from 1"]);
        }
    }
}

#[test]
fn values_that_are_no_numbers_are_refused_in_plain_words() {
    for (option, value) in
        [("--clip-skip", "-1"), ("--clip-skip", "x"), ("--eta", "x"), ("--guidance-scale", "")]
    {
        failed(&["cat", &format!("{option}={value}")], &[option, "must be a"]);
    }
    failed(&["cat", "--model", ""], &["--model"]);
    failed(&["cat", "--model", "/dev/null"], &["/dev/null", "neither a folder nor a file"]);
}

#[test]
fn an_option_is_not_a_value() {
    failed(&["--negative-prompt", "--seed", "5"], &["--negative-prompt"]);
    failed(&["cat", "--seed", "--steps", "3"], &["--seed"]);
    failed(&["--stepz", "3"], &["--stepz", "--steps"]);
    failed(&["cat", "--stepz", "3"], &["--stepz", "--steps"]);
    failed(&["cat", "-s"], &["-s"]);
}
