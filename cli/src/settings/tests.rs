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
    let mut example = read(&example_in_force(), [], Reader::Edge).unwrap();
    // a certificate is in two files or in a secret; the example has one of each
    // and rules of shaping are in a file or in a text
    example.unset.retain(|key| !key.starts_with("tls.certificate[") && key != "shaping.rules_text");
    assert_eq!(example.unset, Vec::<String>::new(), "the example lacks these keys");
    let mut settings = example.value;
    // where there is no default, the example shows what could be written
    settings.retry.domains.clear();
    settings.relay_domains.clear();
    settings.shaping_rules = OwnRules::None;
    let certificates = settings.tls.take().unwrap().certificates;
    assert_eq!(certificates.len(), 2);
    settings.listeners.iter_mut().for_each(|listener| listener.tls = ListenerTls::Off);
    settings.proxy_networks.clear();
    settings.xclient_networks.clear();
    settings.checks.dnsbls.clear();
    settings.dns = DnsSettings { servers: Vec::new(), trust_anchors: None, ..settings.dns };
    settings.tls_policy = TlsOverrides::default();
    (settings.auth.issuers, settings.sources, settings.smart_hosts) = (Vec::new(), Vec::new(), Vec::new());
    settings.routes.retain(|(pattern, _)| pattern == "*");
    (settings.http, settings.log.format, settings.tls_reports) = (None, None, None);
    settings.bounces = None;
    settings.suppression.exempt.clear();
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
fn who_may_speak_for_clients_is_named_where_it_is_asked_for_and_is_not_everyone() {
    let listener = "[[listener]]\naddress = \"127.0.0.1:25\"\nproxy_protocol = true";
    assert_eq!(
        mistakes(listener),
        [
            "proxy_networks: it is not set, and a listener has proxy_protocol; name the networks of the load balancers"
        ]
    );
    assert_eq!(mistakes(&format!("proxy_networks = [\"10.0.0.0/8\"]\n{listener}")), [""; 0]);
    let told = mistakes("xclient_networks = [\"::/0\"]\nproxy_networks = [\"0.0.0.0/0\"]");
    assert_eq!(
        told,
        [
            "proxy_networks: 0.0.0.0/0 lets anyone choose the address it comes from; name only the networks of your own proxies",
            "xclient_networks: ::/0 lets anyone choose the address it comes from; name only the networks of your own proxies"
        ]
    );
}

#[test]
fn block_lists_are_zones_with_answers_that_lists_give() {
    let told = mistakes(
        "[checks]\nreverse_dns = \"reject\"\ntimeout = \"0\"\n[[dnsbl]]\nzone = \"a b\"\n\
         [[dnsbl]]\nzone = \"bl.example\"\nanswers = [\"192.0.2.1\"]\n[[dnsbl]]\nzone = \"BL.example\"",
    );
    assert_eq!(
        told,
        [
            "checks.reverse_dns: `reject` cannot be used; use accept, tag, defer or refuse",
            "checks.timeout: it is less than a second; use 1s or more",
            "dnsbl[1].zone: `a b` cannot be used; use a domain such as mail.example.com",
            "dnsbl[2].answers: lists answer within 127.0.0.0/8; use addresses such as 127.0.0.2",
            "dnsbl: bl.example is there twice; use each zone once",
        ]
    );
    let many = (0..21).map(|n| format!("[[dnsbl]]\nzone = \"bl{n}.example\"\n")).collect::<String>();
    assert_eq!(mistakes(&many), ["dnsbl: there are 21; use 20 at most"]);
}

#[test]
fn limits_that_keep_every_client_out_are_mistakes() {
    let told = mistakes(
        "[limits]\nconnections_network = 0\nidle_commands = 0\nrefused_recipients = 0\nproxy_timeout = \"0\"\n\
         session_memory_octets = \"10KiB\"\ngreeting_delay = \"10m\"\nconnection_rate = \"0/s\"\nleast_content_rate = \"5GiB\"",
    );
    assert_eq!(told.len(), 8, "{told:#?}");
    let off = "hostname = \"a.example\"\n[limits]\nconnection_rate = \"off\"\nmessage_rate = \"100/s\"";
    let limits = read(off, [], Reader::Edge).unwrap().value.limits;
    assert_eq!((limits.connection_rate, limits.message_rate), (None, "100/s".parse().ok()));
}

#[test]
fn an_issuer_has_a_name_an_audience_and_keys() {
    let issuer =
        |keys: &str| format!("[[auth.issuer]]\nissuer = \"i\"\naudience = \"a\"\nkeys = \"{keys}\"\n");
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
fn mail_is_held_no_longer_than_its_pack_is_kept() {
    assert_eq!(
        read("hostname = \"h\"\n[limits]\nhold = \"0s\"", [], Reader::Edge).unwrap().value.limits.hold,
        Duration::ZERO
    );
    let told = mistakes("[limits]\nhold = \"31d\"");
    assert!(
        told.len() == 1 && told[0].starts_with("limits.hold: ") && told[0].contains("use 30d or less"),
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
            "stores.directory: it is not set; set SPOOLWAY_STORES_DIRECTORY to a URL; a function has no folder of its own",
            "stores.counters: it is not set; set SPOOLWAY_STORES_COUNTERS to a URL; a function has no folder of its own",
        ]
    );
    let sweep = [
        ("SPOOLWAY_STORES_STATE", "file:/tmp/s"),
        ("SPOOLWAY_STORES_DIRECTORY", "file:/tmp/s"),
        ("SPOOLWAY_STORES_QUEUE_OUTBOUND", "nonsense"),
    ];
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

#[test]
fn a_certificate_makes_listeners_offer_starttls() {
    let of = |toml: &str| {
        let toml = format!("hostname = \"mx.example.com\"\n{toml}");
        let settings = read(&toml, [], Reader::Edge).unwrap().value;
        settings.listeners.iter().map(|listener| listener.tls).collect::<Vec<_>>()
    };
    let listeners = "[[listener]]\naddress = \"127.0.0.1:25\"\n[[listener]]\naddress = \"127.0.0.1:465\"\n";
    assert_eq!(of(""), [ListenerTls::Off; 2]);
    assert_eq!(of(listeners), [ListenerTls::Off, ListenerTls::Off]);
    let certificate = "[[tls.certificate]]\nchain = \"a.crt\"\nkey = \"a.key\"\n";
    assert_eq!(of(certificate), [ListenerTls::StartTls; 2]);
    let all = format!("{certificate}{listeners}tls = \"implicit\"\n");
    assert_eq!(of(&all), [ListenerTls::StartTls, ListenerTls::Implicit]);
    assert_eq!(
        of(&format!("{certificate}[[listener]]\naddress = \"127.0.0.1:25\"\ntls = \"off\"")),
        [ListenerTls::Off]
    );
}

#[test]
fn tls_settings_that_contradict_each_other_are_refused() {
    let listener = "[[listener]]\naddress = \"127.0.0.1:465\"\ntls = \"implicit\"\n";
    assert_eq!(
        mistakes(listener),
        ["listener[1].tls: there is no certificate; add one as [[tls.certificate]], or use off"]
    );
    let right = "set chain and key to files in PEM, or secret to a URL";
    for (certificate, wrong) in [
        ("chain = \"a.crt\"", "a chain without its key is of no use"),
        ("key = \"a.key\"", "a key without its chain is of no use"),
        ("", "there is no certificate"),
        ("chain = \"a.crt\"\nsecret = \"ssm:/a\"", "a certificate is in files or in a secret, not in both"),
    ] {
        let told = mistakes(&format!("[[tls.certificate]]\n{certificate}"));
        assert_eq!(told, [format!("tls.certificate[1].chain: {wrong}; {right}")]);
    }
    assert_eq!(
        mistakes("[[tls.certificate]]\nsecret = \"vault:x\""),
        [
            "tls.certificate[1].secret: `vault:x` names no secret; use ssm:/<path> or secretsmanager:<name or ARN>"
        ]
    );
    assert_eq!(
        mistakes("[tls]\nclient_certificates = \"required\"\nleast_version = \"1.1\""),
        [
            "tls.least_version: `1.1` cannot be used; use 1.2 or 1.3",
            "tls.client_authorities: it is not set; name the PEM file of the authorities that sign the certificates of clients",
        ]
    );
}

#[test]
fn certificates_can_be_named_in_the_environment() {
    let secret = "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:edge-AbCdEf";
    let environment = [
        ("SPOOLWAY_HOSTNAME".to_owned(), "mx.example.com".to_owned()),
        ("SPOOLWAY_TLS_CERTIFICATE".to_owned(), format!("chain=/a.crt, key=/a.key; secret={secret}")),
        ("SPOOLWAY_LISTENER".to_owned(), "address=0.0.0.0:2465, tls=implicit".to_owned()),
    ];
    let settings = read("", environment, Reader::Edge).unwrap().value;
    let shown: Vec<String> = settings.tls.unwrap().certificates.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["/a.crt", secret]);
    assert_eq!(settings.listeners[0].tls, ListenerTls::Implicit);
}
