use image::{Rgb, RgbImage};

use super::front_matter::{FrontMatter, Widget, WidgetOutput};
use super::*;

const METHODS: [Method; 7] = [
    Method::Unconditional,
    Method::TextToImage,
    Method::TextToImageLora,
    Method::DreamBooth,
    Method::DreamBoothLora,
    Method::TextualInversion,
    Method::ControlNet,
];

fn card(method: Method) -> ModelCard {
    ModelCard {
        base_model: Some("stable-diffusion-v1-5/stable-diffusion-v1-5".into()),
        dataset: Some("lambdalabs/naruto-blip-captions".into()),
        ..ModelCard::new(method, Family::StableDiffusion, "someone/model")
    }
}

fn front_matter(card: &str) -> FrontMatter {
    let yaml = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap().0;
    serde_saphyr::from_str(yaml).unwrap()
}

#[test]
fn the_front_matter_is_read_back() {
    let prompts = [
        "a photo of sks dog",
        "no",
        "yes",
        "null",
        "~",
        "1e3",
        "1_000",
        "0x1f",
        "12:30:45",
        "2024-01-01",
        "=",
        "",
        " leading",
        "trailing ",
        "a: b",
        "a #b",
        "- x",
        "'",
        "\"",
        "\\",
        "a\nb\n---\nc",
        "tab\tend",
        "\u{85}\u{2028}",
        "\u{7}",
        "🐕 日本",
        "@x",
        "`x`",
        "%x",
        "!x",
        "&x",
        "*x",
        "[x",
        "{x",
        "|",
        ">",
        "?",
        "---",
        "...",
        "<<",
        ".nan",
    ];
    for prompt in prompts {
        let written = ModelCard {
            instance_prompt: Some(prompt.into()),
            samples: vec![CardSample {
                image: RgbImage::new(1, 1),
                prompt: Some(prompt.into()),
                control_image: None,
            }],
            ..card(Method::DreamBoothLora)
        };
        let found = front_matter(&written.to_markdown(false).unwrap());
        assert_eq!(found, FrontMatter::of(&written), "{prompt:?}");
        assert_eq!(found.instance_prompt.as_deref(), Some(prompt));
        let output = WidgetOutput { url: "image_0.png".into() };
        assert_eq!(found.widget, [Widget { text: prompt.into(), output }]);
    }
}

#[test]
fn the_keys_are_those_of_the_scripts() {
    let text = card(Method::TextToImageLora).to_markdown(false).unwrap();
    let found = front_matter(&text);
    assert_eq!(found.license.as_deref(), Some("creativeml-openrail-m"));
    assert_eq!(found.library_name, "diffusers");
    assert_eq!(found.base_model.as_deref(), Some("stable-diffusion-v1-5/stable-diffusion-v1-5"));
    assert_eq!(found.datasets, ["lambdalabs/naruto-blip-captions"]);
    assert!(found.inference);
    let tags = [
        "stable-diffusion",
        "stable-diffusion-diffusers",
        "text-to-image",
        "diffusers",
        "diffusers-training",
        "lora",
    ];
    assert_eq!(found.tags, tags);
    let xl = ModelCard { family: Family::StableDiffusionXl, ..card(Method::TextToImageLora) };
    let found = front_matter(&xl.to_markdown(false).unwrap());
    assert_eq!(found.license.as_deref(), Some("openrail++"));
    assert!(found.tags.contains(&"stable-diffusion-xl-diffusers".to_owned()));
}

#[test]
fn folders_are_not_named_to_the_hub() {
    let local = ModelCard {
        base_model: Some("/home/someone/models/sd15".into()),
        dataset: Some("/home/someone/my_pictures".into()),
        ..card(Method::TextToImage)
    };
    let text = local.to_markdown(false).unwrap();
    let found = front_matter(&text);
    assert_eq!((found.base_model, found.datasets), (None, vec![]));
    assert!(text.contains("finetuned from **sd15** on the **my\\_pictures** dataset"), "{text}");
    assert!(!text.contains("/home/someone"), "{text}");
}

#[test]
fn every_method_has_its_card() {
    for method in METHODS {
        let text = card(method).to_markdown(true).unwrap();
        assert!(text.contains(&format!("# {} - someone/model", method.title())), "{text}");
        assert!(text.contains("```rust\nuse oxidiff::") && text.contains("```python\nfrom diffusers import"));
        assert_eq!(text.matches("```").count(), 4, "{text}");
        assert!(text.contains("(./loss.png)"));
        let without_base = ModelCard { base_model: None, ..card(method) };
        assert_eq!(without_base.to_markdown(false).is_err(), method.needs_base_model());
    }
}

#[test]
fn a_prompt_stays_inside_its_string() {
    let prompt = "a \"dog\"\n```\n\\";
    let card = ModelCard { instance_prompt: Some(prompt.into()), ..card(Method::DreamBooth) };
    let text = card.to_markdown(false).unwrap();
    assert!(text.contains("pipeline.call(\"a \\\"dog\\\"\\n```\\n\\\\\")?"), "{text}");
    assert!(text.contains("image = pipeline(\"a \\\"dog\\\"\\n```\\n\\\\\").images[0]"), "{text}");
    assert!(text.contains("trained on \"a \"dog\" \\`\\`\\` \\\\\" using"), "{text}");
}

#[test]
fn the_folder_has_the_card_and_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let plain = |colour| RgbImage::from_pixel(3, 2, Rgb([colour, 0, 0]));
    let sample = CardSample { image: plain(9), prompt: Some("a".into()), control_image: Some(plain(5)) };
    let card = ModelCard {
        samples: vec![sample],
        hyperparameters: vec![
            ("Learning rate".into(), "1e-5".into()),
            ("Mixed-precision".into(), "bf16".into()),
        ],
        ..card(Method::ControlNet)
    };
    let text = std::fs::read_to_string(card.write(folder.path()).unwrap()).unwrap();
    assert!(text.contains("prompt: a\n\n![img_0](./image_0.png)\n"), "{text}");
    assert!(text.contains("\n* Learning rate: 1e-5\n* Mixed-precision: bf16\n"), "{text}");
    assert!(!text.contains("loss.png"));
    let image = image::open(folder.path().join("image_0.png")).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (6, 2));
    assert_eq!((image.get_pixel(2, 1).0[0], image.get_pixel(3, 1).0[0]), (5, 9));
}
