//! Secrets are read from where their URLs say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use shared::aws::{Aws, SecretsManager, SsmSecrets};
use shared::port::Secrets;
use shared::testkit::Emulator;
use shared::testkit::samples::unique;

async fn text(secrets: &dyn Secrets, name: &str) -> Option<String> {
    secrets.get(name).await.unwrap().map(|text| text.as_str().to_owned())
}

#[tokio::test]
async fn parameters_are_read_and_decrypted() {
    let Some(emulator) = Emulator::shared("parameters_are_read_and_decrypted") else { return };
    let config = emulator.config().await;
    let client = aws_sdk_ssm::Client::new(&config);
    let name = format!("/{}", unique("certificate"));
    let secrets = SsmSecrets::new(&Aws::new(config));
    assert_eq!(text(&secrets, &name).await, None);
    for value in ["old", "new"] {
        let put = client.put_parameter().name(&name).value(value).overwrite(true);
        put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.unwrap();
        assert_eq!(text(&secrets, &name).await.as_deref(), Some(value));
    }
    client.delete_parameter().name(&name).send().await.unwrap();
}

#[tokio::test]
async fn secrets_manager_gives_the_current_version_by_name_and_arn() {
    let Some(emulator) = Emulator::shared("secrets_manager_gives_the_current_version") else { return };
    let config = emulator.config().await;
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let name = unique("certificate");
    let secrets = SecretsManager::new(&Aws::new(config));
    assert_eq!(text(&secrets, &name).await, None);
    let arn = client.create_secret().name(&name).secret_string("old").send().await.unwrap().arn.unwrap();
    assert_eq!(text(&secrets, &name).await.as_deref(), Some("old"));
    client.put_secret_value().secret_id(&name).secret_string("new").send().await.unwrap();
    assert_eq!(text(&secrets, &name).await.as_deref(), Some("new"));
    assert_eq!(text(&secrets, &arn).await.as_deref(), Some("new"));
    let binary = aws_sdk_secretsmanager::primitives::Blob::new("as octets");
    client.put_secret_value().secret_id(&name).secret_binary(binary).send().await.unwrap();
    assert_eq!(text(&secrets, &name).await.as_deref(), Some("as octets"));
    client.delete_secret().secret_id(&name).force_delete_without_recovery(true).send().await.unwrap();
}
