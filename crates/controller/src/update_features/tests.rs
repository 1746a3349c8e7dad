use super::*;
use crate::tests::cluster::{Cluster, all_short};

/// A quorum at level 1, which takes no other.
const QUORUM: KRaftFeature<'_> = KRaftFeature {
    level: 1,
    may_become: &|level| if level == 1 { Ok(()) } else { Err(format!("the quorum does not take {level}")) },
};

fn update(cluster: &Cluster, updates: &[(&str, i16, i8)]) -> Result<Vec<String>, String> {
    let key = |(feature, level, kind): &(&str, i16, i8)| FeatureUpdateKey {
        feature: (*feature).into(),
        max_version_level: *level,
        upgrade_type: *kind,
        ..FeatureUpdateKey::default()
    };
    let request = UpdateFeaturesRequest {
        feature_updates: updates.iter().map(key).collect(),
        ..UpdateFeaturesRequest::default()
    };
    let decided = cluster.controller.update_features(&cluster.image, QUORUM, &request, 2);
    decided.map(|outcome| all_short(&outcome.records)).map_err(|refusal| refusal.message.unwrap_or_default())
}

const UPGRADE: i8 = 1;
const SAFE: i8 = 2;
const UNSAFE: i8 = 3;

#[test]
fn levels_go_up_and_down() {
    let cluster = Cluster::of(1);
    assert_eq!(update(&cluster, &[("group.version", 1, UPGRADE)]), Ok(vec!["group.version=1".to_owned()]));
    assert_eq!(update(&cluster, &[("share.version", 0, SAFE)]), Ok(vec!["share.version=0".to_owned()]));
    assert_eq!(update(&cluster, &[("kraft.version", 1, UPGRADE)]), Ok(vec!["NoOp".to_owned()]), "the quorum has it");
}

#[test]
fn eligible_leader_replicas_come_with_a_cluster_wide_minimum() {
    let mut cluster = Cluster::at_version(MetadataVersion(25), 1);
    cluster.start(1);
    let both = [("metadata.version", 30, UPGRADE), ("eligible.leader.replicas.version", 1, UPGRADE)];
    let expected = ["config 4/ min.insync.replicas=1", "metadata.version=30", "eligible.leader.replicas.version=1"];
    assert_eq!(update(&cluster, &both).expect("both are possible"), expected);
}

#[test]
fn refusals_are_kafkas() {
    let cluster = Cluster::of(1);
    let refused = |name, level, kind| update(&cluster, &[(name, level, kind)]).expect_err("it is refused");
    assert_eq!(
        refused("metadata.version", 25, UPGRADE),
        "Invalid update version 25 for feature metadata.version. Can't downgrade the version of this feature without \
         setting the upgrade type to either safe or unsafe downgrade."
    );
    assert_eq!(
        refused("metadata.version", 25, SAFE),
        "Unsupported metadata.version downgrade from 30 to 25. Refusing to perform the requested downgrade because it \
         might delete metadata information."
    );
    assert_eq!(
        refused("metadata.version", 25, UNSAFE),
        "Unsupported metadata.version downgrade from 30 to 25. Unsafe metadata downgrade is not supported in this \
         version."
    );
    assert_eq!(
        refused("nonsense", 1, UPGRADE),
        "Invalid update version 1 for feature nonsense. Local controller 1 does not support this feature."
    );
    assert_eq!(
        refused("transaction.version", 99, UPGRADE),
        "Invalid update version 99 for feature transaction.version. Local controller 1 only supports versions 0-2"
    );
    assert_eq!(
        refused("group.version", 0, UPGRADE),
        "Invalid update version 0 for feature group.version. Can't downgrade the version of this feature without \
         setting the upgrade type to either safe or unsafe downgrade."
    );
    assert_eq!(
        refused("kraft.version", 0, SAFE),
        "Invalid update version 0 for feature kraft.version. Can't downgrade the version of this feature."
    );
}
