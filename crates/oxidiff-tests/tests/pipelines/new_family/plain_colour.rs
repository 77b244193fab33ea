//! A family with one pipeline: images of one colour. A family needs nothing else, besides its row in the registry.

use std::any::Any;
use std::fmt;
use std::path::Path;

use oxidiff::image::{DynamicImage, Rgb, RgbImage};
use oxidiff::{
    Component, ComponentLoader, Components, Error, ImagePipelineOutput, Images, ModelIndex, OutputType,
    Pipeline, Result, Scheduler, call_arguments,
};

/// The colour for a word: the only component besides the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    pub strength: u8,
}

impl Component for Palette {
    fn class(&self) -> (&'static str, String) {
        ("diffusers", "Palette".to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        let file = folder.join("palette.txt");
        let write =
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, self.strength.to_string()));
        write.map_err(|cause| Error::Io { path: file, cause })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

call_arguments! {
    /// The arguments of a call.
    pub struct PlainColour: "one colour" {
        /// A word.
        pub prompt: Vec<String> = Vec::new(),
        /// How bright the colour is, from 0 to 1.
        pub brightness: f64 = 1.0,
        /// Whether the colour is mirrored.
        pub mirrored: bool = false,
        /// Number of images for each prompt.
        pub num_images_per_prompt: usize = 1,
        /// Where noise would come from.
        pub generator: Option<oxidiff::Generators> = None,
        /// The type of the returned images.
        pub output_type: OutputType = OutputType::Image,
    }
}

/// Makes images of one colour.
#[derive(Clone, Debug)]
pub struct PlainColourPipeline {
    pub palette: Palette,
    scheduler: Box<dyn Scheduler>,
    index: ModelIndex,
}

impl PlainColourPipeline {
    fn assemble(palette: Palette, scheduler: Box<dyn Scheduler>, index: ModelIndex) -> Self {
        Self { palette, scheduler, index }
    }
}

impl Pipeline for PlainColourPipeline {
    const CLASS_NAME: &'static str = "PlainColourPipeline";

    type Arguments = PlainColour;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let strength = loader.file("palette", "palette.txt")?;
        let strength = String::from_utf8_lossy(&strength).trim().parse().unwrap_or_default();
        let scheduler = loader.scheduler("scheduler")?;
        Ok(Self::assemble(Palette { strength }, scheduler, loader.index().clone()))
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        Ok(Self::assemble(components.take("palette")?, components.take("scheduler")?, index))
    }

    fn call(&mut self, arguments: impl Into<PlainColour>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        let value = (f64::from(self.palette.strength) * arguments.brightness) as u8;
        let value = if arguments.mirrored { 255 - value } else { value };
        let image: DynamicImage = RgbImage::from_pixel(8, 8, Rgb([value; 3])).into();
        let count = arguments.prompt.len() * arguments.num_images_per_prompt;
        Ok(ImagePipelineOutput { images: Images::Image(vec![image; count]), nsfw_content_detected: None })
    }

    fn components(&self) -> Components<'_> {
        let mut components = Components::default();
        components.push("palette", &self.palette);
        components.push("scheduler", &self.scheduler);
        components
    }

    fn index(&self) -> &ModelIndex {
        &self.index
    }

    fn scheduler(&self) -> &dyn Scheduler {
        &*self.scheduler
    }

    fn set_scheduler(&mut self, scheduler: impl Into<Box<dyn Scheduler>>) {
        self.scheduler = scheduler.into();
    }

    fn set_progress_bar(&mut self, _: bool) {}
}

impl fmt::Display for PlainColourPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current_index().fmt(f)
    }
}

/// Writes a checkpoint of the family.
pub fn write_checkpoint(folder: &Path) {
    let index = r#"{
  "_class_name": "PlainColourPipeline",
  "palette": ["diffusers", "Palette"],
  "scheduler": ["diffusers", "DDIMScheduler"]
}"#;
    for part in ["palette", "scheduler"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    std::fs::write(folder.join("model_index.json"), index).unwrap();
    std::fs::write(folder.join("palette/palette.txt"), "200").unwrap();
    let scheduler = r#"{"_class_name": "DDIMScheduler"}"#;
    std::fs::write(folder.join("scheduler/scheduler_config.json"), scheduler).unwrap();
}
