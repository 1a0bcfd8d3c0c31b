//! The gRPC server: all services on one listener, behind one guard.

use crate::metrics::Rejected;
use crate::service::calls::{Calls, CountCalls};
use crate::service::{
    ClusterService, IdentityService, JobsService, PluginsService, WorkerLinkService, look_at,
};
use muster_proto::link::{Capacity, Guard, Listener, server};
use muster_proto::v1::cluster_server::ClusterServer;
use muster_proto::v1::identity_server::IdentityServer;
use muster_proto::v1::jobs_server::JobsServer;
use muster_proto::v1::plugins_server::PluginsServer;
use muster_proto::v1::worker_link_server::WorkerLinkServer;
use muster_proto::{FILE_DESCRIPTOR_SET, MESSAGE_MAX_BYTES};
use std::sync::Arc;
use tower::util::MapResponseLayer;

/// The services of a coordinator.
pub struct Services {
    /// Workers' streams.
    pub worker_link: WorkerLinkService,
    /// Clients' jobs.
    pub jobs: JobsService,
    /// Plugins' files.
    pub plugins: PluginsService,
    /// The cluster as a whole.
    pub cluster: ClusterService,
    /// Who may connect.
    pub identity: IdentityService,
}

/// What somebody who has no identity yet may send.
const IDENTITY_MESSAGE_MAX_BYTES: usize = 4 << 10;

/// Serves until `stop`, then lets open requests end.
pub async fn serve(
    listener: Listener,
    guard: Guard,
    services: Services,
    capacity: Capacity,
    rejected: Arc<Rejected>,
    calls: Arc<Calls>,
    stop: impl Future<Output = ()>,
) {
    macro_rules! limited {
        ($server:ident, $service:expr) => {
            $server::new($service)
                .max_decoding_message_size(MESSAGE_MAX_BYTES)
                .max_encoding_message_size(MESSAGE_MAX_BYTES)
        };
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    // The empty name, the server as a whole, is there already.
    reporter.set_serving::<WorkerLinkServer<WorkerLinkService>>().await;
    reporter.set_serving::<JobsServer<JobsService>>().await;
    reporter.set_serving::<PluginsServer<PluginsService>>().await;
    reporter.set_serving::<ClusterServer<ClusterService>>().await;
    reporter.set_serving::<IdentityServer<IdentityService>>().await;
    let mut router = server(capacity)
        .layer(CountCalls(calls))
        .layer(MapResponseLayer::new(move |response| look_at(&rejected, response)))
        .layer(guard)
        .add_service(limited!(WorkerLinkServer, services.worker_link))
        .add_service(limited!(JobsServer, services.jobs))
        .add_service(limited!(PluginsServer, services.plugins))
        .add_service(limited!(ClusterServer, services.cluster))
        .add_service(
            IdentityServer::new(services.identity).max_decoding_message_size(IDENTITY_MESSAGE_MAX_BYTES),
        )
        .add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => router = router.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "reflection is off"),
    }
    if let Err(error) = router.serve_with_incoming_shutdown(listener, stop).await {
        tracing::error!(%error, "serving ended");
    }
}
