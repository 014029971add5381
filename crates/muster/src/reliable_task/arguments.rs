//! What `muster reliable-task create` is given.

use super::TargetArgs;
use crate::duration::parse_seconds;
use crate::exit::Usage;
use muster_client::{Conditions, FailureLimit, NewTask, Pace, Window};

/// Weekdays by the bit that stands for them.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A reliable task as a person writes it.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// Command line, such as 'os_version'
    command: String,
    #[command(flatten)]
    targets: TargetArgs,
    /// How long it is offered (default: a week)
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    ttl: Option<u64>,
    /// Investigation id of its answers
    #[arg(long)]
    context: Option<String>,
    /// Id of the task: a repeated call with the same id creates nothing new
    #[arg(long, value_name = "UUID")]
    task_id: Option<String>,
    /// Also for sensors that enrol, or begin to match, before it expires
    #[arg(long)]
    dynamic: bool,
    /// Overtakes tasks that are not urgent
    #[arg(long)]
    urgent: bool,
    /// At most so many deliveries per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Pace")]
    max_per_second: Option<u32>,
    /// At most so many targets at it at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Pace")]
    max_in_flight: Option<u32>,
    /// Targets in random order
    #[arg(long, help_heading = "Pace")]
    random_order: bool,
    /// Hold it back after so many failures, or so many percent of failures
    #[arg(long, value_name = "N|P%", value_parser = parse_failure_limit, help_heading = "Pace")]
    stop_on_failures: Option<FailureLimit>,
    /// Endpoints run it only at these local times; may pass midnight
    #[arg(long, value_name = "22:00-06:00", value_parser = parse_window, help_heading = "Conditions")]
    window: Option<Window>,
    /// Days on which the window begins, such as mon-fri or sat,sun (default: every day)
    #[arg(long, value_name = "DAYS", value_parser = parse_weekdays, requires = "window", help_heading = "Conditions")]
    weekdays: Option<u8>,
    /// Endpoints run it only with exactly this payload
    #[arg(long, value_name = "HEX", help_heading = "Conditions")]
    payload_sha256: Option<String>,
    /// Do not ask, where no target is named and so every sensor gets it
    #[arg(long, short)]
    pub yes: bool,
    /// Show whom it would reach, and create nothing
    #[arg(long, conflicts_with = "watch")]
    pub dry_run: bool,
    /// Show a live progress bar until every target has ended; fails unless all have finished
    #[arg(long, short)]
    pub watch: bool,
}

impl CreateArgs {
    /// Whether no target is named, so that every sensor gets it.
    pub fn is_for_all(&self) -> bool {
        self.targets.is_empty()
    }
}

impl CreateArgs {
    /// The task to send.
    ///
    /// # Errors
    ///
    /// If no sensors are named.
    pub fn task(&self) -> Result<NewTask, Usage> {
        let window = self.window.map(|window| Window { weekdays: self.weekdays.unwrap_or(0), ..window });
        let conditions = Conditions { window, payload_sha256: self.payload_sha256.clone() };
        let pace = Pace {
            max_per_second: self.max_per_second,
            max_in_flight: self.max_in_flight,
            random_order: self.random_order,
            stop_on_failures: self.stop_on_failures,
        };
        if let Some(plat) = &self.targets.plat {
            super::check_platform(plat).map_err(Usage)?;
        }
        Ok(NewTask {
            task: self.command.clone(),
            targeting: self.targets.targeting(),
            context: self.context.clone(),
            ttl: self.ttl,
            task_id: self.task_id.clone(),
            dynamic: self.dynamic,
            urgent: self.urgent,
            conditions: (conditions != Conditions::default()).then_some(conditions),
            pace: (pace != Pace::default()).then_some(pace),
        })
    }
}

fn parse_failure_limit(text: &str) -> Result<FailureLimit, String> {
    let wrong = || format!("{text} is neither a count such as 5 nor a share such as 10%");
    let limit = match text.strip_suffix('%') {
        Some(percent) => {
            FailureLimit::Percent(percent.parse().ok().filter(|p| (1..=100).contains(p)).ok_or_else(wrong)?)
        }
        None => FailureLimit::Count(text.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?),
    };
    Ok(limit)
}

fn parse_window(text: &str) -> Result<Window, String> {
    let minute = |time: &str| {
        let (hour, minute) = time.split_once(':')?;
        let is_number = |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        let (hour, minute) = (
            is_number(hour).then(|| hour.parse::<u16>())?.ok()?,
            is_number(minute).then(|| minute.parse::<u16>())?.ok()?,
        );
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let window = text
        .split_once('-')
        .and_then(|(start, end)| Some(Window { start_min: minute(start)?, end_min: minute(end)?, weekdays: 0 }));
    window.ok_or_else(|| format!("{text} is not a window of local time such as 22:00-06:00"))
}

fn parse_weekdays(text: &str) -> Result<u8, String> {
    let wrong = |day: &str| format!("{day} is not a weekday: {}", WEEKDAYS.join(", "));
    let index = |day: &str| WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(day)).ok_or_else(|| wrong(day));
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (index(first)?, index(last)?);
        let count = (last + 7 - first) % 7;
        for day in first..=first + count {
            days |= 1 << (day % 7);
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: CreateArgs,
    }

    fn task(words: &[&str]) -> NewTask {
        let line = <Line as clap::Parser>::try_parse_from(std::iter::once(&"create").chain(words)).unwrap();
        line.args.task().unwrap()
    }

    /// The server reads these names; a wrong one would be an error at best, and an option that does nothing at worst.
    #[test]
    fn every_option_reaches_the_server_under_its_name() {
        let words = "run --tag vip --ttl 7d --context hunt --dynamic --urgent --max-per-second 5 --max-in-flight 9 \
            --random-order --stop-on-failures 10% --window 22:00-06:30 --weekdays fri-mon --payload-sha256 ab";
        let sent = serde_json::to_value(task(&words.split_whitespace().collect::<Vec<_>>())).unwrap();
        let expected = serde_json::json!({
            "task": "run", "tag": "vip", "ttl": 604_800, "context": "hunt", "dynamic": true, "urgent": true,
            "pace": {"max_per_second": 5, "max_in_flight": 9, "random_order": true, "stop_on_failures": {"percent": 10}},
            "conditions": {
                "window": {"start_min": 1_320, "end_min": 390, "weekdays": 0b111_0001}, "payload_sha256": "ab",
            },
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_plain_task_sends_nothing_that_was_not_asked_for() {
        let sent = serde_json::to_value(task(&["os_version", "--selector", "*"])).unwrap();
        let expected = serde_json::json!({"task": "os_version", "selector": "*", "dynamic": false, "urgent": false});
        assert_eq!(sent, expected);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for text in ["0", "0%", "101%", "x", "", "%"] {
            assert!(parse_failure_limit(text).is_err(), "{text}");
        }
        for text in ["24:00-06:00", "22:60-06:00", "22:00", "22-06", "+1:00-02:00", ""] {
            assert!(parse_window(text).is_err(), "{text}");
        }
        for text in ["", "funday", "mon-", "mon,,tue"] {
            assert!(parse_weekdays(text).is_err(), "{text}");
        }
    }
}
