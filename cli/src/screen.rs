//! How things are written for a person.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use shared::mail::{Reply, Timestamp};

use crate::exit::Outcome;

/// Where output goes: what it can show, and whether a machine reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Colours may be used.
    pub(crate) colour: bool,
    /// Columns of the terminal; `None` where it is none, and nothing is cut.
    pub(crate) width: Option<usize>,
}

/// What a word tells, and so its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Heading,
    Good,
    Waiting,
    Bad,
    Quiet,
}

impl Screen {
    /// The text in the colour of `tone`.
    pub(crate) fn tint(self, tone: Tone, text: &str) -> Cow<'_, str> {
        if !self.colour {
            return Cow::Owned(text.to_owned());
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Waiting => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        Cow::Owned(format!("\x1b[{code}m{text}\x1b[0m"))
    }
}

/// One JSON document and a line break.
pub(crate) fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Outcome {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(out.write_all(b"\n")?)
}

/// Text that came from outside, without what a terminal would obey or a reader could not see.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let hostile = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|letter| if hostile(letter) { '\u{fffd}' } else { letter }).collect())
}

/// A reply on one line.
pub(crate) fn reply_line(reply: &Reply) -> String {
    plain(&reply.to_string()).into_owned()
}

/// `1997-11-21 09:55:06 UTC`
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or(text.clone(), |text| format!("{} UTC", text.replace('T', " ")))
}

/// `09:55:06`
pub(crate) fn time_of_day(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// A span in its two largest units: `3 d 4 h`, `2 h 5 min`, `40 s`, `120 ms`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{seconds} s"),
        60..600 => two(minutes, "min", seconds % 60, "s"),
        600..3600 => format!("{minutes} min"),
        3600..86_400 => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// `within 4 min` or `now`, for a due time: where a queue holds the job too, the state's due time has a grace.
pub(crate) fn due(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("within {}", span(at.since(now))) }
}

/// `1,234 octets` or `1.2 MiB`.
pub(crate) fn octets(octets: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let scaled = |unit: u64| octets as f64 / unit as f64;
    match octets {
        0..10_240 => format!("{octets} octets"),
        10_240..1_048_576 => format!("{:.1} KiB", scaled(1 << 10)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", scaled(1 << 20)),
        _ => format!("{:.1} GiB", scaled(1 << 30)),
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Columns of text, each as wide as its widest cell. The last one is cut where the screen ends.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: &'static [usize],
}

impl Table {
    /// A table with these headings; the columns `right` are flush right.
    pub(crate) fn new(headings: &[&str], right: &'static [usize]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()], right }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn write(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let columns = self.rows[0].len();
        let length = |text: &String| text.chars().count();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or(0))
            .collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - length(cell));
                let (before, behind) =
                    if self.right.contains(&column) { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line += &format!("{before}{cell}{behind}  ");
            }
            let line = cut(line.trim_end(), screen.width);
            match index {
                0 => writeln!(out, "{}", screen.tint(Tone::Quiet, &line))?,
                _ => writeln!(out, "{line}")?,
            }
        }
        Ok(())
    }
}

/// The text, ended by `…` where it is wider than the screen.
pub(crate) fn cut(text: &str, width: Option<usize>) -> Cow<'_, str> {
    match width {
        Some(width) if text.chars().count() > width => {
            Cow::Owned(text.chars().take(width.saturating_sub(1)).chain(['…']).collect())
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short_and_exact_enough() {
        for (seconds, text) in [
            (1, "1 s"),
            (90, "1 min 30 s"),
            (120, "2 min"),
            (1_000, "16 min"),
            (7_500, "2 h 5 min"),
            (7_200, "2 h"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(span(Duration::from_millis(120)), "120 ms");
        assert_eq!(
            (octets(4096), octets(100_000), octets(5 << 30)),
            ("4096 octets".to_owned(), "97.7 KiB".to_owned(), "5.0 GiB".to_owned())
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(plain("550 \x1b[2Jno\r\n\u{202e}x"), "550 \u{fffd}[2Jno\u{fffd}\u{fffd}\u{fffd}x");
        assert_eq!(plain("grün"), "grün");
    }

    #[test]
    fn a_table_is_aligned_and_cut() {
        let mut table = Table::new(&["name", "n", "reply"], &[1]);
        table.row(vec!["a.example".to_owned(), "5".to_owned(), "450 4.2.0 later".to_owned()]);
        table.row(vec!["b".to_owned(), "1000".to_owned(), "-".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out, Screen { colour: false, width: Some(24) }).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
name          n  reply
a.example     5  450 4.…
b          1000  -
"
        );
    }
}
