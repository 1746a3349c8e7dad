//! A node that tests play: it listens, and answers as the test says.

use std::future::Future;

use thalweg_sys::net::{self, SocketOptions, TcpListener, TcpStream};
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::messages::api_versions_response::ApiVersion;
use thalweg_wire::messages::{ApiVersionsResponse, RequestHeader, ResponseHeader};
use thalweg_wire::{ApiKey, Codec, Reader, Unstable, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Peer;

/// Long enough that only a broken test meets it.
pub(crate) fn soon() -> Instant {
    now() + Duration::from_secs(20)
}

/// A listening socket.
pub(crate) struct Fake {
    listener: TcpListener,
}

impl Fake {
    pub(crate) async fn listen() -> (Self, Peer) {
        let options = SocketOptions { backlog: 16, receive_buffer: None, send_buffer: None };
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = net::listen(address, options).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        (Self { listener }, Peer::new("127.0.0.1", port))
    }

    /// Plays `script` to the next client, in the background.
    pub(crate) fn play<F, Fut>(self, script: F)
    where
        F: FnOnce(Script) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        thalweg_sys::task::spawn(async move {
            let script_of_next = self.accept().await;
            script(script_of_next).await;
        });
    }

    /// The next client.
    pub(crate) async fn accept(&self) -> Script {
        Script { stream: self.listener.accept().await.expect("a client").0 }
    }
}

/// The node's side of one connection.
pub(crate) struct Script {
    pub(crate) stream: TcpStream,
}

/// A request as it arrived.
pub(crate) struct Arrived {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) body: Reader,
}

impl Script {
    /// The next request; `None` when the client has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Arrived> {
        let length = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut frame).await.ok()?;
        let (code, version) = (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]]));
        let api = ApiKey::from_i16(code).expect("a known API");
        let mut body = Reader::new(frame.into());
        let header = RequestHeader::decode(&mut body, api.request_header_version(version)).expect("a header");
        Some(Arrived { api, version, correlation_id: header.correlation_id, body })
    }

    /// Answers ApiVersions with everything that Kafka 4.3 has.
    pub(crate) async fn negotiate(&mut self) {
        let arrived = self.next().await.expect("a request");
        assert_eq!(arrived.api, ApiKey::ApiVersions);
        self.answer(&arrived, &all_versions()).await;
    }

    pub(crate) async fn answer<R: Codec>(&mut self, to: &Arrived, response: &R) {
        self.answer_at(to, response, to.version).await;
    }

    /// Answers in another version than the client asked for.
    pub(crate) async fn answer_at<R: Codec>(&mut self, to: &Arrived, response: &R, version: i16) {
        let mut writer = Writer::new();
        let header = ResponseHeader { correlation_id: to.correlation_id };
        header.encode(&mut writer, to.api.response_header_version(version)).expect("a header");
        response.encode(&mut writer, version).expect("a response");
        for part in writer.into_frame().expect("a frame") {
            self.stream.write_all(&part).await.expect("the client reads");
        }
    }
}

/// Every API at every version.
pub(crate) fn all_versions() -> ApiVersionsResponse {
    let api = |api: &ApiKey| ApiVersion {
        api_key: api.code(),
        min_version: *api.valid_versions().start(),
        max_version: *api.advertised_versions(Unstable::Hidden).end(),
    };
    ApiVersionsResponse { api_keys: ApiKey::ALL.iter().map(api).collect(), ..ApiVersionsResponse::default() }
}
