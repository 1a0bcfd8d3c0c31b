//! Credentials that are not good: each is refused with words of its own. And what strangers can make a coordinator keep.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::tls::{Shown, channel, handshake, stranger};
use fixture::{World, soon};
use muster_proto::link::{
    Authority, Identities, Moment, NewToken, PublicKey, Role, Roles, Target, Token, TokenId, connect_by,
};
use muster_proto::v1::cluster_client::ClusterClient;
use muster_proto::v1::identity_client::IdentityClient;
use muster_proto::v1::{EnrollRequest, InfoRequest};
use rcgen::{KeyPair, PublicKeyData as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::{Code, Status};

/// Strangers at a time.
const KNOCKS: usize = 100;
const DAY_S: u64 = 24 * 3600;

/// An authority whose coordinator is not up yet.
struct Before {
    authority: Authority,
    now: Moment,
}

impl Before {
    fn at(folder: &Path) -> Self {
        Self { authority: Authority::load_or_create(folder).unwrap(), now: Moment::now() }
    }

    fn token(&self, change: impl FnOnce(&mut NewToken)) -> Token {
        let mut new = NewToken { roles: Roles::of(&[Role::Admin]), ..NewToken::default() };
        change(&mut new);
        self.authority.tokens().make(&new, self.now).unwrap().0
    }

    /// A certificate for a token, as of some time.
    fn signed(&self, token: &Token, at: Moment) -> Shown {
        let key = KeyPair::generate().unwrap();
        let signed = self.authority.enroll(token, &PublicKey::new(key.der_bytes()).unwrap(), at).unwrap();
        Shown { certificate: signed.certificate, key: key.serialize_der() }
    }
}

async fn world(keys: &Path) -> World {
    let keys = keys.to_owned();
    World::with(|_, config| {
        config.listen = Some("127.0.0.1:0".into());
        config.keys = Some(keys);
    })
    .await
}

async fn info(address: &str, shown: &Shown) -> Result<(), Status> {
    let channel = channel(address, Some(shown)).await.map_err(Status::unavailable)?;
    soon(ClusterClient::new(channel).info(InfoRequest { protocol: 1 })).await.map(drop)
}

async fn enroll(address: &str, token: Vec<u8>, public_key: Vec<u8>) -> Status {
    let request = EnrollRequest { token: token.into(), public_key: public_key.into() };
    soon(IdentityClient::new(stranger(address).await).enroll(request)).await.unwrap_err()
}

#[tokio::test]
async fn each_bad_certificate_has_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let before = Before::at(folder.path());
    let (token, revoked) = (before.token(|_| {}), before.token(|_| {}));
    let good = before.signed(&token, before.now);
    let ended = before.signed(&token, before.now.earlier(30 * DAY_S));
    let early = before.signed(&token, before.now.later(30 * DAY_S));
    let shut_out = before.signed(&revoked, before.now);
    before.authority.revoke(TokenId::of(&revoked), before.now).unwrap();
    drop(before);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Before::at(elsewhere.path());
    let foreign = other.signed(&other.token(|_| {}), other.now);
    let unknown = {
        // Signed by this authority for a token that nobody remembers.
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join("authority.pem"), copy.path().join("authority.pem")).unwrap();
        let copy = Before::at(copy.path());
        copy.signed(&copy.token(|_| {}), copy.now)
    };

    let world = world(folder.path()).await;
    let address = world.running.tls_addr.unwrap().to_string();
    soon(info(&address, &good)).await.unwrap();
    let cut = Shown { certificate: good.certificate[..good.certificate.len() - 9].to_vec(), ..good.clone() };
    let another_key = Shown { key: KeyPair::generate().unwrap().serialize_der(), ..good.clone() };
    for (name, shown, words) in [
        ("ended", &ended, "the certificate ended at 20"),
        ("not yet valid", &early, "the certificate is valid only from 20"),
        ("of another authority", &foreign, "not one of this cluster's authority"),
        ("of a revoked token", &shut_out, "was revoked at 20"),
        ("of an unknown token", &unknown, "no such token"),
    ] {
        let status = soon(info(&address, shown)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status}");
        assert!(status.message().contains(words), "{name}: {status}");
    }
    // These do not get through the handshake: nobody has the key of a certificate that cannot be read.
    for shown in [&cut, &another_key] {
        assert!(soon(info(&address, shown)).await.is_err());
    }
    soon(info(&address, &good)).await.unwrap();
}

#[tokio::test]
async fn each_bad_token_has_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let before = Before::at(folder.path());
    let ended = before.token(|new| new.life_s = Some(0));
    let used_up = before.token(|new| new.uses_max = Some(1));
    before.signed(&used_up, before.now);
    let revoked = before.token(|_| {});
    before.authority.revoke(TokenId::of(&revoked), before.now).unwrap();
    drop(before);
    let world = world(folder.path()).await;
    let address = world.running.tls_addr.unwrap().to_string();
    let key = KeyPair::generate().unwrap().der_bytes().to_vec();
    let standing = Target::parse(world.running.join_string().unwrap()).unwrap();
    let Target::Tls { token: standing, .. } = standing else { panic!() };
    for (token, public_key, code, words) in [
        (ended.0.to_vec(), key.clone(), Code::Unauthenticated, "the token ended at 20"),
        (used_up.0.to_vec(), key.clone(), Code::Unauthenticated, "used up (1 of 1 uses)"),
        (revoked.0.to_vec(), key.clone(), Code::Unauthenticated, "was revoked at 20"),
        (vec![7; 32], key.clone(), Code::Unauthenticated, "no such token"),
        (vec![7; 31], key.clone(), Code::InvalidArgument, "token has 31 bytes"),
        (standing.0.to_vec(), key[1..].to_vec(), Code::InvalidArgument, "public_key"),
        (standing.0.to_vec(), vec![], Code::InvalidArgument, "public_key"),
        (vec![7; 5_000], key.clone(), Code::ResourceExhausted, "too large"),
    ] {
        let status = soon(enroll(&address, token, public_key)).await;
        assert_eq!(status.code(), code, "{words}: {status}");
        assert!(status.message().contains(words), "{words}: {status}");
    }
    connect_by(&Identities::in_memory(), &Target::parse(world.running.join_string().unwrap()).unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let before = Before::at(folder.path());
    // Signed for the seven days that are usual, six of which and almost all of the seventh are over.
    let token = before.token(|_| {});
    let shown = before.signed(&token, before.now.earlier(7 * DAY_S - 4));
    drop(before);
    let world = world(folder.path()).await;
    let address = world.running.tls_addr.unwrap().to_string();
    let mut client = ClusterClient::new(channel(&address, Some(&shown)).await.unwrap());
    soon(client.info(InfoRequest { protocol: 1 })).await.unwrap();
    let ended = soon(async {
        loop {
            match client.info(InfoRequest { protocol: 1 }).await {
                Err(status) if status.code() != Code::Unauthenticated => return status,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let status = ended.await;
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{status}");
}

/// The processes that the memory of strangers is measured in have nothing else to do.
struct Program {
    child: std::process::Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Program {
    fn start() -> Self {
        use std::io::BufRead as _;
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_muster-coordinator"))
            .args(["--http", "none", "--listen", "127.0.0.1:0", "--state"])
            .arg(folder.path().join("state"))
            .arg("--socket")
            .arg(folder.path().join("socket"))
            .env("MUSTER_LOG", "info")
            .stdout(std::process::Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = Target::parse(line.trim()).unwrap().to_string();
        Self { child, address, folder }
    }

    fn anonymous_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    fn log_lines(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap().lines().count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What strangers do: say nothing, stop within the handshake, stop behind it, open streams and send bodies that nobody
/// asked for, show wrong tokens.
async fn knock(address: Arc<str>, number: usize) -> Option<Box<dyn std::any::Any + Send>> {
    match number % 5 {
        0 => Some(Box::new(TcpStream::connect(&*address).await.ok()?)),
        1 => {
            let mut stream = TcpStream::connect(&*address).await.ok()?;
            stream.write_all(&[22, 3, 1, 2, 0, 1]).await.ok()?;
            Some(Box::new(stream))
        }
        2 => Some(Box::new(handshake(&address, None).await.ok()?)),
        3 => {
            let channel = channel(&address, None).await.ok()?;
            let request =
                EnrollRequest { token: vec![0; 1 << 20].into(), public_key: vec![0; 1 << 20].into() };
            let _ = IdentityClient::new(channel.clone()).enroll(request).await;
            Some(Box::new(channel))
        }
        _ => {
            let channel = channel(&address, None).await.ok()?;
            let request = EnrollRequest { token: vec![7; 32].into(), public_key: vec![4; 65].into() };
            let _ = IdentityClient::new(channel.clone()).enroll(request).await;
            Some(Box::new(channel))
        }
    }
}

async fn knocks(address: &Arc<str>, count: usize) -> usize {
    let mut knocking = tokio::task::JoinSet::new();
    let mut held = Vec::new();
    for number in 0..count {
        let address = Arc::clone(address);
        knocking.spawn(async move {
            tokio::time::timeout(Duration::from_secs(20), knock(address, number)).await.ok().flatten()
        });
        if knocking.len() >= 100 {
            held.extend(knocking.join_next().await.unwrap().unwrap());
        }
    }
    held.extend(knocking.join_all().await.into_iter().flatten());
    held.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_given_little_memory_and_few_lines() {
    let program = Program::start();
    let address: Arc<str> = program.address.as_str().into();
    // What the first ones cost is paid once: buffers, threads, pages of the allocator.
    knocks(&address, KNOCKS).await;
    let before = program.anonymous_kib();
    let begun = Instant::now();
    let mut more = Vec::new();
    for _ in 0..5 {
        let held = knocks(&address, KNOCKS).await;
        more.push(program.anonymous_kib().saturating_sub(before));
        eprintln!("{held} of {KNOCKS} connected; {} KiB more than before", more[more.len() - 1]);
    }
    // Now and then the allocator has a hundred pages more or less.
    more.sort_unstable();
    let lines = program.log_lines();
    eprintln!(
        "{} strangers in {:.1} s: {more:?} KiB more, {lines} lines of log",
        more.len() * KNOCKS,
        begun.elapsed().as_secs_f64(),
    );
    assert!(more[more.len() / 2] < 1024, "{before} KiB, then {more:?} more");
    // Ten a minute, and what a start says.
    assert!(lines < 40 + 10 * (begun.elapsed().as_secs() / 60) as usize, "{lines} lines");
}
