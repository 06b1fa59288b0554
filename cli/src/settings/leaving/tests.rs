use workers::deliver::{Mechanism, Route, SecretSource, SmartHostTls};

use crate::settings::{Reader, Settings, read};

fn settings(toml: &str) -> Result<Settings, Vec<String>> {
    match read(&format!("hostname = \"mx.example.com\"\n{toml}"), [], Reader::Edge) {
        Ok(read) => Ok(read.value),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

fn mistakes(toml: &str) -> Vec<String> {
    settings(toml).err().unwrap_or_default()
}

#[test]
fn a_route_names_smart_hosts_that_are_safe_unless_told_otherwise() {
    let settings = settings(
        "[routes]\n\"example.org\" = \"smart_host:relay\"\n[[smart_host]]\nname = \"relay\"\n\
         hosts = [{ host = \"SMTP.example.net\" }, { host = \"2001:db8::1\", port = 25, weight = 0 }]\n\
         auth = { name = \"edge\", secret = \"/run/relay\" }",
    )
    .unwrap();
    let Route::SmartHosts(relay) = &settings.routes[0].1 else { panic!("{:?}", settings.routes) };
    let hosts: Vec<_> = relay.hosts.iter().map(|host| (host.host.as_str(), host.port, host.weight)).collect();
    assert_eq!(hosts, [("smtp.example.net", 587, 1), ("2001:db8::1", 25, 0)]);
    assert_eq!((relay.tls, relay.implicit_tls), (SmartHostTls::Verify, false));
    let login = relay.login.as_ref().unwrap();
    assert_eq!((login.name.as_str(), login.mechanism, login.unverified), ("edge", None, false));
    assert_eq!(login.secret, SecretSource::File("/run/relay".into()));
    assert_eq!(settings.routes[0].1.to_string(), "smart_host:relay");
}

#[test]
fn a_secret_may_be_kept_elsewhere_and_implicit_tls_has_its_own_port() {
    let settings = settings(
        "[routes]\n\"*\" = \"smart_host:relay\"\n[[smart_host]]\nname = \"relay\"\nimplicit_tls = true\n\
         hosts = [{ host = \"smtp.example.net\" }]\n\
         auth = { mechanism = \"xoauth2\", name = \"edge\", secret = \"ssm:/relay/token\" }",
    )
    .unwrap();
    let Route::SmartHosts(relay) = &settings.routes[0].1 else { panic!("{:?}", settings.routes) };
    assert_eq!(relay.hosts[0].port, 465);
    let login = relay.login.as_ref().unwrap();
    assert_eq!(login.mechanism, Some(Mechanism::XOauth2));
    assert_eq!(login.secret, SecretSource::Secret("ssm:/relay/token".to_owned()));
}

#[test]
fn every_mistake_about_smart_hosts_is_told() {
    let told = mistakes(
        "[routes]\n\"*\" = \"smart_host:missing\"\n\
         [[smart_host]]\nname = \"a b\"\nimplicit_tls = true\ntls = \"off\"\n\
         [[smart_host]]\nname = \"two\"\nhosts = [{ host = \"smtp_.example.net x\", port = 0 }]\ntls = \"may\"\n\
         auth = { name = \"edge\", secret = \"vault:x\", mechanism = \"cram-md5\" }\n\
         [[smart_host]]\nname = \"two\"\nhosts = [{ host = \"smtp.example.net\" }]\nauth = { name = \"edge\" }",
    );
    for (at, part) in [
        "smart_host[1].name: `a b` cannot be used",
        "smart_host[1].implicit_tls: there is no TLS with tls = \"off\"",
        "smart_host[1].hosts: there is none",
        "smart_host[2].hosts[1].host: `smtp_.example.net x` cannot be used",
        "smart_host[2].hosts[1].port: nobody listens on port 0",
        "smart_host[2].auth.mechanism: `cram-md5` cannot be used; use scram-sha-256, plain, login or xoauth2",
        "smart_host[2].auth.unverified: the secret would go to a server whose certificate is not verified",
        "smart_host[2].auth.secret: `vault:x` names no secret",
        "smart_host[3].auth.secret: it is not set",
        "smart_host: two is there twice",
        "routes: there is no smart host `missing`",
    ]
    .iter()
    .enumerate()
    {
        assert!(told.get(at).is_some_and(|told| told.starts_with(part)), "{at}: {part}: {told:#?}");
    }
    assert_eq!(told.len(), 11, "{told:#?}");
}

#[test]
fn sources_have_addresses_and_tenants_of_their_own() {
    let good = settings(
        "[[source]]\nname = \"bulk\"\naddresses = [\"192.0.2.25\", \"2001:db8::25\"]\nhelo = \"bulk.example.com\"\n\
         tenants = [\"newsletter\"]\n[[source]]\nname = \"rest\"\naddresses = [\"192.0.2.26\"]\ntenants = [\"*\"]",
    )
    .unwrap();
    assert_eq!(good.sources.len(), 2);
    assert_eq!((good.sources[0].addresses.len(), good.sources[1].helo.clone()), (2, None));
    let told = mistakes(
        "[[source]]\nname = \"a\"\naddresses = [\"0.0.0.0\"]\n\
         [[source]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\ntenants = [\"x\", \"x\"]\nhelo = \"no name\"",
    );
    for part in [
        "source[1].addresses: `0.0.0.0` cannot be used",
        "source[1].tenants: there is none",
        "source[2].helo: `no name` cannot be used",
        "source: a is there twice",
        "source: tenant x is there twice",
    ] {
        assert!(told.iter().any(|told| told.starts_with(part)), "{part}: {told:#?}");
    }
}

fn by_variables(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    match read("hostname = \"mx.example.com\"", variables, Reader::Edge) {
        Ok(read) => Ok(read.value),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn smart_hosts_and_sources_can_be_said_in_variables() {
    let text = settings(
        "[routes]\n\"*\" = \"smart_host:relay\"\n[[smart_host]]\nname = \"relay\"\ntls = \"require\"\n\
         hosts = [{ host = \"smtp.example.net\", port = 25 }, { host = \"2001:db8::1\", weight = 0 }]\n\
         auth = { mechanism = \"plain\", name = \"edge\", secret = \"secretsmanager:arn:aws:s\", unverified = true }\n\
         [[smart_host]]\nname = \"spare\"\nhosts = [{ host = \"192.0.2.1\" }]\n\
         [[source]]\nname = \"bulk\"\naddresses = [\"192.0.2.25\", \"2001:db8::25\"]\ntenants = [\"a\", \"b\"]",
    );
    let hosts = "name=relay, tls=require, hosts=smtp.example.net?port=25 2001:db8::1?weight=0, \
                 auth.mechanism=plain, auth.name=edge, auth.secret=secretsmanager:arn:aws:s, auth.unverified=true; \
                 name=spare, hosts=192.0.2.1";
    let said = by_variables(&[
        ("SPOOLWAY_ROUTES", "*=smart_host:relay"),
        ("SPOOLWAY_SMART_HOST", hosts),
        ("SPOOLWAY_SOURCE", "name=bulk, addresses=192.0.2.25 2001:db8::25, tenants=a b"),
    ]);
    assert!(text.is_ok());
    assert_eq!(said, text);
}

#[test]
fn a_mistake_in_such_a_variable_is_told_where_it_is() {
    let hosts = "name=relay, hosts=smtp.example.net?prot=25 smtp.example.net:587, auth.user=edge; name=two";
    assert_eq!(
        by_variables(&[("SPOOLWAY_SMART_HOST", hosts), ("SPOOLWAY_ROUTES", "*=smart_host:one")]).unwrap_err(),
        [
            "SPOOLWAY_SMART_HOST[1].hosts[1].prot: there is no such setting; the keys here are host, port, weight",
            "SPOOLWAY_SMART_HOST[1].hosts[2].host: `smtp.example.net:587` cannot be used; \
             use a name such as smtp.example.net, or an address",
            "SPOOLWAY_SMART_HOST[1].auth.user: there is no such setting; \
             the keys here are mechanism, name, secret, unverified",
            "SPOOLWAY_SMART_HOST[2].hosts: there is none; use [{ host = \"smtp.example.net\" }]",
            "SPOOLWAY_ROUTES: there is no smart host `one`; use the name of a [[smart_host]]",
        ]
    );
}
