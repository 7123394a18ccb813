//! Which metrics a metric math expression names. The expression itself is CloudWatch's business.

/// The identifiers in an expression that begin with a lower-case letter, in their order: those of metrics do, and functions are
/// in capitals. What stands in quotes is text. A query names labels and not metrics.
pub fn names(math: &str) -> Vec<&str> {
    if math.trim_start().get(..6).is_some_and(|first| first.eq_ignore_ascii_case("SELECT")) {
        return Vec::new();
    }
    let (mut names, mut quote, mut begin) = (Vec::new(), None, None);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, c) in math.char_indices().chain([(math.len(), ' ')]) {
        if let Some(open) = quote {
            quote = (c != open).then_some(open);
            continue;
        }
        match begin {
            Some(start) if !is_part(c) => {
                names.extend(math.get(start..at).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())));
                begin = None;
            }
            None if is_part(c) => begin = Some(at),
            Some(_) | None => {}
        }
        if matches!(c, '"' | '\'') {
            quote = Some(c);
        }
    }
    names
}

/// Whether an expression takes all metrics that there are, or those whose names have something in common.
pub fn takes_all(math: &str) -> bool {
    math.contains("METRICS(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_functions_numbers_and_text() {
        for (math, expected) in [
            ("100 * errors / invocations", vec!["errors", "invocations"]),
            ("FILL(m1, 0) + IF(m_2 > 1e3 AND m1, 1, 0)", vec!["m1", "m_2", "m1"]),
            ("SUM(METRICS(\"errors\")) - SUM(SEARCH('{AWS/Lambda} errors', 'Sum', 60))", vec![]),
            ("m1", vec!["m1"]),
            ("2m1", vec![]),
            ("SELECT AVG(CPUUtilization) FROM SCHEMA(\"AWS/ECS\", cluster)", vec![]),
            ("", vec![]),
            ("\"never closed m1", vec![]),
        ] {
            assert_eq!(names(math), expected, "{math}");
        }
    }
}
