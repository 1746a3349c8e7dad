use super::*;
use crate::Scratch;
use crate::client::Client;
use crate::requests::{self, Ask};

#[test]
fn what_was_produced_is_fetched() {
    let dir = Scratch::new("bare").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let node = Node { port: address.port(), logs: Logs::new(&dir.0) };
    thread::spawn(move || accept(&listener, &node));

    let mut client = Client::connect(&address.to_string()).unwrap();
    client.ask(&requests::create_topics().unwrap()).unwrap();
    for ask in [Ask::ProduceOne, Ask::Produce100K, Ask::FetchOne, Ask::Fetch100K] {
        let answer = client.ask(&ask.frame().unwrap()).unwrap();
        assert!(ask.is_answered_by(answer), "{}", ask.name());
    }
}
