//! AlterClientQuotas: how much users, clients and addresses may use (KIP-546).

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_controller::Context;
use thalweg_wire::messages::alter_client_quotas_response::{AlterClientQuotasResponse, EntityData, EntryData};
use thalweg_wire::messages::{AlterClientQuotasRequest, alter_client_quotas_request as asked};

use super::controller::{ask_with, context};
use crate::call::Call;

/// An entity that is an address.
const IP: &str = "ip";

pub(crate) async fn handle(call: Call, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let unknown_hosts = unknown_hosts(&request).await;
    let entities: Vec<Vec<asked::EntityData>> = request.entries.iter().map(|entry| entry.entity.clone()).collect();
    let context = Context { unknown_hosts, ..context(&call) };
    let decided = ask_with(&call, context, request).await;
    decided.unwrap_or_else(|refusal| {
        let entry = |entity: Vec<asked::EntityData>| EntryData {
            error_code: refusal.code.code(),
            error_message: refusal.text(),
            entity: entity
                .into_iter()
                .map(|part| EntityData { entity_type: part.entity_type, entity_name: part.entity_name })
                .collect(),
        };
        AlterClientQuotasResponse { entries: entities.into_iter().map(entry).collect(), ..Default::default() }
    })
}

/// The names of addresses that mean nothing to this host.
async fn unknown_hosts(request: &AlterClientQuotasRequest) -> BTreeSet<ByteString> {
    let parts = request.entries.iter().flat_map(|entry| &entry.entity).filter(|part| &*part.entity_type == IP);
    let names: BTreeSet<ByteString> = parts.filter_map(|part| part.entity_name.clone()).collect();
    let mut unknown = BTreeSet::new();
    for name in names {
        let found = thalweg_sys::net::resolve(&name, 0).await;
        if found.is_ok_and(|addresses| !addresses.is_empty()) {
            continue;
        }
        unknown.insert(name);
    }
    unknown
}
