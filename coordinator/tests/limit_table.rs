//! Every limit of a coordinator, set low and passed: what is refused says which limit it was and what sets it, and what is
//! said to wait does.
#![allow(clippy::unwrap_used)]

mod fixture;

use bytes::Bytes;
use fixture::tls::stranger;
use fixture::{Worker, World, fake_plugin, get, hello, soon};
use muster_coordinator::limits::{Limit, Limits, ROWS, parse_limit};
use muster_proto::link::{Identities, Link, Role, Target, connect_by};
use muster_proto::packed::Packed;
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::identity_client::IdentityClient;
use muster_proto::v1::to_worker::Kind;
use muster_proto::v1::{self, NewTokenRequest};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

/// Long enough to see that something does not happen.
const A_WHILE: Duration = Duration::from_millis(200);

/// A coordinator with this set, a port and pages.
async fn world(settings: &[&str]) -> World {
    let settings: Vec<_> = settings.iter().map(|text| parse_limit(text).unwrap()).collect();
    World::with(|folder, config| {
        config.limits = Limits::default().with(&settings);
        config.listen = Some("127.0.0.1:0".into());
        config.http = Some("127.0.0.1:0".into());
        config.keys = Some(folder.join("keys"));
    })
    .await
}

fn refused<T>(answer: Result<T, Status>) -> String {
    let status = answer.err().expect("it is refused");
    let code = status.code();
    assert!(
        matches!(code, Code::ResourceExhausted | Code::DeadlineExceeded | Code::Unauthenticated),
        "{status:?}"
    );
    status.message().to_owned()
}

async fn token(world: &World) -> Result<String, Status> {
    let roles = vec![v1::Role::from(Role::Viewer) as i32];
    let request = NewTokenRequest { roles, uses: 1, ..NewTokenRequest::default() };
    let made = IdentityClient::new(world.link.clone()).new_token(request).await?;
    Ok(made.into_inner().join_string)
}

/// An open job whose tasks have inputs, and a stream of feeds for it.
async fn feeding(
    world: &World,
    job: u64,
) -> (mpsc::Sender<v1::FeedRequest>, tonic::Streaming<v1::FeedReply>) {
    let (sender, messages) = mpsc::channel(4);
    sender.send(feed(job)).await.unwrap();
    let replies = soon(world.jobs().feed(ReceiverStream::new(messages))).await.unwrap().into_inner();
    (sender, replies)
}

async fn open_job(world: &World) -> u64 {
    world.submit(v1::JobSpec { open: true, has_inputs: true, ..world.spec(0).await }).await
}

/// One task with an input of a megabyte.
fn feed(job: u64) -> v1::FeedRequest {
    const ITEM: usize = 1 << 20;
    let inputs = Packed { width: ITEM as u32, lengths: Vec::new(), data: vec![2; ITEM].into() };
    v1::FeedRequest { job, count: 1, inputs: Some(inputs), seal: false, start: None }
}

/// The first piece of a plugin's file, and then nothing as long as the sender lives.
async fn slow_push(
    world: &World,
    file: &[u8],
) -> (mpsc::Sender<v1::PushRequest>, impl Future<Output = Result<(), Status>> + use<>) {
    let (sender, messages) = mpsc::channel(4);
    let digest = Bytes::copy_from_slice(blake3::hash(file).as_bytes());
    let first = v1::PushRequest { digest, size: file.len() as u64, chunk: Bytes::new() };
    sender.send(first).await.unwrap();
    let mut plugins = world.plugins();
    (sender, async move { plugins.push(ReceiverStream::new(messages)).await.map(drop) })
}

/// Goes beyond a limit. What is said then; `None`: it waited, which was seen.
async fn beyond(limit: Limit) -> Option<String> {
    let submit = async |world: &World, change: fn(&mut v1::JobSpec)| {
        let mut spec = world.spec(1).await;
        change(&mut spec);
        world.submit_as("another", spec).await
    };
    match limit {
        Limit::Jobs => {
            let world = world(&["jobs=1"]).await;
            world.submit(world.spec(1).await).await;
            Some(refused(submit(&world, |_| {}).await))
        }
        Limit::Tasks => {
            let world = world(&["tasks=10"]).await;
            let job = world.submit(v1::JobSpec { open: true, ..world.spec(0).await }).await;
            let more = v1::FeedRequest { job, count: 11, inputs: None, seal: false, start: None };
            let fed = soon(world.jobs().feed(tokio_stream::iter([more])))
                .await
                .unwrap()
                .into_inner()
                .message()
                .await;
            let said = refused(fed);
            assert_eq!(refused(submit(&world, |spec| spec.tasks = 11).await), said);
            Some(said)
        }
        Limit::Params => {
            let world = world(&["params=1KiB"]).await;
            Some(refused(submit(&world, |spec| spec.params = format!("{:1025}", "{}").into()).await))
        }
        Limit::Output => {
            let world = world(&["output=16MiB"]).await;
            Some(refused(submit(&world, |spec| spec.result_max_bytes = (16 << 20) + 1).await))
        }
        Limit::Inputs => {
            let world = world(&["inputs=1MiB"]).await;
            let job = open_job(&world).await;
            let (sender, mut replies) = feeding(&world, job).await;
            assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, 1);
            sender.send(feed(job)).await.unwrap();
            tokio::time::timeout(A_WHILE, replies.message()).await.unwrap_err();
            tokio::spawn(
                Worker::attach(&world, 1).await.serve(|grant| fixture::done(grant, Packed::default())),
            );
            assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, 2);
            None
        }
        Limit::Feeds => {
            let world = world(&["inputs=1MiB", "feeds=1"]).await;
            let job = open_job(&world).await;
            let (_first, mut replies) = feeding(&world, job).await;
            assert_eq!(soon(replies.message()).await.unwrap().unwrap().accepted, 1);
            // Of two more one waits, and the other has no place to wait in.
            let (_second, mut waits) = feeding(&world, job).await;
            let (_third, mut also) = feeding(&world, job).await;
            let said = soon(async {
                tokio::select! { one = waits.message() => one, other = also.message() => other }
            });
            Some(refused(said.await))
        }
        Limit::Plugins => {
            let world = world(&["plugins=1"]).await;
            world.plugin().await;
            let other = fixture::PLUGIN.replace("1.0.0", "2.0.0");
            assert_ne!(other, fixture::PLUGIN);
            Some(refused(world.push(&fake_plugin(&other)).await))
        }
        Limit::Plugin => {
            let world = world(&["plugin=1KiB"]).await;
            let file = [fake_plugin(fixture::PLUGIN), vec![0; 1 << 10]].concat();
            Some(refused(world.push(&file).await))
        }
        Limit::Uploads => {
            let world = world(&["uploads=1"]).await;
            let file = fake_plugin(fixture::PLUGIN);
            let (_held, first) = slow_push(&world, &file).await;
            let mut first = Box::pin(first);
            tokio::time::timeout(A_WHILE, &mut first).await.unwrap_err();
            let mut second = Box::pin(world.plugin());
            tokio::time::timeout(A_WHILE, &mut second).await.unwrap_err();
            drop(first);
            soon(second).await;
            None
        }
        Limit::UploadIdle => {
            let world = world(&["upload-idle=1s"]).await;
            let (_held, push) = slow_push(&world, &fake_plugin(fixture::PLUGIN)).await;
            Some(refused(soon(push).await))
        }
        Limit::Workers => {
            let world = world(&["workers=1"]).await;
            let _first = Worker::attach(&world, 1).await;
            Some(refused(Worker::attach_as(&world, hello(1)).await.map(drop)))
        }
        Limit::LogQueries => {
            let world = world(&["log-queries=1"]).await;
            let job = world.submit(world.spec(1).await).await;
            let mut worker = Worker::attach(&world, 1).await;
            worker.take_grant().await;
            let ask = async || {
                world.jobs().logs(v1::LogsRequest { job, ..Default::default() }).await.unwrap().into_inner()
            };
            let _first = ask().await;
            // It has the question when the next one comes, and does not answer.
            while !matches!(soon(worker.from.message()).await.unwrap().unwrap().kind, Some(Kind::Log(_))) {}
            Some(refused(soon(ask().await.message()).await))
        }
        Limit::Pages => {
            let world = world(&["pages=1"]).await;
            let address = world.running.http_addr.unwrap().to_string();
            let mut held = TcpStream::connect(&address).await.unwrap();
            let request = format!("GET /page/events?view=jobs HTTP/1.1\r\nHost: {address}\r\n\r\n");
            held.write_all(request.as_bytes()).await.unwrap();
            soon(held.read_u8()).await.unwrap();
            let answer = get(&address, "/page/events?view=jobs").await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            Some(answer)
        }
        Limit::Tokens => {
            // One is there: that of the join string that is printed.
            let world = world(&["tokens=2"]).await;
            token(&world).await.unwrap();
            Some(refused(token(&world).await))
        }
        Limit::Connections => {
            let world = world(&["connections=1"]).await;
            let target = Target::parse(&token(&world).await.unwrap()).unwrap();
            let identities = Identities::in_memory();
            let _first: Link = connect_by(&identities, &target).await.unwrap();
            Some(connect_by(&identities, &target).await.expect_err("it is refused").to_string())
        }
        Limit::Streams => {
            let world = world(&["streams=8"]).await;
            let job = world.submit(world.spec(1).await).await;
            let mut held = Vec::new();
            for _ in 0..8 {
                let mut watch = world.jobs().watch(v1::JobRequest { job }).await.unwrap().into_inner();
                soon(watch.message()).await.unwrap();
                held.push(watch);
            }
            let mut ninth = Box::pin(world.status(job));
            tokio::time::timeout(A_WHILE, &mut ninth).await.unwrap_err();
            held.pop();
            soon(ninth).await;
            None
        }
        Limit::Headers => {
            let world = world(&["headers=4KiB"]).await;
            let mut client = ClusterClient::new(stranger(&world.running.tls_addr.unwrap().to_string()).await);
            let mut request = Request::new(v1::InfoRequest::default());
            request.metadata_mut().insert("x-filler", "x".repeat(5_000).parse().unwrap());
            let status = soon(client.info(request)).await.unwrap_err();
            assert!(status.message().contains("431"), "{status:?}");
            None
        }
    }
}

#[tokio::test]
async fn what_is_beyond_a_limit_is_told_which_and_what_sets_it() {
    for row in &ROWS {
        match Box::pin(beyond(row.limit)).await {
            Some(said) => {
                assert_eq!(row.beyond, "refused", "{}", row.name);
                assert!(said.contains(&format!("--limit {}=N", row.name)), "{}: {said}", row.name);
            }
            None => assert_ne!(row.beyond, "refused", "{}", row.name),
        }
    }
}

/// The depth of JSON is not for anybody to set: more would use up a thread's stack.
#[tokio::test]
async fn parameters_are_nested_only_so_deep() {
    let world = world(&[]).await;
    let nested = |levels: usize| [&"{\"a\":".repeat(levels - 1), "{}", &"}".repeat(levels - 1)].concat();
    let spec = async |levels| v1::JobSpec { params: nested(levels).into(), ..world.spec(1).await };
    world.submit_as("deep", spec(127).await).await.unwrap();
    for too_deep in [128, 10_000] {
        let said = refused(world.submit_as("deeper", spec(too_deep).await).await);
        assert_eq!(said, "spec.params is nested too deeply: at most 127 levels (fixed)");
    }
}

/// What was taken before a limit was lowered stays.
#[tokio::test]
async fn a_lower_limit_leaves_alone_what_is_there() {
    let world = World::durable().await;
    let jobs = [world.submit(world.spec(20).await).await, world.submit(world.spec(20).await).await];
    let low = ["jobs=1", "tasks=10", "plugins=1"].map(|text| parse_limit(text).unwrap());
    let world = world.restart_with(|config| config.limits = Limits::default().with(&low)).await;
    refused(world.submit_as("another", world.spec(1).await).await);
    tokio::spawn(Worker::attach(&world, 1).await.serve(|grant| fixture::done(grant, Packed::default())));
    for job in jobs {
        assert_eq!(world.ended(job).await.ok, 20);
    }
    world.submit(world.spec(1).await).await;
}
