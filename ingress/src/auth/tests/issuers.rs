use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::limits::{CLOCK_SKEW_MAX, KEY_SET_AGE_MAX, KEY_SET_KEPT_MAX, KEY_SET_PAUSE};

const WRONG: &str = "535 5.7.8";

fn encoded(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// A signing key of an issuer.
enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encoded(key.public_key())})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y, "use": "sig"})
            }
            Self::Rsa(key) => {
                let RsaPublicKeyComponents { n, e } =
                    RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "kid": id, "n": encoded(n), "e": encoded(e)})
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let padding = if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                key.sign(
                    padding as &dyn aws_lc_rs::signature::RsaEncoding,
                    &random,
                    message.as_bytes(),
                    &mut signature,
                )
                .unwrap();
                signature
            }
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let algorithm = header["alg"].as_str().unwrap_or_default();
        format!("{message}.{}", encoded(self.sign(algorithm, &message)))
    }
}

fn keys(keys: &[Value]) -> Option<String> {
    Some(json!({ "keys": keys }).to_string())
}

impl World {
    fn seconds(&self, from_now: i64) -> i64 {
        self.clock.now().millis() / 1000 + from_now
    }

    fn claims(&self) -> Value {
        json!({"iss": "https://id.example", "aud": "spoolway", "exp": self.seconds(600), "email": "app"})
    }

    /// The claims with one of them replaced, or taken out by null.
    fn claims_but(&self, claim: &str, value: Value) -> Value {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value;
        }
        claims
    }

    /// The end of OAUTHBEARER with this token; the client takes note of an error as RFC 7628 §3.2.3 says.
    async fn bearer(&self, token: &str) -> String {
        let message = format!("n,a=app,\x01host=edge.example\x01port=587\x01auth=Bearer {token}\x01\x01");
        self.run_from(&self.other_client(), "OAUTHBEARER", &[message.as_bytes(), b"\x01"]).await.0
    }

    /// Another address each time, so that failures do not add up.
    fn other_client(&self) -> String {
        format!("2001:db8:0:{:x}::1", self.auth.ids.random() & 0xffff)
    }
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "1", "typ": "JWT"})
}

#[tokio::test]
async fn a_good_token_is_taken_by_both_mechanisms_and_a_bad_one_is_told_in_their_way() {
    let world = World::new().await;
    let signer = Signer::ed();
    world.issuer.publish(keys(&[signer.jwk("1")]));
    let good = signer.token(&header(), &world.claims());
    assert_eq!(world.bearer(&good).await, "235 app");
    let xoauth2 = |token: &str| format!("user=app\x01auth=Bearer {token}\x01\x01");
    assert_eq!(world.run("XOAUTH2", &[xoauth2(&good).as_bytes()]).await, ("235 app".to_owned(), vec![]));

    let (end, told) = world.run("XOAUTH2", &[xoauth2("bad").as_bytes(), b""]).await;
    assert_eq!((end.as_str(), told.len()), (WRONG, 1));
    assert_eq!(serde_json::from_str::<Value>(&told[0]).unwrap()["status"], "401");
    let (end, told) = world.run("OAUTHBEARER", &[b"n,,\x01auth=Bearer bad\x01\x01", b"\x01"]).await;
    assert_eq!((end.as_str(), told.len()), (WRONG, 1));
    assert_eq!(serde_json::from_str::<Value>(&told[0]).unwrap()["status"], "invalid_token");
}

#[tokio::test]
async fn each_algorithm_is_taken_with_a_key_of_its_kind_alone() {
    let world = World::new().await;
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let signers = [
        ("EdDSA", Signer::ed()),
        ("ES256", Signer::Ec(ec)),
        ("RS256", Signer::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))),
    ];
    let mut set: Vec<Value> = signers.iter().map(|(algorithm, signer)| signer.jwk(algorithm)).collect();
    // keys that no signature is checked with do not spoil the set
    set.push(json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "later"}));
    set.push(json!({"kty": "oct", "k": encoded("shared"), "kid": "shared"}));
    let mut encryption = signers[2].1.jwk("encryption");
    encryption["use"] = json!("enc");
    set.push(encryption);
    let mut only = signers[2].1.jwk("only");
    only["alg"] = json!("PS256");
    set.push(only);
    world.issuer.publish(keys(&set));
    let (claims, token) = (world.claims(), |signer: &Signer, algorithm: &str, key: &str| {
        signer.token(&json!({"alg": algorithm, "kid": key}), &world.claims())
    });
    for (algorithm, signer) in &signers {
        assert_eq!(world.bearer(&token(signer, algorithm, algorithm)).await, "235 app", "{algorithm}");
        let nameless = signer.token(&json!({"alg": algorithm}), &claims);
        assert_eq!(world.bearer(&nameless).await, "235 app", "{algorithm} without a kid");
    }
    let rsa = &signers[2].1;
    assert_eq!(world.bearer(&token(rsa, "PS256", "RS256")).await, "235 app");
    assert_eq!(world.bearer(&token(rsa, "PS256", "only")).await, "235 app");
    for (algorithm, key) in
        [("RS256", "only"), ("RS256", "encryption"), ("RS256", "EdDSA"), ("ES256", "RS256")]
    {
        assert_eq!(world.bearer(&token(rsa, algorithm, key)).await, WRONG, "{algorithm} with {key}");
    }
    // the public key, or anything else, taken for a secret that signs
    for algorithm in ["none", "HS256", "HS512", "RS384", "nonsense"] {
        for key in ["RS256", "shared"] {
            assert_eq!(world.bearer(&token(rsa, algorithm, key)).await, WRONG, "{algorithm} with {key}");
        }
    }
    let unsigned = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(claims.to_string()));
    assert_eq!(world.bearer(&unsigned).await, WRONG);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_is_found() {
    let world = World::new().await;
    world.put(credential("other")).await;
    let (signer, stranger) = (Signer::ed(), Signer::ed());
    world.issuer.publish(keys(&[signer.jwk("1")]));
    let name = async |claims: &Value| world.auth.tokens.name(&signer.token(&header(), claims)).await;
    let but = |claim: &str, value: Value| world.claims_but(claim, value);
    let skew = i64::try_from(CLOCK_SKEW_MAX.as_secs()).unwrap();

    use super::super::tokens::TokenError as E;
    assert_eq!(name(&world.claims()).await, Ok("app".to_owned()));
    for (claims, why) in [
        (but("iss", json!("https://evil.example")), E::Issuer),
        (but("iss", Value::Null), E::Malformed),
        (but("aud", json!("another")), E::Audience),
        (but("aud", json!(["a", "b"])), E::Audience),
        (but("aud", Value::Null), E::Audience),
        (but("exp", Value::Null), E::Expired),
        (but("exp", json!("never")), E::Expired),
        (but("exp", json!(world.seconds(-skew))), E::Expired),
        (but("nbf", json!(world.seconds(skew + 1))), E::Early),
        (but("nbf", json!("now")), E::Early),
        (but("email", Value::Null), E::Nameless),
        (but("email", json!("")), E::Nameless),
        (but("email_verified", json!(false)), E::Nameless),
        (but("email_verified", json!("false")), E::Nameless),
    ] {
        assert_eq!(name(&claims).await, Err(why), "{claims}");
    }
    for claims in [
        but("aud", json!(["a", "spoolway"])),
        but("exp", json!(world.seconds(1 - skew))),
        but("nbf", json!(world.seconds(skew))),
        but("email_verified", json!(true)),
        but("email_verified", json!("true")),
        json!({"iss": "https://id.example", "aud": "spoolway", "exp": world.seconds(1), "sub": "app"}),
    ] {
        assert_eq!(name(&claims).await, Ok("app".to_owned()), "{claims}");
    }

    let good = signer.token(&header(), &world.claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = [
        stranger.token(&header(), &world.claims()),
        signer.token(&json!({"alg": "EdDSA", "kid": "2"}), &world.claims()),
        signer.token(&json!({"alg": "EdDSA", "kid": "1", "crit": ["exp"]}), &world.claims()),
        format!(
            "{}.{}.{signature}",
            encoded(header().to_string()),
            encoded(but("email", json!("other")).to_string())
        ),
        format!("{signed}."),
        signed.to_owned(),
        String::from(".."),
        String::from("a.b.c"),
    ];
    for token in forged {
        assert_eq!(world.bearer(&token).await, WRONG, "{token}");
    }
}

#[tokio::test]
async fn a_token_is_for_the_name_that_the_client_says_and_the_directory_has() {
    let world = World::new().await;
    world.put(CredentialEntry { verifier: None, ..credential("token-only") }).await;
    world.put(CredentialEntry { revoked: Some(world.clock.now()), ..credential("gone") }).await;
    let signer = Signer::ed();
    world.issuer.publish(keys(&[signer.jwk("1")]));
    let run = async |mechanism: &str, said: &str, name: &str| {
        let token = signer.token(&header(), &world.claims_but("email", json!(name)));
        let message = match mechanism {
            "XOAUTH2" => format!("user={said}\x01auth=Bearer {token}\x01\x01"),
            _ => format!("n,{said},\x01auth=Bearer {token}\x01\x01"),
        };
        world.run_from(&world.other_client(), mechanism, &[message.as_bytes(), b"\x01"]).await.0
    };
    assert_eq!(run("XOAUTH2", "app", "app").await, "235 app");
    assert_eq!(run("XOAUTH2", "token-only", "token-only").await, "235 token-only");
    assert_eq!(run("XOAUTH2", "app", "token-only").await, WRONG);
    assert_eq!(run("XOAUTH2", "gone", "gone").await, WRONG);
    assert_eq!(run("XOAUTH2", "nobody", "nobody").await, WRONG);
    assert_eq!(run("OAUTHBEARER", "a=app", "app").await, "235 app");
    assert_eq!(run("OAUTHBEARER", "", "app").await, "235 app");
    assert_eq!(run("OAUTHBEARER", "a=app", "token-only").await, WRONG);
}

#[tokio::test]
async fn the_name_is_in_the_claim_that_is_set() {
    let issuer = Issuer {
        issuer: "https://id.example".to_owned(),
        audience: "spoolway".to_owned(),
        keys: "https://id.example/keys".parse().unwrap(),
        name_claim: Some("client".to_owned()),
    };
    let world = World::with(AuthSettings { issuers: vec![issuer], ..AuthSettings::default() }).await;
    let signer = Signer::ed();
    world.issuer.publish(keys(&[signer.jwk("1")]));
    let claims = world.claims_but("client", json!("app"));
    assert_eq!(world.bearer(&signer.token(&header(), &claims)).await, "235 app");
    assert_eq!(
        world.bearer(&signer.token(&header(), &world.claims())).await,
        WRONG,
        "not by its address then"
    );
}

#[tokio::test]
async fn keys_are_rotated_and_asked_for_no_more_often_than_need_be() {
    let world = World::new().await;
    let (old, new) = (Signer::ed(), Signer::ed());
    world.issuer.publish(keys(&[old.jwk("1")]));
    let by_old = |world: &World| old.token(&header(), &world.claims());
    let by_new = |world: &World| new.token(&json!({"alg": "EdDSA", "kid": "2"}), &world.claims());
    for _ in 0..3 {
        assert_eq!(world.bearer(&by_old(&world)).await, "235 app");
    }
    assert_eq!(world.issuer.asked(), 1);

    world.issuer.publish(keys(&[new.jwk("2")]));
    for _ in 0..3 {
        assert_eq!(world.bearer(&by_new(&world)).await, WRONG);
    }
    assert_eq!(world.issuer.asked(), 1, "whoever names keys that are not there makes no requests");
    world.clock.advance(KEY_SET_PAUSE);
    assert_eq!(world.bearer(&by_new(&world)).await, "235 app");
    assert_eq!(world.bearer(&by_old(&world)).await, WRONG);
    assert_eq!(world.issuer.asked(), 2);

    world.clock.advance(KEY_SET_AGE_MAX);
    assert_eq!(world.bearer(&by_new(&world)).await, "235 app");
    assert_eq!(world.issuer.asked(), 3, "old keys are asked for again");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_done_without_for_a_day() {
    let world = World::new().await;
    let signer = Signer::ed();
    let token = |world: &World| signer.token(&header(), &world.claims());
    assert_eq!(world.bearer(&token(&world)).await, "454 4.7.0", "nothing is known of it yet");
    world.issuer.publish(keys(&[signer.jwk("1")]));
    assert_eq!(world.bearer(&token(&world)).await, "454 4.7.0", "it is not asked again at once");
    world.clock.advance(KEY_SET_PAUSE);
    assert_eq!(world.bearer(&token(&world)).await, "235 app");

    for broken in [None, Some("{}".to_owned()), Some("<html>".to_owned()), keys(&[])] {
        world.issuer.publish(broken);
        world.clock.advance(KEY_SET_AGE_MAX);
        assert_eq!(world.bearer(&token(&world)).await, "235 app");
    }
    world.clock.advance(KEY_SET_KEPT_MAX);
    assert_eq!(world.bearer(&token(&world)).await, "454 4.7.0");
}

#[tokio::test]
async fn keys_are_fetched_though_the_client_that_needed_them_leaves() {
    let world = World::new().await;
    let signer = Signer::ed();
    world.issuer.publish(keys(&[signer.jwk("1")]));
    world.issuer.hangs.store(true, Ordering::Relaxed);
    let token = signer.token(&header(), &world.claims());
    let gone = world.bearer(&token);
    assert!(futures::poll!(std::pin::pin!(gone)).is_pending());
    while world.issuer.asked() == 0 {
        tokio::task::yield_now().await;
    }
    world.issuer.answers.notify_one();
    assert_eq!(world.bearer(&token).await, "235 app");
    assert_eq!(world.issuer.asked(), 1);
}
