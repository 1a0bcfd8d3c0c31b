//! What a comparison says in plain words: which configuration to use, what it costs, and when the answer changes.

use super::course::End;
use super::measure::Measure;
use super::result::{Row, Spread};
use crate::statistics::{Analysis, Claim, Enough, Interval, Pair, claim};
use crate::summary::{bytes, number, percent, seconds};

/// With a larger noise floor the reader is warned.
const FLOOR_MAX: f64 = 0.25;

/// An answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer first.
    pub sentences: Vec<String>,
    /// The row to use; `None`: there is no answer.
    pub chosen: Option<usize>,
    /// Why there is none.
    pub none: Option<NoAnswer>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There are too few blocks; so many are needed.
    Few { needed: usize },
    /// Rows are invalid.
    Invalid(Invalid),
    /// What else may be: outputs differ, nothing keeps up.
    Other,
}

/// Rows that are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub invalid: usize,
    pub rows: usize,
    /// The first of them, and why.
    pub first: String,
}

impl Invalid {
    /// For people.
    pub fn sentence(&self) -> String {
        let Self { invalid, rows, first } = self;
        format!(
            "No answer: {invalid} of {rows} rows are invalid ({first}). Run it again on a machine that does nothing else."
        )
    }
}

impl Verdict {
    fn none(because: NoAnswer, sentence: String) -> Self {
        Self { sentences: vec![sentence], chosen: None, none: Some(because) }
    }
}

/// What may be said of rows that are compared with each other.
pub fn verdict(rows: &[Row], analysis: &Analysis, measure: Measure, blocks: usize, end: End) -> Verdict {
    let wrong: Vec<&str> = rows.iter().filter(|row| row.is_wrong).map(|row| row.name.as_str()).collect();
    if !wrong.is_empty() {
        let sentence = format!(
            "No answer: the outputs of {} are not those of the first run, though the plugin is declared deterministic.",
            listed(&wrong)
        );
        return Verdict::none(NoAnswer::Other, sentence);
    }
    if let Enough::No { blocks_needed } = analysis.enough {
        let pairs = analysis.pairs.len();
        let comparisons = if pairs == 1 { "1 comparison".to_owned() } else { format!("{pairs} comparisons") };
        let advice = match end {
            End::Blocks => format!("Give --blocks {blocks_needed}, or fewer models."),
            End::Interrupted(_) => "Let it go on for longer.".to_owned(),
            End::Target | End::Budget => {
                "Give a larger --budget; for a plugin also a smaller -n, or fewer models.".to_owned()
            }
        };
        let blocks = if blocks == 1 { "1 block says".to_owned() } else { format!("{blocks} blocks say") };
        let sentence = format!(
            "Not enough: {blocks} nothing for sure in {comparisons}; {blocks_needed} are needed. {advice}"
        );
        return Verdict::none(NoAnswer::Few { needed: blocks_needed }, sentence);
    }
    let judged = Judged { rows, analysis, measure, floor: analysis.noise_floor.unwrap_or(0.0) };
    if judged.known().count() < 2 {
        return no_answer(rows);
    }
    let ratio = |place: usize| analysis.standings[place].ratio_to_best.map_or(1.0, |ratio| ratio.estimate);
    let Some(first) = judged.choices().min_by(|a, b| ratio(*a).total_cmp(&ratio(*b))) else {
        return Verdict::none(
            NoAnswer::Other,
            "No answer: no configuration keeps up with these arrivals. Give a lower --rate, or more --slots."
                .to_owned(),
        );
    };
    let others = |wanted: Claim| {
        judged.choices().filter(move |&place| place != first && judged.claim(place, first) == wanted)
    };
    let is_sure = others(Claim::NoDifference).chain(others(Claim::Slower)).next().is_some();
    if !is_sure && judged.choices().count() > 1 && judged.choices().any(|place| !rows[place].valid) {
        return no_answer(rows);
    }
    let mut alike: Vec<usize> = std::iter::once(first).chain(others(Claim::NoDifference)).collect();
    alike.sort_unstable();
    let memory = |place: usize| rows[place].pss_peak_bytes.unwrap_or(u64::MAX);
    let chosen = alike.iter().copied().min_by_key(|&place| memory(place)).unwrap_or(first);
    let mut sentences = vec![judged.answer(chosen, &alike) + &costs(&rows[chosen])];
    let unclear: Vec<String> = others(Claim::Unclear).map(|place| judged.times(place, first)).collect();
    if !unclear.is_empty() {
        let (names, it) = (unclear.join(", "), &rows[first].name);
        sentences.push(format!("Unclear, beside {it}: {names}; more blocks may tell."));
    }
    sentences.extend(judged.changes(chosen, &alike));
    sentences.extend(left_out(rows));
    sentences.extend(allowed_for(rows));
    if judged.floor > FLOOR_MAX {
        let floor = percent(judged.floor);
        sentences.push(format!(
            "The machine is not steady: differences below {floor} are not seen (muster doctor)."
        ));
    }
    Verdict { sentences, chosen: Some(chosen), none: None }
}

/// All rows, and what the analysis says of any two of them.
#[derive(Clone, Copy)]
struct Judged<'a> {
    rows: &'a [Row],
    analysis: &'a Analysis,
    measure: Measure,
    floor: f64,
}

impl Judged<'_> {
    /// Rows of which something can be said.
    fn known(self) -> impl Iterator<Item = usize> {
        (0..self.rows.len()).filter(move |&place| self.rows[place].disturbed().is_some())
    }

    /// What can be recommended. A lock is a question about other languages, not a way to run this plugin; and what cannot
    /// keep up with arrivals has no latency.
    fn choices(self) -> impl Iterator<Item = usize> {
        let only_locks = self.rows.iter().all(|row| row.gil);
        self.known().filter(move |&place| {
            let row = &self.rows[place];
            (only_locks || !row.gil) && !row.overload
        })
    }

    /// How many times as long one takes as another, and the adjusted p-value of that.
    fn ratio(self, of: usize, to: usize) -> Option<(Spread, f64)> {
        let is_theirs = |pair: &&Pair| (pair.first, pair.second) == (of.min(to), of.max(to));
        let pair = self.analysis.pairs.iter().find(is_theirs)?;
        // That of the one further right to the other.
        let ratio = Spread::from(pair.ratio?);
        Some((if of > to { ratio } else { ratio.inverse() }, pair.adjusted_p))
    }

    /// What may be said of one beside another that looks faster, whatever else used the machine: without that, either may
    /// have been faster by its share.
    fn claim(self, of: usize, to: usize) -> Claim {
        let standing = self.analysis.standings[of];
        // Beside the best, it is what the rows say.
        let found = if Some(to) == self.analysis.best && of != to {
            standing.ratio_to_best.map(|ratio| (ratio, standing.adjusted_p))
        } else {
            self.ratio(of, to).map(|(ratio, p)| (Interval::from(ratio), p))
        };
        let share = |place: usize| self.rows[place].disturbed();
        let known = found.zip(share(of).zip(share(to)));
        known.map_or(Claim::Unclear, |((ratio, p), (ours, theirs))| {
            claim(ratio, p, self.floor, [ours, theirs])
        })
    }

    /// `process 4x1, 1.14 (1.01-1.32) times`.
    fn times(self, of: usize, to: usize) -> String {
        let ratio = self.ratio(of, to).map(|(ratio, _)| format!(", {} times", with_interval(&ratio)));
        format!("{}{}", self.rows[of].name, ratio.unwrap_or_default())
    }

    fn answer(self, chosen: usize, alike: &[usize]) -> String {
        let name = &self.rows[chosen].name;
        if alike.len() > 1 {
            let names: Vec<&str> = alike.iter().map(|&place| self.rows[place].name.as_str()).collect();
            let is_known = self.rows[chosen].pss_peak_bytes.is_some();
            let why = if is_known { "takes the least memory" } else { "is the first of them" };
            let same = match self.measure {
                Measure::Time => "take the same time",
                Measure::LatencyP95 => "have the same p95 latency",
            };
            let (names, floor) = (listed(&names), percent(self.floor));
            return format!("Use {name}: {names} {same} within {floor}, and it {why}");
        }
        let slower =
            self.choices().filter(|&place| place != chosen && self.claim(place, chosen) == Claim::Slower);
        let next = slower.filter_map(|place| Some((place, self.ratio(place, chosen)?.0)));
        match next.min_by(|a, b| a.1.median.total_cmp(&b.1.median)) {
            Some((place, ratio)) => {
                let (next, more) = (&self.rows[place].name, self.measure.more());
                let times = self.measure.times_as_much(&ratio);
                format!("Use {name}: the next that is surely {more}, {next}, {times}")
            }
            None => match (self.measure, self.choices().count()) {
                (Measure::LatencyP95, 1) => format!("Use {name}, which alone keeps up with the arrivals"),
                (Measure::LatencyP95, _) => format!("Use {name}, which looks to have the lowest p95 latency"),
                (Measure::Time, _) => format!("Use {name}, which looks the fastest"),
            },
        }
    }

    /// When another answer would be right.
    fn changes(self, chosen: usize, alike: &[usize]) -> Option<String> {
        let mut parts = Vec::new();
        if let Some((name, what)) = self.lock(chosen) {
            parts.push(format!("tasks hold an interpreter lock as in CPython ({name}), with which {what}"));
        }
        let lost = |place: usize| self.rows[place].lost_by_one_crash;
        let is_safer = |place: &&usize| lost(**place).zip(lost(chosen)).is_some_and(|(its, ours)| its < ours);
        if let Some(&safer) = alike.iter().filter(is_safer).min_by_key(|&&place| lost(place)) {
            let peaks = self.rows[safer].pss_peak_bytes.zip(self.rows[chosen].pss_peak_bytes);
            let price = peaks.map(|(its, ours)| format!(", for {} more", bytes(its.saturating_sub(ours))));
            let (name, price) = (&self.rows[safer].name, price.unwrap_or_default());
            let same = match self.measure {
                Measure::Time => "is as fast",
                Measure::LatencyP95 => "has the same p95 latency",
            };
            parts.push(format!("a crash must cost less: {name} {same}{price}"));
        }
        (!parts.is_empty()).then(|| format!("The answer changes when {}.", parts.join("; or when ")))
    }

    /// How much slower the lock makes the threads of the chosen configuration, where it does.
    fn lock(self, chosen: usize) -> Option<(String, String)> {
        let row = &self.rows[chosen];
        if row.gil || row.threads < 2 || row.in_flight > 1 {
            return None;
        }
        let held = self.rows.iter().position(|row| row.gil && row.threads > 1)?;
        let name = self.rows[held].name.clone();
        if self.rows[held].overload {
            return Some((name, "threads cannot keep up with the arrivals".to_owned()));
        }
        let ratio = with_interval(&self.ratio(held, chosen)?.0);
        let what = match self.measure {
            Measure::Time => format!("threads take {ratio} times as long"),
            Measure::LatencyP95 => format!("the p95 latency of threads is {ratio} times as high"),
        };
        (self.claim(held, chosen) == Claim::Slower).then_some((name, what))
    }
}

/// Too little can be said of the rows, because too many are invalid.
fn no_answer(rows: &[Row]) -> Verdict {
    let is_invalid = |row: &&Row| !row.valid;
    let because = |row: &Row| row.invalid_because.first().cloned().unwrap_or_default();
    let first = rows.iter().find(is_invalid).map(|row| format!("{}: {}", row.name, because(row)));
    let invalid = Invalid {
        invalid: rows.iter().filter(is_invalid).count(),
        rows: rows.len(),
        first: first.unwrap_or_default(),
    };
    let sentence = invalid.sentence();
    Verdict::none(NoAnswer::Invalid(invalid), sentence)
}

/// The rows of which nothing is said.
fn left_out(rows: &[Row]) -> Option<String> {
    let of = |row: &Row| format!("{} ({})", row.name, row.invalid_because.join("; "));
    let names: Vec<String> = rows.iter().filter(|row| row.disturbed().is_none()).map(of).collect();
    (!names.is_empty()).then(|| format!("Left out, because invalid: {}.", names.join(", ")))
}

/// The rows of which less is said because something else used the machine.
fn allowed_for(rows: &[Row]) -> Option<String> {
    let disturbed: Vec<(&str, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.name.as_str(), row.disturbed().filter(|share| *share > 0.0)?)))
        .collect();
    let most = disturbed.iter().map(|(_, share)| *share).max_by(f64::total_cmp)?;
    let names: Vec<&str> = disturbed.iter().map(|(name, _)| *name).collect();
    let (up_to, them) = if names.len() == 1 { ("", "it") } else { ("up to ", "them") };
    Some(format!(
        "Something else used {up_to}{} of the processors beside {}: what is said of {them} allows for that.",
        percent(most),
        listed(&names)
    ))
}

/// What the chosen one costs, to be told behind the answer.
fn costs(chosen: &Row) -> String {
    let memory = chosen.pss_peak_bytes.map(|peak| format!("{} of memory", bytes(peak)));
    let crash = chosen.lost_by_one_crash.map(|lost| match lost {
        0 => "no task that has to run again when an executor dies".to_owned(),
        1 => "1 task that has to run again when an executor dies".to_owned(),
        lost => format!("{} tasks that have to run again when an executor dies", number(lost)),
    });
    let parts: Vec<String> = memory.into_iter().chain(crash).collect();
    if parts.is_empty() { ".".to_owned() } else { format!("; it costs {}.", parts.join(" and ")) }
}

/// `a, b and c`.
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1.97 (1.93-2.01)`.
pub fn with_interval(ratio: &Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", ratio.median, ratio.lo, ratio.hi)
}

/// A median with its interval, or without one where there are too few values.
pub fn time_text(time: Option<&Spread>, median_s: Option<f64>) -> Option<String> {
    time.map(time_with_interval).or_else(|| median_s.map(seconds))
}

/// `312 ms (308 ms-318 ms)`.
pub fn time_with_interval(time: &Spread) -> String {
    let (lo, hi) = (seconds(time.lo), seconds(time.hi));
    let plain = match (lo.split_once(' '), hi.split_once(' ')) {
        (Some((low, unit)), Some((_, other))) if unit == other => format!("{low}-{hi}"),
        _ => format!("{lo}-{hi}"),
    };
    format!("{} ({plain})", seconds(time.median))
}

/// As in JSON.
pub const fn name_of(claim: Claim) -> &'static str {
    match claim {
        Claim::Best => "best",
        Claim::Slower => "slower",
        Claim::NoDifference => "no_difference",
        Claim::Unclear => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{Blocks, Twin};

    /// Twelve blocks in which configurations take these times, give or take a little; the first one runs twice.
    fn analysis(times: &[f64]) -> Analysis {
        let twin = Twin { column: times.len(), baseline: 0 };
        let mut blocks = Blocks::new(times.len() + 1, twin).unwrap();
        for block in 0..12 {
            let values = times.iter().chain(&times[..1]).enumerate();
            let shaken =
                |(column, time): (usize, &f64)| time * (1.0 + 0.002 * ((block * 7 + column * 5) % 11) as f64);
            blocks.push(&values.map(shaken).collect::<Vec<f64>>()).unwrap();
        }
        // Above what equal ones differ by here.
        Analysis { noise_floor: Some(0.03), ..Analysis::new(&blocks) }
    }

    fn rows(of: &[(&str, u32, u32)], analysis: &Analysis) -> Vec<Row> {
        let row = |(&(name, processes, threads), place): (&(&str, u32, u32), usize)| Row {
            name: name.to_owned(),
            processes,
            threads,
            in_flight: if name.starts_with("async") { 64 } else { 1 },
            gil: name.starts_with("gil"),
            valid: true,
            claim: name_of(analysis.standings[place].claim),
            ratio_to_best: analysis.standings[place].ratio_to_best.map(Into::into),
            pss_peak_bytes: Some(u64::from(processes) << 20),
            lost_by_one_crash: Some(u64::from(threads)),
            ..Row::default()
        };
        of.iter().zip(0..).map(row).collect()
    }

    fn said(of: &[(&str, u32, u32)], times: &[f64]) -> String {
        let analysis = analysis(times);
        verdict(&rows(of, &analysis), &analysis, Measure::Time, 12, End::Target).sentences.join(" ")
    }

    const FOUR: [(&str, u32, u32); 4] =
        [("thread 1x4", 1, 4), ("process 4x1", 4, 1), ("hybrid 2x2", 2, 2), ("gil 1x4", 1, 4)];

    #[test]
    fn of_several_that_are_as_fast_the_smallest_is_to_be_used() {
        let text = said(&FOUR, &[1.0, 1.0, 1.0, 2.0]);
        assert!(
            text.starts_with("Use thread 1x4: thread 1x4, process 4x1 and hybrid 2x2 take the same time"),
            "{text}"
        );
        assert!(text.contains("1.0 MiB of memory and 4 tasks that have to run again"), "{text}");
        assert!(text.contains("(gil 1x4), with which threads take "), "{text}");
        assert!(text.contains("a crash must cost less: process 4x1 is as fast, for 3.0 MiB more"), "{text}");
    }

    #[test]
    fn the_fastest_is_to_be_used_and_the_next_is_named() {
        let text = said(&FOUR, &[1.5, 1.0, 1.2, 2.0]);
        assert!(
            text.starts_with("Use process 4x1: the next that is surely slower, hybrid 2x2, takes 1.20"),
            "{text}"
        );
        assert!(!text.contains("interpreter lock"), "a process of one thread has no use for it: {text}");
        let text = said(&[("thread 1x4", 1, 4), ("async 1x4/64", 1, 4), ("gil 1x4", 1, 4)], &[2.0, 0.1, 2.0]);
        assert!(
            text.starts_with("Use async 1x4/64: the next that is surely slower, thread 1x4, takes "),
            "{text}"
        );
        assert!(!text.contains("interpreter lock"), "{text}");
    }

    #[test]
    fn what_is_unclear_is_not_called_alike() {
        let mut analysis = analysis(&[1.0, 1.05, 2.0]);
        analysis.noise_floor = Some(0.06);
        let of = [FOUR[1], FOUR[2], FOUR[0]];
        for pair in &mut analysis.pairs {
            if let Some(ratio) = pair.ratio.as_mut().filter(|_| (pair.first, pair.second) == (0, 1)) {
                ratio.hi = 1.3;
            }
        }
        let standing = analysis.standings[1].ratio_to_best.as_mut().unwrap();
        standing.hi = 1.3;
        let text =
            verdict(&rows(&of, &analysis), &analysis, Measure::Time, 12, End::Target).sentences.join(" ");
        assert!(
            text.starts_with("Use process 4x1: the next that is surely slower, thread 1x4, takes "),
            "{text}"
        );
        assert!(text.contains("Unclear, beside process 4x1: hybrid 2x2, 1.0"), "{text}");
    }

    #[test]
    fn what_does_not_count_has_no_answer() {
        let analysis = analysis(&[1.0, 2.0]);
        let mut two = rows(&FOUR[..2], &analysis);
        two[1].valid = false;
        two[1].invalid_because.push("other processes used 30.0 % of the processors".to_owned());
        let text = verdict(&two, &analysis, Measure::Time, 12, End::Target).sentences.join(" ");
        assert!(
            text.starts_with("No answer: 1 of 2 rows are invalid (process 4x1: other processes"),
            "{text}"
        );
        two[1].is_disturbed = true;
        two[1].interference.others = 0.6;
        let text = verdict(&two, &analysis, Measure::Time, 12, End::Target).sentences.join(" ");
        assert!(text.starts_with("No answer: 1 of 2 rows are invalid"), "so much may have decided: {text}");
        two[1].is_wrong = true;
        let text = verdict(&two, &analysis, Measure::Time, 12, End::Target).sentences.join(" ");
        assert!(text.starts_with("No answer: the outputs of process 4x1 are not those"), "{text}");
        let few = Analysis { enough: Enough::No { blocks_needed: 6 }, ..analysis };
        let text = verdict(&rows(&FOUR[..2], &few), &few, Measure::Time, 5, End::Budget).sentences.join(" ");
        assert!(
            text.starts_with("Not enough: 5 blocks say nothing for sure in 1 comparison; 6 are needed."),
            "{text}"
        );
    }

    #[test]
    fn what_else_used_the_machine_must_not_decide() {
        let analysis = analysis(&[1.0, 1.0, 1.05, 2.0]);
        let said = |shares: [f64; 4]| {
            let mut four = rows(&FOUR, &analysis);
            for (row, share) in four.iter_mut().zip(shares).filter(|(_, share)| *share > 0.0) {
                row.valid = false;
                row.is_disturbed = true;
                row.interference.stolen = share;
            }
            verdict(&four, &analysis, Measure::Time, 12, End::Target).sentences.join(" ")
        };
        let same = "Use thread 1x4: thread 1x4 and process 4x1 take the same time within 3.0 %";
        let lock = "with which threads take ";
        let all = said([0.0; 4]);
        assert!(all.starts_with(same) && all.contains(lock) && !all.contains("Something"), "{all}");
        let little = said([0.0, 0.005, 0.0, 0.1]);
        assert!(little.starts_with(same) && little.contains(lock), "{little}");
        let words = "Something else used up to 10.0 % of the processors beside process 4x1 and gil 1x4: \
                     what is said of them allows for that.";
        assert!(little.ends_with(words), "{little}");
        let slower = said([0.0, 0.0, 0.04, 0.0]);
        assert!(slower.contains("Unclear, beside process 4x1: hybrid 2x2, 1.05 "), "{slower}");
        let lock_too = said([0.0, 0.0, 0.0, 0.5]);
        assert!(lock_too.starts_with(same) && !lock_too.contains(lock), "{lock_too}");
        let all = said([0.3; 4]);
        assert!(all.starts_with("No answer: 4 of 4 rows are invalid (thread 1x4: "), "{all}");
    }

    #[test]
    fn of_what_is_invalid_for_another_reason_nothing_is_said() {
        let analysis = analysis(&[1.0, 1.2, 1.2, 2.0]);
        let mut four = rows(&FOUR, &analysis);
        for place in [0, 3] {
            four[place].valid = false;
            four[place].invalid_because.push("other jobs were on the cluster".to_owned());
        }
        let text = verdict(&four, &analysis, Measure::Time, 12, End::Target).sentences.join(" ");
        assert!(text.starts_with("Use hybrid 2x2: process 4x1 and hybrid 2x2 take the same time"), "{text}");
        let out =
            "Left out, because invalid: thread 1x4 (other jobs were on the cluster), gil 1x4 (other jobs";
        assert!(text.contains(out), "{text}");
        four[1].valid = false;
        let text = verdict(&four, &analysis, Measure::Time, 12, End::Target).sentences.join(" ");
        assert!(text.starts_with("No answer: 3 of 4 rows are invalid (thread 1x4: other jobs"), "{text}");
    }

    #[test]
    fn latency_has_words_of_its_own_and_what_is_overloaded_is_no_choice() {
        let analysis = analysis(&[1.5, 1.0, 1.2, 9.0]);
        let mut four = rows(&FOUR, &analysis);
        let said =
            |rows: &[Row]| verdict(rows, &analysis, Measure::LatencyP95, 12, End::Target).sentences.join(" ");
        let text = said(&four);
        let words = "Use process 4x1: the next that is surely higher, hybrid 2x2, has 1.20";
        assert!(text.starts_with(words) && text.contains("times the p95 latency"), "{text}");
        for place in [0, 1, 3] {
            four[place].overload = true;
        }
        let text = said(&four);
        assert!(text.starts_with("Use hybrid 2x2, which alone keeps up with the arrivals"), "{text}");
        assert!(text.contains("(gil 1x4), with which threads cannot keep up"), "{text}");
        four[2].overload = true;
        assert!(said(&four).starts_with("No answer: no configuration keeps up"), "{}", said(&four));
    }
}
