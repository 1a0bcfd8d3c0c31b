//! What a comparison says in plain words: which configuration to use, what it costs, and when the answer changes.

use super::result::{Row, Spread};
use crate::statistics::{Analysis, Claim, Enough, SIGNIFICANCE};
use crate::summary::{bytes, number, seconds};

/// Sentences, the answer first.
pub fn verdict(rows: &[Row], analysis: &Analysis, blocks: usize) -> Vec<String> {
    let wrong: Vec<&str> = rows.iter().filter(|row| row.is_wrong).map(|row| row.name.as_str()).collect();
    if !wrong.is_empty() {
        return vec![format!(
            "No answer: the outputs of {} are not those of the first run, though the plugin is declared deterministic.",
            listed(&wrong)
        )];
    }
    if let Enough::No { blocks_needed } = analysis.enough {
        let pairs = analysis.pairs.len();
        let comparisons = if pairs == 1 { "1 comparison".to_owned() } else { format!("{pairs} comparisons") };
        return vec![format!(
            "Not enough: {blocks} blocks say nothing for sure in {comparisons}; {blocks_needed} are needed. Give a larger \
             --budget, a smaller -n, or fewer models."
        )];
    }
    if let Some(row) = rows.iter().find(|row| !row.valid) {
        let why = row.invalid_because.first().map_or("", String::as_str);
        let count = rows.iter().filter(|row| !row.valid).count();
        return vec![format!(
            "No answer: {count} of {} rows are invalid ({}: {why}). Run it again on a machine that does nothing else.",
            rows.len(),
            row.name
        )];
    }
    let standing = |place: usize| &analysis.standings[place];
    // A lock is a question about other languages, not a way to run this plugin.
    let choices = || rows.iter().enumerate().filter(|(_, row)| !row.gil || rows.iter().all(|row| row.gil));
    let ratio = |place: usize| standing(place).ratio_to_best.map_or(1.0, |ratio| ratio.estimate);
    let Some((first, fastest)) = choices().min_by(|a, b| ratio(a.0).total_cmp(&ratio(b.0))) else {
        return Vec::new();
    };
    let floor = analysis.noise_floor.unwrap_or(0.0);
    let is_as_fast = |place: usize| {
        place == first
            || (standing(place).claim != Claim::Slower && ratio(place) <= ratio(first) * (1.0 + floor))
    };
    let alike: Vec<&Row> = choices().filter(|(place, _)| is_as_fast(*place)).map(|(_, row)| row).collect();
    let memory = |row: &Row| row.pss_peak_bytes.unwrap_or(u64::MAX);
    let chosen = alike.iter().copied().min_by_key(|row| memory(row)).unwrap_or(fastest);
    let mut sentences = vec![answer(chosen, &alike, rows, floor) + &costs(chosen)];
    sentences.extend(changes(chosen, &alike, rows, analysis));
    sentences
}

fn answer(chosen: &Row, alike: &[&Row], rows: &[Row], floor: f64) -> String {
    let name = &chosen.name;
    if alike.len() > 1 {
        let names: Vec<&str> = alike.iter().map(|row| row.name.as_str()).collect();
        let why = if chosen.pss_peak_bytes.is_some() { "takes the least memory" } else { "is the simplest" };
        return format!(
            "Use {name}: {} take the same time within {}, and it {why}",
            listed(&names),
            percent(floor)
        );
    }
    let others = rows.iter().filter(|row| row.name != chosen.name && !row.gil);
    let next = others.filter_map(|row| Some((row, row.ratio_to_best?)));
    match next.min_by(|a, b| a.1.median.total_cmp(&b.1.median)) {
        Some((row, ratio)) => {
            format!("Use {name}: the next, {}, takes {} times as long", row.name, with_interval(&ratio))
        }
        None => format!("Use {name}"),
    }
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

/// When another answer would be right.
fn changes(chosen: &Row, alike: &[&Row], rows: &[Row], analysis: &Analysis) -> Option<String> {
    let mut parts = Vec::new();
    if let Some((name, ratio)) = lock(chosen, rows, analysis) {
        parts.push(format!(
            "tasks hold an interpreter lock as in CPython ({name}), with which threads take {ratio} times as long"
        ));
    }
    let lost = |row: &Row| row.lost_by_one_crash.unwrap_or(u64::MAX);
    let safer = alike.iter().filter(|row| lost(row) < lost(chosen)).min_by_key(|row| lost(row));
    if let Some(safer) = safer {
        let more =
            safer.pss_peak_bytes.zip(chosen.pss_peak_bytes).map(|(its, ours)| its.saturating_sub(ours));
        let price = more.map(|more| format!(", for {} more", bytes(more))).unwrap_or_default();
        parts.push(format!("a crash must cost less: {} is as fast{price}", safer.name));
    }
    (!parts.is_empty()).then(|| format!("The answer changes when {}.", parts.join("; or when ")))
}

/// How much slower the lock makes the threads of the chosen configuration, where it does.
fn lock(chosen: &Row, rows: &[Row], analysis: &Analysis) -> Option<(String, String)> {
    let is_chosen = |row: &Row| row.name == chosen.name && row.threads > 1 && row.in_flight == 1;
    let free = rows.iter().position(|row| is_chosen(row) && !row.gil)?;
    let held = rows.iter().position(|row| row.gil && row.threads > 1)?;
    let pair =
        analysis.pairs.iter().find(|pair| (pair.first, pair.second) == (free.min(held), free.max(held)))?;
    // That of the one further right to the other.
    let ratio = pair.ratio?;
    let ratio = if free < held { Spread::from(ratio) } else { Spread::from(ratio).inverse() };
    let floor = analysis.noise_floor.unwrap_or(0.0);
    let is_slower = pair.adjusted_p < SIGNIFICANCE && ratio.median > 1.0 + floor;
    is_slower.then(|| (rows[held].name.clone(), with_interval(&ratio)))
}

/// `a, b and c`.
fn listed(names: &[&str]) -> String {
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

/// `312 ms (308 ms-318 ms)`.
pub fn time_with_interval(time: &Spread) -> String {
    let (lo, hi) = (seconds(time.lo), seconds(time.hi));
    let plain = match (lo.split_once(' '), hi.split_once(' ')) {
        (Some((low, unit)), Some((_, other))) if unit == other => format!("{low}-{hi}"),
        _ => format!("{lo}-{hi}"),
    };
    format!("{} ({plain})", seconds(time.median))
}

/// `1.8 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
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
        Analysis::new(&blocks)
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
        verdict(&rows(of, &analysis), &analysis, 12).join(" ")
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
        assert!(text.starts_with("Use process 4x1: the next, hybrid 2x2, takes 1.20"), "{text}");
        assert!(!text.contains("interpreter lock"), "a process of one thread has no use for it: {text}");
        let text = said(&[("thread 1x4", 1, 4), ("async 1x4/64", 1, 4), ("gil 1x4", 1, 4)], &[2.0, 0.1, 2.0]);
        assert!(text.starts_with("Use async 1x4/64: the next, thread 1x4, takes "), "{text}");
        assert!(!text.contains("interpreter lock"), "{text}");
    }

    #[test]
    fn what_does_not_count_has_no_answer() {
        let analysis = analysis(&[1.0, 2.0]);
        let mut two = rows(&FOUR[..2], &analysis);
        two[1].valid = false;
        two[1].invalid_because.push("other processes used 30.0 % of the processors".to_owned());
        let text = verdict(&two, &analysis, 12).join(" ");
        assert!(
            text.starts_with("No answer: 1 of 2 rows are invalid (process 4x1: other processes"),
            "{text}"
        );
        two[1].is_wrong = true;
        let text = verdict(&two, &analysis, 12).join(" ");
        assert!(text.starts_with("No answer: the outputs of process 4x1 are not those"), "{text}");
        let few = Analysis { enough: Enough::No { blocks_needed: 6 }, ..analysis };
        let text = verdict(&rows(&FOUR[..2], &few), &few, 5).join(" ");
        assert!(
            text.starts_with("Not enough: 5 blocks say nothing for sure in 1 comparison; 6 are needed."),
            "{text}"
        );
    }
}
