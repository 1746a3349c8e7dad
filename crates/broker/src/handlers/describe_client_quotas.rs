//! DescribeClientQuotas (KIP-546).

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_controller::Refusal;
use thalweg_metadata::image::QuotaEntity;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeClientQuotasRequest;
use thalweg_wire::messages::describe_client_quotas_request::ComponentData;
use thalweg_wire::messages::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};

use crate::call::Call;

const IP: &str = "ip";
const KINDS: [&str; 3] = ["client-id", IP, "user"];

/// What an entity must have for one type.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    /// This name; none is the default of the type.
    Exactly(Option<ByteString>),
    /// Any name, or the default.
    Any,
}

/// What entities must have, by type.
type Filter<'a> = BTreeMap<&'a str, Match>;

pub(crate) fn handle(call: &Call, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    let filter = match filter(&request.components) {
        Ok(filter) => filter,
        Err(refusal) => {
            return DescribeClientQuotasResponse {
                error_code: refusal.code.code(),
                error_message: refusal.text(),
                entries: None,
                ..DescribeClientQuotasResponse::default()
            };
        }
    };
    let image = call.broker.image();
    let matching = image.client_quotas().iter().filter(|(entity, _)| matches(entity, &filter, request.strict));
    let entries = matching.map(|(entity, quotas)| EntryData {
        entity: entity
            .parts()
            .iter()
            .map(|(kind, name)| EntityData {
                entity_type: (&**kind).into(),
                entity_name: name.as_deref().map(Into::into),
            })
            .collect(),
        values: quotas.iter().map(|(key, value)| ValueData { key: (&**key).into(), value: *value }).collect(),
    });
    DescribeClientQuotasResponse { entries: Some(entries.collect()), ..DescribeClientQuotasResponse::default() }
}

fn filter(components: &[ComponentData]) -> Result<Filter<'_>, Refusal> {
    let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidRequest, text));
    let mut filter = Filter::new();
    for component in components {
        let kind = &*component.entity_type;
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter.contains_key(kind) {
            return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
        }
        if !KINDS.contains(&kind) {
            return Err(Refusal::because(ErrorCode::UnsupportedVersion, format!("Unsupported entity type {kind}")));
        }
        let wanted = match (component.match_type, &component.match_) {
            (0, Some(name)) => Match::Exactly(Some(name.clone())),
            (0, None) => {
                return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned());
            }
            (1, None) => Match::Exactly(None),
            (2, None) => Match::Any,
            (given @ (1 | 2), Some(_)) => {
                let name = if given == 1 { "DEFAULT" } else { "SPECIFIED" };
                return invalid(format!("Request specified MATCH_TYPE_{name}, but also specified a match string."));
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(kind, wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or clientId \
             filter component."
                .to_owned(),
        );
    }
    Ok(filter)
}

/// Whether an entity has everything that is asked for, and nothing else if that is asked for too. Nothing asked for
/// strictly is nothing.
fn matches(entity: &QuotaEntity, filter: &Filter<'_>, strict: bool) -> bool {
    let has = |(kind, wanted): (&&str, &Match)| {
        let part = entity.parts().iter().find(|(own, _)| &**own == *kind);
        part.is_some_and(|(_, name)| match wanted {
            Match::Any => true,
            Match::Exactly(wanted) => wanted.as_deref() == name.as_deref(),
        })
    };
    filter.iter().all(has) && (!strict || entity.parts().len() == filter.len())
}
