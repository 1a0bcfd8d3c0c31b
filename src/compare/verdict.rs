//! What a comparison says in plain words: which configuration to use, what it costs, and when the answer changes.

use super::result::{Row, Spread};
use crate::statistics::{Analysis, Claim, Enough};
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
    sentences.extend(changes(chosen, &alike, rows));
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
fn changes(chosen: &Row, alike: &[&Row], rows: &[Row]) -> Option<String> {
    let mut parts = Vec::new();
    let lock = rows.iter().find(|row| row.gil).filter(|_| !chosen.gil);
    if let Some(lock) = lock.filter(|row| row.claim == name_of(Claim::Slower)) {
        let ratio = lock.ratio_to_best.as_ref().map(with_interval).unwrap_or_default();
        parts.push(format!(
            "tasks hold an interpreter lock as in CPython ({}), which costs threads {ratio} times the time",
            lock.name
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
