//! Numbers and lists in messages.

/// `1 step`, `2 steps`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The first few names, and how many more there are.
pub(crate) fn listed(names: &[&str]) -> String {
    const LISTED: usize = 5;
    let list = format!("`{}`", names[..names.len().min(LISTED)].join("`, `"));
    match names.len().saturating_sub(LISTED) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}
