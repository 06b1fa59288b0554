//! `tests → cli → {ingress, workers} → shared`, and inside shared `mail ◀ job ◀ port ◀ adapters ◀ wire`.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn crates_depend_on_those_below_them_only() {
    for (member, forbidden) in [
        ("shared", &["spoolway-ingress", "ingress", "workers", "cli"][..]),
        ("ingress", &["workers", "cli"]),
        ("workers", &["ingress", "cli"]),
    ] {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        for name in forbidden {
            let depends = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name));
            assert!(!depends, "{member} depends on {name}");
        }
    }
}

#[test]
fn modules_of_shared_use_those_before_them_only() {
    let order = ["limits", "mail", "job", "port", "pack"];
    for (place, module) in order.iter().enumerate() {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for later in
                order[place + 1..].iter().chain(&["embedded", "aws", "dns", "wire", "testkit", "system"])
            {
                assert!(!code.contains(&format!("crate::{later}")), "{} uses {later}", file.display());
            }
        }
    }
}

#[test]
fn only_wire_names_adapters() {
    for member in ["ingress", "workers"] {
        let mut folders = vec![root().join(member).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                for adapters in ["shared::embedded", "shared::aws"] {
                    assert!(!code.contains(adapters), "{} names {adapters}", path.display());
                }
            }
        }
    }
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let source = root().join("shared/src");
    let mut files = vec![source.join(format!("{module}.rs"))];
    if let Ok(entries) = fs::read_dir(source.join(module)) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.retain(|file| file.is_file());
    files
}
