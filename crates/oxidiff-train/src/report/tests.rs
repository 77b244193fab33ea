use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};

use super::*;

fn options(folder: &Path) -> ReportOptions {
    ReportOptions { quiet: true, ..ReportOptions::new(folder, "run", 10, 4) }
}

fn step(step: u64, loss: f32) -> Step<'static> {
    Step { step, epoch: step / 5, loss, learning_rate: 1e-4, extra: &[] }
}

/// The rows of the CSV log, the header first.
fn rows(folder: &Path) -> Vec<Vec<String>> {
    let path = folder.join("logs/run/metrics.csv");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn steps(folder: &Path) -> Vec<String> {
    rows(folder).into_iter().skip(1).map(|mut row| row.swap_remove(0)).collect()
}

#[test]
fn steps_are_in_the_log_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    report.step(&step(1, 0.123_456_79)).unwrap();
    report.step(&step(2, f32::NAN)).unwrap();
    report.step(&step(5, f32::INFINITY)).unwrap();
    let rows = rows(folder.path());
    assert_eq!(rows[0], ["step", "epoch", "loss", "lr", "images_per_second", "seconds"]);
    assert_eq!(rows[1][..4], ["1", "0", "0.12345679", "0.0001"]);
    assert_eq!(rows[2][..4], ["2", "0", "NaN", "0.0001"]);
    assert_eq!(rows[3][..4], ["5", "1", "inf", "0.0001"]);
    assert!(rows[1][4].parse::<f64>().unwrap() > 0.0);
    assert!(rows[3][5].parse::<f64>().unwrap() >= rows[1][5].parse::<f64>().unwrap());
}

#[test]
fn further_metrics_get_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    report.step(&step(1, 1.0)).unwrap();
    report.step(&Step { extra: &[("ema_decay", 0.5)], ..step(2, 1.0) }).unwrap();
    report.step(&Step { extra: &[("prior, loss", 0.25), ("ema_decay", 0.75)], ..step(3, 1.0) }).unwrap();
    report.step(&step(4, 1.0)).unwrap();
    let rows = rows(folder.path());
    let further: Vec<_> = rows.iter().map(|row| &row[6..]).collect();
    assert_eq!(further, [["ema_decay", "prior, loss"], ["", ""], ["0.5", ""], ["0.75", "0.25"], ["", ""]]);
    drop(report);
    let report = Report::open(ReportOptions { start_step: 3, ..options(folder.path()) }).unwrap();
    drop(report);
    assert_eq!(self::rows(folder.path()), rows[..4]);
}

#[test]
fn names_that_are_taken_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    for extra in [&[("lr", 1.0)][..], &[("", 1.0)], &[("a\nb", 1.0)], &[("a", 1.0), ("a", 2.0)]] {
        let error = report.step(&Step { extra, ..step(1, 1.0) }).unwrap_err().to_string();
        assert!(error.starts_with("extra: "), "{error}");
    }
    report.step(&step(1, 1.0)).unwrap();
    let error = report.step(&step(1, 1.0)).unwrap_err().to_string();
    assert_eq!(error, "step: 1 was reported after 1");
    assert_eq!(steps(folder.path()), ["1"]);
}

#[test]
fn a_resumed_training_goes_on_after_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    for number in 1..=6 {
        report.step(&step(number, number as f32)).unwrap();
    }
    let seconds: f64 = rows(folder.path())[4][5].parse().unwrap();
    drop(report);
    // The process was killed while it wrote the seventh row.
    let path = folder.path().join("logs/run/metrics.csv");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "7,1,0.").unwrap();
    let mut report = Report::open(ReportOptions { start_step: 4, ..options(folder.path()) }).unwrap();
    assert_eq!(steps(folder.path()), ["1", "2", "3", "4"]);
    report.step(&step(5, 0.5)).unwrap();
    assert_eq!(steps(folder.path()), ["1", "2", "3", "4", "5"]);
    assert!(rows(folder.path())[5][5].parse::<f64>().unwrap() >= seconds);
    let summary = report.finish().unwrap();
    assert_eq!((summary.first_loss, summary.last_loss, summary.last_step), (Some(1.0), Some(0.5), 5));
    // Both sessions have an event file.
    let files = fs::read_dir(folder.path().join("logs/run")).unwrap();
    let events =
        files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("tfevents"));
    assert_eq!(events.count(), 2);
}

#[test]
fn a_new_training_begins_new_logs() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    report.step(&Step { extra: &[("ema_decay", 0.5)], ..step(1, 1.0) }).unwrap();
    drop(report);
    drop(Report::open(options(folder.path())).unwrap());
    assert_eq!(rows(folder.path()).len(), 1);
    assert_eq!(rows(folder.path())[0].len(), 6);
}

#[test]
fn a_log_that_was_changed_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/run/metrics.csv");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let header = "step,epoch,loss,lr,images_per_second,seconds\n";
    for (contents, line, expected) in [
        ("a,b\n1,2\n".to_owned(), 1, "the columns do not begin with step,epoch,"),
        (format!("{header}1,0,0.5,1e-4,3,1\n2,0,x,1e-4,3,1\n"), 3, "loss is \"x\""),
        (format!("{header}1,0,0.5,1e-4,3\n"), 2, "has 5 values, the header names 6"),
        (format!("{header}2,0,1,1,3,1\n2,0,1,1,3,1\n"), 3, "step 2 follows step 2"),
        (format!("{header}-1,0,1,1,3,1\n"), 2, "step is \"-1\""),
    ] {
        fs::write(&path, &contents).unwrap();
        let error = Report::open(ReportOptions { start_step: 5, ..options(folder.path()) }).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(&format!("metrics.csv, line {line}: {expected}")), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
    }
    fs::write(&path, [b'a', 0xff, b'\n']).unwrap();
    let error = Report::open(options(folder.path())).unwrap_err().to_string();
    assert!(error.contains("metrics.csv, line 1: is no text in UTF-8"), "{error}");
    for contents in ["", "step,epo"] {
        fs::write(&path, contents).unwrap();
        drop(Report::open(options(folder.path())).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), header);
    }
}

#[test]
fn samples_become_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    let images: Vec<_> = (0..3).map(|colour| RgbImage::from_pixel(8, 8, Rgb([colour * 50, 7, 9]))).collect();
    let samples =
        Samples { step: 500, tag: "validation", prompts: &["a dög", "b"], images: &images, columns: None };
    let path = report.images(&samples).unwrap();
    assert_eq!(path, folder.path().join("samples/step-000500.png"));
    let picture = image::open(&path).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (16, 16));
    for (index, (x, y)) in [(0, 0), (8, 0), (0, 8)].into_iter().enumerate() {
        assert_eq!(picture.get_pixel(x, y).0, [index as u8 * 50, 7, 9]);
    }
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&path).unwrap()));
    let reader = decoder.read_info().unwrap();
    let description = &reader.info().utf8_text[0];
    assert_eq!((&*description.keyword, &*description.get_text().unwrap()), ("Description", "a dög\nb"));
    let error = report.images(&Samples { images: &[], step: 501, ..samples }).unwrap_err().to_string();
    assert_eq!(error, "images: there are none");
    assert!(!folder.path().join("samples/step-000501.png").exists());
}

#[test]
fn the_end_leaves_a_plot_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::open(options(folder.path())).unwrap();
    for (number, loss) in [(1, 4.0), (2, f32::NAN), (3, 4.0)] {
        report.step(&step(number, loss)).unwrap();
    }
    let summary = report.finish().unwrap();
    assert_eq!(summary.smoothed_loss, Some(4.0));
    assert!(summary.images_per_second > 0.0 && summary.seconds > 0.0);
    assert!(summary.metrics.unwrap().is_file() && summary.events.unwrap().is_file());
    let plot = image::open(summary.plot.unwrap()).unwrap().to_rgb8();
    assert!(plot.pixels().any(|pixel| pixel.0 != [255; 3]));
}

#[test]
fn without_a_logger_there_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let report = Report::open(ReportOptions { logger: Logger::None, ..options(folder.path()) }).unwrap();
    let summary = report.finish().unwrap();
    assert_eq!((summary.plot, summary.metrics, summary.events), (None, None, None));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let of = |change: fn(&mut ReportOptions)| {
        let mut options = options(folder.path());
        change(&mut options);
        Report::open(options).unwrap_err().to_string()
    };
    for name in ["", ".", "..", "a/b", "/a"] {
        let options = ReportOptions { run_name: name.into(), ..options(folder.path()) };
        assert!(Report::open(options).unwrap_err().to_string().starts_with("run_name: "), "{name}");
    }
    assert_eq!(of(|options| options.batch_size = 0), "batch_size: must be at least 1");
    assert_eq!(of(|options| options.start_step = 11), "start_step: 11 is after the last step, 10");
    assert_eq!(of(|options| options.loss_tag.clear()), "loss_tag: is empty");
}

#[test]
fn loggers_have_the_names_of_report_to() {
    assert_eq!("tensorboard".parse::<Logger>().unwrap(), Logger::Both);
    assert_eq!("none".parse::<Logger>().unwrap(), Logger::None);
    for name in ["wandb", "x"] {
        assert!(name.parse::<Logger>().unwrap_err().to_string().starts_with("report_to: "));
    }
}

#[test]
fn time_between_steps_can_be_left_out() {
    let mut clock = Clock::new(10.0);
    let start = clock.last;
    let after = |seconds| start + std::time::Duration::from_secs(seconds);
    assert_eq!(clock.lap(8.0, after(2)), 4.0);
    assert_eq!(clock.smooth_rate, 4.0);
    clock.last = after(60);
    assert_eq!(clock.lap(8.0, after(61)), 8.0);
    assert!((clock.smooth_rate - 4.4).abs() < 1e-12);
    assert_eq!((clock.seconds, clock.seconds_of_session, clock.images), (13.0, 3.0, 16.0));
}
