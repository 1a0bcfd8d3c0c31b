//! State folders without their coordinators: whether they are whole, copies of them, less room.

#![allow(clippy::unwrap_used, missing_docs)]

mod daemons;
mod fixture;
mod ledger;
mod siege;

use daemons::{SOON, until};
use fixture::{Muster, Started, end, joinable_with, plugin};
use ledger::Faults;
use rusqlite::Connection;
use siege::Siege;
use std::fs;
use std::path::{Path, PathBuf};

fn words<'a>(command: &'a str, folder: &'a Path) -> [&'a str; 3] {
    ["state", command, folder.to_str().unwrap()]
}

/// Copies a folder that nobody uses.
fn copy(muster: &Muster, from: &Path, name: &str) -> PathBuf {
    let to = muster.path(name);
    muster.run(&[&words("backup", from)[..], &[to.to_str().unwrap()]].concat()).ok();
    to
}

#[test]
fn a_copy_of_a_busy_state_goes_on_by_itself() {
    let mut siege = Siege::new(2);
    let done = siege.submit(0, 200);
    siege.wait(&done);
    let running = siege.submit(1_000, 6_000);
    until("tasks that ran", SOON, || (siege.starts(&running).tasks > 100).then_some(()));
    let folder = copy(&siege.muster, &siege.state, "copy");
    siege.muster.run(&words("check", &siege.state)).ok();
    assert!(!siege.has_ended(&running), "it was copied while it ran");
    let checked = siege.muster.run(&words("check", &folder)).ok().text();
    assert!(
        checked.starts_with("whole: 2 jobs with ") && checked.contains("nothing is damaged"),
        "{checked}"
    );
    let other = Siege::with_state(2, Some(folder), &[]);
    for cluster in [&other, &siege] {
        cluster.wait(&running);
        for job in [&done, &running] {
            assert_eq!(cluster.faults(job), Faults::default());
        }
    }
}

/// Jobs of every kind: 1 has results in files, 2 in rows, 3 has one output, 4 waits with an input in a file.
fn folder_with_all(muster: &Muster) -> PathBuf {
    let state = muster.path("state");
    let (coordinator, join) = joinable_with(muster, &["--state", state.to_str().unwrap()]);
    let worker = muster
        .start(&["worker", "start", "--join", &join, "--trust", "any", "--slots", "2", "--http", "none"]);
    muster.run(&["submit", &plugin("null"), "-n", "3", "bytes_out=2000000"]).ok();
    muster.run(&["submit", &plugin("null"), "-n", "100", "bytes_out=8"]).ok();
    muster.run(&["submit", &plugin("primes"), "limit=10000", "--reduce"]).ok();
    for job in ["1", "2", "3"] {
        muster.run(&["job", "wait", job]).ok();
    }
    end(worker);
    let text = muster.write("text", "word ".repeat(400_000));
    muster.run(&["submit", &plugin("wordcount"), "--files", &text]).ok();
    end(coordinator);
    state
}

fn change(folder: &Path, statements: &str) {
    Connection::open(folder.join("muster.db")).unwrap().execute_batch(statements).unwrap();
}

/// The file that a row names.
fn file(folder: &Path, query: &str) -> PathBuf {
    let database = Connection::open(folder.join("muster.db")).unwrap();
    let name: String = database.query_row(query, [], |row| row.get(0)).unwrap();
    folder.join("blobs").join(name)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

const RESULT: &str = "SELECT lower(hex(blob)) FROM results WHERE job = 1 LIMIT 1";
const INPUT: &str = "SELECT lower(hex(blob)) FROM inputs WHERE job = 4";
const PLUGIN: &str = "SELECT lower(hex(digest)) FROM plugins WHERE name = 'primes'";

type Damage = (&'static str, fn(&Path), &'static [&'static str]);

#[test]
fn everything_that_is_damaged_is_named() {
    let damages: [Damage; 15] = [
        (
            "a result's file was changed",
            |at| flip(&file(at, RESULT), 1_000),
            &["job 1: the file blobs/", "was changed"],
        ),
        (
            "a result's file is gone",
            |at| fs::remove_file(file(at, RESULT)).unwrap(),
            &["job 1: ", "No such file"],
        ),
        (
            "an input's file was changed",
            |at| flip(&file(at, INPUT), 1_000),
            &["job 4: the file blobs/", "was changed"],
        ),
        (
            "an input's file is gone",
            |at| fs::remove_file(file(at, INPUT)).unwrap(),
            &["job 4: ", "No such file"],
        ),
        (
            "a plugin is gone",
            |at| fs::remove_file(file(at, PLUGIN)).unwrap(),
            &["plugin primes@", "No such file"],
        ),
        (
            "results were changed",
            |at| change(at, "UPDATE results SET data = randomblob(length(data)) WHERE job = 2"),
            &["job 2: its results are not those that were committed"],
        ),
        (
            "results are gone",
            |at| change(at, "DELETE FROM results WHERE job = 2"),
            &["job 2: 0 results are kept of 100 tasks that have one"],
        ),
        (
            "an output was changed",
            |at| change(at, "UPDATE jobs SET reduced = x'0102' WHERE job = 3"),
            &["job 3: its output is not the one that it ended with"],
        ),
        (
            "a description was changed",
            |at| change(at, "UPDATE jobs SET spec = x'ff' WHERE job = 2"),
            &["job 2: ", "the description of job 2 is damaged"],
        ),
        (
            "a task failed that has a result",
            |at| change(at, "INSERT INTO failures VALUES (2, 5, 1, 'x')"),
            &["job 2: ", "a failure of job 2 is damaged"],
        ),
        (
            "two jobs",
            |at| change(at, "UPDATE jobs SET spec = x'ff' WHERE job IN (2, 3)"),
            &["job 2: ", "job 3: ", "damaged: 2"],
        ),
        (
            "the database was cut",
            |at| {
                let path = at.join("muster.db");
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(fs::metadata(&path).unwrap().len() / 2).unwrap();
            },
            &["malformed"],
        ),
        (
            "the database is empty",
            |at| fs::write(at.join("muster.db"), "").unwrap(),
            &["muster.db is missing or empty"],
        ),
        (
            "a newer muster wrote it",
            |at| change(at, "PRAGMA user_version = 99"),
            &["has format 99", "use the newer muster"],
        ),
        (
            "the tokens were changed",
            |at| fs::write(at.join("authority/tokens.json"), "{").unwrap(),
            &["tokens.json"],
        ),
    ];
    let muster = Muster::new();
    let state = folder_with_all(&muster);
    let checked = muster.run(&words("check", &state)).ok().text();
    assert_eq!(checked, "whole: 4 jobs with 103 kept results, 3 plugins; nothing is damaged\n");
    for (number, (what, damage, said)) in damages.into_iter().enumerate() {
        let folder = copy(&muster, &state, &format!("copy-{number}"));
        damage(&folder);
        let checked = muster.run(&words("check", &folder)).exits(9);
        let text = checked.text() + &checked.stderr;
        assert!(said.iter().all(|word| text.contains(word)), "{what}: {text}");
        assert!(!text.contains("panicked"), "{what}: {text}");
    }
}

#[test]
fn a_folder_of_an_older_muster_is_not_damaged() {
    let muster = Muster::new();
    let state = folder_with_all(&muster);
    change(&state, "DROP INDEX inputs_by_blob; DROP INDEX results_by_blob; PRAGMA user_version = 5");
    let checked = muster.run(&words("check", &state)).ok().text();
    assert!(checked.contains("the older format 5") && checked.contains("nothing is damaged"), "{checked}");
    let folder = copy(&muster, &state, "copy");
    let (coordinator, _) = joinable_with(&muster, &["--state", folder.to_str().unwrap()]);
    muster.run(&["job", "results", "2"]).ok();
    end(coordinator);
    assert!(muster.run(&words("check", &folder)).ok().text().starts_with("whole: 4 jobs"));
}

/// A coordinator does not start with a damaged job; without it, it does.
#[test]
fn a_damaged_job_can_be_removed() {
    let muster = Muster::new();
    let state = folder_with_all(&muster);
    change(&state, "UPDATE jobs SET spec = x'ff' WHERE job = 2");
    let name = state.to_str().unwrap();
    let start = ["coordinator", "start", "--listen", "none", "--http", "none", "--state", name];
    muster.run(&start).fails(9, &["the description of job 2 is damaged", "muster state rm"]);
    muster.run(&["state", "rm", name, "2", "77"]).fails(3, &["holds no job 77"]);
    muster.run(&words("check", &state)).ok();
    let (coordinator, _) = joinable_with(&muster, &["--state", name]);
    muster.run(&["job", "results", "2"]).fails(3, &["job is 2"]);
    muster.run(&["job", "results", "3"]).ok();
    // As long as it runs, the folder is its own.
    muster.run(&["state", "rm", name, "3"]).fails(9, &["in use by another coordinator"]);
    muster.run(&words("compact", &state)).fails(9, &["in use by another coordinator"]);
    end(coordinator);
}

#[test]
fn a_copy_takes_nobodys_place() {
    let muster = Muster::new();
    let state = folder_with_all(&muster);
    let to = |name: &str| muster.path(name).to_str().unwrap().to_owned();
    let backup = |to: &str| muster.run(&[&words("backup", &state)[..], &[to]].concat());
    muster.write("full/file", "x");
    std::os::unix::fs::symlink(muster.path("elsewhere"), muster.path("link")).unwrap();
    for name in ["full", "full/file", "link"] {
        backup(&to(name)).fails(2, &[name, "is there already"]);
    }
    assert!(!muster.path("elsewhere").exists());
    fs::create_dir(muster.path("broken.part")).unwrap();
    backup(&to("broken")).fails(2, &["broken.part", "another backup"]);
    backup(&to("none/below")).fails(9, &["none/below.part", "No such file"]);
    fs::create_dir(muster.path("empty")).unwrap();
    backup(&to("empty")).ok();
    for missing in ["nowhere", "full"] {
        let folder = muster.path(missing);
        for command in ["check", "compact"] {
            muster.run(&words(command, &folder)).fails(2, &[missing, "--state"]);
        }
        muster.run(&["state", "rm", folder.to_str().unwrap(), "1"]).fails(2, &[missing]);
    }
    // Nobody else may read a copy: it has the keys.
    let mode = |path: PathBuf| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    };
    let copied = muster.path("empty");
    assert_eq!(mode(copied.clone()), 0o700);
    for file in ["muster.db", "authority/authority.pem", "authority/token", "authority/tokens.json"] {
        assert_eq!(mode(copied.join(file)), 0o600, "{file}");
    }
    let damaged = file(&state, RESULT);
    flip(&damaged, 5);
    backup(&to("damaged")).fails(9, &["was changed", "muster state check"]);
    assert!(!muster.path("damaged").exists() && !muster.path("damaged.part").exists());
}

/// What joined the cluster that was copied knows the copy, but takes none of its jobs for its own.
#[test]
fn a_copy_has_the_keys_and_another_identity() {
    let muster = Muster::new();
    let state = folder_with_all(&muster);
    let folder = copy(&muster, &state, "copy");
    let identity = |folder: &Path| -> Option<i64> {
        let database = Connection::open(folder.join("muster.db")).unwrap();
        database.query_row("SELECT value FROM meta WHERE key = 'identity'", [], |row| row.get(0)).ok()
    };
    assert!(identity(&state).is_some() && identity(&folder).is_none());
    let pem = |folder: &Path| fs::read(folder.join("authority/authority.pem")).unwrap();
    assert_eq!(pem(&state), pem(&folder));
    let (coordinator, join) = joinable_with(&muster, &["--state", folder.to_str().unwrap()]);
    let (_, pin) = join.split_once("127.0.0.1:").unwrap();
    let listed = Started::new(muster.command(&["job", "ls", "--json"])).finish().ok().json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 4);
    end(coordinator);
    assert!(identity(&folder).is_some_and(|own| Some(own) != identity(&state)));
    let (coordinator, again) = joinable_with(&muster, &["--state", state.to_str().unwrap()]);
    let rest = |text: &str| text.split_once(':').unwrap().1.to_owned();
    assert_eq!(rest(pin), rest(again.split_once("127.0.0.1:").unwrap().1), "the same pin and token");
    end(coordinator);
}

#[test]
fn a_folder_is_compacted() {
    let muster = Muster::new();
    let state = folder_with_all(&muster);
    change(&state, "CREATE TABLE filler (x); INSERT INTO filler SELECT randomblob(16000000)");
    change(&state, "DROP TABLE filler");
    let bytes = || fs::metadata(state.join("muster.db")).unwrap().len();
    let before = bytes();
    let compacted = muster.run(&["state", "compact", state.to_str().unwrap(), "--json"]).ok().json();
    assert!(before - bytes() > 15_000_000, "{before} became {}", bytes());
    assert!(compacted["bytes"].as_u64().unwrap() < compacted["bytes_before"].as_u64().unwrap());
    muster.run(&words("check", &state)).ok();
}
