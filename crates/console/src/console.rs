//! The console as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use parking_lot::Mutex;
use thalweg_client::{ConfigError, Properties};
use thalweg_http::{Handler, Request};
use thalweg_sys::time::{Duration, Instant, now, sleep};
use tower_service::Service as _;

use crate::history::{self, History};
use crate::http::{self, Guard};
use crate::kafka::{Kafka, Turns};
use crate::login::{Credentials, LogIn, Role, Visitor};
use crate::pages::Frame;
use crate::registry::Registry;
use crate::settings::{Settings, SettingsError, Writes};
use crate::trouble::Trouble;

/// A password that is wrong is answered after so long, so that guessing takes its time.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_millis(500);
/// So many visitors have rooms with connections to the cluster of their own; whoever came longest ago goes first.
const ROOMS_MAX: usize = 64;
/// A password is checked with the cluster again after so long, so that one that was taken away does not count for days.
const CHECKED_TIME: Duration = Duration::from_secs(600);
/// What is answered whoever asks: whether the console runs.
const OPEN_PATHS: [&str; 2] = ["/health_check", "/actuator/health"];

/// The console of one cluster. Clones share everything.
#[derive(Clone, Debug)]
pub struct Console {
    /// For visitors who may do what the switches allow.
    room: Room,
    doors: Arc<Doors>,
}

/// What a visitor is answered from: what it may see and change.
#[derive(Clone, Debug)]
struct Room {
    router: Router,
    shared: Arc<Shared>,
}

/// How visitors come to their rooms.
#[derive(Debug)]
enum Doors {
    /// All to the same one.
    Open,
    /// By a password of the console's own; readers to this room.
    Users(crate::Users, Room),
    /// By a password of the cluster, each to a room of its own.
    Cluster(Mutex<BTreeMap<Vec<u8>, Lodging>>),
}

/// A room of a visitor whose password the cluster has taken.
#[derive(Debug)]
struct Lodging {
    room: Room,
    checked_at: Instant,
    used_at: Instant,
}

/// What every question needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kafka: Arc<Kafka>,
    /// Where the schemas of records are, if that was named.
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) guard: Guard,
    pub(crate) settings: Settings,
    /// What the node beside it did lately; `None` of a cluster elsewhere.
    pub(crate) history: Option<Arc<Mutex<History>>>,
    /// What stands before every path.
    pub(crate) base: String,
}

impl Room {
    fn new(
        settings: Settings,
        kafka: Arc<Kafka>,
        registry: Option<Arc<Registry>>,
        history: Option<Arc<Mutex<History>>>,
    ) -> Result<Self, SettingsError> {
        let guard = Guard::new(settings.listens_on, &settings.hosts);
        let shared = Arc::new(Shared { kafka, registry, guard, base: settings.base()?, settings, history });
        Ok(Self { router: http::router(&shared), shared })
    }

    /// A room like this, of a visitor who logs in to the cluster with a password of its own.
    fn of_visitor(&self, credentials: &Credentials) -> Result<Self, SettingsError> {
        let mut settings = self.shared.settings.clone();
        let mechanism = mechanism(&settings.client)?.to_owned();
        settings.client.set("sasl.jaas.config", &credentials.jaas(&mechanism));
        let kafka = Arc::new(self.shared.kafka.of_visitor(&settings.client)?);
        Self::new(settings, kafka, self.shared.registry.clone(), self.shared.history.clone())
    }
}

/// The mechanism by which visitors log in to the cluster.
fn mechanism(properties: &Properties) -> Result<&str, ConfigError> {
    let protocol = properties.text("security.protocol").unwrap_or_default();
    let mechanism = properties.text("sasl.mechanism").unwrap_or_default();
    if protocol.starts_with("SASL_") && matches!(mechanism, "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") {
        return Ok(mechanism);
    }
    Err(ConfigError::Combination(
        "visitors can log in to the cluster only with security.protocol=SASL_PLAINTEXT or SASL_SSL and \
         sasl.mechanism=PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
            .to_owned(),
    ))
}

impl Console {
    /// A console. Nothing is sent to the cluster before the first question. With a source of vitals, a task begins that keeps
    /// a history until the node stops.
    ///
    /// # Errors
    /// When settings cannot be used.
    pub fn new(mut settings: Settings) -> Result<Self, SettingsError> {
        let history = settings.vitals.clone().map(|source| {
            let history = Arc::new(Mutex::new(History::default()));
            thalweg_sys::task::spawn(history::keep(Arc::downgrade(&history), source));
            history
        });
        let login = settings.login.clone();
        if matches!(login, LogIn::Cluster) {
            let mechanism = mechanism(&settings.client)?.to_owned();
            // Nobody has this name: it is never used, but a client needs one to be made.
            let nobody = Credentials { user: "nobody".to_owned(), password: "nobody".to_owned() };
            settings.client.set("sasl.jaas.config", &nobody.jaas(&mechanism));
        }
        let kafka = Arc::new(Kafka::new(&settings.client, settings.masks.clone(), Turns::default())?);
        let registry = Registry::of(&settings.client)?.map(Arc::new);
        let room = Room::new(settings, Arc::clone(&kafka), registry.clone(), history.clone())?;
        let doors = match login {
            LogIn::Open => Doors::Open,
            LogIn::Users(users) => {
                let settings = Settings { writes: Writes::NONE, ..room.shared.settings.clone() };
                Doors::Users(users, Room::new(settings, kafka, registry, history)?)
            }
            LogIn::Cluster => Doors::Cluster(Mutex::default()),
        };
        Ok(Self { room, doors: Arc::new(doors) })
    }

    /// What an HTTP server calls for each request.
    #[must_use]
    pub fn handler(&self) -> Handler {
        let console = self.clone();
        Arc::new(move |request: Request| {
            let console = console.clone();
            Box::pin(async move { console.answer(request).await.map(|body| thalweg_http::Body::other(Outgoing(body))) })
        })
    }

    /// Serves until `closing` says so.
    pub async fn serve(self, server: thalweg_http::Server, closing: thalweg_sys::closing::Closing) {
        server.run(self.handler(), closing).await;
    }

    async fn answer(&self, mut request: Request) -> Response {
        let found = match self.room.shared.guard.may_read(request.headers()) {
            Ok(()) => self.room_of(&request).await,
            Err(trouble) => Err(trouble),
        };
        let mut response = match found {
            Ok((mut room, visitor)) => {
                request.extensions_mut().insert(visitor);
                // A router is always ready, and never fails.
                room.router.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
            }
            Err(trouble) => self.refused(&trouble, request.headers()),
        };
        http::secure(&mut response);
        response
    }

    fn refused(&self, trouble: &Trouble, headers: &HeaderMap) -> Response {
        let wants = http::Wants::of(headers, http::Wants::Html);
        let mut response = http::troubled(trouble, wants, &self.room.shared.frame(headers));
        if matches!(trouble, Trouble::NotLoggedIn(_)) {
            let asks = HeaderValue::from_static("Basic realm=\"Thalweg console\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, asks);
        }
        response
    }

    /// The room of whoever sent a request.
    async fn room_of(&self, request: &Request) -> Result<(Room, Visitor), Trouble> {
        let path = request.uri().path();
        let below = path.strip_prefix(self.room.shared.base.as_str()).unwrap_or(path);
        if matches!(*self.doors, Doors::Open) || OPEN_PATHS.contains(&below) {
            return Ok((self.room.clone(), Visitor::default()));
        }
        let credentials = Credentials::of(request.headers());
        let credentials = credentials.ok_or(Trouble::NotLoggedIn("this console asks for a name and a password"))?;
        let room = match &*self.doors {
            Doors::Open => Some(self.room.clone()),
            Doors::Users(users, readers) => users.role_of(&credentials).map(|role| match role {
                Role::Writer => self.room.clone(),
                Role::Reader => readers.clone(),
            }),
            Doors::Cluster(lodgings) => self.lodging(lodgings, &credentials).await?,
        };
        let Some(room) = room else {
            tracing::warn!(user = credentials.user, "audit: somebody could not log in");
            sleep(WRONG_PASSWORD_PAUSE).await;
            return Err(Trouble::NotLoggedIn("the name or the password is wrong"));
        };
        Ok((room, Visitor(Some(credentials.user))))
    }

    /// The room of a visitor whose password the cluster takes; `None` if it does not.
    async fn lodging(
        &self,
        lodgings: &Mutex<BTreeMap<Vec<u8>, Lodging>>,
        credentials: &Credentials,
    ) -> Result<Option<Room>, Trouble> {
        let (digest, time) = (credentials.digest(), now());
        if let Some(lodging) = lodgings.lock().get_mut(&digest)
            && time.saturating_duration_since(lodging.checked_at) < CHECKED_TIME
        {
            lodging.used_at = time;
            return Ok(Some(lodging.room.clone()));
        }
        let room = self.room.of_visitor(credentials).map_err(|e| Trouble::Bad(e.to_string()))?;
        match room.shared.kafka.snapshot().await {
            Err(Trouble::Away(thalweg_client::Error::Authentication { .. })) => return Ok(None),
            // It is not known whether the password is right: the page says why, and nothing is kept.
            Err(trouble) => return Err(trouble),
            Ok(_) => {}
        }
        let mut lodgings = lodgings.lock();
        lodgings.insert(digest, Lodging { room: room.clone(), checked_at: time, used_at: time });
        while lodgings.len() > ROOMS_MAX {
            let oldest = lodgings.iter().min_by_key(|(_, lodging)| lodging.used_at).map(|(digest, _)| digest.clone());
            oldest.and_then(|digest| lodgings.remove(&digest));
        }
        Ok(Some(room))
    }
}

impl Shared {
    /// What every page has around its content.
    pub(crate) fn frame(&self, headers: &HeaderMap) -> Frame {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        Frame {
            base: self.base.clone(),
            bootstrap: self.kafka.bootstrap().to_owned(),
            token: self.guard.token().to_owned(),
            writes: self.settings.writes,
            at: "",
            elsewhere: Vec::new(),
            version: env!("CARGO_PKG_VERSION"),
            url: format!("http://{}", host.unwrap_or("localhost")),
        }
    }
}

/// A body of axum's, whose errors are those of the server.
struct Outgoing(Body);

impl hyper::body::Body for Outgoing {
    type Data = bytes::Bytes;
    type Error = thalweg_http::Failure;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx).map_err(Into::into)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.0.size_hint()
    }
}
