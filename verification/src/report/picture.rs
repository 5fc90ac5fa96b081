//! An execution as a picture: the same lanes and rows as in text, in SVG.

use svg::Document;
use svg::node::element::{Group, Line, Rectangle, Style, Text, Title};

use super::timeline::{Row, Timeline};

const ROW: usize = 22;
const TOP: usize = 64;
const MARGIN: usize = 16;
const NUMBERS: usize = 36;
/// The advance of a character of the fixed font, in tenths of a pixel.
const ADVANCE: usize = 73;

/// Light and dark, and nothing that only its colour tells: stale reads and the verdict say so.
const STYLE: &str = "\
text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1b1f24 } \
.lane { font-weight: bold } .title { font: bold 14px system-ui, sans-serif } \
.number { fill: #6e7781 } .rule { stroke: #d0d7de } .paper { fill: #ffffff } \
.stale { fill: #9a3412; font-weight: bold } .mark { fill: #ffedd5 } \
.verdict { fill: #b91c1c; font-weight: bold } \
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .paper { fill: #0d1117 } \
.number { fill: #8b949e } .rule { stroke: #30363d } .stale { fill: #fdba74 } \
.mark { fill: #431407 } .verdict { fill: #fca5a5 } }";

/// Draws an execution; `title` says what is seen.
#[must_use]
pub fn svg(timeline: &Timeline, title: &str) -> String {
    let widths: Vec<usize> =
        (0..timeline.lanes.len()).map(|lane| width_of_lane(timeline, lane)).collect();
    let verdict = format!("⇒ {}", timeline.verdict);
    let lanes: usize = widths.iter().sum();
    let width = (MARGIN * 2 + NUMBERS + lanes)
        .max(MARGIN * 2 + width_of(&verdict))
        .max(MARGIN * 2 + width_of(title) * 5 / 4);
    let height = TOP + ROW * timeline.rows.len() + 3 * ROW;
    let mut drawing = Group::new()
        .add(Rectangle::new().set("class", "paper").set("width", width).set("height", height))
        .add(text(MARGIN, 24, "title", title));
    let mut left = MARGIN + NUMBERS;
    for (name, lane) in timeline.lanes.iter().zip(&widths) {
        drawing = drawing.add(text(left, TOP - 14, "lane", name)).add(
            Line::new()
                .set("class", "rule")
                .set("x1", left - 10)
                .set("x2", left - 10)
                .set("y1", TOP - 28)
                .set("y2", TOP + ROW * timeline.rows.len()),
        );
        left += lane;
    }
    for (number, row) in timeline.rows.iter().enumerate() {
        let left = MARGIN + NUMBERS + widths.iter().take(row.lane).sum::<usize>();
        let base = TOP + ROW * number;
        if row.stale.is_some() {
            drawing = drawing.add(
                Rectangle::new()
                    .set("class", "mark")
                    .set("x", left - 6)
                    .set("y", base)
                    .set("width", width_of(&said(row)) + 12)
                    .set("height", ROW - 2)
                    .set("rx", 4),
            );
        }
        let class = if row.stale.is_some() { "stale" } else { "step" };
        let step = text(left, base + 15, class, &said(row)).add(Title::new(&row.at));
        drawing =
            drawing.add(text(MARGIN, base + 15, "number", &(number + 1).to_string())).add(step);
    }
    let below = TOP + ROW * timeline.rows.len() + ROW + 8;
    drawing = drawing.add(text(MARGIN, below, "verdict", &verdict));
    Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("role", "img")
        .add(Title::new(format!("{title} {verdict}")))
        .add(Style::new(STYLE))
        .add(drawing)
        .to_string()
}

fn said(row: &Row) -> String {
    match &row.stale {
        Some(newest) => format!("! {} [stale: newest is {newest}]", row.text),
        None => row.text.clone(),
    }
}

fn width_of(text: &str) -> usize {
    text.chars().count() * ADVANCE / 10 + 1
}

fn width_of_lane(timeline: &Timeline, lane: usize) -> usize {
    let rows = timeline.rows.iter().filter(|row| row.lane == lane);
    let longest = rows.map(|row| width_of(&said(row))).max().unwrap_or_default();
    longest.max(width_of(&timeline.lanes[lane])) + 28
}

fn text(x: usize, y: usize, class: &str, content: &str) -> Text {
    Text::new(content).set("x", x).set("y", y).set("class", class)
}
