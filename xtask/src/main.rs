//! Chores of the project, started as `cargo xtask NAME`.

use std::process::ExitCode;

mod bench;
mod configs;
mod dist;
mod judge;
mod schema;
mod test;
mod tidy;
mod work;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("import-schemas") => schema::import(arguments.get(1)),
        Some("import-configs") => configs::import(arguments.get(1)),
        Some("check-wire-java") => schema::check(arguments.get(1)),
        Some("bench") => bench::run(&arguments[1..]),
        Some("dist") => dist::run(&arguments[1..]),
        Some("work") => work::run(&arguments[1..]),
        Some("judge") => judge::run(&arguments[1..]),
        Some("test") => test::run(),
        Some("sim") => test::simulate(),
        Some("tidy") => tidy::run(),
        _ => Err(
            "chores: test, judge, sim, bench, work, dist, tidy; import-schemas, import-configs, check-wire-java [KAFKA_HOME/lib]"
                .to_owned(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
