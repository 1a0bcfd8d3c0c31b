//! The tasks that a thread has going at the same time.

use super::time_limit::{Since, TimeLimit};
use crate::frame::EntryUse;
use muster_plugin_host::Ticket;

/// Tasks that have begun and not ended, and who of them is over its time.
#[derive(Debug)]
pub(super) struct GoingTasks {
    /// By their tokens.
    tasks: Vec<Option<Going>>,
    free: Vec<u32>,
    limit: Option<TimeLimit>,
}

/// A task that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Going {
    pub index: u64,
    pub attempt: u32,
    pub place: EntryUse,
    /// The place of its claim among the open ones.
    pub at: usize,
    pub begun_ns: u64,
    /// When it was due, where tasks arrive.
    pub due_ns: Option<u64>,
    /// What the plugin knows it by, once it does.
    pub ticket: Option<Ticket>,
    /// It was told to stop, because it was over its time.
    pub is_told: bool,
}

impl GoingTasks {
    /// None.
    pub fn new(limit: Option<TimeLimit>) -> Self {
        Self { tasks: Vec::new(), free: Vec::new(), limit }
    }

    /// The time limit of each; `None`: there is none.
    pub fn limit_ns(&self) -> Option<u64> {
        self.limit.as_ref().map(TimeLimit::limit_ns)
    }

    /// A task begins; says its token.
    pub fn begin(&mut self, task: Going) -> u64 {
        let token = self.free.pop().unwrap_or(self.tasks.len() as u32);
        match self.tasks.get_mut(token as usize) {
            Some(free) => *free = Some(task),
            None => self.tasks.push(Some(task)),
        }
        let (tasks, going) = (&self.tasks, self.tasks.len() - self.free.len());
        if let Some(limit) = &mut self.limit {
            limit.begin(token.into(), task.begun_ns, going, |since| is_going(tasks, since));
        }
        token.into()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.tasks.len() - self.free.len()
    }

    /// The plugin knows a task by this ticket.
    pub fn set_ticket(&mut self, token: u64, ticket: Ticket) {
        if let Some(task) = self.get_mut(token) {
            task.ticket = Some(ticket);
        }
    }

    /// A task has ended; `None`: it had before.
    pub fn end(&mut self, token: u64) -> Option<Going> {
        let task = self.tasks.get_mut(token as usize).and_then(Option::take)?;
        self.free.push(token as u32);
        Some(task)
    }

    /// When a task began.
    pub fn begun_ns(&self, token: u64) -> Option<u64> {
        Some(self.tasks.get(token as usize)?.as_ref()?.begun_ns)
    }

    /// A task that is to be told to stop.
    pub fn tell_one(&mut self, now_ns: u64) -> Option<Ticket> {
        let tasks = &self.tasks;
        let token = self.limit.as_mut()?.tell_one(now_ns, |since| is_going(tasks, since))?;
        let task = self.get_mut(token)?;
        task.is_told = true;
        task.ticket
    }

    /// Tasks that were told to stop and have not, by index. Each is given once.
    pub fn take_deaf(&mut self, now_ns: u64) -> Vec<u64> {
        let tasks = &self.tasks;
        let Some(limit) = &mut self.limit else { return Vec::new() };
        let deaf = limit.take_deaf(now_ns, |since| is_going(tasks, since));
        deaf.into_iter().filter_map(|token| Some(tasks[token as usize]?.index)).collect()
    }

    /// When one is to be told to stop, or has not stopped in time; `u64::MAX`: never.
    pub fn next_due_ns(&mut self) -> u64 {
        let tasks = &self.tasks;
        let due = self.limit.as_mut().and_then(|limit| limit.next_ns(|since| is_going(tasks, since)));
        due.unwrap_or(u64::MAX)
    }

    /// The task that is over its time first, when there is a limit.
    pub fn oldest(&mut self) -> Option<Going> {
        let tasks = &self.tasks;
        let oldest = self.limit.as_mut()?.oldest(|since| is_going(tasks, since))?;
        *tasks.get(oldest.token as usize)?
    }

    /// All have ended.
    pub fn clear(&mut self) {
        self.tasks.clear();
        self.free.clear();
        self.limit.iter_mut().for_each(TimeLimit::clear);
    }

    fn get_mut(&mut self, token: u64) -> Option<&mut Going> {
        self.tasks.get_mut(token as usize)?.as_mut()
    }
}

fn is_going(tasks: &[Option<Going>], since: &Since) -> bool {
    let task = tasks.get(since.token as usize).and_then(Option::as_ref);
    task.is_some_and(|task| task.begun_ns == since.begun_ns)
}
