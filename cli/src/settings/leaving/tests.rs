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
