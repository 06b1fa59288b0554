//! An AWS emulator for tests: one for each test program, on a port of its own, gone when the program is.
//!
//! It comes from `infra/local/requirements.txt`, in a virtual environment below `target/`. With `SPOOLWAY_TEST_ENDPOINT` the tests use
//! what answers there instead (`default`: whatever the SDK's own variables name, so that services may come from different places).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;

use crate::port::Clock;
use crate::system::SystemClock;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/local/requirements.txt");
/// Ends the emulator when the test program has gone: its end of the pipe is closed then, however it went.
const SUPERVISOR: &str = "import os, shutil, signal, subprocess, sys
# whoever ends the test program's whole group must not end this first
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = sys.argv[1]
emulator = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True)
print(emulator.pid, flush=True)
sys.stdin.read()
emulator.terminate()
try:
    emulator.wait(10)
except subprocess.TimeoutExpired:
    pass
try:
    os.killpg(emulator.pid, signal.SIGKILL)
except ProcessLookupError:
    pass
shutil.rmtree(folder, ignore_errors=True)
";
const START_TIME: Duration = Duration::from_secs(60);

/// An emulator, or what stands in for one.
pub struct Emulator {
    endpoint: Option<String>,
    tools: Option<PathBuf>,
    supervisor: Option<Child>,
    pid: Option<u32>,
}

impl Emulator {
    /// The one of this test program; `None` where there is none to be had, which is said with the name of `case`.
    ///
    /// # Panics
    /// If there is none and `CI` is set, and if it does not start.
    pub fn shared(case: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Emulator, String>> = OnceLock::new();
        match SHARED.get_or_init(|| Self::start(&[])) {
            Ok(emulator) => Some(emulator),
            Err(missing) => {
                let text = format!("left out: {case}: {missing}");
                assert!(std::env::var_os("CI").is_none(), "{text}");
                let _ = writeln!(std::io::stderr(), "{text}");
                None
            }
        }
    }

    /// Starts one with `settings` in its environment; what is missing where that cannot be. What it starts inherits that environment, so
    /// that there is nothing else in it. It speaks of itself as its address, which functions are given too.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self, String> {
        #[expect(clippy::disallowed_methods, reason = "tests have no command line of their own")]
        let given = std::env::var("SPOOLWAY_TEST_ENDPOINT").ok();
        if let Some(endpoint) = given {
            let endpoint = Some(endpoint).filter(|endpoint| endpoint != "default");
            return Ok(Self { endpoint, tools: None, supervisor: None, pid: None });
        }
        let tools = tools()?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.map_err(|error| format!("no port is free: {error}"))?.port();
        let failed = |error: std::io::Error| format!("the emulator did not start: {error}");
        // the supervisor removes it
        let folder = tempfile::tempdir().map_err(failed)?.keep();
        let log = File::create(folder.join("log")).map_err(failed)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut supervisor = Command::new(tools.join("bin/python"))
            .args(["-c", SUPERVISOR])
            .args([folder.as_os_str(), tools.join("bin/ministack").as_os_str()])
            .env_clear()
            .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8")])
            .envs([("HOME", &folder), ("TMPDIR", &folder)])
            .envs([("GATEWAY_PORT", port.to_string().as_str()), ("AWS_ENDPOINT_URL", &endpoint)])
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("MINISTACK_HOST", "127.0.0.1"),
                ("MINISTACK_REGION", "us-east-1"),
            ])
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let mut said = BufReader::new(supervisor.stdout.take().ok_or("the emulator says nothing")?);
        let mut pid = String::new();
        said.read_line(&mut pid).map_err(failed)?;
        // what it says after that goes nowhere, and must not stop it
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let pid = pid.trim().parse().ok();
        let emulator =
            Self { endpoint: Some(endpoint), tools: Some(tools), supervisor: Some(supervisor), pid };
        let deadline = SystemClock.now() + START_TIME;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = folder.join("log");
            assert!(SystemClock.now() < deadline, "the emulator does not answer; see {}", log.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(emulator)
    }

    /// Where it answers; `None` leaves that to the SDK's variables.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The folder of the command-line tools that came with it (`aws`, `cfn-lint`).
    pub fn tools(&self) -> Option<PathBuf> {
        self.tools.as_ref().map(|tools| tools.join("bin"))
    }

    /// Its process, for tests that stop it for a while.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// A configuration that reaches it.
    pub async fn config(&self) -> SdkConfig {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12());
        match &self.endpoint {
            None => config.load().await,
            Some(endpoint) => {
                let credentials = Credentials::for_tests();
                let config = config.region(Region::from_static("us-east-1")).endpoint_url(endpoint);
                config.credentials_provider(credentials).load().await
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            drop(supervisor.stdin.take());
            let _ = supervisor.wait();
        }
    }
}

/// The virtual environment of the tools, made where it is not there; one process makes it, and the others wait.
fn tools() -> Result<PathBuf, String> {
    let requirements = fs::read(REQUIREMENTS).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    // target/<profile>/deps/<test program>, or target/<profile>/bench
    let deps = test.parent().is_some_and(|folder| folder.ends_with("deps"));
    let target = test.ancestors().nth(if deps { 3 } else { 2 }).unwrap_or(Path::new("target"));
    let folder = target.join("aws-tools").join(format!("{:08x}", crc32c::crc32c(&requirements)));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let ready = folder.join("ready");
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))
            .map_err(|why| format!("install python3 with its venv module ({why})"))?;
        let pip = folder.join("venv/bin/python");
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
        run(Command::new(pip).args(install).args(["-r", REQUIREMENTS]))
            .map_err(|why| format!("the emulator could not be installed ({why})"))?;
        File::create(ready).map_err(failed)?;
    }
    Ok(folder.join("venv"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(errors.trim().lines().last().unwrap_or("it failed without a word").to_owned())
}
