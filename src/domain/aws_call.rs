//! A call of AWS that a plan makes: what a policy must allow and a bill counts.

/// One action that a step, a channel, a publisher or a secret asks of AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsCall {
    /// The action as policies name it: `dynamodb:DescribeTable`.
    pub action: String,
    /// The ARN of what it is asked of, with `*` for what is not known before a run: `arn:aws:dynamodb:us-east-1:*:table/Users`.
    /// `*` alone where the service knows no resource for the action.
    pub resource: String,
    /// The region; that of the machine where none is named.
    pub region: Option<String>,
    /// How often it is asked each time: in one run of the step, for one message, for one request of metrics.
    pub calls: u32,
    /// How many of what the service bills beside the call each time: metrics that are asked for, bytes that are written. None
    /// where the call itself is what is billed.
    pub units: u64,
}

impl AwsCall {
    /// One call of an action that is billed by the call.
    pub fn once(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), region: None, calls: 1, units: 0 }
    }

    /// The same in a region.
    #[must_use]
    pub fn of_region(self, region: Option<String>) -> Self {
        Self { region, ..self }
    }

    /// The same, so many times.
    #[must_use]
    pub fn times(self, calls: u32) -> Self {
        Self { calls, ..self }
    }

    /// The same, with so many billed units in all.
    #[must_use]
    pub fn of_units(self, units: u64) -> Self {
        Self { units, ..self }
    }
}
