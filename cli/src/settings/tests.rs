use super::*;

const EXAMPLE: &str = include_str!("../../../spoolway.example.toml");

fn mistakes(toml: &str) -> Vec<String> {
    match read(&format!("hostname = \"mx.example.com\"\n{toml}"), [], Reader::Edge) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

/// The example with each key that is commented out put in force; prose has a space behind its `#`.
fn example_in_force() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    EXAMPLE.lines().map(line).collect()
}

#[test]
fn the_example_is_good_as_it_stands() {
    let settings = read(EXAMPLE, [], Reader::Edge).unwrap().value;
    assert_eq!(settings, Settings::new("mx.example.com".parse().unwrap(), "./.spoolway".into()));
}

#[test]
fn the_example_lists_every_key_with_its_default() {
    let example = read(&example_in_force(), [], Reader::Edge).unwrap();
    assert_eq!(example.unset, Vec::<String>::new(), "the example lacks these keys");
    let mut settings = example.value;
    // where there is no default, the example shows what could be written
    settings.retry.domains.clear();
    settings.relay_domains.clear();
    settings.dns_servers.clear();
    settings.auth.issuers.clear();
    settings.routes.retain(|(pattern, _)| pattern == "*");
    (settings.http, settings.log.format) = (None, None);
    settings.stores =
        Stores { retention: settings.stores.retention, memory: settings.stores.memory, ..Stores::default() };
    assert_eq!(settings, Settings::new("mx.example.com".parse().unwrap(), "./.spoolway".into()));
}

#[test]
fn an_open_relay_is_refused() {
    let world = "trusted_networks = [\"0.0.0.0/0\"]\n";
    let told = mistakes(world);
    assert_eq!(
        told,
        ["trusted_networks: 0.0.0.0/0 with a listener that is not loopback is an open relay; \
          name only the networks whose mail you answer for"]
    );
    assert_eq!(mistakes("trusted_networks = [\"::/0\", \"0.0.0.0/1\"]").len(), 2);
    assert_eq!(mistakes(&format!("{world}[[listener]]\naddress = \"127.0.0.1:2525\"")), [""; 0]);
    assert_eq!(mistakes("trusted_networks = [\"10.0.0.0/8\"]"), [""; 0]);
}

#[test]
fn an_issuer_has_a_name_an_audience_and_keys() {
    let issuer = |keys: &str| format!("[[auth.issuer]]\nissuer = \"i\"\naudience = \"a\"\nkeys = \"{keys}\"\n");
    assert_eq!(mistakes(&issuer("https://id.example/keys")), [""; 0]);
    assert_eq!(mistakes(&format!("{}name_claim = \"client\"", issuer("/etc/keys.json"))), [""; 0]);
    let right = "use an https:// URL or the path of a file with a JSON Web Key Set";
    assert_eq!(
        mistakes(&issuer("http://id.example/keys")),
        [format!("auth.issuer[1].keys: `http://id.example/keys` cannot be used; {right}")]
    );
    assert_eq!(mistakes("[[auth.issuer]]").len(), 3, "each of the three must be set");
    let told = mistakes("[auth]\nwithout_tls = \"always\"");
    assert_eq!(told, ["auth.without_tls: `always` cannot be used; use never or loopback"]);
}

#[test]
fn two_listeners_cannot_have_one_port() {
    let two = |first: &str, second: &str| {
        mistakes(&format!("[[listener]]\naddress = \"{first}\"\n[[listener]]\naddress = \"{second}\""))
    };
    assert_eq!(
        two("127.0.0.1:25", "127.0.0.1:25"),
        ["listener[2].address: 127.0.0.1:25 is taken by 127.0.0.1:25 (listener[1]) already; \
          use another port, or leave one of the two out"]
    );
    assert_eq!(two("0.0.0.0:25", "127.0.0.1:25").len(), 1);
    assert_eq!(two("0.0.0.0:25", "127.0.0.1:26"), [""; 0]);
    assert_eq!(two("0.0.0.0:25", "[::]:25"), [""; 0]);
    assert_eq!(two("127.0.0.1:0", "127.0.0.1:0"), [""; 0]);
    let http = mistakes("[http]\naddress = \"0.0.0.0:25\"");
    assert!(http.len() == 1 && http[0].starts_with("http.address: "), "{http:?}");
}

#[test]
fn packs_outlive_the_longest_lifetime() {
    assert_eq!(mistakes("[stores]\nretention = \"5d\"").len(), 1);
    let told = mistakes("[retry.domains.\"slow.example\"]\nlifetime = \"20d\"");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("stores.retention: ") && told[0].ends_with("use more than 20 days"),
        "{told:?}"
    );
}

#[test]
fn the_name_of_an_edge_is_a_domain() {
    let told = |toml: &str| {
        read(toml, [], Reader::Edge).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(""), ["hostname: it is not set; use a domain such as mail.example.com"]);
    assert_eq!(told("hostname = \"a b\"").len(), 1);
    assert_eq!(told("hostname = \"[192.0.2.1]\"").len(), 1);
}

#[test]
fn numbers_that_stop_everything_are_mistakes() {
    let told = mistakes(
        "[limits]\nmessage_octets = 10\nrecipients = 1\nconnections = 0\npack_messages = 0\nmemory_octets = \"5GiB\"\n\
         [retry]\njitter = 2\nschedule = [\"0\"]\nlifetime = \"0\"\n[deliver]\nconnections = 0",
    );
    assert_eq!(told.len(), 9, "{told:#?}");
}

#[test]
fn a_server_that_has_no_time_is_a_mistake() {
    let steps = ["connect", "greeting", "command", "mail", "rcpt", "data", "block", "end"];
    let toml = steps.map(|step| format!("{step} = \"0\"\n")).concat();
    let told = mistakes(&format!("[deliver.timeouts]\n{toml}"));
    let wanted =
        steps.map(|step| format!("deliver.timeouts.{step}: it is less than a second; use 1s or more"));
    assert_eq!(told, wanted);
}

#[test]
fn a_mistake_in_the_retries_of_a_domain_names_the_domain() {
    let of = |key: &str, value: &str| mistakes(&format!("[retry.domains.\"a.example\"]\n{key} = {value}"));
    let key = "retry.domains.\"a.example\"";
    assert_eq!(
        of("lifetime", "\"0s\""),
        [format!("{key}.lifetime: it is less than a second; use 1s or more")]
    );
    assert_eq!(
        of("schedule", "[]"),
        [format!("{key}.schedule: it has no pauses; use pauses such as 1m and 5m, or leave it out")]
    );
    assert_eq!(
        of("schedule", "[\"1m\", \"0s\"]"),
        [format!("{key}.schedule: it has a pause under a second; use pauses of 1s or more")]
    );
    assert_eq!(of("schedule", "[\"1m\"]"), [""; 0]);
    let told = mistakes("[retry.domains.\"a b\"]\nlifetime = \"1d\"");
    assert_eq!(told, ["retry.domains: `a b` is no domain; use a domain such as mail.example.com"]);
}

#[test]
fn the_general_mistake_in_the_retries_is_told_once() {
    let toml = "[retry]\nschedule = []\n[retry.domains.\"a.example\"]\nlifetime = \"1d\"";
    let told = mistakes(toml);
    assert!(told.len() == 1 && told[0].starts_with("retry.schedule: "), "{told:?}");
}

#[test]
fn an_inbox_below_a_data_folder_that_cannot_be_is_not_told_of() {
    let told = mistakes("data = \"/dev/null/data\"");
    assert_eq!(told, ["data: /dev/null is no folder; use a folder that this user may write in"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let told = mistakes(&format!(
        "data = \"{}/data\"\ninbox = \"{}/new/inbox\"",
        file.display(),
        folder.path().display()
    ));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("data: "), "{told:?}");
    assert!(!folder.path().join("new").exists(), "a check makes nothing");
}

#[test]
fn mail_without_a_route_of_its_own_goes_by_mx() {
    let toml = "hostname = \"a.example\"\n[routes]\n\"example.org\" = \"discard\"";
    let settings = read(toml, [], Reader::Edge).unwrap().value;
    assert_eq!(settings.routes, [("example.org".to_owned(), Route::Discard), ("*".to_owned(), Route::Mx)]);
    assert_eq!(mistakes("[routes]\n\"a b\" = \"mx\"\n\"c\" = \"nowhere\"").len(), 2);
}

/// What is wrong for a function with this handler, in this environment.
fn function_mistakes(role: Role, environment: &[(&str, &str)]) -> Vec<String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    match read("", environment, Reader::Function(role)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn roles_are_names_of_which_there_is_at_least_one() {
    assert_eq!(mistakes("roles = [\"deliver\", \"sweep\"]"), [""; 0]);
    assert_eq!(
        mistakes("roles = []"),
        ["roles: there is none that could be had; use ingress, prepare, deliver or sweep"]
    );
    let told = mistakes("roles = [\"ingress\", \"delivery\"]");
    assert_eq!(told, ["roles: `delivery` cannot be used; use ingress, prepare, deliver or sweep"]);
}

#[test]
fn what_a_role_does_not_use_need_not_be_set_or_right() {
    let told = |toml: &str| match read(toml, [], Reader::Edge) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    };
    // the sweep says its name to nobody, and has no keys
    let sweep = "roles = [\"sweep\"]\n[stores]\nkeys = \"nonsense\"\n";
    assert_eq!(told(sweep), [""; 0]);
    assert_eq!(told("roles = [\"prepare\"]").len(), 1);
    // nobody who only delivers can be an open relay
    let world = "trusted_networks = [\"0.0.0.0/0\"]";
    assert_eq!(mistakes(&format!("roles = [\"deliver\"]\n{world}")), [""; 0]);
    assert_eq!(mistakes(&format!("roles = [\"ingress\"]\n{world}")).len(), 1);
}

#[test]
fn a_function_lists_every_store_that_it_lacks_and_has_no_folder_of_its_own() {
    let told = function_mistakes(Role::Deliver, &[("SPOOLWAY_DATA", "/dev/null/data")]);
    assert_eq!(
        told,
        [
            "hostname: it is not set; use a domain such as mail.example.com",
            "stores.spool: it is not set; set SPOOLWAY_STORES_SPOOL to a URL; a function has no folder of its own",
            "stores.queue_inbound: it is not set; set SPOOLWAY_STORES_QUEUE_INBOUND to a URL; a function has no folder of its own",
            "stores.queue_outbound: it is not set; set SPOOLWAY_STORES_QUEUE_OUTBOUND to a URL; a function has no folder of its own",
            "stores.state: it is not set; set SPOOLWAY_STORES_STATE to a URL; a function has no folder of its own",
        ]
    );
    let sweep = [("SPOOLWAY_STORES_STATE", "file:/tmp/s"), ("SPOOLWAY_STORES_QUEUE_OUTBOUND", "nonsense")];
    let told = function_mistakes(Role::Sweep, &sweep);
    assert!(told.len() == 1 && told[0].contains("QUEUE_OUTBOUND: `nonsense`"), "{told:?}");
}

#[test]
fn a_function_has_the_role_of_its_handler_and_no_other() {
    let told = function_mistakes(Role::Sweep, &[("SPOOLWAY_ROLES", "deliver")]);
    assert!(
        told.iter().any(|line| line.starts_with("SPOOLWAY_ROLES: the handler of this function is sweep")),
        "{told:?}"
    );
}

#[test]
fn a_bucket_takes_two_commits_at_a_time_and_streamed_messages_count_their_parts() {
    let toml = "hostname = \"mx.example.com\"\n[stores]\nspool = \"s3://packs\"\n";
    let limits = read(toml, [], Reader::Edge).unwrap().value.limits;
    assert_eq!((limits.commits_in_flight, limits.streamed_memory_octets), (2, 6 * 1024 * 1024));
    let told = mistakes(
        "[stores]\nspool = \"s3://packs\"\n[limits]\nmemory_octets = \"5MiB\"\ncommits_in_flight = 1",
    );
    assert_eq!(told, ["limits.memory_octets: no large message would ever fit; use 6MiB or more"]);
}
