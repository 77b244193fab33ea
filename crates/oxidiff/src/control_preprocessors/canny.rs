//! Edges (Canny 1986, "A Computational Approach to Edge Detection"), in integers and without smoothing, as OpenCV finds them.

use image::{DynamicImage, GrayImage};

/// The tangent of 22.5 degrees in units of 2^-15.
const TANGENT: i32 = 13573;

/// What is known of a pixel.
#[derive(Clone, Copy, Default)]
struct Gradient {
    dx: i32,
    dy: i32,
    magnitude: i32,
}

/// White edges on black, equal to those of OpenCV's `Canny(image, low, high)`: gradients by Sobel's operator of three pixels, of the
/// channel in which they are steepest. Thresholds apply to the sum of both absolute values, from 0 to 2040 for channels of 8 bits, and
/// may be given in any order. Transparency is ignored.
///
/// ```
/// use oxidiff::{canny, image::{DynamicImage, GrayImage}};
///
/// let half = GrayImage::from_fn(8, 8, |x, _| [if x < 4 { 0 } else { 255 }].into());
/// let edges = canny(&DynamicImage::from(half), 100.0, 200.0);
/// assert_eq!(edges.get_pixel(3, 4).0, [255]);
/// assert_eq!(edges.get_pixel(0, 4).0, [0]);
/// ```
pub fn canny(image: &DynamicImage, low: f64, high: f64) -> GrayImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, bytes) = match image.color().has_color() {
        true => (3, image.to_rgb8().into_raw()),
        false => (1, image.to_luma8().into_raw()),
    };
    let [low, high] = [low.min(high), low.max(high)].map(|threshold| threshold.floor() as i32);
    let gradients = gradients(&bytes, [width, height], channels);
    let candidates = candidates(&gradients, [width, height], low);

    let mut edges = vec![0; width * height];
    let strong = (0..edges.len()).filter(|&at| candidates[at] && gradients[at].magnitude > high);
    let mut open: Vec<usize> = strong.collect();
    open.iter().for_each(|&at| edges[at] = 255);
    while let Some(at) = open.pop() {
        for next in neighbours(at, [width, height]) {
            if candidates[next] && edges[next] == 0 {
                edges[next] = 255;
                open.push(next);
            }
        }
    }
    GrayImage::from_raw(image.width(), image.height(), edges).expect("a byte for each pixel")
}

/// The gradient of each pixel, in the first of the channels in which it is steepest. Beyond the border, pixels are repeated.
fn gradients(bytes: &[u8], [width, height]: [usize; 2], channels: usize) -> Vec<Gradient> {
    let mut found = Vec::with_capacity(width * height);
    for y in 0..height {
        let [above, below] = [y.saturating_sub(1), (y + 1).min(height - 1)];
        for x in 0..width {
            let [left, right] = [x.saturating_sub(1), (x + 1).min(width - 1)];
            let mut steepest = Gradient::default();
            for channel in 0..channels {
                let at = |x: usize, y: usize| i32::from(bytes[(y * width + x) * channels + channel]);
                let column = |x| at(x, above) + 2 * at(x, y) + at(x, below);
                let row = |y| at(left, y) + 2 * at(x, y) + at(right, y);
                let (dx, dy) = (column(right) - column(left), row(below) - row(above));
                let magnitude = dx.abs() + dy.abs();
                if channel == 0 || magnitude > steepest.magnitude {
                    steepest = Gradient { dx, dy, magnitude };
                }
            }
            found.push(steepest);
        }
    }
    found
}

/// Which pixels are steeper than their neighbours in the direction of the gradient, and steep enough.
fn candidates(gradients: &[Gradient], [width, height]: [usize; 2], low: i32) -> Vec<bool> {
    let magnitude = |x: isize, y: isize| {
        let inside = (0..width as isize).contains(&x) && (0..height as isize).contains(&y);
        if inside { gradients[y as usize * width + x as usize].magnitude } else { 0 }
    };
    let is_candidate = |at: usize| {
        let Gradient { dx, dy, magnitude: own } = gradients[at];
        let (x, y) = ((at % width) as isize, (at / width) as isize);
        let steepness = dy.abs() << 15;
        let flat = dx.abs() * TANGENT;
        // The tangent of 67.5 degrees is that of 22.5 degrees plus 2.
        let steep = flat + (dx.abs() << 16);
        if own <= low {
            false
        } else if steepness < flat {
            own > magnitude(x - 1, y) && own >= magnitude(x + 1, y)
        } else if steepness > steep {
            own > magnitude(x, y - 1) && own >= magnitude(x, y + 1)
        } else {
            let side = if (dx ^ dy) < 0 { -1 } else { 1 };
            own > magnitude(x - side, y - 1) && own > magnitude(x + side, y + 1)
        }
    };
    (0..gradients.len()).map(is_candidate).collect()
}

/// The up to eight pixels around one.
fn neighbours(at: usize, [width, height]: [usize; 2]) -> impl Iterator<Item = usize> {
    let (x, y) = (at % width, at / width);
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    rows.flat_map(move |row| {
        (x.saturating_sub(1)..(x + 2).min(width)).map(move |column| row * width + column)
    })
}
