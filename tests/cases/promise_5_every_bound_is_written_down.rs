//! Bounds live in one file a crate, and the README shows them.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn no_bound_stands_outside_the_limits_file_of_its_crate() {
    let mut outside = Vec::new();
    for path in sources() {
        if path.file_name().is_some_and(|name| name == "limits.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(str::trim_start) {
            let bound =
                line.split_once("const ").and_then(|(_, rest)| rest.split_once(':')).map(|(name, _)| name);
            if bound.is_some_and(|name| name.ends_with("_MAX") || name.ends_with("_TIMEOUT")) {
                outside.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(outside.is_empty(), "bounds outside limits.rs:\n{}", outside.join("\n"));
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
