//! Envelope: a broker forwards what a client asked it to the active controller (KIP-590).

use std::net::IpAddr;

use bytes::Bytes;
use thalweg_access::Principal;
use thalweg_wire::messages::{DefaultPrincipalData, EnvelopeRequest, EnvelopeResponse};
use thalweg_wire::{ApiKey, ErrorCode, Reader};

/// The only version of serialized principals.
const PRINCIPAL_VERSION: i16 = 0;

/// What clients may ask brokers and controllers decide.
const FORWARDABLE: [ApiKey; 20] = [
    ApiKey::AddRaftVoter,
    ApiKey::AlterClientQuotas,
    ApiKey::AlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::AlterUserScramCredentials,
    ApiKey::CreateAcls,
    ApiKey::CreateDelegationToken,
    ApiKey::CreatePartitions,
    ApiKey::CreateTopics,
    ApiKey::DeleteAcls,
    ApiKey::DeleteTopics,
    ApiKey::DescribeQuorum,
    ApiKey::ElectLeaders,
    ApiKey::ExpireDelegationToken,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::ListPartitionReassignments,
    ApiKey::RemoveRaftVoter,
    ApiKey::RenewDelegationToken,
    ApiKey::UnregisterBroker,
    ApiKey::UpdateFeatures,
];

/// What an envelope holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// The client's request.
    pub(crate) request: Bytes,
    /// Who has sent it to the broker,
    pub(crate) principal: Principal,
    /// with a delegation token,
    pub(crate) by_token: bool,
    /// and from where.
    pub(crate) address: IpAddr,
}

/// The request in an envelope, if it may be in one and everything about its sender can be made out.
///
/// # Errors
/// `PRINCIPAL_DESERIALIZATION_FAILURE`, or `INVALID_REQUEST`.
pub(crate) fn open(envelope: EnvelopeRequest) -> Result<Forwarded, ErrorCode> {
    let EnvelopeRequest { request_data, request_principal, client_host_address } = envelope;
    let address = address(&client_host_address).ok_or(ErrorCode::InvalidRequest)?;
    let (principal, by_token) =
        request_principal.and_then(principal).ok_or(ErrorCode::PrincipalDeserializationFailure)?;
    let api = request_data.first_chunk::<2>().map(|api| i16::from_be_bytes(*api));
    let forwardable = api.and_then(ApiKey::from_i16).is_some_and(|api| FORWARDABLE.contains(&api));
    if forwardable {
        Ok(Forwarded { request: request_data, principal, by_token, address })
    } else {
        Err(ErrorCode::InvalidRequest)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// A principal, and whether it has logged in with a delegation token.
fn principal(serialized: Bytes) -> Option<(Principal, bool)> {
    let version = i16::from_be_bytes(*serialized.first_chunk::<2>()?);
    if version != PRINCIPAL_VERSION {
        return None;
    }
    let data = DefaultPrincipalData::decode(&mut Reader::new(serialized.slice(2..)), version).ok()?;
    Some((Principal { kind: (&*data.type_).into(), name: (&*data.name).into() }, data.token_authenticated))
}

/// The envelope's answer, around the one to the request in it.
pub(crate) fn answer(answered: Result<Bytes, ErrorCode>) -> EnvelopeResponse {
    match answered {
        Ok(response) => EnvelopeResponse { response_data: Some(response), error_code: 0 },
        Err(error) => EnvelopeResponse { response_data: None, error_code: error.code() },
    }
}

#[cfg(test)]
mod tests {
    use thalweg_wire::Writer;

    use super::*;

    fn envelope(api: ApiKey) -> EnvelopeRequest {
        let principal = DefaultPrincipalData { type_: "User".into(), name: "alice".into(), token_authenticated: false };
        let mut writer = Writer::new();
        writer.i16(PRINCIPAL_VERSION);
        principal.encode(&mut writer, PRINCIPAL_VERSION).expect("a principal");
        EnvelopeRequest {
            request_data: Bytes::from([api.code().to_be_bytes(), [0, 7]].concat()),
            request_principal: Some(writer.into_bytes()),
            client_host_address: Bytes::from_static(&[127, 0, 0, 1]),
        }
    }

    #[test]
    fn only_what_clients_may_ask_is_opened() {
        let forwarded = open(envelope(ApiKey::CreateTopics)).expect("it may be forwarded");
        assert_eq!(forwarded.request.len(), 4);
        assert_eq!(forwarded.principal, Principal::user("alice"));
        assert_eq!(forwarded.address, IpAddr::from([127, 0, 0, 1]));
        for api in [ApiKey::Produce, ApiKey::BrokerHeartbeat, ApiKey::Envelope, ApiKey::Fetch] {
            assert_eq!(open(envelope(api)), Err(ErrorCode::InvalidRequest), "{}", api.name());
        }
    }

    #[test]
    fn a_sender_that_cannot_be_made_out_is_refused() {
        let unknown = ErrorCode::PrincipalDeserializationFailure;
        for principal in
            [None, Some(Bytes::new()), Some(Bytes::from_static(&[0, 1, 0])), Some(Bytes::from_static(&[0, 0]))]
        {
            let envelope = EnvelopeRequest { request_principal: principal, ..envelope(ApiKey::CreateTopics) };
            assert_eq!(open(envelope), Err(unknown));
        }
        let nowhere = EnvelopeRequest { client_host_address: Bytes::new(), ..envelope(ApiKey::CreateTopics) };
        assert_eq!(open(nowhere), Err(ErrorCode::InvalidRequest));
    }
}
