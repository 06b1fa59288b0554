//! What code and templates must say together.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use harness::{Emulator, bootstrap, infra};
use serde_json::Value;

const DAY: u64 = 86_400;
/// How long a message is tried, unless somebody sets it otherwise (README, `retry.lifetime`), and its bounce after it.
const LONGEST_TRIED: Duration = Duration::from_secs(5 * DAY);
/// How long a message is held at most (README, `limits.hold`).
const LONGEST_HELD: Duration = Duration::from_secs(30 * DAY);

/// Gives a template as JSON, by the loader of its linter.
const LOAD: &str = "import json, sys
from cfnlint.decode import cfn_yaml
print(json.dumps(cfn_yaml.load(sys.argv[1]), default=str))
";

fn template(emulator: &Emulator, name: &str) -> Value {
    let python = emulator.tools().unwrap().join("python");
    let loaded = Command::new(python).args(["-c", LOAD]).arg(infra().join(name)).output().unwrap();
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    serde_json::from_slice(&loaded.stdout).unwrap()
}

fn edge(case: &str) -> Option<(Value, &'static Emulator)> {
    let emulator = Emulator::shared(case)?;
    // where the tests are pointed elsewhere, the tools are not here
    emulator.tools()?;
    Some((template(emulator, "edge.yaml")["Resources"].clone(), emulator))
}

/// The resources of a type, by their names.
fn of_type<'a>(resources: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let all = resources.as_object().unwrap().iter();
    all.filter(|(_, one)| one["Type"] == kind)
        .map(|(name, one)| (name.as_str(), &one["Properties"]))
        .collect()
}

/// The resource that a `!Ref` or `!GetAtt` names.
fn named<'a>(resources: &'a Value, reference: &Value) -> (&'a str, &'a Value) {
    let name = match reference {
        Value::Object(function) if function.contains_key("Ref") => function["Ref"].as_str(),
        Value::Object(function) => match &function["Fn::GetAtt"] {
            Value::Array(parts) => parts[0].as_str(),
            text => text.as_str().and_then(|text| text.split('.').next()),
        },
        _ => None,
    };
    let (name, resource) = resources.as_object().unwrap().get_key_value(name.unwrap()).unwrap();
    (name, &resource["Properties"])
}

#[test]
fn the_linter_has_nothing_to_say() {
    let Some((_, emulator)) = edge("the_linter_has_nothing_to_say") else { return };
    let linter = emulator.tools().unwrap().join("cfn-lint");
    let templates = ["network.yaml", "edge.yaml", "alarms.yaml"].map(|name| infra().join(name));
    let linted =
        Command::new(linter).args(["--regions", "us-east-1", "--"]).args(templates).output().unwrap();
    let said = String::from_utf8_lossy(&linted.stdout).into_owned();
    assert!(linted.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn each_source_of_events_reports_partial_failures_and_has_an_end() {
    let Some((resources, _)) = edge("each_source_of_events_reports_partial_failures") else { return };
    let sources = of_type(&resources, "AWS::Lambda::EventSourceMapping");
    assert_eq!(sources.len(), 2);
    for (name, source) in sources {
        assert_eq!(source["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]), "{name}");
        assert!(!source["ScalingConfig"]["MaximumConcurrency"].is_null(), "{name}");
        let (_, queue) = named(&resources, &source["EventSourceArn"]);
        let (_, function) = named(&resources, &source["FunctionName"]);
        let timeout = function["Timeout"].as_u64().unwrap();
        assert!(queue["VisibilityTimeout"].as_u64().unwrap() >= 6 * timeout, "{name}");
    }
}

#[test]
fn each_queue_keeps_its_jobs_longer_than_a_message_is_tried_and_has_a_place_for_the_dead() {
    let Some((resources, _)) = edge("each_queue_keeps_its_jobs") else { return };
    let queues = of_type(&resources, "AWS::SQS::Queue");
    let (dead, living): (Vec<_>, Vec<_>) = queues.into_iter().partition(|(name, _)| name.ends_with("Dead"));
    assert_eq!((living.len(), dead.len()), (2, 2));
    for (name, queue) in living.iter().chain(&dead) {
        let kept = Duration::from_secs(queue["MessageRetentionPeriod"].as_u64().unwrap());
        assert!(kept > LONGEST_TRIED, "{name}");
    }
    for (name, queue) in living {
        let redrive = &queue["RedrivePolicy"];
        let (place, _) = named(&resources, &redrive["deadLetterTargetArn"]);
        assert!(place.starts_with(name) && place.ends_with("Dead"), "{name}");
        assert!(redrive["maxReceiveCount"].as_u64().unwrap() >= 10, "{name}");
    }
}

#[test]
fn packs_outlive_their_messages_and_stray_uploads_do_not() {
    let Some((resources, _)) = edge("packs_outlive_their_messages") else { return };
    let buckets = of_type(&resources, "AWS::S3::Bucket");
    let [(_, bucket)] = &buckets[..] else { panic!("one bucket") };
    let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap();
    let packs = rules.iter().find(|rule| rule["Prefix"] == "packs/").unwrap();
    assert_eq!(packs["Status"], "Enabled");
    let kept = Duration::from_secs(packs["ExpirationInDays"].as_u64().unwrap() * DAY);
    assert!(kept > LONGEST_TRIED);
    let held = rules.iter().find(|rule| rule["Prefix"] == "held/").unwrap();
    assert_eq!(held["Status"], "Enabled");
    let kept_held = Duration::from_secs(held["ExpirationInDays"].as_u64().unwrap() * DAY);
    assert!(kept_held > LONGEST_HELD + kept, "a pack is kept for as long behind the release as any other");
    for (name, queue) in of_type(&resources, "AWS::SQS::Queue") {
        let job = Duration::from_secs(queue["MessageRetentionPeriod"].as_u64().unwrap());
        assert!(kept > job, "a job of {name} outlives its pack");
    }
    let stray = rules.iter().any(|rule| !rule["AbortIncompleteMultipartUpload"].is_null());
    assert!(stray, "uploads that nobody finished are paid for");
    for wall in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
        assert_eq!(bucket["PublicAccessBlockConfiguration"][wall], true, "{wall}");
    }
    assert!(!bucket["BucketEncryption"].is_null());
}

#[test]
fn the_tables_are_the_ones_that_the_code_reads() {
    let Some((resources, _)) = edge("the_tables_are_the_ones_that_the_code_reads") else { return };
    let keys = |of: &Value| {
        let schema = of["KeySchema"].as_array().unwrap();
        schema.iter().map(|key| key["AttributeName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let state = &resources["State"]["Properties"];
    assert_eq!(keys(state), ["pk", "sk"]);
    let index = &state["GlobalSecondaryIndexes"][0];
    assert_eq!(
        (index["IndexName"].as_str(), keys(index)),
        (Some("due"), vec!["due_shard".into(), "due".into()])
    );
    assert_eq!(state["TimeToLiveSpecification"]["AttributeName"], "expires");
    assert_eq!(keys(&resources["Directory"]["Properties"]), ["kind", "name"]);
    for table in ["State", "Directory"] {
        let recovery = &resources[table]["Properties"]["PointInTimeRecoverySpecification"];
        assert_eq!(recovery["PointInTimeRecoveryEnabled"], true, "{table}");
        assert_eq!(resources[table]["DeletionPolicy"], "Retain", "{table}");
    }
}

#[test]
fn each_function_has_the_settings_that_its_code_demands_and_no_others() {
    let Some((resources, _)) = edge("each_function_has_the_settings_that_its_code_demands") else { return };
    let functions = of_type(&resources, "AWS::Lambda::Function");
    assert_eq!(functions.len(), 3);
    for (name, function) in functions {
        let handler = function["Handler"].as_str().unwrap();
        let variables = function["Environment"]["Variables"].as_object().unwrap();
        let set: BTreeSet<&str> = variables.keys().map(String::as_str).collect();
        // with nothing set, the program lists all that it cannot do without
        let started = Command::new(bootstrap()).env_clear().env("_HANDLER", handler).output().unwrap();
        assert_eq!(started.status.code(), Some(78), "{name}");
        let said =
            String::from_utf8_lossy(&started.stdout).into_owned() + &String::from_utf8_lossy(&started.stderr);
        let missing =
            said.split("\\n").filter_map(|line| line.split_once(": it is not set").map(|(key, _)| key));
        let demanded: BTreeSet<String> =
            missing.map(|key| format!("SPOOLWAY_{}", key.trim().to_uppercase().replace('.', "_"))).collect();
        let demanded: BTreeSet<&str> = demanded.iter().map(String::as_str).collect();
        assert!(!demanded.is_empty(), "{said}");
        let unset: Vec<_> = demanded.difference(&set).collect();
        assert!(unset.is_empty(), "{name} lacks {unset:?}");
        // how mail leaves is the deployer's to say, and where metrics go has a default
        let may = ["SPOOLWAY_ROUTES", "AWS_EMF_NAMESPACE"];
        let extra: Vec<_> = set.difference(&demanded).filter(|name| !may.contains(name)).collect();
        assert!(extra.is_empty(), "{name} has {extra:?}, which nothing asks for");
    }
}

/// The emulator looks at no leading keys, so that the roles' proof cannot show it.
#[test]
fn deliver_and_sweep_see_of_the_directory_what_they_need_and_give_no_orders() {
    let Some((resources, _)) = edge("deliver_and_sweep_see_of_the_directory") else { return };
    let of_deliver = ["mtasts", "suppression", "fleet", "order"];
    for (role, kinds) in [("DeliverRole", &of_deliver[..]), ("SweepRole", &["order"])] {
        let policies = resources[role]["Properties"]["Policies"].as_array().unwrap();
        let statements =
            policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
        let of_directory: Vec<&Value> =
            statements.filter(|statement| statement["Resource"].to_string().contains("Directory")).collect();
        let keys = |statement: &Value| {
            statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"].clone()
        };
        let seen: Vec<Value> = of_directory.iter().map(|statement| keys(statement)).collect();
        assert_eq!(seen, kinds.iter().map(|kind| serde_json::json!([kind])).collect::<Vec<_>>(), "{role}");
        for statement in of_directory.iter().filter(|statement| keys(statement)[0] == "order") {
            assert!(!statement["Action"].to_string().contains("PutItem"), "{role} gives no orders");
        }
    }
}
