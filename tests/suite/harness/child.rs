//! The program itself as a child process: what it prints, where it listens, how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// The program.
fn cenote() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cenote"));
    // Nor where a service manager has the tests keep things.
    command.env_remove("CENOTE_LOG").env_remove("RUNTIME_DIRECTORY").env_remove("STATE_DIRECTORY");
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(args: &[&str]) -> Output {
    cenote().args(args).output().unwrap()
}

/// Runs a command to its end in a folder.
pub fn run_in(folder: &Path, args: &[&str]) -> Output {
    cenote().current_dir(folder).args(args).output().unwrap()
}

/// Runs a command to its end, with a variable of the environment.
pub fn run_with((variable, value): (&str, &str), args: &[&str]) -> Output {
    cenote().env(variable, value).args(args).output().unwrap()
}

/// What a stream has said so far.
type Said = Arc<Mutex<String>>;

/// A serving child; killed when it is dropped.
pub struct Serving {
    /// The process.
    child: Child,
    /// Standard output and error, so far.
    said: [Said; 2],
    /// Who reads them.
    readers: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Starts `serve` with a configuration file and waits for the banner's last line.
    pub fn start(config: &Path, args: &[&str]) -> Self {
        let mut serving = Self::spawn(config, args);
        serving.wait_for_banner();
        serving
    }

    /// Starts `serve` with a variable of the environment and waits for the banner's last line.
    pub fn start_with((variable, value): (&str, &str), config: &Path) -> Self {
        let mut command = cenote();
        command.env(variable, value);
        let mut serving = Self::spawn_as(command, config, &[]);
        serving.wait_for_banner();
        serving
    }

    /// Starts `serve` and waits for nothing.
    pub fn spawn(config: &Path, args: &[&str]) -> Self {
        Self::spawn_as(cenote(), config, args)
    }

    /// As [`Serving::spawn`], with the program given.
    fn spawn_as(mut command: Command, config: &Path, args: &[&str]) -> Self {
        command.arg("serve").arg("--config").arg(config).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = [Said::default(), Said::default()];
        let readers = vec![
            follow(child.stdout.take().unwrap(), Arc::clone(&said[0])),
            follow(child.stderr.take().unwrap(), Arc::clone(&said[1])),
        ];
        Self { child, said, readers }
    }

    /// Waits for the banner's last line.
    pub fn wait_for_banner(&mut self) {
        self.wait_until("the banner", |serving| serving.said[0].lock().unwrap().contains("\n  try "));
    }

    /// Waits until something holds while it runs; failing that, says what it does.
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: it ended instead, {ended:?}: {}", self.said());
            assert!(start.elapsed() < PATIENCE, "not in time: {what}: {}\n{}", self.said(), self.threads());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// All it has said: standard output, then standard error.
    pub fn said(&self) -> String {
        self.said.iter().map(|said| said.lock().unwrap().clone()).collect()
    }

    /// What the log has said.
    pub fn log(&self) -> String {
        self.said[1].lock().unwrap().clone()
    }

    /// A banner line's words behind its key.
    fn line(&self, key: &str) -> String {
        let said = self.said[0].lock().unwrap();
        let line = said.lines().find_map(|line| line.trim().strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key}: {said}")).trim().to_owned()
    }

    /// Where it answers.
    pub fn at(&self) -> SocketAddr {
        self.line("listens").split([' ', ',']).next().unwrap().parse().unwrap()
    }

    /// Where its metrics are.
    pub fn http(&self) -> SocketAddr {
        let line = self.line("http");
        line.trim_start_matches("http://").trim_end_matches("/metrics").parse().unwrap()
    }

    /// Where its admin socket is.
    pub fn socket(&self) -> String {
        self.line("socket")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        let (mut status, start) = (None, Instant::now());
        while status.is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end: {}\n{}", self.said(), self.threads());
            thread::sleep(Duration::from_millis(2));
            status = self.child.try_wait().unwrap();
        }
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status.unwrap()
    }

    /// What each of its threads waits for, as far as the kernel tells.
    fn threads(&self) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap().map(|task| task.unwrap().path());
        let read = |task: &Path, file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
        tasks.map(|task| format!("{} {}\n", read(&task, "comm").trim(), read(&task, "syscall").trim())).collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already, if its test waited for its end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads a stream to its end.
fn follow(stream: impl Read + Send + 'static, said: Said) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    })
}
