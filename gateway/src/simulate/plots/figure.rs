//! A figure, drawn by plotters as SVG that follows the page's colours.

use plotters::prelude::{
    AreaSeries, ChartBuilder, Circle, Color as _, DashedLineSeries, DrawingArea,
    DrawingAreaErrorKind, IntoDrawingArea as _, IntoFont as _, LineSeries, PointSeries, RGBColor,
    SVGBackend, TRANSPARENT, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::error::Error;
use super::Plot;

/// In units of the SVG; the page scales it.
const SIZE: (u32, u32) = (720, 280);
/// Colours are names here: the page's style sheet says what they look like in light and dark.
const INK: RGBColor = RGBColor(0x11, 0x11, 0x11);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// A colour of the page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Colour {
    A,
    B,
    C,
}

impl Colour {
    fn rgb(self) -> RGBColor {
        match self {
            Self::A => RGBColor(0x0B, 0x5C, 0xAD),
            Self::B => RGBColor(0xC2, 0x41, 0x0C),
            Self::C => RGBColor(0x15, 0x80, 0x3D),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }
}

/// How points become a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    Area,
    Line,
    Dashed,
    Dots,
}

#[derive(Debug)]
pub(super) struct Curve {
    label: &'static str,
    colour: Colour,
    mark: Mark,
    points: Vec<(f64, f64)>,
}

impl Curve {
    pub(super) fn new(
        label: &'static str,
        colour: Colour,
        mark: Mark,
        points: Vec<(f64, f64)>,
    ) -> Self {
        Self {
            label,
            colour,
            mark,
            points,
        }
    }
}

#[derive(Debug)]
pub(super) struct Figure {
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// What is higher is cut off; by default nothing is.
    pub(super) top: Option<f64>,
    pub(super) curves: Vec<Curve>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Failed = DrawingAreaErrorKind<std::io::Error>;

impl Figure {
    /// The picture, for the pool of that name.
    pub(super) fn draw(self, pool: &str) -> Result<Plot, Error> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = self.draw_on(&area).and_then(|()| area.present());
        drop(area);
        drawn.map_err(|error| Error::Plot(error.to_string()))?;
        Ok(Plot {
            svg: self.within_a_page(&svg, pool),
            title: self.title,
            caption: self.caption,
            keys: self.curves.iter().map(|c| (c.key(), c.label)).collect(),
        })
    }

    fn draw_on(&self, area: &Area<'_>) -> Result<(), Failed> {
        let (right, top) = self.ends();
        let font = ("sans-serif", 15).into_font().color(&INK);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(font.clone())
            .x_label_formatter(&|x| tick(*x))
            .y_label_formatter(&|y| tick(*y))
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style(font.clone())
            .draw()?;
        for curve in &self.curves {
            let colour = curve.colour.rgb();
            let points = curve.points.iter().map(|(x, y)| (*x, y.min(top)));
            match curve.mark {
                Mark::Area => {
                    let series = AreaSeries::new(points, 0.0, colour.mix(0.3));
                    chart.draw_series(series.border_style(colour.stroke_width(2)))?;
                }
                Mark::Line => {
                    chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
                }
                Mark::Dashed => {
                    let style = colour.stroke_width(2);
                    chart.draw_series(DashedLineSeries::new(points, 6, 4, style))?;
                }
                Mark::Dots => {
                    let style = colour.mix(0.5).filled();
                    chart.draw_series(PointSeries::of_element(
                        points,
                        3,
                        style,
                        &|at, size, style| Circle::new(at, size, style),
                    ))?;
                }
            }
        }
        if self.curves.iter().all(|curve| curve.points.is_empty()) {
            let style = font.pos(Pos::new(HPos::Center, VPos::Center));
            let middle = (SIZE.0.cast_signed() / 2, SIZE.1.cast_signed() / 2);
            area.draw(&Text::new("Nobody had to wait", middle, style))?;
        }
        Ok(())
    }

    /// The ends of both axes, with a little room, and never 0.
    fn ends(&self) -> (f64, f64) {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let right = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let top = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.05;
        let top = self.top.map_or(top, |most| most.min(top));
        (right.max(1.0) * 1.02, top.max(1.0))
    }

    /// As an element of a page: no size of its own, no name space, and words for those who do not see it.
    fn within_a_page(&self, svg: &str, pool: &str) -> String {
        let inside = svg.split_once('>').map_or("", |(_, inside)| inside);
        let labels: Vec<_> = self.curves.iter().map(|curve| curve.label).collect();
        let title = format!(
            "{} at {pool}: {} over {}",
            self.title,
            labels.join(", "),
            self.x
        );
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        let (width, height) = SIZE;
        format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{title}</title>{inside}")
    }
}

impl Curve {
    fn key(&self) -> &'static str {
        if self.mark == Mark::Dashed {
            return "c dashed";
        }
        self.colour.class()
    }
}

/// A number beside an axis.
fn tick(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
