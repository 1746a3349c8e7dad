//! CreateAcls, DeleteAcls and DescribeAcls. Without an authorizer the answers are those of Kafka without one.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_access::acl::PatternType;
use thalweg_controller::{AclFilter, Refusal};
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use thalweg_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};
use thalweg_wire::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use thalweg_wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeAclsResponse};

use super::controller::ask;
use crate::call::Call;

/// The number that stands for what a client does not know itself. Kafka closes the connection when a request names it;
/// other numbers without a meaning it takes for ones of clients to come.
const UNKNOWN: i8 = 0;
/// The number that stands for everything, in filters only.
const ANY: i8 = 1;

/// Whether a request names nothing unknown.
fn all_known(numbers: [i8; 4]) -> Result<(), Reply> {
    match numbers.contains(&UNKNOWN) {
        false => Ok(()),
        true => Err(Reply::Close("a request about ACLs names unknown kinds of things".to_owned())),
    }
}

fn security_disabled(text: &str) -> Refusal {
    Refusal::because(ErrorCode::SecurityDisabled, text)
}

pub(crate) fn describe(call: Call, request: DescribeAclsRequest) -> Reply {
    let numbers =
        [request.resource_type_filter, request.pattern_type_filter, request.operation, request.permission_type];
    if let Err(close) = all_known(numbers) {
        return close;
    }
    if call.broker.authorizer.is_none() {
        let refusal = security_disabled("No Authorizer is configured on the broker");
        let response = DescribeAclsResponse {
            error_code: refusal.code.code(),
            error_message: refusal.text(),
            ..DescribeAclsResponse::default()
        };
        return Reply::Now(call.answer(&response));
    }
    let filter = AclFilter::from(&request);
    let image = call.broker.image();
    let mut by_pattern: BTreeMap<(i8, &str, i8), Vec<AclDescription>> = BTreeMap::new();
    for (_, acl) in image.acls().iter().filter(|(_, acl)| filter.matches(acl)) {
        let pattern = (acl.resource_type, &*acl.resource_name, acl.pattern_type);
        by_pattern.entry(pattern).or_default().push(AclDescription {
            principal: (&*acl.principal).into(),
            host: (&*acl.host).into(),
            operation: acl.operation,
            permission_type: acl.permission_type,
        });
    }
    let resources = by_pattern.into_iter().map(|((resource_type, name, pattern_type), acls)| DescribeAclsResource {
        resource_type,
        resource_name: name.into(),
        pattern_type,
        acls,
    });
    let response = DescribeAclsResponse { resources: resources.collect(), ..DescribeAclsResponse::default() };
    Reply::Now(call.answer(&response))
}

pub(crate) fn create(call: Call, request: CreateAclsRequest) -> Reply {
    for acl in &request.creations {
        let numbers = [acl.resource_type, acl.resource_pattern_type, acl.operation, acl.permission_type];
        if let Err(close) = all_known(numbers) {
            return close;
        }
    }
    let count = request.creations.len();
    let names_filters = request.creations.iter().any(|acl| {
        let numbers = [acl.resource_type, acl.resource_pattern_type, acl.operation, acl.permission_type];
        numbers.contains(&ANY) || acl.resource_pattern_type == PatternType::Match.number()
    });
    let refused = move |refusal: Refusal| {
        let result = || AclCreationResult { error_code: refusal.code.code(), error_message: refusal.text() };
        CreateAclsResponse { results: (0..count).map(|_| result()).collect(), ..CreateAclsResponse::default() }
    };
    if call.broker.authorizer.is_none() {
        return Reply::Now(call.answer(&refused(security_disabled("No Authorizer is configured."))));
    }
    if names_filters {
        // Kafka fails on it, with all that was asked for besides.
        return Reply::Now(call.answer(&refused(Refusal::bare(ErrorCode::UnknownServerError))));
    }
    Reply::Exclusive(Box::pin(async move {
        let response = ask(&call, request).await.unwrap_or_else(refused);
        call.answer(&response)
    }))
}

pub(crate) fn delete(call: Call, request: DeleteAclsRequest) -> Reply {
    for filter in &request.filters {
        let numbers =
            [filter.resource_type_filter, filter.pattern_type_filter, filter.operation, filter.permission_type];
        if let Err(close) = all_known(numbers) {
            return close;
        }
    }
    let count = request.filters.len();
    let refused = move |refusal: Refusal| {
        let (error_code, error_message): (i16, Option<ByteString>) = (refusal.code.code(), refusal.text());
        let result = || DeleteAclsFilterResult {
            error_code,
            error_message: error_message.clone(),
            ..DeleteAclsFilterResult::default()
        };
        DeleteAclsResponse { filter_results: (0..count).map(|_| result()).collect(), ..DeleteAclsResponse::default() }
    };
    if call.broker.authorizer.is_none() {
        return Reply::Now(call.answer(&refused(security_disabled("No Authorizer is configured."))));
    }
    Reply::Exclusive(Box::pin(async move {
        let response = ask(&call, request).await.unwrap_or_else(refused);
        call.answer(&response)
    }))
}
