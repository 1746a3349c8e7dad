//! CreateAcls, DeleteAcls and DescribeAcls. There is no authorizer yet, and the answers are those of Kafka without one.

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use thalweg_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};
use thalweg_wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeAclsResponse};

use crate::dispatch::{Call, Reply};

const NO_AUTHORIZER: ByteString = ByteString::from_static("No Authorizer is configured.");
/// The number that stands for what a client does not know itself.
const UNKNOWN: i8 = 0;
/// The greatest numbers that mean something: any type of resource, since Kafka does not check it, prefixed, two-phase
/// commit, allow.
const RESOURCE_TYPE_MAX: i8 = i8::MAX;
const PATTERN_TYPE_MAX: i8 = 4;
const OPERATION_MAX: i8 = 15;
const PERMISSION_TYPE_MAX: i8 = 3;

/// Kafka closes the connection when a request names what it does not know.
fn all_known(numbers: [(i8, i8); 4]) -> Result<(), Reply> {
    let known = |(number, max): &(i8, i8)| (UNKNOWN + 1..=*max).contains(number);
    match numbers.iter().all(known) {
        true => Ok(()),
        false => Err(Reply::Close("a request about ACLs names unknown kinds of things".to_owned())),
    }
}

pub(crate) fn describe(call: Call, request: DescribeAclsRequest) -> Reply {
    let numbers = [
        (request.resource_type_filter, RESOURCE_TYPE_MAX),
        (request.pattern_type_filter, PATTERN_TYPE_MAX),
        (request.operation, OPERATION_MAX),
        (request.permission_type, PERMISSION_TYPE_MAX),
    ];
    let response = DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(ByteString::from_static("No Authorizer is configured on the broker")),
        ..DescribeAclsResponse::default()
    };
    all_known(numbers).map_or_else(|close| close, |()| Reply::Now(call.answer(&response)))
}

pub(crate) fn create(call: Call, request: CreateAclsRequest) -> Reply {
    let mut results = Vec::new();
    for acl in &request.creations {
        let numbers = [
            (acl.resource_type, RESOURCE_TYPE_MAX),
            (acl.resource_pattern_type, PATTERN_TYPE_MAX),
            (acl.operation, OPERATION_MAX),
            (acl.permission_type, PERMISSION_TYPE_MAX),
        ];
        if let Err(close) = all_known(numbers) {
            return close;
        }
        let error_message = Some(NO_AUTHORIZER);
        results.push(AclCreationResult { error_code: ErrorCode::SecurityDisabled.code(), error_message });
    }
    Reply::Now(call.answer(&CreateAclsResponse { results, ..CreateAclsResponse::default() }))
}

pub(crate) fn delete(call: Call, request: DeleteAclsRequest) -> Reply {
    let mut filter_results = Vec::new();
    for filter in &request.filters {
        let numbers = [
            (filter.resource_type_filter, RESOURCE_TYPE_MAX),
            (filter.pattern_type_filter, PATTERN_TYPE_MAX),
            (filter.operation, OPERATION_MAX),
            (filter.permission_type, PERMISSION_TYPE_MAX),
        ];
        if let Err(close) = all_known(numbers) {
            return close;
        }
        filter_results.push(DeleteAclsFilterResult {
            error_code: ErrorCode::SecurityDisabled.code(),
            error_message: Some(NO_AUTHORIZER),
            ..DeleteAclsFilterResult::default()
        });
    }
    Reply::Now(call.answer(&DeleteAclsResponse { filter_results, ..DeleteAclsResponse::default() }))
}
