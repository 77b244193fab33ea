//! The curve of the loss as an image.

use std::ops::Range;
use std::path::Path;

use image::RgbImage;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement};
use plotters::prelude::{BitMapBackend, IntoLogRange, SeriesLabelPosition};
use plotters::series::LineSeries;
use plotters::style::{Color, FontStyle, RGBColor, ShapeStyle, register_font};

use super::error::{ReportError, Result};

const SIZE: (u32, u32) = (1200, 700);
const FONT: &str = "sans-serif";
const RAW: RGBColor = RGBColor(158, 196, 230);
const SMOOTH: RGBColor = RGBColor(20, 90, 160);
const WHITE: RGBColor = RGBColor(255, 255, 255);
const GREY: RGBColor = RGBColor(225, 225, 225);

/// From this ratio of the largest loss to the smallest, the axis is logarithmic.
const LOGARITHMIC_FROM: f64 = 100.0;
/// The average covers about this part of the steps,
const SMOOTHED_PART: usize = 25;
/// and at least and at most this many.
const SMOOTHED_STEPS: Range<usize> = 5..200;

type Point = (f64, f64);
type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws the losses of the steps, given in their order, and their moving average, for the file `path`. Losses that are not
/// finite are gaps.
pub(super) fn loss_plot(losses: &[(u64, f32)], title: &str, path: &Path) -> Result<RgbImage> {
    let mut pixels = vec![0; SIZE.0 as usize * SIZE.1 as usize * 3];
    draw(losses, title, &mut pixels).map_err(|reason| ReportError::drawing(path, reason))?;
    Ok(RgbImage::from_raw(SIZE.0, SIZE.1, pixels).expect("the buffer has the size of the image"))
}

fn draw(losses: &[(u64, f32)], title: &str, pixels: &mut [u8]) -> Result<(), String> {
    // Registering the same font again changes nothing.
    register_font(FONT, FontStyle::Normal, notosans::REGULAR_TTF).map_err(|_| "the font is invalid")?;
    let area = BitMapBackend::with_buffer(pixels, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    let points: Vec<Point> = losses.iter().map(|&(step, loss)| (step as f64, f64::from(loss))).collect();
    let (steps, range, logarithmic) = ranges(&points);
    if logarithmic {
        draw_curves(&area, steps, range.log_scale(), &points, title)?;
    } else {
        draw_curves(&area, steps, range, &points, title)?;
    }
    area.present().map_err(text)
}

/// What the axes cover, and whether the losses span decades.
fn ranges(points: &[Point]) -> (Range<f64>, Range<f64>, bool) {
    let steps = match (points.first(), points.last()) {
        (Some(first), Some(last)) if first.0 < last.0 => first.0..last.0,
        (Some(only), _) => only.0 - 1.0..only.0 + 1.0,
        _ => 0.0..1.0,
    };
    let finite = || points.iter().map(|point| point.1).filter(|loss| loss.is_finite());
    let (least, most) = (finite().fold(f64::MAX, f64::min), finite().fold(f64::MIN, f64::max));
    if least > most {
        return (steps, 0.0..1.0, false);
    }
    if least > 0.0 && most / least >= LOGARITHMIC_FROM {
        return (steps, least / 1.2..most * 1.2, true);
    }
    // Losses that are all alike need a range as well.
    let margin = (0.05 * (most - least)).max(0.01 * most.abs()).max(f64::from(f32::MIN_POSITIVE));
    (steps, least - margin..most + margin, false)
}

fn draw_curves<Y>(
    area: &Area,
    steps: Range<f64>,
    range: Y,
    points: &[Point],
    title: &str,
) -> Result<(), String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 26))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(84)
        .build_cartesian_2d(steps, range)
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc("loss")
        .label_style((FONT, 18))
        .axis_desc_style((FONT, 20))
        .x_label_formatter(&|step| if step.fract() == 0.0 { format!("{step}") } else { String::new() })
        .y_label_formatter(&|loss| label(*loss))
        .bold_line_style(GREY)
        .light_line_style(WHITE)
        .draw()
        .map_err(text)?;
    curve(&mut chart, points, "loss", RAW, 1)?;
    curve(&mut chart, &smoothed(points), "moving average", SMOOTH, 3)?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font((FONT, 18))
        .background_style(WHITE.mix(0.8))
        .border_style(GREY)
        .draw()
        .map_err(text)
}

/// Draws the finite points, joined where no other is between them.
fn curve<Y>(
    chart: &mut ChartContext<BitMapBackend, Cartesian2d<RangedCoordf64, Y>>,
    points: &[Point],
    name: &str,
    colour: RGBColor,
    width: u32,
) -> Result<(), String>
where
    Y: Ranged<ValueType = f64>,
{
    let style = ShapeStyle::from(colour).stroke_width(width);
    let mut pieces = points.split(|point| !point.1.is_finite()).filter(|piece| !piece.is_empty());
    let first = pieces.next().unwrap_or_default();
    chart
        .draw_series(LineSeries::new(first.iter().copied(), style))
        .map_err(text)?
        .label(name)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    for piece in pieces {
        chart.draw_series(LineSeries::new(piece.iter().copied(), style)).map_err(text)?;
    }
    // A line through one point is invisible.
    let lonely = points.split(|point| !point.1.is_finite()).filter(|piece| piece.len() == 1);
    let dots = lonely.map(|piece| Circle::new(piece[0], width + 2, ShapeStyle::from(colour).filled()));
    chart.draw_series(dots).map_err(text)?;
    Ok(())
}

/// The exponential moving average without the bias of its start (Kingma and Ba 2014, section 3). Points that are not finite
/// are kept, and don't change it.
fn smoothed(points: &[Point]) -> Vec<Point> {
    let steps = (points.len() / SMOOTHED_PART).clamp(SMOOTHED_STEPS.start, SMOOTHED_STEPS.end);
    let decay = 1.0 - 2.0 / (steps as f64 + 1.0);
    let (mut average, mut weight) = (0.0, 0.0);
    let smooth = |&(step, loss): &Point| {
        if !loss.is_finite() {
            return (step, loss);
        }
        average = decay * average + (1.0 - decay) * loss;
        weight = decay * weight + (1.0 - decay);
        (step, average / weight)
    };
    points.iter().map(smooth).collect()
}

/// The last value of the moving average.
pub(super) fn smoothed_loss(losses: &[(u64, f32)]) -> Option<f32> {
    let points: Vec<Point> = losses.iter().map(|&(step, loss)| (step as f64, f64::from(loss))).collect();
    smoothed(&points).iter().rev().map(|point| point.1 as f32).find(|loss| loss.is_finite())
}

/// A short form of a loss.
fn label(loss: f64) -> String {
    if loss != 0.0 && !(1e-3..1e5).contains(&loss.abs()) {
        return format!("{loss:.1e}");
    }
    let digits = format!("{loss:.4}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(losses: &[f32]) -> RgbImage {
        let losses: Vec<_> = losses.iter().zip(1..).map(|(&loss, step)| (step, loss)).collect();
        loss_plot(&losses, "loss", Path::new("loss.png")).unwrap()
    }

    fn count(image: &RgbImage, colour: RGBColor) -> usize {
        image.pixels().filter(|pixel| pixel.0 == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn both_curves_and_the_labels_are_drawn() {
        let losses: Vec<_> = (0..500_u32)
            .map(|step| 1.0 / (1.0 + step as f32 * 0.02) + (step * 37 % 100) as f32 * 1e-3)
            .collect();
        let image = plot(&losses);
        assert_eq!(image.dimensions(), SIZE);
        assert!(count(&image, RAW) > 500);
        assert!(count(&image, SMOOTH) > 1500);
        // The title, the labels on the left and those below.
        for (x, y, width, height) in [(300, 0, 600, 50), (0, 60, 100, 560), (100, 640, 1100, 60)] {
            let part = image::imageops::crop_imm(&image, x, y, width, height).to_image();
            assert!(part.pixels().any(|pixel| pixel.0[0] < 80), "no text at {x}, {y}");
        }
    }

    #[test]
    fn one_point_is_a_dot() {
        assert!(count(&plot(&[0.5]), SMOOTH) > 20);
    }

    #[test]
    fn what_is_not_finite_is_a_gap() {
        let line = count(&plot(&[0.5; 100]), SMOOTH);
        let mut losses = [0.5; 100];
        losses[25..75].fill(f32::NAN);
        losses[40] = f32::INFINITY;
        let gap = count(&plot(&losses), SMOOTH);
        assert!(gap * 3 > line && gap * 3 < line * 2, "{gap} of {line}");
    }

    #[test]
    fn nothing_finite_leaves_the_axes() {
        for losses in [&[f32::NAN, f32::INFINITY][..], &[]] {
            let image = plot(losses);
            assert!(image.pixels().any(|pixel| pixel.0[0] < 80));
        }
    }

    #[test]
    fn extreme_losses_are_drawn() {
        for losses in [
            &[f32::MAX, f32::MIN][..],
            &[f32::MAX, f32::MAX],
            &[1e-38, 1e38],
            &[0.0, 0.0],
            &[-1.0, -1.0],
            &[1e-45, 1e-45],
            &[1.0, 1.000_000_1],
            &[0.1, 10.1],
        ] {
            assert!(count(&plot(losses), SMOOTH) > 20, "{losses:?}");
        }
    }

    #[test]
    fn decades_make_the_axis_logarithmic() {
        assert!(ranges(&[(1.0, 10.0), (2.0, 0.1)]).2);
        assert!(!ranges(&[(1.0, 10.0), (2.0, 0.2)]).2);
        assert!(!ranges(&[(1.0, 10.0), (2.0, 0.0)]).2);
    }

    #[test]
    fn the_average_has_no_bias_and_follows() {
        let constant: Vec<_> = (0..10).map(|step| (f64::from(step), 3.0)).collect();
        assert!(smoothed(&constant).iter().all(|point| (point.1 - 3.0).abs() < 1e-12));
        // Over 5 steps the decay is 2/3: (2/3 * 1/3 * 1 + 1/3 * 4) / (2/3 * 1/3 + 1/3).
        let average = smoothed(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 4.0)]);
        assert!(average[1].1.is_nan());
        assert!((average[2].1 - 2.8).abs() < 1e-12);
        assert_eq!(smoothed_loss(&[(1, 1.0), (2, 4.0), (3, f32::NAN)]), Some(2.8));
        assert_eq!(smoothed_loss(&[(3, f32::NAN)]), None);
    }

    #[test]
    fn labels_are_short() {
        for (loss, expected) in
            [(0.0, "0"), (0.25, "0.25"), (100.0, "100"), (1e-5, "1.0e-5"), (-2e6, "-2.0e6")]
        {
            assert_eq!(label(loss), expected);
        }
    }
}
