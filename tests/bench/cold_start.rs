//! How long a function takes until it asks for its first event.

use std::time::Duration;

use harness::Function;
use shared::wire::StoreUrls;

const STARTS: usize = 20;

/// The median and the longest of some starts of each handler, in milliseconds. The stores are those that the environment of the bench
/// names, and files elsewhere.
pub(crate) fn measure() -> String {
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    let urls = StoreUrls::below(folder.path());
    let mut environment = vec![
        ("SPOOLWAY_HOSTNAME", "edge.example".to_owned()),
        ("SPOOLWAY_STORES_SPOOL", urls.spool),
        ("SPOOLWAY_STORES_QUEUE_INBOUND", urls.queue_inbound),
        ("SPOOLWAY_STORES_QUEUE_OUTBOUND", urls.queue_outbound),
        ("SPOOLWAY_STORES_STATE", urls.state),
        ("SPOOLWAY_STORES_DIRECTORY", urls.directory),
        ("SPOOLWAY_STORES_KEYS", urls.keys),
    ];
    let set = |name: &str| std::env::vars().find(|(known, _)| known == name).map(|(_, value)| value);
    for (name, value) in &mut environment {
        if let Some(set) = set(name) {
            *value = set;
        }
    }
    // what the clients of a cloud's stores need to be made
    let passed = ["AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    environment.extend(passed.iter().filter_map(|name| Some((*name, set(name)?))));
    let lines = ["prepare", "deliver", "sweep"].map(|handler| {
        // the first start makes the files
        Function::start(handler, &environment).cold_start();
        let mut times: Vec<Duration> =
            (0..STARTS).map(|_| Function::start(handler, &environment).cold_start()).collect();
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let (median, max) = (ms(times[STARTS / 2]), ms(times[STARTS - 1]));
        format!("cold start of {handler:<7} median_ms={median:.1} max_ms={max:.1} of {STARTS}")
    });
    lines.join("\n")
}
