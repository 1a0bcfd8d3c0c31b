//! Plugins: pushed, checked, found, fetched, removed.
#![allow(clippy::unwrap_used)]

mod fixture;

use bytes::Bytes;
use fixture::{World, fake_plugin, soon};
use muster_proto::v1;
use tonic::Code;

fn manifest(name: &str, version: &str) -> String {
    format!(r#"{{"muster":1,"name":"{name}","version":"{version}","input":"none"}}"#)
}

async fn pull(world: &World, digest: Bytes) -> Result<Vec<u8>, tonic::Status> {
    let mut stream = world.plugins().pull(v1::PullRequest { digest }).await?.into_inner();
    let mut file = Vec::new();
    while let Some(part) = soon(stream.message()).await? {
        file.extend_from_slice(&part.chunk);
    }
    Ok(file)
}

#[tokio::test]
async fn a_plugin_comes_back_as_it_was_pushed() {
    for world in [World::start().await, World::durable().await] {
        let mut file = fake_plugin(&manifest("big", "1.0.0"));
        file.resize(3_000_000, 7);
        let pushed = world.push(&file).await.unwrap();
        assert!(!pushed.known);
        let info = pushed.plugin.unwrap();
        let plugin = info.plugin.clone().unwrap();
        assert_eq!((plugin.name.as_str(), plugin.version.as_str(), plugin.size), ("big", "1.0.0", 3_000_000));
        assert_eq!(info.target, "x86_64-unknown-linux-gnu");
        assert!(pull(&world, plugin.digest.clone()).await.unwrap() == file);
        let again = world.push(&file).await.unwrap();
        assert!(again.known);
        assert_eq!(again.plugin.unwrap(), info);
        assert_eq!(
            world.plugins().list(v1::ListPluginsRequest {}).await.unwrap().into_inner().plugins,
            [info]
        );
    }
}

#[tokio::test]
async fn plugins_survive_a_restart() {
    let world = World::durable().await;
    let file = fake_plugin(&manifest("kept", "1.0.0"));
    world.push(&file).await.unwrap();
    let gone = fake_plugin(&manifest("gone", "1.0.0"));
    world.push(&gone).await.unwrap();
    world.plugins().remove(v1::RemovePluginRequest { query: "gone".into() }).await.unwrap();
    let world = world.restart().await;
    let plugins = world.plugins().list(v1::ListPluginsRequest {}).await.unwrap().into_inner().plugins;
    assert_eq!(plugins.len(), 1);
    let digest = plugins[0].plugin.clone().unwrap().digest;
    assert!(pull(&world, digest).await.unwrap() == file);
}

#[tokio::test]
async fn finds_by_name_version_and_digest() {
    let world = World::start().await;
    for version in ["1.2.0", "1.10.0", "1.9.0"] {
        world.push(&fake_plugin(&manifest("many", version))).await.unwrap();
    }
    let find = async |query: &str| {
        let found = world.plugins().find(v1::FindPluginRequest { query: query.into() }).await?;
        Ok::<_, tonic::Status>(found.into_inner().plugin.unwrap())
    };
    assert_eq!(find("many").await.unwrap().version, "1.10.0");
    let old = find("many@1.2.0").await.unwrap();
    let digits = blake3::Hash::from_slice(&old.digest).unwrap().to_hex();
    assert_eq!(find(&digits[..8]).await.unwrap(), old);
    assert_eq!(find(&digits).await.unwrap(), old);
    for missing in ["other", "many@3", &digits[..7], ""] {
        assert_eq!(find(missing).await.unwrap_err().code(), Code::NotFound, "{missing:?}");
    }
}

#[tokio::test]
async fn a_version_keeps_its_bytes() {
    let world = World::start().await;
    let file = fake_plugin(&manifest("same", "1.0.0"));
    world.push(&file).await.unwrap();
    let mut other = file.clone();
    other.push(0);
    let status = world.push(&other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    for digest in [blake3::hash(&file).to_hex(), blake3::hash(&other).to_hex()] {
        assert!(status.message().contains(digest.as_str()), "{status}");
    }
    assert!(status.message().contains("raise the version"), "{status}");
    assert_eq!(world.plugins().list(v1::ListPluginsRequest {}).await.unwrap().into_inner().plugins.len(), 1);
}

#[tokio::test]
async fn a_plugin_in_use_stays() {
    let world = World::start().await;
    let job = world.submit(world.spec(1).await).await;
    let remove = || async { world.plugins().remove(v1::RemovePluginRequest { query: "fake".into() }).await };
    let status = remove().await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains(&format!("job {job}")), "{status}");
    world.jobs().cancel(v1::JobRequest { job }).await.unwrap();
    remove().await.unwrap();
    assert_eq!(remove().await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn registers_a_folder_and_names_what_it_leaves_out() {
    let world = World::with(|folder, config| {
        let plugins = folder.join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(plugins.join("a.so"), fake_plugin(&manifest("a", "1.0.0"))).unwrap();
        std::fs::write(plugins.join("b.so"), "not a plugin").unwrap();
        std::fs::write(plugins.join("notes.txt"), "not looked at").unwrap();
        std::fs::create_dir(plugins.join("c.so")).unwrap();
        config.plugins.push(plugins);
    })
    .await;
    let plugins = world.plugins().list(v1::ListPluginsRequest {}).await.unwrap().into_inner().plugins;
    assert_eq!(plugins.len(), 1);
    let left_out = &world.running.left_out;
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert!(left_out[0].contains("b.so") && left_out[0].contains("ELF"), "{left_out:?}");
    assert!(left_out[1].contains("c.so") && left_out[1].contains("regular file"), "{left_out:?}");
}
