use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

use super::writer::{self, WriterGuard};
use crate::config::Setting;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line, for a machine.
    Json,
}

impl Setting for LogFormat {
    const RIGHT: &'static str = "text or json";

    fn read(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What is logged: a level, or directives such as `info,ingress=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Setting for LogFilter {
    const RIGHT: &'static str = "error, warn, info, debug, trace, or directives such as info,ingress=debug";

    fn read(text: &str) -> Option<Self> {
        // a lone word that is no level would be taken for the name of a crate, and nothing else be logged
        let level = |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok();
        let lone = !text.contains(['=', '[']) && !text.split(',').any(level);
        let good = !lone && !text.is_empty() && EnvFilter::try_new(text).is_ok();
        good.then(|| Self(text.to_owned()))
    }
}

impl std::str::FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| format!("use {}", Self::RIGHT))
    }
}

/// Whose words are for those who ask for them: the AWS SDK tells at `info` where its credentials come from.
const QUIET: &str = "aws=warn";

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines there are.
    pub filter: LogFilter,
    /// Whether text may have colours.
    pub colour: bool,
}

/// Keeps the log going. Dropped, it writes the last lines.
pub struct LogGuard {
    _writer: WriterGuard,
}

/// Sends what this process logs to standard error from now on.
pub fn init(settings: &LogSettings) -> io::Result<LogGuard> {
    let (lines, guard) = writer::start(io::stderr(), lost_line(settings.format))?;
    start(subscriber(settings, move || lines.clone()))?;
    Ok(LogGuard { _writer: guard })
}

/// The same with each line written before the program goes on: for a process that may be frozen or killed as soon as it has answered.
pub fn init_unbuffered(settings: &LogSettings) -> io::Result<()> {
    start(subscriber(settings, io::stderr))
}

fn start(subscriber: Box<dyn Subscriber + Send + Sync>) -> io::Result<()> {
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| io::Error::other(super::AlreadySetUp("the log")))
}

/// What stands where lines were thrown away.
fn lost_line(format: LogFormat) -> fn(u64) -> String {
    match format {
        LogFormat::Text => |lost| format!("ERROR the log was not read for too long lines_lost={lost}\n"),
        LogFormat::Json => |lost| {
            let text = "the log was not read for too long";
            serde_json::json!({"level": "ERROR", "message": text, "lines_lost": lost}).to_string() + "\n"
        },
    }
}

fn subscriber<W>(settings: &LogSettings, lines: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::new(format!("{QUIET},{}", settings.filter.0));
    let builder =
        SubscriberBuilder::default().with_writer(lines).with_ansi(settings.colour).with_env_filter(filter);
    match settings.format {
        LogFormat::Text => Box::new(builder.compact().with_target(false).finish()),
        LogFormat::Json => Box::new(
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).finish(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::tests::Kept;
    use super::*;

    #[test]
    fn the_sdk_of_aws_is_quiet_unless_it_is_asked_to_speak() {
        let says = || tracing::info!(target: "aws_config::profile", "found credentials");
        assert_eq!(logged(LogFormat::Text, "debug", says), "");
        assert!(logged(LogFormat::Text, "info,aws_config=info", says).contains("found credentials"));
    }

    fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let (lines, guard) = writer::start(kept.clone(), lost_line(format)).unwrap();
        let settings = LogSettings { format, filter: filter.parse().unwrap(), colour: false };
        tracing::subscriber::with_default(subscriber(&settings, move || lines.clone()), work);
        drop(guard);
        kept.text()
    }

    #[test]
    fn text_is_one_plain_line_an_event() {
        let text = logged(LogFormat::Text, "info", || {
            tracing::info!(message_id = "abc-0", "accepted");
            tracing::debug!("not wanted");
        });
        assert!(text.ends_with("INFO accepted message_id=\"abc-0\"\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn json_is_one_flat_object_an_event() {
        let text =
            logged(LogFormat::Json, "info", || tracing::warn!(message_id = "abc-0", octets = 7, "accepted"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"accepted".into()));
        assert_eq!((&line["message_id"], &line["octets"]), (&"abc-0".into(), &7.into()));
    }

    #[test]
    fn a_line_break_in_a_field_does_not_make_a_second_line() {
        let text = logged(LogFormat::Text, "info", || tracing::info!(helo = "a\nINFO forged", "accepted"));
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn filters_are_levels_or_directives() {
        for good in ["info", "WARN", "off", "info,ingress=debug", "ingress=debug"] {
            assert!(LogFilter::read(good).is_some(), "{good}");
        }
        for wrong in ["", "loud", "info,=,=", "ingress=loud"] {
            assert_eq!(LogFilter::read(wrong), None, "{wrong}");
        }
    }
}
