use super::*;
use muster_core::scheduler::{PolicySpec, RetryPolicy};
use std::path::Path;

const WORKERS: &str = "[[workers]]\ncount = 4\nslots = 2\n";
const LINK: &str = "[[links]]\nname = \"lan\"\nlatency = \"1ms\"\n";
const JOB: &str = "[[jobs]]\ntasks = 10\ntime = { exp = \"1s\" }\n";

fn parse_with(text: &str, changes: &[&str]) -> Result<Scenario, ScenarioError> {
    let changes: Vec<Override> = changes.iter().map(|change| change.parse().unwrap()).collect();
    Scenario::parse(text, "scenario.toml", Path::new(""), &changes)
}

fn parse(text: &str) -> Scenario {
    parse_with(text, &[]).unwrap()
}

/// The message of a file: the top, workers, a job, and what follows.
#[track_caller]
fn refused(top: &str, end: &str, message: &str) {
    let text = format!("{top}{WORKERS}{JOB}{end}");
    let error = parse_with(&text, &[]).unwrap_err().to_string();
    assert_eq!(error, format!("scenario.toml:{message}"), "{text}");
}

/// The whole cluster, every key once.
const FULL: &str = include_str!("full.toml");

#[test]
fn every_key_is_read() {
    let scenario = parse(FULL);
    assert_eq!((scenario.name.as_str(), scenario.seed), ("everything", 7));
    assert_eq!(scenario.until, Span::from_millis(86_400_000));
    let scheduling = Scheduling {
        policy: "priority+adaptive:50ms+speculation".parse().unwrap(),
        lease: Span::from_millis(20_000),
        credit_tasks: 3,
        credit: Span::from_millis(200),
        claim: Span::from_millis(2),
        hold: Span::from_millis(50),
    };
    assert_eq!(scenario.scheduling, scheduling);
    let coordinator = Coordinator {
        per_message: Span::from_micros(20),
        per_byte_ps: 100,
        commit: Span::from_micros(100),
        bandwidth: Some(1_000_000_000),
    };
    assert_eq!(scenario.coordinator, coordinator);
    let group = WorkerGroup {
        name: "fast".to_owned(),
        count: 10,
        slots: 4,
        cores: 2,
        speed: 1.5,
        executor_start: Span::from_millis(3),
        plugin_load: Span::from_millis(4),
        link: Some(0),
    };
    assert_eq!(scenario.workers[0], group);
    assert_eq!(scenario.workers[1].name, "workers-2");
    assert_eq!((scenario.workers[1].cores, scenario.workers[1].link), (1, None));
    let link = Link {
        name: "lan".to_owned(),
        latency: Span::from_millis(1),
        jitter: Span::from_micros(100),
        bandwidth: Some(125_000_000),
        worker_bandwidth: Some(12_500_000),
        unreliable: Unreliable { drop: 0.01, duplicate: 0.02, reorder: 0.03 },
    };
    assert_eq!(scenario.links[0], link);
    let job = &scenario.jobs[0];
    assert_eq!((job.name.as_str(), job.submit_at, job.io), ("main", Span::from_millis(5_000), 0.5));
    let spec = JobSpec {
        tasks: 10_000_000,
        weight: 2,
        priority: -3,
        max_attempts: 5,
        retry: RetryPolicy { backoff: Span::from_millis(20), ..RetryPolicy::default() },
        shape: muster_core::shape::ShapeRequest::Hybrid { processes: Some(2), threads: Some(3) },
        oversubscribe: true,
        ..JobSpec::default()
    };
    assert_eq!(job.spec, spec);
    assert_eq!((job.plugin_bytes, job.input_bytes, job.result_bytes), (1 << 20, 4 << 10, 8));
    let plugin = job.plugin.as_ref().unwrap();
    assert_eq!(plugin.name, "sleep");
    assert_eq!(plugin.params, [("ms", "10"), ("how", "hard")].map(|(key, value)| (key.into(), value.into())));
    assert_eq!(job.time, TaskTime::Const(Span::from_millis(10)));
    let times: Vec<&TaskTime> = scenario.jobs[1..].iter().map(|job| &job.time).collect();
    let (second, milli) = (Span::from_millis(1_000), Span::from_millis(1));
    assert_eq!(times[0], &TaskTime::Uniform { min: milli, max: Span::from_millis(3) });
    assert_eq!(times[1], &TaskTime::Exp { mean: second });
    assert_eq!(times[2], &TaskTime::Lognormal { median: second, sigma: 0.5 });
    assert_eq!(times[3], &TaskTime::Pareto { min: second, shape: 1.5 });
    assert_eq!(times[4], &TaskTime::Bimodal { short: Span::from_millis(10), long: second, share: 0.05 });
}

#[test]
fn every_kind_of_fault_is_read() {
    let all = Target { group: None, count: None };
    let fast = |count| Target { group: Some(0), count: Some(count) };
    let second = Span::from_millis(1_000);
    let expected = [
        (FaultKind::WorkerCrash { target: fast(3), restart: Some(second) }, When::At(second)),
        (FaultKind::ExecutorCrash { target: all }, When::Every(Span(3_600_000_000_000))),
        (FaultKind::CoordinatorCrash { restart: second }, When::At(second)),
        (FaultKind::Pause { target: all, length: second }, When::At(second)),
        (
            FaultKind::Partition { target: all, direction: Direction::ToWorkers, length: second },
            When::At(second),
        ),
        (FaultKind::Straggler { target: fast(5), factor: 3.0 }, When::At(Span::ZERO)),
        (FaultKind::Poison { job: 0, share: 0.25 }, When::At(Span::ZERO)),
        (FaultKind::Join { group: 1, count: 2 }, When::At(second)),
        (FaultKind::Leave { target: fast(1) }, When::At(second)),
        (FaultKind::ClockDrift { target: all, ppm: -100 }, When::At(Span::ZERO)),
    ];
    let expected: Vec<Fault> = expected.into_iter().map(|(kind, when)| Fault { kind, when }).collect();
    assert_eq!(parse(FULL).faults, expected);
}

#[test]
fn what_is_left_out_has_defaults() {
    let scenario = parse(&format!("{WORKERS}{JOB}"));
    assert_eq!((scenario.name.as_str(), scenario.seed), ("scenario", 1));
    assert_eq!(scenario.until, Span(30 * 86_400 * 1_000_000_000));
    let config = muster_core::scheduler::Config::default();
    assert_eq!((scenario.scheduling.lease, scenario.scheduling.credit), (config.lease, config.credit));
    assert_eq!(scenario.scheduling.policy, PolicySpec::default());
    assert_eq!((scenario.workers[0].name.as_str(), scenario.workers[0].cores), ("workers", 2));
    assert_eq!((scenario.workers[0].speed, scenario.workers[0].link), (1.0, None));
    assert_eq!((scenario.jobs[0].name.as_str(), scenario.jobs[0].spec.max_attempts), ("job", 3));
    assert_eq!(scenario.faults, []);
    // The only link is everybody's.
    assert_eq!(parse(&format!("{LINK}{WORKERS}{JOB}")).workers[0].link, Some(0));
    assert_eq!(parse(&format!("{LINK}{WORKERS}link = \"none\"\n{JOB}")).workers[0].link, None);
}

#[test]
fn files_that_are_not_there_or_no_text_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no.toml");
    let error = Scenario::read(&path, &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    std::fs::write(&path, b"\xff").unwrap();
    let error = Scenario::read(&path, &[]).unwrap_err().to_string();
    assert!(error.ends_with("it is not UTF-8 text"), "{error}");
}

#[test]
fn empty_lists_and_brackets_are_explained() {
    let cases = [
        ("", "1: [[workers]] is not there: add [[workers]] with count = 100"),
        (JOB, "1: [[workers]] is not there: add [[workers]] with count = 100"),
        (WORKERS, "1: [[jobs]] is not there: add [[jobs]] with tasks = 1000 and time = { exp = \"1s\" }"),
        ("[workers]\ncount = 1\n", "1: workers is a single table: write [[workers]], with double brackets"),
        ("workers = 5\n", "1: workers is 5: write it as a table [[workers]]"),
        ("workers = [1]\n", "1: workers is 1, and should be a table"),
        ("seed = 1\nseed = 2\n", "2: not TOML: duplicate key"),
        ("name = \n", "1: not TOML: string values must be quoted, expected literal string"),
    ];
    for (text, message) in cases {
        assert_eq!(
            parse_with(text, &[]).unwrap_err().to_string(),
            format!("scenario.toml:{message}"),
            "{text}"
        );
    }
    refused("", "[[coordinator]]\n", "7: coordinator is a list: write [coordinator], with single brackets");
}

#[test]
fn text_without_quotes_is_shown_with_them() {
    for (line, message) in [
        ("policy = fifo", "policy = fifo: text needs quotes: policy = \"fifo\""),
        ("policy = fifo  # first come", "policy = fifo: text needs quotes: policy = \"fifo\""),
        ("policy=fair+adaptive", "policy = fair+adaptive: text needs quotes: policy = \"fair+adaptive\""),
        ("lease = 10ms", "lease = 10ms: text needs quotes: lease = \"10ms\""),
        ("lease = 10 s", "lease = 10 s: text needs quotes: lease = \"10 s\""),
        ("name = true story", "name = true story: text needs quotes: name = \"true story\""),
        ("name = inf1", "name = inf1: text needs quotes: name = \"inf1\""),
        ("links = [{ latency = 10ms }]", "latency = 10ms: text needs quotes: latency = \"10ms\""),
        (
            "links = [{ name = \"a\", latency = 5us, jitter = \"1ms\" }]",
            "latency = 5us: text needs quotes: latency = \"5us\"",
        ),
        ("links = [1, ms]", "ms: text needs quotes: \"ms\""),
        ("jobs = [{ time = { uniform = [1ms, 3ms] } }]", "1ms: text needs quotes: \"1ms\""),
        ("jobs = [{ oversubscribe = True }]", "oversubscribe = True is written small: oversubscribe = true"),
    ] {
        let text = format!("# \u{e4}\n{line}\nseed = 1\n");
        let error = parse_with(&text, &[]).unwrap_err().to_string();
        assert_eq!(error, format!("scenario.toml:2: {message}"), "{line}");
        let error = parse_with(line, &[]).unwrap_err().to_string();
        assert_eq!(error, format!("scenario.toml:1: {message}"), "{line}");
    }
    // What is no text is left to the parser, and nothing breaks.
    for line in [
        "a\rb = x.y",
        "seed = 007",
        "seed = 1.",
        "name = ",
        "name = \"a",
        "name = a\"b",
        "=",
        "= x",
        "[x = y",
        "a = \u{e4}\u{201c}",
    ] {
        let error = parse_with(line, &[]).unwrap_err().to_string();
        assert!(error.starts_with("scenario.toml:1: not TOML: "), "{line}: {error}");
    }
}

#[test]
fn unknown_keys_are_named_with_what_was_meant() {
    refused("latency = \"1ms\"\n", "", "1: unknown key \"latency\" in the scenario: it belongs in [[links]]");
    for (key, meant) in [("job", "jobs"), ("worker", "workers"), ("cluster", "workers"), ("task", "jobs")] {
        let message = format!("1: unknown key {key:?} in the scenario: did you mean [[{meant}]]?");
        for text in [format!("[{key}]\ncount = 1\n"), format!("[[{key}]]\ncount = 1\n")] {
            assert_eq!(parse_with(&text, &[]).unwrap_err().to_string(), format!("scenario.toml:{message}"));
        }
    }
    let error = parse_with(&format!("{WORKERS}{JOB}"), &["worker.count=3"]).unwrap_err().to_string();
    assert!(error.ends_with("did you mean \"workers\"?"), "{error}");
    refused(
        "",
        "[[faults]]\nlenght = \"1s\"\nkind = \"stragglers\"\n",
        "9: kind = \"stragglers\" in [[faults]] is unknown: did you mean \"straggler\"?",
    );
    refused(
        "",
        "[[faults]]\nspeed_up = 2\nkind = \"straggler\"\n",
        "8: unknown key \"speed_up\" in [[faults]]: its keys are kind, at, every, workers, count, share, factor",
    );
    refused("polcy = \"fifo\"\n", "", "1: unknown key \"polcy\" in the scenario: did you mean \"policy\"?");
    refused(
        "[[links]]\n\nlatancy = \"1ms\"\n",
        "",
        "3: unknown key \"latancy\" in [[links]]: did you mean \"latency\"?",
    );
    refused(
        "[coordinator]\nseed = 1\n",
        "",
        "2: unknown key \"seed\" in [coordinator]: it belongs at the top, before the first [table]",
    );
    refused(
        "",
        "[coordinator]\nfoo = 1\n",
        "8: unknown key \"foo\" in [coordinator]: its keys are per_message, per_byte, commit, bandwidth",
    );
}

#[test]
fn top_level_values_are_checked() {
    let cases = [
        (
            "policy = \"fiffo\"",
            "policy = \"fiffo\" cannot be used: no policy has the word \"fiffo\", did you mean fifo? Words, joined by +: \
             fifo, fair, priority or random; fixed:N, guided, factoring or adaptive[:TIME]; speculation",
        ),
        ("policy = 5", "policy = 5 is not text: write it in quotes, \"5\""),
        ("policy = \"\"", "policy = \"\" is empty: write something, or leave it out"),
        (
            "name = \"a\\nb\"",
            "name = \"a\\nb\" has characters that cannot be shown: use one line of plain text",
        ),
        ("seed = -1", "seed = -1 is negative: write a whole number from 0 to 9223372036854775807"),
        (
            "seed = 9223372036854775808",
            "seed = 9223372036854775808 is too large: at most 9223372036854775807",
        ),
        ("seed = 1.5", "seed = 1.5 is not a whole number: write 2"),
        ("seed = \"7\"", "seed = \"7\" is text: write it without quotes, 7"),
        ("until = 5", "until = 5 has no unit: write \"5s\""),
        ("until = \"0s\"", "until = \"0s\" must be longer than nothing: write at least \"1ns\""),
        ("until = \"40000d\"", "until = \"40000d\" is too large: at most 36525d (100 years)"),
        ("until = \"-5s\"", "until = \"-5s\" is negative: write it as in \"5s\""),
        ("until = nan", "until = nan is not a finite number: write it as in \"5s\""),
        ("until = true", "until = true is not a duration: write it as in \"5s\""),
        ("lease = \"0s\"", "lease = \"0s\" is too short: at least \"1ms\", ten heartbeats"),
        ("credit_tasks = 0", "credit_tasks = 0 is too small: at least 1"),
    ];
    for (line, message) in cases {
        refused(&format!("{line}\n"), "", &format!("1: {message}"));
    }
}

#[test]
fn links_are_checked() {
    let cases = [
        ("latency = 5", "latency = 5 in [[links]] has no unit: write \"5ms\""),
        ("drop = 5", "drop = 5 in [[links]] is not from 0 to 1: for 5 percent write 0.05"),
        ("drop = -0.1", "drop = -0.1 in [[links]] is not from 0 to 1"),
        ("drop = nan", "drop = nan in [[links]] is not a finite number"),
        ("bandwidth = 100", "bandwidth = 100 in [[links]] has no unit: write \"100MB/s\""),
        ("bandwidth = \"0B/s\"", "bandwidth = \"0B/s\" in [[links]] must be at least 1B/s"),
        (
            "jitter = \"1 parsec\"",
            "jitter = \"1 parsec\" in [[links]] has the unknown unit \"parsec\": use ns, us, ms, s, m, h or d",
        ),
    ];
    for (line, message) in cases {
        refused(&format!("[[links]]\n{line}\n"), "", &format!("2: {message}"));
    }
    refused(
        &format!("{LINK}{LINK}"),
        "",
        "5: [[links]] has the name \"lan\" a second time (first: scenario.toml:2): give each its own name",
    );
    refused(
        "[[links]]\n[[links]]\nname = \"wan\"\n",
        "",
        "4: [[workers]] does not say which link it uses: add link = \"...\" (there are link, wan, and none)",
    );
}

#[test]
fn workers_are_checked() {
    let cases = [
        ("slots = 1", "1: [[workers]] has no count: add count = 100"),
        ("count = 0", "2: count = 0 in [[workers]] is too small: at least 1"),
        ("count = 20_000_000", "2: count = 20000000 in [[workers]] is too large: at most 1e7"),
        ("count = 1\nslots = 0", "3: slots = 0 in [[workers]] is too small: at least 1"),
        (
            "count = 1\ncores = -2",
            "3: cores = -2 in [[workers]] is negative: write a whole number from 1 to 4096",
        ),
        ("count = 1\nspeed = 0", "3: speed = 0 in [[workers]] is out of range: from 0.000001 to 1000000"),
        ("count = 1\nspeed = inf", "3: speed = inf in [[workers]] is not a finite number"),
        ("count = 1\nspeed = \"2\"", "3: speed = \"2\" in [[workers]] is text: write it without quotes, 2"),
        (
            "count = 1\nname = \"12\"",
            "3: name = \"12\" in [[workers]] is no name, but a place in a list: write \"workers-12\"",
        ),
        (
            "count = 1\nname = \"a b\"",
            "3: name = \"a b\" in [[workers]] is no name: use letters, digits, \"-\" and \"_\", at most 64",
        ),
        ("count = 1\nlink = \"lan\"", "3: link = \"lan\" in [[workers]] names no link: there is none"),
        (
            "count = 6e6\n[[workers]]\ncount = 6e6",
            "4: [[workers]] makes 12000000 workers in all groups together: at most 10000000",
        ),
        (
            "count = 1e6\nslots = 200",
            "2: [[workers]] makes 200000000 slots in all groups together: at most 100000000",
        ),
    ];
    for (lines, message) in cases {
        let text = format!("[[workers]]\n{lines}\n{JOB}");
        assert_eq!(parse_with(&text, &[]).unwrap_err().to_string(), format!("scenario.toml:{message}"));
    }
    let text = format!("{LINK}{WORKERS}link = \"lann\"\n{JOB}");
    let message = "scenario.toml:7: link = \"lann\" in [[workers]] names no link: did you mean \"lan\"? (there are lan)";
    assert_eq!(parse_with(&text, &[]).unwrap_err().to_string(), message);
}

#[test]
fn jobs_are_checked() {
    let time = "\ntime = { exp = \"1s\" }";
    let cases = [
        (format!("tasks = 1e12{time}"), "5: tasks = 1e12 in [[jobs]] is too large: at most 1e11"),
        (format!("tasks = 0{time}"), "5: tasks = 0 in [[jobs]] is too small: at least 1"),
        (
            format!("tasks = \"1e7\"{time}"),
            "5: tasks = \"1e7\" in [[jobs]] is text: write it without quotes, 1e7",
        ),
        ("tasks = 1".to_owned(), "4: [[jobs]] has no time: add time = { exp = \"1s\" }"),
    ];
    for (lines, message) in cases {
        let error = parse_with(&format!("{WORKERS}[[jobs]]\n{lines}\n"), &[]).unwrap_err().to_string();
        assert_eq!(error, format!("scenario.toml:{message}"));
    }
    let cases = [
        ("model = \"threads\"", "7: model = \"threads\" in [[jobs]] is unknown: did you mean \"thread\"?"),
        (
            "model = \"spawn\"",
            "7: model = \"spawn\" in [[jobs]] is neither simulated nor emulated: measure it with muster run --model spawn, \
             or write one of thread, process, hybrid",
        ),
        (
            "backoff = \"0ms\"",
            "7: backoff = \"0ms\" in [[jobs]] is no wait that can be kept: write \"1ms\" to \"1d\"",
        ),
        (
            "model = \"process\"\nthreads = 2",
            "8: threads = 2 in [[jobs]] does not fit to model = \"process\": leave it out, or write model = \"hybrid\"",
        ),
        (
            "threads = 8",
            "7: the shape in [[jobs]] wants 1x8 (8 slots), and no worker has more than 2: make it smaller, or set \
             oversubscribe = true",
        ),
        (
            "oversubscribe = \"yes\"",
            "7: oversubscribe = \"yes\" in [[jobs]] is neither true nor false: write one of them, without quotes",
        ),
        ("input_bytes = 4096", "7: input_bytes = 4096 in [[jobs]] has no unit: write \"4096B\""),
        ("params = { ms = 1 }", "7: params = {...} in [[jobs]] belongs to a plugin: add plugin = \"...\""),
        ("plugin = \"sleep\"\nparams = { ms = [1] }", "8: ms = [...] in [[jobs]] is not a single value"),
    ];
    for (lines, message) in cases {
        refused("", &format!("{lines}\n"), message);
    }
}

#[test]
fn times_are_checked() {
    let cases = [
        (
            "5",
            "time = 5 in [[jobs]] names no distribution: write it as in { const = \"10ms\" } or { exp = \"1s\" }",
        ),
        (
            "{}",
            "time = {...} in [[jobs]] is empty: write one of const, uniform, exp, lognormal, pareto, bimodal, recorded",
        ),
        ("{ exp = \"1s\", const = \"1s\" }", "time has both exp and const: keep one of them"),
        ("{ expo = \"1s\" }", "unknown key \"expo\" in time of [[jobs]]: did you mean \"exp\"?"),
        ("{ exp = 1 }", "exp = 1 in time of [[jobs]] has no unit: write \"1s\""),
        (
            "{ uniform = [\"3s\", \"1s\"] }",
            "uniform = \"3s\" in time of [[jobs]] is longer than the second, \"1s\": swap them",
        ),
        (
            "{ uniform = [\"1s\"] }",
            "uniform = [...] in time of [[jobs]] has 1 values, and should have two: [\"1ms\", \"3ms\"]",
        ),
        (
            "{ lognormal = { mean = \"2s\", sigma = 1 } }",
            "mean = \"2s\" in lognormal of [[jobs]] is not the median: write median = mean / exp(sigma\u{b2}/2)",
        ),
        (
            "{ lognormal = [\"2s\", 0.5] }",
            "lognormal = [...] in time of [[jobs]] is not a table: write it as in { median = \"1s\", sigma = 0.5 }",
        ),
        (
            "{ pareto = \"1s\" }",
            "pareto = \"1s\" in time of [[jobs]] is not a table: write it as in { min = \"1s\", shape = 1.5 }",
        ),
        (
            "{ bimodal = 5 }",
            "bimodal = 5 in time of [[jobs]] is not a table: write it as in { short = \"10ms\", long = \"1s\", \
             share = 0.05 }",
        ),
        ("{ lognormal = { median = \"1s\" } }", "lognormal of [[jobs]] has no sigma: add sigma = 0.5"),
        (
            "{ lognormal = { median = \"1s\", sigma = -1 } }",
            "sigma = -1 in lognormal of [[jobs]] is out of range: from 0 to 10",
        ),
        (
            "{ pareto = { min = \"1s\", shape = 0 } }",
            "shape = 0 in pareto of [[jobs]] is out of range: above 0, and at least 0.001; usual is 1.1 to 3",
        ),
        (
            "{ bimodal = { short = \"2s\", long = \"1s\", share = 0.1 } }",
            "short = \"2s\" in bimodal of [[jobs]] is longer than long, \"1s\": swap them",
        ),
    ];
    for (time, message) in cases {
        let error = parse_with(&format!("{WORKERS}[[jobs]]\ntasks = 1\ntime = {time}\n"), &[]).unwrap_err();
        assert_eq!(error.to_string(), format!("scenario.toml:6: {message}"));
    }
}

#[test]
fn faults_are_checked() {
    let cases = [
        (
            "kind = \"worker-crash\"",
            "8: kind = \"worker-crash\" in [[faults]] is unknown: did you mean \"worker_crash\"?",
        ),
        ("kind = \"leave\"", "7: [[faults]] has no at or every: add at = \"5s\" or every = \"1h\""),
        ("kind = \"pause\"\nat = \"1s\"", "7: [[faults]] has no length: add length = \"10s\""),
        (
            "kind = \"leave\"\nat = \"1s\"\nevery = \"1s\"",
            "10: every = \"1s\" in [[faults]] stands beside at: keep one of them",
        ),
        (
            "kind = \"leave\"\nat = \"1s\"\nrestart = \"1s\"",
            "10: restart = \"1s\" in [[faults]] does not belong to kind = \"leave\": it takes at, every, workers, \
             count, share",
        ),
        (
            "kind = \"poison\"\nevery = \"1s\"\nshare = 0.1",
            "9: every = \"1s\" in [[faults]] does not belong to kind = \"poison\", which lasts: use at",
        ),
        (
            "kind = \"join\"\nevery = \"1ms\"\ncount = 1000",
            "10: join in [[faults]] makes about 2592000000004 workers with those from the start: at most 10000000; make \
             joins rarer, or set until",
        ),
        (
            "kind = \"leave\"\nat = \"1s\"\nworkers = \"fast\"",
            "10: workers = \"fast\" in [[faults]] names no group of workers: there are workers",
        ),
        (
            "kind = \"leave\"\nat = \"1s\"\ncount = 5",
            "10: count = 5 in [[faults]] is more than there are: 4 workers",
        ),
        (
            "kind = \"straggler\"\nshare = 1.5\nfactor = 2",
            "9: share = 1.5 in [[faults]] is not from 0 to 1: for 1.5 percent write 0.015",
        ),
        (
            "kind = \"straggler\"\nfactor = 0.5",
            "9: factor = 0.5 in [[faults]] is out of range: from 1 to 1000000",
        ),
        (
            "kind = \"poison\"\njob = \"x\"\nshare = 0.1",
            "9: job = \"x\" in [[faults]] names no job: there are job",
        ),
        ("kind = \"clock_drift\"\nppm = 1e9", "9: ppm = 1e9 in [[faults]] is too large: at most 5e5"),
    ];
    for (lines, message) in cases {
        refused("", &format!("[[faults]]\n{lines}\n"), message);
    }
    let nobody = format!("{WORKERS}{JOB}[[faults]]\nkind = \"straggler\"\nshare = 0.0\nfactor = 2\n");
    assert_eq!(parse(&nobody).faults, []);
}

/// The times of a file beside the scenario, or the message without the folder.
fn recorded(content: &str) -> Result<Vec<u64>, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("times.csv"), content).unwrap();
    let text = format!("{WORKERS}[[jobs]]\ntasks = 1\ntime = {{ recorded = \"times.csv\" }}\n");
    match Scenario::parse(&text, "scenario.toml", folder.path(), &[]) {
        Ok(scenario) => match &scenario.jobs[0].time {
            TaskTime::Recorded(times) => Ok(times.iter().map(|span| span.0).collect()),
            other => panic!("{other:?}"),
        },
        Err(error) => Err(error.to_string().replace(&format!("{}/", folder.path().display()), "")),
    }
}

#[test]
fn recorded_times_are_read_in_both_forms() {
    assert_eq!(recorded("# a run\n2us\n\n1.5us\r\n"), Ok(vec![1_500, 2_000]));
    assert_eq!(recorded("task,busy_s\n1,0.5\n2,1.2e-05\n"), Ok(vec![12_000, 500_000_000]));
    assert_eq!(recorded("\u{feff}\"a,b\",\"busy_s\"\n\"1,2\",0\n3,1e-12\n"), Ok(vec![0, 0]));
}

#[test]
fn wrong_recorded_times_name_file_and_line() {
    let cases = [
        ("", "times.csv:1: the file has no times: write one duration a line, as in 10ms"),
        ("10ms\n\n12\n", "times.csv:3: \"12\" has no unit: write 12s or 12ms"),
        ("task,busy_s\n1,0.5\n2\n", "times.csv:3: \"2\" has no column 2 (busy_s)"),
        ("busy_s\n-1\n", "times.csv:2: busy_s \"-1\" is negative"),
        ("busy_s\nnan\n", "times.csv:2: busy_s \"nan\" is not a finite number"),
        ("busy_s\nx\n", "times.csv:2: busy_s \"x\" is not a number of seconds"),
        (
            "task,time\n1,2\n",
            "times.csv:1: \"task,time\" has no column \"busy_s\" (seconds): add it, or write one duration a line, as in 10ms",
        ),
    ];
    for (content, message) in cases {
        assert_eq!(recorded(content), Err(message.to_owned()));
    }
    let text = format!("{WORKERS}[[jobs]]\ntasks = 1\ntime = {{ recorded = \"nowhere.csv\" }}\n");
    let error = parse_with(&text, &[]).unwrap_err().to_string();
    let start =
        "scenario.toml:6: recorded = \"nowhere.csv\" in time of [[jobs]] cannot be read as nowhere.csv: ";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn overrides_reach_every_kind_of_key() {
    let set = |change: &str| parse_with(FULL, &[change]).unwrap();
    assert_eq!(set("workers=500").workers[0].count, 500);
    assert_eq!(set("workers.count=1e3").workers[0].count, 1_000);
    assert_eq!(set("workers.fast.slots=8").workers[0].slots, 8);
    assert_eq!(set("workers.1.count=3").workers[1].count, 3);
    assert_eq!(set("workers.workers-2.count=3").workers[1].count, 3);
    assert_eq!(set("tasks=1e6").jobs[0].spec.tasks, 1_000_000);
    assert_eq!(set("jobs.main.tasks=1_000").jobs[0].spec.tasks, 1_000);
    assert_eq!(set("latency=5ms").links[0].latency, Span::from_millis(5));
    assert_eq!(set("links.lan.latency=5ms").links[0].latency, Span::from_millis(5));
    assert_eq!(set("coordinator.commit=1ms").coordinator.commit, Span::from_millis(1));
    assert_eq!(set("seed=9").seed, 9);
    assert_eq!(set("policy=fifo").scheduling.policy, "fifo".parse().unwrap());
    assert_eq!(set("name=5").name, "5");
    assert_eq!(set("jobs.0.time.exp=2s").jobs[0].time, TaskTime::Exp { mean: Span::from_millis(2_000) });
    assert_eq!(
        set("jobs.main.time={ uniform = [\"1s\", \"2s\"] }").jobs[0].time,
        TaskTime::Uniform { min: Span::from_millis(1_000), max: Span::from_millis(2_000) }
    );
    assert_eq!(set("jobs.main.params.ms=20").jobs[0].plugin.as_ref().unwrap().params[0].1, "20");
    assert_eq!(set("faults.0.every=1h").faults[0].when, When::Every(Span(3_600_000_000_000)));
    let straggler = set("faults.5.share=0.2").faults[5].kind.clone();
    assert_eq!(
        straggler,
        FaultKind::Straggler { target: Target { group: Some(0), count: Some(2) }, factor: 3.0 }
    );
}

#[test]
fn two_changes_do_not_say_the_same() {
    let text = "[[links]]\nlatency = \"1ms\"\n[[workers]]\ncount = 4\n[[jobs]]\ntasks = 1\ntime = { exp = \"1s\" }\n";
    let refused = |changes: &[&str]| {
        let changes: Vec<Override> = changes.iter().map(|change| change.parse().unwrap()).collect();
        Scenario::parse(text, "scenario.toml", Path::new(""), &changes).err().map(|error| error.to_string())
    };
    for (first, second) in [
        ("workers=1", "workers.count=2"),
        ("workers.count=1", "workers.0.count=2"),
        ("workers.0.count=1", "workers.workers.count=1"),
        ("latency=2ms", "links.link.latency=3ms"),
        ("jobs.time.exp=1s", "jobs.0.time.const=2s"),
        ("jobs.time={ exp = \"1s\" }", "jobs.0.time.exp=2s"),
        ("workers.cores=2", "workers.0.cores=2"),
    ] {
        let (one, other) = (first.split_once('=').unwrap().0, second.split_once('=').unwrap().0);
        let said = format!("--set {other}: {other} says what {one} says already: keep one of them");
        assert_eq!(refused(&[first, second]), Some(said));
        assert_eq!(refused(&[first]).or_else(|| refused(&[second])), None);
    }
    let twice = refused(&["seed=1", "seed=1"]).unwrap();
    assert_eq!(twice, "--set seed: seed is there twice: keep one of them");
}

#[test]
fn overrides_create_what_is_not_there_yet_and_are_checked_alike() {
    let text = format!("{WORKERS}{JOB}");
    let scenario = parse_with(&text, &["coordinator.bandwidth=1GB/s", "workers.speed=2"]).unwrap();
    assert_eq!((scenario.coordinator.bandwidth, scenario.workers[0].speed), (Some(1_000_000_000), 2.0));
    let cases = [
        ("workers=0", "count = 0 in [[workers]] is too small: at least 1"),
        ("seed=x", "seed = \"x\" is not a whole number: write it as in 10"),
        ("sed=7", "unknown key \"sed\" in the scenario: did you mean \"seed\"?"),
        ("until=5", "until = 5 has no unit: write \"5s\""),
        ("workers.cuont=5", "\"cuont\" is neither a key of [[workers]] (did you mean \"count\"?) nor a name"),
        ("workers.x.count=5", "\"x\" is no name in [[workers]]: there are workers"),
        ("workers.workers=5", "workers.workers is a table: say which key, as in workers.workers.count"),
        ("workers.5.count=5", "workers.5 is not there: workers has the places 0 to 0"),
        ("workers.count.x=5", "count = {...} in [[workers]] is not a whole number: write it as in 10"),
        ("jobs=5", "jobs is a list: say which key, as in jobs.tasks"),
        ("latency=5ms", "[[links]] is not in the scenario: add [[links]] to it, which all workers then use"),
        (
            "faults.0.kind=pause",
            "[[faults]] is not in the scenario: add [[faults]] to it, as in kind = \"worker_crash\" and every = \"1h\"",
        ),
        ("jobs.0.time.pareto.shape=2", "pareto of [[jobs]] has no min: add min = \"1s\""),
        ("coordinator=5", "coordinator is 5, and should be a table"),
        (".=5", "a part of the key is empty: write names and keys with one dot between"),
    ];
    for (change, message) in cases {
        let key = change.split_once('=').unwrap().0;
        let error = parse_with(&text, &[change]).unwrap_err().to_string();
        assert_eq!(error, format!("--set {key}: {message}"), "{change}");
    }
    assert!("workers".parse::<Override>().is_err());
    assert!("=5".parse::<Override>().is_err());
}

#[test]
fn kept_scenarios_are_what_their_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::read(&path, &[]).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(scenario.name.as_str()));
        if let Some(size) = scenario.name.strip_prefix("reference-") {
            let count: u32 = size.trim_end_matches("-ranges").parse().unwrap();
            assert_eq!((scenario.workers[0].count, scenario.seed), (count, 42));
            assert_eq!(scenario.jobs[0].spec.tasks, (1_000 * u64::from(count)).min(10_000_000));
            assert_eq!(scenario.links[0].latency, Span::from_millis(1));
        }
        names.push(scenario.name);
    }
    assert_eq!(names.len(), 8, "{names:?}");
}

#[test]
fn a_share_that_is_nobody_is_noted_unless_it_is_zero() {
    let with = |share: f64, more: &str| {
        let fault = format!("[[faults]]\nkind = \"straggler\"\nfactor = 2.0\nshare = {share}\n{more}");
        parse(&format!("{WORKERS}{JOB}{fault}"))
    };
    let rare = with(0.05, "");
    assert_eq!(rare.notes, ["straggler: share 0.05 of 4 workers is nobody: write count = 1"]);
    assert_eq!(rare.faults, []);
    for (share, faults) in [(0.0, 0), (0.25, 1)] {
        let found = with(share, "");
        assert_eq!((found.notes.len(), found.faults.len()), (0, faults), "{share}");
    }
    let poison = "[[faults]]\nkind = \"poison\"\nshare = 1e-9\n";
    assert_eq!(parse(&format!("{WORKERS}{JOB}{poison}")).notes.len(), 0, "a share of tasks");
}

#[test]
fn what_a_change_misses_can_be_added_as_it_says() {
    let said = [
        ("latency=5ms", "[[links]]\n"),
        ("faults.0.every=2h", "[[faults]]\nkind = \"worker_crash\"\nevery = \"1h\"\n"),
    ];
    for (change, added) in said {
        assert!(parse_with(&format!("{WORKERS}{JOB}"), &[change]).is_err());
        let scenario = parse_with(&format!("{WORKERS}{JOB}{added}"), &[change]).unwrap();
        assert!(scenario.links.is_empty() || scenario.workers[0].link == Some(0), "all workers use it");
    }
}
