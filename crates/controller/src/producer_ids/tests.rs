use thalweg_wire::ErrorCode;
use thalweg_wire::messages::AllocateProducerIdsRequest;

use crate::tests::cluster::Cluster;

#[test]
fn no_id_is_in_two_blocks() {
    let mut cluster = Cluster::of(1);
    let request = AllocateProducerIdsRequest { broker_id: 1, broker_epoch: cluster.alive(1).broker_epoch };
    for expected in [0, 1000, 2000] {
        let decided = cluster.controller.allocate_producer_ids(&cluster.image, &request).expect("the broker is known");
        let response = cluster.apply(decided);
        assert_eq!((response.producer_id_start, response.producer_id_len), (expected, 1000));
    }
}

#[test]
fn only_a_registered_broker_gets_ids() {
    let cluster = Cluster::of(1);
    let ask = |broker_id, broker_epoch| {
        let request = AllocateProducerIdsRequest { broker_id, broker_epoch };
        cluster.controller.allocate_producer_ids(&cluster.image, &request).map_err(|e| e.code)
    };
    assert_eq!(ask(2, 5), Err(ErrorCode::StaleBrokerEpoch));
    assert_eq!(ask(1, 0), Err(ErrorCode::StaleBrokerEpoch));
}
