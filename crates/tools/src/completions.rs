//! Completion of command lines in shells, from the same definitions of options that parser and help have.

use std::fmt::Write as _;

use crate::argparse::Command;
use crate::tool::{Grammar, Tool};
use crate::{TOOLS, jopt};

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Bash.
    Bash,
    /// The Z shell, through its emulation of Bash's completion.
    Zsh,
    /// Fish.
    Fish,
}

/// A word that may stand on a tool's command line, and what it does.
type Word = (String, &'static str);

/// The commands of a tool, such as `describe`.
fn commands(tool: &Tool) -> Vec<Word> {
    match tool.grammar {
        Grammar::Argparse(program) => program.commands.iter().map(|one| (one.name.to_owned(), one.about)).collect(),
        Grammar::Jopt(_) | Grammar::Words => Vec::new(),
    }
}

/// The options of a tool and of its commands, with their dashes.
fn options(tool: &Tool) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    match tool.grammar {
        Grammar::Jopt(jopt) => {
            let all = jopt.options.iter().chain([&jopt::HELP, &jopt::VERSION]);
            words.extend(all.map(|option| (format!("--{}", option.name), option.help)));
        }
        Grammar::Argparse(program) => of_command(program, &mut words),
        Grammar::Words => {}
    }
    words.sort();
    words.dedup_by(|one, other| one.0 == other.0);
    words
}

fn of_command(command: &Command, words: &mut Vec<Word>) {
    let options = command.options.iter().chain(command.groups.iter().flat_map(|group| group.options));
    words.extend(options.map(|option| (format!("--{}", option.name), option.help)));
    command.commands.iter().for_each(|inner| of_command(inner, words));
}

/// A script that teaches a shell the words of all tools, under each of their names.
#[must_use]
pub fn script(shell: Shell, more: &[Tool]) -> String {
    let tools: Vec<&Tool> = TOOLS.iter().chain(more).collect();
    match shell {
        Shell::Bash => bash(&tools),
        Shell::Zsh => format!(
            "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{}",
            bash(&tools)
        ),
        Shell::Fish => fish(&tools),
    }
}

/// Completes the names of topics and groups, asked of the brokers that the line names or `THALWEG_BOOTSTRAP_SERVERS` does.
const BASH_NAMES: &str = r#"_thalweg_servers() {
    local at
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            --bootstrap-server) echo "${COMP_WORDS[at + 1]}"; return ;;
        esac
    done
    echo "${THALWEG_BOOTSTRAP_SERVERS:-localhost:9092}"
}

_thalweg_names() {
    local servers
    servers=$(_thalweg_servers)
    case $1 in
        --topic) thalweg topics --bootstrap-server "$servers" --list 2>/dev/null ;;
        --group | --group-id | --application-id)
            thalweg groups --bootstrap-server "$servers" --list 2>/dev/null | tail -n +2 | cut -d ' ' -f 1
            ;;
    esac
}
"#;

/// Finds the tool of the line and completes its words. `compgen -W` expands its list as a shell does, commands in it
/// too: it may have our own words only, and never names, which whoever made a group chose.
const BASH_COMPLETE: &str = r#"_thalweg() {
    local tool=${1##*/} current=$2 previous=$3 name words
    COMPREPLY=()
    tool=${tool%.sh}
    if [[ $tool == thalweg ]]; then
        if ((COMP_CWORD == 1)); then
            mapfile -t COMPREPLY < <(compgen -W "$(_thalweg_words thalweg)" -- "$current")
            return
        fi
        tool=${COMP_WORDS[1]}
    fi
    case $previous in
        --topic | --group | --group-id | --application-id)
            while IFS= read -r name; do
                if [[ -n $name && $name == "$current"* ]]; then printf -v name %q "$name"; COMPREPLY+=("$name"); fi
            done < <(_thalweg_names "$previous")
            return
            ;;
        *-file | *config | --files)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
    esac
    words=$(_thalweg_words "$tool")
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
"#;

fn bash(tools: &[&Tool]) -> String {
    let mut text =
        String::from("# Completion of thalweg and Kafka's tools: source it, or put it where your shell looks.\n");
    text += "_thalweg_words() {\n    case $1 in\n";
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    let _ = writeln!(text, "        thalweg) echo '{}' ;;", names.join(" "));
    for tool in tools {
        let words: Vec<String> = commands(tool).into_iter().chain(options(tool)).map(|(word, _)| word).collect();
        let _ = writeln!(text, "        {} | {}) echo '{}' ;;", tool.name, tool.script, words.join(" "));
    }
    text += "    esac\n}\n\n";
    text += BASH_NAMES;
    text.push('\n');
    text += BASH_COMPLETE;
    text += "\ncomplete -o default -F _thalweg thalweg";
    for name in tools.iter().flat_map(|tool| tool.links()) {
        let _ = write!(text, " {name}");
    }
    text.push('\n');
    text
}

/// Completes the names of topics in fish.
const FISH_TOPICS: &str = " -x -a '(thalweg topics --bootstrap-server (set -q THALWEG_BOOTSTRAP_SERVERS; \
    and echo $THALWEG_BOOTSTRAP_SERVERS; or echo localhost:9092) --list 2>/dev/null)'";

fn fish(tools: &[&Tool]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut text = String::from("# Completion of thalweg and Kafka's tools, for ~/.config/fish/completions.\n");
    for tool in tools {
        let (name, about) = (tool.name, quoted(tool.about));
        let _ = writeln!(text, "complete -c thalweg -n __fish_use_subcommand -a {name} -d {about}");
        for (word, help) in commands(tool) {
            let help = quoted(help);
            let _ = writeln!(text, "complete -c thalweg -n '__fish_seen_subcommand_from {name}' -a {word} -d {help}");
            let _ = writeln!(text, "complete -c {} -a {word} -d {help}", tool.script);
        }
        for (word, help) in options(tool) {
            let (option, help) = (word.trim_start_matches('-'), quoted(help));
            let names = match option {
                "topic" => FISH_TOPICS,
                _ => "",
            };
            let _ = writeln!(
                text,
                "complete -c thalweg -n '__fish_seen_subcommand_from {name}' -l {option} -d {help}{names}"
            );
            for script in tool.links() {
                let _ = writeln!(text, "complete -c {script} -l {option} -d {help}{names}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_has_its_commands_and_options_under_both_names() {
        let text = script(Shell::Bash, &[]);
        let words = |name: &str| {
            let head = format!("        {name} | kafka-{name}) echo '");
            let line = text.lines().find_map(|line| line.strip_prefix(&head)).unwrap_or_default();
            line.split([' ', '\'']).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(words("topics").contains(&"--replication-factor".to_owned()));
        assert!(words("features").contains(&"describe".to_owned()));
        assert!(text.contains(" kafka-topics kafka-topics.sh"));
    }

    /// What bash completes `start` to after `--group`, where the brokers have a topic and groups of these names.
    /// `None` where there is no bash.
    fn completed(names: &str, option: &str, start: &str) -> Option<String> {
        const STUB: &str = r#"
thalweg() { case $1 in topics) echo "$NAMES" ;; groups) echo 'GROUP TYPE'; echo "$NAMES" ;; esac; }
complete() { :; }
"#;
        let press = r#"
COMP_WORDS=(thalweg groups "$OPTION" "$START") COMP_CWORD=3
_thalweg thalweg "$START" "$OPTION"
printf '%s\n' "${COMPREPLY[@]}"
"#;
        let text = format!("{STUB}{}{press}", script(Shell::Bash, &[]));
        let mut bash = std::process::Command::new("bash");
        bash.args(["--norc", "--noprofile", "-c", &text]);
        bash.envs([("NAMES", names), ("OPTION", option), ("START", start)]);
        let output = match bash.output() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("not tried: there is no bash");
                return None;
            }
            output => output.unwrap(),
        };
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn names_complete_in_bash_and_nothing_in_them_runs() {
        let Some(ordinary) = completed("orders Consumer\nother Share\nolder", "--group", "o") else { return };
        assert_eq!(ordinary, "orders\nother\nolder\n");
        assert_eq!(completed("orders\nother", "--topic", "ord").unwrap(), "orders\n");
        let mark = std::env::temp_dir().join(format!("thalweg-completed-{}", std::process::id()));
        let name = format!("$(touch${{IFS}}{})abc", mark.display());
        for option in ["--group", "--group-id", "--application-id", "--topic"] {
            let whole = completed(&name, option, "").unwrap();
            assert!(!mark.exists(), "{option} ran what a name says");
            assert_eq!(whole, format!("\\$\\(touch\\$\\{{IFS\\}}{}\\)abc\n", mark.display()), "{option}");
        }
        assert_eq!(completed("`id`x", "--group", "`").unwrap(), "\\`id\\`x\n");
    }

    #[test]
    fn quotes_in_help_do_not_end_the_text_in_fish() {
        for line in script(Shell::Fish, &[]).lines().filter(|line| !line.starts_with('#')) {
            let open = line.replace("\\\\", "").replace("\\'", "").matches('\'').count();
            assert_eq!(open % 2, 0, "{line}");
        }
    }
}
