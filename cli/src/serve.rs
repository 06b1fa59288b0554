//! `spoolway serve`: an edge as a configuration says.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use shared::config::Mistake;

use crate::edge::Running;
use crate::exit::{Exit, Failure, Outcome};
use crate::screen::{count, write_json};
use crate::settings::{self, Reader, Settings};

/// Reads the configuration. Where it is wrong, every mistake is in the failure; with `json`, they are written to `out` instead.
pub(crate) fn settings(
    config: Option<&Path>,
    reader: Reader,
    environment: impl IntoIterator<Item = (String, String)>,
    json: bool,
    out: &mut dyn Write,
) -> Outcome<Settings> {
    let text = match config {
        Some(file) => std::fs::read_to_string(file).map_err(|error| Failure::io(file.display(), &error))?,
        None => String::new(),
    };
    match settings::read(&text, environment, reader) {
        Ok(read) => Ok(read.value),
        Err(mut mistakes) => {
            mistakes.dedup();
            Err(refuse(config, &mistakes, json, out)?)
        }
    }
}

/// What `--check` finds beyond the configuration itself: loads its certificates, those in secrets too.
pub(crate) fn check_tls(
    config: Option<&Path>,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("the runtime does not start", &error))?;
    match runtime.block_on(crate::edge::tls(settings)) {
        Ok(_) => Ok(()),
        Err(mistakes) => Err(refuse(config, &mistakes, json, out)?),
    }
}

/// The same of the secrets of smart hosts that lie in files.
pub(crate) fn check_secrets(
    config: Option<&Path>,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Failure::io("the runtime does not start", &error))?;
    match runtime.block_on(crate::edge::check_secrets(settings)) {
        Ok(()) => Ok(()),
        Err(mistakes) => Err(refuse(config, &mistakes, json, out)?),
    }
}

/// The same of the rules of shaping.
pub(crate) fn check_shaping(
    config: Option<&Path>,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> Outcome {
    match crate::edge::check_shaping(settings) {
        Ok(()) => Ok(()),
        Err(mistakes) => Err(refuse(config, &mistakes, json, out)?),
    }
}

/// The failure that lists `mistakes`; with `json`, they are written to `out` instead.
pub(crate) fn refuse(
    config: Option<&Path>,
    mistakes: &[Mistake],
    json: bool,
    out: &mut dyn Write,
) -> Outcome<Failure> {
    if json {
        write_json(out, &Check::of(mistakes))?;
        return Ok(Failure::new(Exit::Config, ""));
    }
    let source = config.map_or_else(
        || "the environment (without --config FILE it says everything)".to_owned(),
        |file| file.display().to_string(),
    );
    Ok(Failure::new(Exit::Config, list(&source, mistakes)))
}

/// Every mistake of `source`, a line each.
pub(crate) fn list(source: &str, mistakes: &[Mistake]) -> String {
    let head = format!("{source} has {}", count(mistakes.len() as u64, "mistake"));
    mistakes.iter().fold(head, |text, mistake| format!("{text}\n  {mistake}"))
}

/// As JSON, the answer of `serve --check --json`: fields are added, never changed.
#[derive(Serialize)]
struct Check<'a> {
    good: bool,
    mistakes: Vec<CheckMistake<'a>>,
}

#[derive(Serialize)]
struct CheckMistake<'a> {
    key: &'a str,
    wrong: &'a str,
    right: &'a str,
}

impl<'a> Check<'a> {
    fn of(mistakes: &'a [Mistake]) -> Self {
        let mistake = |Mistake { key, wrong, right }: &'a Mistake| CheckMistake { key, wrong, right };
        Self { good: mistakes.is_empty(), mistakes: mistakes.iter().map(mistake).collect() }
    }
}

/// The answer of `--check` to a configuration without a mistake.
pub(crate) fn announce_good(json: bool, out: &mut dyn Write) -> Outcome {
    if json { write_json(out, &Check::of(&[])) } else { Ok(writeln!(out, "configuration is good")?) }
}

/// Tells what is running: to the log, or as JSON.
pub(crate) fn announce(settings: &Settings, running: &Running, json: bool, out: &mut dyn Write) -> Outcome {
    if json {
        running.write_json(&settings.data, out)?;
    }
    for address in &running.smtp {
        tracing::info!(%address, "listening for smtp");
    }
    if let Some(address) = running.http {
        tracing::info!(%address, "listening for http");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(toml: &str, environment: &[(&str, &str)], json: bool) -> (Failure, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spoolway.toml");
        std::fs::write(&file, toml).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut out = Vec::new();
        let failure = settings(Some(&file), Reader::Edge, environment, json, &mut out).unwrap_err();
        (failure, String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_mistake_is_listed_under_the_file_and_the_exit_code_is_78() {
        let (failure, _) =
            failed("hostnam = \"x\"\n[retry]\nlifetime = \"5\"", &[("SPOOLWAY_HTTP_ADDRESS", "x")], false);
        assert_eq!(failure.exit, Exit::Config);
        let lines: Vec<&str> = failure.text.lines().collect();
        assert!(lines[0].ends_with("spoolway.toml has 4 mistakes"), "{failure:?}");
        assert_eq!(
            lines[1..],
            [
                "  hostname: it is not set; use a domain such as mail.example.com",
                "  retry.lifetime: `5` cannot be used; use a time such as 90s, 5m, 4h or 5d",
                "  SPOOLWAY_HTTP_ADDRESS: `x` cannot be used; use an IP address and a port such as 192.0.2.1:25 or [2001:db8::1]:25",
                "  hostnam: there is no such setting; did you mean `hostname`?",
            ]
        );
    }

    #[test]
    fn a_check_answers_as_json_too() {
        let (failure, out) = failed("hostname = \"a b\"", &[], true);
        assert_eq!((failure.exit, failure.text.as_str()), (Exit::Config, ""));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&out).unwrap(),
            serde_json::json!({"good": false, "mistakes": [
                {"key": "hostname", "wrong": "`a b` cannot be used", "right": "use a domain such as mail.example.com"}
            ]})
        );
        let mut out = Vec::new();
        announce_good(true, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("\"good\": true"));
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_a_mistake_of_the_configuration() {
        let settings = |toml: &str| {
            let toml = format!("hostname = \"mx.example.com\"\n{toml}");
            settings::read(&toml, [], Reader::Edge).unwrap().value
        };
        let none = settings("");
        check_tls(None, &none, false, &mut Vec::new()).unwrap();
        let toml = "[[tls.certificate]]\nchain = \"/nowhere/a.crt\"\nkey = \"/nowhere/a.key\"";
        let (file, gone) =
            (Path::new("spoolway.toml"), "cannot be read: No such file or directory (os error 2)");
        let failure = check_tls(Some(file), &settings(toml), false, &mut Vec::new()).unwrap_err();
        let right = "name a file that this user may read";
        assert_eq!(failure.exit, Exit::Config);
        assert_eq!(
            failure.text,
            format!(
                "spoolway.toml has 2 mistakes\n  tls: /nowhere/a.crt {gone}; {right}\n  tls: /nowhere/a.key {gone}; {right}"
            )
        );
        let mut out = Vec::new();
        let failure = check_tls(Some(file), &settings(toml), true, &mut out).unwrap_err();
        assert_eq!((failure.exit, failure.text.as_str()), (Exit::Config, ""));
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&told["good"], &told["mistakes"][1]["key"]), (&false.into(), &"tls".into()));
        // what has no ingress shows no certificate
        let apart = settings(&format!("roles = [\"deliver\"]\n{toml}"));
        check_tls(None, &apart, false, &mut Vec::new()).unwrap();
    }

    #[test]
    fn the_secret_of_a_smart_host_that_cannot_be_read_is_a_mistake_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let (good, long, gone) =
            (folder.path().join("good"), folder.path().join("long"), folder.path().join("gone"));
        std::fs::write(&good, "hunter2\n").unwrap();
        std::fs::write(&long, "hunter2\nhunter3\n").unwrap();
        let relay = |name: &str, secret: &Path| {
            format!(
                "[[smart_host]]\nname = \"{name}\"\nhosts = [{{ host = \"smtp.example.net\" }}]\n\
                 auth = {{ name = \"edge\", secret = \"{}\" }}\n",
                secret.display()
            )
        };
        let settings = |top: &str, relays: &[String]| {
            let toml = format!("hostname = \"mx.example.com\"\n{top}{}", relays.concat());
            settings::read(&toml, [], Reader::Edge).unwrap().value
        };
        check_secrets(None, &settings("", &[relay("a", &good)]), false, &mut Vec::new()).unwrap();
        let relays = [relay("a", &good), relay("b", &long), relay("c", &gone), relay("d", folder.path())];
        let failure = check_secrets(None, &settings("", &relays), false, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        let (long, gone, none) = (long.display(), gone.display(), folder.path().display());
        let right = "name a file that this user may read, whose one line is the secret";
        assert_eq!(
            failure.text.lines().skip(1).collect::<Vec<_>>(),
            [
                format!("  smart_host[2].auth.secret: {long} is empty or has more than one line; {right}"),
                format!(
                    "  smart_host[3].auth.secret: {gone} cannot be read: No such file or directory (os error 2); {right}"
                ),
                format!("  smart_host[4].auth.secret: {none} is no file with a secret; {right}"),
            ]
        );
        assert!(!failure.text.contains("hunter"), "a secret is never shown: {}", failure.text);
        // who delivers nothing reads no secret
        let apart = settings("roles = [\"ingress\"]\n", &relays);
        check_secrets(None, &apart, false, &mut Vec::new()).unwrap();
    }

    #[test]
    fn rules_of_shaping_that_cannot_be_used_are_mistakes_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("shaping.toml");
        std::fs::write(&rules, "[[rule]]\nname = \"a\"\nconections = 5").unwrap();
        let settings = |toml: &str| {
            let toml =
                format!("hostname = \"mx.example.com\"\n{toml}[shaping]\nrules = \"{}\"", rules.display());
            settings::read(&toml, [], Reader::Edge).unwrap().value
        };
        let failure = check_shaping(None, &settings(""), false, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(
            failure.text.contains(
                "\n  shaping.rules: rule[1].conections: there is no such setting; did you mean `connections`?"
            ),
            "{}",
            failure.text
        );
        // the same of rules that are a text, as a variable gives them
        let text = [("SPOOLWAY_SHAPING_RULES_TEXT".to_owned(), "[[rule]]\nconnections = 5".to_owned())];
        let by_text =
            settings::read("hostname = \"mx.example.com\"", text.clone(), Reader::Edge).unwrap().value;
        let failure = check_shaping(None, &by_text, false, &mut Vec::new()).unwrap_err();
        let told = "\n  shaping.rules_text: rule[1].name: it is not set; use a text that is not empty";
        assert!(failure.text.contains(told), "{}", failure.text);
        let both = "hostname = \"mx.example.com\"\n[shaping]\nrules = \"/etc/shaping.toml\"";
        let told = settings::read(both, text, Reader::Edge).unwrap_err();
        assert_eq!(
            told[0].to_string(),
            "SPOOLWAY_SHAPING_RULES_TEXT: the rules are in a file (shaping.rules) already; leave one of the two out"
        );
        // who delivers nothing reads no rules
        check_shaping(None, &settings("roles = [\"ingress\"]\n"), false, &mut Vec::new()).unwrap();
        std::fs::write(&rules, "").unwrap();
        check_shaping(None, &settings(""), false, &mut Vec::new()).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_no_input() {
        let failure = settings(Some(Path::new("/nowhere/x.toml")), Reader::Edge, [], false, &mut Vec::new())
            .unwrap_err();
        assert_eq!(failure.exit, Exit::NoInput);
        assert!(failure.text.starts_with("/nowhere/x.toml: "), "{failure:?}");
    }
}
