//! Which workers may run which jobs: the scheduler is told of those that must not before the two can meet.

use super::report::Subject;
use super::{Driver, Refusal};
use crate::store::PluginRecord;
use muster_core::id::{JobId, WorkerId};
use muster_core::sandbox::{Level, Need, Unkept, need_texts};
use muster_core::scheduler::Input;
use muster_proto::convert::{Hello, Submission};
use std::collections::BTreeMap;

/// Why a worker must not run a job.
#[derive(Debug)]
enum Why {
    /// It does not trust the plugin.
    Untrusted,
    /// It cannot keep the sandbox, or does not grant what the plugin needs under it.
    Unkept(Unkept),
}

/// What makes workers unfit for a job, of the workers that are there.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    /// What one worker does not do, and what several do not.
    one: String,
    several: String,
}

/// What of a job decides whom it suits.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    asked: Option<Level>,
    plugin: &'a PluginRecord,
    needs: &'a [Need],
}

impl Wanted<'_> {
    fn why_not(&self, hello: &Hello) -> Option<Why> {
        let PluginRecord { name, version, digest, .. } = self.plugin;
        if !hello.trust.admits(name, version, digest) {
            return Some(Why::Untrusted);
        }
        hello.sandbox.level_for(self.asked, self.needs).err().map(Why::Unkept)
    }

    /// The same in words, with what would change it.
    fn in_words(&self, why: &Why, hello: &Hello) -> String {
        let PluginRecord { name, version, digest, .. } = self.plugin;
        let who = format!("worker {}", hello.name);
        match why {
            Why::Untrusted => hello.trust.why_not(name, version, digest, &who).unwrap_or_default(),
            Why::Unkept(unkept) => unkept.text(name, &who),
        }
    }

    fn cause(&self, why: &Why) -> Cause {
        let of = |one: &str, several: &str, what: &str| Cause {
            one: format!("{one} {what}"),
            several: format!("{several} {what}"),
        };
        match why {
            Why::Untrusted => {
                of("does not trust", "do not trust", &format!("{}@{}", self.plugin.name, self.plugin.version))
            }
            Why::Unkept(Unkept::Level { asked, .. }) => {
                of("cannot keep", "cannot keep", &format!("sandbox {asked}"))
            }
            Why::Unkept(Unkept::Needs { missing, .. }) => {
                of("does not grant", "do not grant", &need_texts(missing).join(" and "))
            }
        }
    }
}

impl Driver {
    /// What a job that is submitted or has been wants of its workers.
    fn wanted<'a>(&'a self, submission: &Submission) -> Option<Wanted<'a>> {
        let (plugin, abilities) = self.plugins.known(&submission.plugin.digest)?;
        Some(Wanted { asked: submission.sandbox, plugin, needs: &abilities.needs })
    }

    /// Tells the scheduler which jobs a worker that is about to join must not run.
    pub(super) fn tell_what_does_not_fit(&mut self, worker: WorkerId) {
        let Some(hello) = self.workers.get(&worker).map(|worker| &worker.hello) else { return };
        // Jobs of the same plugin and level are alike, and there may be thousands of them.
        let mut known: BTreeMap<([u8; 32], Option<Level>), bool> = BTreeMap::new();
        let mut is_unfit = |submission: &Submission| {
            let kind = (submission.plugin.digest, submission.sandbox);
            let judge = || self.wanted(submission).is_some_and(|wanted| wanted.why_not(hello).is_some());
            *known.entry(kind).or_insert_with(judge)
        };
        let unfit = self.jobs.iter().filter(|(_, job)| !job.over && is_unfit(&job.submission));
        let unfit: Vec<JobId> = unfit.map(|(&id, _)| id).collect();
        for job in unfit {
            self.tell(Input::Unfit { worker, job }, Subject::Nothing);
        }
    }

    /// Tells the scheduler which workers must not run a job that it is about to be told of.
    pub(super) fn tell_whom_it_does_not_suit(&mut self, job: JobId) {
        let Some(wanted) = self.jobs.get(&job).and_then(|job| self.wanted(&job.submission)) else { return };
        let workers = self.workers.iter();
        let unfit = workers.filter(|(_, worker)| wanted.why_not(&worker.hello).is_some());
        let unfit: Vec<WorkerId> = unfit.map(|(&id, _)| id).collect();
        for worker in unfit {
            self.tell(Input::Unfit { worker, job }, Subject::Nothing);
        }
    }

    /// Refuses a job that no worker here may run. Without workers it waits for some.
    pub(super) fn check_workers(&self, submission: &Submission) -> Result<(), Refusal> {
        let Some(wanted) = self.wanted(submission) else { return Ok(()) };
        let mut first = None;
        for worker in self.workers.values().filter(|worker| !worker.draining) {
            match wanted.why_not(&worker.hello) {
                Some(why) => _ = first.get_or_insert_with(|| wanted.in_words(&why, &worker.hello)),
                None => return Ok(()),
            }
        }
        let Some(first) = first else { return Ok(()) };
        let all = self.causes(submission).filter(|(workers, _)| *workers > 1);
        Err(Refusal::NoFit(all.map_or_else(|| first.clone(), |(_, text)| format!("{text}; {first}"))))
    }

    /// Why nobody who is here runs a job: `of 3 workers 2 do not trust primes@1.0.0, 1 cannot keep sandbox standard`.
    pub(super) fn why_nobody(&self, id: JobId) -> String {
        let causes = self.jobs.get(&id).and_then(|job| self.causes(&job.submission));
        causes.map_or_else(|| "no worker is there".to_owned(), |(_, text)| text)
    }

    /// How many workers are here, and what keeps each from a job; `None`: there is none.
    fn causes(&self, submission: &Submission) -> Option<(usize, String)> {
        let wanted = self.wanted(submission)?;
        let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
        for worker in self.workers.values() {
            let slots = worker.hello.slots;
            let spec = &submission.spec;
            let is_small = !spec.oversubscribe && spec.shape.resolve(slots).slots() > slots;
            let plain = |one: &str, several: &str| Cause { one: one.to_owned(), several: several.to_owned() };
            let cause = match wanted.why_not(&worker.hello) {
                Some(why) => wanted.cause(&why),
                None if is_small => plain("has too few slots", "have too few slots"),
                None if worker.draining => plain("is leaving", "are leaving"),
                None => plain("could not run it", "could not run it"),
            };
            *counts.entry(cause).or_default() += 1;
        }
        let all = counts.values().sum();
        let mut counted: Vec<(Cause, usize)> = counts.into_iter().collect();
        // The most common first; those that are as common in the order of the alphabet.
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let text = match &counted[..] {
            [] => return None,
            [(cause, 1)] => format!("the only worker {}", cause.one),
            [(cause, _)] => format!("all {all} workers {}", cause.several),
            _ => {
                let part = |(cause, count): &(Cause, usize)| {
                    format!("{count} {}", if *count == 1 { &cause.one } else { &cause.several })
                };
                format!("of {all} workers {}", counted.iter().map(part).collect::<Vec<_>>().join(", "))
            }
        };
        Some((all, text))
    }
}
