//! The coordinator's services over a link, with muster's message limit.

use muster_proto::MESSAGE_MAX_BYTES;
use muster_proto::link::Link;
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::identity_client::IdentityClient;
use muster_proto::v1::jobs_client::JobsClient;
use muster_proto::v1::plugins_client::PluginsClient;

/// Jobs.
pub fn jobs(link: &Link) -> JobsClient<Link> {
    JobsClient::new(link.clone())
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES)
}

/// Plugins.
pub fn plugins(link: &Link) -> PluginsClient<Link> {
    PluginsClient::new(link.clone())
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES)
}

/// Tokens.
pub fn identity(link: &Link) -> IdentityClient<Link> {
    IdentityClient::new(link.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES)
}

/// The cluster.
pub fn cluster(link: &Link) -> ClusterClient<Link> {
    ClusterClient::new(link.clone()).max_decoding_message_size(MESSAGE_MAX_BYTES)
}
