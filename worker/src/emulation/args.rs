//! The flags of an emulated worker: raw here, checked in [`EmulationArgs::into_emulation`].

use super::{Cut, Emulation, LinkModel, Speed, Start};
use crate::error::WorkerError;
use clap::Args;
use muster_core::quantity;
use std::time::Duration;

/// The longest latency with its jitter: a link must open within its time limit.
const LATENCY_MAX: Duration = Duration::from_secs(2);
/// The slowest link.
const BANDWIDTH_MIN: u64 = 1_000;

/// What an emulated worker can be told.
#[derive(Args, Clone, Debug, Default)]
pub struct EmulationArgs {
    /// Messages of both directions arrive this much later, up to 2s with the jitter
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = "Emulation",
        hide_short_help = true,
        allow_hyphen_values = true
    )]
    pub emulate_latency: Option<String>,
    /// Added to the latency of each message: a random time up to this one; messages keep their order
    #[arg(
        long,
        value_name = "DURATION",
        help_heading = "Emulation",
        hide_short_help = true,
        allow_hyphen_values = true
    )]
    pub emulate_jitter: Option<String>,
    /// Bytes that go through in each direction, as in 10MB/s
    #[arg(
        long,
        value_name = "SIZE/s",
        help_heading = "Emulation",
        hide_short_help = true,
        allow_hyphen_values = true
    )]
    pub emulate_bandwidth: Option<String>,
    /// Where the jitter comes from [default: 0]
    #[arg(
        long,
        value_name = "S",
        help_heading = "Emulation",
        hide_short_help = true,
        allow_hyphen_values = true
    )]
    pub emulate_seed: Option<String>,
    /// Tasks take 1/SPEED times as long: 0.001 to 1
    #[arg(
        long,
        value_name = "SPEED",
        help_heading = "Emulation",
        hide_short_help = true,
        allow_hyphen_values = true
    )]
    pub emulate_speed: Option<String>,
    /// Nothing arrives from AT on for LENGTH, counted from --emulate-start; may be given several times
    #[arg(
        long,
        value_name = "AT+LENGTH[:to-worker|:to-coordinator]",
        help_heading = "Emulation",
        hide_short_help = true
    )]
    #[arg(allow_hyphen_values = true)]
    pub emulate_cut: Vec<String>,
    /// The instant that cuts count from, in nanoseconds since 1970, or the path (with a slash) of a file that will
    /// hold it
    #[arg(
        long,
        value_name = "NANOS|FILE",
        help_heading = "Emulation",
        hide_short_help = true,
        allow_hyphen_values = true
    )]
    pub emulate_start: Option<String>,
}

impl EmulationArgs {
    /// The settings they ask for.
    ///
    /// # Errors
    /// A flag whose value makes no sense.
    pub fn into_emulation(self) -> Result<Emulation, WorkerError> {
        let link = LinkModel {
            latency: read("--emulate-latency", self.emulate_latency.as_deref(), latency)?.unwrap_or_default(),
            jitter: read("--emulate-jitter", self.emulate_jitter.as_deref(), latency)?.unwrap_or_default(),
            bandwidth: read("--emulate-bandwidth", self.emulate_bandwidth.as_deref(), bandwidth)?,
        };
        if link.latency + link.jitter > LATENCY_MAX {
            let value = self.emulate_jitter.unwrap_or_default();
            return Err(wrong("--emulate-jitter", &value, "is more than 2s together with the latency"));
        }
        let cuts = self.emulate_cut.iter().map(|text| read("--emulate-cut", Some(text), str::parse::<Cut>));
        let cuts: Vec<Cut> = cuts.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let start = read("--emulate-start", self.emulate_start.as_deref(), str::parse::<Start>)?;
        match (&start, self.emulate_cut.first()) {
            (None, Some(cut)) => {
                return Err(wrong(
                    "--emulate-cut",
                    cut,
                    "--emulate-start must say what its time counts from",
                ));
            }
            (Some(_), None) => {
                let value = self.emulate_start.unwrap_or_default();
                return Err(wrong("--emulate-start", &value, "is of use with --emulate-cut only"));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        Ok(Emulation {
            link,
            cuts,
            start,
            seed: read("--emulate-seed", self.emulate_seed.as_deref(), seed)?.unwrap_or(0),
            speed: read("--emulate-speed", self.emulate_speed.as_deref(), speed)?.unwrap_or_default(),
        })
    }
}

fn read<T>(
    flag: &'static str,
    value: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, WorkerError> {
    value.map(|value| parse(value).map_err(|wanted| wrong(flag, value, &wanted))).transpose()
}

fn wrong(flag: &'static str, value: &str, wanted: &str) -> WorkerError {
    WorkerError::Flag { flag, value: value.to_owned(), wanted: wanted.to_owned() }
}

fn latency(text: &str) -> Result<Duration, String> {
    let latency = quantity::duration(text).map(Duration::from).map_err(|error| error.to_string())?;
    if latency <= LATENCY_MAX { Ok(latency) } else { Err("must be at most 2s".to_owned()) }
}

fn bandwidth(text: &str) -> Result<u64, String> {
    let bytes = quantity::rate(text).map_err(|error| error.to_string())?;
    if bytes >= BANDWIDTH_MIN { Ok(bytes) } else { Err("must be at least 1kB/s".to_owned()) }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a whole number from 0 to {} is wanted", u64::MAX))
}

fn speed(text: &str) -> Result<Speed, String> {
    let wanted = || "a number from 0.001 to 1 is wanted, for example 0.25".to_owned();
    text.parse().ok().and_then(Speed::new).ok_or_else(wanted)
}

impl Emulation {
    /// The flags that make a worker seem like this.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: String| arguments.extend([format!("--emulate-{name}"), value]);
        let ns = |time: Duration| format!("{}ns", time.as_nanos());
        if !self.link.latency.is_zero() {
            flag("latency", ns(self.link.latency));
        }
        if !self.link.jitter.is_zero() {
            flag("jitter", ns(self.link.jitter));
            flag("seed", self.seed.to_string());
        }
        if let Some(bandwidth) = self.link.bandwidth {
            flag("bandwidth", format!("{bandwidth}B/s"));
        }
        if self.speed != Speed::default() {
            flag("speed", self.speed.part().to_string());
        }
        if let Some(start) = self.start.as_ref().filter(|_| !self.cuts.is_empty()) {
            self.cuts.iter().for_each(|cut| flag("cut", cut.to_string()));
            flag("start", start.to_string());
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: EmulationArgs,
    }

    fn parse<S: AsRef<str>>(args: &[S]) -> Result<Emulation, String> {
        let args = std::iter::once("worker").chain(args.iter().map(AsRef::as_ref));
        let cli = Cli::try_parse_from(args).map_err(|error| error.to_string())?;
        cli.args.into_emulation().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_an_emulation_and_back() {
        assert_eq!(parse::<&str>(&[]), Ok(Emulation::default()));
        assert!(Emulation::default().to_arguments().is_empty());
        let all = [
            "--emulate-latency=20ms",
            "--emulate-jitter=2ms",
            "--emulate-bandwidth=10MB/s",
            "--emulate-seed=7",
            "--emulate-speed=0.25",
            "--emulate-cut=1s+2s",
            "--emulate-cut=5s+1s:to-worker",
            "--emulate-start=12",
        ];
        let emulation = parse(&all).unwrap();
        let link = LinkModel {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(2),
            bandwidth: Some(10_000_000),
        };
        assert_eq!((emulation.link, emulation.cuts.len(), emulation.seed), (link, 2, 7));
        assert_eq!(emulation.round_trip(), Duration::from_millis(44));
        assert_eq!(parse(&emulation.to_arguments()), Ok(emulation));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (args, words) in [
            (&["--emulate-latency", "20"][..], &["--emulate-latency 20", "20ms"][..]),
            (&["--emulate-latency", "-1ms"], &["--emulate-latency -1ms"]),
            (&["--emulate-latency", "3s"], &["--emulate-latency 3s", "at most 2s"]),
            (&["--emulate-jitter", "x"], &["--emulate-jitter x"]),
            (&["--emulate-jitter", "x\ny"], &["--emulate-jitter x\\ny"]),
            (
                &["--emulate-latency", "1s", "--emulate-jitter", "1.5s"],
                &["--emulate-jitter 1.5s", "together"],
            ),
            (&["--emulate-bandwidth", "10MB"], &["--emulate-bandwidth 10MB", "MB/s"]),
            (&["--emulate-bandwidth", "10/s"], &["--emulate-bandwidth 10/s", "unit"]),
            (&["--emulate-bandwidth", "1B/s"], &["--emulate-bandwidth 1B/s", "1kB/s"]),
            (&["--emulate-seed", "-1"], &["--emulate-seed -1"]),
            (&["--emulate-speed", "0"], &["--emulate-speed 0", "0.001"]),
            (&["--emulate-speed", "2"], &["--emulate-speed 2", "0.001"]),
            (&["--emulate-speed", "nan"], &["--emulate-speed nan"]),
            (&["--emulate-cut", "1s", "--emulate-start", "1"], &["--emulate-cut 1s", "AT+LENGTH"]),
            (&["--emulate-cut", "1s+1s"], &["--emulate-cut 1s+1s", "--emulate-start"]),
            (&["--emulate-start", "1"], &["--emulate-start 1", "--emulate-cut"]),
            (&["--emulate-cut", "1s+1s", "--emulate-start", "now"], &["--emulate-start now", "1970"]),
        ] {
            let error = parse(args).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{args:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
