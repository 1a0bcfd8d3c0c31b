//! Messages between processes, as bytes: what passes the checks and is written again is the same, and what does not is
//! one line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::{assert_one_line, split};
use muster_proto::convert::{
    self, CaseAsk, ConvertError, Evidence, Feed, GrantIn, Heartbeat, Hello, JobOpen, LogChunk, LogQuery,
    LogsAsk, Phases, Report, RetryAsk, Submission, TaskFailure, TaskSample, Welcome, WhyAsk, Work,
};
use muster_proto::packed::{Items, Packer, concat};
use muster_proto::v1::{self, from_worker, to_worker};
use prost::Message;
use std::fmt::Debug;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = split(input, 20) else { return };
    match kind {
        0 => drop(decoded::<v1::FromWorker>(bytes).and_then(|message| message.kind).map(from_worker)),
        1 => drop(decoded::<v1::ToWorker>(bytes).and_then(|message| message.kind).map(to_worker)),
        2 => drop(decoded(bytes).map(submission)),
        3 => drop(decoded(bytes).map(feed)),
        4 => drop(decoded(bytes).map(results)),
        5 => checked::<v1::RetryRequest, RetryAsk>(bytes),
        6 => checked::<v1::CaseRequest, CaseAsk>(bytes),
        7 => drop(decoded(bytes).map(|wire| known(convert::token_request(wire)))),
        8 => checked::<v1::LogsRequest, LogsAsk>(bytes),
        9 => checked::<v1::WhyRequest, WhyAsk>(bytes),
        10 => drop(decoded(bytes).map(convert::attempt_report)),
        11 => drop(decoded(bytes).map(evidence)),
        12 => drop(decoded(bytes).map(packed)),
        13 => drop(decoded(bytes).map(sample)),
        14 => drop(decoded(bytes).map(job_open)),
        15 => drop(decoded(bytes).map(grant)),
        16 => drop(decoded(bytes).map(phases)),
        17 => drop(decoded(bytes).map(shape)),
        18 => drop(decoded(bytes).map(limits)),
        _ => drop(decoded::<v1::TaskFailure>(bytes).map(|wire| known(TaskFailure::try_from(wire)))),
    }
});

fn decoded<T: Message + Default>(bytes: &[u8]) -> Option<T> {
    T::decode(bytes).ok()
}

/// What passed; a complaint is one line.
fn known<T>(checked: Result<T, ConvertError>) -> Option<T> {
    checked.map_err(assert_one_line).ok()
}

fn checked<W: Message + Default, T: TryFrom<W, Error = ConvertError>>(bytes: &[u8]) {
    drop(decoded::<W>(bytes).map(|wire| known(T::try_from(wire))));
}

/// What passed, is written and passes again is the same.
fn same<T: PartialEq + Debug>(checked: &T, again: Result<T, ConvertError>) {
    assert_eq!(again.as_ref(), Ok(checked));
}

fn from_worker(message: from_worker::Kind) {
    use from_worker::Kind;
    match message {
        Kind::Hello(wire) => {
            let Some(hello) = known(Hello::try_from(wire.clone())) else { return };
            let held = hello.held.iter().map(convert::held_to_wire).collect();
            same(&hello, Hello::try_from(v1::WorkerHello { held, ..wire }));
        }
        Kind::Heartbeat(wire) => drop(known(Heartbeat::try_from(wire))),
        Kind::Report(wire) => {
            let Some(report) = known(Report::try_from(wire)) else { return };
            for block in report.blocks {
                let partial = block.clone().into_items(true);
                drop((known(partial), known(block.into_items(false))));
            }
        }
        Kind::Log(wire) => drop(known(LogChunk::try_from(wire))),
        Kind::Goodbye(_) | Kind::Leave(_) => {}
    }
}

fn to_worker(message: to_worker::Kind) {
    use to_worker::Kind;
    match message {
        Kind::Welcome(wire) => drop(known(Welcome::try_from(wire))),
        Kind::Work(wire) => drop(known(Work::try_from(wire))),
        Kind::Log(wire) => drop(known(LogQuery::try_from(wire))),
        Kind::Drain(_) => {}
    }
}

fn submission(wire: v1::SubmitRequest) {
    let Some(submission) = known(Submission::try_from(wire)) else { return };
    let spec = Some(convert::job_spec_to_wire(&submission));
    same(
        &submission,
        Submission::try_from(v1::SubmitRequest { request_id: submission.request_id.clone(), spec }),
    );
    drop(convert::job_spec_to_show(&submission));
}

fn feed(wire: v1::FeedRequest) {
    let _ = known(Feed::job(&wire));
    for has_inputs in [false, true] {
        let Some(feed) = known(Feed::try_new(wire.clone(), has_inputs)) else { continue };
        let inputs = feed.inputs.clone().map(Items::into_packed);
        same(&feed, Feed::try_new(v1::FeedRequest { inputs, ..wire.clone() }, has_inputs));
    }
}

fn results(wire: v1::ResultsReply) {
    let Some(part) = known(convert::results(wire)) else { return };
    items(&part.items);
}

fn evidence(wire: v1::Evidence) {
    let Some(evidence) = known(Evidence::try_from(wire)) else { return };
    same(&evidence, Evidence::try_from(convert::evidence_to_wire(&evidence)));
    let shown = evidence.frames.iter().flat_map(|frame| [&frame.module, &frame.function, &frame.file]);
    assert!(
        shown.chain(&evidence.last_lines).all(|text| !text.contains(['\n', '\r', '\u{1b}'])),
        "it moves a cursor"
    );
}

/// Their number is what a message says elsewhere.
fn packed(wire: v1::FeedRequest) {
    let Some(packed) = wire.inputs else { return };
    match Items::try_new(packed, wire.count) {
        Ok(found) => items(&found),
        Err(error) => assert_one_line(error),
    }
}

fn items(items: &Items) {
    // Items without bytes may be many.
    if items.len() > 1 << 12 {
        return;
    }
    let all: Vec<&[u8]> = items.iter().collect();
    assert_eq!(all.len(), items.len());
    assert_eq!(all.iter().map(|item| item.len()).max().unwrap_or(0), items.longest() as usize);
    for (at, item) in all.iter().enumerate() {
        assert_eq!((items.item(at), &items.item_bytes(at)[..]), (*item, *item));
    }
    let again = Items::try_new(items.clone().into_packed(), items.len() as u64);
    assert_eq!(again.as_ref(), Ok(items));
    let middle = items.len() / 2;
    let halves = [0..middle, middle..items.len()].map(|range| {
        let count = range.len() as u64;
        Items::try_new(items.slice(range), count).expect("a part is as good as the whole")
    });
    let whole = concat(halves.to_vec());
    assert!(whole.iter().eq(all.iter().copied()), "two halves are the whole");
    let mut packer = Packer::new();
    all.iter().for_each(|item| packer.push(item));
    assert!(packer.finish().iter().eq(all.iter().copied()), "packed again it is the same");
    assert_eq!(items.offsets().last(), Some(items.data().len() as u64));
}

fn sample(wire: v1::TaskSample) {
    let Some(sample) = known(TaskSample::try_from(wire)) else { return };
    same(&sample, TaskSample::try_from(sample.to_wire(3)));
}

fn job_open(wire: v1::JobOpen) {
    let Some(open) = known(JobOpen::try_from(wire)) else { return };
    same(&open, JobOpen::try_from(convert::job_open_to_wire(&open)));
}

fn grant(wire: v1::Grant) {
    let Some(GrantIn { grant, inputs }) = known(GrantIn::try_from(wire)) else { return };
    let packed = inputs.clone().map(Items::into_packed);
    let again = GrantIn::try_from(convert::grant_to_wire(&grant, packed));
    same(&(grant, inputs), again.map(|again| (again.grant, again.inputs)));
}

fn phases(wire: v1::PhaseStats) {
    let Some(phases) = known(Phases::try_from(wire)) else { return };
    for sketch in [&phases.run, &phases.dispatch, &phases.latency] {
        for share in [0.0, 0.5, 0.99, 1.0] {
            let _ = sketch.quantile(share);
        }
    }
    let written = convert::phases_to_wire(&phases);
    let again = known(Phases::try_from(written.clone())).expect("what is written passes");
    assert_eq!(convert::phases_to_wire(&again), written);
}

fn shape(wire: v1::Shape) {
    let gil = known(convert::gil(Some(wire))).flatten();
    if let Some(request) = known(convert::shape_request(Some(wire))) {
        let written = convert::shape_request_to_wire(request, wire.oversubscribe, gil);
        same(&request, convert::shape_request(Some(written)));
        for slots in [1, 2, 65_536] {
            assert!(request.resolve(slots).slots() > 0, "{request:?} on {slots}");
        }
    }
    if let Some(shape) = known(convert::shape(Some(wire))) {
        same(&shape, convert::shape(Some(convert::shape_to_wire(shape, gil))));
    }
}

fn limits(wire: v1::Limits) {
    let Some(limits) = known(convert::limits(Some(wire))) else { return };
    same(&limits, convert::limits(Some(convert::limits_to_wire(&limits))));
}
