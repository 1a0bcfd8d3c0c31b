//! Plugins in C, well-behaved and not: what breaks the rules becomes a named failure.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{MANIFEST, Source, Words, load, params, range, results, run};
use muster_plugin_abi::task_seed;
use muster_plugin_host::{ErrorKind, Inputs, OutBuffer, Plugin, RangeOutcome, StderrServices};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn run_body(body: &str) -> Source {
    Source { run: body.into(), ..Source::default() }
}

fn range_body(body: &str) -> Source {
    let extra = format!(
        "static muster_status run_range(muster_job *job, const muster_range *r, const muster_task_ctx *tc, \
         muster_out *out, muster_error *err) {{ (void)job; (void)r; (void)tc; (void)out; (void)err; {body} }}"
    );
    Source { extra, table: ".run_range = run_range".into(), ..Source::default() }
}

/// Runs five tasks of a plugin.
fn five(source: &Source) -> (RangeOutcome, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let (plugin, _) = load(&source.build(folder.path()));
    let job = plugin.create(params("{}")).unwrap();
    run(&job, &mut Words::default().slot(), 10, 5)
}

#[track_caller]
fn assert_fails(source: &Source, done: u64, kind: ErrorKind, part: &str) {
    let (outcome, got) = five(source);
    let failure = outcome.failure.expect("a failure");
    assert_eq!((outcome.done, failure.kind), (done, kind), "{failure}");
    assert_eq!(got.len() as u64, done);
    assert!(failure.message.contains(part), "{:?} does not contain {part:?}", failure.message);
}

#[test]
fn one_call_per_task_gives_inputs_seeds_and_results() {
    let folder = tempfile::tempdir().unwrap();
    let source = run_body(
        "muster_buf buf = host->result_alloc(host->self, tc->ctx, 8 + task->input.len);
         if (!buf.ptr) return MUSTER_E_LIMIT;
         memcpy(buf.ptr, &task->seed, 8);
         if (task->seed != muster_task_seed(77, task->index)) return MUSTER_E_ABI;
         if (task->input.len) memcpy(buf.ptr + 8, task->input.ptr, task->input.len);
         return MUSTER_OK;",
    );
    let (plugin, _) = load(&source.build(folder.path()));
    let job = plugin.create(params("{}")).unwrap();
    let (words, mut out) = (Words::default(), OutBuffer::new());
    let inputs = Inputs::new(b"abc", &[0, 0, 3]).unwrap();
    let outcome = job.run_range(&mut words.slot(), range(5, 2, Some(inputs)), &mut out);
    assert_eq!((outcome.done, outcome.failure), (2, None));
    let seed = |index| task_seed(77, index).to_le_bytes();
    assert_eq!(results(&out), [seed(5).to_vec(), [&seed(6)[..], b"abc"].concat()]);
    assert_eq!(words.current.load(Ordering::Relaxed), 6);
}

#[test]
fn no_result_is_an_empty_one_and_two_are_a_failure() {
    let (outcome, got) = five(&Source::default());
    assert_eq!((outcome.done, got), (5, vec![Vec::new(); 5]));
    let twice = "host->result_alloc(host->self, tc->ctx, 4); \
                 host->result_alloc(host->self, tc->ctx, 4); return MUSTER_OK;";
    assert_fails(&run_body(twice), 0, ErrorKind::Abi, "run called result_alloc twice");
}

#[test]
fn errors_of_single_calls_are_named() {
    let at_12 = "if (task->index < 12) { return MUSTER_OK; }";
    let cases = [
        ("return MUSTER_E_TRANSIENT;", ErrorKind::Transient, "run returned -2 without a message"),
        ("return -99;", ErrorKind::Failed, "run returned -99"),
        ("return 3;", ErrorKind::Abi, "run returned the unknown status 3"),
        ("err->len = 4000000000u; memset(err->text, 'x', 9); return -1;", ErrorKind::Failed, "xxxxxxxxx"),
        ("memcpy(err->text, \"a\\377b\", 3); err->len = 3; return -1;", ErrorKind::Failed, "a\u{fffd}b"),
        ("return MUSTER_E_LIMIT;", ErrorKind::Limit, "run returned -9 without a message"),
        (
            "host->result_alloc(host->self, tc->ctx, (size_t)1 << 40); return MUSTER_OK;",
            ErrorKind::Limit,
            "a result of 1099511627776 bytes is over the limit",
        ),
        (
            "return host->result_alloc(host->self, tc->ctx, (size_t)1 << 40).ptr ? 0 : MUSTER_E_LIMIT;",
            ErrorKind::Limit,
            "a result of 1099511627776 bytes is over the limit",
        ),
    ];
    for (body, kind, part) in cases {
        assert_fails(&run_body(&format!("{at_12} {body}")), 2, kind, part);
    }
}

#[test]
fn lies_of_range_calls_are_named() {
    let cases = [
        ("out->lens_len = 6; return MUSTER_OK;", "says that 6 of 5 tasks are done"),
        ("out->data_len = 1u << 30; return MUSTER_OK;", "says that it wrote 1073741824 bytes"),
        ("return MUSTER_OK;", "without having done a task"),
        ("out->lens[0] = 9; out->lens_len = 1; return MUSTER_OK;", "lengths that are not those of its bytes"),
        ("out->lens[0] = 9; out->lens_len = 1; return MUSTER_E_FAILED;", "lengths beyond its bytes"),
    ];
    for (body, part) in cases {
        assert_fails(&range_body(body), 0, ErrorKind::Abi, part);
    }
}

#[test]
fn a_range_call_reports_how_far_it_came() {
    let write_two = "for (int i = 0; i < 2; i++) {
           if (host->out_reserve(host->self, tc->ctx, out, 3) != MUSTER_OK) return MUSTER_E_NOMEM;
           memcpy(out->data + out->data_len, \"abc\", 3); out->data_len += 3; out->lens[out->lens_len++] = 3; }";
    let (outcome, got) = five(&range_body(&format!("{write_two} return MUSTER_OK;")));
    assert_eq!((outcome.done, outcome.failure, got), (2, None, vec![b"abc".to_vec(); 2]));
    // Bytes of the unfinished task are dropped.
    let half = format!("{write_two} out->data_len--; out->data_len++; return MUSTER_E_FAILED;");
    assert_fails(&range_body(&half), 2, ErrorKind::Failed, "run_range returned -1");
    let all = "for (int i = 0; i < 5; i++) out->lens[out->lens_len++] = 0; return MUSTER_E_FAILED;";
    assert_fails(&range_body(all), 4, ErrorKind::Failed, "run_range returned -1");
}

#[test]
fn out_reserve_refuses_what_makes_no_sense() {
    let reserve = |change: &str, more: &str| {
        format!("{change} return host->out_reserve(host->self, tc->ctx, out, {more});")
    };
    assert_fails(
        &range_body(&reserve("", "(size_t)1 << 50")),
        0,
        ErrorKind::Limit,
        "a result of 1125899906842624 bytes",
    );
    assert_fails(&range_body(&reserve("out->data_len = 1u << 30;", "1")), 0, ErrorKind::Abi, "");
    assert_fails(&range_body(&reserve("muster_out copy = *out; out = &copy;", "1")), 0, ErrorKind::Abi, "");
    let other = "return host->result_alloc(host->self, tc->ctx, 1).ptr ? MUSTER_OK : MUSTER_E_CANCELLED;";
    assert_fails(&range_body(other), 0, ErrorKind::Cancelled, "");
}

#[test]
fn tasks_of_a_plugin_that_is_not_concurrent_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        extra: "#include <stdatomic.h>\nstatic atomic_int inside;".into(),
        run: "int others = atomic_fetch_add(&inside, 1);
              for (volatile int i = 0; i < 2000; i++) {}
              atomic_fetch_sub(&inside, 1);
              return others ? MUSTER_E_FAILED : MUSTER_OK;"
            .into(),
        ..Source::default()
    };
    let (plugin, _) = load(&source.build(folder.path()));
    let job = plugin.create(params("{}")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(run(&job, &mut Words::default().slot(), 0, 500).0.done, 500));
        }
    });
}

#[test]
fn a_poisoned_object_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        extra: "static int made, destroyed;
                static muster_status make(const muster_job_params *p, muster_job **out, muster_error *err) {
                  (void)p; (void)err; *out = (muster_job *)malloc(1); made++; return MUSTER_OK; }
                static void unmake(muster_job *job) { free(job); destroyed++; }"
            .into(),
        table: ".run = run, .create = make, .destroy = unmake".into(),
        run: "if (task->index == 11) return MUSTER_E_PANIC;
              muster_buf buf = host->result_alloc(host->self, tc->ctx, 2);
              buf.ptr[0] = (uint8_t)made; buf.ptr[1] = (uint8_t)destroyed; return MUSTER_OK;"
            .into(),
        ..Source::default()
    };
    let (plugin, _) = load(&source.build(folder.path()));
    let job = plugin.create(params("{}")).unwrap();
    let words = Words::default();
    let (outcome, got) = run(&job, &mut words.slot(), 10, 5);
    assert_eq!((outcome.done, got, outcome.failure.unwrap().kind), (1, vec![vec![1, 0]], ErrorKind::Panic));
    assert_eq!(run(&job, &mut words.slot(), 12, 1).1, [vec![2, 1]]);
}

#[test]
fn a_stack_that_a_plugin_captured_stays_with_its_failure() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        run: "const muster_backtrace *backtrace = host->extension(host->self, MUSTER_EXT_BACKTRACE);
              if (backtrace == NULL || host->extension(host->self, \"muster.none/1\") != NULL) return MUSTER_E_ABI;
              if (task->index == 11)
                for (int i = 0; i < 100; i++) backtrace->capture(host->self, tc->ctx);
              backtrace->capture(host->self, NULL);
              return task->index % 2 ? MUSTER_E_FAILED : MUSTER_OK;"
            .into(),
        ..Source::default()
    };
    let (plugin, _) = load(&source.build(folder.path()));
    let job = plugin.create(params("{}")).unwrap();
    let words = Words::default();
    let mut slot = words.slot();
    assert_eq!(run(&job, &mut slot, 10, 5).0.failure.unwrap().kind, ErrorKind::Failed);
    let stack = slot.take_stack();
    assert!((3..=64).contains(&stack.len()), "{stack:x?}");
    assert!(slot.take_stack().is_empty());
    assert_eq!(run(&job, &mut slot, 13, 1).0.failure.unwrap().kind, ErrorKind::Failed);
    assert!(slot.take_stack().is_empty(), "nobody captured one for this failure");
}

#[test]
fn a_process_loads_a_plugin_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = Source::default().build(folder.path());
    let first = Plugin::load(&path, Arc::new(StderrServices)).unwrap();
    let error = Plugin::load(&path, Arc::new(StderrServices)).unwrap_err();
    assert!(error.to_string().ends_with("is loaded in this process already; a process loads a plugin once"));
    first.create(params("{}")).unwrap();
}

#[test]
fn an_object_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        extra: "static muster_status none(const muster_job_params *p, muster_job **out, muster_error *err) {
                  (void)p; (void)out; (void)err; return MUSTER_OK; }"
            .into(),
        table: ".run = run, .create = none".into(),
        ..Source::default()
    };
    let (plugin, _) = load(&source.build(folder.path()));
    let error = plugin.create(params("{}")).unwrap_err();
    assert_eq!(error.message, "create returned OK without a job object");
}

#[test]
fn a_section_that_is_not_marked_as_notes_still_counts() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source {
        manifest: format!(
            "__asm__(\".section .note.muster,\\\"a\\\",@progbits\\n.balign 4\\n.long 7, {}, 0x4d535452\\n\
             .asciz \\\"muster\\\"\\n.balign 4\\n.asciz \\\"{}\\\"\\n.balign 4\\n.text\");",
            MANIFEST.replace('\\', "").len() + 1,
            MANIFEST.replace('\\', "\\\\\\")
        ),
        ..Source::default()
    };
    let (plugin, _) = load(&source.build(folder.path()));
    assert_eq!(plugin.inspection().manifest.name(), "tiny");
}

#[test]
fn results_have_the_width_that_the_manifest_says() {
    let body = "size_t len = task->index == 12 ? 3 : 8;
                muster_buf buf = host->result_alloc(host->self, tc->ctx, len);
                if (!buf.ptr) return MUSTER_E_LIMIT;
                memset(buf.ptr, 1, len);
                return MUSTER_OK;";
    let manifest = format!("MUSTER_MANIFEST(\"{}\");", MANIFEST.replace("bytes", "f64"));
    let source = Source { manifest: manifest.clone(), ..run_body(body) };
    assert_fails(&source, 2, ErrorKind::Abi, "the result has 3 bytes; the manifest says f64, which has 8");
    let none = "if (task->index == 10) return MUSTER_OK;
                muster_buf buf = host->result_alloc(host->self, tc->ctx, 8);
                if (!buf.ptr) return MUSTER_E_LIMIT;
                memset(buf.ptr, 1, 8);
                return MUSTER_OK;";
    let source = Source { manifest, ..run_body(none) };
    assert_fails(&source, 0, ErrorKind::Abi, "the result has 0 bytes");
}

#[test]
fn results_have_the_form_that_the_manifest_says() {
    let body = |good: &str, bad: &str| {
        run_body(&format!(
            "const char *text = task->index == 12 ? \"{bad}\" : \"{good}\";
             muster_buf buf = host->result_alloc(host->self, tc->ctx, strlen(text));
             if (!buf.ptr) return MUSTER_E_LIMIT;
             memcpy(buf.ptr, text, buf.len);
             return MUSTER_OK;"
        ))
    };
    let (valid, invalid) = ("gr\\xc3\\xbc\\xc3\\x9f", "gr\\xc3\\xbc\\xc3");
    for (kind, good, bad, words) in [
        ("text", valid, invalid, "the output is not UTF-8, and the manifest says text: byte 4 of 5"),
        ("json", "[1]", "[1,]", "the output is not JSON, and the manifest says json: "),
        ("json", "[1]", "", "the output is not JSON"),
        (
            "json",
            "[1]",
            "[\\\"\\xff\\\"]",
            "the output is not UTF-8, and the manifest says json: byte 2 of 5",
        ),
    ] {
        let manifest = format!("MUSTER_MANIFEST(\"{}\");", MANIFEST.replace("bytes", kind));
        assert_fails(&Source { manifest, ..body(good, bad) }, 2, ErrorKind::Abi, words);
    }
    // Bytes are whatever they are.
    let folder = tempfile::tempdir().unwrap();
    let (plugin, _) = load(&body(valid, invalid).build(folder.path()));
    let (words, mut out) = (Words::default(), OutBuffer::new());
    let outcome =
        plugin.create(params("{}")).unwrap().run_range(&mut words.slot(), range(10, 5, None), &mut out);
    assert_eq!((outcome.done, outcome.failure, out.lens), (5, None, vec![6, 6, 5, 6, 6]));
}

/// A sender whose body ends with `end`, and a receiver that counts what comes, on a thread each.
fn exchanged(end: &str) -> (Vec<RangeOutcome>, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let source = run_body(&format!(
        r#"const muster_channels *channels = host->extension(host->self, MUSTER_EXT_CHANNEL);
        if (!channels || !MUSTER_HAS(channels, muster_channels, close)) return MUSTER_E_UNSUPPORTED;
        muster_channel_spec spec = {{.struct_size = sizeof spec, .kind = MUSTER_CHANNEL_QUEUE,
            .side = MUSTER_CHANNEL_EITHER, .capacity = 2, .message_max = 8, .wait_ns = 60000000000u,
            .name = {{"numbers", 7}}}};
        uint32_t number, side;
        uint64_t value = 0;
        muster_status s = channels->open(host->self, tc->ctx, &spec, &number, &side, err);
        if (s != MUSTER_OK) return s;
        if (side == MUSTER_CHANNEL_SENDER) {{
          for (value = 0; value < 100; ++value) {{
            s = channels->send(host->self, tc->ctx, number, (muster_bytes){{(uint8_t *)&value, 8}}, err);
            if (s != MUSTER_OK) return s;
          }}
          {end}
        }}
        for (uint64_t count = 0;; ++count) {{
          size_t len;
          s = channels->receive(host->self, tc->ctx, number, (muster_buf){{(uint8_t *)&value, 8}}, &len, err);
          if (s != MUSTER_OK) return s;
          if (len == MUSTER_CHANNEL_END) {{
            muster_buf buf = host->result_alloc(host->self, tc->ctx, 8);
            if (!buf.ptr) return MUSTER_E_LIMIT;
            memcpy(buf.ptr, &count, 8);
            return channels->close(host->self, tc->ctx, number, 1, err);
          }}
          if (len != 8 || value != count) return MUSTER_E_FAILED;
        }}"#
    ));
    let manifest = MANIFEST.replace('}', r#",\"flags\":[\"concurrent\"]}"#);
    let source = Source {
        manifest: format!("MUSTER_MANIFEST(\"{manifest}\");"),
        table: ".run = run, .flags = MUSTER_F_CONCURRENT".into(),
        ..source
    };
    let (plugin, _) = load(&source.build(folder.path()));
    let job = plugin.create(params("{}")).unwrap();
    let one = |index: u64| run(&job, &mut Words::default().slot(), index, 1);
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(|| one(1));
        [one(0), other.join().unwrap()]
    });
    let (outcomes, results): (Vec<_>, Vec<_>) = both.into_iter().unzip();
    (outcomes, results.concat())
}

#[test]
fn tasks_pass_messages() {
    let (outcomes, mut results) = exchanged("return channels->close(host->self, tc->ctx, number, 1, err);");
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()), "{outcomes:?}");
    results.sort();
    assert_eq!(results, [vec![], 100u64.to_le_bytes().to_vec()]);
}

#[test]
fn a_channel_that_a_task_forgets_is_closed_with_its_call() {
    let (outcomes, _) = exchanged("return MUSTER_OK;");
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).collect();
    assert_eq!(failures.len(), 1, "{outcomes:?}");
    assert_eq!(failures[0].kind, ErrorKind::Transient);
    assert!(failures[0].message.contains("the sender of the channel has left"), "{}", failures[0]);
}
