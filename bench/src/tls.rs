//! Listeners with TLS, for `--tls`: a certificate of this run, what the brokers are started with, and connections.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use rdkafka::ClientConfig;

/// A certificate for 127.0.0.1 with its key, in a directory that goes with it.
pub struct Tls {
    dir: PathBuf,
}

impl Tls {
    /// Makes a key of 2,048 bits, as `keytool -keyalg RSA` did for years, and a certificate that signs itself.
    pub fn new() -> Result<Self, String> {
        let tls = Self { dir: std::env::temp_dir().join(format!("bench-tls-{}", std::process::id())) };
        fs::create_dir_all(&tls.dir).map_err(|e| e.to_string())?;
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout"])
            .arg(tls.dir.join("key.pem"))
            .arg("-out")
            .arg(tls.certificate())
            .stdin(Stdio::null())
            .output();
        let made = made.map_err(|e| format!("openssl cannot be started: {e}"))?;
        if !made.status.success() {
            return Err(format!("openssl made no certificate: {}", String::from_utf8_lossy(&made.stderr)));
        }
        // Brokers take the key and the certificate from one file.
        let read = |name: &str| fs::read_to_string(tls.dir.join(name));
        let both = read("key.pem").and_then(|key| Ok(key + &read("certificate.pem")?));
        both.and_then(|both| fs::write(tls.dir.join("keystore.pem"), both)).map_err(|e| e.to_string())?;
        Ok(tls)
    }

    fn certificate(&self) -> PathBuf {
        self.dir.join("certificate.pem")
    }

    /// What a broker's listener is to be told.
    pub fn settings(&self) -> Vec<String> {
        let keystore = self.dir.join("keystore.pem");
        vec![
            "ssl.keystore.type=PEM".to_owned(),
            format!("ssl.keystore.location={}", keystore.display()),
            // Kafka connects to itself with its own certificate before it starts.
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", self.certificate().display()),
            "listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:PLAINTEXT".to_owned(),
        ]
    }

    /// What its clients need to know.
    pub fn trust(&self) -> Trust {
        Trust(self.certificate())
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A broker's certificate, as its clients know it.
pub struct Trust(PathBuf);

impl Trust {
    /// Lets a client of librdkafka speak TLS.
    pub fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", "ssl").set("ssl.ca.location", self.0.display().to_string());
    }

    /// Opens TLS 1.3 on a connection to 127.0.0.1, with a whole handshake.
    pub fn open(&self, stream: TcpStream) -> Result<Box<dyn Stream>, String> {
        let failed = |e: openssl::error::ErrorStack| e.to_string();
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(failed)?;
        builder.set_ca_file(&self.0).map_err(failed)?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_3)).map_err(failed)?;
        let opened = builder.build().connect("127.0.0.1", stream).map_err(|e| e.to_string())?;
        Ok(Box::new(opened))
    }
}

/// A connection, with TLS or without.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}
