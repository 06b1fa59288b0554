//! Bounds live in one place a crate: `limits.rs`, or the files of `limits/` where that grew long.

use std::fs;
use std::path::{Path, PathBuf};

/// Numbers that bound nothing: formats and versions of them, and mode bits of files.
const NO_BOUNDS: [&str; 9] = [
    "VERSION",
    "RANDOM_BITS",
    "DUE_SHARDS",
    "PREAMBLE_OCTETS",
    "TRAILER_OCTETS",
    "TLS_HANDSHAKE",
    "FOLDER_MODE",
    "FILE_MODE",
    "OTHERS",
];
/// Types whose constants say how much, how many or how long.
const MEASURES: [&str; 14] =
    ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64"];
/// Ways to say a length of time in the middle of code.
const TIMES: [&str; 6] = [
    "Duration::from_secs(",
    "Duration::from_millis(",
    "Duration::from_mins(",
    "Duration::from_hours(",
    "Duration::from_secs_f64(",
    "Duration::new(",
];

#[test]
fn no_bound_stands_outside_the_limits_file_of_its_crate() {
    let outside: Vec<String> = sources()
        .iter()
        .filter(|path| !is_limits_file(path))
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let found = bounds(&text, is_test_code(path)).into_iter();
            found.map(|line| format!("{}: {line}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(outside.is_empty(), "bounds outside limits.rs:\n{}", outside.join("\n"));
}

#[test]
fn a_bound_is_known_by_its_name_its_type_or_its_value() {
    for bound in [
        "const SIZE_MAX: Size = Size(1);",
        "    pub(super) const ROOM_MIN: usize = 4;",
        "pub const PAGE: usize = 100;",
        "const PAUSE: Duration = Duration::ZERO;",
        "const PAUSES: [Duration; 2] = [SHORT, LONG];",
        "static SHARE: f64 = 0.2;",
        "    let pause = Duration::from_secs(5 * 60);",
        "    #[cfg(test)]\n    fn probe() {}\n    const PAGE: usize = 100;",
    ] {
        assert_eq!(bounds(bound, false).len(), 1, "{bound}");
    }
    for other in [
        "const VERSION: u8 = 1;",
        "const WHAT: &str = \"a write\";",
        "fn random<const N: usize>() -> [u8; N] {",
        "    let pause = Duration::from_secs(seconds);",
        "#[cfg(test)]\nmod tests {\n    const PAGE: usize = 100;\n}",
    ] {
        assert_eq!(bounds(other, false), Vec::<String>::new(), "{other}");
    }
    assert_eq!(bounds("const PAGE: usize = 1;\nconst LINES_MAX: usize = 1;", true).len(), 1);
}

#[test]
fn sources_are_small_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > 450 {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            wrong.push(format!("{}: use foo.rs and foo/", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The lines of `text` that set a bound. In code for tests, a bound is what is named one: the rest are values to test with.
fn bounds(text: &str, for_tests: bool) -> Vec<String> {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = shipped.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let is_bound = |line: &&str| match constant(line) {
        Some((name, kind)) => {
            let named = ["_MAX", "_MIN", "_TIMEOUT"].iter().any(|end| name.ends_with(end));
            let measures = kind.contains("Duration") || MEASURES.contains(&kind);
            named || (!for_tests && measures && !NO_BOUNDS.contains(&name))
        }
        None => !for_tests && TIMES.iter().any(|time| is_called_with_a_number(line, time)),
    };
    lines.filter(is_bound).map(str::to_owned).collect()
}

/// The name and the type of the constant that `line` defines.
fn constant(line: &str) -> Option<(&str, &str)> {
    let line = match line.strip_prefix("pub") {
        Some(line) if line.starts_with('(') => line.split_once(')')?.1.trim_start(),
        Some(line) => line.trim_start(),
        None => line,
    };
    let rest = line.strip_prefix("const ").or_else(|| line.strip_prefix("static "))?;
    let (name, rest) = rest.split_once(':')?;
    Some((name, rest.split('=').next()?.trim()))
}

fn is_called_with_a_number(line: &str, function: &str) -> bool {
    let calls = line.match_indices(function);
    calls
        .into_iter()
        .any(|(at, _)| line[at + function.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

/// `src/limits.rs`, and what lies in `src/limits/`.
fn is_limits_file(path: &Path) -> bool {
    let within = within_source(path);
    within == Path::new("limits.rs") || within.starts_with("limits")
}

/// What is only there for tests, beside the `mod tests` of shipped code.
fn is_test_code(path: &Path) -> bool {
    let own = ["tests", "tests.rs", "testing", "testing.rs", "testkit", "testkit.rs"];
    within_source(path).iter().any(|part| own.iter().any(|own| part == *own))
}

/// The part of `path` behind its crate's `src`.
fn within_source(path: &Path) -> &Path {
    let source = path.ancestors().find(|folder| folder.ends_with("src")).unwrap();
    path.strip_prefix(source).unwrap()
}

/// The Rust sources of the four crates that ship.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<PathBuf> =
        ["shared", "ingress", "workers", "cli"].iter().map(|member| root.join(member).join("src")).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 30, "the sources are not where this test looks for them");
    files
}
