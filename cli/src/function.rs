//! A stage as a Lambda function, from its environment to its end: which stage, with which settings, and who is told where that is wrong.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};

use serde_json::json;
use shared::telemetry::{EMF_NAMESPACE, LogFormat, LogSettings};

use crate::edge;
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::INIT_ERROR_TIME;
use crate::serve;
use crate::settings::{self, Reader, Role, Settings};

/// Where the service answers.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Where CloudWatch puts the metrics; AWS's own libraries for them read the same.
const NAMESPACE: &str = "AWS_EMF_NAMESPACE";
/// What the service sets for every function, and its runtime does not begin without.
const REQUIRED: [&str; 4] = [
    RUNTIME_API,
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Runs the function that `environment` says, until the service ends it.
pub(crate) fn run(environment: &HashMap<String, String>) -> Outcome {
    let role = role(environment.get("_HANDLER").map(String::as_str))?;
    let settings = settings(role, environment)?;
    let missing: Vec<&str> = REQUIRED.into_iter().filter(|name| !environment.contains_key(*name)).collect();
    if !missing.is_empty() {
        let text = format!("only AWS Lambda can run this program: {} is not set", missing.join(", "));
        return Err(Failure::new(Exit::Usage, text));
    }
    let log = LogSettings {
        format: settings.log.format.unwrap_or(LogFormat::Json),
        filter: settings.log.filter.clone(),
        colour: false,
    };
    shared::telemetry::init_unbuffered(&log)
        .map_err(|error| Failure::io("the log does not start", &error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("the runtime does not start", &error))?;
    let namespace = environment.get(NAMESPACE).map_or(EMF_NAMESPACE, String::as_str);
    runtime.block_on(edge::serve_function(&settings, role, namespace))
}

/// The stage that a handler names.
fn role(handler: Option<&str>) -> Outcome<Role> {
    match handler {
        Some("prepare") => Ok(Role::Prepare),
        Some("deliver") => Ok(Role::Deliver),
        Some("sweep") => Ok(Role::Sweep),
        Some(other) => {
            let text = format!("there is no handler `{other}`: use prepare, deliver or sweep");
            Err(Failure::new(Exit::Config, text))
        }
        None => Err(Failure::new(Exit::Config, "_HANDLER is not set: use prepare, deliver or sweep")),
    }
}

fn settings(role: Role, environment: &HashMap<String, String>) -> Outcome<Settings> {
    match settings::read("", environment.clone(), Reader::Function(role)) {
        Ok(read) => Ok(read.value),
        Err(mistakes) => Err(Failure::new(Exit::Config, serve::list("the environment", &mistakes))),
    }
}

/// Tells what kept the function from beginning: to whoever reads the log, and to the service, which shows it to whoever asks for the
/// function (`POST /runtime/init/error`). The exit code says it, too, so what cannot be told is left.
pub(crate) fn tell(failure: &Failure, environment: &HashMap<String, String>) {
    let error = json!({ "errorType": "Spoolway.Init", "errorMessage": failure.text, "stackTrace": [] });
    let _ = writeln!(io::stderr(), "{error}");
    if let Some(api) = environment.get(RUNTIME_API) {
        let _ = post(api, &error.to_string());
    }
}

fn post(api: &str, error: &str) -> io::Result<()> {
    let address = api.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, INIT_ERROR_TIME)?;
    stream.set_write_timeout(Some(INIT_ERROR_TIME))?;
    stream.set_read_timeout(Some(INIT_ERROR_TIME))?;
    write!(
        stream,
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: Spoolway.Init\r\n\
         Content-Length: {}\r\n\r\n{error}",
        error.len()
    )?;
    // once something of the answer is there, the service has read all of it
    stream.read(&mut [0; 1]).map(drop)
}
