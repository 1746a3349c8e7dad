//! Writes the table of APIs.

use std::fmt::Write as _;

use crate::apis;
use crate::model::{Kind, Message, Versions};

/// The enum `ApiKey` and the facts about each of its values.
pub fn table(messages: &[Message]) -> Result<String, String> {
    let apis = apis(messages);
    let requests = messages.iter().filter(|m| m.kind == Kind::Request).count();
    if apis.len() != requests {
        return Err(format!("{requests} requests, but {} pairs of request and response", apis.len()));
    }
    let mut variants = String::new();
    let mut facts = String::new();
    let mut names = String::new();
    for (request, response) in &apis {
        let name = request.name().strip_suffix("Request").ok_or("a request's name ends in Request")?;
        let key = request.key.ok_or_else(|| format!("{name} has no key"))?;
        if request.versions != response.versions || request.flexible != response.flexible {
            return Err(format!("{name}: request and response have different versions"));
        }
        let Versions { low, high } = request.versions;
        let flexible = if request.flexible.is_empty() { i16::MAX } else { request.flexible.low };
        let listens = |who: &str| request.listeners.iter().any(|l| l == who);
        let (broker, controller) = (listens("broker"), listens("controller"));
        let _ = writeln!(variants, "/// `{name}`, versions {}.\n{name} = {key},", request.versions.words());
        let _ = writeln!(names, "ApiKey::{name},");
        let _ = writeln!(
            facts,
            "Facts {{ name: \"{name}\", low: {low}, high: {high}, flexible: {flexible}, broker: {broker}, \
             controller: {controller}, latest_version_unstable: {} }},",
            request.unstable
        );
    }
    Ok(format!(
        "/// The APIs of Kafka 4.3, by their number on the wire. Those that Kafka 4 removed are not here.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]\n\
         pub enum ApiKey {{\n{variants}}}\n\
         const KEYS: [ApiKey; {0}] = [\n{names}];\n\
         const FACTS: [Facts; {0}] = [\n{facts}];\n",
        apis.len()
    ))
}
