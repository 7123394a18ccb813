//! What only reads, by the names that AWS gives: a step asks for nothing else unless it says so.

use http::Method;

/// How the names of actions begin that only read.
const BEGINNINGS: [&str; 6] = ["BatchGet", "Describe", "Filter", "Get", "Head", "List"];

/// Those of DynamoDB that are one word.
const WORDS: [&str; 2] = ["Query", "Scan"];

/// Whether an action only reads.
pub fn is_reading(action: &str) -> bool {
    WORDS.contains(&action) || BEGINNINGS.iter().any(|beginning| action.starts_with(beginning))
}

/// Whether a method only reads.
pub fn reads(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_told_by_its_name() {
        for action in
            ["GetItem", "ListTables", "DescribeTable", "FilterLogEvents", "Query", "Scan", "HeadObject", "BatchGetItem"]
        {
            assert!(is_reading(action), "{action}");
        }
        for action in
            ["PutItem", "DeleteTable", "QueryX", "ScanAndDelete", "InitiateAuth", "getItem", "BatchWriteItem", ""]
        {
            assert!(!is_reading(action), "{action}");
        }
    }
}
