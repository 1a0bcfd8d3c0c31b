//! What probes and generic clients ask of any gRPC server: is it there, and what does it speak.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{World, soon};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const SERVICES: [&str; 4] =
    ["muster.v1.Cluster", "muster.v1.Jobs", "muster.v1.Plugins", "muster.v1.WorkerLink"];

#[tokio::test]
async fn the_server_and_each_service_say_that_they_serve() {
    let world = World::start().await;
    let mut health = HealthClient::new(world.link.clone());
    for service in SERVICES.into_iter().chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let reply = soon(health.check(request)).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: "muster.v1.Nothing".to_owned() };
    assert_eq!(soon(health.check(request)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let world = World::start().await;
    let mut client = ServerReflectionClient::new(world.link.clone());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let reply = soon(client.server_reflection_info(tokio_stream::iter([request]))).await.unwrap();
    let reply = soon(reply.into_inner().message()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = reply.message_response else {
        panic!("{reply:?}");
    };
    let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
    assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");
}
