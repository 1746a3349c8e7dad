//! Variables of values, and where they are looked up.

use super::*;

fn resolved(entries: &[(&str, &str)]) -> Result<String, String> {
    let mut texts: ConfigMap = entries.iter().map(|(name, text)| (Arc::from(*name), Arc::from(*text))).collect();
    let environment = |name: &str| (name == "X" || name == "SECRET").then(|| format!("<{name}>"));
    resolve(&mut texts, environment).map_err(|refused| refused.message)?;
    Ok(texts["it"].to_string())
}

fn with_env(it: &str) -> Result<String, String> {
    resolved(&[("config.providers", "e"), ("config.providers.e.class", CLASS_ENV), ("it", it)])
}

/// A directory of its own with these files.
fn directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = fs::temp_dir().join(format!("thalweg-providers-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    for (file, text) in files {
        fs::write(&directory.join(file), text.as_bytes()).expect("a file");
    }
    directory
}

#[test]
fn variables_are_replaced_wherever_they_stand() {
    assert_eq!(with_env("${e:X}").as_deref(), Ok("<X>"));
    assert_eq!(with_env("a ${e:X} b${e::X}").as_deref(), Ok("a <X> b<X>"));
}

#[test]
fn what_cannot_be_looked_up_stays_as_it_is_written() {
    for text in ["${e:UNKNOWN}", "${other:X}", "${X}", "${e:X", "$ {e:X}", "${}", "${o ${e:X}"] {
        assert_eq!(with_env(text).as_deref(), Ok(text));
    }
    assert_eq!(with_env("${a} ${e:X}").as_deref(), Ok("${a} <X>"));
    assert_eq!(resolved(&[("it", "${e:X}")]).as_deref(), Ok("${e:X}"), "without providers nothing is a variable");
    let without_class = resolved(&[("config.providers", "e"), ("it", "${e:X}")]);
    assert_eq!(without_class.as_deref(), Ok("${e:X}"));
}

#[test]
fn environment_variables_must_match_the_whole_pattern() {
    let allow = "config.providers.e.param.allowlist.pattern";
    let entries =
        |it| [("config.providers", "e"), ("config.providers.e.class", CLASS_ENV), (allow, "X|Y.*"), ("it", it)];
    assert_eq!(resolved(&entries("${e:X}${e:SECRET}")).as_deref(), Ok("<X>${e:SECRET}"));
    let path = with_env("${e:path:X}").unwrap_err();
    assert_eq!(path, "Path is not supported for EnvVarConfigProvider, invalid value 'path'");
}

#[test]
fn files_and_directories_give_values() {
    let directory = directory("values", &[("a.properties", "k=1\nk = 2\na\\:b=c\n"), ("password", "s3cret\n")]);
    let path = directory.display();
    let entries = |it: &str| {
        let classes = [("config.providers.f.class", CLASS_FILE), ("config.providers.d.class", CLASS_DIRECTORY)];
        resolved(&[("config.providers", "f,d"), classes[0], classes[1], ("it", it)])
    };
    assert_eq!(entries(&format!("${{f:{path}/a.properties:k}}")).as_deref(), Ok("2"));
    assert_eq!(entries(&format!("${{f:{path}/a.properties:a:b}}")).as_deref(), Ok("c"));
    assert_eq!(entries(&format!("${{d:{path}:password}}")).as_deref(), Ok("s3cret\n"));
    let outside = format!("${{d:{path}:../password}}");
    assert_eq!(entries(&outside).as_deref(), Ok(&*outside));
    let missing = entries(&format!("${{f:{path}/none:k}}")).unwrap_err();
    assert_eq!(missing, format!("Could not read properties from file {path}/none"));
    fs::remove_dir_all(&directory).expect("it is ours");
}

#[test]
fn a_provider_reads_below_its_allowed_paths_only() {
    let (inside, outside) = (directory("inside", &[("k", "in")]), directory("outside", &[("k", "out")]));
    let allowed = inside.display().to_string();
    let read = |path: &Path| {
        let it = format!("${{d:{}:k}}", path.display());
        let allowed = ("config.providers.d.param.allowed.paths", &*allowed);
        let entries = [("config.providers", "d"), ("config.providers.d.class", CLASS_DIRECTORY), allowed, ("it", &*it)];
        (it.clone(), resolved(&entries).expect("it is resolved"))
    };
    assert_eq!(read(&inside).1, "in");
    let (written, resolved) = read(&outside);
    assert_eq!(written, resolved);
    let (written, resolved) = read(&inside.join("..").join(outside.file_name().expect("a name")));
    assert_eq!(written, resolved, "links and dots are followed first");
    assert_eq!(AllowedPaths::parse("x").unwrap_err().message, "Path x is not absolute");
    assert_eq!(AllowedPaths::parse("/no/such/path").unwrap_err().message, "Path /no/such/path does not exist");
    fs::remove_dir_all(&inside).and_then(|()| fs::remove_dir_all(&outside)).expect("they are ours");
}

#[test]
fn a_class_of_somebody_else_is_refused() {
    let entries = [("config.providers", "v"), ("config.providers.v.class", "org.example.Vault"), ("it", "")];
    let refused = resolved(&entries).unwrap_err();
    assert!(refused.starts_with("config.providers.v.class cannot be set to org.example.Vault: it names"), "{refused}");
}
