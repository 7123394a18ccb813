//! Debian's PostgreSQL as a child process, with a database of its own. It refuses to be run by root, so as root the tests
//! run it as `nobody`.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Identity;
use super::nginx::free_port;

/// `nobody` and `nogroup` of Debian.
const NOBODY: u32 = 65_534;

/// The password of every user that has one.
pub const PASSWORD: &str = "hunter2";

const USERS: &str = "
    create user reader password 'hunter2';
    create user plain password 'hunter2';
    set password_encryption = 'md5';
    create user old password 'hunter2';
    create user guest;
    create user shut;
    create table orders (id int primary key, name text, total numeric(10, 2), placed timestamptz);
    insert into orders values (1, 'hat', 19.90, '2026-01-02 03:04:05+00'), (2, 'scarf', 7, null);
    grant select, insert on orders to reader;
    create table secrets (id int);
";

/// How each of them proves itself.
const ACCESS: &str = "
    local all owner peer
    host all owner 127.0.0.1/32 scram-sha-256
    host all reader 127.0.0.1/32 scram-sha-256
    host all plain 127.0.0.1/32 password
    host all old 127.0.0.1/32 md5
    host all guest 127.0.0.1/32 trust
    host all shut 127.0.0.1/32 reject
";

/// A server with a database `postgres`, the users of this module and a table `orders` of two rows.
pub struct Postgres {
    child: Child,
    directory: TempDir,
    /// Where it listens.
    pub port: u16,
}

impl Postgres {
    /// Starts it, with TLS where there is an identity, and waits until it answers.
    pub fn start(identity: Option<&Identity>) -> Self {
        let directory = TempDir::new().expect("a directory");
        let data = directory.path().join("data");
        given(directory.path());
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file");
        given(&password);
        let made = as_nobody(program("initdb"))
            .args(["--username=owner", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args([Path::new("--pwfile"), &password, Path::new("--pgdata"), &data])
            .current_dir(directory.path())
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(data.join("pg_hba.conf"), ACCESS).expect("a file");
        let port = free_port();
        let mut command = as_nobody(program("postgres"));
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "log_min_messages=fatal"]);
        command.args(["-c", "unix_socket_directories=", "-c", &format!("port={port}")]);
        if let Some(identity) = identity {
            for (name, text) in [("server.crt", &identity.certificate), ("server.key", &identity.key)] {
                let path = data.join(name);
                std::fs::write(&path, text).expect("a file");
                std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
                given(&path);
            }
            command.args(["-c", "ssl=on"]);
        }
        let child = command
            .arg("-D")
            .arg(&data)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres starts");
        let mut server = Self { child, directory, port };
        server.wait();
        server.run(USERS);
        server
    }

    fn wait(&mut self) {
        for _ in 0..500 {
            if self.psql("select 1").status().expect("psql starts").success() {
                return;
            }
            assert_eq!(self.child.try_wait().expect("a child"), None, "postgres ended at once");
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("postgres does not answer on port {}", self.port);
    }

    /// Runs a statement as the owner, and gives its rows.
    pub fn run(&self, statement: &str) -> String {
        let output = self.psql(statement).stderr(Stdio::piped()).output().expect("psql starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn psql(&self, statement: &str) -> Command {
        let mut command = Command::new(program("psql"));
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "owner",
            "-d",
            "postgres",
        ]);
        command.args(["-p", &self.port.to_string(), "-c", statement]).env("PGPASSWORD", PASSWORD);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to quit, it takes its children with it; killed, it would leave them.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The newest installed version of a program of PostgreSQL.
fn program(name: &str) -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = installed.map(|version| version.path().join("bin").join(name)).filter(|path| path.is_file()).max();
    found.expect("this test needs PostgreSQL: apt-get install postgresql")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|of_this_process| of_this_process.uid() == 0)
}

fn as_nobody(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn given(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    }
}
