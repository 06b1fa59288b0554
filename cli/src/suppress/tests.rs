use super::*;
use crate::samples::{NOW, stores, text};

fn terms(reason: SuppressionReason) -> Terms {
    Terms { tenant: TenantId("shop".to_owned()), reason, source: String::new(), lasts: None }
}

#[tokio::test]
async fn addresses_are_suppressed_listed_and_removed() {
    let open = stores().await;
    let ports = Ports { directory: open.stores.directory.clone(), now: NOW };
    let addresses: [Mailbox; 2] = ["Ann@example.org", "bob@example.net"].map(|text| text.parse().unwrap());
    let lasting = Terms { lasts: Some(Duration::from_secs(86_400)), ..terms(SuppressionReason::Manual) };
    let mut out = Vec::new();
    add(&ports, &addresses, &lasting, false, &mut out).await.unwrap();
    list(&ports, &lasting.tenant, None, false, Screen::default(), &mut out).await.unwrap();
    let domain = "example.net".parse().unwrap();
    list(&ports, &lasting.tenant, Some(&domain), true, Screen::default(), &mut out).await.unwrap();
    let told = text(out);
    assert!(told.starts_with("2 suppressions for the mail of shop"), "{told}");
    assert!(told.contains("Ann@example.org") && told.matches("bob@example.net").count() == 2, "{told}");
    let mut out = Vec::new();
    list(&ports, &TenantId::default(), None, false, Screen::default(), &mut out).await.unwrap();
    assert!(text(out).starts_with("No address is suppressed"));
    let again: Mailbox = "ANN@example.org".parse().unwrap();
    let again = std::slice::from_ref(&again);
    remove(&ports, again, &lasting.tenant, false, &mut Vec::new()).await.unwrap();
    let gone = remove(&ports, again, &lasting.tenant, false, &mut Vec::new()).await.unwrap_err();
    assert_eq!(gone.exit, Exit::NoInput);
}

#[tokio::test]
async fn what_is_exported_can_be_imported_to_the_letter() {
    let (from, to) = (stores().await, stores().await);
    let (from, to) = [&from, &to].map(|open| open.stores.directory.clone()).into();
    let (from, to) = (Ports { directory: from, now: NOW }, Ports { directory: to, now: NOW });
    for (n, source) in ["", "550 5.1.1 \"no\", such user", "=1+1"].into_iter().enumerate() {
        let reason = SuppressionReason::ALL[n];
        let lasts = (n == 1).then_some(Duration::from_millis(86_400_001));
        let terms = Terms { source: source.to_owned(), lasts, ..terms(reason) };
        let addresses = [format!("a{n}@example.org"), format!("\"b, {n}\"@example.org")];
        let addresses = addresses.map(|address| address.parse().unwrap());
        add(&from, &addresses, &terms, false, &mut Vec::new()).await.unwrap();
    }
    for json in [false, true] {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        export(&from, None, json, &mut first).await.unwrap();
        let other = Terms { tenant: TenantId::default(), ..terms(SuppressionReason::Manual) };
        import(&to, &first[..], &other, false, &mut Vec::new(), &mut Vec::new()).await.unwrap();
        export(&to, Some(TenantId("shop".to_owned())), json, &mut second).await.unwrap();
        assert_eq!(text(first), text(second));
    }
}

#[tokio::test]
async fn lists_of_others_are_taken_and_wrong_lines_are_told() {
    let open = stores().await;
    let ports = Ports { directory: open.stores.directory.clone(), now: NOW };
    let others =
        "\u{feff}Email,Created,Reason\r\nann@example.org,yesterday,Bounce\r\n\r\n\"bob@example.org\",,\r\n";
    let plain = "carol@example.org\nno address\n\"quoted, name\"@example.org\n";
    let long = format!("{}\n", "x".repeat(100_000));
    let bounced = terms(SuppressionReason::HardBounce);
    let (mut out, mut told) = (Vec::new(), Vec::new());
    import(&ports, others.as_bytes(), &bounced, false, &mut out, &mut told).await.unwrap();
    let mixed = format!("{plain}{long}");
    let wrong = import(&ports, mixed.as_bytes(), &bounced, false, &mut out, &mut told).await.unwrap_err();
    assert_eq!(wrong.exit, Exit::Data);
    let told = text(told);
    assert!(told.starts_with("line 2: `no address`") && told.contains("line 4: "), "{told}");
    assert!(told.len() < 20_000, "a long line is cut");
    let mut listed = Vec::new();
    list(&ports, &bounced.tenant, None, true, Screen::default(), &mut listed).await.unwrap();
    let listed = text(listed);
    for address in ["ann@example.org", "bob@example.org", "carol@example.org", "quoted, name"] {
        assert!(listed.contains(address), "{listed}");
    }
    assert_eq!(listed.matches("hard-bounce").count(), 4);
}

#[tokio::test]
async fn a_long_import_says_how_far_it_is() {
    let open = stores().await;
    let ports = Ports { directory: open.stores.directory.clone(), now: NOW };
    // one address in many spellings is one entry
    let lines: String = (0..crate::limits::IMPORT_PROGRESS).map(|_| "Ann@example.org\n").collect();
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let bounced = terms(SuppressionReason::HardBounce);
    import(&ports, lines.as_bytes(), &bounced, true, &mut out, &mut told).await.unwrap();
    assert_eq!(text(told), "10000 taken of 10000 lines\n");
    let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((told["taken"].as_u64(), told["wrong"].as_u64()), (Some(10_000), Some(0)));
}
