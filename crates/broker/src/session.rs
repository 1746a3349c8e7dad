//! One connection as the broker sees it: who its client is, and by what right it goes on.
//!
//! On a listener with SASL a client first logs in (KIP-43, KIP-152): it may ask for ApiVersions, names a mechanism with
//! SaslHandshake, and exchanges that mechanism's messages, in SaslAuthenticate or, after a handshake of version 0, as frames
//! without a header. A client whose session ends logs in again on the same connection (KIP-368).

use std::sync::Arc;

use bytes::Bytes;
use thalweg_access::sasl::{Authenticated, Occasion, SaslFailure, SaslServer};
use thalweg_base::Timestamp;
use thalweg_network::{Frame, ListenerName, Origin, Reply, Service, Session};
use thalweg_sys::time::{Duration, Instant, now, sleep};
use thalweg_wire::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use thalweg_wire::{ApiKey, ErrorCode};

use crate::broker::Broker;
use crate::call::{Call, Identity};
use crate::dispatch::{self, Opened};
use crate::security::{ListenerSecurity, LoginKind, SaslSettings};

/// A client logs in again no sooner than this after it has begun to log in again, as in Kafka.
const REAUTH_MIN: Duration = Duration::from_secs(1);

/// One client's connection.
struct ClientSession {
    broker: Arc<Broker>,
    listener: ListenerName,
    origin: Arc<Origin>,
    security: Arc<ListenerSecurity>,
    identity: Arc<Identity>,
    login: Login,
    /// When the client has last begun to log in again.
    renewal_begun: Option<Instant>,
}

/// How far a client has come.
enum Login {
    /// The listener has no SASL.
    NotNeeded,
    /// The client has not named a mechanism yet.
    Awaited,
    /// The messages of a mechanism are exchanged.
    UnderWay(Box<Exchange>),
    /// The client has logged in.
    Done(Done),
}

struct Exchange {
    server: SaslServer,
    framing: Framing,
    /// The login that is renewed.
    renews: Option<Done>,
}

impl Exchange {
    fn kind(&self) -> LoginKind {
        if self.renews.is_some() { LoginKind::Renewal } else { LoginKind::First }
    }
}

/// How the messages of a mechanism travel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// As frames of their own, after a SaslHandshake of version 0.
    Bare,
    /// In SaslAuthenticate.
    Requests,
}

#[derive(Clone)]
struct Done {
    mechanism: &'static str,
    /// `None` where nobody has to log in again: then nobody may.
    ends: Option<Instant>,
}

impl Service for Broker {
    fn connect(self: Arc<Self>, listener: &ListenerName, origin: &Arc<Origin>) -> Result<Box<dyn Session>, String> {
        let security = self.securities.get(&listener.name).ok_or("the listener is unknown")?;
        let security = Arc::clone(security);
        let principal = match security.principal(origin) {
            Ok(principal) => principal,
            Err(why) => {
                security.logins.failed(LoginKind::First);
                return Err(why);
            }
        };
        if security.logs_in_by_tls() {
            security.logins.succeeded(LoginKind::First);
        }
        Ok(Box::new(ClientSession {
            identity: Identity::new(principal, origin.address.ip(), false),
            login: if security.sasl.is_some() { Login::Awaited } else { Login::NotNeeded },
            renewal_begun: None,
            broker: self,
            listener: listener.clone(),
            origin: Arc::clone(origin),
            security,
        }))
    }
}

impl Drop for ClientSession {
    fn drop(&mut self) {
        self.broker.telemetry.disconnected(self.origin.id);
        self.broker.share.disconnected(|| self.broker.image(), self.origin.id);
        if let Some(broker) = self.broker.reports.ended(self.origin.id) {
            self.broker.metadata.broker_lost(broker);
        }
    }
}

impl Session for ClientSession {
    fn handle(&mut self, frame: Bytes) -> Reply {
        let security = Arc::clone(&self.security);
        let Some(sasl) = &security.sasl else { return self.dispatch(frame) };
        match &self.login {
            Login::NotNeeded => self.dispatch(frame),
            Login::Awaited => self.counting_failure(LoginKind::First, |this| this.begin(frame, sasl, None)),
            Login::UnderWay(exchange) => {
                let (kind, framing) = (exchange.kind(), exchange.framing);
                self.counting_failure(kind, |this| match framing {
                    Framing::Bare => this.bare(&frame, sasl),
                    Framing::Requests => this.go_on(frame, sasl),
                })
            }
            Login::Done(done) => {
                let is_handshake = frame.starts_with(&ApiKey::SaslHandshake.code().to_be_bytes());
                let is_early = self.renewal_begun.is_some_and(|begun| begun.elapsed() < REAUTH_MIN);
                if is_handshake && done.ends.is_some() && !is_early {
                    let renews = Some(done.clone());
                    self.renewal_begun = Some(now());
                    return self.counting_failure(LoginKind::Renewal, |this| this.begin(frame, sasl, renews));
                }
                if done.ends.is_some_and(|ends| now() >= ends) {
                    security.logins.expired();
                    return Reply::Close("its session has expired and it has not authenticated again".to_owned());
                }
                self.dispatch(frame)
            }
        }
    }

    fn request_bytes_max(&self) -> Option<usize> {
        match self.login {
            Login::NotNeeded | Login::Done(_) => None,
            Login::Awaited | Login::UnderWay(_) => self.security.sasl.as_ref().map(|sasl| sasl.receive_bytes_max),
        }
    }
}

impl ClientSession {
    fn dispatch(&self, frame: Bytes) -> Reply {
        match self.open(frame) {
            Ok(opened) => dispatch::handle(opened),
            Err(reply) => reply,
        }
    }

    fn open(&self, frame: Bytes) -> Result<Opened, Reply> {
        dispatch::open(&self.broker, &self.listener, &self.origin, &self.identity, frame)
    }

    /// One step of a login. A step that ends the connection is a login that failed.
    fn counting_failure(&mut self, kind: LoginKind, step: impl FnOnce(&mut Self) -> Reply) -> Reply {
        let reply = step(self);
        if matches!(reply, Reply::Close(_) | Reply::Last(..)) {
            self.security.logins.failed(kind);
        }
        reply
    }

    /// A client names its mechanism, or asks what it may.
    fn begin(&mut self, frame: Bytes, sasl: &SaslSettings, renews: Option<Done>) -> Reply {
        let mut opened = match self.open(frame) {
            Ok(opened) => opened,
            Err(reply) => return reply,
        };
        match opened.call.api {
            ApiKey::ApiVersions => dispatch::handle(opened),
            ApiKey::SaslHandshake => match SaslHandshakeRequest::decode(&mut opened.body, opened.call.version) {
                Ok(request) => self.handshake(&opened.call, &request, sasl, renews),
                Err(e) => Reply::Close(format!("a SaslHandshake is malformed: {e}")),
            },
            other => Reply::Close(format!("an unexpected request of type {} during the SASL handshake", other.name())),
        }
    }

    fn handshake(
        &mut self,
        call: &Call,
        request: &SaslHandshakeRequest,
        sasl: &SaslSettings,
        renews: Option<Done>,
    ) -> Reply {
        let mechanisms = sasl.mechanisms().map(Into::into).collect();
        let Some(verifier) = sasl.verifier(&request.mechanism) else {
            let error_code = ErrorCode::UnsupportedSaslMechanism.code();
            let frame = call.answer(&SaslHandshakeResponse { error_code, mechanisms });
            return last(frame, Duration::ZERO, format!("unsupported SASL mechanism {}", request.mechanism));
        };
        if let Some(done) = &renews
            && done.mechanism != &*request.mechanism
        {
            let error_code = ErrorCode::UnsupportedSaslMechanism.code();
            let frame = call.answer(&SaslHandshakeResponse { error_code, mechanisms });
            let why = format!(
                "SASL mechanism '{}' requested by client is not supported for re-authentication of mechanism '{}'",
                request.mechanism, done.mechanism
            );
            return last(frame, Duration::ZERO, why);
        }
        let nonce =
            thalweg_base::base64::encode(&[thalweg_sys::random::bytes16(), thalweg_sys::random::bytes16()].concat());
        let framing = if call.version == 0 { Framing::Bare } else { Framing::Requests };
        self.login = Login::UnderWay(Box::new(Exchange { server: verifier.begin(nonce), framing, renews }));
        Reply::Now(call.answer(&SaslHandshakeResponse { mechanisms, ..SaslHandshakeResponse::default() }))
    }

    /// A message of the mechanism, in SaslAuthenticate.
    fn go_on(&mut self, frame: Bytes, sasl: &SaslSettings) -> Reply {
        let mut opened = match self.open(frame) {
            Ok(opened) => opened,
            Err(reply) => return reply,
        };
        let Opened { call, body, .. } = &mut opened;
        if call.api != ApiKey::SaslAuthenticate {
            let why = format!("an unexpected request of type {} during SASL authentication", call.api.name());
            return Reply::Close(why);
        }
        let request = match SaslAuthenticateRequest::decode(body, call.version) {
            Ok(request) => request,
            Err(e) => return Reply::Close(format!("a SaslAuthenticate is malformed: {e}")),
        };
        match self.respond(&request.auth_bytes, sasl) {
            Ok((challenge, lifetime_ms)) => Reply::Now(call.answer(&SaslAuthenticateResponse {
                auth_bytes: challenge.into(),
                session_lifetime_ms: lifetime_ms,
                ..SaslAuthenticateResponse::default()
            })),
            Err(Refused { told, why }) => {
                let frame = call.answer(&SaslAuthenticateResponse {
                    error_code: ErrorCode::SaslAuthenticationFailed.code(),
                    error_message: Some(told.into()),
                    ..SaslAuthenticateResponse::default()
                });
                last(frame, sasl.failed_delay, why)
            }
        }
    }

    /// A message of the mechanism, bare.
    fn bare(&mut self, message: &[u8], sasl: &SaslSettings) -> Reply {
        match self.respond(message, sasl) {
            Ok((challenge, _)) => {
                let len = i32::try_from(challenge.len()).unwrap_or(i32::MAX);
                Reply::Now(Frame::from(vec![Bytes::from([&len.to_be_bytes()[..], &challenge].concat())]))
            }
            Err(Refused { why, .. }) => last(Frame::default(), sasl.failed_delay, why),
        }
    }

    /// Takes a message of the mechanism. Gives what to send back, and for how many milliseconds the session lasts.
    fn respond(&mut self, message: &[u8], sasl: &SaslSettings) -> Result<(Vec<u8>, i64), Refused> {
        let Login::UnderWay(exchange) = &mut self.login else {
            return Err(Refused::because("no exchange is under way".to_owned()));
        };
        let mechanism = exchange.server.mechanism();
        let wall_clock = self.broker.wall_clock();
        let kind = exchange.kind();
        let occasion = match kind {
            LoginKind::First => Occasion::Authentication,
            LoginKind::Renewal => Occasion::ReAuthentication,
        };
        let refuse = |failure: &SaslFailure| Refused {
            told: failure.client_message(mechanism, occasion),
            why: format!("failed {occasion} with {}: {failure}", mechanism.name()),
        };
        let step = exchange.server.respond(message, &self.broker.image(), wall_clock).map_err(|e| refuse(&e))?;
        let Some(authenticated) = step.authenticated else {
            sasl.refused(mechanism, message);
            return Ok((step.challenge, 0));
        };
        if kind == LoginKind::Renewal && authenticated.principal != self.identity.principal {
            let why = format!(
                "Cannot change principals during re-authentication from {} to {}",
                self.identity.principal, authenticated.principal
            );
            return Err(refuse(&SaslFailure::Told(why)));
        }
        let lifetime_ms =
            self.logged_in(mechanism.name(), authenticated, wall_clock, sasl.reauth_max_ms(mechanism.name()));
        self.security.logins.succeeded(kind);
        Ok((step.challenge, lifetime_ms))
    }

    fn logged_in(
        &mut self,
        mechanism: &'static str,
        authenticated: Authenticated,
        wall_clock: Timestamp,
        reauth_max_ms: i64,
    ) -> i64 {
        let lifetime_ms = authenticated.session_lifetime_ms(wall_clock, reauth_max_ms);
        let ends = lifetime_ms.map(|ms| now() + Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        self.login = Login::Done(Done { mechanism, ends });
        let Authenticated { principal, by_token, .. } = authenticated;
        self.identity = Identity::new(principal, self.origin.address.ip(), by_token);
        lifetime_ms.unwrap_or(0)
    }
}

/// A client that is not let in.
struct Refused {
    /// What the client is told.
    told: String,
    /// What the log says.
    why: String,
}

impl Refused {
    fn because(why: String) -> Self {
        Self { told: why.clone(), why }
    }
}

/// The last answer of a connection, after a delay that makes guessing slow.
fn last(frame: Frame, delay: Duration, why: String) -> Reply {
    let answer = async move {
        if !delay.is_zero() {
            sleep(delay).await;
        }
        frame
    };
    Reply::Last(Box::pin(answer), why)
}
