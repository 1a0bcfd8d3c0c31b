//! `wordcount`: counts the words of real text. A word is a run of ASCII letters; capitals count as small letters.
//!
//! Both the output of a task and that of the job are lines `word count`, sorted by the bytes of the word, so that
//! `--reduce` over some files gives what
//! `cat FILES | tr -cs A-Za-z '\n' | tr A-Z a-z | grep . | LC_ALL=C sort | uniq -c | awk '{print $2, $1}'` gives.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod counts;
mod partial;
mod scan;
mod short;

use counts::Counts;
use muster_sdk::{Context, Error, Job, Reduce, Task, Workload};

struct WordCount;

impl Workload for WordCount {
    type Params = ();
    type Output = String;

    fn create((): (), _job: &Job) -> Result<Self, Error> {
        Ok(Self)
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<String, Error> {
        let mut counts = Counts::new();
        scan::count(task.input(), &mut counts, || ctx.checkpoint())?;
        Ok(counts.to_lines())
    }
}

impl Reduce for WordCount {
    type Partial = Counts;
    type Total = String;

    fn zero(&self) -> Counts {
        Counts::new()
    }

    fn add(&self, partial: &mut Counts, index: u64, result: &[u8]) -> Result<(), Error> {
        partial
            .add_lines(result)
            .map_err(|error| Error::failed(format_args!("result of task {index}: {error}")))
    }

    fn merge(&self, left: &mut Counts, right: Counts) -> Result<(), Error> {
        left.merge(right);
        Ok(())
    }

    fn encode(&self, partial: &Counts) -> Result<Vec<u8>, Error> {
        Ok(partial::encode(partial))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Counts, Error> {
        partial::decode(bytes).ok_or_else(|| Error::failed("these bytes are no counts of words"))
    }

    fn finish(&self, partial: Counts) -> Result<String, Error> {
        Ok(partial.to_lines())
    }
}

muster_sdk::export! {
    WordCount: Reduce {
        name: "wordcount",
        description: "Counts words: runs of ASCII letters, in small letters",
        input: Input::Required,
        deterministic: true,
        idempotent: true,
    }
}
