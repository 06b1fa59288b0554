use std::time::Duration;

use super::*;
use crate::mail::Domain;

#[derive(Debug, Default, PartialEq)]
struct Sample {
    hostname: Option<Domain>,
    lifetime: Duration,
    schedule: Vec<Duration>,
    routes: Vec<(String, String)>,
    listeners: Vec<(String, bool)>,
    domains: Vec<(String, Vec<Duration>)>,
}

fn sample(root: &mut Section<'_>) -> Sample {
    let hostname = root.optional("hostname");
    let routes = root.table("routes").unwrap_or_default();
    let listeners = root.sections("listener", |listener| {
        (listener.required("address", String::new()), listener.value("strict", true))
    });
    root.section("retry", |retry| Sample {
        hostname,
        lifetime: retry.value("lifetime", Duration::from_secs(5)),
        schedule: retry.list("schedule", vec![Duration::from_secs(1)]),
        domains: retry
            .named("domains", |name, domain| (name.to_owned(), domain.list("schedule", Vec::new()))),
        routes,
        listeners: listeners.unwrap_or_default(),
    })
}

fn read_sample(toml: &str, environment: &[(&str, &str)]) -> Result<Sample, Vec<String>> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    match read(toml, environment, sample) {
        Ok(read) => Ok(read.value),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn text_and_environment_say_the_same_things() {
    let by_text = read_sample(
        r#"
        hostname = "mx.example.com"
        [routes]
        "*" = "mx"
        "example.org" = "smtp://h:1"
        [[listener]]
        address = "a:1"
        [[listener]]
        address = "b:2"
        strict = false
        [retry]
        lifetime = "2m"
        schedule = ["1m", "2m"]
        [retry.domains."slow.example"]
        schedule = ["1m", "1m"]
        "#,
        &[],
    );
    let by_environment = read_sample(
        "",
        &[
            ("HOME", "/"),
            ("SPOOLWAY_HOSTNAME", "mx.example.com"),
            ("SPOOLWAY_ROUTES", "*=mx,example.org=smtp://h:1"),
            ("SPOOLWAY_LISTENER", "address=a:1; address=b:2, strict=false"),
            ("SPOOLWAY_RETRY_LIFETIME", "2m"),
            ("SPOOLWAY_RETRY_SCHEDULE", "1m,2m"),
            ("SPOOLWAY_RETRY_DOMAINS", "slow.example: schedule=1m 1m"),
        ],
    );
    let wanted = Sample {
        hostname: "mx.example.com".parse().ok(),
        lifetime: 2 * MINUTE,
        schedule: vec![MINUTE, 2 * MINUTE],
        routes: vec![("*".to_owned(), "mx".to_owned()), ("example.org".to_owned(), "smtp://h:1".to_owned())],
        listeners: vec![("a:1".to_owned(), true), ("b:2".to_owned(), false)],
        domains: vec![("slow.example".to_owned(), vec![MINUTE, MINUTE])],
    };
    assert_eq!(by_text.as_ref(), Ok(&wanted));
    assert_eq!(by_environment, Ok(wanted));
}

/// A name, a street, and the hours of some days.
type Person = (String, Option<String>, Vec<(String, u16)>);

fn people(root: &mut Section<'_>) -> Vec<Person> {
    let person = |own: &mut Section<'_>| {
        let name = own.required("name", String::new());
        let street = own.section("home", |home| home.optional("street"));
        let days = own.sections_within("days", "day", |day| {
            (day.required("day", String::new()), day.value("hours", 8))
        });
        (name, street, days.unwrap_or_default())
    };
    root.sections("person", person).unwrap_or_default()
}

fn read_people(toml: &str, variable: Option<&str>) -> Result<Vec<Person>, Vec<String>> {
    let environment = variable.map(|text| ("SPOOLWAY_PERSON".to_owned(), text.to_owned()));
    match read(toml, environment, people) {
        Ok(read) => Ok(read.value),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn tables_within_tables_can_be_written_in_a_variable() {
    let by_text = read_people(
        "[[person]]\nname = \"ann\"\nhome = { street = \"a.b c=d\" }\n\
         days = [{ day = \"mo\" }, { day = \"tu\", hours = 4 }]\n[[person]]\nname = \"bob\"",
        None,
    );
    let variable = "name=ann, home.street=a.b c=d, days=mo tu?hours=4; name=bob";
    assert!(by_text.as_ref().is_ok_and(|people| people.len() == 2 && people[0].2[1].1 == 4));
    assert_eq!(read_people("", Some(variable)), by_text);
}

#[test]
fn mistakes_in_tables_within_tables_are_told_where_they_are() {
    let told = |variable: &str| read_people("", Some(variable)).unwrap_err();
    assert_eq!(
        told("name=ann, home.stret=x, days=mo?hours=x tu?hour=4 ?hours=1"),
        [
            "SPOOLWAY_PERSON[1].home.stret: there is no such setting; did you mean `street`?",
            "SPOOLWAY_PERSON[1].days[1].hours: `x` cannot be used; use a whole number from 0 to 65535",
            "SPOOLWAY_PERSON[1].days[2].hour: there is no such setting; did you mean `hours`?",
            "SPOOLWAY_PERSON[1].days[3].day: `` cannot be used; use a text that is not empty",
        ]
    );
    assert_eq!(
        told("name=ann, days=mo?x"),
        [
            "SPOOLWAY_PERSON[1].days: it cannot be read; write it as value?key=value&key=value, with spaces between several"
        ]
    );
    assert_eq!(
        told("name=ann, home=x, home.street=y"),
        ["SPOOLWAY_PERSON: it cannot be read; write it as key=value, key=value; key=value"]
    );
    assert_eq!(
        told("name=ann, home=x"),
        ["SPOOLWAY_PERSON[1].home: it is not a table; write `[SPOOLWAY_PERSON[1].home]` above its keys"]
    );
}

#[test]
fn the_environment_wins() {
    let read = read_sample("[retry]\nlifetime = \"2m\"", &[("SPOOLWAY_RETRY_LIFETIME", "1m")]).unwrap();
    assert_eq!(read.lifetime, MINUTE);
}

#[test]
fn every_mistake_is_told_at_once_with_its_key() {
    let mistakes = read_sample(
        r#"
        hostnam = "x"
        listener = [{ strict = 1 }]
        zebra = 1
        [retry]
        lifetime = "5 weeks"
        schedule = "1m"
        shedule = ["1m"]
        [retry.domains."slow.example"]
        schedule = ["1m", ["2m"]]
        "#,
        &[("SPOOLWAY_RETRY_LIVETIME", "1m"), ("SPOOLWAY_ROUTES", "mx"), ("SPOOLWAY_XYZ", "")],
    );
    let wanted = [
        "SPOOLWAY_ROUTES: it cannot be read; write it as key=value,key=value",
        "listener[1].address: it is not set; use a text that is not empty",
        "listener[1].strict: `1` cannot be used; use true or false",
        "retry.lifetime: `5 weeks` cannot be used; use a time such as 90s, 5m, 4h or 5d",
        "retry.schedule: it is one value where a list is wanted; use a list of a time such as 90s, 5m, 4h or 5d",
        "retry.domains.\"slow.example\".schedule: it holds several values where one is wanted; use a time such as 90s, 5m, 4h or 5d",
        "retry.shedule: there is no such setting; did you mean `schedule`?",
        "hostnam: there is no such setting; did you mean `hostname`?",
        "zebra: there is no such setting; the keys here are hostname, listener, retry, routes",
        "SPOOLWAY_RETRY_LIVETIME: there is no such setting; did you mean `SPOOLWAY_RETRY_LIFETIME`?",
        "SPOOLWAY_XYZ: there is no such setting; unset it",
    ];
    assert_eq!(mistakes.unwrap_err(), wanted);
}

#[test]
fn a_text_that_is_not_toml_names_the_line() {
    let mistakes = read_sample("hostname = \"a\"\n\nretry = [", &[]).unwrap_err();
    assert!(mistakes[0].starts_with("line 3: "), "{mistakes:?}");
}

#[test]
fn variables_that_kubernetes_makes_for_a_service_are_not_ours() {
    let kubernetes = [("SPOOLWAY_SERVICE_HOST", "10.0.0.1"), ("SPOOLWAY_PORT_25_TCP_ADDR", "10.0.0.1")];
    assert_eq!(read_sample("", &kubernetes).map(|_| ()), Ok(()));
}

#[test]
fn keys_that_are_not_set_are_listed() {
    let read = read("[retry]\nlifetime = \"1m\"", [], sample).unwrap();
    assert_eq!(read.unset, ["hostname", "routes", "listener", "retry.schedule", "retry.domains"]);
}
