use std::future::{Future, pending};
use std::task::{Context, Poll, Waker};

use thalweg_sys::time::timeout;

use super::*;
use crate::limits::ListenerLimits;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

fn clients() -> Arc<str> {
    "CLIENTS".into()
}

/// What comes of asking for a place right now: `None` while there is no room.
fn ask(seats: &Arc<Seats>, listener: &Arc<str>, ip: IpAddr) -> Option<Result<Seat, NoSeat>> {
    let asked = pin!(seats.take(listener, ip));
    match asked.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(seat) => Some(seat),
        Poll::Pending => None,
    }
}

fn given(seats: &Arc<Seats>, listener: &Arc<str>, ip: IpAddr) -> Seat {
    ask(seats, listener, ip).expect("there is room").expect("a place")
}

fn must_leave(seat: &Seat) -> bool {
    let asked = pin!(seat.occupant().asked_to_leave());
    asked.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test]
async fn a_full_node_lets_new_connections_wait_until_another_ends() {
    let seats = Seats::new(SeatLimits { connections_max: 1, ..SeatLimits::none() }, usize::MAX);
    let first = given(&seats, &clients(), A);
    let name = clients();
    assert!(ask(&seats, &name, B).is_none());
    let (second, ()) = tokio::join!(seats.take(&name, B), async { drop(first) });
    assert!(second.is_ok());
}

#[tokio::test]
async fn an_address_that_has_all_it_may_have_is_closed() {
    let limits = SeatLimits { per_ip_max: 2, per_ip_overrides: HashMap::from([(B, 1)]), ..SeatLimits::none() };
    let seats = Seats::new(limits, usize::MAX);
    let held = [given(&seats, &clients(), A), given(&seats, &clients(), A), given(&seats, &clients(), B)];
    for ip in [A, B] {
        assert!(matches!(ask(&seats, &clients(), ip), Some(Err(NoSeat::AddressFull))), "{ip}");
    }
    let expected = ListenerView {
        name: clients(),
        open: 3,
        opened: 3,
        refused: 2,
        throttled: 0,
        idle_closed: 0,
        handshakes_failed: 0,
    };
    assert_eq!(seats.listeners(), [expected]);
    drop(held);
    assert!(seats.state.lock().by_ip.is_empty() && seats.state.lock().occupants.is_empty());
}

#[tokio::test]
async fn a_listener_has_a_limit_of_its_own() {
    let own = ListenerLimits { connections_max: 1, creation_rate: NO_RATE };
    let limits = SeatLimits { listeners: BTreeMap::from([(clients(), own)]), ..SeatLimits::none() };
    let seats = Seats::new(limits, usize::MAX);
    let _held = given(&seats, &clients(), A);
    assert!(ask(&seats, &clients(), A).is_none());
    assert!(ask(&seats, &"OTHER".into(), A).is_some());
}

#[tokio::test]
async fn brokers_get_in_and_the_client_that_was_used_least_recently_goes() {
    let brokers: Arc<str> = "BROKERS".into();
    let limits = SeatLimits { connections_max: 2, protected: vec![Arc::clone(&brokers)], ..SeatLimits::none() };
    let seats = Seats::new(limits, usize::MAX);
    let (first, second) = (given(&seats, &clients(), A), given(&seats, &clients(), A));
    first.used(now() + Duration::from_secs(1));
    assert!(ask(&seats, &clients(), A).is_none());
    let broker = given(&seats, &brokers, A);
    assert!(must_leave(&second) && !must_leave(&first) && !must_leave(&broker));
}

#[tokio::test]
async fn a_limit_that_is_lowered_closes_connections_and_one_that_is_raised_lets_them_in() {
    let seats = Seats::new(SeatLimits { connections_max: 2, ..SeatLimits::none() }, usize::MAX);
    let (first, second) = (given(&seats, &clients(), A), given(&seats, &clients(), A));
    second.used(now() + Duration::from_secs(1));
    assert!(seats.set_limits(SeatLimits { connections_max: 1, ..SeatLimits::none() }));
    assert!(must_leave(&first) && !must_leave(&second));
    let name = clients();
    let raise = async { assert!(seats.set_limits(SeatLimits { connections_max: 3, ..SeatLimits::none() })) };
    let (third, ()) = tokio::join!(seats.take(&name, A), raise);
    assert!(third.is_ok());
}

#[test]
fn a_burst_is_let_in_and_then_one_at_a_time() {
    let begin = now();
    let windows = RateWindows::default();
    let mut rate = Rate::default();
    for _ in 0..20 {
        assert_eq!(rate.wait(2, windows, begin), Duration::ZERO);
    }
    assert_eq!(rate.wait(2, windows, begin), Duration::from_millis(500));
    assert_eq!(rate.wait(2, windows, begin), windows.size);
    assert_eq!(rate.wait(2, windows, begin), windows.size, "nobody waits longer");
    assert_eq!(rate.wait(2, windows, begin + Duration::from_secs(3)), Duration::ZERO);
    assert_eq!(rate.wait(NO_RATE, windows, begin), Duration::ZERO);
}

#[test]
fn fewer_and_longer_windows_let_in_other_bursts() {
    let begin = now();
    let burst = |count, seconds| {
        let windows = RateWindows { count, size: Duration::from_secs(seconds) };
        let (mut waiting, mut turned_away) = (Rate::default(), Rate::default());
        let waits = (0..100).take_while(|_| waiting.wait(3, windows, begin).is_zero()).count();
        let turns = (0..100).take_while(|_| turned_away.try_turn(3, windows, begin).is_ok()).count();
        assert_eq!(waits, turns);
        waits
    };
    assert_eq!([burst(2, 1), burst(2, 5), burst(11, 1), burst(1, 1)], [3, 15, 30, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_comes_faster_than_its_quota_is_turned_away() {
    let limits = SeatLimits { ip_rates: [(A, 1)].into(), ..SeatLimits::none() };
    let seats = Seats::new(limits, usize::MAX);
    let burst: Vec<_> = (0..10).map(|_| given(&seats, &clients(), A)).collect();
    let refused = ask(&seats, &clients(), A).expect("it need not wait");
    assert_eq!(refused.map(drop), Err(NoSeat::TooFast(Duration::from_secs(1))));
    drop(given(&seats, &clients(), B));
    let _ = timeout(Duration::from_secs(1), pending::<()>()).await;
    drop(given(&seats, &clients(), A));
    assert_eq!((seats.listeners()[0].throttled, burst.len()), (1, 10));
}
