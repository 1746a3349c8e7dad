//! UpdateFeatures: raises or lowers the levels of features (KIP-584).

use thalweg_controller::{KRaftFeature, Outcome, Refusal};
use thalweg_metadata::feature::KRAFT_VERSION;
use thalweg_raft::{KRaftVersion, Quorum, VersionRefusal};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::call::Call;
use crate::drivers::metadata::Decide;

const REFUSED: &str = "The update failed for all features since the following feature had an error: ";

pub(crate) async fn handle(call: Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let version = call.version;
    let decided = call.broker.metadata.decide(move |d| update(d, &request, version)).await;
    decided.unwrap_or_else(|refusal| {
        let text = refusal.text().map(|text| match refusal.code {
            // One refused level keeps all of them from changing, and tools print that.
            ErrorCode::InvalidUpdateVersion => format!("{REFUSED}{text}").into(),
            _ => text,
        });
        let error_code = refusal.code.code();
        UpdateFeaturesResponse { error_code, error_message: text, ..UpdateFeaturesResponse::default() }
    })
}

/// Decides, and has the quorum raise its own feature if that is asked for.
fn update(
    d: &mut Decide<'_>,
    request: &UpdateFeaturesRequest,
    version: i16,
) -> Result<Outcome<UpdateFeaturesResponse>, Refusal> {
    let quorum: &Quorum = d.quorum;
    let may_become = |level: i16| match quorum.may_upgrade(KRaftVersion(level.cast_unsigned())) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(refused(refusal, level)),
    };
    let kraft = KRaftFeature { level: d.kraft_version, may_become: &may_become };
    let outcome = d.controller.update_features(d.image, kraft, request, version)?;
    let asked = request.feature_updates.iter().find(|update| &*update.feature == KRAFT_VERSION.name);
    if let Some(update) = asked.filter(|update| !request.validate_only && update.max_version_level > d.kraft_version) {
        let level = update.max_version_level;
        let upgraded = d.quorum.upgrade(KRaftVersion(level.cast_unsigned()), d.moment);
        let upgraded =
            upgraded.map_err(|why| Refusal::because(ErrorCode::InvalidUpdateVersion, refused(why, level)))?;
        d.effects.extend(upgraded.into_iter().flat_map(|(_, effects)| effects));
    }
    Ok(outcome)
}

fn refused(refusal: VersionRefusal, level: i16) -> String {
    match refusal {
        VersionRefusal::NotLeader => {
            "Upgrade kraft version failed because the replica is not the current leader".to_owned()
        }
        VersionRefusal::Downgrade => {
            format!("Invalid upgrade of kraft.version to KRAFT_VERSION_{level} because the new version is a downgrade")
        }
        VersionRefusal::VoterLacksVersion => format!(
            "Invalid upgrade of kraft.version to KRAFT_VERSION_{level} because not all of the voters support it"
        ),
        VersionRefusal::ChangePending => {
            format!("Unable to upgrade version for kraft.version to KRAFT_VERSION_{level} due to changing voters")
        }
    }
}
