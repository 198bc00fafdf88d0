//! Draws a page of charts, in colours that are readable on white and on black.

use std::fmt::Write as _;

use super::figures;

/// A page that charts are added to, from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    elements: String,
    /// Where the next chart begins.
    top: f64,
    /// The vertical position of the current chart's zero.
    zero_y: f64,
}

pub(super) const LEFT: f64 = 70.0;
pub(super) const RIGHT: f64 = 940.0;
/// The height of the vertical axis.
pub(super) const CHART_HEIGHT: f64 = 240.0;
const WIDTH: f64 = 960.0;
const TITLE_HEIGHT: f64 = 30.0;
const LEGEND_LINE: f64 = 20.0;
/// The space below an axis, for the names of the groups and of the axis.
const FOOT: f64 = 60.0;

/// Okabe and Ito's colours, which colour-blind readers can tell apart. They are neither near white nor near black.
const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.number { text-anchor: end; }
.name { text-anchor: middle; }
.grid { stroke: #8c959f; stroke-width: 0.5; opacity: 0.5; }
polyline { fill: none; stroke-width: 2; }
.s0 { fill: #0072b2; stroke: #0072b2; } .s1 { fill: #e69f00; stroke: #e69f00; }
.s2 { fill: #009e73; stroke: #009e73; } .s3 { fill: #cc79a7; stroke: #cc79a7; }
.s4 { fill: #d55e00; stroke: #d55e00; } .s5 { fill: #56b4e9; stroke: #56b4e9; }
.s6 { fill: #8c8c8c; stroke: #8c8c8c; } .s7 { fill: #b5a400; stroke: #b5a400; }
rect { stroke: none !important; } polyline { fill: none !important; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .s0 { fill: #3f9ee0; stroke: #3f9ee0; } }
";
const COLOURS: usize = 8;

impl Drawing {
    /// Draws a title, the unit of the vertical axis, and a legend.
    pub(super) fn begin_chart(&mut self, title: &str, unit: &str, series: &[String]) {
        let mut y = self.top + TITLE_HEIGHT - 8.0;
        self.text(LEFT, y, "title", &format!("{title} ({unit})"));
        y += LEGEND_LINE;
        let mut x = LEFT;
        for (at, name) in series.iter().enumerate() {
            let width = 30.0 + 7.0 * name.chars().count() as f64;
            if x + width > RIGHT {
                (x, y) = (LEFT, y + LEGEND_LINE);
            }
            let colour = at % COLOURS;
            self.element(format_args!(
                r#"<rect class="s{colour}" x="{x:.1}" y="{:.1}" width="11" height="11"/>"#,
                y - 10.0
            ));
            self.text(x + 16.0, y, "legend", name);
            x += width;
        }
        self.zero_y = y + LEGEND_LINE + CHART_HEIGHT;
    }

    pub(super) fn end_chart(&mut self) {
        self.top = self.zero_y + FOOT;
    }

    /// Draws the grid of an axis that reaches `highest`. Returns the height of one unit.
    pub(super) fn vertical_axis(&mut self, highest: f64) -> f64 {
        let step = tick_step(highest);
        let count = (highest / step).ceil().max(1.0);
        let scale = CHART_HEIGHT / (count * step);
        for at in 0..=count as usize {
            let value = at as f64 * step;
            let y = self.up(value * scale);
            self.element(format_args!(r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}"/>"#));
            let number = if value == 0.0 { "0".to_owned() } else { tick_name(value) };
            self.text(LEFT - 8.0, y + 4.0, "number", &number);
        }
        scale
    }

    /// Returns the vertical position of a point `height` above zero.
    pub(super) fn up(&self, height: f64) -> f64 {
        self.zero_y - height
    }

    pub(super) fn bar(&mut self, x: f64, height: f64, width: f64, series: usize, tooltip: &str) {
        let (y, colour, tooltip) = (self.up(height), series % COLOURS, escaped(tooltip));
        self.element(format_args!(
            r#"<rect class="bar s{colour}" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}"><title>{tooltip}</title></rect>"#,
            width * 0.9
        ));
    }

    pub(super) fn dot(&mut self, x: f64, height: f64, series: usize, tooltip: &str) {
        let (y, colour, tooltip) = (self.up(height), series % COLOURS, escaped(tooltip));
        self.element(format_args!(
            r#"<circle class="s{colour}" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{tooltip}</title></circle>"#
        ));
    }

    pub(super) fn polyline(&mut self, points: &str, series: usize) {
        self.element(format_args!(r#"<polyline class="s{}" points="{points}"/>"#, series % COLOURS));
    }

    /// Draws a name below the axis, with a line break at each comma.
    pub(super) fn below(&mut self, middle: f64, name: &str) {
        for (at, line) in name.split(", ").enumerate() {
            self.text(middle, self.zero_y + 16.0 + 14.0 * at as f64, "name", line);
        }
    }

    pub(super) fn below_all(&mut self, name: &str) {
        self.text(f64::midpoint(LEFT, RIGHT), self.zero_y + 36.0, "name", name);
    }

    pub(super) fn finish(self) -> String {
        let height = self.top;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">\n\
             <style>\n{STYLE}</style>\n{}</svg>\n",
            self.elements
        )
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let text = escaped(text);
        self.element(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.elements, "{element}").expect("a String has room");
    }
}

/// Returns one, two or five times a power of ten, so that an axis has about five lines.
fn tick_step(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((highest / 5.0).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * power).find(|step| highest / step <= 6.0).unwrap_or(10.0 * power)
}

fn tick_name(value: f64) -> String {
    if value < 1000.0 { format!("{}", (value * 1e6).round() / 1e6) } else { figures::per_second(value) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_about_five_round_numbers() {
        for (highest, step) in [(10.0, 2.0), (7.3, 2.0), (100.0, 20.0), (1.05, 0.2), (0.0, 1.0), (30.0, 5.0)] {
            assert!((tick_step(highest) - step).abs() < 1e-9, "{highest}: {}", tick_step(highest));
        }
        assert_eq!((tick_name(0.2 * 3.0), tick_name(2e6)), ("0.6".to_owned(), "2 M".to_owned()));
    }
}
