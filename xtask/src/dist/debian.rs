//! The Debian package: the binary, the links named like Kafka's tools, their man pages, a systemd unit with a user of its own, and
//! `/etc/thalweg/server.properties`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Release, install, man_pages, run_command, write};
use crate::test::root;

/// What the node of the package is configured with, until somebody writes something else.
const PROPERTIES: &str = "\
# A node on its own, broker and controller in one: https://kafka.apache.org/43/configuration/ names every config,
# `thalweg config explain KEY` says what it does here. `systemctl reload thalweg` applies what may change while it runs.
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:9093
controller.listener.names=CONTROLLER
# For clients on other machines: PLAINTEXT://:9092, and advertised.listeners=PLAINTEXT://<name of this machine>:9092.
# Read docs/security.md before.
listeners=PLAINTEXT://localhost:9092,CONTROLLER://127.0.0.1:9093
log.dirs=/var/lib/thalweg/data
# /metrics, /healthz, /readyz and the web console.
thalweg.http.listen=127.0.0.1:9404
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
";

const POSTINST: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = configure ]; then
  if ! getent passwd thalweg >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/thalweg --no-create-home --shell /usr/sbin/nologin thalweg
  fi
  install -d -o thalweg -g thalweg -m 750 /var/lib/thalweg
  thalweg install-tools /usr/bin >/dev/null
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --now thalweg
    # An upgrade restarts the node; a first installation has just started it.
    if [ -n \"$2\" ]; then systemctl try-restart thalweg; fi
  fi
fi
";

const PRERM: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = remove ]; then
  if [ -d /run/systemd/system ]; then systemctl disable --now thalweg; fi
  for link in /usr/bin/kafka-* /usr/bin/zookeeper-* /usr/bin/connect-* /usr/bin/trogdor* /usr/bin/thalweg-*; do
    if [ \"$(readlink -f \"$link\")\" = /usr/bin/thalweg ]; then rm -f \"$link\"; fi
  done
fi
";

/// The data stays when the package goes; `purge` takes the configuration alone.
pub(super) fn package(release: &Release) -> Result<PathBuf, String> {
    let dir = release.staging("deb")?;
    install(&release.binary, &dir.join("usr/bin/thalweg"), 0o755)?;
    install(&root().join("contrib/systemd/thalweg.service"), &dir.join("lib/systemd/system/thalweg.service"), 0o644)?;
    install(&root().join("LICENSE"), &dir.join("usr/share/doc/thalweg/copyright"), 0o644)?;
    let pages = dir.join("usr/share/man/man1");
    man_pages(release, &pages)?;
    run_command(Command::new("gzip").args(["--best", "--no-name", "--recursive"]).arg(&pages))?;
    write(&dir.join("etc/thalweg/server.properties"), PROPERTIES, 0o644)?;
    let bytes = fs::metadata(&release.binary).map_or(0, |metadata| metadata.len());
    let control = format!(
        "Package: thalweg\nVersion: {}\nArchitecture: {}\nMaintainer: The Thalweg project\n\
         Installed-Size: {}\nDepends: passwd\nSection: net\nPriority: optional\n\
         Description: Apache Kafka's protocol and guarantees in one binary\n \
         A broker, a controller, Kafka's command-line tools and a web console, for unchanged clients of Apache Kafka.\n",
        release.version,
        release.processor.debian,
        bytes / 1024
    );
    write(&dir.join("DEBIAN/control"), &control, 0o644)?;
    write(&dir.join("DEBIAN/conffiles"), "/etc/thalweg/server.properties\n", 0o644)?;
    write(&dir.join("DEBIAN/postinst"), POSTINST, 0o755)?;
    write(&dir.join("DEBIAN/prerm"), PRERM, 0o755)?;
    let file = release.out.join(format!("thalweg_{}_{}.deb", release.version, release.processor.debian));
    run_command(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&dir).arg(&file))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_of_the_shell() {
        for script in [POSTINST, PRERM] {
            let mut shell = Command::new("sh");
            assert!(shell.args(["-n", "-c", script]).status().expect("sh").success(), "{script}");
        }
    }
}
