use super::*;

const OPTIONS: &[Opt] = &[
    value("topic", "topic", "A topic."),
    value("partitions", "number", "How many."),
    optional("state", "state", "A state."),
    flag("list", "Lists."),
    flag("describe", "Describes."),
    value("type", "types", "Types.").separated().available_if(&["list"]),
];

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn error(text: &str) -> String {
    parse(OPTIONS, &words(text)).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn one_dash_is_as_good_as_two_and_values_may_be_attached() -> Result<(), Thrown> {
    let line = parse(OPTIONS, &words("-list --topic=a=b stray --state"))?;
    assert!(line.has("list") && line.has("state") && !line.has("describe"));
    assert_eq!(line.value("topic")?, Some("a=b"));
    assert_eq!(line.rest, ["stray"]);
    assert_eq!(line.names(), ["list", "topic", "state"]);
    Ok(())
}

#[test]
fn a_required_value_is_taken_whatever_it_looks_like() -> Result<(), Thrown> {
    let line = parse(OPTIONS, &words("--topic --list --state --describe"))?;
    assert_eq!(line.value("topic")?, Some("--list"));
    assert!(line.has("describe") && line.values("state").is_empty());
    Ok(())
}

#[test]
fn nothing_may_be_cut_short() {
    assert_eq!(error("--top a"), "joptsimple.UnrecognizedOptionException: top is not a recognized option");
    assert_eq!(error("-top a"), "joptsimple.UnrecognizedOptionException: t is not a recognized option");
    assert_eq!(
        error("--topic"),
        "joptsimple.OptionMissingRequiredArgumentException: Option topic requires an argument"
    );
}

#[test]
fn an_option_may_depend_on_another() {
    assert_eq!(
        error("--describe --type a"),
        "joptsimple.UnavailableOptionException: Option(s) [type] are unavailable given other options on the command line"
    );
    assert_eq!(parse(OPTIONS, &words("--list --type a,b")).unwrap_or_default().values("type"), ["a", "b"]);
}

#[test]
fn values_are_converted_when_they_are_asked_for() -> Result<(), Thrown> {
    let line = parse(OPTIONS, &words("--partitions three --topic a --topic b"))?;
    let wrong = line.number::<i32>("partitions").unwrap_err();
    let texts: Vec<String> = wrong.chain().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "joptsimple.OptionArgumentConversionException: Cannot parse argument 'three' of option partitions",
            "joptsimple.internal.ReflectionException: java.lang.NumberFormatException: For input string: \"three\"",
            "java.lang.NumberFormatException: For input string: \"three\"",
        ]
    );
    assert!(line.value("topic").is_err());
    assert_eq!(line.values("topic"), ["a", "b"]);
    Ok(())
}

#[test]
fn the_table_begins_as_kafkas() {
    let table = option_table(&[value("application-id", "id", "An id.").required(), flag("list", "Lists.")]);
    assert!(table.starts_with("Option (* = required)                   Description\n"));
    assert!(table.contains("\n* --application-id <id>                 An id.\n") && table.contains("--help"));
}
