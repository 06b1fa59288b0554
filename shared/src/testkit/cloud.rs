//! The adapters of AWS on an emulator, or on whatever the tests are pointed at, for the suites.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus,
};
use aws_sdk_sqs::types::QueueAttributeName;

use super::samples::unique;
use super::{Emulator, Fixture, Store, Windows, eventually};
use crate::aws::{
    Aws, DynamoCounters, DynamoDeliveries, DynamoDirectory, DynamoTallies, S3Spool, SqsQueue, SsmKeys,
};
use crate::port::{Counters, Deliveries, Directory, Keys, Queue, Spool, Tallies};

/// The adapters of AWS.
#[derive(Clone, Copy)]
pub struct Cloud(pub &'static Emulator);

/// A bucket, a queue, a table or a path of parameters, by its name or URL.
struct Place {
    emulator: &'static Emulator,
    name: String,
}

impl Place {
    async fn aws(&self) -> Aws {
        Aws::new(self.emulator.config().await)
    }
}

macro_rules! cloud {
    ($($port:ident: $make:ident => $adapter:expr),* $(,)?) => {$(
        #[async_trait]
        impl Fixture<dyn $port> for Cloud {
            async fn fresh(&self) -> Box<dyn Store<dyn $port>> {
                Box::new(Place { emulator: self.0, name: self.$make().await })
            }

            fn windows(&self) -> Windows {
                // SQS counts in whole seconds, and ranks nothing
                let seconds = Duration::from_secs(2);
                Windows { visibility: seconds, delay: seconds, ranks: false, ..Windows::default() }
            }
        }

        #[async_trait]
        impl Store<dyn $port> for Place {
            async fn open(&self) -> Arc<dyn $port> {
                let adapter: fn(&Aws, &str) -> Arc<dyn $port> = $adapter;
                adapter(&self.aws().await, &self.name)
            }
        }
    )*};
}

cloud! {
    Spool: bucket => |aws, name| Arc::new(S3Spool::new(aws, name, "edge")),
    Queue: queue => |aws, name| Arc::new(SqsQueue::new(aws, name)),
    Deliveries: state_table => |aws, name| Arc::new(DynamoDeliveries::new(aws, name)),
    Directory: directory_table => |aws, name| Arc::new(DynamoDirectory::new(aws, name)),
    Keys: path => |aws, name| Arc::new(SsmKeys::new(aws, name)),
    Counters: state_table => |aws, name| Arc::new(DynamoCounters::new(aws, name)),
    Tallies: state_table => |aws, name| Arc::new(DynamoTallies::new(aws, name)),
}

impl Cloud {
    async fn bucket(&self) -> String {
        let config = aws_sdk_s3::config::Builder::from(&self.0.config().await).force_path_style(true);
        let client = aws_sdk_s3::Client::from_conf(config.build());
        let name = unique("spool");
        client.create_bucket().bucket(&name).send().await.expect("a bucket can be made");
        name
    }

    async fn queue(&self) -> String {
        let client = aws_sdk_sqs::Client::new(&self.0.config().await);
        let Windows { visibility, receives_max, .. } = Fixture::<dyn Queue>::windows(self);
        let name = unique("jobs");
        let dead = client.create_queue().queue_name(format!("{name}-dead")).send().await;
        let dead = dead.expect("a queue can be made").queue_url.expect("it has a URL");
        let arn =
            client.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn);
        let arn = arn.send().await.expect("a queue has attributes").attributes.expect("it has some");
        let arn = &arn[&QueueAttributeName::QueueArn];
        let redrive = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": receives_max});
        let queue = client
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::VisibilityTimeout, visibility.as_secs().to_string())
            .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string());
        queue.send().await.expect("a queue can be made").queue_url.expect("it has a URL")
    }

    async fn state_table(&self) -> String {
        let due = GlobalSecondaryIndex::builder()
            .index_name("due")
            .set_key_schema(Some(schema("due_shard", "due")))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .expect("an index is plain data");
        let numbers = [("due_shard", ScalarAttributeType::N), ("due", ScalarAttributeType::S)];
        self.table("state", ("pk", "sk"), &numbers, Some(due)).await
    }

    async fn directory_table(&self) -> String {
        self.table("directory", ("kind", "name"), &[], None).await
    }

    async fn path(&self) -> String {
        format!("/{}", unique("keys"))
    }

    async fn table(
        &self,
        prefix: &str,
        (hash, range): (&str, &str),
        others: &[(&str, ScalarAttributeType)],
        index: Option<GlobalSecondaryIndex>,
    ) -> String {
        let client = aws_sdk_dynamodb::Client::new(&self.0.config().await);
        let name = unique(prefix);
        let keys = [(hash, ScalarAttributeType::S), (range, ScalarAttributeType::S)];
        let attribute = |(name, kind): &(&str, ScalarAttributeType)| {
            let attribute = AttributeDefinition::builder().attribute_name(*name);
            attribute.attribute_type(kind.clone()).build().expect("an attribute is plain data")
        };
        let create = client
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(keys.iter().chain(others).map(attribute).collect()))
            .set_key_schema(Some(schema(hash, range)))
            .set_global_secondary_indexes(index.map(|index| vec![index]));
        create.send().await.expect("a table can be made");
        eventually("the table is active", Duration::from_secs(60), async || {
            let table = client.describe_table().table_name(&name).send().await.ok()?.table?;
            (table.table_status == Some(TableStatus::Active)).then_some(())
        })
        .await;
        name
    }
}

fn schema(hash: &str, range: &str) -> Vec<KeySchemaElement> {
    let element = |(name, kind)| {
        let element = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        element.build().expect("a key is plain data")
    };
    [(hash, KeyType::Hash), (range, KeyType::Range)].map(element).into()
}
