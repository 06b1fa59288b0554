//! The program as Lambda runs it: mail goes through prepare and deliver as functions, fed by events.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Act, Client, Edge, Function, Script, Setup, Sink, Step, eventually, numbered_message};
use serde_json::{Value, json};
use shared::port::{Queue, Receipt, Received};
use shared::system::SystemClock;
use shared::wire::{StoreUrls, Stores};

const TIME: Duration = Duration::from_secs(60);

/// What a function of this handler is told, on the stores of a data folder.
fn environment(data: &Path) -> Vec<(&'static str, String)> {
    let urls = StoreUrls::below(data);
    vec![
        ("SPOOLWAY_HOSTNAME", "edge.example".to_owned()),
        ("SPOOLWAY_STORES_SPOOL", urls.spool),
        ("SPOOLWAY_STORES_QUEUE_INBOUND", urls.queue_inbound),
        ("SPOOLWAY_STORES_QUEUE_OUTBOUND", urls.queue_outbound),
        ("SPOOLWAY_STORES_STATE", urls.state),
        ("SPOOLWAY_STORES_DIRECTORY", urls.directory),
        ("SPOOLWAY_STORES_KEYS", urls.keys),
        ("SPOOLWAY_STORES_COUNTERS", urls.counters),
    ]
}

fn function(handler: &str, data: &Path, more: &[(&'static str, String)]) -> Function {
    Function::start(handler, &[environment(data), more.to_vec()].concat())
}

/// The part of the service between a queue and its function.
struct Mapping {
    runtime: tokio::runtime::Runtime,
    queue: Arc<dyn Queue>,
}

impl Mapping {
    fn of(data: &Path, pick: impl FnOnce(Stores) -> Arc<dyn Queue>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let urls = StoreUrls::below(data);
        let stores = Stores::open_existing(&urls, Arc::new(SystemClock));
        let queue = pick(runtime.block_on(stores).unwrap());
        Self { runtime, queue }
    }

    /// The jobs that are there, at least one.
    fn receive(&self) -> Vec<Received> {
        eventually("there is a job", || {
            let received = self.runtime.block_on(self.queue.receive(10, Duration::from_millis(100))).unwrap();
            (!received.is_empty()).then_some(received)
        })
    }

    /// Invokes `function` with what is there, acknowledges what is done, and tells how much is not.
    fn feed(&self, function: &Function) -> usize {
        let received = self.receive();
        let answer = function.invoke(&event(&received), TIME).expect("the function answers");
        let failures = answer["batchItemFailures"].as_array().expect("it answers as a batch").clone();
        for Received { receipt: Receipt(receipt), .. } in &received {
            let id = json!({ "itemIdentifier": format!("id of {receipt}") });
            if !failures.contains(&id) {
                self.runtime.block_on(self.queue.ack(&Receipt(receipt.clone()))).unwrap();
            }
        }
        failures.len()
    }
}

fn event(received: &[Received]) -> Value {
    let record = |Received { body, receipt, receives, .. }: &Received| {
        json!({
            "messageId": format!("id of {}", receipt.0), "receiptHandle": receipt.0, "body": body,
            "attributes": { "ApproximateReceiveCount": receives.to_string() }, "messageAttributes": {},
            "eventSource": "aws:sqs", "awsRegion": "eu-west-1"
        })
    };
    json!({ "Records": received.iter().map(record).collect::<Vec<_>>() })
}

#[test]
fn mail_is_taken_by_an_ingress_and_goes_out_by_functions() {
    let sink = Sink::scripted(Script::default().first(1, Step::Dot, Act::Say("451 4.3.2 busy".into())));
    let edge = Edge::start(&Setup::default().top("roles = [\"ingress\"]"));
    let message = numbered_message(1, 2_000);
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &message);
    let prepare = function("prepare", edge.folder(), &[]);
    assert_eq!(Mapping::of(edge.folder(), |stores| stores.inbound).feed(&prepare), 0);
    let more =
        [("SPOOLWAY_ROUTES", format!("*={}", sink.route())), ("SPOOLWAY_RETRY_SCHEDULE", "1s".to_owned())];
    let deliver = function("deliver", edge.folder(), &more);
    let outbound = Mapping::of(edge.folder(), |stores| stores.outbound);
    // the server is busy once: the delivery is deferred, which is a job that is done, and comes back as another one
    assert_eq!((outbound.feed(&deliver), outbound.feed(&deliver)), (0, 0));
    assert!(sink.wait_for(1)[0].data.ends_with(&message));
    let story = edge.settled(&id);
    assert_eq!(story["deliveries"][0]["recipients"][0]["status"], "delivered");
    let sweep = function("sweep", edge.folder(), &[]);
    let swept = sweep.invoke(&json!({ "time": "2026-01-01T00:00:00Z" }), TIME).unwrap();
    assert_eq!(swept["sent"], 0);
    for (function, said) in [(&prepare, "prepared"), (&deliver, "attempt ended"), (&sweep, "swept")] {
        let log = function.log_text();
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        let line = lines.iter().find(|line| line["message"] == said).expect(said);
        let request = line["span"]["request_id"].as_str().expect("a line names its invocation");
        assert!(request.starts_with("00000000-0000-4000-8000-"), "{line}");
    }
}

#[test]
fn no_connection_is_kept_by_a_function_that_has_answered() {
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().top("roles = [\"ingress\"]"));
    let prepare = function("prepare", edge.folder(), &[]);
    // longer than this test may take: nothing but the end of an invocation closes what is kept
    let keep = ("SPOOLWAY_DELIVER_KEEP", "10m".to_owned());
    let routes = ("SPOOLWAY_ROUTES", format!("*={}", sink.route()));
    let deliver = function("deliver", edge.folder(), &[keep, routes]);
    let (inbound, outbound) = (
        Mapping::of(edge.folder(), |stores| stores.inbound),
        Mapping::of(edge.folder(), |stores| stores.outbound),
    );
    for invocation in 1..=2 {
        let message = numbered_message(invocation as u64, 500);
        let _ = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &message);
        assert_eq!((inbound.feed(&prepare), outbound.feed(&deliver)), (0, 0));
        // the process may be frozen from its answer on
        assert_eq!((sink.count(), sink.connections_open()), (invocation, 0));
        assert_eq!((sink.connections(), sink.quits()), (invocation, invocation));
    }
}

/// What a function told of these metrics, a value for each line that has any.
fn told(function: &Function, name: &str) -> Vec<Value> {
    let lines = function.log_text();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let with_it = |line: Value| {
        let directives = line["_aws"]["CloudWatchMetrics"].as_array()?.clone();
        let mut named = directives.iter().filter(|directive| directive["Namespace"] == "Spoolway/mine");
        named
            .any(|directive| directive["Metrics"].to_string().contains(&format!("\"{name}\"")))
            .then(|| line[name].clone())
    };
    lines.filter_map(with_it).collect()
}

#[test]
fn an_invocation_tells_cloudwatch_what_it_counted() {
    let sink = Sink::start();
    let edge = Edge::start(&Setup::default().top("roles = [\"ingress\"]"));
    let namespace = ("AWS_EMF_NAMESPACE", "Spoolway/mine".to_owned());
    let prepare = function("prepare", edge.folder(), std::slice::from_ref(&namespace));
    let routes = ("SPOOLWAY_ROUTES", format!("*={}", sink.route()));
    let deliver = function("deliver", edge.folder(), &[namespace, routes]);
    let (inbound, outbound) = (
        Mapping::of(edge.folder(), |stores| stores.inbound),
        Mapping::of(edge.folder(), |stores| stores.outbound),
    );
    for (n, recipients) in [(1, &["u@b.example"][..]), (2, &["u@b.example", "v@b.example"])] {
        let _ = Client::submit(edge.smtp(), "a@app.example", recipients, &numbered_message(n, 500));
        assert_eq!((inbound.feed(&prepare), outbound.feed(&deliver)), (0, 0));
    }
    // differences, not sums, and there before the answer
    assert_eq!(told(&deliver, "spoolway_recipients_total_delivered"), [1, 2]);
    assert_eq!(told(&deliver, "spoolway_jobs_done_total"), [1, 1]);
    assert_eq!(told(&prepare, "spoolway_prepare_messages_total"), [1, 1]);
    let times = told(&prepare, "spoolway_jobs_seconds");
    assert!(times.iter().all(|time| time.as_array().is_some_and(|samples| samples.len() == 1)), "{times:?}");
}

#[test]
fn a_server_that_does_not_answer_the_final_dot_in_time_is_on_record_before_the_deadline() {
    let sink = Sink::scripted(Script::default().first(1, Step::Dot, Act::Hang));
    let edge = Edge::start(&Setup::default().top("roles = [\"ingress\"]"));
    let id = Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 500));
    let prepare = function("prepare", edge.folder(), &[]);
    assert_eq!(Mapping::of(edge.folder(), |stores| stores.inbound).feed(&prepare), 0);
    let deliver = function("deliver", edge.folder(), &[("SPOOLWAY_ROUTES", format!("*={}", sink.route()))]);
    let received = Mapping::of(edge.folder(), |stores| stores.outbound).receive();
    let began = Instant::now();
    let time = Duration::from_secs(8);
    let answer = deliver.invoke(&event(&received), time).unwrap();
    assert!(began.elapsed() < time, "a function is killed at its deadline");
    // the job is done: its delivery is deferred by the schedule, and not sent again at once
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    let story = edge.json(&["trace", &id]);
    let attempt = &story["deliveries"][0]["attempts"][0]["reply"];
    assert!(attempt["text"].as_str().unwrap().contains("the server may have the message"), "{story}");
    assert_eq!(story["deliveries"][0]["recipients"][0]["status"], "deferred");
}

#[test]
fn a_job_that_cannot_be_read_is_the_only_one_of_its_batch_that_comes_back() {
    let edge = Edge::start(&Setup::default().top("roles = [\"ingress\"]"));
    Client::submit(edge.smtp(), "a@app.example", &["u@b.example"], &numbered_message(1, 500));
    let inbound = Mapping::of(edge.folder(), |stores| stores.inbound);
    let mut received = inbound.receive();
    let broken =
        Received { body: "{}".to_owned(), receipt: Receipt("broken".to_owned()), receives: 3, tenant: None };
    received.insert(0, broken);
    let prepare = function("prepare", edge.folder(), &[]);
    let answer = prepare.invoke(&event(&received), TIME).unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "id of broken" }] }));
}

#[test]
fn a_handler_that_there_is_not_is_a_mistake_that_the_service_is_told() {
    let mut function = Function::start::<&str>("nonsense", &[]);
    assert_eq!(function.wait().code(), Some(78), "{}", function.log_text());
    let told: Value = serde_json::from_str(function.log_text().trim()).expect("it says so as Lambda does");
    assert_eq!(told["errorMessage"], "there is no handler `nonsense`: use prepare, deliver or sweep");
    assert_eq!(function.init_error(), Some(told));
}

#[test]
fn every_store_that_a_function_lacks_is_named_at_once() {
    for (handler, wanted) in [
        ("prepare", &["SPOOL", "QUEUE_INBOUND", "QUEUE_OUTBOUND", "STATE", "DIRECTORY", "KEYS"][..]),
        ("deliver", &["SPOOL", "QUEUE_INBOUND", "QUEUE_OUTBOUND", "STATE", "DIRECTORY", "COUNTERS"]),
        ("sweep", &["QUEUE_OUTBOUND", "STATE", "DIRECTORY"]),
    ] {
        let mut function = Function::start(handler, &[("SPOOLWAY_HOSTNAME", "edge.example")]);
        assert_eq!(function.wait().code(), Some(78), "{}", function.log_text());
        let told = function.init_error().expect("the service is told");
        let text = told["errorMessage"].as_str().unwrap();
        let named: Vec<&str> =
            text.split("SPOOLWAY_STORES_").skip(1).map(|rest| rest.split(' ').next().unwrap()).collect();
        assert_eq!(named, wanted, "{text}");
    }
}
