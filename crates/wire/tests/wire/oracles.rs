//! Equal bytes with two independent codecs.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use thalweg_wire::Codec;
use thalweg_wire::messages as ours;

use crate::arbitrary::{Fill, Gen};
use crate::round_trip::{decode, encode};

const VALUES: usize = 3;

/// Another codec's decoding and encoding of one message.
type Recode = dyn Fn(&Bytes, i16) -> Result<Bytes, String>;

/// Encodes random values at each version, lets the other codec decode and encode them, and wants the same bytes, which
/// our own decoder then takes. Returns how many.
fn compare<T: Fill + Codec + PartialEq + std::fmt::Debug>(versions: RangeInclusive<i16>, other: &Recode) -> usize {
    let mut g = Gen::new(T::NAME.len() as u64);
    let mut compared = 0;
    for version in versions {
        for _ in 0..VALUES {
            let value = T::fill(&mut g, version);
            let bytes = encode(&value, version);
            let theirs = other(&bytes, version).unwrap_or_else(|e| panic!("{} v{version}: {e}\n{value:?}", T::NAME));
            assert_eq!(theirs, bytes, "{} v{version} {value:?}", T::NAME);
            assert_eq!(decode::<T>(&theirs, version), value);
            compared += 1;
        }
    }
    compared
}

fn common(ours: RangeInclusive<i16>, low: i16, high: i16) -> RangeInclusive<i16> {
    low.max(*ours.start())..=high.min(*ours.end())
}

macro_rules! kafka_protocol {
    ($($name:ident)*) => {
        #[test]
        fn equal_bytes_with_kafka_protocol() {
            use kafka_protocol::messages::*;
            use kafka_protocol::protocol::{Decodable, Encodable, Message};
            let mut compared = 0;
            $(
                let theirs = <$name as Message>::VERSIONS;
                let versions = common(ours::$name::VERSIONS, theirs.min, theirs.max);
                compared += compare::<ours::$name>(versions, &|bytes, version| {
                    let mut rest = bytes.clone();
                    let value = $name::decode(&mut rest, version).map_err(|e| e.to_string())?;
                    let mut out = BytesMut::new();
                    value.encode(&mut out, version).map_err(|e| e.to_string())?;
                    if rest.is_empty() { Ok(out.freeze()) } else { Err(format!("{} bytes left", rest.len())) }
                });
            )*
            assert!(compared > 1000, "only {compared} values");
        }
    };
}

macro_rules! kacrab_protocol {
    ($($name:ident $theirs:ident)*) => {
        #[test]
        fn equal_bytes_with_kacrab_protocol() {
            use kacrab_protocol::generated::*;
            let mut compared = 0;
            $(
                compared += compare::<ours::$name>(ours::$name::VERSIONS, &|bytes, version| {
                    let mut rest = bytes.clone();
                    let value = $theirs::read(&mut rest, version).map_err(|e| e.to_string())?;
                    let mut out = BytesMut::new();
                    value.write(&mut out, version).map_err(|e| e.to_string())?;
                    if rest.is_empty() { Ok(out.freeze()) } else { Err(format!("{} bytes left", rest.len())) }
                });
            )*
            assert!(compared > 1000, "only {compared} values");
        }
    };
}

// Without LeaderChangeMessage and VotersRecord: there that codec takes the field `Version` for the version to decode.
kafka_protocol! {
    AddOffsetsToTxnRequest AddOffsetsToTxnResponse AddPartitionsToTxnRequest AddPartitionsToTxnResponse
    AddRaftVoterRequest AddRaftVoterResponse AllocateProducerIdsRequest AllocateProducerIdsResponse
    AlterClientQuotasRequest AlterClientQuotasResponse AlterConfigsRequest AlterConfigsResponse
    AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse AlterPartitionRequest
    AlterPartitionResponse AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse AlterShareGroupOffsetsRequest
    AlterShareGroupOffsetsResponse AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse
    ApiVersionsRequest ApiVersionsResponse AssignReplicasToDirsRequest AssignReplicasToDirsResponse
    BeginQuorumEpochRequest BeginQuorumEpochResponse BrokerHeartbeatRequest BrokerHeartbeatResponse
    BrokerRegistrationRequest BrokerRegistrationResponse ConsumerGroupDescribeRequest
    ConsumerGroupDescribeResponse ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
    ConsumerProtocolAssignment ConsumerProtocolSubscription ControllerRegistrationRequest
    ControllerRegistrationResponse CreateAclsRequest CreateAclsResponse CreateDelegationTokenRequest
    CreateDelegationTokenResponse CreatePartitionsRequest CreatePartitionsResponse CreateTopicsRequest
    CreateTopicsResponse DefaultPrincipalData DeleteAclsRequest DeleteAclsResponse DeleteGroupsRequest
    DeleteGroupsResponse DeleteRecordsRequest DeleteRecordsResponse DeleteShareGroupOffsetsRequest
    DeleteShareGroupOffsetsResponse DeleteShareGroupStateRequest DeleteShareGroupStateResponse
    DeleteTopicsRequest DeleteTopicsResponse DescribeAclsRequest DescribeAclsResponse DescribeClientQuotasRequest
    DescribeClientQuotasResponse DescribeClusterRequest DescribeClusterResponse DescribeConfigsRequest
    DescribeConfigsResponse DescribeDelegationTokenRequest DescribeDelegationTokenResponse DescribeGroupsRequest
    DescribeGroupsResponse DescribeLogDirsRequest DescribeLogDirsResponse DescribeProducersRequest
    DescribeProducersResponse DescribeQuorumRequest DescribeQuorumResponse DescribeShareGroupOffsetsRequest
    DescribeShareGroupOffsetsResponse DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
    DescribeTransactionsRequest DescribeTransactionsResponse DescribeUserScramCredentialsRequest
    DescribeUserScramCredentialsResponse ElectLeadersRequest ElectLeadersResponse EndQuorumEpochRequest
    EndQuorumEpochResponse EndTxnMarker EndTxnRequest EndTxnResponse EnvelopeRequest EnvelopeResponse
    ExpireDelegationTokenRequest ExpireDelegationTokenResponse FetchRequest FetchResponse FetchSnapshotRequest
    FetchSnapshotResponse FindCoordinatorRequest FindCoordinatorResponse GetTelemetrySubscriptionsRequest
    GetTelemetrySubscriptionsResponse HeartbeatRequest HeartbeatResponse IncrementalAlterConfigsRequest
    IncrementalAlterConfigsResponse InitProducerIdRequest InitProducerIdResponse InitializeShareGroupStateRequest
    InitializeShareGroupStateResponse JoinGroupRequest JoinGroupResponse KRaftVersionRecord
    LeaveGroupRequest LeaveGroupResponse ListConfigResourcesRequest ListConfigResourcesResponse ListGroupsRequest
    ListGroupsResponse ListOffsetsRequest ListOffsetsResponse ListPartitionReassignmentsRequest
    ListPartitionReassignmentsResponse ListTransactionsRequest ListTransactionsResponse MetadataRequest
    MetadataResponse OffsetCommitRequest OffsetCommitResponse OffsetDeleteRequest OffsetDeleteResponse
    OffsetFetchRequest OffsetFetchResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse
    ProduceRequest ProduceResponse PushTelemetryRequest PushTelemetryResponse ReadShareGroupStateRequest
    ReadShareGroupStateResponse ReadShareGroupStateSummaryRequest ReadShareGroupStateSummaryResponse
    RemoveRaftVoterRequest RemoveRaftVoterResponse RenewDelegationTokenRequest RenewDelegationTokenResponse
    RequestHeader ResponseHeader SaslAuthenticateRequest SaslAuthenticateResponse SaslHandshakeRequest
    SaslHandshakeResponse ShareAcknowledgeRequest ShareAcknowledgeResponse ShareFetchRequest ShareFetchResponse
    ShareGroupDescribeRequest ShareGroupDescribeResponse ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse
    SnapshotFooterRecord SnapshotHeaderRecord SyncGroupRequest SyncGroupResponse TxnOffsetCommitRequest
    TxnOffsetCommitResponse UnregisterBrokerRequest UnregisterBrokerResponse UpdateFeaturesRequest
    UpdateFeaturesResponse UpdateRaftVoterRequest UpdateRaftVoterResponse VoteRequest VoteResponse
    WriteShareGroupStateRequest WriteShareGroupStateResponse WriteTxnMarkersRequest WriteTxnMarkersResponse
}

kacrab_protocol! {
    AddOffsetsToTxnRequest AddOffsetsToTxnRequestData AddOffsetsToTxnResponse AddOffsetsToTxnResponseData
    AddPartitionsToTxnRequest AddPartitionsToTxnRequestData
    AddPartitionsToTxnResponse AddPartitionsToTxnResponseData AddRaftVoterRequest AddRaftVoterRequestData
    AddRaftVoterResponse AddRaftVoterResponseData AllocateProducerIdsRequest AllocateProducerIdsRequestData
    AllocateProducerIdsResponse AllocateProducerIdsResponseData
    AlterClientQuotasRequest AlterClientQuotasRequestData AlterClientQuotasResponse AlterClientQuotasResponseData
    AlterConfigsRequest AlterConfigsRequestData AlterConfigsResponse AlterConfigsResponseData
    AlterPartitionReassignmentsRequest AlterPartitionReassignmentsRequestData
    AlterPartitionReassignmentsResponse AlterPartitionReassignmentsResponseData
    AlterPartitionRequest AlterPartitionRequestData AlterPartitionResponse AlterPartitionResponseData
    AlterReplicaLogDirsRequest AlterReplicaLogDirsRequestData
    AlterReplicaLogDirsResponse AlterReplicaLogDirsResponseData
    AlterShareGroupOffsetsRequest AlterShareGroupOffsetsRequestData
    AlterShareGroupOffsetsResponse AlterShareGroupOffsetsResponseData
    AlterUserScramCredentialsRequest AlterUserScramCredentialsRequestData
    AlterUserScramCredentialsResponse AlterUserScramCredentialsResponseData
    ApiVersionsRequest ApiVersionsRequestData ApiVersionsResponse ApiVersionsResponseData
    AssignReplicasToDirsRequest AssignReplicasToDirsRequestData
    AssignReplicasToDirsResponse AssignReplicasToDirsResponseData
    BeginQuorumEpochRequest BeginQuorumEpochRequestData BeginQuorumEpochResponse BeginQuorumEpochResponseData
    BrokerHeartbeatRequest BrokerHeartbeatRequestData BrokerHeartbeatResponse BrokerHeartbeatResponseData
    BrokerRegistrationRequest BrokerRegistrationRequestData
    BrokerRegistrationResponse BrokerRegistrationResponseData
    ConsumerGroupDescribeRequest ConsumerGroupDescribeRequestData
    ConsumerGroupDescribeResponse ConsumerGroupDescribeResponseData
    ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatRequestData
    ConsumerGroupHeartbeatResponse ConsumerGroupHeartbeatResponseData
    ConsumerProtocolAssignment ConsumerProtocolAssignmentData
    ConsumerProtocolSubscription ConsumerProtocolSubscriptionData
    ControlRecordTypeSchema ControlRecordTypeSchemaData
    ControllerRegistrationRequest ControllerRegistrationRequestData
    ControllerRegistrationResponse ControllerRegistrationResponseData CreateAclsRequest CreateAclsRequestData
    CreateAclsResponse CreateAclsResponseData CreateDelegationTokenRequest CreateDelegationTokenRequestData
    CreateDelegationTokenResponse CreateDelegationTokenResponseData
    CreatePartitionsRequest CreatePartitionsRequestData CreatePartitionsResponse CreatePartitionsResponseData
    CreateTopicsRequest CreateTopicsRequestData CreateTopicsResponse CreateTopicsResponseData
    DefaultPrincipalData DefaultPrincipalDataData DeleteAclsRequest DeleteAclsRequestData
    DeleteAclsResponse DeleteAclsResponseData DeleteGroupsRequest DeleteGroupsRequestData
    DeleteGroupsResponse DeleteGroupsResponseData DeleteRecordsRequest DeleteRecordsRequestData
    DeleteRecordsResponse DeleteRecordsResponseData
    DeleteShareGroupOffsetsRequest DeleteShareGroupOffsetsRequestData
    DeleteShareGroupOffsetsResponse DeleteShareGroupOffsetsResponseData
    DeleteShareGroupStateRequest DeleteShareGroupStateRequestData
    DeleteShareGroupStateResponse DeleteShareGroupStateResponseData DeleteTopicsRequest DeleteTopicsRequestData
    DeleteTopicsResponse DeleteTopicsResponseData DescribeAclsRequest DescribeAclsRequestData
    DescribeAclsResponse DescribeAclsResponseData DescribeClientQuotasRequest DescribeClientQuotasRequestData
    DescribeClientQuotasResponse DescribeClientQuotasResponseData
    DescribeClusterRequest DescribeClusterRequestData DescribeClusterResponse DescribeClusterResponseData
    DescribeConfigsRequest DescribeConfigsRequestData DescribeConfigsResponse DescribeConfigsResponseData
    DescribeDelegationTokenRequest DescribeDelegationTokenRequestData
    DescribeDelegationTokenResponse DescribeDelegationTokenResponseData
    DescribeGroupsRequest DescribeGroupsRequestData DescribeGroupsResponse DescribeGroupsResponseData
    DescribeLogDirsRequest DescribeLogDirsRequestData DescribeLogDirsResponse DescribeLogDirsResponseData
    DescribeProducersRequest DescribeProducersRequestData DescribeProducersResponse DescribeProducersResponseData
    DescribeQuorumRequest DescribeQuorumRequestData DescribeQuorumResponse DescribeQuorumResponseData
    DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsRequestData
    DescribeShareGroupOffsetsResponse DescribeShareGroupOffsetsResponseData
    DescribeTopicPartitionsRequest DescribeTopicPartitionsRequestData
    DescribeTopicPartitionsResponse DescribeTopicPartitionsResponseData
    DescribeTransactionsRequest DescribeTransactionsRequestData
    DescribeTransactionsResponse DescribeTransactionsResponseData
    DescribeUserScramCredentialsRequest DescribeUserScramCredentialsRequestData
    DescribeUserScramCredentialsResponse DescribeUserScramCredentialsResponseData
    ElectLeadersRequest ElectLeadersRequestData ElectLeadersResponse ElectLeadersResponseData
    EndQuorumEpochRequest EndQuorumEpochRequestData EndQuorumEpochResponse EndQuorumEpochResponseData
    EndTxnMarker EndTxnMarkerData EndTxnRequest EndTxnRequestData EndTxnResponse EndTxnResponseData
    EnvelopeRequest EnvelopeRequestData EnvelopeResponse EnvelopeResponseData
    ExpireDelegationTokenRequest ExpireDelegationTokenRequestData
    ExpireDelegationTokenResponse ExpireDelegationTokenResponseData FetchRequest FetchRequestData
    FetchResponse FetchResponseData FetchSnapshotRequest FetchSnapshotRequestData
    FetchSnapshotResponse FetchSnapshotResponseData FindCoordinatorRequest FindCoordinatorRequestData
    FindCoordinatorResponse FindCoordinatorResponseData
    GetTelemetrySubscriptionsRequest GetTelemetrySubscriptionsRequestData
    GetTelemetrySubscriptionsResponse GetTelemetrySubscriptionsResponseData HeartbeatRequest HeartbeatRequestData
    HeartbeatResponse HeartbeatResponseData IncrementalAlterConfigsRequest IncrementalAlterConfigsRequestData
    IncrementalAlterConfigsResponse IncrementalAlterConfigsResponseData
    InitProducerIdRequest InitProducerIdRequestData InitProducerIdResponse InitProducerIdResponseData
    InitializeShareGroupStateRequest InitializeShareGroupStateRequestData
    InitializeShareGroupStateResponse InitializeShareGroupStateResponseData JoinGroupRequest JoinGroupRequestData
    JoinGroupResponse JoinGroupResponseData KRaftVersionRecord KRaftVersionRecordData
    LeaderChangeMessage LeaderChangeMessageData LeaveGroupRequest LeaveGroupRequestData
    LeaveGroupResponse LeaveGroupResponseData ListConfigResourcesRequest ListConfigResourcesRequestData
    ListConfigResourcesResponse ListConfigResourcesResponseData ListGroupsRequest ListGroupsRequestData
    ListGroupsResponse ListGroupsResponseData ListOffsetsRequest ListOffsetsRequestData
    ListOffsetsResponse ListOffsetsResponseData
    ListPartitionReassignmentsRequest ListPartitionReassignmentsRequestData
    ListPartitionReassignmentsResponse ListPartitionReassignmentsResponseData
    ListTransactionsRequest ListTransactionsRequestData ListTransactionsResponse ListTransactionsResponseData
    MetadataRequest MetadataRequestData MetadataResponse MetadataResponseData
    OffsetCommitRequest OffsetCommitRequestData OffsetCommitResponse OffsetCommitResponseData
    OffsetDeleteRequest OffsetDeleteRequestData OffsetDeleteResponse OffsetDeleteResponseData
    OffsetFetchRequest OffsetFetchRequestData OffsetFetchResponse OffsetFetchResponseData
    OffsetForLeaderEpochRequest OffsetForLeaderEpochRequestData
    OffsetForLeaderEpochResponse OffsetForLeaderEpochResponseData ProduceRequest ProduceRequestData
    ProduceResponse ProduceResponseData PushTelemetryRequest PushTelemetryRequestData
    PushTelemetryResponse PushTelemetryResponseData ReadShareGroupStateRequest ReadShareGroupStateRequestData
    ReadShareGroupStateResponse ReadShareGroupStateResponseData
    ReadShareGroupStateSummaryRequest ReadShareGroupStateSummaryRequestData
    ReadShareGroupStateSummaryResponse ReadShareGroupStateSummaryResponseData
    RemoveRaftVoterRequest RemoveRaftVoterRequestData RemoveRaftVoterResponse RemoveRaftVoterResponseData
    RenewDelegationTokenRequest RenewDelegationTokenRequestData
    RenewDelegationTokenResponse RenewDelegationTokenResponseData RequestHeader RequestHeaderData
    ResponseHeader ResponseHeaderData SaslAuthenticateRequest SaslAuthenticateRequestData
    SaslAuthenticateResponse SaslAuthenticateResponseData SaslHandshakeRequest SaslHandshakeRequestData
    SaslHandshakeResponse SaslHandshakeResponseData ShareAcknowledgeRequest ShareAcknowledgeRequestData
    ShareAcknowledgeResponse ShareAcknowledgeResponseData ShareFetchRequest ShareFetchRequestData
    ShareFetchResponse ShareFetchResponseData ShareGroupDescribeRequest ShareGroupDescribeRequestData
    ShareGroupDescribeResponse ShareGroupDescribeResponseData
    ShareGroupHeartbeatRequest ShareGroupHeartbeatRequestData
    ShareGroupHeartbeatResponse ShareGroupHeartbeatResponseData SnapshotFooterRecord SnapshotFooterRecordData
    SnapshotHeaderRecord SnapshotHeaderRecordData StreamsGroupDescribeRequest StreamsGroupDescribeRequestData
    StreamsGroupDescribeResponse StreamsGroupDescribeResponseData
    StreamsGroupHeartbeatRequest StreamsGroupHeartbeatRequestData
    StreamsGroupHeartbeatResponse StreamsGroupHeartbeatResponseData SyncGroupRequest SyncGroupRequestData
    SyncGroupResponse SyncGroupResponseData TxnOffsetCommitRequest TxnOffsetCommitRequestData
    TxnOffsetCommitResponse TxnOffsetCommitResponseData UnregisterBrokerRequest UnregisterBrokerRequestData
    UnregisterBrokerResponse UnregisterBrokerResponseData UpdateFeaturesRequest UpdateFeaturesRequestData
    UpdateFeaturesResponse UpdateFeaturesResponseData UpdateRaftVoterRequest UpdateRaftVoterRequestData
    UpdateRaftVoterResponse UpdateRaftVoterResponseData VoteRequest VoteRequestData VoteResponse VoteResponseData
    VotersRecord VotersRecordData WriteShareGroupStateRequest WriteShareGroupStateRequestData
    WriteShareGroupStateResponse WriteShareGroupStateResponseData
    WriteTxnMarkersRequest WriteTxnMarkersRequestData WriteTxnMarkersResponse WriteTxnMarkersResponseData
}
