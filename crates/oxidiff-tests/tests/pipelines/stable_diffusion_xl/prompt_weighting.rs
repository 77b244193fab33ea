//! Weights in prompts and prompts of any length: the arguments give the same results as the text encoder called by
//! hand.

use crate::fixture::stable_diffusion_xl::checkpoint;
use crate::fixture::{assert_close, difference, fixtures};
use oxidiff::{CLIPTextModel, CLIPTokenizer, DiffusionPipeline, Generator, OutputType, Request, Tensor};

/// The tokens of a chunk and their weights, without start and end.
type Chunk<'a> = &'a [(&'a str, f32)];

fn sd1() -> DiffusionPipeline {
    let mut pipeline =
        DiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn image(pipeline: &mut DiffusionPipeline, request: Request) -> Tensor<4> {
    let request = request
        .with("num_inference_steps", 2)
        .with("generator", Generator::manual_seed(3))
        .with("output_type", OutputType::Array);
    pipeline.call(request).unwrap_or_else(|error| panic!("{error}")).images.into_tensor().unwrap()
}

/// Embeds chunks of words by hand: each is encoded by itself and weighted, and keeps its mean.
fn embed(pipeline: &DiffusionPipeline, chunks: &[Chunk<'_>]) -> Tensor<3> {
    let components = pipeline.components();
    let tokenizer = components.get::<CLIPTokenizer>("tokenizer").unwrap();
    let encoder = components.get::<CLIPTextModel>("text_encoder").unwrap();
    let length = tokenizer.model_max_length().unwrap();
    let embedded = chunks.iter().map(|chunk| {
        let text: Vec<&str> = chunk.iter().map(|(word, _)| *word).collect();
        let ids = tokenizer.tokenize(&[text.join(" ")], length).unwrap().input_ids;
        let hidden = encoder.forward(&ids, None).unwrap().last_hidden_state;
        let mut weights = vec![1.0; length];
        let mut place = 1;
        for (word, weight) in *chunk {
            let ids = tokenizer.tokenize(&[word], length).unwrap().attention_mask[0].iter().sum::<u32>();
            let count = ids as usize - 2;
            weights[place..place + count].fill(*weight);
            place += count;
        }
        let weights = Tensor::<1>::from_data(weights.as_slice(), &hidden.device()).reshape([1, length, 1]);
        let weighed = hidden.clone() * weights;
        let mean = |x: Tensor<3>| x.mean().into_scalar::<f32>();
        weighed.clone() * (mean(hidden) / mean(weighed))
    });
    Tensor::cat(embedded.collect(), 1)
}

#[test]
fn plain_prompts_are_unchanged() {
    let mut pipeline = sd1();
    let plain = image(&mut pipeline, Request::new("a red apple"));
    for prompt in ["a red apple", "a (red:1.0) apple"] {
        let request = Request::new(prompt).with("prompt_weighting", true);
        assert_close(prompt, image(&mut pipeline, request), plain.clone(), 1e-5);
    }
    let brackets = image(&mut pipeline, Request::new("a (red:1.6) apple"));
    assert!(difference(brackets, plain) > 0.0, "brackets are letters unless weights are turned on");
}

#[test]
fn weights_multiply_the_embeddings_of_their_tokens() {
    let mut pipeline = sd1();
    let positive = embed(&pipeline, &[&[("a", 1.0), ("red", 1.6), ("apple", 1.0), ("cat", 1.0 / 1.1)]]);
    let negative = embed(&pipeline, &[&[("dog", 1.1 * 1.1)]]);
    let by_hand = Request::default().with("prompt_embeds", positive).with("negative_prompt_embeds", negative);
    let by_hand = image(&mut pipeline, by_hand);
    let weighted = Request::new("a (red:1.6) apple [cat]")
        .with("negative_prompt", "((dog))")
        .with("prompt_weighting", true);
    let weighted = image(&mut pipeline, weighted);
    assert_close("weighted", weighted.clone(), by_hand, 1e-4);
    let plain = Request::new("a red apple cat").with("negative_prompt", "dog");
    assert!(difference(image(&mut pipeline, plain), weighted) > 1e-3, "weights change the image");
}

#[test]
fn long_prompts_are_encoded_in_chunks() {
    let mut pipeline = sd1();
    let long = ["red"; 30].join(" ");
    let positive = embed(&pipeline, &[&[("red", 1.0); 22], &[("red", 1.0); 8], &[("cat", 1.0)]]);
    // The negative prompt has the same number of chunks; the last ones are empty.
    let negative = embed(&pipeline, &[&[("dog", 1.0)], &[], &[]]);
    let by_hand = Request::default().with("prompt_embeds", positive).with("negative_prompt_embeds", negative);
    let by_hand = image(&mut pipeline, by_hand);
    let request = Request::new(format!("{long} BREAK cat"))
        .with("negative_prompt", "dog")
        .with("prompt_weighting", true);
    assert_close("chunks", image(&mut pipeline, request), by_hand, 1e-4);

    // A prompt becomes as long as a longer negative prompt.
    let request = Request::new("cat").with("negative_prompt", long).with("prompt_weighting", true);
    image(&mut pipeline, request);
}

#[test]
fn both_text_encoders_of_xl_apply_weights() {
    let folder = checkpoint("base");
    let mut pipeline = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    let plain = image(&mut pipeline, Request::new("a red apple"));
    let with = |prompt: &str| Request::new(prompt).with("prompt_weighting", true);
    assert_close("plain", image(&mut pipeline, with("a red apple")), plain.clone(), 1e-5);
    assert!(difference(image(&mut pipeline, with("a (red:1.8) apple")), plain.clone()) > 1e-4);
    let second = with("a red apple").with("prompt_2", "a (red:1.8) apple");
    assert!(difference(image(&mut pipeline, second), plain) > 1e-4);
    let long = with(&["red"; 60].join(" ")).with("prompt_2", "cat").with("negative_prompt", "dog BREAK cat");
    image(&mut pipeline, long);
}
