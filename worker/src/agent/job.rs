//! A job on this worker as the shell keeps it: its shared memory, which lease each use of a page entry belongs
//! to, and where its time went.

use super::crashes::Crashes;
use super::deadline::Deadlines;
use super::executor::Seat;
use super::stop::StopCount;
use crate::arena::{Arena, Place};
use crate::cache::{InUse, PluginFile};
use crate::frame::EntryUse;
use crate::os::monotonic_ns;
use crate::page::{JobPage, KIND_COMBINE, KIND_FINISH, KIND_RUN, Known, PageError};
use crate::region::RegionFile;
use crate::spawner::Confinement;
use muster_core::arrivals::Timetable;
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::page::{ENTRIES, LeaseFacts, SlotRecord};
use muster_core::range::IndexRange;
use muster_core::sampling::Sampling;
use muster_core::scheduler::{Grant, GrantKind};
use muster_core::shape::Shape;
use muster_core::time::{Span, Time};
use muster_proto::convert::{JobOpen, Phases, TaskSample};
use muster_proto::packed::Items;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// A job.
#[derive(Debug)]
pub(super) struct JobState {
    pub open: JobOpen,
    pub plugin: Arc<PluginFile>,
    /// The plugin's file is not removed while the job is open.
    _in_use: Option<InUse>,
    /// The file was fetched again, or could not be.
    pub is_renewed: bool,
    pub memory: Option<Memory>,
    /// What its tasks share by name; the pages of executors come and go, this stays.
    pub regions: Option<RegionFile>,
    /// What its executors may use.
    pub confinement: Confinement,
    /// Watches the time limit of its tasks, when they have one.
    pub deadlines: Option<Deadlines>,
    /// The coordinator wants to know how its tasks come to a stop.
    pub stop: Option<StopCount>,
    /// Why its executors do not work, when they do not.
    pub trouble: String,
    /// Where the time went since the last report.
    pub phases: Phases,
    /// Leases that are in force.
    pub leases: usize,
    /// Executors that crashed.
    pub crashes: Crashes,
    /// Executors that crashed and were not replaced yet.
    to_replace: u64,
    slots: SlotTime,
    quiet: Quiet,
}

/// What the job shares with its executors.
#[derive(Debug)]
pub(super) struct Memory {
    pub page: Arc<JobPage>,
    pub arena: Arena,
    /// What was last put into each page entry.
    published: [Option<Published>; ENTRIES],
    /// What must stand in each.
    known: [Known; ENTRIES],
    /// Slots that may claim.
    allowed: u32,
    /// What the times of single tasks are counted from, by the machine's monotonic clock; 0: not known yet, or not wanted.
    zero_ns: u64,
    cancelled: bool,
    uses: BTreeMap<EntryUse, LeaseId>,
}

#[derive(Clone, Copy, Debug)]
struct Published {
    /// The tasks as they stand in the page.
    range: IndexRange,
    generation: u16,
    /// Not known to be claimed entirely.
    live: bool,
}

/// A lease.
#[derive(Debug)]
pub(super) struct LeaseState {
    pub job: JobId,
    pub range: IndexRange,
    /// It is claimed as one.
    pub whole: bool,
    attempt: u32,
    kind: u32,
    inputs: Option<Place>,
    uses: Vec<EntryUse>,
}

/// What an executor that is gone had.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// What its threads had claimed and not delivered.
    pub claims: Vec<(LeaseId, IndexRange)>,
    /// The tasks that they were running.
    pub running: Vec<(LeaseId, u64)>,
}

impl Held {
    /// Only these of the running tasks are to blame, and those that are `deaf`, which go without their code being run.
    pub fn blame(&mut self, told: &[u64], deaf: impl Iterator<Item = u64>) {
        self.running.retain(|(_, index)| told.contains(index));
        for index in deaf {
            let claim = self.claims.iter().find(|(_, range)| range.contains(index));
            if let Some(&(lease, _)) = claim
                && !self.running.contains(&(lease, index))
            {
                self.running.push((lease, index));
            }
        }
    }
}

/// Counts the slot time that a job has while it has leases.
#[derive(Debug, Default)]
struct SlotTime {
    slots: u32,
    since: Time,
}

/// How often every thread must be seen asleep before tasks count as lost,
const QUIET_TIMES: u32 = 10;
/// and how long after the last time.
const QUIET_PAUSE: Span = Span::from_millis(500);

/// Watches for tasks that the page has lost.
#[derive(Debug, Default)]
struct Quiet {
    /// When every thread was last seen asleep, and how often since a frame came.
    asleep: Option<(Time, u32)>,
}

impl Quiet {
    /// Whether all threads have been asleep for long enough; `asleep`: they are now.
    fn check(&mut self, asleep: bool, now: Time) -> bool {
        let times = match self.asleep.filter(|_| asleep) {
            Some((last, _)) if now.since(last) < QUIET_PAUSE => return false,
            Some((_, times)) => times + 1,
            None => 1,
        };
        let quiet = asleep && times >= QUIET_TIMES;
        self.asleep = (asleep && !quiet).then_some((now, times));
        quiet
    }
}

impl JobState {
    pub fn new(open: JobOpen, plugin: Arc<PluginFile>, confinement: Confinement, stand_ins: u32) -> Self {
        let limits = &open.limits;
        Self {
            deadlines: limits.timeout.map(|limit| Deadlines::new(limit, limits.grace)),
            stop: None,
            confinement,
            phases: Phases { job: open.job, stand_ins, ..Phases::default() },
            open,
            plugin,
            _in_use: None,
            is_renewed: false,
            memory: None,
            regions: None,
            trouble: String::new(),
            leases: 0,
            crashes: Crashes::default(),
            to_replace: 0,
            slots: SlotTime::default(),
            quiet: Quiet::default(),
        }
    }

    /// Its plugin's file stays where it is.
    pub fn holding(self, in_use: InUse) -> Self {
        Self { _in_use: Some(in_use), ..self }
    }

    /// Its plugin's file was fetched again, or could not be: that is tried once.
    pub fn renew(&mut self, file: Option<&Arc<PluginFile>>) {
        self.is_renewed = true;
        if let Some(file) = file {
            self.plugin = Arc::clone(file);
            self._in_use = file.hold().ok();
        }
    }

    /// An executor of it crashed.
    pub const fn lost_executor(&mut self) {
        self.to_replace += 1;
    }

    /// An executor of it is started: whether it stands in for one that crashed.
    pub fn replaces_crashed(&mut self) -> bool {
        let left = self.to_replace.checked_sub(1);
        self.to_replace = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether its results are partial results of blocks.
    pub const fn reduces(&self) -> bool {
        self.open.reduce_leaf.is_some()
    }

    /// What its executors map: the page, the inputs and the regions; `None`: it has no memory.
    pub fn descriptors(&mut self) -> Option<io::Result<Vec<OwnedFd>>> {
        let memory = self.memory.as_ref()?;
        let regions = match &mut self.regions {
            Some(regions) => regions,
            none => match RegionFile::create() {
                Ok(made) => none.insert(made),
                Err(error) => return Some(Err(error)),
            },
        };
        let all = [memory.page.fd(), memory.arena.fd(), regions.fd()];
        Some(all.into_iter().map(|fd| fd.try_clone_to_owned()).collect())
    }

    pub fn make_memory(&mut self, shape: Shape) -> Result<(), PageError> {
        let known = [Known::default(); ENTRIES];
        self.memory = Some(Memory {
            page: Arc::new(empty_page(shape.slots(), &known)?),
            arena: Arena::create()?,
            published: [None; ENTRIES],
            known,
            allowed: 0,
            zero_ns: 0,
            cancelled: false,
            uses: BTreeMap::new(),
        });
        Ok(())
    }

    /// An executor is ready: the first one's time is the zero of a job whose tasks arrive or are looked at. Starting
    /// executors is no part of the time in the queue. On a worker that takes over from another the lowest of the new tasks
    /// is next.
    pub fn begin_times(&mut self) {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.zero_ns == 0) else { return };
        let JobOpen { arrivals, task_samples, seed, .. } = self.open;
        let passed = match arrivals {
            None if task_samples == 0 => return,
            None => 0,
            Some(arrivals) => {
                let next = memory.first_unseen();
                next.checked_sub(1).map_or(0, |before| Timetable::new(arrivals, seed).due(before).0)
            }
        };
        memory.zero_ns = monotonic_ns().saturating_sub(passed).max(1);
        memory.page.set_zero(memory.zero_ns);
    }

    /// Tells of the tasks that an executor was running when it ended, of those that are looked at. `first_slot` and `threads`
    /// say where it ran them.
    pub fn sample_cut_short(&mut self, executor: ExecutorId, first_slot: u32, threads: u32) {
        let JobOpen { task_samples, tasks, seed, .. } = self.open;
        let Some((sampling, memory)) = Sampling::new(task_samples, tasks, seed).zip(self.memory.as_ref())
        else {
            return;
        };
        let ended_ns = monotonic_ns();
        let cut_short = |slot: u32| {
            let (_, index) = memory.running_in(slot).filter(|(_, index)| sampling.has(*index))?;
            let attempt = memory.page.running(slot)?.1;
            let begun_ns = memory.page.slot(slot)?.started_ns.load(SeqCst);
            Some(TaskSample {
                index,
                start: Span(begun_ns.saturating_sub(memory.zero_ns)),
                run: Span(ended_ns.saturating_sub(begun_ns)),
                failed: true,
                crashed: true,
                executor: executor.0,
                thread: slot - first_slot,
                attempt,
                ..TaskSample::default()
            })
        };
        let slots = first_slot..first_slot.saturating_add(threads);
        let samples: Vec<TaskSample> = slots.filter_map(cut_short).collect();
        self.add_samples(samples);
    }

    /// Tells of tasks that were looked at.
    pub fn add_samples(&mut self, samples: impl IntoIterator<Item = TaskSample>) {
        if let Some(memory) = &self.memory {
            self.phases.zero = Time(memory.zero_ns);
            self.phases.samples.extend(samples);
        }
    }

    /// Lets this many threads claim.
    pub fn allow(&mut self, now: Time, slots: u32) {
        self.count_slot_time(now);
        self.slots.slots = slots;
        if let Some(memory) = &mut self.memory {
            memory.allowed = slots;
            memory.page.allow(slots);
        }
    }

    /// Adds the slot time since the last call.
    pub fn count_slot_time(&mut self, now: Time) {
        if self.leases > 0 {
            let time = now.since(self.slots.since).0.saturating_mul(u64::from(self.slots.slots));
            self.phases.slot += Span(time);
        }
        self.slots.since = now;
    }

    /// When to look for tasks over their time; `None`: none can be.
    pub fn next_overdue_ns(&self) -> Option<u64> {
        let deadlines = self.deadlines.as_ref()?;
        let is_watched = self.memory.as_ref().is_some_and(|memory| !memory.is_cancelled());
        (is_watched && (self.leases > 0 || deadlines.has_any())).then(|| deadlines.next_ns())
    }

    /// Tells its running tasks to stop.
    pub fn cancel_tasks(&mut self) {
        let Some(memory) = &mut self.memory else { return };
        // Before they are told: some stop at once.
        let running = memory.page.tasks_among(0, memory.page.slots());
        memory.cancel();
        if let Some(stop) = &mut self.stop {
            stop.begin(running);
        }
    }

    /// Whether the page says what it should, but for the slots.
    pub fn is_intact(&self) -> bool {
        self.memory.as_ref().is_none_or(Memory::is_intact)
    }

    /// Whether the page says what it should, also in the slots. A flag there is set for tasks over their time.
    pub fn is_all_intact(&self) -> bool {
        let is_told = |slot| self.deadlines.as_ref().is_some_and(|it| it.has_told(slot));
        self.memory.as_ref().is_none_or(|memory| memory.is_all_intact(is_told))
    }

    pub fn frame_arrived(&mut self) {
        self.quiet.asleep = None;
    }

    /// Whether every thread was asleep at several calls and nothing came in between, although leases are in
    /// force: what they wait for is not in the page any more. Calls that follow at once count as one: what the
    /// executors have sent may not have been read yet, also after this process was stopped for long. `seats` are
    /// those of its executors; the other slots have no threads.
    pub fn is_quiet(&mut self, now: Time, mut seats: impl Iterator<Item = Seat>) -> bool {
        let memory = self.memory.as_ref().filter(|_| self.leases > 0);
        let asleep = memory.is_some_and(|memory| {
            seats.all(|seat| memory.page.all_parked(seat.first_slot, seat.threads))
                && memory.page.entries().iter().all(|entry| entry.word().unclaimed() == 0)
        });
        self.quiet.check(asleep, now)
    }
}

impl LeaseState {
    /// Stores what the lease's tasks need.
    pub fn new(grant: &Grant, inputs: Option<&Items>, arena: &mut Arena) -> io::Result<Self> {
        let (kind, whole, inputs) = match (&grant.kind, inputs) {
            (GrantKind::Run, None) => (KIND_RUN, false, None),
            (GrantKind::Run, Some(items)) => (KIND_RUN, false, Some(arena.store_run(items)?)),
            (GrantKind::Combine { blocks, finish }, items) => {
                let kind = if *finish { KIND_FINISH } else { KIND_COMBINE };
                let place = arena.store_combine(items.unwrap_or(&Items::default()), blocks)?;
                (kind, true, Some(place))
            }
        };
        let Grant { job, range, attempt, .. } = *grant;
        Ok(Self { job, range, whole, attempt, kind, inputs, uses: Vec::new() })
    }
}

impl Memory {
    /// Puts tasks of a lease into a page entry.
    pub fn publish(&mut self, entry: usize, id: LeaseId, lease: &mut LeaseState, range: IndexRange) {
        let range = if lease.whole { IndexRange::from_count(range.start, 1) } else { range };
        let place = lease.inputs.unwrap_or_default();
        let facts = LeaseFacts {
            base: range.start,
            inputs_at: place.at,
            inputs_len: place.len,
            inputs_base: lease.range.start,
            attempt: lease.attempt,
            kind: lease.kind,
        };
        let Some(generation) = self.page.publish(entry, range, facts) else { return };
        let known = &mut self.known[entry];
        *known = Known { generation: known.generation.wrapping_add(1), end: range.len() as u32, facts };
        if generation != known.generation {
            // Somebody else wrote there: the page is not intact, and what stands in it is not for anybody.
            return;
        }
        let place = EntryUse { entry: entry as u16, generation };
        self.uses.insert(place, id);
        lease.uses.push(place);
        self.published[entry] = Some(Published { range, generation, live: true });
    }

    /// The first task of those that came first: 0, unless others were run elsewhere. What is tried again comes first in
    /// its lease, and says nothing about the rest.
    fn first_unseen(&self) -> u64 {
        let starts = || self.published.iter().flatten().map(|published| published.range.start);
        if starts().any(|start| start == 0) { 0 } else { starts().max().unwrap_or(0) }
    }

    /// Takes unclaimed tasks out of an entry.
    pub fn reclaim(&mut self, entry: usize, count: u64) -> IndexRange {
        let Some(published) = self.published.get(entry).copied().flatten().filter(|_| self.is_intact())
        else {
            return IndexRange::default();
        };
        let range = self.page.entries()[entry].call_back(published.generation, count);
        self.known[entry].end = self.known[entry].end.saturating_sub(range.len() as u32);
        range
    }

    /// Whether the page says what it should, as far as this process alone writes there, but for the slots: their
    /// threads write beside it all the time, so that looking there costs them something.
    pub fn is_intact(&self) -> bool {
        self.cancelled || self.page.is_intact(self.allowed, self.zero_ns, &self.known)
    }

    /// As [`Memory::is_intact`], with the slots.
    fn is_all_intact(&self, is_told: impl Fn(u32) -> bool) -> bool {
        self.cancelled || (self.is_intact() && !self.page.stops_tasks(is_told))
    }

    /// A page for new executors. Uses of entries go on where they were: results of the old one may be on the way.
    pub fn renew_page(&mut self) -> Result<(), PageError> {
        self.known = self.known.map(|Known { generation, .. }| Known { generation, ..Known::default() });
        self.page = Arc::new(empty_page(self.page.slots(), &self.known)?);
        self.page.set_zero(self.zero_ns);
        self.published = [None; ENTRIES];
        self.allowed = 0;
        Ok(())
    }

    /// Whether running tasks were told to stop.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Tells running tasks to stop.
    fn cancel(&mut self) {
        self.cancelled = true;
        self.page.cancel();
    }

    /// The lease whose tasks were claimed there.
    pub fn lease_at(&self, place: EntryUse) -> Option<LeaseId> {
        self.uses.get(&place).copied()
    }

    /// Entries that have been claimed entirely since the last call.
    pub fn take_drained(&mut self) -> Vec<usize> {
        let entries = self.page.entries();
        let mut drained = Vec::new();
        for (at, published) in self.published.iter_mut().enumerate() {
            let Some(published) = published.as_mut().filter(|published| published.live) else { continue };
            let word = entries[at].word();
            if word.unclaimed() == 0 || word.generation != published.generation {
                published.live = false;
                drained.push(at);
            }
        }
        drained
    }

    /// Forgets a lease that is done.
    pub fn forget(&mut self, lease: LeaseState) {
        for place in lease.uses {
            self.uses.remove(&place);
        }
        if let Some(place) = lease.inputs {
            self.arena.free(place);
        }
    }

    /// What some slots had claimed and not delivered, and what they were running, by the page. The tasks are
    /// as they stand there.
    pub fn held(&self, first_slot: u32, threads: u32) -> Held {
        let mut found = Held::default();
        for slot in (first_slot..first_slot.saturating_add(threads)).filter_map(|slot| self.page.slot(slot)) {
            let claims: Vec<(LeaseId, IndexRange)> = slot
                .pending()
                .filter_map(|(entry, generation, range)| self.taken(entry, generation, range))
                .collect();
            found.running.extend(running(slot, &claims));
            found.claims.extend(claims);
        }
        found
    }

    /// What one slot was running, by the page.
    pub fn running_in(&self, slot: u32) -> Option<(LeaseId, u64)> {
        let held = self.held(slot, 1);
        held.running.first().copied()
    }

    /// The part of an announced claim that was really taken out of the entry.
    fn taken(&self, entry: usize, generation: u16, range: IndexRange) -> Option<(LeaseId, IndexRange)> {
        let place = EntryUse { entry: u16::try_from(entry).ok()?, generation };
        let lease = self.lease_at(place)?;
        let word = self.page.entries().get(entry)?.word();
        let unclaimed_from = self.published[entry]
            .filter(|published| published.generation == generation && word.generation == generation)
            .map_or(u64::MAX, |published| published.range.start + u64::from(word.next));
        let taken = IndexRange::new(range.start, range.end.min(unclaimed_from));
        (!taken.is_empty()).then_some((lease, taken))
    }
}

/// The task that a slot says it runs, when it has claimed it.
fn running(slot: &SlotRecord, claims: &[(LeaseId, IndexRange)]) -> Option<(LeaseId, u64)> {
    let current = slot.current.load(SeqCst);
    let claim = claims.iter().rev().find(|(_, range)| current != SlotRecord::IDLE && range.contains(current));
    claim.map(|&(lease, _)| (lease, current))
}

/// A page without tasks, from which nobody may claim.
fn empty_page(slots: u32, known: &[Known; ENTRIES]) -> Result<JobPage, PageError> {
    let page = JobPage::create(slots)?;
    page.allow(0);
    page.entries().iter().zip(known).for_each(|(entry, known)| entry.begin(known.generation));
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::convert::PluginRef;

    #[test]
    fn slots_without_an_executor_are_not_waited_for() {
        let mut job = JobState::new(
            JobOpen {
                job: JobId(1),
                plugin: PluginRef { name: "x".to_owned(), version: "1".to_owned(), digest: [0; 32], size: 1 },
                params: Default::default(),
                seed: 0,
                tasks: 0,
                shape: Shape::new(2, 2),
                gil: None,
                reduce_leaf: None,
                result_max_bytes: 0,
                weight: 1,
                has_inputs: false,
                max_attempts: 1,
                limits: Default::default(),
                arrivals: None,
                task_samples: 0,
                sandbox: None,
            },
            Arc::new(PluginFile { name: "x".to_owned(), reusable: true, ..PluginFile::default() }),
            Confinement::default(),
            0,
        );
        job.make_memory(job.open.shape).unwrap();
        job.leases = 1;
        let seat = Seat { job: JobId(1), first_slot: 0, threads: 2 };
        let mut quiet = |asleep: u32| {
            let page = &job.memory.as_ref().unwrap().page;
            (0..asleep).filter_map(|slot| page.slot(slot)).for_each(|slot| slot.parked.store(1, SeqCst));
            job.quiet.asleep = None;
            (1..=u64::from(QUIET_TIMES))
                .filter(|&time| job.is_quiet(Time::ZERO + Span::from_millis(500 * time), [seat].into_iter()))
                .count()
        };
        assert_eq!((quiet(1), quiet(2)), (0, 1));
    }

    #[test]
    fn tasks_are_lost_when_all_threads_sleep_for_long_and_nothing_comes() {
        let at = |millis| Time::ZERO + Span::from_millis(millis);
        let mut quiet = Quiet::default();
        // Checks that follow each other at once say nothing, nor does a long time between two.
        let first: Vec<bool> = (0..100).map(|ms| quiet.check(true, at(ms))).collect();
        assert_eq!(first, [false; 100]);
        let sleep = |quiet: &mut Quiet, times: u32, from: u64| {
            (0..u64::from(times)).filter(|&time| quiet.check(true, at(from + 500 * time))).count()
        };
        assert_eq!(sleep(&mut quiet, QUIET_TIMES - 2, 10_000), 0);
        assert!(quiet.check(true, at(20_000)));
        assert_eq!(sleep(&mut quiet, QUIET_TIMES - 1, 30_000), 0, "it starts from the beginning");
        quiet.asleep = None;
        assert_eq!(sleep(&mut quiet, QUIET_TIMES - 1, 40_000), 0, "a frame came");
        assert!(!quiet.check(false, at(50_000)), "a thread was awake");
        assert_eq!(sleep(&mut quiet, QUIET_TIMES - 1, 60_000), 0);
        assert!(quiet.check(true, at(70_000)));
    }
}
