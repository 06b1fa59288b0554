//! Rules that change while they are in use.

use super::*;

fn connections(rules: &LiveRules) -> u32 {
    let to = To::new("a.example", &["mx.a.example"]);
    Shape::of(&rules.now(), &to.place(), None).connections.unwrap().value
}

fn write(file: &std::path::Path, connections: &str) {
    std::fs::write(
        file,
        format!("[[rule]]\nname = \"mine\"\nsite = \"a.example\"\nconnections = {connections}"),
    )
    .unwrap();
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shaping.toml");
    write(&file, "1");
    let rules = Arc::new(LiveRules::load(OwnRules::File(file.clone())).unwrap());
    assert_eq!(connections(&rules), 1);
    let (clock, stop) = (Arc::new(ManualClock::default()), CancellationToken::new());
    let watch = tokio::spawn({
        let (rules, clock, stop) = (rules.clone(), clock.clone(), stop.clone());
        async move { rules.watch(clock.as_ref(), stop).await }
    });
    for (text, expected) in [("2", 2), ("many", 2), ("3", 3)] {
        write(&file, text);
        clock.advance_to_next_waking().await;
        // it has looked once it sleeps again
        clock.until_asleep_until(clock.now() + SECOND).await;
        assert_eq!(connections(&rules), expected, "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    clock.advance_to_next_waking().await;
    clock.until_asleep_until(clock.now() + SECOND).await;
    assert_eq!(connections(&rules), 3, "a file that is gone leaves the rules in force");
    write(&file, "4");
    rules.reload();
    let read = || async { (connections(&rules) == 4).then_some(()) };
    shared::testkit::eventually("it is read at once", MINUTE, read).await;
    stop.cancel();
    watch.await.unwrap();
}

#[test]
fn a_file_that_is_wrong_at_the_start_is_a_list_of_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let gone = LiveRules::load(OwnRules::File(folder.path().join("none.toml"))).err().unwrap();
    assert!(gone[0].wrong.starts_with("it cannot be read"), "{gone:?}");
    let file = folder.path().join("shaping.toml");
    std::fs::write(&file, "[[rule]]\nname = \"a\"\nconnections = 0\nrecipients = 0").unwrap();
    assert!(LiveRules::load(OwnRules::File(file)).err().unwrap().len() >= 2);
}

#[test]
fn rules_may_be_a_text_of_the_settings() {
    let text = "[[rule]]\nname = \"mine\"\nsite = \"a.example\"\nconnections = 3".to_owned();
    assert_eq!(connections(&LiveRules::load(OwnRules::Text(text)).unwrap()), 3);
    assert_eq!(connections(&LiveRules::load(OwnRules::None).unwrap()), 20);
    let wrong = "[[rule]]\nname = \"a\"\nconnections = 0\nrecipients = 0".to_owned();
    assert!(LiveRules::load(OwnRules::Text(wrong)).err().unwrap().len() >= 2);
}
