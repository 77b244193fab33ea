//! Where images are written: checked before the work begins, and written whole or not at all.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use oxidiff::image::{DynamicImage, ImageFormat};
use oxidiff::{Images, OutputType};

/// A file to write to, and in which format.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Image(ImageFormat),
    Npy,
}

impl Output {
    /// Checks that so many `images` can be written to `path`, before anything is computed.
    pub fn new(path: PathBuf, images: usize) -> anyhow::Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let format = match extension.to_ascii_lowercase().as_str() {
            "png" => Format::Image(ImageFormat::Png),
            "jpg" | "jpeg" => Format::Image(ImageFormat::Jpeg),
            "webp" => Format::Image(ImageFormat::WebP),
            "npy" => Format::Npy,
            _ => bail!("--output {}: the name must end in .png, .jpg, .webp or .npy", path.display()),
        };
        // A separator at the end means a folder, whether it exists or not.
        if path.is_dir() || path.to_string_lossy().ends_with(std::path::is_separator) {
            bail!("--output {}: is a folder", path.display());
        }
        let folder = folder_of(&path);
        if !folder.is_dir() {
            bail!("--output {}: the folder {} does not exist", path.display(), folder.display());
        }
        tempfile::tempfile_in(folder)
            .with_context(|| format!("--output {}: the folder cannot be written", path.display()))?;
        let output = Self { path, format };
        // More images than this fit into no memory, and the pipeline will say so.
        const MOST_IMAGES: usize = 4096;
        if let Some(folder) = output.paths(images.min(MOST_IMAGES)).into_iter().find(|path| path.is_dir()) {
            bail!("--output {}: {} is a folder", output.path.display(), folder.display());
        }
        Ok(output)
    }

    /// What to ask a pipeline for.
    pub fn output_type(&self) -> OutputType {
        match self.format {
            Format::Image(_) => OutputType::Image,
            Format::Npy => OutputType::Array,
        }
    }

    /// Writes the images, several of them into numbered files, and returns where they are.
    pub fn write(&self, images: Images) -> anyhow::Result<Vec<PathBuf>> {
        match self.format {
            Format::Npy => {
                let array = images.into_tensor().context("the pipeline returned no array")?;
                self.write_whole(&self.path, &to_npy(array)?)?;
                Ok(vec![self.path.clone()])
            }
            Format::Image(format) => {
                let images = images.into_images();
                let paths = self.paths(images.len());
                for (path, image) in paths.iter().zip(&images) {
                    let contents =
                        encode(image, format).with_context(|| format!("cannot write {}", path.display()))?;
                    self.write_whole(path, &contents)?;
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

    fn write_whole(&self, path: &Path, contents: &[u8]) -> anyhow::Result<()> {
        let mut builder = tempfile::Builder::new();
        // Temporary files are private by default; this one is going to be an ordinary file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let written = builder.tempfile_in(folder_of(path)).and_then(|mut file| {
            file.write_all(contents)?;
            file.persist(path).map_err(|error| error.error)
        });
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
