use super::*;
use crate::mail::Timestamp;
use crate::testkit::ManualClock;

fn recorder() -> EmfMetrics {
    let clock = ManualClock::default();
    clock.set(Timestamp::from_millis(1_700_000_000_000));
    EmfMetrics::new("Spoolway", "deliver", Arc::new(clock))
}

/// What is told of `work`.
fn told(recorder: &EmfMetrics, work: impl FnOnce()) -> Vec<Value> {
    metrics::with_local_recorder(&recorder.counted, work);
    recorder.take()
}

#[test]
fn a_line_is_what_cloudwatch_reads() {
    let recorder = recorder();
    let lines = told(&recorder, || {
        metrics::counter!("spoolway_jobs_done_total", "stage" => "deliver").increment(2);
        metrics::histogram!("spoolway_jobs_seconds", "stage" => "deliver").record(0.5);
        metrics::counter!("spoolway_dsns_total").increment(1);
    });
    let line = json!({
        "_aws": {
            "Timestamp": 1_700_000_000_000_i64,
            "CloudWatchMetrics": [
                { "Namespace": "Spoolway", "Dimensions": [["stage"]], "Metrics": [
                    { "Name": "spoolway_jobs_done_total" },
                    { "Name": "spoolway_jobs_seconds", "Unit": "Seconds" },
                ] },
                { "Namespace": "Spoolway", "Dimensions": [[]], "Metrics": [
                    { "Name": "spoolway_dsns_total" },
                ] },
            ],
        },
        "stage": "deliver",
        "spoolway_jobs_done_total": 2,
        "spoolway_jobs_seconds": [0.5],
        "spoolway_dsns_total": 1,
    });
    assert_eq!(lines, [line]);
}

#[test]
fn each_line_tells_what_came_since_the_one_before() {
    let recorder = recorder();
    let count = |more| told(&recorder, || metrics::counter!("spoolway_dsns_total").increment(more));
    assert_eq!(count(3)[0]["spoolway_dsns_total"], 3);
    assert_eq!(count(1)[0]["spoolway_dsns_total"], 1);
    let time = |took| told(&recorder, || metrics::histogram!("spoolway_jobs_seconds").record(took));
    assert_eq!(time(2.0)[0]["spoolway_jobs_seconds"], json!([2.0]));
    let line = &time(3.0)[0];
    assert_eq!((&line["spoolway_jobs_seconds"], line.get("spoolway_dsns_total")), (&json!([3.0]), None));
}

#[test]
fn a_counter_that_is_kept_goes_on_counting() {
    let recorder = recorder();
    let kept = metrics::with_local_recorder(&recorder.counted, || metrics::counter!("spoolway_dsns_total"));
    for more in [1, 5] {
        kept.increment(more);
        assert_eq!(recorder.take()[0]["spoolway_dsns_total"], more);
    }
}

#[test]
fn where_nothing_was_counted_there_is_no_line() {
    let recorder = recorder();
    let nothing = || {
        metrics::counter!("spoolway_sweep_sent_total").increment(0);
        metrics::gauge!("spoolway_jobs_running", "stage" => "deliver").increment(1);
        metrics::counter!("spoolway_aws_request_octets_total", "service" => "S3").increment(9);
    };
    assert!(told(&recorder, nothing).is_empty());
}

#[test]
fn labels_are_in_the_name_unless_they_are_the_stage() {
    let recorder = recorder();
    let line = &told(&recorder, || {
        let labels = [("service", "S3"), ("operation", "GetObject")];
        metrics::counter!("spoolway_aws_requests_total", &labels).increment(4);
        metrics::counter!("spoolway_recipients_total", "outcome" => "bounced").increment(1);
        metrics::counter!("spoolway_recipients_total", "outcome" => "delivered").increment(2);
        metrics::counter!("spoolway_jobs_done_total", "stage" => "another").increment(3);
    })[0];
    assert_eq!(line["spoolway_aws_requests_total_S3_GetObject"], 4);
    assert_eq!(line["spoolway_recipients_total_bounced"], 1);
    assert_eq!(line["spoolway_recipients_total_delivered"], 2);
    assert_eq!((&line["spoolway_jobs_done_total_another"], line.get("stage")), (&3.into(), None));
}

#[test]
fn what_is_more_than_a_directive_or_an_array_may_carry_is_told_in_several() {
    let recorder = recorder();
    let lines = told(&recorder, || {
        for n in 0..=EMF_METRICS_MAX {
            metrics::counter!("spoolway_dsns_total", "n" => n.to_string()).increment(1);
        }
        for _ in 0..=EMF_VALUES_MAX {
            metrics::histogram!("spoolway_jobs_seconds", "stage" => "deliver").record(1.0);
        }
    });
    let of = |line: &Value, what: &str| line[what].as_array().unwrap().len();
    let metrics = |line: &Value| -> Vec<usize> {
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        directives.iter().map(|directive| of(directive, "Metrics")).collect()
    };
    assert_eq!(lines.iter().map(metrics).collect::<Vec<_>>(), [vec![1, EMF_METRICS_MAX, 1], vec![1]]);
    let samples: Vec<usize> = lines.iter().map(|line| of(line, "spoolway_jobs_seconds")).collect();
    assert_eq!(samples, [EMF_VALUES_MAX, 1]);
    assert_eq!(lines[1]["stage"], "deliver");
}
