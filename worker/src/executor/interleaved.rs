//! A thread that keeps many tasks of a job going at the same time: it is lent to the plugin's own runtime, which asks
//! here for tasks and says here what became of them.

use super::crash;
use super::flush::Held;
use super::gil::Waits;
use super::going::{Going, GoingTasks};
use super::job::{Run, Shared};
use super::open_claims::OpenClaims;
use super::queue::{Next as Head, Queue};
use super::runner::{failure, over_time, transient};
use super::thread::AbortOnPanic;
use super::time_limit::TimeLimit;
use super::waker::{Nap, Waker};
use crate::arena::{ArenaReader, RunInputs};
use crate::frame::{EntryUse, FromExecutor, LogTask};
use crate::os::monotonic_ns;
use muster_core::page::{Claim, SlotRecord};
use muster_core::range::IndexRange;
use muster_core::time::Span;
use muster_plugin_host::{
    EndedTask, ErrorKind, Inputs, NOTHING_DONE, NewTask, Next, Slot, SlotWords, TaskError, TaskSource, Ticket,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Results wait for others for this long while tasks are going.
const HOLD_NS: u64 = 2_000_000;
/// Tasks are claimed when this share of the places is free: a claim for each would use up the record's.
const CLAIM_SHARE: u32 = 64;

/// Serves a job until it closes. Without a descriptor or a thread to wake it by this process cannot go on.
pub(super) fn run(shared: &Shared, ordinal: u32, in_flight: u32) {
    let number = shared.open.first_slot + ordinal;
    let Some(record) = shared.page.slot(number) else { return };
    let _guard = AbortOnPanic;
    let _stack = crash::enter_task(number);
    let result = Waker::new().and_then(|waker| {
        std::thread::scope(|scope| {
            let sleeper = std::thread::Builder::new().name(format!("sleep-{ordinal}"));
            sleeper.spawn_scoped(scope, || waker.serve(shared, number))?;
            drive(shared, ordinal, in_flight, record, &waker);
            waker.end(shared, number);
            Ok(())
        })
    });
    if let Err(error) = result {
        eprintln!("executor: what wakes a thread with many tasks could not be made: {error}");
        super::end(super::EXIT_REFUSED);
    }
}

fn drive(shared: &Shared, ordinal: u32, in_flight: u32, record: &SlotRecord, waker: &Waker) {
    let words = SlotWords { cancel: &record.cancel, current: &record.current, progress: &record.progress };
    let mut slot = Slot::new(ordinal, words);
    slot.set_result_limit(shared.result_bytes_max());
    let mut tasks = Interleaved {
        shared,
        ordinal,
        number: shared.open.first_slot + ordinal,
        in_flight,
        record,
        waker,
        arena: ArenaReader::new(Arc::clone(&shared.arena)),
        claims: OpenClaims::new(record),
        cursor: 0,
        ready: VecDeque::new(),
        going: GoingTasks::new(time_limit(shared)),
        ended: 0,
        queue: shared.queue(shared.open.first_slot + ordinal),
        free_ns: monotonic_ns(),
    };
    while !tasks.is_over() {
        let before = tasks.ended;
        let turn = shared.turn(ordinal as usize);
        let result = shared.plugin.drive(&mut slot, in_flight, waker.fd(), &mut tasks);
        drop(turn);
        tasks.forget_going();
        if tasks.ended == before && !tasks.is_over() {
            let early = || TaskError {
                kind: ErrorKind::Abi,
                code: 0,
                message: "drive() returned before next() had told it to".to_owned(),
            };
            tasks.fail_one(&result.err().unwrap_or_else(early));
        }
    }
    tasks.flush();
}

/// What the plugin's runtime takes its tasks from.
struct Interleaved<'a> {
    shared: &'a Shared,
    ordinal: u32,
    number: u32,
    in_flight: u32,
    record: &'a SlotRecord,
    waker: &'a Waker,
    arena: ArenaReader,
    claims: OpenClaims<'a>,
    /// The page entry that gave the last claim.
    cursor: usize,
    /// Claimed and not begun.
    ready: VecDeque<Claimed>,
    /// Begun.
    going: GoingTasks,
    /// Tasks that have ended.
    ended: u64,
    /// Where tasks arrive: which is next.
    queue: Option<Queue<'a>>,
    /// Since when there is a free place and no task's code has been run, where tasks arrive.
    free_ns: u64,
}

#[derive(Clone, Copy)]
struct Claimed {
    place: EntryUse,
    claim: Claim,
    /// Its place among the open claims.
    at: usize,
    next: u64,
    /// When it was due, where tasks arrive.
    due_ns: Option<u64>,
}

fn time_limit(shared: &Shared) -> Option<TimeLimit> {
    let open = &shared.open;
    (open.timeout_ns != 0).then(|| TimeLimit::new(open.timeout_ns, open.grace_ns))
}

impl TaskSource for Interleaved<'_> {
    fn next(&mut self, running: u32) -> Next {
        self.waker.hush();
        loop {
            let sequence = self.shared.page.sequence();
            if self.shared.page.is_cancelled() || (self.shared.is_closing() && running == 0) {
                self.flush();
                return Next::Close;
            }
            if self.going.limit_ns().is_some()
                && let Some(ticket) = self.going.tell_one(monotonic_ns())
            {
                self.have_woken(sequence);
                return Next::Stop(ticket);
            }
            if let Some(task) = self.begin() {
                if self.going.limit_ns().is_some() {
                    // The plugin may never come back to wait.
                    self.have_woken(sequence);
                }
                return Next::Begin(task);
            }
            if self.claim(running) {
                continue;
            }
            self.say_what_goes(running);
            self.send_or_hold(running);
            self.report_deaf();
            self.have_woken(sequence);
            return Next::Wait;
        }
    }

    fn begun(&mut self, token: u64, ticket: Ticket) {
        self.going.set_ticket(token, ticket);
    }

    fn ended(&mut self, task: EndedTask) {
        let EndedTask { index, token, outcome } = task;
        let Some(going) = self.going.end(token) else { return };
        self.ended += 1;
        // The place of this one is free now.
        let was_full = self.going.len() as u64 + 1 >= u64::from(self.in_flight);
        self.claims.end_one(going.at);
        if matches!(&outcome, Err(error) if error.kind == ErrorKind::Cancelled)
            && self.shared.page.is_cancelled()
        {
            return;
        }
        let outcome = outcome.map_err(|error| self.in_time(&going, error));
        let now = monotonic_ns();
        let busy_ns = now.saturating_sub(going.begun_ns);
        if was_full {
            self.free_ns = now;
        }
        self.record.busy_ns.fetch_add(busy_ns, Relaxed);
        self.record.tasks.fetch_add(1, Relaxed);
        let mut held = self.shared.holdings.lock(self.ordinal as usize);
        held.gather.run.record(Span(busy_ns));
        let failed = outcome.is_err();
        let run = Run {
            begun_ns: going.begun_ns,
            ended_ns: now,
            due_ns: going.due_ns,
            failed,
            entry: going.place.entry,
            thread: self.ordinal,
            attempt: going.attempt,
            // The lock is the thread's, and many tasks go on it at a time.
            waits: Waits::default(),
        };
        held.note_run(self.shared, index, &run);
        match outcome {
            Ok(result) => {
                let (range, length) = (IndexRange::from_count(index, 1), result.len() as u32);
                held.gather.add_results(going.place, range, &[length], &result, busy_ns, now);
            }
            Err(error) => held.gather.add_failure(failure(going.place, index, &error, busy_ns)),
        }
        self.add_lock_times(&mut held);
        if held.is_full() {
            self.shared.holdings.send(&mut held, &self.shared.outbox);
            drop(held);
            self.claims.settle();
        }
    }

    fn enter(&mut self, task: Option<(u64, u64)>) {
        if self.record.progress.load(Relaxed) != NOTHING_DONE {
            self.record.progress.store(NOTHING_DONE, Relaxed);
        }
        let index = task.map_or(SlotRecord::IDLE, |(index, _)| index);
        if task.is_none() && self.queue.is_some() {
            self.free_ns = monotonic_ns();
        }
        if self.going.limit_ns().is_none() {
            return self.record.current.store(index, Relaxed);
        }
        // The agent reads the task first: it never sees one with the start of another that began earlier.
        if let Some(begun_ns) = task.and_then(|(_, token)| self.going.begun_ns(token)) {
            self.record.started_ns.store(begun_ns, SeqCst);
            self.record.current.store(index, SeqCst);
        } else {
            self.record.current.store(index, SeqCst);
            let oldest_ns = self.going.oldest().map_or(u64::MAX, |task| task.begun_ns);
            self.record.started_ns.store(oldest_ns, SeqCst);
        }
    }

    fn misused(&mut self, text: &str) {
        let running = self.shared.page.running(self.number);
        let task = running.map(|(index, attempt)| LogTask { slot: self.ordinal, index, attempt });
        self.shared.outbox.send(&FromExecutor::Log { level: 1, task, text: text.to_owned() });
    }
}

impl Interleaved<'_> {
    fn is_over(&self) -> bool {
        self.shared.is_closing() || self.shared.page.is_cancelled()
    }

    /// The next task that is claimed and not begun.
    fn begin(&mut self) -> Option<NewTask> {
        loop {
            let claimed = self.ready.front_mut()?;
            let Claimed { next: index, place, at, claim, due_ns } = *claimed;
            claimed.next += 1;
            if claimed.next >= claim.range.end {
                self.ready.pop_front();
            }
            match self.input(&claim, index) {
                Ok(input) => {
                    let begun_ns = monotonic_ns();
                    if let Some(due_ns) = due_ns {
                        let lag = Span(begun_ns.saturating_sub(due_ns.max(self.free_ns)));
                        self.shared.holdings.lock(self.ordinal as usize).gather.timings.start_lag.record(lag);
                    }
                    let attempt = claim.facts.attempt;
                    let going =
                        Going { index, attempt, place, at, begun_ns, due_ns, ticket: None, is_told: false };
                    let token = self.going.begin(going);
                    return Some(NewTask { index, attempt, input, token });
                }
                Err(error) => {
                    self.claims.end_one(at);
                    let mut held = self.shared.holdings.lock(self.ordinal as usize);
                    held.gather.add_failure(failure(place, index, &error, 0));
                }
            }
        }
    }

    /// Has this thread woken when the page has changed since `sequence`, or a task is over its time.
    fn have_woken(&mut self, sequence: u32) {
        let limit_ns = self.going.next_due_ns();
        let nap = Nap { sequence, until_ns: limit_ns.min(self.next_arrival_ns()), limit_ns };
        self.waker.sleep(self.shared, self.number, nap);
    }

    /// When a task will arrive that this thread has a place for; `u64::MAX`: none, or nobody knows.
    fn next_arrival_ns(&mut self) -> u64 {
        let has_place = self.going.len() < self.in_flight as usize && self.claims.has_room();
        let may_claim = self.number < self.shared.page.allowed();
        match self.queue.as_mut().filter(|_| has_place && may_claim).map(Queue::next) {
            Some(Head::Later(_, due_ns)) => due_ns,
            // It has come in this moment.
            Some(Head::Due(_)) => 0,
            Some(Head::Nothing) | None => u64::MAX,
        }
    }

    /// Tells the agent of tasks that do not stop at their time limit.
    fn report_deaf(&mut self) {
        if self.going.limit_ns().is_some() {
            let tasks = self.going.take_deaf(monotonic_ns());
            if !tasks.is_empty() {
                self.flush();
                self.shared.outbox.send(&FromExecutor::Deaf { slot: self.ordinal, tasks });
            }
        }
    }

    /// The error of a task that has ended, or that it was over its time when it was told so.
    fn in_time(&self, going: &Going, error: TaskError) -> TaskError {
        // What it waited for may have failed because of that.
        let may_follow =
            matches!(error.kind, ErrorKind::Cancelled | ErrorKind::Failed | ErrorKind::Transient);
        let limit_ns = self.going.limit_ns().filter(|_| going.is_told && may_follow);
        limit_ns.map_or(error, over_time)
    }

    fn input(&mut self, claim: &Claim, index: u64) -> Result<Vec<u8>, TaskError> {
        let facts = &claim.facts;
        if facts.inputs_len == 0 {
            return Ok(Vec::new());
        }
        let bytes = self
            .arena
            .bytes(facts.inputs_at, facts.inputs_len)
            .map_err(|error| transient(format!("inputs cannot be read: {error}")))?;
        let from = index.wrapping_sub(facts.inputs_base) as usize;
        let inputs = RunInputs::parse(bytes).and_then(|inputs| inputs.slice(from, 1));
        inputs
            .filter(|inputs| Inputs::new(inputs.data, inputs.offsets).is_some())
            .map(|inputs| inputs.data[inputs.offsets[0] as usize..inputs.offsets[1] as usize].to_vec())
            .ok_or_else(|| transient(format!("the arena does not hold the input of task {index}")))
    }

    /// Takes tasks out of the page when enough places are free; `false`: nothing was taken.
    fn claim(&mut self, running: u32) -> bool {
        let places = self.in_flight.saturating_sub(running);
        let is_worth_it =
            self.queue.is_some() || running == 0 || places >= (self.in_flight / CLAIM_SHARE).max(1);
        let is_allowed = self.number < self.shared.page.allowed() && self.shared.has_begun();
        let may_claim = is_allowed && !self.shared.is_closing();
        if places == 0 || !is_worth_it || !may_claim || !self.claims.has_room() {
            return false;
        }
        // Before anything is taken: a thread that seems to sleep with nothing to do is taken at its word.
        self.record.in_flight.store(running + 1, SeqCst);
        let Some((entry, claim, due_ns)) = self.take(places) else { return false };
        self.cursor = entry;
        let Some(at) = self.claims.claimed(entry, &claim) else { return false };
        let now = monotonic_ns();
        if self.going.limit_ns().is_none() {
            self.record.started_ns.store(now, Relaxed);
        }
        let since_ns = due_ns.unwrap_or(0).max(self.shared.page.published_ns(entry));
        let waited = Span(now.saturating_sub(since_ns));
        let mut held = self.shared.holdings.lock(self.ordinal as usize);
        held.gather.dispatch.record_many(waited, claim.range.len());
        drop(held);
        let place = EntryUse { entry: entry as u16, generation: claim.generation };
        self.ready.push_back(Claimed { place, claim, at, next: claim.range.start, due_ns });
        true
    }

    /// Takes up to so many tasks out of the page, or the first in the queue; says when that was due.
    fn take(&mut self, places: u32) -> Option<(usize, Claim, Option<u64>)> {
        let (page, claims) = (&self.shared.page, &self.claims);
        if let Some(queue) = &mut self.queue {
            loop {
                let Head::Due(arrival) = queue.next() else { return None };
                let entry = arrival.entry;
                let announce = |generation, range| claims.announce(entry, generation, range);
                // Otherwise somebody else was faster, and another one is the first now.
                if let Some(claim) = page.entries()[entry].claim_one(arrival.index, announce) {
                    return Some((entry, claim, arrival.due_ns));
                }
            }
        }
        let slots = u64::from(page.allowed().clamp(1, page.slots()));
        let claimed = page.claim(
            self.cursor,
            |_, unclaimed, total| {
                let share = u32::try_from(total.div_ceil(slots)).unwrap_or(u32::MAX);
                unclaimed.min(share).min(places)
            },
            |entry, generation, range| claims.announce(entry, generation, range),
        );
        claimed.map(|(entry, claim)| (entry, claim, None))
    }

    fn say_what_goes(&self, running: u32) {
        self.record.in_flight.store(running, SeqCst);
    }

    fn send_or_hold(&mut self, running: u32) {
        let mut held = self.shared.holdings.lock(self.ordinal as usize);
        let is_due = running == 0 || held.has_waited(monotonic_ns(), HOLD_NS);
        if is_due || held.gather.is_empty() {
            self.shared.holdings.send(&mut held, &self.shared.outbox);
            drop(held);
            self.claims.settle();
        } else {
            // They do not wait for long.
            self.shared.holdings.hold(&mut held, 0, &self.shared.outbox);
        }
    }

    fn flush(&mut self) {
        let mut held = self.shared.holdings.lock(self.ordinal as usize);
        self.shared.holdings.send(&mut held, &self.shared.outbox);
        drop(held);
        self.claims.settle();
    }

    fn add_lock_times(&self, held: &mut Held) {
        let Some(gil) = &self.shared.gil else { return };
        let waited = gil.take_waited_ns(self.ordinal);
        held.gather.gil_wait.record(Span(waited));
        held.gather.gil_handovers += gil.take_handovers(self.ordinal);
        self.record.lock_wait_ns.fetch_add(waited, Relaxed);
    }

    /// The drive is over; what it was told to drop is no more.
    fn forget_going(&mut self) {
        self.going.clear();
        self.enter(None);
        self.say_what_goes(0);
    }

    /// The plugin could not even begin: without a task that fails of it, it would be asked for ever.
    fn fail_one(&mut self, error: &TaskError) {
        if self.ready.is_empty() && !self.claim(0) {
            let sequence = self.shared.page.sequence();
            if !self.is_over() && !self.claim(0) {
                self.flush();
                self.say_what_goes(0);
                self.shared.page.park(self.number, sequence);
            }
            return;
        }
        if let Some(NewTask { index, token, .. }) = self.begin() {
            self.ended(EndedTask { index, token, outcome: Err(error.clone()) });
        }
        self.flush();
    }
}
