//! The edge in the cloud: the stack of `infra/edge.yaml` on an emulator that enforces its roles, the stages as Lambda functions,
//! and the program as its ingress.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use shared::testkit::Emulator;
use tempfile::TempDir;

use super::edge::program;
use super::{eventually_within, loopback};

const STACK: &str = "spoolway";
const REGION: &str = "us-east-1";

/// A deployed edge. It goes, with its emulator, when it is dropped.
pub struct CloudEdge {
    emulator: Emulator,
    ingress: Option<Child>,
    outputs: HashMap<String, String>,
    folder: TempDir,
    ip: Ipv4Addr,
}

impl CloudEdge {
    /// Deploys an edge whose mail leaves by `routes`, and waits until its ingress greets. `None` where there is no emulator to be
    /// had, which is said with the name of `case`.
    #[track_caller]
    pub fn start(case: &str, routes: &str) -> Option<Self> {
        // one of its own: functions, queues and faults of other cases must not meet
        let emulator = match Emulator::start(&[("AUTH", "true")]) {
            Ok(emulator) => emulator,
            Err(missing) => {
                assert!(std::env::var_os("CI").is_none(), "left out: {case}: {missing}");
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("left out: {case}: {missing}\n").as_bytes(),
                );
                return None;
            }
        };
        let folder = TempDir::new().expect("a temporary folder can be made");
        let mut edge = Self { emulator, ingress: None, outputs: HashMap::new(), folder, ip: loopback() };
        edge.deploy(routes, &bootstrap());
        edge.start_ingress();
        Some(edge)
    }

    /// The same without functions, for those who run the stages in another way.
    ///
    /// # Panics
    /// If there is no emulator to be had.
    #[track_caller]
    pub fn without_functions(routes: &str) -> Self {
        let emulator = Emulator::start(&[]).unwrap_or_else(|missing| panic!("{missing}"));
        let folder = TempDir::new().expect("a temporary folder can be made");
        let nothing = folder.path().join("nothing");
        fs::write(&nothing, "#!/bin/sh\nexit 1\n").expect("a folder of ours can be written");
        let mut edge = Self { emulator, ingress: None, outputs: HashMap::new(), folder, ip: loopback() };
        edge.deploy(routes, &nothing);
        let sources = edge.aws(&["lambda", "list-event-source-mappings"]);
        for source in sources["EventSourceMappings"].as_array().expect("a list") {
            let id = source["UUID"].as_str().expect("it has an id");
            edge.aws(&["lambda", "update-event-source-mapping", "--uuid", id, "--no-enabled"]);
        }
        edge.start_ingress();
        edge
    }

    /// Starts the stages as a container would run them, with more settings; they answer HTTP at the address.
    pub fn start_stages(&self, routes: &str, more: &[(&str, String)]) -> (Child, SocketAddr) {
        let http = SocketAddr::from((loopback(), 9025));
        let mut command = Command::new(program());
        command.arg0("spoolway").arg("serve").env_clear().current_dir(self.folder.path());
        let needed = ["Spool", "QueueInbound", "QueueOutbound", "State", "Directory", "Keys", "Counters"];
        command
            .envs(self.settings(&needed))
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        command.envs([("SPOOLWAY_ROLES", "prepare,deliver,sweep"), ("SPOOLWAY_ROUTES", routes)]);
        command
            .env("SPOOLWAY_HTTP_ADDRESS", http.to_string())
            .envs(more.iter().map(|(name, value)| (name, value)));
        let log =
            File::create(self.folder.path().join("stages.log")).expect("a folder of ours can be written");
        let errors = log.try_clone().expect("a file can be cloned");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        (child.expect("the program can be started"), http)
    }

    fn deploy(&mut self, routes: &str, functions: &Path) {
        let key = self.put_functions(functions);
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        self.set(&[
            "Platform=emulator".to_owned(),
            "Hostname=edge.example".to_owned(),
            "CodeBucket=spoolway-code".to_owned(),
            format!("CodeKey={key}"),
            format!("Architecture={architecture}"),
            "TrustedNetworks=127.0.0.0/8".to_owned(),
            format!("Routes={routes}"),
            "Concurrency=low".to_owned(),
        ]);
        let stack = self.aws(&["cloudformation", "describe-stacks", "--stack-name", STACK]);
        for output in stack["Stacks"][0]["Outputs"].as_array().expect("a stack has outputs") {
            let text = |name: &str| output[name].as_str().unwrap_or_default().to_owned();
            self.outputs.insert(text("OutputKey"), text("OutputValue"));
        }
    }

    /// Deploys the stack with these parameters, `Name=value`; those of before stay.
    #[track_caller]
    pub fn set(&self, parameters: &[String]) {
        let deploy = ["cloudformation", "deploy", "--stack-name", STACK, "--capabilities", "CAPABILITY_IAM"];
        let mut command = self.aws_command(&deploy);
        // the template is larger than one that is given in the call itself may be
        command.args(["--s3-bucket", "spoolway-code", "--template-file"]).arg(infra().join("edge.yaml"));
        command.arg("--parameter-overrides").args(parameters);
        // whoever puts the template into the bucket looks here alone
        command.env("AWS_ENDPOINT_URL", self.endpoint());
        succeeded(&command.output().expect("the command line of AWS can be started"));
    }

    /// Puts the archive of the functions where CloudFormation looks for it.
    fn put_functions(&self, functions: &Path) -> String {
        let folder = self.folder.path();
        // without what a debugger needs it is a fraction
        let strip = Command::new("strip")
            .arg("-o")
            .arg(folder.join("bootstrap"))
            .arg(functions)
            .stderr(Stdio::null())
            .status();
        if !strip.is_ok_and(|status| status.success()) {
            fs::copy(functions, folder.join("bootstrap")).expect("the program can be copied");
        }
        let python = self.tools().join("python");
        let zip = Command::new(python)
            .args(["-m", "zipfile", "-c", "functions.zip", "bootstrap"])
            .current_dir(folder)
            .output();
        succeeded(&zip.expect("python can be started"));
        self.aws(&["s3api", "create-bucket", "--bucket", "spoolway-code"]);
        let put = ["s3api", "put-object", "--bucket", "spoolway-code", "--key", "functions.zip"];
        let mut command = self.aws_command(&put);
        command.arg("--body").arg(folder.join("functions.zip"));
        succeeded(&command.output().expect("the command line of AWS can be started"));
        "functions.zip".to_owned()
    }

    /// Starts the ingress, held to its role: it assumes it, as a container would.
    #[track_caller]
    pub fn start_ingress(&mut self) {
        assert!(self.ingress.is_none(), "the ingress is running");
        let config = self.folder.path().join("aws.config");
        let role = &self.outputs["IngressRole"];
        let profiles = format!(
            "[profile root]\naws_access_key_id = test\naws_secret_access_key = test\n\
             [profile ingress]\nrole_arn = {role}\nsource_profile = root\nrole_session_name = ingress\n"
        );
        fs::write(&config, profiles).expect("a folder of ours can be written");
        let log =
            OpenOptions::new().create(true).append(true).open(self.log()).expect("the log can be written");
        let mut command = Command::new(program());
        command.arg0("spoolway").arg("serve").env_clear().current_dir(self.folder.path());
        command.env("AWS_CONFIG_FILE", config).env("AWS_PROFILE", "ingress");
        command.envs(self.settings(&["Spool", "QueueInbound", "Directory", "Counters"]));
        command.envs([("SPOOLWAY_ROLES", "ingress"), ("SPOOLWAY_TRUSTED_NETWORKS", "127.0.0.0/8")]);
        command.env("SPOOLWAY_LISTENER", format!("address={}", self.smtp()));
        command.env("SPOOLWAY_HTTP_ADDRESS", self.http().to_string());
        let errors = log.try_clone().expect("a file can be cloned");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        self.ingress = Some(child.expect("the program can be started"));
        let smtp = self.smtp();
        eventually_within(Duration::from_secs(30), "the ingress listens", || {
            let child = self.ingress.as_mut().expect("it was just started");
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                panic!("the ingress ended at once: {status}\n{}", self.log_text());
            }
            TcpStream::connect(smtp).ok()
        });
    }

    /// SIGKILL to the ingress.
    pub fn kill_ingress(&mut self) {
        let mut child = self.ingress.take().expect("the ingress is running");
        child.kill().expect("a child of ours can be killed");
        child.wait().expect("a child of ours can be waited for");
    }

    /// Where it speaks SMTP.
    pub fn smtp(&self) -> SocketAddr {
        (self.ip, 2525).into()
    }

    /// Where the ingress answers HTTP.
    pub fn http(&self) -> SocketAddr {
        (self.ip, 9025).into()
    }

    /// The process of the ingress.
    pub fn ingress_pid(&self) -> u32 {
        self.ingress.as_ref().expect("the ingress is running").id()
    }

    /// What the ingress has logged.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The emulator.
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// What the stack says of `key`, without the scheme of a store.
    pub fn output(&self, key: &str) -> &str {
        let value = &self.outputs[key];
        ["s3://", "sqs:", "dynamodb:", "ssm:"]
            .iter()
            .find_map(|scheme| value.strip_prefix(scheme))
            .unwrap_or(value)
    }

    /// Runs a command of the program as an operator.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.arg0("spoolway").args(arguments).env_clear().current_dir(self.folder.path());
        let all = ["Spool", "QueueInbound", "QueueOutbound", "State", "Directory", "Keys", "Counters"];
        command
            .envs(self.settings(&all))
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        command.stdin(Stdio::null()).output().expect("the program can be started")
    }

    /// What a command prints with `--json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        succeeded(&output);
        serde_json::from_slice(&output.stdout).expect("the output is JSON")
    }

    /// Waits until every recipient of a message has its final outcome, and gives its trace.
    #[track_caller]
    pub fn settled(&self, id: &str) -> Value {
        eventually_within(Duration::from_secs(180), "the message is settled", || {
            let output = self.run(&["trace", id, "--json"]);
            let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
            (trace["status"] == "settled").then_some(trace)
        })
    }

    /// What the command line of AWS answers to the account's root; nothing is null.
    #[track_caller]
    pub fn aws(&self, arguments: &[&str]) -> Value {
        let output = self.aws_command(arguments).output().expect("the command line of AWS can be started");
        succeeded(&output);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Adds settings to a function.
    #[track_caller]
    pub fn configure(&self, function: &str, settings: &[(&str, &str)]) {
        let resource =
            ["cloudformation", "describe-stack-resource", "--stack-name", STACK, "--logical-resource-id"];
        let resource = self.aws(&[&resource[..], &[function]].concat());
        let name = resource["StackResourceDetail"]["PhysicalResourceId"].as_str().expect("it has a name");
        let known = self.aws(&["lambda", "get-function-configuration", "--function-name", name]);
        let mut environment = known["Environment"].clone();
        for (setting, value) in settings {
            environment["Variables"][setting] = (*value).into();
        }
        let update = ["lambda", "update-function-configuration", "--function-name", name, "--environment"];
        self.aws(&[&update[..], &[&environment.to_string()]].concat());
    }

    /// Sets how often a queue lets a job be received before it is dead.
    #[track_caller]
    pub fn receives_max(&self, queue: &str, receives: u32) {
        let names = ["--attribute-names", "RedrivePolicy"];
        let known = self.aws(&[&["sqs", "get-queue-attributes", "--queue-url", queue][..], &names].concat());
        let policy = known["Attributes"]["RedrivePolicy"].as_str().expect("it has dead letters");
        let mut policy: Value = serde_json::from_str(policy).expect("a policy is JSON");
        policy["maxReceiveCount"] = receives.into();
        let attributes = serde_json::json!({"RedrivePolicy": policy.to_string()}).to_string();
        let set = ["sqs", "set-queue-attributes", "--queue-url", queue, "--attributes", &attributes];
        self.aws(&set);
    }

    /// Moves the due time of a message's delivery to `domain` into the past, as if it had come.
    #[track_caller]
    pub fn make_due(&self, id: &str, domain: &str) {
        let key = serde_json::json!({"pk": {"S": format!("M#{id}")}, "sk": {"S": format!("D#{domain}")}});
        let due = serde_json::json!({":due": {"S": format!("{:015}#{id}/{domain}", 1)}});
        let (key, due) = (key.to_string(), due.to_string());
        let update = ["dynamodb", "update-item", "--table-name", self.output("State"), "--key", &key];
        let set = ["--update-expression", "SET due = :due", "--expression-attribute-values", &due];
        self.aws(&[&update[..], &set].concat());
    }

    fn aws_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.tools().join("aws"));
        command.args(["--endpoint-url", self.endpoint(), "--output", "json"]).args(arguments).env_clear();
        command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        command.envs([
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_PAGER", ""),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        command.env("HOME", self.folder.path()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null());
        command
    }

    /// The settings that the stack's outputs `keys` stand for, and how to reach AWS.
    fn settings(&self, keys: &[&str]) -> Vec<(String, String)> {
        let mut settings = vec![
            ("AWS_ENDPOINT_URL".to_owned(), self.endpoint().to_owned()),
            ("AWS_REGION".to_owned(), REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
            ("SPOOLWAY_HOSTNAME".to_owned(), "edge.example".to_owned()),
        ];
        for key in keys {
            let name = match *key {
                "QueueInbound" => "QUEUE_INBOUND".to_owned(),
                "QueueOutbound" => "QUEUE_OUTBOUND".to_owned(),
                key => key.to_uppercase(),
            };
            settings.push((format!("SPOOLWAY_STORES_{name}"), self.outputs[*key].clone()));
        }
        settings
    }

    fn endpoint(&self) -> &str {
        self.emulator.endpoint().expect("an emulator of our own has an address")
    }

    fn tools(&self) -> PathBuf {
        self.emulator.tools().expect("an emulator of our own has its tools")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// The templates.
pub fn infra() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra")).to_owned()
}

/// The functions' program, which cargo built beside the test that runs.
pub fn bootstrap() -> PathBuf {
    program().with_file_name("bootstrap-under-test")
}

#[track_caller]
fn succeeded(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stdout));
}

impl Drop for CloudEdge {
    fn drop(&mut self) {
        if self.ingress.is_some() {
            self.kill_ingress();
        }
        if std::thread::panicking()
            && let Ok(mut stderr) = File::options().write(true).open("/dev/stderr")
        {
            let log = self.log_text();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            let text = format!("the ingress's log ends:\n{}\n", tail.join("\n"));
            let _ = std::io::Write::write_all(&mut stderr, text.as_bytes());
        }
    }
}
