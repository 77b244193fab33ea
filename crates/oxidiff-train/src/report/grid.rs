//! Several images side by side in one.

use image::imageops::replace;
use image::{Rgb, RgbImage};

use super::error::{ReportError, Result};

/// What shows where an image is smaller than its cell.
const BACKGROUND: Rgb<u8> = Rgb([255, 255, 255]);

/// Arranges `images` in rows: a square if possible, or this number of `columns`. The cells are as large as the largest
/// image; a smaller one is in the middle of its cell.
///
/// # Errors
/// When there is no image, when one is empty, when `columns` is 0, or when the result would be too large.
pub fn image_grid(images: &[RgbImage], columns: Option<usize>) -> Result<RgbImage> {
    let wrong = |reason: &str| ReportError::argument("images", reason);
    if images.is_empty() {
        return Err(wrong("there are none"));
    }
    if images.iter().any(|image| image.width() == 0 || image.height() == 0) {
        return Err(wrong("one has no pixels"));
    }
    let columns = match columns {
        Some(0) => return Err(ReportError::argument("columns", "must be at least 1")),
        Some(columns) => columns.min(images.len()),
        None => images.len().isqrt() + usize::from(images.len().isqrt().pow(2) < images.len()),
    };
    let rows = images.len().div_ceil(columns);
    let cell_width = images.iter().map(RgbImage::width).max().unwrap_or(0);
    let cell_height = images.iter().map(RgbImage::height).max().unwrap_or(0);
    let side = |cells: usize, pixels: u32| u32::try_from(cells as u64 * u64::from(pixels)).ok();
    let (width, height) = side(columns, cell_width)
        .zip(side(rows, cell_height))
        .filter(|&(width, height)| u64::from(width) * u64::from(height) <= MOST_PIXELS)
        .ok_or_else(|| wrong("together they have too many pixels"))?;
    let mut grid = RgbImage::from_pixel(width, height, BACKGROUND);
    for (index, image) in images.iter().enumerate() {
        let x = (index % columns) as u32 * cell_width + (cell_width - image.width()) / 2;
        let y = (index / columns) as u32 * cell_height + (cell_height - image.height()) / 2;
        replace(&mut grid, image, x.into(), y.into());
    }
    Ok(grid)
}

/// Larger grids are a mistake: 3 GiB of memory.
const MOST_PIXELS: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: u32, height: u32, colour: u8) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([colour, 0, 0]))
    }

    #[test]
    fn a_grid_is_nearly_square() {
        for (count, columns, rows) in
            [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3), (10, 4, 3)]
        {
            let grid = image_grid(&vec![plain(4, 3, 1); count], None).unwrap();
            assert_eq!(grid.dimensions(), (4 * columns, 3 * rows), "{count} images");
        }
    }

    #[test]
    fn images_go_row_by_row() {
        let images: Vec<_> = (0..5).map(|index| plain(2, 2, index)).collect();
        let grid = image_grid(&images, Some(2)).unwrap();
        assert_eq!(grid.dimensions(), (4, 6));
        for (index, (x, y)) in [(0, 0), (2, 0), (0, 2), (2, 2), (0, 4)].into_iter().enumerate() {
            assert_eq!(grid.get_pixel(x + 1, y + 1).0, [index as u8, 0, 0]);
        }
        assert_eq!(*grid.get_pixel(3, 5), BACKGROUND);
    }

    #[test]
    fn a_smaller_image_is_centred() {
        let grid = image_grid(&[plain(4, 4, 1), plain(2, 2, 2)], None).unwrap();
        assert_eq!(*grid.get_pixel(4, 1), BACKGROUND);
        assert_eq!(grid.get_pixel(5, 1).0, [2, 0, 0]);
        assert_eq!(grid.get_pixel(6, 2).0, [2, 0, 0]);
        assert_eq!(*grid.get_pixel(7, 3), BACKGROUND);
    }

    #[test]
    fn what_makes_no_grid_is_refused() {
        assert!(image_grid(&[], None).is_err());
        assert!(image_grid(&[plain(1, 0, 0)], None).is_err());
        assert!(image_grid(&[plain(1, 1, 0)], Some(0)).is_err());
        let long = vec![plain(1 << 16, 1, 0), plain(1, 1 << 16, 0)];
        assert!(image_grid(&long, None).unwrap_err().to_string().contains("too many pixels"));
    }
}
