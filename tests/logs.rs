//! `muster job logs`: every line is kept, found by its task, and shown harmlessly, whatever the shape.

#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;

use fixture::{Muster, compile_c, plugin};
use serde_json::Value;
use std::path::Path;

fn chatty(muster: &Muster) -> String {
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"];
    let source = include_str!("fixtures/plugins/chatty.c");
    compile_c(source, Path::new(&muster.path("chatty.so")), &flags).to_str().unwrap().to_owned()
}

fn submit(muster: &Muster, arguments: &[&str]) -> String {
    let job = muster.run(&[&["submit"], arguments].concat()).ok().text().trim().to_owned();
    muster.run(&["job", "wait", &job]);
    job
}

fn lines(muster: &Muster, arguments: &[&str]) -> Vec<Value> {
    muster.run(&[&["job", "logs", "--json"], arguments].concat()).ok().json_lines()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

#[test]
fn each_line_is_of_the_task_that_wrote_it() {
    let muster = Muster::new();
    let plugin = chatty(&muster);
    muster.run(&["up", "-w", "1", "-t", "2", "--oversubscribe"]).ok();
    let shapes: [&[&str]; 2] = [&["-t", "1"], &["--model", "process", "-p", "2", "--oversubscribe"]];
    for shape in shapes {
        let job = submit(&muster, &[&[plugin.as_str(), "-n", "40"], shape].concat());
        let all = lines(&muster, &[&job]);
        assert_eq!(all.len(), 120, "{shape:?}: {all:?}");
        assert!(all.windows(2).all(|two| two[0]["time_s"].as_f64() <= two[1]["time_s"].as_f64()), "{all:?}");
        for line in &all {
            // Each text ends with the number of its task.
            let index = line["text"].as_str().unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            assert_eq!((&line["task"], &line["attempt"]), (&index.into(), &1.into()), "{shape:?}: {line}");
        }
        let mut seven = lines(&muster, &[&format!("{job}.7")]);
        seven.sort_by_key(|line| line["text"].as_str().unwrap().to_owned());
        assert_eq!(texts(&seven), ["half of 7", "printed by 7", "warned by 7"], "{shape:?}");
        assert_eq!((&seven[2]["source"], &seven[2]["level"]), (&"log".into(), &"warn".into()));
        assert_eq!((&seven[0]["source"], &seven[0]["level"]), (&"output".into(), &Value::Null));
        assert_eq!(lines(&muster, &[&job, "--tail", "5"]), all[115..]);
    }
    // Several threads share one stdout: lines are there, whosever they are, and log calls know their task.
    let job = submit(&muster, &[&plugin, "-n", "40", "-t", "2", "--oversubscribe"]);
    let all = lines(&muster, &[&job]);
    let said = |part: &str| texts(&all).iter().map(|text| text.matches(part).count()).sum::<usize>();
    assert_eq!((said("warned"), said("printed"), said("half")), (40, 40, 40), "{all:?}");
    let calls = all.iter().filter(|line| line["source"] == "log");
    assert!(calls.clone().all(|line| line["text"] == format!("warned by {}", line["task"])), "{all:?}");
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}

#[test]
fn what_is_asked_for_is_chosen_and_what_is_gone_is_said() {
    let muster = Muster::new();
    let chatty = chatty(&muster);
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let job = submit(&muster, &[&chatty, "-n", "20", "bad=5", "wrong=9"]);
    let failed = lines(&muster, &[&job, "--failed"]);
    let tasks: std::collections::BTreeSet<u64> =
        failed.iter().map(|line| line["task"].as_u64().unwrap()).collect();
    assert_eq!(tasks, [5, 9].into());
    // The one that crashed was tried three times.
    let tries =
        |task: u64| failed.iter().filter(|line| line["task"] == task && line["source"] == "log").count();
    assert_eq!((tries(5), tries(9)), (3, 1), "{failed:?}");
    // In a job of its own: a crash may let its task say all of it again, and what comes too fast is dropped.
    let talk = submit(&muster, &[&chatty, "-n", "20", "loud=3", "lines=20000"]);
    let loud = lines(&muster, &[&format!("{talk}.3")]);
    let bytes: usize = texts(&loud).iter().map(|text| text.len() + 1).sum();
    assert!(bytes <= (64 << 10) + 300, "{bytes}");
    assert!(texts(&loud).iter().any(|text| text.contains("are left out here")), "{loud:?}");
    let said = texts(&loud);
    let (first, last) = (&said[..said.len().min(3)], &said[said.len().saturating_sub(3)..]);
    // What goes before it had not ended its line.
    assert!(
        said.contains(&"half of 3loud line 0") && said.contains(&"loud line 19999"),
        "{first:?} .. {last:?}"
    );
    let plain = muster.run(&["job", "logs", &format!("{job}.7")]).ok().text();
    assert!(plain.contains(" task 7 worker-1 warn ] warned by 7") && !plain.contains('\x1b'), "{plain}");
    // Following a job that has ended ends; a running one is followed until it has.
    assert!(lines(&muster, &[&job, "-f"]).len() > 60);
    let running = muster.run(&["submit", &chatty, "-n", "300", "-t", "1"]).ok().text().trim().to_owned();
    let followed = lines(&muster, &[&running, "-f"]);
    assert_eq!(followed.len(), 900);
    muster.run(&["job", "logs", "-f", "--failed"]).fails(2, &["--failed", "-f"]);
    muster.run(&["job", "logs", "99"]).fails(3, &["99"]);
    muster.run(&["job", "logs", "1.x"]).fails(2, &["JOB.INDEX"]);
    let quiet = submit(&muster, &[&plugin("null"), "-n", "3"]);
    for (arguments, words) in [
        (&[quiet.as_str()][..], ["anything that is still there", "run the job again"]),
        (&[&format!("{quiet}.1")], ["task 1 of job", "nothing that is still there"]),
        (&[&quiet, "--failed"], ["no failed task of job", "no task failed"]),
    ] {
        let said = muster.run(&[&["job", "logs"], arguments].concat()).ok().stderr;
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
        assert!(said.contains("s ago and has ended (done)\nhint: ") && said.lines().count() == 2, "{said}");
    }
    let waits =
        muster.run(&["submit", &plugin("sleep"), "ms=100000", "-n", "1"]).ok().text().trim().to_owned();
    let said = muster.run(&["job", "logs", &waits]).ok().stderr;
    assert!(said.contains(" yet; the job is ") && said.contains(&format!("job logs {waits} -f")), "{said}");
    muster.run(&["job", "cancel", &waits]).ok();
    muster.run(&["down"]).ok();
    muster.run(&["up", "-w", "1", "-t", "1"]).ok();
    let gone = muster.run(&["job", "logs", &job]).ok();
    let words =
        ["no task of job", "anything that is still there", "has ended (done)", "are kept: muster job why"];
    assert!(gone.text().is_empty(), "{}", gone.text());
    assert!(words.iter().all(|words| gone.stderr.contains(words)), "{}", gone.stderr);
    let no_such_task = format!("job {job} has no task 20: it has 20");
    muster.run(&["job", "logs", &format!("{job}.20")]).fails(3, &[&no_such_task]).says_no_more();
    muster.run(&["down"]).ok();
    muster.assert_no_process_left();
}
