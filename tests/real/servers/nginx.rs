//! Debian's nginx as a child process.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Identity;

const PROGRAM: &str = "/usr/sbin/nginx";

/// nginx with the sites of one test.
pub struct Nginx {
    child: Child,
    directory: TempDir,
    ports: Vec<u16>,
}

/// One `server { … }`.
pub struct Site<'a> {
    /// TLS, where it speaks it.
    pub identity: Option<&'a Identity>,
    /// What stands in the block, beside `listen`.
    pub directives: &'a str,
}

impl Nginx {
    /// Starts it with these sites, each on a port of its own, and waits until it accepts connections.
    pub fn start(sites: &[Site<'_>], files: &[(&str, &[u8])]) -> Self {
        assert!(Path::new(PROGRAM).exists(), "this test needs nginx: apt-get install nginx-light");
        let directory = TempDir::new().unwrap();
        let root = directory.path();
        for (name, content) in files {
            std::fs::write(root.join(name), content).unwrap();
        }
        let ports: Vec<u16> = sites.iter().map(|_| free_port()).collect();
        let mut servers = String::new();
        for (index, (site, port)) in sites.iter().zip(&ports).enumerate() {
            let tls = site.identity.map(|identity| {
                std::fs::write(root.join(format!("{index}.crt")), &identity.certificate).unwrap();
                std::fs::write(root.join(format!("{index}.key")), &identity.key).unwrap();
                format!("ssl_certificate {index}.crt; ssl_certificate_key {index}.key;")
            });
            let ssl = if tls.is_some() { " ssl http2" } else { "" };
            let (tls, directives) = (tls.unwrap_or_default(), site.directives);
            writeln!(servers, "server {{ listen 127.0.0.1:{port}{ssl}; root {}; {tls} {directives} }}", root.display())
                .unwrap();
        }
        let configuration = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
             events {{ worker_connections 4096; }}
             http {{
               access_log access.log;
               default_type text/plain;
               client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
               {servers}
             }}"
        );
        std::fs::write(root.join("nginx.conf"), configuration).unwrap();
        let child = Command::new(PROGRAM)
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(root)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut nginx = Self { child, directory, ports };
        nginx.wait();
        nginx
    }

    fn wait(&mut self) {
        for port in &self.ports {
            for attempt in 0.. {
                if TcpStream::connect(("127.0.0.1", *port)).is_ok() {
                    break;
                }
                assert_eq!(self.child.try_wait().unwrap(), None, "nginx ended at once; its words stand above");
                assert!(attempt < 500, "nginx does not listen on port {port}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// The port of a site.
    pub fn port(&self, site: usize) -> u16 {
        self.ports[site]
    }

    /// The requests that were read, one a line.
    pub fn requests(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("access.log")).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nobody listens just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
