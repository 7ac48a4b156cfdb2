//! The text of INFO: sections of `name:value` lines.

use std::fmt::{Display, Write as _};

/// INFO's text in the making.
#[derive(Default)]
pub struct Lines {
    text: String,
}

impl Lines {
    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\r\n" };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{gap}# {title}\r\n");
    }

    /// Adds a line.
    pub fn put(&mut self, name: impl Display, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Adds a line for a truth, as 1 or 0.
    pub fn flag(&mut self, name: &str, on: bool) {
        self.put(name, u8::from(on));
    }

    /// Adds a line with two decimals.
    pub fn decimal(&mut self, name: &str, value: f64) {
        self.put(name, format_args!("{value:.2}"));
    }

    /// Adds a line in bytes and one for people, `<name>_human`.
    pub fn size(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.human(name, bytes);
    }

    /// Adds the line `<name>_human` alone.
    pub fn human(&mut self, name: &str, bytes: u64) {
        self.put(format_args!("{name}_human"), human(bytes));
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A ratio; 0 where there is nothing to compare with.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A number of bytes for people, as Redis writes it.
fn human(bytes: u64) -> String {
    const UNITS: [(u32, char); 5] = [(50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match UNITS.iter().find(|(bits, _)| bytes >> bits > 0) {
        Some((bits, unit)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << bits) as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let table = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_088_272, "1.04M"),
            (25_276_502_016, "23.54G"),
            (1 << 41, "2.00T"),
        ];
        table.iter().for_each(|(bytes, text)| assert_eq!(human(*bytes), *text));
    }

    #[test]
    fn sections_are_apart() {
        let mut lines = Lines::default();
        lines.section("A");
        lines.flag("x", true);
        lines.section("B");
        lines.decimal("y", 1.0);
        lines.size("z", 2048);
        assert_eq!(lines.into_text(), "# A\r\nx:1\r\n\r\n# B\r\ny:1.00\r\nz:2048\r\nz_human:2.00K\r\n");
    }
}
