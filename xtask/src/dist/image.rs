//! An image for containers, made without a daemon from nothing but the binary: an archive by the OCI image layout, which
//! `podman load`, `skopeo copy oci-archive:` and `docker load` read.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Release, install, run_command, sha256, tar};

/// Whom the node runs as: the user of the images of Apache Kafka and Confluent, so that their volumes fit.
const USER: u32 = 1000;
/// Directories that the user's group may write to; those that a platform runs the image as are in it, too.
const WRITABLE: [&str; 4] = ["opt/kafka/config", "var/lib/kafka/data", "etc/kafka/secrets", "mnt/shared/config"];
/// Where the images of Kafka have its tools, and where scripts look for them.
const TOOLS: [&str; 2] = ["opt/kafka/bin", "usr/bin"];

/// An object of the layout, as others refer to it.
struct Blob {
    digest: String,
    bytes: u64,
}

impl Blob {
    /// Moves a file to its place among the blobs of `layout`.
    fn take(file: &Path, layout: &Path) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", file.display());
        let digest = sha256(file)?;
        let bytes = fs::metadata(file).map_err(failed)?.len();
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).and_then(|()| fs::rename(file, blobs.join(&digest))).map_err(failed)?;
        Ok(Self { digest, bytes })
    }

    fn of_text(text: &str, layout: &Path) -> Result<Self, String> {
        let file = layout.join("text");
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Self::take(&file, layout)
    }

    fn described(&self, media_type: &str, more: &str) -> String {
        let Self { digest, bytes } = self;
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{media_type}","digest":"sha256:{digest}","size":{bytes}{more}}}"#
        )
    }
}

/// Makes the archive.
pub(super) fn image(release: &Release) -> Result<PathBuf, String> {
    let tree = release.staging("root")?;
    file_system(release, &tree)?;
    let layout = release.staging("oci")?;
    let plain = layout.join("layer.tar");
    run_command(tar(&tree, &plain).args(["etc", "mnt", "opt", "tmp", "usr", "var"]))?;
    let diff_id = sha256(&plain)?;
    run_command(Command::new("gzip").args(["--no-name", "-9"]).arg(&plain))?;
    let layer = Blob::take(&layout.join("layer.tar.gz"), &layout)?;
    let config = Blob::of_text(&config(release, &diff_id), &layout)?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        config.described("config.v1+json", ""),
        layer.described("layer.v1.tar+gzip", "")
    );
    let manifest = Blob::of_text(&manifest, &layout)?;
    let tag = format!("thalweg:{}", release.version);
    let name = format!(
        r#","annotations":{{"org.opencontainers.image.ref.name":"{}","io.containerd.image.name":"docker.io/library/{tag}"}}"#,
        release.version
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        manifest.described("manifest.v1+json", &name)
    );
    // What `docker load` read before it knew the layout.
    let docker = format!(
        r#"[{{"Config":"blobs/sha256/{}","RepoTags":["{tag}"],"Layers":["blobs/sha256/{}"]}}]"#,
        config.digest, layer.digest
    );
    for (name, text) in
        [("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", &index), ("manifest.json", &docker)]
    {
        let file = layout.join(name);
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let archive = release.file("-image.tar");
    run_command(tar(&layout, &archive).args(["blobs", "index.json", "manifest.json", "oci-layout"]))?;
    Ok(archive)
}

/// The files of the image: the binary, links named like Kafka's tools, and the directories that Kafka's images have.
fn file_system(release: &Release, tree: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", tree.display());
    install(&release.binary, &tree.join("usr/bin/thalweg"), 0o755)?;
    for dir in WRITABLE.iter().chain(&TOOLS).chain(&["tmp"]) {
        fs::create_dir_all(tree.join(dir)).map_err(failed)?;
    }
    let rights = WRITABLE.iter().map(|dir| (*dir, 0o775)).chain([("tmp", 0o1777)]);
    for (dir, mode) in rights {
        fs::set_permissions(tree.join(dir), fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    let links = release.staging("links")?;
    run_command(Command::new(&release.binary).arg("install-tools").arg(&links).stdout(std::process::Stdio::null()))?;
    for entry in fs::read_dir(&links).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        for dir in TOOLS {
            symlink("/usr/bin/thalweg", tree.join(dir).join(&name)).map_err(failed)?;
        }
    }
    Ok(())
}

/// How the image is run.
fn config(release: &Release, diff_id: &str) -> String {
    let volumes = r#"{"/etc/kafka/secrets":{},"/mnt/shared/config":{},"/var/lib/kafka/data":{}}"#;
    // Times are in nanoseconds.
    let health = r#"{"Test":["CMD","/usr/bin/thalweg","container","--check"],"Interval":10000000000,"Timeout":10000000000,"StartPeriod":30000000000,"Retries":3}"#;
    format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"User":"{USER}:0","ExposedPorts":{{"9092/tcp":{{}}}},"Env":["PATH=/opt/kafka/bin:/usr/bin"],"Cmd":["/usr/bin/thalweg","container"],"WorkingDir":"/","Volumes":{volumes},"Healthcheck":{health},"StopSignal":"SIGTERM","Labels":{{"org.opencontainers.image.version":"{}"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}},"history":[{{"created_by":"cargo xtask dist"}}]}}"#,
        release.processor.debian, release.version
    )
}
