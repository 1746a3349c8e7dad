//! Each rule finds what it is for, and nothing in what looks like it.

use super::circles::Circles;
use super::source::Source;
use super::{Finding, arrows, except, layers, rules};

/// Rule and line of everything that one file would be told.
fn told(path: &str, text: &str) -> Vec<(&'static str, Option<usize>)> {
    let mut findings = Vec::new();
    rules::check(&Source::new(path, text), &mut findings);
    findings.iter().map(|finding| (finding.rule, finding.line)).collect()
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = "// todo!()\nlet a = \"dbg!(1) // \\\" todo!\";\nlet b = r#\"std::fs \"x\" \"#;\nlet c = ('\"', '\\'', 'x');\n/* a /* nested */ dbg! */\nfn f<'a>(x: &'a str) {}\n";
    assert_eq!(told("crates/wire/src/a.rs", text), []);
}

#[test]
fn left_overs_are_found_where_they_stand() {
    let text =
        "fn a() {\n    todo!()\n}\n// TODO later\n#[allow(dead_code)]\nfn b() { dbg!(1); }\n#[ignore = \"slow\"]\n";
    let mut lines: Vec<_> = told("crates/wire/src/a.rs", text).iter().filter_map(|(_, line)| *line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 4, 5, 6, 7]);
}

#[test]
fn doors_are_open_in_sys_and_in_tests_only() {
    let text = "use std::fs;\n#[cfg(test)]\nmod tests {\n    use std::net::TcpStream;\n}\n";
    assert_eq!(told("crates/storage/src/log.rs", text), [("door", Some(1))]);
    assert_eq!(told("crates/sys/src/fs.rs", text), []);
    assert_eq!(told("crates/storage/src/log/tests.rs", text), []);
    assert_eq!(told("xtask/src/tidy.rs", text), []);
}

#[test]
fn a_test_module_in_its_own_file_hides_nothing_after_it() {
    let text = "#[cfg(test)]\nmod tests;\n\nfn f() { x.unwrap(); }\n";
    assert_eq!(told("crates/broker/src/a.rs", text), [("unwrap", Some(4))]);
}

#[test]
fn pure_crates_are_neither_async_nor_random() {
    let text = "async fn f() {}\nuse std::collections::HashMap;\n";
    assert_eq!(told("crates/raft/src/a.rs", text), [("pure", Some(1)), ("pure", Some(2))]);
    assert_eq!(told("crates/broker/src/a.rs", text), []);
}

#[test]
fn process_wide_state_is_found_and_tables_are_not() {
    let text =
        "static TABLE: [u8; 2] = [1, 2];\nstatic COUNT: AtomicU64 = AtomicU64::new(0);\nfn f(name: &'static str) {}\n";
    assert_eq!(told("crates/broker/src/a.rs", text), [("static", Some(2))]);
}

#[test]
fn tests_do_not_sleep() {
    let text = "fn wait() { sleep(1); }\n#[cfg(test)]\nmod tests {\n    fn t() { std::thread::sleep(d); }\n}\n";
    assert_eq!(told("crates/broker/src/a.rs", text), [("sleep", Some(4))]);
    assert_eq!(told("crates/sim/src/a.rs", text), []);
}

#[test]
fn long_functions_and_files_are_counted_from_brace_to_brace() {
    let long = |lines: usize| format!("trait T {{ fn g(); }}\nfn f(a: [u8; 3]) {{\n{}}}\n", "    a();\n".repeat(lines));
    assert_eq!(told("crates/broker/src/a.rs", &long(68)), []);
    assert_eq!(told("crates/broker/src/a.rs", &long(69)), [("long-function", Some(2))]);
    let rules: Vec<_> = told("crates/broker/src/a.rs", &"// x\n".repeat(801)).iter().map(|(rule, _)| *rule).collect();
    assert_eq!(rules, ["long-file"]);
}

#[test]
fn arrows_must_be_on_the_map() {
    let allowed = arrows::map(
        "crates/\n  sys/   doors   -> -\n  wire/  codec -> base\n  broker/ node -> all above\n    deeper/ -> x\n",
    );
    let manifest = "[dependencies]\nthalweg-sys.workspace = true\nbytes = \"1\"\n[dev-dependencies]\nthalweg-records.workspace = true\n";
    let dependencies = arrows::dependencies(manifest);
    assert_eq!(dependencies, ["sys"]);
    let standing = ["wire", "broker", "util"].map(|name| (name.to_owned(), dependencies.clone())).into();
    let told: Vec<String> = arrows::wrong(&allowed, &standing).iter().map(|finding| finding.place.clone()).collect();
    assert_eq!(told, ["crates/util", "crates/util", "crates/wire"]);
}

#[test]
fn exceptions_need_a_reason_and_something_to_except() {
    let finding =
        |place: &str| Finding { rule: "door", place: place.to_owned(), line: Some(3), what: "std::fs".to_owned() };
    let text = "# a comment\ndoor | crates/a.rs | it is the only door\ndoor | crates/b.rs |\ndoor | crates/gone.rs | was there once\n";
    let left = except(vec![finding("crates/a.rs"), finding("crates/b.rs")], text);
    let places: Vec<&str> = left.iter().map(|finding| finding.place.as_str()).collect();
    assert_eq!(places, ["xtask/tidy-exceptions.txt", "xtask/tidy-exceptions.txt", "crates/b.rs"]);
}

#[test]
fn layers_of_a_crate_import_what_their_map_allows() {
    let document = "crates/broker/src/\n  call      a request      -> drivers\n  drivers   own machines   -> -\n\n  late  no -> all\n";
    let map = layers::map(document, "broker");
    assert_eq!(map.keys().collect::<Vec<_>>(), ["call", "drivers"]);
    let told = |path: &str, text: &str| {
        let mut findings = Vec::new();
        layers::check(&Source::new(path, text), "broker", &map, &mut findings);
        findings.iter().map(|finding| (finding.line, finding.what.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told("crates/broker/src/call.rs", "use crate::drivers::a;\nuse crate::call::b;\n"), []);
    let upward = (Some(2), "drivers imports call; the map allows: ".to_owned());
    assert_eq!(told("crates/broker/src/drivers/a.rs", "use super::b;\nuse crate::{call, drivers::c};\n"), [upward]);
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::call;\n}\n";
    assert_eq!(told("crates/broker/src/drivers/a.rs", tests), []);
    assert_eq!(told("crates/wire/src/drivers.rs", "use crate::call;"), []);
    assert_eq!(told("crates/broker/src/new.rs", "").len(), 1);
}

#[test]
fn files_that_import_each_other_are_one_circle_however_they_say_it() {
    let mut circles = Circles::default();
    let files = [
        ("crates/x/src/lib.rs", "mod a;\nmod b;\npub use a::A;"),
        (
            "crates/x/src/a.rs",
            "use crate::{\n    b::{c::C, B},\n    d,\n};\n#[cfg(test)]\nmod tests {\n    use crate::e::E;\n}",
        ),
        ("crates/x/src/b/mod.rs", "use self::c::C;"),
        ("crates/x/src/b/c.rs", "use super::super::a::A;"),
        ("crates/x/src/d.rs", "pub(super) struct D;"),
        ("crates/x/src/e.rs", "use super::a::A;"),
        ("crates/x/src/a/tests.rs", "use crate::e::E;"),
    ];
    files.iter().for_each(|(path, text)| circles.add(&Source::new(path, text)));
    let mut findings = Vec::new();
    circles.check(&mut findings);
    let told: Vec<_> = findings.iter().map(|finding| (finding.rule, &*finding.place, &*finding.what)).collect();
    assert_eq!(told, [("circle", "crates/x/src/a.rs", "files import each other in a circle: a b b/c")]);
}
