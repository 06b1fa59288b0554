//! Lambda as a function sees it: the runtime API over HTTP, and the process that asks it for events.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use super::{eventually_within, program};

/// How long a test waits for a function.
const PATIENCE: Duration = Duration::from_secs(60);

/// A function: the program as `bootstrap`, with a runtime API of its own. It is killed when it is dropped.
pub struct Function {
    child: Child,
    api: Api,
    started: Instant,
    folder: TempDir,
}

impl Function {
    /// Starts the function of this handler. Its environment is what Lambda sets, and `environment`.
    #[track_caller]
    pub fn start<V: AsRef<str>>(handler: &str, environment: &[(&str, V)]) -> Self {
        let (api, folder) = (Api::start(), TempDir::new().expect("a temporary folder can be made"));
        let log = File::create(folder.path().join("log")).expect("the log can be written");
        let mut command = Command::new(program());
        command.arg0("bootstrap").current_dir(folder.path()).env_clear().stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
        command.env("_HANDLER", handler).env("AWS_LAMBDA_RUNTIME_API", api.address.to_string());
        command.env("AWS_LAMBDA_FUNCTION_NAME", handler).env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        command.envs(environment.iter().map(|(name, value)| (*name, value.as_ref())));
        let started = Instant::now();
        let child = command.spawn().expect("the program can be started");
        Self { child, api, started, folder }
    }

    /// Hands it an event and waits for its answer, or for the error it reports.
    #[track_caller]
    pub fn invoke(&self, event: &Value, time: Duration) -> Result<Value, Value> {
        let id = self.api.send(event, time);
        self.api.until("the function answers", |state| state.answers.remove(&id))
    }

    /// How long it took from its start until it asked for its first event.
    #[track_caller]
    pub fn cold_start(&self) -> Duration {
        self.api.until("the function asks for an event", |state| state.asked_at) - self.started
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually_within(PATIENCE, "the function ends", || {
            self.child.try_wait().expect("a child can be asked")
        })
    }

    /// What it told the service when it could not begin.
    pub fn init_error(&self) -> Option<Value> {
        self.api.state().init_error.clone()
    }

    /// Its log so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.api.state().closed = true;
        self.api.shared.changed.notify_all();
    }
}

/// The runtime API.
struct Api {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sent: u64,
    events: VecDeque<Event>,
    answers: HashMap<String, Result<Value, Value>>,
    asked_at: Option<Instant>,
    init_error: Option<Value>,
    closed: bool,
}

struct Event {
    id: String,
    deadline_ms: u128,
    body: String,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    fn send(&self, event: &Value, time: Duration) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        let mut state = self.state();
        state.sent += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", state.sent);
        let deadline_ms = (now + time).as_millis();
        state.events.push_back(Event { id: id.clone(), deadline_ms, body: event.to_string() });
        self.shared.changed.notify_all();
        id
    }

    #[track_caller]
    fn until<T>(&self, what: &str, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.state();
        let began = Instant::now();
        loop {
            if let Some(found) = found(&mut state) {
                return found;
            }
            let left = PATIENCE.checked_sub(began.elapsed());
            let left = left.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"));
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the requests of one connection until it closes.
    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some((line, body))) = request(&mut stream) {
            let answer = self.answer(&line, &body);
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, line: &str, body: &[u8]) -> String {
        let parts: Vec<&str> = line.split([' ', '/']).filter(|part| !part.is_empty()).collect();
        let said = || serde_json::from_slice(body).unwrap_or(Value::Null);
        match parts.as_slice() {
            ["GET", _, "runtime", "invocation", "next", ..] => return self.next(),
            ["POST", _, "runtime", "invocation", id, "response", ..] => {
                self.state().answers.insert((*id).to_owned(), Ok(said()));
            }
            ["POST", _, "runtime", "invocation", id, "error", ..] => {
                self.state().answers.insert((*id).to_owned(), Err(said()));
            }
            ["POST", _, "runtime", "init", "error", ..] => self.state().init_error = Some(said()),
            _ => return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        }
        self.changed.notify_all();
        "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}".to_owned()
    }

    /// The next event, once there is one.
    fn next(&self) -> String {
        let mut state = self.state();
        state.asked_at.get_or_insert_with(Instant::now);
        self.changed.notify_all();
        loop {
            if state.closed {
                return "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n".to_owned();
            }
            if let Some(Event { id, deadline_ms, body }) = state.events.pop_front() {
                return format!(
                    "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n\
                     Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\nContent-Type: application/json\r\n\
                     Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:test\r\n\
                     Lambda-Runtime-Trace-Id: Root=1-0-0\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The first line of a request, and its body; `None` once the connection is closed.
fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        assert!(!line.starts_with("transfer-encoding"), "the runtime's client writes whole bodies");
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((first, body)))
}
