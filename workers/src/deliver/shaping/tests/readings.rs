//! A file of rules is good, or all that is wrong with it is told.

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    match Rules::read(Some(text)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_built_in_rules_are_good_and_every_site_has_its_bounds() {
    let shape = Shape::of(&Rules::default(), &To::new("a.example", &["mx.a.example"]).place(), None);
    assert_eq!(shape.connections.unwrap().rule.name, "default");
    assert!(shape.messages_per_connection.is_some() && shape.recipients.is_some());
}

#[test]
fn every_mistake_is_told_at_once() {
    let told = mistakes(
        "[[rule]]\nname = \"a\"\nconnections = 0\nmessage_rate = [\"5\", \"1/s\"]\nsite = \"a..b\"\n\
         conections = 5\n\
         [[rule]]\nname = \"a\"\n\
         [[rule]]\nname = \"t\"\ntenant = \"shop\"\nconnections = 3\n\
         [[rule]]\nconnections = 3\ntogether = true\n\
         [[rule.on]]\nthen = \"stop\"\nfor = \"1h\"\n\
         [[rule.on]]\nthen = \"suspend\"\nfor = \"100d\"\ncode = \"250\"\n\
         [[rule.on]]\nthen = \"slow_down\"\nfor = \"1h\"\nfactor = 1.5\nenhanced = \"4.7\"\n\
         [[warm_up]]\nsource = \"192.0.2.1\"\nstarted = \"tomorrow\"\nmessages = [50, 0]\n",
    );
    let keys: Vec<&str> = told.iter().map(|mistake| mistake.split(": ").next().unwrap()).collect();
    for key in [
        "rule[1].connections",
        "rule[1].message_rate",
        "rule[1].site",
        "rule[1].conections",
        "rule[2].name",
        "rule",
        "rule[3].tenant",
        "rule[4].name",
        "rule[4].together",
        "rule[4].on[1].then",
        "rule[4].on[2].for",
        "rule[4].on[2].code",
        "rule[4].on[2].then",
        "rule[4].on[3].factor",
        "rule[4].on[3].enhanced",
        "warm_up[1].started",
        "warm_up[1].messages",
    ] {
        assert!(keys.contains(&key), "{key} is not told: {told:#?}");
    }
    assert!(told.iter().any(|mistake| mistake.contains("did you mean `connections`?")), "{told:#?}");
    assert_eq!(mistakes("rule = 5").len(), 1);
    assert!(mistakes("[[rule").first().is_some_and(|mistake| mistake.starts_with("line 1: ")));
}

#[test]
fn values_are_read_in_their_forms() {
    let good = "[[rule]]\nname = \"a\"\ndomain = [\"example.org\", \"*.example.org\"]\nsite = \"*.example.net\"\n\
                connections = \"off\"\nmessage_rate = \"10/s 1000/h\"\nconnection_rate = \"off\"\n\
                [[rule.on]]\ncode = [\"421\", \"5xx\"]\nenhanced = \"4.7.*\"\ntext = \"Too Many\"\nthen = \"suspend_tenant\"\nfor = \"90s\"\n\
                [[warm_up]]\nsource = \"default\"\nstarted = \"2026-11-25\"\nmessages = [50, 100]";
    assert_eq!(mistakes(good), [""; 0]);
    let double = "[[rule]]\nname = \"a\"\nmessage_rate = [\"10/s\", \"20/s\"]";
    assert_eq!(mistakes(double), ["rule[1].message_rate: it has two rates for one period; use one for each"]);
    let mixed = "[[rule]]\nname = \"a\"\nmessage_rate = [\"10/s\", \"off\"]";
    assert_eq!(mistakes(mixed), ["rule[1].message_rate: off stands beside others; use off alone, or rates"]);
}
