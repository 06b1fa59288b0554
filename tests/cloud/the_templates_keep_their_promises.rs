//! What code and templates must say together.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use harness::{Emulator, bootstrap, infra, program};
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

/// What is set by no parameter, by those for reports, and by all that are optional.
const NOTHING: [&str; 0] = [];
const REPORTS: [&str; 1] = ["ReportsTls"];
const ALL: [&str; 8] = [
    "HasSmartHost",
    "HasSmartHostSecret",
    "HasShapingRules",
    "HasDnsServers",
    "SaysWhetherToValidate",
    "HasBouncesDomain",
    "ReportsTls",
    "NamesOrganization",
];

/// Values that a deployer may give, of what the template does not say itself.
const GIVEN: [(&str, &str); 9] = [
    ("SPOOLWAY_ROUTES", "*=mx"),
    (
        "SPOOLWAY_SMART_HOST",
        "name=relay, hosts=smtp.example.net?port=587, auth.name=edge, \
         auth.secret=secretsmanager:arn:aws:secretsmanager:us-east-1:123456789012:secret:relay-AbCdEf",
    ),
    ("SPOOLWAY_SHAPING_RULES_TEXT", "[[rule]]\nname = \"a\"\nconnections = 2"),
    ("SPOOLWAY_DNS_SERVERS", "192.0.2.53:53,192.0.2.54:53"),
    ("SPOOLWAY_DNS_VALIDATE", "always"),
    ("SPOOLWAY_BOUNCES_DOMAIN", "bounces.example.com"),
    ("SPOOLWAY_TLS_REPORTS_FROM", "tls@example.com"),
    ("SPOOLWAY_TLS_REPORTS_ORGANIZATION", "Example"),
    ("SPOOLWAY_HOSTNAME", "mx.example.com"),
];

/// What is left of a value where these conditions hold, and no others; `None` where that is nothing.
fn under(value: &Value, conditions: &[&str]) -> Option<Value> {
    match value {
        Value::Object(function) if function.contains_key("Fn::If") => {
            let [condition, so, otherwise] = &function["Fn::If"].as_array().unwrap()[..] else { panic!() };
            under(if conditions.contains(&condition.as_str().unwrap()) { so } else { otherwise }, conditions)
        }
        Value::Object(function) if function.get("Ref") == Some(&"AWS::NoValue".into()) => None,
        Value::Object(map) => {
            Some(map.iter().filter_map(|(key, one)| Some((key.clone(), under(one, conditions)?))).collect())
        }
        Value::Array(list) => Some(list.iter().filter_map(|one| under(one, conditions)).collect()),
        _ => Some(value.clone()),
    }
}

/// Runs the functions' program, as far as it comes without Lambda: its exit code, and the keys that it misses.
fn started(handler: &str, variables: &[(&str, &str)]) -> (Option<i32>, BTreeSet<String>, String) {
    let mut command = Command::new(bootstrap());
    command.env_clear().env("_HANDLER", handler).envs(variables.iter().copied());
    let started = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&started.stdout).into_owned() + &String::from_utf8_lossy(&started.stderr);
    let missing =
        said.split("\\n").filter_map(|line| line.split_once(": it is not set").map(|(key, _)| key.trim()));
    let variable = |key: &str| format!("SPOOLWAY_{}", key.to_uppercase().replace('.', "_"));
    (started.status.code(), missing.map(variable).collect(), said)
}

/// The value of a variable: a deployer's, or a store of a kind that the code knows.
fn given(name: &str) -> &str {
    match GIVEN.iter().find(|(given, _)| *given == name) {
        Some((_, value)) => value,
        None if name.ends_with("_SPOOL") => "s3://mail",
        None if name.contains("_QUEUE_") => "sqs:https://sqs.us-east-1.amazonaws.com/1/q",
        None if name.ends_with("_KEYS") => "ssm:/edge/keys",
        None => "dynamodb:table",
    }
}

#[test]
fn each_function_has_the_settings_that_its_code_demands_and_no_others() {
    let Some((resources, _)) = edge("each_function_has_the_settings_that_its_code_demands") else { return };
    let functions = of_type(&resources, "AWS::Lambda::Function");
    assert_eq!(functions.len(), 3);
    for (name, function) in functions {
        let handler = function["Handler"].as_str().unwrap();
        // what its code reads and can do without
        let may: &[&str] = match handler {
            "prepare" => &["SPOOLWAY_BOUNCES_DOMAIN"],
            "deliver" => &[
                "SPOOLWAY_BOUNCES_DOMAIN",
                "SPOOLWAY_DNS_SERVERS",
                "SPOOLWAY_DNS_VALIDATE",
                "SPOOLWAY_ROUTES",
                "SPOOLWAY_SHAPING_RULES_TEXT",
                "SPOOLWAY_SMART_HOST",
                "SPOOLWAY_TLS_REPORTS_FROM",
                "SPOOLWAY_TLS_REPORTS_ORGANIZATION",
            ],
            _ => &["SPOOLWAY_TLS_REPORTS_FROM", "SPOOLWAY_TLS_REPORTS_ORGANIZATION"],
        };
        for conditions in [&NOTHING[..], &REPORTS, &ALL] {
            let variables = under(&function["Environment"]["Variables"], conditions).unwrap();
            let mut set: BTreeSet<&str> = variables.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(set.remove("AWS_EMF_NAMESPACE"), "{name}");
            let of_deployer: Vec<_> = set.intersection(&may.iter().copied().collect()).copied().collect();
            if conditions == ALL {
                assert_eq!(of_deployer, may, "{name}");
            }
            // with nothing else set, the program lists all that it cannot do without
            let given_alone: Vec<_> = of_deployer.iter().map(|name| (*name, given(name))).collect();
            let (code, demanded, said) = started(handler, &given_alone);
            assert_eq!(code, Some(78), "{name}");
            let demanded: BTreeSet<&str> = demanded.iter().map(String::as_str).collect();
            assert!(!demanded.is_empty(), "{said}");
            let rest: BTreeSet<&str> = set.iter().filter(|name| !may.contains(name)).copied().collect();
            assert_eq!(rest, demanded, "{name} under {conditions:?} has the left and should have the right");
            // with all of it, the program wants nothing but Lambda
            let whole: Vec<_> = set.iter().map(|name| (*name, given(name))).collect();
            let (code, _, said) = started(handler, &whole);
            assert_eq!(code, Some(64), "{name} under {conditions:?}: {said}");
        }
    }
}

#[test]
fn the_ingress_has_settings_that_its_code_takes() {
    let Some((resources, _)) = edge("the_ingress_has_settings_that_its_code_takes") else { return };
    let task = &resources["IngressTask"]["Properties"]["ContainerDefinitions"][0]["Environment"];
    for (conditions, optional) in [(&NOTHING[..], 0), (&ALL, 3)] {
        let environment = under(task, conditions).unwrap();
        let names: Vec<&str> =
            environment.as_array().unwrap().iter().map(|one| one["Name"].as_str().unwrap()).collect();
        let dns = ["SPOOLWAY_DNS_SERVERS", "SPOOLWAY_DNS_VALIDATE", "SPOOLWAY_BOUNCES_DOMAIN"];
        assert_eq!(names.iter().filter(|name| dns.contains(name)).count(), optional, "{names:?}");
        let value = |name: &str| match name {
            "SPOOLWAY_ROLES" => "ingress".to_owned(),
            "SPOOLWAY_LISTENER" => "address=0.0.0.0:2025, kind=mx; address=0.0.0.0:2587".to_owned(),
            "SPOOLWAY_TRUSTED_NETWORKS" => "10.0.0.0/8".to_owned(),
            "SPOOLWAY_RELAY_DOMAINS" => String::new(),
            "SPOOLWAY_HTTP_ADDRESS" => "0.0.0.0:9025".to_owned(),
            name => given(name).to_owned(),
        };
        let mut command = Command::new(program());
        command.arg0("spoolway").args(["serve", "--check"]).env_clear();
        let checked = command.envs(names.iter().map(|name| (*name, value(name)))).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// The statements of a role, where these conditions hold.
fn statements(resources: &Value, role: &str, conditions: &[&str]) -> Vec<Value> {
    let policies = under(&resources[role]["Properties"]["Policies"], conditions).unwrap();
    let statements = |policy: &Value| policy["PolicyDocument"]["Statement"].as_array().unwrap().clone();
    policies.as_array().unwrap().iter().flat_map(statements).collect()
}

#[test]
fn sweep_may_tell_reports_of_tls_only_where_somebody_wants_them() {
    let Some((resources, _)) = edge("sweep_may_tell_reports_of_tls") else { return };
    let without = statements(&resources, "SweepRole", &NOTHING);
    let sees = |statements: &[Value], name: &str| {
        statements.iter().any(|statement| statement["Resource"].to_string().contains(&format!("\"{name}\"")))
    };
    assert!(!sees(&without, "Inbound.Arn") && !format!("{without:?}").contains("Spool.Arn"));
    let with = statements(&resources, "SweepRole", &REPORTS);
    let added: Vec<&Value> = with.iter().filter(|statement| !without.contains(statement)).collect();
    let keys: Vec<Value> = added
        .iter()
        .filter(|statement| statement["Action"].to_string().contains("dynamodb:"))
        .map(|statement| statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"].clone())
        .collect();
    assert_eq!(keys, [serde_json::json!(["J#tls-report *"]), serde_json::json!(["T#*"])]);
    let others: Vec<&Value> = added
        .iter()
        .filter(|statement| !statement["Action"].to_string().contains("dynamodb:"))
        .map(|statement| &statement["Action"])
        .collect();
    assert_eq!(others, ["s3:PutObject", "sqs:SendMessage*"]);
    assert_eq!(added.len(), 4);
}

/// The emulator looks at no leading keys, so that the roles' proof cannot show it.
#[test]
fn deliver_and_sweep_delete_nothing_of_the_state_but_reminders() {
    let Some((resources, _)) = edge("deliver_and_sweep_delete_nothing") else { return };
    for role in ["DeliverRole", "SweepRole"] {
        let statements = statements(&resources, role, &NOTHING);
        let deletes = |statement: &&Value| statement["Action"].to_string().contains("dynamodb:DeleteItem");
        let of_state = |statement: &&Value| statement["Resource"].to_string().contains("State");
        let deletions = statements.iter().filter(of_state).filter(deletes);
        let deleted: Vec<&Value> = deletions
            .map(|statement| &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
            .collect();
        assert_eq!(deleted, [&serde_json::json!(["T#dsn *"])], "{role}");
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
