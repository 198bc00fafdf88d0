//! Plots: groups of bars, or lines, as self-contained SVG.

use std::fmt::Write as _;

use super::{
    figures,
    svg::{Drawing, LEFT, RIGHT},
};

/// A plot. Missing values are left out; the vertical axis begins at zero.
#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    unit: String,
    /// The names of the series, in the order of colours; ours comes first.
    series: Vec<String>,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// The groups: the name below each, and one value per series.
    Bars(Vec<(String, Vec<Option<f64>>)>),
    /// The name of the horizontal axis, and the points of each series.
    Lines(String, Vec<Vec<(f64, f64)>>),
}

impl Plot {
    /// Begins a plot of groups of bars, with one bar per series in each group. `unit` names the vertical axis.
    pub fn bars<S: Into<String>>(
        title: impl Into<String>,
        unit: impl Into<String>,
        series: impl IntoIterator<Item = S>,
    ) -> Self {
        let series = series.into_iter().map(Into::into).collect();
        Self { title: title.into(), unit: unit.into(), series, shape: Shape::Bars(Vec::new()) }
    }

    /// Begins a plot of lines. The horizontal axis is logarithmic if its values are far apart.
    pub fn lines(title: impl Into<String>, horizontal: impl Into<String>, unit: impl Into<String>) -> Self {
        let shape = Shape::Lines(horizontal.into(), Vec::new());
        Self { title: title.into(), unit: unit.into(), series: Vec::new(), shape }
    }

    /// Adds a group of bars: a value for each series, in their order.
    ///
    /// # Panics
    /// The plot is one of lines.
    pub fn group(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) {
        let Shape::Bars(groups) = &mut self.shape else { panic!("a plot of lines has no groups") };
        groups.push((name.into(), values.into_iter().collect()));
    }

    /// Adds a line.
    ///
    /// # Panics
    /// The plot is one of bars.
    pub fn line(&mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) {
        let Shape::Lines(_, lines) = &mut self.shape else { panic!("a plot of bars has no lines") };
        lines.push(points.into_iter().collect());
        self.series.push(name.into());
    }

    /// Draws all plots below each other, as one SVG file.
    pub(super) fn page(plots: &[Self]) -> String {
        let mut page = Drawing::default();
        for plot in plots {
            plot.draw(&mut page);
        }
        page.finish()
    }

    fn draw(&self, page: &mut Drawing) {
        page.begin_chart(&self.title, &self.unit, &self.series);
        match &self.shape {
            Shape::Bars(groups) => self.draw_bars(page, groups),
            Shape::Lines(horizontal, lines) => self.draw_lines(page, horizontal, lines),
        }
        page.end_chart();
    }

    fn draw_bars(&self, page: &mut Drawing, groups: &[(String, Vec<Option<f64>>)]) {
        let top = groups.iter().flat_map(|(_, values)| values).flatten().fold(0.0, |top: f64, value| top.max(*value));
        let scale = page.vertical_axis(top);
        let group_width = (RIGHT - LEFT) / groups.len().max(1) as f64;
        let bar = (group_width * 0.84 / self.series.len().max(1) as f64).min(40.0);
        for (at, (name, values)) in groups.iter().enumerate() {
            let middle = LEFT + group_width * (at as f64 + 0.5);
            let mut x = middle - bar * values.len() as f64 / 2.0;
            for (series, value) in values.iter().enumerate() {
                if let Some(value) = value {
                    let tooltip = format!("{name}, {}: {}", self.series[series], figures::plain(*value));
                    page.bar(x, value * scale, bar, series, &tooltip);
                }
                x += bar;
            }
            page.below(middle, name);
        }
    }

    fn draw_lines(&self, page: &mut Drawing, horizontal: &str, lines: &[Vec<(f64, f64)>]) {
        let points = || lines.iter().flatten();
        let scale = page.vertical_axis(points().fold(0.0, |top: f64, point| top.max(point.1)));
        let mut ticks: Vec<f64> = points().map(|point| point.0).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let (Some(&first), Some(&last)) = (ticks.first(), ticks.last()) else { return };
        let on_axis = |x: f64| if first > 0.0 && last / first > 20.0 { x.ln() } else { x };
        let width = (on_axis(last) - on_axis(first)).max(f64::MIN_POSITIVE);
        let across = |x: f64| LEFT + 20.0 + (RIGHT - LEFT - 40.0) * (on_axis(x) - on_axis(first)) / width;
        for (series, line) in lines.iter().enumerate() {
            let mut path = String::new();
            for &(x, y) in line {
                let tooltip = format!("{}, {}: {}", self.series[series], figures::plain(x), figures::plain(y));
                page.dot(across(x), y * scale, series, &tooltip);
                write!(path, "{:.1},{:.1} ", across(x), page.up(y * scale)).expect("a String has room");
            }
            page.polyline(path.trim_end(), series);
        }
        // Names that would overlap are left out.
        let mut free = LEFT;
        for tick in ticks {
            if across(tick) >= free {
                page.below(across(tick), &figures::per_second(tick));
                free = across(tick) + 50.0;
            }
        }
        page.below_all(horizontal);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::svg::CHART_HEIGHT, *};

    #[test]
    fn bars_are_as_high_as_their_values() {
        let mut plot = Plot::bars("Receive & send", "ns", ["ours", "theirs"]);
        plot.group("16 B", [Some(5.0), Some(10.0)]);
        plot.group("1 KiB", [None, Some(2.5)]);
        let page = Plot::page(&[plot]);
        for height in [CHART_HEIGHT / 2.0, CHART_HEIGHT, CHART_HEIGHT / 4.0] {
            assert!(page.contains(&format!("height=\"{height:.1}\"")), "{height} in {page}");
        }
        assert_eq!(page.matches("class=\"bar").count(), 3);
        assert!(page.contains("Receive &amp; send"));
    }

    #[test]
    fn lines_go_through_their_points() {
        let mut plot = Plot::lines("Scale", "connections", "µs");
        plot.line("1 worker", [(100.0, 2.0), (1000.0, 2.0), (10_000.0, 4.0)]);
        let page = Plot::page(&[plot.clone(), plot]);
        assert_eq!((page.matches("<polyline").count(), page.matches("<circle").count()), (2, 6));
        assert!(page.contains("10 k"));
    }

    #[test]
    fn a_plot_without_values_can_be_drawn() {
        let bars = Plot::bars("Nothing", "ns", ["ours"]);
        assert!(Plot::page(&[bars, Plot::lines("Nothing", "connections", "ns")]).ends_with("</svg>\n"));
    }
}
