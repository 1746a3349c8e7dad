use super::*;

const SERVERS: &[Group] = &[Group {
    required: true,
    options: &[
        value("bootstrap-server", "BOOTSTRAP_SERVER", "Brokers.").short('b'),
        value("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "Controllers.").short('C'),
    ],
}];

const PROGRAM: Command = Command {
    name: "kafka-cluster",
    commands: &[
        Command {
            name: "unregister",
            options: &[
                value("config", "CONFIG", "A file.").short('c'),
                value("command-config", "COMMAND_CONFIG", "A file."),
                value("id", "ID", "The node.").short('i').kind(Kind::Int).required(),
            ],
            groups: SERVERS,
            ..Command::EMPTY
        },
        Command { name: "cluster-id", groups: SERVERS, ..Command::EMPTY },
        Command { name: "list-endpoints", groups: SERVERS, ..Command::EMPTY },
    ],
    ..Command::EMPTY
};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn error(text: &str) -> String {
    parse(&PROGRAM, &words(text)).unwrap_err().text(&PROGRAM)
}

#[test]
fn options_and_commands_may_be_cut_short() -> Result<(), Stop> {
    let parsed = parse(&PROGRAM, &words("unreg --bootstrap-s=a:1 -i7"))?;
    assert_eq!(
        (parsed.command, parsed.value("bootstrap-server"), parsed.number("id")),
        ("unregister", Some("a:1"), Some(7))
    );
    assert!(error("unregister --bootstrap a").contains("ambiguous"));
    Ok(())
}

#[test]
fn usage_is_wrapped_before_the_message() {
    assert_eq!(
        error("unregister --bootstrap-server a"),
        "usage: kafka-cluster unregister [-h] [--config CONFIG]\n                     [--command-config COMMAND_CONFIG] \
         --id ID\n                     (--bootstrap-server BOOTSTRAP_SERVER |\n                     \
         --bootstrap-controller BOOTSTRAP_CONTROLLER)\nkafka-cluster: error: argument --id/-i is required"
    );
}

#[test]
fn a_long_message_is_justified_and_breaks_behind_dashes() {
    assert!(error("cluster-id").ends_with(
        "kafka-cluster:  error:  one  of   the  arguments  --bootstrap-server/-b  --\nbootstrap-controller/-C is required"
    ));
    assert!(error("cluster-id -b a -C b").ends_with(
        "kafka-cluster: error: argument --bootstrap-controller/-C:  not allowed with\nargument --bootstrap-server/-b"
    ));
}

#[test]
fn a_number_is_checked_while_the_line_is_read() {
    let stop = parse(&PROGRAM, &words("unregister --id soon")).unwrap_err();
    let Stop::Wrong { message, .. } = stop else { panic!("it is no help") };
    assert_eq!(message, "argument --id/-i: could not convert 'soon' to Integer (For input string: \"soon\")");
    assert!(error("").ends_with("too few arguments"));
}

#[test]
fn a_word_breaks_where_it_has_a_dash() {
    assert_eq!(
        text::justified(
            "kafka-cluster: error: invalid choice: 'nonsense' (choose from 'cluster-id', 'unregister', 'list-endpoints')"
        ),
        "kafka-cluster: error: invalid  choice:  'nonsense'  (choose  from 'cluster-\nid', 'unregister', 'list-endpoints')"
    );
}
