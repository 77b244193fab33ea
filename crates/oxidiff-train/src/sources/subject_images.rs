//! The images of a subject, and of other things of its class: DreamBooth (Ruiz et al. 2022, <https://arxiv.org/abs/2208.12242>).

use std::sync::Arc;

use oxidiff::image::RgbImage;

use crate::batches::{Batch, Source};
use crate::data::Dataset;
use crate::error::Result;
use crate::image_transform::{ImageTransform, PixelRange, stack};
use crate::random::Random;

/// Images of one subject, all with the same caption.
#[derive(Clone, Debug)]
pub struct SubjectImages {
    /// The images of the subject.
    pub instances: Arc<Dataset>,
    /// Their caption.
    pub instance_prompt: String,
    /// What the model should not forget.
    pub class: Option<Class>,
    /// What happens to the images.
    pub transform: ImageTransform,
}

/// Images of what the subject is one of.
#[derive(Clone, Debug)]
pub struct Class {
    /// The images.
    pub images: Arc<Dataset>,
    /// How many of them to use.
    pub count: usize,
    /// Their caption.
    pub prompt: String,
}

impl Source for SubjectImages {
    /// An image of the subject, and one of its class.
    type Sample = (RgbImage, Option<RgbImage>);

    fn len(&self) -> usize {
        self.class.as_ref().map_or(0, |class| class.count).max(self.instances.len())
    }

    fn read(&self, index: usize) -> Result<Self::Sample> {
        let read = |dataset: &Dataset, count: usize| {
            let column = dataset.choose(crate::data::Role::Image, None)?;
            self.transform.resized(&dataset.image(index % count, column)?)
        };
        let class = self.class.as_ref().map(|class| read(&class.images, class.count)).transpose()?;
        Ok((read(&self.instances, self.instances.len())?, class))
    }

    /// All images of the subject come before those of the class.
    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch {
        let (mut instances, mut classes) = (Vec::new(), Vec::new());
        for (instance, class) in &samples {
            instances.push(self.transform.draw(instance, &mut random.torch));
            classes.extend(class.as_ref().map(|class| self.transform.draw(class, &mut random.torch)));
        }
        let prompts = std::iter::repeat_n(self.instance_prompt.clone(), instances.len());
        let class_prompt = self.class.as_ref().map(|class| class.prompt.clone()).unwrap_or_default();
        let captions = prompts.chain(std::iter::repeat_n(class_prompt, classes.len())).collect();
        instances.extend(classes);
        Batch {
            images: stack(&instances, PixelRange::Signed),
            captions,
            conditioning: None,
            origins: Vec::new(),
        }
    }
}
