//! CreateAcls, DeleteAcls and DescribeAcls. There is no authorizer yet, and the answers are those of Kafka without one.

use bytestring::ByteString;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use thalweg_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};
use thalweg_wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeAclsResponse};

use crate::call::Call;

const NO_AUTHORIZER: ByteString = ByteString::from_static("No Authorizer is configured.");
/// The number that stands for what a client does not know itself. Kafka closes the connection when a request names it;
/// other numbers without a meaning it takes for ones of clients to come.
const UNKNOWN: i8 = 0;

/// Whether a request names nothing unknown.
fn all_known(numbers: [i8; 4]) -> Result<(), Reply> {
    match numbers.contains(&UNKNOWN) {
        false => Ok(()),
        true => Err(Reply::Close("a request about ACLs names unknown kinds of things".to_owned())),
    }
}

pub(crate) fn describe(call: Call, request: DescribeAclsRequest) -> Reply {
    let numbers =
        [request.resource_type_filter, request.pattern_type_filter, request.operation, request.permission_type];
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
        let numbers = [acl.resource_type, acl.resource_pattern_type, acl.operation, acl.permission_type];
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
        let numbers =
            [filter.resource_type_filter, filter.pattern_type_filter, filter.operation, filter.permission_type];
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
