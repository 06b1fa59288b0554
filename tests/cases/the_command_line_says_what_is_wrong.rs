use std::path::Path;
use std::process::Command;

use harness::program;

/// The exit code of a command, and what it wrote.
fn spoolway(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program()).args(arguments).current_dir(folder).env_clear().output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn each_mistake_has_its_exit_code_and_a_way_out() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let unknown = "0193a0b0c0d07000800000000000abcd-0";
    let send = ["send", "--from", "a@example.com", "--to", "b@example.com", "--file"];
    for (arguments, code, part) in [
        (&[][..], 64, "Usage:"),
        (&["queu"], 64, "'queue'"),
        (&["dev", "--smpt", "x"], 64, "'--smtp'"),
        (&["dev", "--smtp", "25"], 64, "IP:PORT"),
        (&["dev", "--route", "*=pigeon"], 64, "smtp://host:port"),
        (&["dev", "--data", "file"], 74, "file is there and is not a folder"),
        (&["serve"], 78, "--config"),
        (&["serve", "--config", "missing.toml"], 66, "missing.toml"),
        (&["trace"], 64, "<ID>"),
        (&["trace", "hello"], 64, "message id"),
        (&["trace", unknown.trim_end_matches("-0")], 64, unknown),
        (&["trace", unknown], 66, "--data"),
        (&["queue", "--data", "nowhere"], 66, "nowhere"),
        (&["domain", "add", "127.0.0.1"], 64, "only a domain"),
        (&["domain", "show", "example.com", "--data", "nowhere"], 66, "nowhere"),
        (&[&send[..], &["missing.eml"]].concat(), 66, "missing.eml"),
        (&[&send[..], &["file", "--server", "127.0.0.1:1"]].concat(), 69, "127.0.0.1:1"),
        (&[&send[..], &["file", "--server", "bogus"]].concat(), 64, "HOST:PORT"),
    ] {
        let (exit, text) = spoolway(folder.path(), arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{part} is missing for {arguments:?} in\n{text}");
    }
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(left, ["file"], "a mistake leaves nothing behind");
}

#[test]
fn every_command_explains_itself_without_colours_for_a_pipe() {
    let folder = tempfile::TempDir::new().unwrap();
    for command in [
        &[][..],
        &["dev"],
        &["serve"],
        &["trace"],
        &["queue"],
        &["domain"],
        &["domain", "add"],
        &["domain", "list"],
        &["domain", "show"],
        &["send"],
    ] {
        let (exit, text) = spoolway(folder.path(), &[command, &["--help"]].concat());
        assert_eq!(exit, Some(0), "{command:?}");
        assert!(text.contains("Usage:") && !text.contains('\x1b'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(spoolway(folder.path(), &[&["help"], command].concat()), (exit, text), "{command:?}");
    }
    assert_eq!(spoolway(folder.path(), &["domain", "add", "example.com"]).0, Some(0));
    for command in [&["queue"][..], &["domain", "list"], &["domain", "show", "example.com"]] {
        assert!(!spoolway(folder.path(), command).1.contains('\x1b'), "{command:?}");
        let (exit, text) = spoolway(folder.path(), &[command, &["--json"]].concat());
        assert_eq!(exit, Some(0), "{text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("the answer is JSON and nothing else");
    }
}

#[test]
fn commands_beside_an_edge_find_it_by_its_environment_as_well() {
    let folder = tempfile::TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(folder.path()).env_clear().env("SPOOLWAY_DATA", "elsewhere");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    assert_eq!(run(&["domain", "add", "example.com"]).0, Some(0));
    assert!(folder.path().join("elsewhere").is_dir() && !folder.path().join(".spoolway").exists());
    assert!(run(&["domain", "list"]).1.contains("example.com"));
    assert_eq!(
        run(&["domain", "list", "--data", "nowhere"]).0,
        Some(66),
        "a folder on the command line wins"
    );
}
