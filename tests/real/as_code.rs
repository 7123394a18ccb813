//! What `roundsman aws` prints, before what will take it: moto as CloudWatch and CloudFormation, cfn-lint, and AWS's own models.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::commands::configuration;
use crate::servers::moto::{Moto, REGION};
use crate::servers::python;
use crate::servers::roundsman::output;

/// Everything that can be printed.
const WHOLE: &[(&str, &str)] = &[
    ("roundsman.yaml", include_str!("as_code/roundsman.yaml")),
    ("probes/p.yaml", include_str!("as_code/probes.yaml")),
    ("schedules/s.yaml", include_str!("as_code/schedules.yaml")),
];

/// A document as it was printed; it must be one.
fn printed(what: &str, directory: &Path) -> String {
    let directory = directory.to_str().expect("a path in UTF-8");
    let printed = output(&["aws", what, "--config", directory], &[]);
    assert_eq!(printed.status.code(), Some(0), "{}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8(printed.stdout).expect("text")
}

fn document(what: &str, directory: &Path) -> Value {
    serde_json::from_str(&printed(what, directory)).expect("JSON")
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_dashboard_of_the_repository_is_up_to_date() {
    let kept = fs::read_to_string(repository().join("dashboards/prod-dashboard.json")).unwrap_or_default();
    let command = "roundsman aws dashboard > dashboards/prod-dashboard.json";
    assert!(printed("dashboard", repository()) == kept, "dashboards/prod-dashboard.json is old: {command}");
}

#[test]
fn the_template_passes_cfn_lint() {
    let whole = configuration(WHOLE);
    for directory in [repository(), whole.path()] {
        let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
        fs::write(file.path(), printed("cloudformation", directory)).expect("a file");
        let said = python::run(
            "import os, subprocess, sys\n\
             lint = subprocess.run([os.path.join(os.path.dirname(sys.executable), 'cfn-lint'), '--include-checks', 'I', '--regions', 'us-east-1', '--template', sys.argv[1]], capture_output=True, text=True)\n\
             print(lint.returncode, lint.stdout, lint.stderr)\n",
            &[file.path().to_str().expect("a path in UTF-8")],
        );
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0"], "{said}");
    }
}

/// Every input as AWS's own model has it, and what only documents say of dashboards.
const MODELS: &str = r#"
import json, sys
import boto3
import botocore.session
from botocore.validate import ParamValidator

documents = json.load(open(sys.argv[2]))
model = botocore.session.get_session().get_service_model("cloudwatch")

moto = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=sys.argv[1], aws_access_key_id="a", aws_secret_access_key="b")

def check(operation, parameters):
    report = ParamValidator().validate(parameters, model.operation_model(operation).input_shape)
    if report.has_errors():
        print(operation, parameters.get("AlarmName"), report.generate_report())

for alarm in documents["alarms"]:
    check("PutMetricAlarm", alarm)
    moto.put_metric_alarm(**alarm)
    queries = alarm.get("Metrics", [])
    periods = {query["MetricStat"]["Period"] for query in queries if "MetricStat" in query} or {alarm["Period"]}
    assert len(periods) == 1, alarm
    period = periods.pop()
    assert period in (10, 20, 30) or period % 60 == 0, alarm
    assert period * alarm["EvaluationPeriods"] <= (86_400 if period < 3_600 else 7 * 86_400), alarm
    assert alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"], alarm
    assert "Unit" not in alarm and len(queries) <= 10, alarm

body = documents["dashboard"]
check("PutDashboard", {"DashboardName": "d", "DashboardBody": json.dumps(body)})
assert not moto.put_dashboard(DashboardName="d", DashboardBody=json.dumps(body)).get("DashboardValidationMessages")
taken = set()
for widget in body["widgets"]:
    x, y, width, height = (widget[key] for key in ("x", "y", "width", "height"))
    assert 0 <= x and x + width <= 24 and 1 <= height <= 1000, widget
    squares = {(across, down) for across in range(x, x + width) for down in range(y, y + height)}
    assert not taken & squares, widget
    taken |= squares
    properties = widget["properties"]
    if widget["type"] != "metric":
        continue
    assert properties["region"] and properties["title"], widget
    names = [line[-1].get("id") for line in properties["metrics"] if isinstance(line[-1], dict)]
    names = [name for name in names if name]
    assert len(names) == len(set(names)) and all(name[0].islower() for name in names), widget
    for line in properties["metrics"]:
        options = line[-1] if isinstance(line[-1], dict) else {}
        parts = line[:-1] if isinstance(line[-1], dict) else line
        assert ("expression" in options) == (not parts), line
        assert not parts or (len(parts) >= 2 and len(parts) % 2 == 0 and all(isinstance(part, str) for part in parts)), line
print(len(documents["alarms"]), len(body["widgets"]))
"#;

#[test]
fn alarms_and_dashboard_are_what_aws_has_models_of() {
    let whole = configuration(WHOLE);
    let moto = Moto::start();
    for directory in [repository(), whole.path()] {
        let (alarms, dashboard) = (document("alarms", directory), document("dashboard", directory));
        let counts = [&alarms, &dashboard["widgets"]].map(|list| list.as_array().map_or(0, Vec::len));
        let documents = tempfile::NamedTempFile::new().expect("a file");
        fs::write(documents.path(), json!({ "alarms": alarms, "dashboard": dashboard }).to_string()).expect("a file");
        let said = python::run(MODELS, &[&moto.url, documents.path().to_str().expect("a path in UTF-8")]);
        assert_eq!(said.trim(), format!("{} {}", counts[0], counts[1]));
    }
}

/// Makes what is in the template as CloudFormation does, of which moto makes the policy itself, and prints what is there then.
const STACK: &str = r#"
import json, re, sys, warnings
import boto3

warnings.simplefilter("ignore")
url, template = sys.argv[1], json.load(open(sys.argv[2]))
aws = dict(region_name="us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b")
cloudformation, cloudwatch, iam = (boto3.client(name, **aws) for name in ("cloudformation", "cloudwatch", "iam"))
iam.create_role(RoleName="roundsman", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
given = {"DeadManTopic": "arn:aws:sns:us-east-1:123456789012:dead-man", "Role": "roundsman"}
known = {**given, "AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}

def resolved(value):
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return known[value["Ref"]]
    if set(value) == {"Fn::Sub"}:
        return re.sub(r"\$\{(!?)([^}]*)\}", lambda hole: "${%s}" % hole[2] if hole[1] else known[hole[2]], value["Fn::Sub"])
    return {key: resolved(item) for key, item in value.items()}

others = {}
for name, resource in template["Resources"].items():
    if resource["Type"] == "AWS::CloudWatch::Alarm":
        cloudwatch.put_metric_alarm(**resolved(resource["Properties"]))
    elif resource["Type"] == "AWS::CloudWatch::Dashboard":
        cloudwatch.put_dashboard(**resolved(resource["Properties"]))
    else:
        others[name] = resource
cloudformation.create_stack(
    StackName="roundsman",
    TemplateBody=json.dumps({**template, "Resources": others}),
    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    Capabilities=["CAPABILITY_IAM"],
)
print(cloudformation.describe_stacks(StackName="roundsman")["Stacks"][0]["StackStatus"])
alarms = cloudwatch.describe_alarms(MaxRecords=100)["MetricAlarms"]
print(json.dumps({alarm["AlarmName"]: alarm["AlarmActions"] for alarm in alarms}))
attached = iam.list_attached_role_policies(RoleName="roundsman")["AttachedPolicies"]
print(len(attached))
body = json.loads(cloudwatch.get_dashboard(DashboardName="shop")["DashboardBody"])
arns = [arn for widget in body["widgets"] if widget["type"] == "alarm" for arn in widget["properties"]["alarms"]]
print(json.dumps(sorted(arns)))
texts = [widget["properties"]["markdown"] for widget in body["widgets"] if widget["type"] == "text"]
print(texts[-1])
"#;

#[test]
fn the_template_becomes_a_stack() {
    let whole = configuration(WHOLE);
    let moto = Moto::start();
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), printed("cloudformation", whole.path())).expect("a file");
    let said = python::run(STACK, &[&moto.url, file.path().to_str().expect("a path in UTF-8")]);
    let [status, alarms, attached, arns, text] = said.lines().collect::<Vec<_>>().try_into().expect("five lines");
    assert_eq!((status, attached), ("CREATE_COMPLETE", "1"));
    let made: serde_json::Map<String, Value> = serde_json::from_str(alarms).expect("JSON");
    let expected = document("alarms", whole.path());
    for alarm in expected.as_array().expect("a list") {
        let name = alarm["AlarmName"].as_str().expect("a name");
        let actions = alarm.get("AlarmActions").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(made.get(name), Some(&actions), "{name}");
    }
    let mut names: Vec<String> =
        made.keys().map(|name| format!("arn:aws:cloudwatch:{REGION}:123456789012:alarm:{name}")).collect();
    names.sort();
    assert_eq!(serde_json::from_str::<Vec<String>>(arns).expect("JSON"), names);
    assert_eq!(text, "${Left} as it is", "what is not the stack's stands for itself");
}
