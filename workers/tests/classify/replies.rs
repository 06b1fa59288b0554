use std::collections::HashMap;

use shared::mail::{FailureClass, FailureScope, Reply};
use workers::deliver::{Classification, Step, classify};

/// Right of a hundred, at least.
const RIGHT: usize = 97;

struct Row<'a> {
    line: usize,
    code: u16,
    step: Step,
    class: FailureClass,
    permanent: bool,
    scope: Option<FailureScope>,
    text: String,
    source: &'a str,
}

impl Row<'_> {
    fn got(&self) -> Classification {
        classify(&Reply::received(self.code, &self.text).unwrap(), self.step)
    }

    /// What is wrong with `got`, in words.
    fn miss(&self, got: &Classification) -> String {
        let permanent = if self.permanent { "permanent" } else { "temporary" };
        format!(
            "line {}: {} {}\n    expected {} {permanent} {:?}\n    got {} {} {:?} by {}",
            self.line,
            self.code,
            self.text.replace('\n', " / "),
            self.class,
            self.scope,
            got.class,
            if got.permanent { "permanent" } else { "temporary" },
            got.scope,
            got.source,
        )
    }
}

#[test]
fn real_replies_get_the_class_that_their_source_gives_them() {
    let rows = rows();
    assert!(rows.len() >= 300, "{} replies", rows.len());
    let wrong: Vec<_> = rows.iter().filter(|row| row.got().class != row.class).collect();
    report("class", &wrong);
    assert!(
        (rows.len() - wrong.len()) * 100 >= rows.len() * RIGHT,
        "{} of {} wrong",
        wrong.len(),
        rows.len()
    );
}

#[test]
fn no_permanent_failure_is_taken_for_a_temporary_one_or_the_other_way_round() {
    let rows = rows();
    let wrong: Vec<_> = rows.iter().filter(|row| row.got().permanent != row.permanent).collect();
    report("permanence", &wrong);
    assert_eq!(wrong.len(), 0);
}

#[test]
fn whom_a_reply_concerns_is_known_where_it_is_clear() {
    let clear: Vec<_> = rows().into_iter().filter(|row| row.scope.is_some()).collect();
    let wrong: Vec<_> = clear.iter().filter(|row| Some(row.got().scope) != row.scope).collect();
    report("scope", &wrong);
    assert!((clear.len() - wrong.len()) * 100 >= clear.len() * RIGHT, "{} of {}", wrong.len(), clear.len());
}

#[test]
fn every_class_has_a_reply_and_every_reply_a_source() {
    let rows = rows();
    for class in FailureClass::ALL {
        assert!(rows.iter().any(|row| row.class == class), "no reply of class {class}");
    }
    assert!(rows.iter().all(|row| row.source.starts_with("http") || row.source.starts_with("a mail log")));
}

#[expect(clippy::print_stdout, reason = "the misses are what one runs this for")]
fn report(of_what: &str, wrong: &[&Row<'_>]) {
    for row in wrong {
        println!("{of_what}: {}", row.miss(&row.got()));
    }
    println!("{of_what}: {} wrong", wrong.len());
}

fn rows() -> Vec<Row<'static>> {
    let text = include_str!("replies.tsv");
    let sources: HashMap<_, _> =
        text.lines().filter_map(|line| line.strip_prefix('@')?.split_once('\t')).collect();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with(['#', '@']));
    lines.map(|(at, line)| row(at + 1, line, &sources)).collect()
}

fn row(line: usize, text: &'static str, sources: &HashMap<&str, &'static str>) -> Row<'static> {
    let fields: Vec<_> = text.split('\t').collect();
    let &[code, step, class, permanent, scope, text, source] = fields.as_slice() else {
        panic!("line {line}: {} fields", fields.len())
    };
    Row {
        line,
        code: code.parse().unwrap(),
        step: step_named(step).unwrap_or_else(|| panic!("line {line}: {step}")),
        class: *FailureClass::ALL
            .iter()
            .find(|known| known.as_str() == class)
            .unwrap_or_else(|| panic!("line {line}: {class}")),
        permanent: match permanent {
            "permanent" => true,
            "temporary" => false,
            _ => panic!("line {line}: {permanent}"),
        },
        scope: match scope {
            "recipient" => Some(FailureScope::Recipient),
            "message" => Some(FailureScope::Message),
            "connection" => Some(FailureScope::Connection),
            "site" => Some(FailureScope::Site),
            "-" => None,
            _ => panic!("line {line}: {scope}"),
        },
        text: text.replace("\\n", "\n"),
        source: sources.get(source).unwrap_or_else(|| panic!("line {line}: {source}")),
    }
}

fn step_named(name: &str) -> Option<Step> {
    Some(match name {
        "greeting" => Step::Greeting,
        "ehlo" => Step::Hello,
        "starttls" => Step::StartTls,
        "mail" => Step::Mail,
        "rcpt" => Step::Recipient,
        "data" => Step::Data,
        "end" => Step::End,
        _ => return None,
    })
}
