//! The output files: checked before the work begins, and written completely or not at all.

use std::io::Cursor;
use std::path::PathBuf;

use anyhow::{Context, bail};
use oxidiff::image::{DynamicImage, ImageFormat};
use oxidiff::{Images, OutputType, check_writable, write_whole};

/// A file to write to, and its format.
#[derive(Debug)]
pub(crate) struct Output {
    option: &'static str,
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Image(ImageFormat),
    Npy,
}

impl Output {
    /// Checks, before anything is computed, that this number of `images` can be written to `path`, the value of `option`.
    pub fn new(option: &'static str, path: PathBuf, images: usize) -> anyhow::Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let format = match extension.to_ascii_lowercase().as_str() {
            "png" => Format::Image(ImageFormat::Png),
            "jpg" | "jpeg" => Format::Image(ImageFormat::Jpeg),
            "webp" => Format::Image(ImageFormat::WebP),
            "npy" => Format::Npy,
            _ => bail!("{option} {}: the name must end in .png, .jpg, .webp or .npy", path.display()),
        };
        // A separator at the end means a folder, whether it exists or not.
        if path.to_string_lossy().ends_with(std::path::is_separator) {
            bail!("{option} {}: is a folder", path.display());
        }
        let output = Self { option, path, format };
        output.check_writable(images)?;
        Ok(output)
    }

    /// Checks, before anything is computed, that this number of `images` with transparency can be written.
    pub fn check_transparent(&self, images: usize) -> anyhow::Result<()> {
        if self.format == Format::Image(ImageFormat::Jpeg) {
            let (option, path) = (self.option, self.path.display());
            bail!(
                "{option} {path}: JPEG has no transparency: layers need a name that ends in .png, .webp or .npy"
            );
        }
        self.check_writable(images)
    }

    fn check_writable(&self, images: usize) -> anyhow::Result<()> {
        // More images than this do not fit into any memory; the pipeline will refuse them.
        const MOST_IMAGES: usize = 4096;
        for path in self.paths(images.min(MOST_IMAGES)) {
            check_writable(&path).with_context(|| format!("{} {}", self.option, self.path.display()))?;
        }
        Ok(())
    }

    /// The output type to request from a pipeline.
    pub fn output_type(&self) -> OutputType {
        match self.format {
            Format::Image(_) => OutputType::Image,
            Format::Npy => OutputType::Array,
        }
    }

    /// Writes the images, into numbered files if there are several, and returns the paths.
    pub fn write(&self, images: Images) -> anyhow::Result<Vec<PathBuf>> {
        match self.format {
            Format::Npy => {
                let array = images.into_tensor().context("the pipeline returned no array")?;
                write_whole(&self.path, &to_npy(array)?)?;
                Ok(vec![self.path.clone()])
            }
            Format::Image(format) => {
                let images = images.into_images();
                let paths = self.paths(images.len());
                for (path, image) in paths.iter().zip(&images) {
                    let contents =
                        encode(image, format).with_context(|| format!("cannot write {}", path.display()))?;
                    write_whole(path, &contents)?;
                }
                Ok(paths)
            }
        }
    }

    /// `output.png` for one image; `output-1.png`, `output-2.png` and so on for several. An array holds them all.
    fn paths(&self, count: usize) -> Vec<PathBuf> {
        if count == 1 || self.format == Format::Npy {
            return vec![self.path.clone()];
        }
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        (1..=count).map(|number| self.path.with_file_name(format!("{stem}-{number}.{extension}"))).collect()
    }
}

fn encode(image: &DynamicImage, format: ImageFormat) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

fn to_npy(array: oxidiff::Tensor<4>) -> anyhow::Result<Vec<u8>> {
    use npyz::WriterBuilder;

    let shape = array.dims().map(|dim| dim as u64);
    let mut bytes = Vec::new();
    let mut writer =
        npyz::WriteOptions::<f32>::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
    writer.extend(array.into_data().iter::<f32>())?;
    writer.finish()?;
    Ok(bytes)
}
