//! The plots: a bar for each peer with its spread, lateness as percentile curves, and cost against the number of
//! targets.

use crate::Figures;
use crate::beats::Crowd;
use crate::lateness::Setting;
use crate::works::Work;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

/// A plot: its file, and what it shows.
pub(crate) struct Plot {
    pub(crate) file: String,
    pub(crate) alt: String,
}

/// Ours stands out; the others have a colour each.
fn colour(name: &str) -> RGBColor {
    let others = [
        ("heap_condvar", RGBColor(0x2b, 0x6c, 0xb0)),
        ("btree_notify", RGBColor(0x2f, 0x85, 0x5a)),
        ("delay_queue_mutex", RGBColor(0x80, 0x5a, 0xd5)),
        ("delay_queue_channel", RGBColor(0xb8, 0x3b, 0x8f)),
        ("kube_scheduler", RGBColor(0x8a, 0x6d, 0x1b)),
        ("wheel_mutex", RGBColor(0x31, 0x97, 0x95)),
        ("watch_sleep_until", RGBColor(0x9b, 0x2c, 0x2c)),
        ("crossbeam_actor", RGBColor(0x55, 0x3c, 0x9a)),
        ("bare_park_timeout", RGBColor(0x1a, 0x1a, 0x1a)),
        ("bare_sleep_until", RGBColor(0x80, 0x80, 0x80)),
    ];
    match name {
        "reveille" => RGBColor(0xd9, 0x48, 0x01),
        "reveille_precise" => RGBColor(0x7c, 0x2d, 0x12),
        "reveille_inline" | "reveille_inline_leeway" => RGBColor(0xb4, 0x53, 0x09),
        "reveille_by_key" | "reveille_tokio" => RGBColor(0xf1, 0x8d, 0x3c),
        _ => others
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(RGBColor(0x5b, 0x7d, 0xb1), |&(_, colour)| colour),
    }
}

/// All of them, into this directory.
pub(crate) fn draw(figures: &Figures, into: &Path) -> Result<Vec<Plot>, Box<dyn Error>> {
    let mut plots = Vec::new();
    for work in &figures.works {
        let file = format!("{}.svg", slug(&work.name));
        bars(work, &into.join(&file))?;
        plots.push(Plot { file, alt: format!("{}: nanoseconds an operation, by peer", work.name) });
    }
    for setting in &figures.lateness {
        let file = format!("{}.svg", slug(&setting.name));
        curves(setting, &into.join(&file))?;
        plots.push(Plot { file, alt: format!("{}, as percentile curves", setting.name) });
    }
    if figures.beats.len() > 1 {
        let what = [
            ("cpu-of-beats.svg", "CPU nanoseconds a beat"),
            ("latest-beats.svg", "the latest beat, µs"),
        ];
        for (number, (file, about)) in what.into_iter().enumerate() {
            let figure = if number == 0 {
                |c: &crate::beats::Case| c.cpu
            } else {
                |c: &crate::beats::Case| c.latest
            };
            lines(&figures.beats, about, figure, &into.join(file))?;
            plots.push(Plot {
                file: file.to_owned(),
                alt: format!("{about}, against the number of targets"),
            });
        }
    }
    Ok(plots)
}

fn slug(name: &str) -> String {
    let kept = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let mut slug: String = kept.collect();
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    slug
}

fn bars(work: &Work, file: &Path) -> Done {
    let cases = &work.cases;
    let height = 70 + 34 * cases.len() as u32;
    let root = SVGBackend::new(file, (760, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = cases.iter().map(|case| case.quartiles[1].max(case.median)).fold(1.0, f64::max);
    let least = cases.iter().map(|case| case.quartiles[0]).fold(f64::MAX, f64::min);
    let from = 10_f64.powf(least.max(0.1).log10().floor());
    let mut chart = ChartBuilder::on(&root)
        .caption(&work.name, ("sans-serif", 16))
        .margin(8)
        .margin_right(90)
        .x_label_area_size(28)
        .y_label_area_size(150)
        .build_cartesian_2d((from..most * 1.3).log_scale(), 0.0..cases.len() as f64)?;
    let names = |at: &f64| {
        let place = cases.len() as f64 - at;
        let middle = (place - 0.5).round();
        let on = (place - 0.5 - middle).abs() < 0.01;
        cases.get(middle as usize).filter(|_| on).map_or(String::new(), |case| case.name.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(2 * cases.len() + 1)
        .y_label_formatter(&names)
        .x_desc("ns an operation, logarithmic; the line is from quartile to quartile")
        .draw()?;
    for (place, case) in cases.iter().enumerate() {
        let y = cases.len() as f64 - place as f64 - 0.5;
        let bar = [(from, y - 0.3), (case.median, y + 0.3)];
        chart.draw_series([Rectangle::new(bar, colour(&case.name).filled())])?;
        let spread = vec![(case.quartiles[0], y), (case.quartiles[1], y)];
        chart.draw_series([PathElement::new(spread, BLACK.stroke_width(2))])?;
        let ratio = match place {
            0 => format!("{:.1}", case.median),
            _ => format!("{:.1}   × {:.1}", case.median, case.ratio),
        };
        let at = (case.quartiles[1].max(case.median) * 1.04, y + 0.12);
        chart.draw_series([Text::new(ratio, at, ("sans-serif", 12))])?;
    }
    root.present()?;
    Ok(())
}

/// Percentiles by their distance from 100 %, so that the tail has room.
fn curves(setting: &Setting, file: &Path) -> Done {
    let root = SVGBackend::new(file, (760, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let parts: Vec<f64> = (0..=40).map(|step| 10_f64.powf(-f64::from(step) / 40.0 * 2.3)).collect();
    let micros = |nanos: u64| nanos as f64 / 1_000.0;
    let (mut least, mut most) = (f64::MAX, 1.0_f64);
    let mut all = Vec::new();
    for case in &setting.cases {
        let histogram = case.histogram();
        let points: Vec<(f64, f64)> = parts
            .iter()
            .map(|&beyond| {
                (1.0 / beyond, micros(histogram.value_at_quantile(1.0 - beyond)).max(1.0))
            })
            .collect();
        least = points.iter().map(|point| point.1).fold(least, f64::min);
        most = points.iter().map(|point| point.1).fold(most, f64::max);
        all.push((case.name.clone(), points));
    }
    let mut chart = ChartBuilder::on(&root)
        .caption(&setting.name, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(60)
        // Wider than the curves, which end at 200: there is room for the legend beside them.
        .build_cartesian_2d((1.0..2_000.0).log_scale(), (least * 0.8..most * 1.3).log_scale())?;
    let percentile = |beyond: &f64| match *beyond <= 200.0 {
        true => format!("{:.1} %", 100.0 - 100.0 / beyond),
        false => String::new(),
    };
    chart
        .configure_mesh()
        .x_label_formatter(&percentile)
        .x_desc("percentile")
        .y_desc("µs late")
        .draw()?;
    for (name, points) in all {
        let colour = colour(&name);
        let width = if name.starts_with("reveille") { 3 } else { 1 };
        chart.draw_series(LineSeries::new(points, colour.stroke_width(width)))?.label(name).legend(
            move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(width)),
        );
    }
    legend(&mut chart, SeriesLabelPosition::MiddleRight)?;
    root.present()?;
    Ok(())
}

fn lines(
    crowds: &[Crowd],
    about: &str,
    figure: fn(&crate::beats::Case) -> f64,
    file: &Path,
) -> Done {
    let root = SVGBackend::new(file, (760, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut names: Vec<&str> = Vec::new();
    for case in crowds.iter().flat_map(|crowd| &crowd.cases) {
        if !names.contains(&case.name.as_str()) {
            names.push(&case.name);
        }
    }
    let values = || crowds.iter().flat_map(|crowd| &crowd.cases).map(figure);
    let (least, most) = (values().fold(f64::MAX, f64::min).max(1.0), values().fold(1.0, f64::max));
    let widest = crowds.iter().map(|crowd| f64::from(crowd.targets)).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(about, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(70)
        // Wider than the lines: there is room for the legend beside them.
        .build_cartesian_2d(
            (0.8..widest * 50.0).log_scale(),
            (least * 0.7..most * 1.4).log_scale(),
        )?;
    let targets = |targets: &f64| match *targets <= widest {
        true => format!("{targets}"),
        false => String::new(),
    };
    chart
        .configure_mesh()
        .x_label_formatter(&targets)
        .x_desc("targets that beat")
        .y_desc(about)
        .draw()?;
    for name in names {
        let points = crowds.iter().filter_map(|crowd| {
            let case = crowd.cases.iter().find(|case| case.name == name)?;
            Some((f64::from(crowd.targets), figure(case).max(1.0)))
        });
        let (colour, points) = (colour(name), points.collect::<Vec<_>>());
        let width = if name.starts_with("reveille") { 3 } else { 1 };
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
        chart.draw_series(LineSeries::new(points, colour.stroke_width(width)))?.label(name).legend(
            move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(width)),
        );
    }
    legend(&mut chart, SeriesLabelPosition::MiddleRight)?;
    root.present()?;
    Ok(())
}

fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Done
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 11))
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(())
}
