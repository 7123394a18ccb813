//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::sync::watch;

use super::answer::{Answer, Stop};
use super::aws::printed;
use super::daemon_client::DaemonArguments;
use super::demo::shop::Breakage;
use super::threads::block_on;
use super::{
    ack, completions, daemon, deliveries, demo, drill, generate, health, incidents, init, logs, note, notify, once,
    pause, plan, reload, routes, schema, silence, slo, status, token, trigger, validate, wiring,
};
use crate::domain::time::{Length, Timestamp};

/// Makes the rounds of a production system: probes it on tiered schedules, publishes what it saw, and wakes the right
/// person when something is wrong.
///
/// Exit codes: 0 all is well, 1 something that was asked about is not, 2 the command line or the configuration is wrong, 3
/// Roundsman's own fault.
#[derive(Debug, Parser)]
#[command(name = "roundsman", version, max_term_width = 100)]
pub struct Cli {
    /// The directory that holds roundsman.yaml, probes/ and schedules/.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the rounds: the daemon.
    Run(Limit),
    /// See it work: the daemon on this configuration, with a small shop of its own to watch.
    Demo(DemoArguments),
    /// Run probes now and report; nothing is stored and nobody is alerted.
    Once(OnceArguments),
    /// Name every problem of the configuration at once.
    Validate {
        /// How problems are shown.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say what will run when, how many series metrics have, and what AWS will bill for a month of it. Nothing is run and nobody
    /// is asked. Exit 1 where it costs more than a budget.
    Plan(plan::command::PlanArguments),
    /// Send a test message to a channel, and say what the receiver answered. It opens and is resolved, under a key of its own.
    Notify(NotifyArguments),
    /// Ask whether each channel works: the daemon makes a probe fail and pass, and follows the message about it, marked as a
    /// drill, to its receiver. Exit 1 where it ends on the way. With `--probes`, ask what would pass unnoticed: make otherwise
    /// what the probes see now, one thing at a time, and judge it. Exit 1 where something passes that nobody has explained.
    Drill(DrillArguments),
    /// Print the JSON Schema of the files, for editors.
    Schema {
        /// Which file.
        #[arg(value_enum)]
        file: SchemaFile,
    },
    /// Make a token for the page and its hash, which is all that the configuration need keep. It is shown this once.
    Token(token::TokenArguments),
    /// Which messages go where.
    Routes {
        /// What about them.
        #[command(subcommand)]
        what: RoutesCommand,
    },
    /// Show how things stand: one sentence, then each probe on each schedule, the worst first. Exit 1 where one of them fails or
    /// an incident is open.
    Status(status::StatusArguments),
    /// Show the incidents of the running daemon, or all that happened to one. Exit 1 where one of them is open.
    Incidents(incidents::IncidentsArguments),
    /// Take an incident on: nobody is reminded of it from then on, and whoever was told of it hears who has it.
    Ack(ack::AckArguments),
    /// Write something into the time line of an incident.
    Note(note::NoteArguments),
    /// Let nobody be told of an incident for a while, or of whatever matches; or show or end such silences.
    Silence(silence::SilenceArguments),
    /// Let something not be run for a while and for a reason; or show what is paused. What was known of it stands meanwhile.
    Pause(pause::PauseArguments),
    /// Let it be run again.
    Resume(pause::ResumeArguments),
    /// Run a probe now, and show what it saw. It is judged as any run of its schedule, unless it is paused. Exit 1 where it
    /// failed.
    Trigger(trigger::TriggerArguments),
    /// Have the daemon read its files again. A mistake in them changes nothing.
    Reload(reload::ReloadArguments),
    /// Show the messages that their channels have not taken, or have them tried again. Exit 1 where one was given up, or waits
    /// after an attempt that failed.
    Deliveries(deliveries::DeliveriesArguments),
    /// Show how objectives stand: what was measured, what is left of their error budgets and how quickly it goes. Exit 1 where
    /// one is missed.
    Slo(slo::SloArguments),
    /// Print as code what is there to be made in AWS: a dashboard, alarms, and the least policy.
    Aws {
        /// What is printed.
        #[command(subcommand)]
        what: printed::Document,
    },
    /// Make a configuration of many probes and a store with their past, to see how pages bear it.
    #[command(hide = true)]
    Generate(generate::command::GenerateArguments),
    /// Write a first configuration that validates: a probe of URL every 30 seconds, or an example. What is there already stays.
    Init(init::InitArguments),
    /// Print what a shell needs to complete commands, as in `source <(roundsman completions bash)`.
    Completions {
        /// Which shell.
        #[arg(value_enum)]
        shell: completions::Shell,
    },
    /// Ask the daemon whether it is alive: for HEALTHCHECK.
    Health {
        /// Where it listens; by default what the configuration says.
        #[arg(long)]
        url: Option<String>,
    },
}

/// What about routes.
#[derive(Debug, Subcommand)]
pub enum RoutesCommand {
    /// Say which route takes the alerts of a probe, and why each of the others does not. Exit 1 where nobody is told.
    Explain {
        /// The probe.
        #[arg(value_name = "PROBE")]
        probe: String,
        /// At which instant, as in `2026-12-01T02:00:00Z`; by default now.
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
    },
}

/// How long.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limit {
    /// End by itself, cleanly, after this long: `90s`, `3m`.
    #[arg(long = "for", value_name = "DURATION")]
    pub length: Option<Length>,
}

/// What the demo does.
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArguments {
    /// Break the shop from second 20 to second 95.
    #[arg(long = "break", value_enum, value_name = "WHAT")]
    pub breakage: Option<Breakage>,
    /// How long.
    #[command(flatten)]
    pub limit: Limit,
}

/// What is run once.
#[derive(Clone, Debug, Args)]
pub struct OnceArguments {
    /// Names of probes, globs with `*`, or a URL; by default every probe.
    #[arg(value_name = "PROBE|URL")]
    pub what: Vec<String>,
    /// Only the probes of this schedule, with its time limits.
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    /// Show all that each step did: what it sent and what came, the certificates, the value of each assertion, and a command
    /// that repeats it. Secrets and captured values are left out. JUnit's XML stays as it is.
    #[arg(long, short)]
    pub verbose: bool,
    /// How runs are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: RunFormat,
}

/// What is drilled.
#[derive(Clone, Debug, Args)]
pub struct DrillArguments {
    /// This channel only, by its name under `channels:`; by default every channel, one after another.
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
    /// The probes: each is run twice, and what it saw is made otherwise.
    #[arg(long, conflicts_with_all = ["channel", "url"])]
    pub probes: bool,
    /// Names of probes, or globs with `*`; by default every probe.
    #[arg(value_name = "PROBE", requires = "probes")]
    pub what: Vec<String>,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArguments,
}

/// Which channel is tested.
#[derive(Clone, Debug, Args)]
pub struct NotifyArguments {
    /// The channel, by its name under `channels:`.
    #[arg(value_name = "CHANNEL")]
    pub channel: String,
    /// How the answers are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// For people or for programs, one of which reads test results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// JUnit's XML, for what reads test results.
    Junit,
}

/// A file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFile {
    /// roundsman.yaml.
    Roundsman,
    /// A file in probes/.
    Probes,
    /// A file in schedules/.
    Schedules,
}

/// Runs the command of the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; both go where clap sends them.
            let answer = if error.use_stderr() { Answer::Usage } else { Answer::Well };
            let _ = error.print();
            return answer.into();
        }
    };
    logs::start();
    cli.answer().unwrap_or_else(|stop| stop.tell()).into()
}

impl Cli {
    fn answer(self) -> Result<Answer, Stop> {
        let surroundings = wiring::surroundings(wiring::environment())?;
        match self.command {
            Command::Validate { format } => validate::validate(&self.config, &surroundings, format),
            Command::Plan(arguments) => plan::command::plan(&self.config, &surroundings, &arguments),
            Command::Schema { file } => schema::print(file),
            Command::Token(arguments) => token::token(arguments),
            Command::Run(limit) => block_on(
                daemon::Daemon {
                    directory: self.config,
                    surroundings,
                    keeping: daemon::Keeping::Everything,
                    limit: limit.length,
                    page: watch::Sender::default(),
                    loadings: std::sync::Arc::default(),
                }
                .run(),
            ),
            Command::Demo(arguments) => block_on(demo::demo(self.config, surroundings, arguments)),
            Command::Once(arguments) => block_on(once::once(self.config, surroundings, arguments)),
            Command::Drill(arguments) if arguments.probes => {
                block_on(drill::probes::probes(self.config, surroundings, arguments))
            }
            Command::Drill(arguments) => block_on(drill::channels::channels(self.config, surroundings, arguments)),
            Command::Routes { what: RoutesCommand::Explain { probe, at } } => {
                routes::explain(&self.config, &surroundings, &probe, at)
            }
            Command::Notify(arguments) => block_on(notify::notify(self.config, surroundings, arguments)),
            Command::Status(arguments) => block_on(status::status(self.config, surroundings, arguments)),
            Command::Init(arguments) => init::init(&self.config, &surroundings, &arguments),
            Command::Completions { shell } => completions::print(shell),
            Command::Incidents(arguments) => block_on(incidents::incidents(self.config, surroundings, arguments)),
            Command::Ack(arguments) => block_on(ack::ack(self.config, surroundings, arguments)),
            Command::Note(arguments) => block_on(note::note(self.config, surroundings, arguments)),
            Command::Silence(arguments) => block_on(silence::silence(self.config, surroundings, arguments)),
            Command::Pause(arguments) => block_on(pause::pause(self.config, surroundings, arguments)),
            Command::Resume(arguments) => block_on(pause::resume(self.config, surroundings, arguments)),
            Command::Trigger(arguments) => block_on(trigger::trigger(self.config, surroundings, arguments)),
            Command::Reload(arguments) => block_on(reload::reload(self.config, surroundings, arguments)),
            Command::Deliveries(arguments) => block_on(deliveries::deliveries(self.config, surroundings, arguments)),
            Command::Slo(arguments) => block_on(slo::slo(self.config, surroundings, arguments)),
            Command::Aws { what } => printed::print(&self.config, &surroundings, what),
            Command::Generate(arguments) => generate::command::generate(&arguments, &*surroundings.clock),
            Command::Health { url } => block_on(health::health(self.config, surroundings, url)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn mistakes_on_the_command_line_are_usage() {
        for line in ["roundsman", "roundsman sing", "roundsman run --for 3", "roundsman demo --break everything"] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert!(error.use_stderr() || line == "roundsman", "{line}");
        }
    }
}
