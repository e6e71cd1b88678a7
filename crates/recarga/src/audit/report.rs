//! A verdict for people.

use super::finding::Class;
use super::verdict::Verdict;

/// Prints it to the standard output.
pub fn print(verdict: &Verdict) {
    say_on!("{}", text(verdict));
}

/// The whole report.
pub fn text(verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    let branches: Vec<String> =
        counts.branches.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let mut lines = vec![
        format!("Audit of {}", plural(counts.companies, "company", "companies")),
        format!(
            "  trips: {} confirmed with {}, {} cancelled, {} changed, {} mixed",
            counts.trips_confirmed,
            plural(counts.stops, "stop", "stops"),
            counts.trips_cancelled,
            counts.trips_changed,
            counts.trips_mixed
        ),
        format!(
            "  what the companies hold and held for {}: {}",
            plural(counts.transactions, "transaction", "transactions"),
            if branches.is_empty() { "nothing".to_owned() } else { branches.join(", ") }
        ),
    ];
    if counts.forgotten > 0 {
        lines.push(format!("  {} forgotten by one company and not by another, long past", counts.forgotten));
    }
    for company in &verdict.not_examined {
        lines.push(format!("  not examined: {company}"));
    }
    for (class, title) in [
        (Class::Violation, "Violations"),
        (Class::Mixed, "Mixed outcomes: a person must see to these trips"),
        (Class::Unsettled, "Unsettled"),
        (Class::Heuristic, "Released heuristically, without harm"),
    ] {
        let found: Vec<String> = verdict.of(class).map(|finding| format!("  {finding}")).collect();
        if !found.is_empty() {
            lines.push(format!("{title}: {}", found.len()));
            lines.extend(found);
        }
    }
    if !verdict.forced.is_empty() {
        lines.push(format!("Given up by operators: {}", verdict.forced.len()));
        let told = verdict.forced.iter();
        lines.extend(told.map(|one| format!("  {}: {}", one.sessao, crate::in_doubt::line(one))));
    }
    lines.push(conclusion(verdict).to_owned());
    lines.join("\n") + "\n"
}

/// What it comes to, in a sentence.
pub fn conclusion(verdict: &Verdict) -> &'static str {
    match verdict {
        _ if verdict.counts.companies == 0 => "Nothing was examined.",
        _ if verdict.has(Class::Violation) => "The audit does NOT hold.",
        _ if verdict.has(Class::Mixed) => {
            "The audit does NOT hold: a company has released its part of a trip."
        }
        _ if verdict.has(Class::Unsettled) => {
            "The audit does not hold YET: nothing is wrong, but companies still owe each other words."
        }
        _ if !verdict.not_examined.is_empty() => {
            "The audit holds for what was examined: every trip is all or nothing, no EVSE is booked twice."
        }
        _ => "The audit holds: every trip is all or nothing, no EVSE is booked twice, nothing is left open.",
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
