//! `kafka-delegation-tokens.sh`: creates, renews, expires and describes delegation tokens.

use bytes::Bytes;
use thalweg_base::Timestamp;
use thalweg_base::base64::{self, Alphabet};
use thalweg_wire::messages::create_delegation_token_request::CreatableRenewers;
use thalweg_wire::messages::describe_delegation_token_request::DescribeDelegationTokenOwner;
use thalweg_wire::messages::describe_delegation_token_response::DescribedDelegationToken;
use thalweg_wire::messages::{
    CreateDelegationTokenRequest, DescribeDelegationTokenRequest, ExpireDelegationTokenRequest,
    RenewDelegationTokenRequest,
};

use crate::admin::{self, Admin, check};

use crate::date::Date;
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, optional, optional_number, value};
use crate::options::{BOOTSTRAP_SERVER, OUTPUT};
use crate::out::Out;
use crate::principal::Principal;
use crate::table;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "delegation-tokens",
    script: "kafka-delegation-tokens",
    classes: &["org.apache.kafka.tools.DelegationTokenCommand", "kafka.admin.DelegationTokenCommand"],
    about: "Create, renew, expire and describe delegation tokens.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to create, renew, expire, or describe delegation tokens.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-delegation-tokens --bootstrap-server localhost:9092 --command-config client.properties --create --max-life-time-period -1",
        "kafka-delegation-tokens --bootstrap-server localhost:9092 --command-config client.properties --describe",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    value("command-config", "String", "A properties file for the client: tokens are for clients that log in."),
    flag("create", "Create a token for the user that has logged in, or for --owner-principal."),
    flag("renew", "Let a token live longer."),
    flag("expire", "Let a token end sooner."),
    OUTPUT,
    flag("describe", "Describe the tokens of the user that has logged in, or of --owner-principal."),
    optional("owner-principal", "String", "An owner, such as User:ann. May be repeated with --describe."),
    optional(
        "renewer-principal",
        "String",
        "With --create: who may renew the token besides its owner. May be repeated.",
    ),
    optional_number(
        "max-life-time-period",
        "Long",
        "With --create: how many milliseconds it can live; -1: as the brokers say.",
    ),
    optional_number("renew-time-period", "Long", "With --renew: for how many milliseconds; -1: as the brokers say."),
    optional_number("expiry-time-period", "Long", "With --expire: in how many milliseconds; -1: at once."),
    optional("hmac", "String", "With --renew and --expire: the HMAC of the token, in base64."),
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    check_options(line)?;
    let mut properties = admin::command_config(line)?;
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if line.has("create") {
            create(line, &admin, out).await?;
        } else if line.has("renew") {
            renew(line, &admin, out).await?;
        } else if line.has("expire") {
            expire(line, &admin, out).await?;
        } else {
            describe(line, &admin, out).await?;
        }
        Ok(())
    })
}

fn check_options(line: &Line) -> Result<(), Failure> {
    if line.count(&["create", "renew", "expire", "describe"]) != 1 {
        let text = "Command must include exactly one action: --create, --renew, --expire or --describe";
        return Err(Failure::Usage(text.into()));
    }
    line.require(&["bootstrap-server", "command-config"])?;
    let needs: [(&str, &[&str]); 3] = [
        ("create", &["max-life-time-period"]),
        ("renew", &["hmac", "renew-time-period"]),
        ("expire", &["hmac", "expiry-time-period"]),
    ];
    for (action, needed) in needs {
        if line.has(action) {
            line.require(needed)?;
        }
    }
    line.forbid("create", &["hmac", "renew-time-period", "expiry-time-period"])?;
    line.forbid("renew", &["renewer-principal", "max-life-time-period", "expiry-time-period", "owner-principal"])?;
    line.forbid("expire", &["renew", "max-life-time-period", "renew-time-period", "owner-principal"])?;
    line.forbid("describe", &["renew-time-period", "max-life-time-period", "hmac", "expiry-time-period"])
}

/// Principals as Java prints a list of them.
fn shown(principals: &[Principal]) -> String {
    format!("[{}]", java::joined(principals, ", "))
}

/// One token, as it is printed.
struct Row {
    id: String,
    hmac: Bytes,
    owner: Principal,
    requester: Principal,
    renewers: Vec<Principal>,
    issued: i64,
    expires: i64,
    ends: i64,
}

fn principal(kind: &str, name: &str) -> Principal {
    Principal { kind: kind.to_owned(), name: name.to_owned() }
}

/// `2026-11-30T10:20`.
fn minute(at: i64) -> String {
    let date = Date::of(Timestamp(at));
    let [hours, minutes, ..] = date.clock();
    format!("{:04}-{:02}-{:02}T{hours:02}:{minutes:02}", date.year, date.month, date.day)
}

/// The titles of the table of tokens.
const TITLES: [&str; 8] = ["TOKENID", "HMAC", "OWNER", "REQUESTER", "RENEWERS", "ISSUEDATE", "EXPIRYDATE", "MAXDATE"];

fn print(rows: &[Row], out: &mut Out) {
    let mut line = |cells: [&str; 8]| {
        if out.is_json() {
            return table::print_object(&TITLES, &cells, out);
        }
        let [id, hmac, owner, requester, renewers, issued, expires, ends] = cells;
        out.line(format_args!(
            "\n{id:<15} {hmac:<30} {owner:<15} {requester:<15} {renewers:<25} {issued:<15} {expires:<15} {ends:<15}"
        ));
    };
    line(TITLES);
    for row in rows {
        line([
            &row.id,
            &base64::encode(&row.hmac),
            &row.owner.to_string(),
            &row.requester.to_string(),
            &shown(&row.renewers),
            &minute(row.issued),
            &minute(row.expires),
            &minute(row.ends),
        ]);
    }
}

async fn create(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let renewers = Principal::parse_all(line.values("renewer-principal"))?;
    let lifetime = line.number::<i64>("max-life-time-period")?.unwrap_or(-1);
    let asked = shown(&renewers);
    out.line(format_args!("Calling create token operation with renewers :{asked} , max-life-time-period :{lifetime}"));
    let owner = Principal::parse_all(line.values("owner-principal"))?.into_iter().next();
    let renewer = |renewer: &Principal| CreatableRenewers {
        principal_type: renewer.kind.as_str().into(),
        principal_name: renewer.name.as_str().into(),
    };
    let request = CreateDelegationTokenRequest {
        owner_principal_type: owner.as_ref().map(|owner| owner.kind.as_str().into()),
        owner_principal_name: owner.as_ref().map(|owner| owner.name.as_str().into()),
        renewers: renewers.iter().map(renewer).collect(),
        max_lifetime_ms: lifetime,
    };
    let token = admin.any("createDelegationToken", &request).await.map_err(Thrown::execution)?;
    check(token.error_code, None).map_err(Thrown::execution)?;
    out.line(format_args!("Created delegation token with tokenId : {}", token.token_id));
    let row = Row {
        id: token.token_id.to_string(),
        hmac: token.hmac.clone(),
        owner: principal(&token.principal_type, &token.principal_name),
        requester: principal(&token.token_requester_principal_type, &token.token_requester_principal_name),
        renewers,
        issued: token.issue_timestamp_ms,
        expires: token.expiry_timestamp_ms,
        ends: token.max_timestamp_ms,
    };
    print(&[row], out);
    Ok(())
}

/// The HMAC as it stands on the line, and its bytes.
fn hmac(line: &Line) -> Result<(String, Bytes), Thrown> {
    let text = line.value("hmac")?.unwrap_or_default().to_owned();
    let bytes = base64::decode(Alphabet::Standard, &text)
        .ok_or_else(|| Thrown::illegal_argument("Illegal base64 character"))?;
    Ok((text, bytes.into()))
}

async fn renew(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let (text, hmac) = hmac(line)?;
    let renew_period_ms = line.number::<i64>("renew-time-period")?.unwrap_or(-1);
    out.line(format_args!("Calling renew token operation with hmac :{text} , renew-time-period :{renew_period_ms}"));
    let request = RenewDelegationTokenRequest { hmac, renew_period_ms };
    let response = admin.any("renewDelegationToken", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, None).map_err(Thrown::execution)?;
    out.text(format_args!("Completed renew operation. New expiry date : {}", minute(response.expiry_timestamp_ms)));
    Ok(())
}

async fn expire(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let (text, hmac) = hmac(line)?;
    let expiry_time_period_ms = line.number::<i64>("expiry-time-period")?.unwrap_or(-1);
    out.line(format_args!(
        "Calling expire token operation with hmac :{text} , expire-time-period :{expiry_time_period_ms}"
    ));
    let request = ExpireDelegationTokenRequest { hmac, expiry_time_period_ms };
    let response = admin.any("expireDelegationToken", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, None).map_err(Thrown::execution)?;
    out.text(format_args!("Completed expire operation. New expiry date : {}", minute(response.expiry_timestamp_ms)));
    Ok(())
}

async fn describe(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let owners = Principal::parse_all(line.values("owner-principal"))?;
    if owners.is_empty() {
        out.line("Calling describe token operation for current user.");
    } else {
        out.line(format_args!("Calling describe token operation for owners: {}", shown(&owners)));
    }
    let owner = |owner: &Principal| DescribeDelegationTokenOwner {
        principal_type: owner.kind.as_str().into(),
        principal_name: owner.name.as_str().into(),
    };
    // An empty list of owners would ask for the tokens of nobody.
    let asked = (!owners.is_empty()).then(|| owners.iter().map(owner).collect());
    let request = DescribeDelegationTokenRequest { owners: asked };
    let response = admin.any("describeDelegationToken", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, None).map_err(Thrown::execution)?;
    out.text(format_args!("Total number of tokens : {}", response.tokens.len()));
    let row = |token: &DescribedDelegationToken| Row {
        id: token.token_id.to_string(),
        hmac: token.hmac.clone(),
        owner: principal(&token.principal_type, &token.principal_name),
        requester: principal(&token.token_requester_principal_type, &token.token_requester_principal_name),
        renewers: token.renewers.iter().map(|one| principal(&one.principal_type, &one.principal_name)).collect(),
        issued: token.issue_timestamp,
        expires: token.expiry_timestamp,
        ends: token.max_timestamp,
    };
    print(&response.tokens.iter().map(row).collect::<Vec<_>>(), out);
    Ok(())
}
