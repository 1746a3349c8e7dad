use thalweg_tools::argparse::{Parsed, Stop, parse};

use super::*;

fn parse_line(line: &str) -> Result<Parsed, Stop> {
    let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
    parse(&PROGRAM, &words)
}

fn error_of(line: &str) -> String {
    match parse_line(line) {
        Err(Stop::Help(_)) => panic!("{line} asks for help"),
        Err(stop) => {
            let text = stop.text(&PROGRAM);
            text.split_once("kafka-storage: ").map(|(_, text)| text.to_owned()).unwrap_or(text)
        }
        Ok(_) => panic!("{line} is fine"),
    }
}

#[test]
fn values_stand_apart_or_attached_and_names_may_be_cut_short() {
    let lines = [
        "format -t id -c file --feature a=1 -f b=2 -s",
        "format --cluster-id=id --config=file --feat=a=1 --feature b=2 --stand",
        "form -tid -cfile -fa=1 -f=b=2 -s",
    ];
    for line in lines {
        let parsed = parse_line(line).unwrap_or_else(|_| panic!("{line} is refused"));
        assert_eq!(parsed.command, "format");
        assert_eq!((parsed.value("cluster-id"), parsed.value("config")), (Some("id"), Some("file")), "{line}");
        assert_eq!(parsed.values("feature"), ["a=1", "b=2"], "{line}");
        assert!(parsed.has("standalone") && !parsed.has("ignore-formatted"), "{line}");
    }
}

#[test]
fn wrong_lines_are_answered_as_argparse_does() {
    let cases = [
        ("", "error: too few arguments"),
        ("--version", "error: unrecognized arguments: '--version'"),
        ("info", "error: argument --config/-c is required"),
        ("format -t id -c", "error: argument --config/-c: expected one argument"),
        ("format -t id -c file extra", "error: unrecognized arguments: 'extra'"),
        ("random-uuid extra", "error: unrecognized arguments: 'extra'"),
        (
            "format -t id -c file --standalone --no-initial-controllers",
            "error:  argument  --no-initial-controllers/-N:  not  allowed\nwith argument --standalone/-s",
        ),
        (
            "nonsense",
            "error:  invalid  choice:  'nonsense'  (choose  from  'info',\n\
             'format', 'version-mapping', 'feature-dependencies', 'random-uuid')",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(error_of(line), expected, "{line}");
    }
}

#[test]
fn help_is_no_error() {
    for line in ["--help", "-h", "format --help", "info -h", "random-uuid --he"] {
        assert!(matches!(parse_line(line), Err(Stop::Help(_))), "{line}");
    }
}
