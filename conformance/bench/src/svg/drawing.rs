//! Shapes and words of a plot, and the ticks of its axes.

use std::fmt::Write;

/// What is drawn, and how large it is.
pub struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

/// Which end of a text is at its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Drawing {
    /// Nothing on white, with a title at the top.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut drawing = Self {
            width,
            height,
            body: String::new(),
        };
        drawing.rectangle([0.0, 0.0, width, height], "white");
        drawing.element(&format!(
            r#"<text x="10" y="20" font-size="14" font-weight="bold">{}</text>"#,
            escaped(title)
        ));
        drawing
    }

    /// `[x, y, width, height]`, filled.
    pub fn rectangle(&mut self, [x, y, width, height]: [f64; 4], colour: &str) {
        self.element(&format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        ));
    }

    /// From the first point through all others.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.element(&format!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}"/>"#,
            points.join(" ")
        ));
    }

    /// A dot on a line.
    pub fn dot(&mut self, (x, y): (f64, f64), colour: &str) {
        self.element(&format!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#
        ));
    }

    /// Words at a point of their base line.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, colour: &str, words: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.element(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{}</text>"#,
            escaped(words)
        ));
    }

    fn element(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// The whole file.
    pub fn finish(self) -> String {
        let (width, height) = (self.width, self.height);
        let mut file = String::new();
        // Writing to a string can't fail.
        let _ = writeln!(
            file,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="11">"#
        );
        file + &self.body + "</svg>\n"
    }
}

/// Text as XML wants it.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}

/// Round numbers from 0 up to `most`, four to ten of them.
pub fn ticks(most: f64) -> Vec<f64> {
    if !most.is_finite() || most <= 0.0 {
        return vec![0.0];
    }
    let magnitude = 10_f64.powf(most.log10().floor());
    let steps = [0.1, 0.2, 0.25, 0.5, 1.0].map(|share| share * magnitude);
    let step = steps.into_iter().find(|step| most / step <= 9.0);
    let step = step.unwrap_or(2.0 * magnitude);
    let numbers = (0_u8..).map(|index| f64::from(index) * step);
    numbers.take_while(|number| *number <= most).collect()
}

/// A number without a needless fraction.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_neither_few_nor_many() {
        assert_eq!(ticks(1000.0), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(ticks(3.3), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        for most in [0.017, 1.0, 7.3, 9.99, 100.0, 18000.0] {
            assert!(
                (4..=10).contains(&ticks(most).len()),
                "{most}: {:?}",
                ticks(most)
            );
        }
        assert_eq!(ticks(0.0), [0.0]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.5, 100.0, 2.25, 0.0].map(number),
            ["0.5", "100", "2.25", "0"]
        );
    }

    #[test]
    fn a_drawing_is_xml() {
        let mut drawing = Drawing::new(10.0, 20.0, "a < b & c");
        drawing.line(&[(0.0, 1.0), (2.0, 3.0)], "black", 1.0);
        drawing.text((1.0, 2.0), Anchor::End, "red", "x>y");
        let file = drawing.finish();
        assert!(
            file.starts_with("<svg xmlns=") && file.ends_with("</svg>\n"),
            "{file}"
        );
        for part in ["a &lt; b &amp; c", r#"points="0.0,1.0 2.0,3.0""#, "x&gt;y"] {
            assert!(file.contains(part), "{part} in {file}");
        }
    }
}
