//! The tiny HTTP server behind `ocf:mainstay:demo-web`: answers with the name of its node.
//!
//! Called as `mainstay demo-web --port N [--bind ADDRESS] [--pidfile FILE]`; `--background` returns
//! when the server answers, `--check` asks a running one.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The resource agent `ocf:mainstay:demo-web`, for whoever installs it.
pub const AGENT: &str = include_str!("../scripts/ocf/demo-web");

/// The whole program: parses `arguments` (without the program's and the command's name) and runs.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("demo-web: {why}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match options.mode {
        Mode::Serve => serve(options.bind, options.port, options.pidfile.as_deref()),
        Mode::Detached => {
            // Fails only for the leader of a group, which then has what it wants already.
            let _ = nix::unistd::setsid();
            serve_then(
                options.bind,
                options.port,
                options.pidfile.as_deref(),
                let_go,
            )
        }
        Mode::Background => start(arguments, &options),
        Mode::Check => check(options.bind, options.port),
    }
}

/// Serves until killed. Writes `pidfile` once it listens, and says `ready` on standard output.
#[must_use]
pub fn serve(bind: IpAddr, port: u16, pidfile: Option<&Path>) -> ExitCode {
    serve_then(bind, port, pidfile, || {})
}

fn serve_then(bind: IpAddr, port: u16, pidfile: Option<&Path>, ready: impl FnOnce()) -> ExitCode {
    let listener = match TcpListener::bind((bind, port)) {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("cannot listen on {bind} port {port}: {error}")),
    };
    if let Some(path) = pidfile
        && let Err(error) = write_pidfile(path)
    {
        return fail(&format!("cannot write {}: {error}", path.display()));
    }
    // Nobody may be listening, and that is fine.
    let _ = writeln!(io::stdout(), "{READY}");
    let _ = io::stdout().flush();
    ready();
    answer_all(&listener)
}

/// A service must not hold the pipes of the agent that started it.
fn let_go() {
    if let Ok(null) = fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

/// Starts a server in a session of its own and returns when it answers.
fn start(arguments: &[String], options: &Options) -> ExitCode {
    // The running program, whatever it is called now and wherever it lies.
    let child = Command::new("/proc/self/exe")
        .arg0("mainstay")
        .arg("demo-web")
        .args(arguments.iter().filter(|a| *a != "--background"))
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .current_dir("/")
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return fail(&format!("cannot start the server: {error}")),
    };
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Ends with the child at the latest, and with the agent's timeout.
        let _ = BufReader::new(stdout.take(LINE_BYTES_MAX)).read_line(&mut line);
    }
    if line.trim_end() != READY {
        // It has said why on standard error.
        let _ = child.kill();
        let _ = child.wait();
        return ExitCode::FAILURE;
    }
    check(options.bind, options.port)
}

/// Asks a server for an answer.
fn check(bind: IpAddr, port: u16) -> ExitCode {
    let host = if bind.is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        bind
    };
    match ask(SocketAddr::new(host, port)) {
        Ok(body) => {
            let _ = write!(io::stdout(), "{body}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("no answer from {host} port {port}: {error}")),
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ASK_TIME_MAX)?;
    stream.set_read_timeout(Some(ASK_TIME_MAX))?;
    stream.set_write_timeout(Some(ASK_TIME_MAX))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LINE_BYTES_MAX).read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other("not an answer of demo-web")),
    }
}

fn answer_all(listener: &TcpListener) -> ExitCode {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors, or a client that left: neither may end the service.
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let count = open.clone();
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            // A client that does not keep to HTTP gets nothing, and harms nobody.
            let _ = answer(stream);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
    // `incoming` has no end.
    ExitCode::FAILURE
}

fn answer(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIME_MAX))?;
    stream.set_write_timeout(Some(CLIENT_TIME_MAX))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new((&stream).take(REQUEST_BYTES_MAX));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    let node = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let (status, body) = match first.split(' ').next() {
        Some("GET") => ("200 OK", format!("{node}\n")),
        Some("HEAD") => ("200 OK", String::new()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Node: {node}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    (&stream).write_all(answer.as_bytes())
}

/// Whole or not at all: who finds the file may rely on it.
fn write_pidfile(path: &Path) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, format!("{}\n", std::process::id()))?;
    fs::rename(&new, path)
}

fn fail(why: &str) -> ExitCode {
    eprintln!("demo-web: {why}");
    ExitCode::FAILURE
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Serve,
    /// As `--background` starts it.
    Detached,
    Background,
    Check,
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    bind: IpAddr,
    port: u16,
    pidfile: Option<PathBuf>,
    mode: Mode,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: PORT_DEFAULT,
            pidfile: None,
            mode: Mode::Serve,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--background" => options.mode = Mode::Background,
                "--check" => options.mode = Mode::Check,
                "--detached" => options.mode = Mode::Detached,
                "--port" | "--bind" | "--pidfile" => {
                    let value = rest
                        .next()
                        .ok_or_else(|| format!("{argument} needs a value"))?;
                    options.set(argument, value)?;
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{name} {value}: not {what}");
        match name {
            "--port" => {
                let port: u16 = value.parse().map_err(|_| wrong("a port"))?;
                self.port = Some(port)
                    .filter(|p| *p > 0)
                    .ok_or_else(|| wrong("a port"))?;
            }
            "--bind" => self.bind = value.parse().map_err(|_| wrong("an IP address"))?,
            _ => self.pidfile = Some(PathBuf::from(value)),
        }
        Ok(())
    }
}

const USAGE: &str = "usage: mainstay demo-web [--port N] [--bind ADDRESS] [--pidfile FILE] [--background | --check]";
const READY: &str = "ready";
const PORT_DEFAULT: u16 = 8080;
/// CRM_EX_USAGE.
const EXIT_USAGE: u8 = 64;
const CONNECTIONS_MAX: usize = 64;
const STACK_BYTES: usize = 128 * 1024;
const REQUEST_BYTES_MAX: u64 = 8192;
const LINE_BYTES_MAX: u64 = 4096;
const CLIENT_TIME_MAX: Duration = Duration::from_secs(2);
const ASK_TIME_MAX: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options() {
        let parsed = Options::parse(&words("--port 81 --bind ::1 --pidfile /x --check")).unwrap();
        assert_eq!((parsed.port, parsed.mode), (81, Mode::Check));
        assert_eq!(parsed.bind.to_string(), "::1");
        for wrong in [
            "--port",
            "--port 0",
            "--port 70000",
            "--bind here",
            "--what",
        ] {
            assert!(Options::parse(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_answers_with_the_node_s_name() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || answer_all(&listener));
        // One that says nothing does not keep the others from being answered.
        let silent = TcpStream::connect(address).unwrap();
        let name = nix::unistd::gethostname().unwrap();
        let name = name.to_string_lossy();
        assert_eq!(ask(address).unwrap(), format!("{name}\n"));
        let mut post = TcpStream::connect(address).unwrap();
        post.write_all(b"POST / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        post.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        drop(silent);
    }

    #[test]
    fn the_agent_is_a_shell_script() {
        assert!(AGENT.starts_with("#!/bin/sh\n"));
        assert!(AGENT.contains("name=\"demo-web\""));
    }

    #[test]
    fn a_taken_port_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let dir = tempfile::TempDir::new().unwrap();
        let pidfile = dir.path().join("pid");
        let code = serve(IpAddr::V4(Ipv4Addr::LOCALHOST), port, Some(&pidfile));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        assert!(!pidfile.exists());
    }
}
