//! `cargo xtask dist`: what a release hands out, in `target/dist`: an archive, a Debian package, an image for containers, and
//! their checksums. The binary is static, so that it runs on every Linux of its processor.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::test::{cargo, root, target};

mod debian;
mod image;

/// The processors that there are releases for, and how Debian and the images of containers call them.
const PROCESSORS: [Processor; 2] = [
    Processor { name: "x86_64", debian: "amd64", triple: "x86_64-unknown-linux-musl" },
    Processor { name: "aarch64", debian: "arm64", triple: "aarch64-unknown-linux-musl" },
];

/// A processor by the names that it has.
struct Processor {
    name: &'static str,
    /// For Debian, and for images of containers.
    debian: &'static str,
    /// For the compiler.
    triple: &'static str,
}

/// What a release is made of.
struct Release {
    version: &'static str,
    processor: &'static Processor,
    /// The stripped binary.
    binary: PathBuf,
    /// Where everything goes.
    out: PathBuf,
}

impl Release {
    /// The name of a file of the release, with its end.
    fn file(&self, end: &str) -> PathBuf {
        self.out.join(format!("thalweg-{}-{}{end}", self.version, self.processor.name))
    }

    /// An empty directory to put together what goes into a file of the release.
    fn staging(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.out.join("staging").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| format!("{} cannot be emptied: {e}", dir.display()))?;
        }
        fs::create_dir_all(&dir).map_err(|e| format!("{} cannot be made: {e}", dir.display()))?;
        Ok(dir)
    }
}

/// Builds and packs; `--processor x86_64|aarch64` chooses one, `--no-build` packs what was built before.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let mut processor = env::consts::ARCH.to_owned();
    let mut builds = true;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--processor" => processor = arguments.next().cloned().unwrap_or_default(),
            "--no-build" => builds = false,
            other => return Err(format!("dist takes --processor x86_64|aarch64 and --no-build, and not `{other}`")),
        }
    }
    let processor = PROCESSORS.iter().find(|known| known.name == processor);
    let processor = processor.ok_or("there are releases for x86_64 and aarch64")?;
    if builds {
        build(processor)?;
    }
    let release = Release {
        version: env!("CARGO_PKG_VERSION"),
        processor,
        binary: target().join(processor.triple).join("dist/thalweg"),
        out: target().join("dist"),
    };
    fs::create_dir_all(&release.out).map_err(|e| format!("{} cannot be made: {e}", release.out.display()))?;
    let files = [archive(&release)?, debian::package(&release)?, image::image(&release)?];
    let sums = checksums(&release.out, &files)?;
    fs::remove_dir_all(release.out.join("staging")).map_err(|e| format!("the staging area stays behind: {e}"))?;
    for file in files.iter().chain([&sums]) {
        let bytes = fs::metadata(file).map_or(0, |metadata| metadata.len());
        println!("{:>9.1} MB  {}", bytes as f64 / 1e6, file.display());
    }
    Ok(())
}

/// Builds the binary. The parts of it that are written in C need a C compiler for the same C library.
fn build(processor: &Processor) -> Result<(), String> {
    let compiler = format!("{}-linux-musl-gcc", processor.name);
    run_command(Command::new("rustup").args(["target", "add", processor.triple]))?;
    let variable = processor.triple.replace('-', "_");
    let mut build = cargo();
    build.args(["build", "--profile", "dist", "--package", "thalweg", "--target", processor.triple]);
    // The linker is left to rustc, which has what a static program begins with; musl's makes a dynamic one.
    build.env(format!("CC_{variable}"), &compiler);
    run_command(&mut build).map_err(|e| format!("{e}; it needs {compiler} (apt-get install musl-tools) and cmake"))
}

/// The binary and what belongs to it, for people who install by hand.
fn archive(release: &Release) -> Result<PathBuf, String> {
    let dir = release.staging("archive")?;
    let name = format!("thalweg-{}", release.version);
    install(&release.binary, &dir.join(&name).join("thalweg"), 0o755)?;
    for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
        install(&root().join(file), &dir.join(&name).join(file), 0o644)?;
    }
    run_command(Command::new("cp").arg("-r").arg(root().join("contrib")).arg(dir.join(&name)))?;
    man_pages(release, &dir.join(&name).join("man/man1"))?;
    let file = release.file(".tar.gz");
    run_command(tar(&dir, &file).arg("--gzip").arg(name))?;
    Ok(file)
}

/// Writes the man pages of the tools, as the program has them: the one of the release where it runs on this machine, and else one
/// that is built for it.
fn man_pages(release: &Release, dir: &Path) -> Result<(), String> {
    let mut program = if release.processor.name == env::consts::ARCH {
        Command::new(&release.binary)
    } else {
        let mut run = cargo();
        run.args(["run", "--quiet", "--package", "thalweg", "--"]);
        run
    };
    run_command(program.arg("man").arg(dir))
}

/// `tar` that writes the same bytes for the same files, whoever runs it. What goes in is named behind it.
fn tar(dir: &Path, file: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(file).arg("--directory").arg(dir);
    tar.args(["--sort=name", "--mtime=@0", "--numeric-owner", "--owner=0", "--group=0"]);
    tar
}

fn checksums(dir: &Path, files: &[PathBuf]) -> Result<PathBuf, String> {
    let lines: Result<Vec<String>, String> =
        files.iter().map(|file| Ok(format!("{}  {}\n", sha256(file)?, name(file)))).collect();
    let sums = dir.join("SHA256SUMS");
    fs::write(&sums, lines?.concat()).map_err(|e| format!("{}: {e}", sums.display()))?;
    Ok(sums)
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The checksum of a file in hexadecimal digits.
fn sha256(file: &Path) -> Result<String, String> {
    let output =
        Command::new("sha256sum").arg(file).output().map_err(|e| format!("sha256sum cannot be started: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .next()
        .filter(|sum| sum.len() == 64)
        .map(ToOwned::to_owned)
        .ok_or_else(|| format!("sha256sum says nothing of {}", file.display()))
}

/// Copies a file to its place, with these rights.
fn install(from: &Path, to: &Path, mode: u32) -> Result<(), String> {
    run_command(Command::new("install").arg("-D").arg(format!("--mode={mode:o}")).arg(from).arg(to))
}

/// Writes a file to its place, with these rights.
fn write(to: &Path, text: &str, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let written = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(to, text));
    let written = written.and_then(|()| fs::set_permissions(to, fs::Permissions::from_mode(mode)));
    written.map_err(|e| format!("{}: {e}", to.display()))
}

fn run_command(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_owned();
    let program = Path::new(&program).file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} has failed ({status})")),
        Err(e) => Err(format!("{program} cannot be started: {e}")),
    }
}
