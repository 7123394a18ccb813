"""Makes the stack of `roundsman aws cloudformation` on LocalStack, lets the daemon beat until the dead-man alarm is well, stops it,
and reads the alarm's message from a queue behind the topic. Prints how long it was from the last heartbeat to the message.

Everything is on loopback and in a folder of its own, and ends with this process.
"""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3

REGION = "us-east-1"
SERVICES = "cloudformation,cloudwatch,iam,logs,s3,secretsmanager,sns,sqs,sts"
STARTS_WITHIN = 120
WELL_WITHIN = 300
FIRES_WITHIN = 600

ROOT = """
site: dead-man
location: here
web: {{ listen: "127.0.0.1:0" }}
publish: {{ cloudwatch: {{ namespace: Roundsman, region: {region} }} }}
"""
PROBES = "nothing: { tcp: \"127.0.0.1:9\" }\n"
SCHEDULES = "rarely: { every: 24h, probes: [nothing] }\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(what, within, look):
    """What `look` gives, as soon as it gives something."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(1)
    raise SystemExit(f"{what} did not come within {within} s")


@contextlib.contextmanager
def process(command, log, environment):
    """A process that is gone afterwards, whatever happened."""
    with open(log, "wb") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def clean_environment():
    """This machine's own AWS is none of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ROUNDSMAN_"))}


def localstack(scratch, port):
    environment = clean_environment()
    environment.update(
        SERVICES=SERVICES,
        GATEWAY_LISTEN=f"127.0.0.1:{port}",
        OVERRIDE_IN_DOCKER="0",
        SKIP_SSL_CERT_DOWNLOAD="1",
        DISABLE_EVENTS="1",
        PROVIDER_OVERRIDE_CLOUDWATCH="v2",
        DNS_ADDRESS="0",
        FILESYSTEM_ROOT=str(scratch),
        TMPDIR=str(scratch),
        HOME=str(scratch),
    )
    return process([sys.executable, "-m", "localstack.runtime.main"], scratch / "localstack.log", environment)


def is_up(url):
    try:
        with urllib.request.urlopen(f"{url}/_localstack/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def configuration(scratch):
    config = scratch / "config"
    for name, text in (("roundsman.yaml", ROOT.format(region=REGION)), ("probes/p.yaml", PROBES), ("schedules/s.yaml", SCHEDULES)):
        path = config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return config


def made_stack(clients, template, topic):
    """Our template as a stack, unchanged."""
    clients["cloudformation"].create_stack(
        StackName="roundsman",
        TemplateBody=template,
        Parameters=[{"ParameterKey": "DeadManTopic", "ParameterValue": topic}],
        Capabilities=["CAPABILITY_IAM"],
    )

    def settled():
        stack = clients["cloudformation"].describe_stacks(StackName="roundsman")["Stacks"][0]
        if stack["StackStatus"].endswith("FAILED") or "ROLLBACK" in stack["StackStatus"]:
            raise SystemExit(f"the stack was not made: {stack.get('StackStatusReason')}")
        return stack["StackStatus"] == "CREATE_COMPLETE"

    wait("the stack", 60, settled)


def last_beat(cloudwatch, alarm):
    """The minute of the last heartbeat that arrived."""
    now = datetime.datetime.now(datetime.timezone.utc)
    data = cloudwatch.get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=alarm["Dimensions"],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return max(point["Timestamp"] for point in data)


def main():
    roundsman = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="roundsman-dead-man-") as folder:
        scratch = pathlib.Path(folder)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        config = configuration(scratch)
        aws = {"region_name": REGION, "endpoint_url": url, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        names = ("cloudformation", "cloudwatch", "sns", "sqs")
        clients = {name: boto3.client(name, **aws) for name in names}
        environment = clean_environment()
        environment.update(
            AWS_ENDPOINT_URL=url,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_EC2_METADATA_DISABLED="true",
        )
        template = subprocess.run(
            [roundsman, "aws", "cloudformation", "--config", config], check=True, capture_output=True, env=environment
        ).stdout.decode()
        with localstack(scratch, port):
            wait("LocalStack", STARTS_WITHIN, lambda: is_up(url))
            topic = clients["sns"].create_topic(Name="dead-man")["TopicArn"]
            queue = clients["sqs"].create_queue(QueueName="dead-man")["QueueUrl"]
            arn = clients["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
            made_stack(clients, template, topic)

            def alarm():
                return clients["cloudwatch"].describe_alarms(AlarmNames=["dead-man/dead-man/here"])["MetricAlarms"][0]

            print(f"made from the template: {alarm()['AlarmName']}, {alarm()['StateValue']}", flush=True)
            with process([roundsman, "run", "--config", config], scratch / "roundsman.log", environment) as daemon:
                wait("the state OK", WELL_WITHIN, lambda: alarm()["StateValue"] == "OK")
                print("the daemon beats, and the alarm is OK", flush=True)
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(20)
                stopped = time.time()
            print(f"the daemon has ended, exit {daemon.returncode}", flush=True)

            def message():
                for received in clients["sqs"].receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", []):
                    said = json.loads(json.loads(received["Body"])["Message"])
                    clients["sqs"].delete_message(QueueUrl=queue, ReceiptHandle=received["ReceiptHandle"])
                    # Before the first heartbeat there may have been none for too long.
                    changed = datetime.datetime.fromisoformat(said["StateChangeTime"]).timestamp()
                    if said["NewStateValue"] == "ALARM" and changed > stopped:
                        return said
                return None

            said = wait("the message", FIRES_WITHIN, message)
            came = time.time()
            beat = last_beat(clients["cloudwatch"], alarm())
            print(f"the alarm's message: {said['AlarmName']}: {said['NewStateReason']}")
            print(f"from the end of the daemon to the message: {came - stopped:.0f} s")
            print(f"from the last heartbeat (the minute {beat:%H:%M} UTC) to the message: {came - beat.timestamp():.0f} s")


if __name__ == "__main__":
    main()
