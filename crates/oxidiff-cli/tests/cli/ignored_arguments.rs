//! Arguments that have no effect: as in Python, the image is the same as without them; a warning says why.

use image::RgbImage;

use crate::sandbox::{ROOT, Run, Sandbox};

/// Makes an image with the small Stable Diffusion XL of the fixtures.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let model = format!("{ROOT}/tests/fixtures/stable_diffusion_xl/base");
    let usual = ["generate", "a dog", "--model", &model, "--steps", "4", "--seed", "0", "--output", "x.npy"];
    sandbox.run([&usual[..], arguments].concat())
}

/// Requires that `ignored` changes nothing about the image of the `arguments`, and gives one warning with all `words`.
#[track_caller]
fn ignored(sandbox: &Sandbox, arguments: &[&str], ignored: &[&str], words: &[&str]) {
    let image = |arguments: &[&str]| {
        let said = run(sandbox, arguments).succeeded().stderr;
        (std::fs::read(sandbox.path("x.npy")).unwrap(), said)
    };
    let (without, silent) = image(arguments);
    assert_eq!(silent, "");
    let (with, said) = image(&[arguments, ignored].concat());
    assert!(with == without, "{ignored:?} has an effect");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in [&["WARN", "has no effect"], words].concat() {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

fn with_image() -> Sandbox {
    let sandbox = Sandbox::new();
    let image = RgbImage::from_fn(32, 32, |x, y| [(x * 7) as u8, (y * 7) as u8, 128].into());
    image.save(sandbox.path("in.png")).unwrap();
    sandbox
}

#[test]
fn parts_of_a_run_that_do_not_divide_it() {
    let sandbox = with_image();
    for end in ["0", "1", "2", "-3"] {
        ignored(&sandbox, &[], &["--denoising-end", end], &["`denoising_end`", end, "between 0 and 1"]);
    }
    let image = ["--image", "in.png"];
    ignored(&sandbox, &image, &["--denoising-end", "1.5"], &["`denoising_end`"]);
    for not_a_number in ["nan", "inf", "-inf"] {
        run(&sandbox, &["--denoising-end", not_a_number]).failed_with(&["--denoising-end: cannot be"]);
        let start = [&image[..], &["--denoising-start", not_a_number]].concat();
        run(&sandbox, &start).failed_with(&["--denoising-start: cannot be"]);
    }
}

#[test]
fn conditions_for_the_negative_prompt() {
    let sandbox = with_image();
    let both = ["`negative_original_size`", "`negative_target_size`", "only together"];
    ignored(&sandbox, &[], &["--negative-original-size", "8,8"], &both);
    ignored(&sandbox, &[], &["--negative-target-size", "8,8"], &both);
    let crops = ["--negative-crops-coords-top-left", "3,4"];
    ignored(&sandbox, &[], &crops, &["`negative_crops_coords_top_left`"]);
    ignored(&sandbox, &["--image", "in.png"], &crops, &["`negative_crops_coords_top_left`", "scores"]);
    let sizes = ["--negative-original-size", "8,8", "--negative-target-size", "8,8"];
    assert_eq!(run(&sandbox, &sizes).succeeded().stderr, "");
}

#[test]
fn negative_prompts() {
    let sandbox = with_image();
    let second = ["--negative-prompt-2", "a cat"];
    ignored(&sandbox, &[], &second, &["`negative_prompt_2`", "force_zeros_for_empty_prompt"]);
    let both = [&second[..], &["--negative-prompt", "a mouse"]].concat();
    assert_eq!(run(&sandbox, &both).succeeded().stderr, "");
    let unguided = ["--guidance-scale", "1"];
    ignored(&sandbox, &unguided, &second, &["`negative_prompt_2`", "guidance"]);
    ignored(&sandbox, &unguided, &["--negative-prompt", "a cat"], &["`negative_prompt`", "guidance"]);
}

#[test]
fn strength_and_scores() {
    let sandbox = with_image();
    let image = ["--image", "in.png"];
    let started = [&image[..], &["--denoising-start", "0.4"]].concat();
    ignored(&sandbox, &started, &["--strength", "0.9"], &["`strength`", "`denoising_start`"]);
    ignored(
        &sandbox,
        &image,
        &["--aesthetic-score", "4"],
        &["`aesthetic_score`", "requires_aesthetics_score"],
    );
    ignored(&sandbox, &image, &["--negative-aesthetic-score", "4"], &["`negative_aesthetic_score`"]);
    let score = [&image[..], &["--aesthetic-score", "nan"]].concat();
    run(&sandbox, &score).failed_with(&["--aesthetic-score: cannot be NaN"]);
}
