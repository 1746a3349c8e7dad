package interop;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

import org.apache.kafka.image.ClusterImage;
import org.apache.kafka.image.FeaturesImage;
import org.apache.kafka.image.MetadataImage;
import org.apache.kafka.metadata.BrokerRegistration;
import org.apache.kafka.server.common.MetadataVersion;

/** The image of the metadata that tests look into, as far as a broker says it: who is registered, and the features in use. */
final class Images {
    private Images() {
    }

    static MetadataImage of(View view) {
        Map<Integer, BrokerRegistration> registered = new HashMap<>();
        view.registrations().forEach((id, fenced) ->
            registered.put(id, Faces.face(BrokerRegistration.class, Map.of("fenced", arguments -> fenced))));
        ClusterImage cluster = new ClusterImage(registered, Map.of());
        FeaturesImage features = Faces.face(FeaturesImage.class, Map.of("metadataVersion", arguments ->
            Optional.ofNullable(view.features().get(MetadataVersion.FEATURE_NAME)).map(MetadataVersion::fromFeatureLevel)));
        return Faces.face(MetadataImage.class, Map.of("cluster", arguments -> cluster, "features", arguments -> features));
    }
}
