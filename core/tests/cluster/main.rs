//! Scheduler and agents together, under random orders, losses, crashes and lies. After each step all
//! invariants hold; when the faults stop, every task ends, once.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../../../sim/src/swarm/partial.rs"]
mod value;
mod world;

use muster_core::agent::ExitCause;
use muster_core::id::{JobId, LeaseId, LogPos, WorkerId};
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use muster_core::scheduler::{Config, FailureClass, Grant, Input, JobSpec, Loss, Outcome, Output, Scheduler};
use muster_core::shape::ShapeRequest;
use muster_core::time::{Span, Time};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, VecDeque};
use value::Partial;
use world::{JOB, World};

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Up { at: usize, twice: bool },
    Down { at: usize },
    Claim { at: usize, thread: usize, size: u32 },
    Deliver { at: usize, thread: usize, fail: Option<FailureClass> },
    Crash { at: usize, thread: usize, place: u64 },
    CrashRecorded { at: usize, thread: usize, place: u64 },
    CrashUnseen { at: usize, thread: usize },
    LosePage { at: usize },
    Forget { at: usize, thread: usize },
    Kill { at: usize },
    Restart,
    Join { slots: u32 },
    Wait,
    Pause,
    Beat,
    Lie { at: usize, lease: u64, range: IndexRange, what: u8 },
    Extend { tasks: u64 },
    Hold { held: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (at, thread) = (0..5usize, 0..6usize);
    let place = (at.clone(), thread);
    let fail = prop_oneof![
        20 => Just(None),
        1 => Just(Some(FailureClass::Transient)),
        1 => Just(Some(FailureClass::Failed)),
    ];
    prop_oneof![
        20 => (at.clone(), prop::bool::weighted(0.1)).prop_map(|(at, twice)| Step::Up { at, twice }),
        20 => at.clone().prop_map(|at| Step::Down { at }),
        30 => (place.clone(), 1..9u32).prop_map(|((at, thread), size)| Step::Claim { at, thread, size }),
        25 => (place.clone(), fail).prop_map(|((at, thread), fail)| Step::Deliver { at, thread, fail }),
        2 => (place.clone(), 0..64u64).prop_map(|((at, thread), place)| Step::Crash { at, thread, place }),
        2 => (place.clone(), 0..64u64)
            .prop_map(|((at, thread), place)| Step::CrashRecorded { at, thread, place }),
        1 => place.clone().prop_map(|(at, thread)| Step::CrashUnseen { at, thread }),
        1 => at.clone().prop_map(|at| Step::LosePage { at }),
        1 => place.prop_map(|(at, thread)| Step::Forget { at, thread }),
        1 => at.clone().prop_map(|at| Step::Kill { at }),
        1 => (1..4u32).prop_map(|slots| Step::Join { slots }),
        1 => Just(Step::Wait),
        4 => Just(Step::Pause),
        2 => Just(Step::Beat),
        3 => (at, 0..40u64, (0..250u64, 0..30u64), 0..4u8).prop_map(|(at, lease, (start, count), what)| {
            Step::Lie { at, lease, range: IndexRange::from_count(start, count), what }
        }),
        2 => (0..40u64).prop_map(|tasks| Step::Extend { tasks }),
        1 => any::<bool>().prop_map(|held| Step::Hold { held }),
    ]
}

fn take(world: &mut World, step: Step) {
    let now = world.now;
    let reduce = world.reduce;
    match step {
        Step::Up { at, twice } => {
            world.deliver_up(at, twice);
        }
        Step::Down { at } => {
            world.deliver_down(at);
        }
        Step::Claim { at, thread, size } => {
            let size = if reduce { size.next_power_of_two() } else { size };
            world.worker(at).map(|worker| worker.claim(now, thread, size));
        }
        Step::Deliver { at, thread, fail } => {
            world.worker(at).map(|worker| worker.deliver(now, thread, fail));
        }
        Step::Crash { at, thread, place } => {
            if let Some(worker) = world.worker(at) {
                worker.crash(now, thread, ExitCause::Signal, place);
            }
        }
        Step::CrashRecorded { at, thread, place } => {
            if let Some(worker) = world.worker(at) {
                worker.crash_recorded(now, thread, place);
            }
        }
        Step::CrashUnseen { at, thread } => {
            if let Some(worker) = world.worker(at) {
                worker.crash_unseen(now, thread);
            }
        }
        Step::LosePage { at } => {
            if let Some(worker) = world.worker(at) {
                worker.lose_page(now);
            }
        }
        Step::Forget { at, thread } => {
            if let Some(worker) = world.worker(at) {
                worker.forget_claim(thread);
            }
        }
        Step::Kill { at } => world.kill_worker(at),
        Step::Restart => world.restart(),
        Step::Join { slots } => {
            if world.workers.len() < 5 {
                world.join(slots);
            }
        }
        Step::Wait => world.wait(Span::from_millis(4_000)),
        Step::Pause => world.wait(Span::from_millis(120)),
        Step::Beat => {
            let alive: Vec<WorkerId> = world.alive().map(|worker| worker.id).collect();
            alive.into_iter().for_each(|worker| world.tell(Input::Heartbeat { worker }));
        }
        Step::Lie { at, lease, range, what } => {
            // Mostly leases that are not there, and workers that are not there; a lie about a worker's own lease
            // is a result, only an early one.
            let worker = WorkerId(at as u64 + 1_000 * u64::from(what % 2));
            let lease = LeaseId(((lease % 50) << 33) | (lease % 7));
            world.tell(match what {
                0 => Input::Done { worker, lease, range, bytes: 0, busy: Span(1) },
                1 => Input::Returned { worker, lease, range },
                2 => {
                    let (index, class) = (range.start, FailureClass::Failed);
                    Input::Failed { worker, lease, index, class, busy: Span(1) }
                }
                _ => Input::Trouble { worker, job: JobId(lease.0) },
            });
        }
        Step::Extend { tasks } => world.tell(Input::Extend { job: JOB, tasks, bytes: tasks * 16 }),
        Step::Hold { held } => world.tell(Input::Hold { job: JOB, held }),
    }
}

fn policy() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "fair+adaptive",
        "speculation",
        "fifo+fixed:3+speculation",
        "random+guided",
        "random+factoring+speculation",
    ])
}

fn run_in(mut world: World, spec: JobSpec, steps: Vec<Step>) -> World {
    world.submit(spec);
    steps.into_iter().for_each(|step| take(&mut world, step));
    world.tell(Input::Hold { job: JOB, held: false });
    world.tell(Input::Seal { job: JOB });
    world.finish();
    world
}

fn check_ended(world: &World, tasks: Option<u64>) {
    assert_eq!(world.ended[&JOB], Outcome::Done);
    if let Some(tasks) = tasks {
        assert_eq!(world.committed.len() + world.failed.len(), tasks);
    }
    assert!(world.scheduler.job(JOB).is_none());
    assert_eq!(world.scheduler.queued_tasks(), 0);
    assert!(world.alive().all(|worker| world.scheduler.worker_tasks(worker.id) == Some(0)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_task_of_a_closed_job_ends_once(
        tasks in 0..200u64, workers in 1..4u32, slots in 1..4u32, processes in prop::option::of(1..3u32),
        policy in policy(), steps in prop::collection::vec(step(), 0..400),
    ) {
        let shape = match processes {
            Some(processes) => ShapeRequest::Process { processes: Some(processes) },
            None => ShapeRequest::Thread { threads: None },
        };
        let spec = JobSpec { tasks, shape, oversubscribe: true, ..JobSpec::default() };
        check_ended(&run_in(World::under(workers, slots, policy), spec, steps), Some(tasks));
    }

    #[test]
    fn every_task_of_an_open_job_ends_once(policy in policy(), steps in prop::collection::vec(step(), 0..400)) {
        let spec = JobSpec { open: true, ..JobSpec::default() };
        check_ended(&run_in(World::under(2, 2, policy), spec, steps), None);
    }

    #[test]
    fn a_reduction_ends_with_one_block_or_none(
        tasks in 0..150u64, policy in policy(), steps in prop::collection::vec(step(), 0..400),
    ) {
        let spec = JobSpec { tasks, reduce: true, ..JobSpec::default() };
        let world = run_in(World::under(2, 2, policy), spec, steps);
        prop_assert_eq!(world.speculative, 0);
        check_ended(&world, Some(tasks));
        let expected = if world.failed.len() == tasks { vec![] } else { vec![(0, Block::root(tasks).size)] };
        prop_assert_eq!(world.blocks.into_iter().collect::<Vec<_>>(), expected);
    }
}

/// Random runs with speculation, always the same ones: second leases are given in them, and lost, repeated and late
/// with all else.
#[test]
fn second_leases_are_given_in_random_runs() {
    let mut runner = TestRunner::deterministic();
    let (mut second, mut with) = (0, 0);
    for _ in 0..300 {
        let steps = prop::collection::vec(step(), 200..600).new_tree(&mut runner).unwrap().current();
        let spec = JobSpec { tasks: 20, ..JobSpec::default() };
        let world = run_in(World::under(3, 1, "fixed:1+speculation"), spec, steps);
        check_ended(&world, Some(20));
        second += world.speculative;
        with += u64::from(world.speculative > 0);
    }
    println!("{second} second leases in {with} of 300 runs");
    assert!(second >= 300 && with >= 100, "only {second} second leases in {with} runs");
}

/// Steps without lies: a worker that contradicts itself may say that a failed task is in a block.
fn honest_step() -> impl Strategy<Value = Step> {
    let step = step().prop_filter("a lie", |step| !matches!(step, Step::Lie { .. } | Step::Extend { .. }));
    prop_oneof![60 => step, 1 => Just(Step::Restart)]
}

/// What a reduction came to, compared with the tree of the tasks that did not fail.
fn check_tree(world: &World, tasks: u64) {
    check_ended(world, Some(tasks));
    let Some(leaf) = world.leaf else { return assert_eq!(tasks, 0) };
    let root = Block::root(tasks);
    let expected = value::expected(root, leaf, &world.committed).map(Partial::Sum);
    assert_eq!(world.partials.get(&0), expected.as_ref(), "leaf {leaf}");
    assert!(world.partials.len() <= 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_combinations_follows_from_the_tasks_alone(
        tasks in 0..400u64, leaves_max in 1..20u64, workers in 1..4u32, slots in 1..4u32,
        steps in prop::collection::vec(honest_step(), 0..400),
    ) {
        let spec = JobSpec { tasks, reduce: true, ..JobSpec::default() };
        check_tree(&run_in(World::with_leaves(workers, slots, leaves_max), spec, steps), tasks);
    }
}

/// What a bad task does whenever it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// It writes all over the page.
    Page,
    /// It ends its executor after it has written into its record in the page.
    Record,
    /// It ends its executor, and what the executor had is gone from the page.
    Claims,
    /// It ends its executor, which says by which thread.
    Recorded,
}

/// Whatever a task does to the page, it alone fails, after so many attempts as it has.
#[test]
fn the_task_that_harms_the_page_is_found() {
    let (tasks, bad) = (1_000, 617);
    let shapes = [
        ShapeRequest::Thread { threads: Some(1) },
        ShapeRequest::Thread { threads: Some(3) },
        ShapeRequest::Process { processes: Some(3) },
    ];
    for (harm, shape) in [Harm::Page, Harm::Record, Harm::Claims, Harm::Recorded]
        .into_iter()
        .flat_map(|harm| shapes.map(|shape| (harm, shape)))
    {
        let mut world = World::new(1, 3);
        world.submit(JobSpec { tasks, shape, ..JobSpec::default() });
        let (mut harmed, mut rounds) = (0, 0);
        while !world.ended.contains_key(&JOB) {
            while world.deliver_down(0) | world.deliver_up(0, false) {}
            let now = world.now;
            let worker = &mut world.workers[0];
            for thread in 0..worker.threads.len() {
                worker.claim(now, thread, 8);
            }
            let worked = (0..worker.threads.len()).any(|thread| !worker.claimed(thread).is_empty());
            match (0..worker.threads.len()).find(|&thread| worker.claimed(thread).contains(bad)) {
                Some(thread) => {
                    harmed += 1;
                    match harm {
                        Harm::Page => worker.lose_page(now),
                        Harm::Record => worker.crash_unseen(now, thread),
                        Harm::Recorded => {
                            let start = worker.claimed(thread).start;
                            worker.crash_recorded(now, thread, bad - start);
                        }
                        Harm::Claims => {
                            worker.forget_claim(thread);
                            worker.crash_unseen(now, thread);
                        }
                    }
                }
                None if worked => {
                    for thread in 0..worker.threads.len() {
                        worker.deliver(now, thread, None);
                    }
                }
                None => worker.quiet(now),
            }
            rounds += 1;
            assert!(rounds < 5_000, "{harm:?} {shape:?}: the job does not end");
        }
        assert_eq!(
            world.failed.iter().collect::<Vec<_>>(),
            [IndexRange::from_count(bad, 1)],
            "{harm:?} {shape:?}"
        );
        check_ended(&world, Some(tasks));
        // With a record nobody has to be found out.
        assert!(harm != Harm::Recorded || harmed == 3, "{shape:?}: {harmed} times");
        assert!(harmed <= 30, "{harm:?} {shape:?}: {harmed} times");
    }
}

/// Executors die in the middle of wide leaves again and again, so that hardly a leaf is claimed as one.
#[test]
fn leaves_that_were_cut_come_to_the_same() {
    let tasks = 300;
    let mut cut = 0;
    for place in 0..40 {
        let mut world = World::with_leaves(2, 2, 8);
        world.submit(JobSpec { tasks, reduce: true, max_attempts: 100, ..JobSpec::default() });
        for round in 0..60 {
            for at in 0..2 {
                while world.deliver_down(at) | world.deliver_up(at, false) {}
            }
            let now = world.now;
            let worker = &mut world.workers[round % 2];
            for thread in 0..worker.threads.len() {
                worker.claim(now, thread, 64);
            }
            if round % 3 == 0 {
                for thread in 0..worker.threads.len() {
                    worker.deliver(now, thread, None);
                }
            } else {
                worker.crash(now, 0, ExitCause::Signal, place * 7 + round as u64);
            }
            if round == 30 {
                world.kill_worker(1);
                world.join(2);
                world.workers.swap_remove(1);
            }
        }
        world.finish();
        assert!(world.failed.is_empty());
        check_tree(&world, tasks);
        cut += world.cut;
    }
    assert!(cut > 400, "only {cut} blocks were smaller than a leaf");
}

fn grants(world: &World) -> Vec<(WorkerId, Grant)> {
    let sent = world.workers.iter().flat_map(|worker| worker.down.iter());
    sent.filter_map(|output| match output {
        Output::Grant { worker, grant } => Some((*worker, grant.clone())),
        _ => None,
    })
    .collect()
}

#[test]
fn a_worker_cannot_commit_for_another() {
    let mut world = World::new(2, 1);
    world.submit(JobSpec { tasks: 2, ..JobSpec::default() });
    let grants = grants(&world);
    assert_eq!(grants.len(), 2);
    let (thief, victim) = (grants[0].0, &grants[1].1);
    world.tell(Input::Done {
        worker: thief,
        lease: victim.lease,
        range: victim.range,
        bytes: 0,
        busy: Span(1),
    });
    assert_eq!(world.dropped, 1);
    assert!(world.committed.is_empty());
}

/// What is wrong, late or repeated is counted, and nothing else of the scheduler is any different afterwards.
#[test]
fn lies_change_nothing() {
    for reduce in [false, true] {
        let mut world = World::new(2, 1);
        world.submit(JobSpec { tasks: 1_000, reduce, ..JobSpec::default() });
        let grants = grants(&world);
        let (worker, own) = (grants[0].0, grants[0].1.clone());
        let (_, other) = grants.iter().find(|(of, _)| *of != worker).expect("both have work").clone();
        let first = IndexRange::from_count(own.range.start, 1);
        world.tell(Input::Done { worker, lease: own.lease, range: first, bytes: 0, busy: Span(5) });
        let beyond = IndexRange::from_count(own.range.end, 64);
        let far = IndexRange::from_count(1 << 39, 1 << 38);
        let lies = [
            (own.lease, first),
            (own.lease, beyond),
            (own.lease, far),
            (other.lease, other.range),
            (LeaseId(77), first),
        ];
        for (lease, range) in lies {
            let index = range.start;
            for lie in [
                Input::Done { worker, lease, range, bytes: 0, busy: Span(u64::MAX) },
                Input::Failed { worker, lease, index, class: FailureClass::Failed, busy: Span(1) },
                Input::Returned { worker, lease, range },
                Input::Done { worker: WorkerId(99), lease, range, bytes: 0, busy: Span(1) },
            ] {
                let (before, dropped) = (format!("{:?}", world.scheduler), world.dropped);
                world.tell(lie.clone());
                assert_eq!(format!("{:?}", world.scheduler), before, "{lie:?}");
                assert!(world.dropped > dropped, "{lie:?} is not counted");
            }
        }
        for lie in [
            Input::Trouble { worker: WorkerId(99), job: JOB },
            Input::Trouble { worker, job: JobId(99) },
            Input::Heartbeat { worker: WorkerId(99) },
            Input::Left { worker: WorkerId(99), reason: Loss::Left },
        ] {
            let before = format!("{:?}", world.scheduler);
            world.tell(lie.clone());
            assert_eq!(format!("{:?}", world.scheduler), before, "{lie:?}");
        }
    }
}

/// Only the part of a report that counts says how long tasks take.
#[test]
fn a_report_that_is_partly_late_counts_in_part() {
    let lengths = |inflate: bool| {
        let mut world = World::new(1, 1);
        world.submit(JobSpec { tasks: 100_000, ..JobSpec::default() });
        let (worker, grant) = grants(&world)[0].clone();
        let range = if inflate { IndexRange::new(grant.range.start, 1 << 39) } else { grant.range };
        let busy = Span(range.len() * 1_000_000);
        world.tell(Input::Done { worker, lease: grant.lease, range, bytes: 0, busy });
        grants(&world).iter().map(|(_, grant)| grant.range.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(true), lengths(false));
}

#[test]
fn jobs_share_by_weight() {
    let mut scheduler = Scheduler::new(Config::default(), LogPos(1));
    let mut now = Time::ZERO;
    scheduler.handle(now, Input::Joined { worker: WorkerId(1), slots: 1 });
    for (job, weight) in [(JobId(1), 1), (JobId(2), 3)] {
        let spec = JobSpec { tasks: 10_000, weight, ..JobSpec::default() };
        scheduler.handle(now, Input::Submit { job, spec });
    }
    let (mut done, mut queue) = (BTreeMap::new(), VecDeque::new());
    while now < Time(20_000_000_000) {
        while let Some(output) = scheduler.poll_output() {
            if let Output::Grant { grant, .. } = output {
                queue.push_back(grant);
            }
        }
        let grant = queue.pop_front().expect("there is always work");
        let busy = Span(grant.range.len() * 10_000_000);
        now = now + busy;
        *done.entry(grant.job).or_insert(0) += grant.range.len();
        scheduler.handle(
            now,
            Input::Done { worker: WorkerId(1), lease: grant.lease, range: grant.range, bytes: 0, busy },
        );
    }
    let ratio = done[&JobId(2)] as f64 / done[&JobId(1)] as f64;
    assert!((2.5..3.5).contains(&ratio), "weights 1 and 3 gave {done:?}");
}

#[test]
fn higher_priority_goes_first() {
    let mut scheduler = Scheduler::new(Config::default(), LogPos(1));
    for (job, priority) in [(JobId(1), 0), (JobId(2), 5)] {
        let spec = JobSpec { tasks: 4, priority, ..JobSpec::default() };
        scheduler.handle(Time::ZERO, Input::Submit { job, spec });
    }
    scheduler.handle(Time::ZERO, Input::Joined { worker: WorkerId(1), slots: 2 });
    let first = std::iter::from_fn(|| scheduler.poll_output()).find_map(|output| match output {
        Output::Grant { grant, .. } => Some(grant.job),
        _ => None,
    });
    assert_eq!(first, Some(JobId(2)));
}

#[test]
fn a_late_worker_gets_unstarted_tasks_of_the_others() {
    let mut world = World::new(1, 1);
    world.submit(JobSpec { tasks: 4, ..JobSpec::default() });
    while world.deliver_down(0) {}
    let now = world.now;
    world.workers[0].claim(now, 0, 1);
    world.join(1);
    while world.deliver_down(0) | world.deliver_up(0, false) {}
    let given = world.scheduler.worker_tasks(WorkerId(2));
    assert!(given >= Some(1), "the newcomer has {given:?}");
    world.finish();
    check_ended(&world, Some(4));
}

#[test]
fn a_held_job_gives_back_what_nobody_started() {
    let mut world = World::new(2, 1);
    world.submit(JobSpec { tasks: 100, ..JobSpec::default() });
    let deliver = |world: &mut World| {
        while (0..2).any(|at| world.deliver_down(at) | world.deliver_up(at, false)) {}
    };
    deliver(&mut world);
    let view = |world: &World| {
        let view = world.scheduler.job(JOB).unwrap();
        (view.ready, view.leased, view.committed)
    };
    assert!(view(&world).1 > 2, "more is leased out than can run: {:?}", view(&world));
    world.tell(Input::Hold { job: JOB, held: true });
    deliver(&mut world);
    assert_eq!(view(&world), (99, 1, 0), "the task that a reader waits for stays out");
    world.tell(Input::Hold { job: JOB, held: false });
    deliver(&mut world);
    let now = world.now;
    (0..2).for_each(|at| assert!(world.workers[at].claim(now, 0, 1)));
    world.tell(Input::Hold { job: JOB, held: true });
    deliver(&mut world);
    assert_eq!(view(&world), (98, 2, 0), "what runs goes on, the rest is back");
    (0..2).for_each(|at| assert!(world.workers[at].deliver(now, 0, None)));
    deliver(&mut world);
    assert_eq!(view(&world), (98, 0, 2));
    // Held again: nothing more to ask for. Let go: everything runs, and as the same attempt.
    world.tell(Input::Hold { job: JOB, held: true });
    assert!(world.workers.iter().all(|worker| worker.down.is_empty()));
    world.tell(Input::Hold { job: JOB, held: false });
    assert!(grants(&world).iter().all(|(_, grant)| grant.attempt == 1));
    world.finish();
    check_ended(&world, Some(100));
}

#[test]
fn a_task_that_crashes_its_executor_is_charged_and_its_neighbours_are_not() {
    let mut world = World::new(1, 1);
    world.submit(JobSpec { tasks: 10, ..JobSpec::default() });
    while world.deliver_down(0) {}
    let now = world.now;
    for _ in 0..3 {
        // Index 0 is claimed with neighbours and ends the executor each time.
        for _ in 0..50 {
            let worker = &mut world.workers[0];
            if worker.claim(now, 0, 4) {
                break;
            }
            world.deliver_down(0);
            world.deliver_up(0, false);
        }
        world.workers[0].crash(now, 0, ExitCause::Signal, 0);
        while world.deliver_up(0, false) | world.deliver_down(0) {}
    }
    world.finish();
    assert!(world.failed.len() <= 1, "{:?} failed", world.failed);
    check_ended(&world, Some(10));
}

#[test]
fn a_silent_worker_is_given_up_and_a_coordinator_that_stood_still_hears_first() {
    let mut world = World::new(1, 1);
    let lease = Config::default().lease;
    // The check comes late, because nothing ran; only then is read what the worker has said meanwhile.
    world.wait(lease + lease);
    assert!(!world.workers[0].dead);
    world.tell(Input::Heartbeat { worker: world.workers[0].id });
    world.wait(Span(lease.0 - 1));
    assert!(!world.workers[0].dead, "its time began anew");
    world.wait(Span(1));
    assert!(!world.workers[0].dead, "it has a last chance");
    world.wait(Span(lease.0 / 10));
    assert!(world.workers[0].dead);
}

/// A task said to have taken longer than any time there is does not upset the credit: what a lease counted is what
/// it gives back.
#[test]
fn an_absurd_task_time_does_not_upset_the_credit() {
    let config = Config { policy: "fixed:10".parse().unwrap(), ..Config::default() };
    let mut scheduler = Scheduler::new(config, LogPos(1));
    let worker = WorkerId(1);
    let (absurd, plain) = (JobId(1), JobId(2));
    let mut leases: Vec<Grant> = Vec::new();
    let mut tell = |leases: &mut Vec<Grant>, input: Input| {
        if let Input::Done { lease, .. } = &input {
            leases.retain(|grant| grant.lease != *lease);
        }
        scheduler.handle(Time::ZERO, input);
        leases.extend(std::iter::from_fn(|| scheduler.poll_output()).filter_map(|output| match output {
            Output::Grant { grant, .. } => Some(grant),
            _ => None,
        }));
    };
    let done = |leases: &[Grant], job, busy| {
        let grant = leases.iter().find(|grant| grant.job == job).expect("the job has a lease");
        Input::Done { worker, lease: grant.lease, range: grant.range, bytes: 0, busy }
    };
    tell(&mut leases, Input::Joined { worker, slots: 1 });
    for (job, priority) in [(absurd, 1), (plain, 0)] {
        let spec = JobSpec { tasks: 10_000, priority, ..JobSpec::default() };
        tell(&mut leases, Input::Submit { job, spec });
    }
    let hold = |held| Input::Hold { job: absurd, held };
    let input = done(&leases, absurd, Span(u64::MAX));
    tell(&mut leases, input);
    tell(&mut leases, hold(true));
    while let Some(lease) = leases.iter().find(|grant| grant.job == absurd) {
        let (lease, range) = (lease.lease, lease.range);
        tell(&mut leases, Input::Done { worker, lease, range, bytes: 0, busy: Span(u64::MAX) });
    }
    for _ in 0..20 {
        let input = done(&leases, plain, Span(10_000));
        tell(&mut leases, input);
    }
    let ahead = leases.len();
    assert_eq!(ahead, 8, "short leases fill the credit");
    // One absurd lease comes and goes.
    tell(&mut leases, hold(false));
    let input = done(&leases, plain, Span(10_000));
    tell(&mut leases, input);
    tell(&mut leases, hold(true));
    let input = done(&leases, absurd, Span(10_000));
    tell(&mut leases, input);
    assert_eq!(leases.len(), ahead, "no more than before");
}

/// A draining worker that vanishes has not finished: nobody is told that it has.
#[test]
fn a_worker_that_is_lost_while_it_drains_has_not_drained() {
    for silent in [false, true] {
        let mut scheduler = Scheduler::new(Config::default(), LogPos(1));
        let worker = WorkerId(1);
        scheduler.handle(Time::ZERO, Input::Joined { worker, slots: 1 });
        let spec = JobSpec { tasks: 10, ..JobSpec::default() };
        scheduler.handle(Time::ZERO, Input::Submit { job: JOB, spec });
        scheduler.handle(Time::ZERO, Input::Drain { worker });
        if silent {
            let lease = Config::default().lease;
            scheduler.handle_timeout(Time::ZERO + lease);
            scheduler.handle_timeout(Time::ZERO + lease + Span(lease.0 / 10));
        } else {
            scheduler.handle(Time::ZERO, Input::Left { worker, reason: Loss::Disconnected });
        }
        let said: Vec<Output> = std::iter::from_fn(|| scheduler.poll_output()).collect();
        assert!(!said.contains(&Output::Drained { worker }), "{said:?}");
        assert_eq!(said.contains(&Output::Lost { worker }), silent);
        scheduler.check_invariants();
        assert_eq!(scheduler.worker_tasks(worker), None);
    }
}
