"""What each configuration key means, in the order and sections of the reference page."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any


@dataclass(frozen=True)
class KeyDoc:
    """A key for its reader. `default` is in words where other keys make it."""

    title: str
    means: str
    _: KW_ONLY
    example: Any
    default: str = ""


#: Section title to field to its documentation; together all fields of the model.
SECTIONS: dict[str, dict[str, KeyDoc]] = {
    "The app and its software": {
        "app_name": KeyDoc(
            "Name of the app",
            "The name of this analysis. Queue, service, fleet, logs and dashboard are named after "
            "it, so choose one that tells it from your other analyses. One run of an app lives "
            "at a time.",
            example="NuclearSegmentation_Drosophila",
        ),
        "dockerhub_tag": KeyDoc(
            "Worker image",
            "The container image that runs on the machines: a DCP image, or a CellFleet one. What "
            "follows the last `_` of the tag is taken as its CellProfiler version.",
            example="cellprofiler/distributed-cellprofiler:2.2.0_4.2.8",
        ),
    },
    "AWS account and buckets": {
        "aws_region": KeyDoc(
            "Region",
            "The AWS region where the run's resources are made.",
            example="us-west-2",
        ),
        "aws_profile": KeyDoc(
            "Profile",
            "The profile in your `~/.aws` folder that the command line signs in with. Lambdas and "
            "workers have roles and ignore it.",
            example="lab",
        ),
        "ssh_key_name": KeyDoc(
            "SSH key",
            "The EC2 key pair that may log in to the machines, with or without `.pem`. Empty, "
            "'False' or the placeholder of DCP's sample: nobody logs in.",
            example="my-key.pem",
        ),
        "aws_bucket": KeyDoc(
            "Bucket of the account",
            "Where logs and monitor files are written; usually in the account that pays for the "
            "machines. The other three buckets fall back on it.",
            example="my-lab",
        ),
        "source_bucket": KeyDoc(
            "Bucket of the images",
            "Where the images are read from.",
            example="cellpainting-gallery",
            default="as AWS_BUCKET",
        ),
        "workspace_bucket": KeyDoc(
            "Bucket of pipelines and tables",
            "Where everything but images is read from: pipelines, LoadData CSVs, batch files. "
            "They are always downloaded.",
            example="my-lab",
            default="as SOURCE_BUCKET",
        ),
        "destination_bucket": KeyDoc(
            "Bucket of the results",
            "Where results are written.",
            example="my-lab",
            default="as AWS_BUCKET",
        ),
        "upload_flags": KeyDoc(
            "Flags for uploads",
            "Flags of `aws s3 cp` for writing results, needed mostly where DESTINATION_BUCKET "
            "belongs to somebody else. Flags that only a copy between buckets uses are ignored "
            "with a warning; others that an upload doesn't know are refused.",
            example="--acl bucket-owner-full-control",
        ),
    },
    "Machines": {
        "ecs_cluster": KeyDoc(
            "ECS cluster",
            "The cluster that the machines join; made if there is none. Several apps can share "
            "one: each keeps to its own machines.",
            example="default",
        ),
        "cluster_machines": KeyDoc(
            "Machines, at most",
            "The largest number of machines at a time. Fewer are started where the work doesn't "
            "fill them.",
            example=100,
        ),
        "tasks_per_machine": KeyDoc(
            "Containers per machine",
            "How many containers each machine runs.",
            example=1,
        ),
        "machine_type": KeyDoc(
            "Machine types",
            "The EC2 machine types to choose from. More types of one size mean more Spot capacity "
            "and fewer interruptions.",
            example=["m5.xlarge", "m5a.xlarge", "m6i.xlarge"],
        ),
        "machine_price": KeyDoc(
            "Price per machine, at most",
            "The most you pay for one machine for an hour; while Spot costs more, none is "
            "started. Left out: no cap but the on-demand price.",
            example=0.2,
            default="no cap",
        ),
        "on_demand_percent": KeyDoc(
            "Machines at full price, at most",
            "How much of CLUSTER_MACHINES (at least one machine, unless 0) may be had on demand, "
            "at full price, when Spot machines have been missing for ten minutes; where AUTO_MONITOR "
            "is on. MACHINE_PRICE holds for them as well: below the on-demand price, none is "
            "had.",
            example=20,
        ),
        "ebs_vol_size": KeyDoc(
            "Disk per machine",
            "The size of each machine's volume. A container may use EBS_VOL_SIZE / "
            "TASKS_PER_MACHINE - 2 GB of it, and that must be more than nothing.",
            example=30,
        ),
        "download_files": KeyDoc(
            "Download the images",
            "'True': a job's images are copied to the machine's disk first, which needs room in "
            "EBS_VOL_SIZE but no mounted bucket. 'False': they are read from SOURCE_BUCKET "
            "through a mount.",
            example="True",
        ),
        "assign_ip": KeyDoc(
            "Public addresses",
            "'False': machines get no public IPv4 address, whatever the fleet file says. 'True': "
            "the fleet file decides.",
            example="False",
        ),
    },
    "Containers": {
        "docker_cores": KeyDoc(
            "CellProfiler copies per container",
            "How many copies of CellProfiler run at once in each container.",
            example=4,
        ),
        "cpu_shares": KeyDoc(
            "Processor per container",
            "How much of the processor ECS sets aside for each container. All containers of a "
            "machine have to fit on each machine type.",
            example=4096,
            default="DOCKER_CORES * 1024",
        ),
        "memory": KeyDoc(
            "Memory per container",
            "How much memory (in MiB, as ECS counts) each container may use; beyond it, it is killed. All containers of a "
            "machine have to fit on each machine type, beside its system.",
            example=15000,
        ),
        "seconds_to_start": KeyDoc(
            "Time between copies",
            "How long each copy in a container waits after the one before, so that their peaks in "
            "memory don't fall together: about the length of the hungriest step, or 0 for light "
            "pipelines.",
            example=180,
        ),
    },
    "Queues": {
        "sqs_queue_name": KeyDoc(
            "Job queue",
            "The queue that holds the jobs.",
            example="NuclearSegmentation_DrosophilaQueue",
            default="APP_NAME + 'Queue'",
        ),
        "sqs_message_visibility": KeyDoc(
            "Time a job takes",
            "How long a job is hidden from other workers once taken: a little more than one "
            "usually needs. CellFleet's workers extend it while they live; with DCP's, too short "
            "a time runs jobs twice, too long a one leaves jobs of lost machines waiting.",
            example=7200,
        ),
        "sqs_dead_letter_queue": KeyDoc(
            "Dead-letter queue",
            "Where jobs go that failed JOB_RETRIES times; made if there is none, and never "
            "emptied or removed, since apps may share it. An ARN stands for its last part.",
            example="mylab_DeadMessages",
        ),
        "job_retries": KeyDoc(
            "Tries per job",
            "How often a job is tried before it goes to the dead-letter queue.",
            example=3,
        ),
    },
    "Logs": {
        "log_group_name": KeyDoc(
            "Log group",
            "The CloudWatch log group of the jobs; machines write to the same name with "
            "`_perInstance`. Kept for 60 days.",
            example="NuclearSegmentation_Drosophila",
            default="as APP_NAME",
        ),
    },
    "Monitor": {
        "auto_monitor": KeyDoc(
            "Watch the run",
            "'True': the run is watched each minute, shrunk as work runs out, and removed when it "
            "is over. 'False': that is left to you.",
            example="True",
        ),
        "early_stop_after": KeyDoc(
            "Stop early after",
            "When so many jobs, the first of the run (or all of a smaller run), have all failed of "
            "the same cause, the fleet is shrunk to one machine and you are told. It grows again "
            "when a job ends well, or when you start the cluster again. Interruptions don't "
            "count. 0: never.",
            example=10,
        ),
        "notify_topic": KeyDoc(
            "Who is told",
            "The SNS topic, in AWS_REGION, that gets a message when the run has ended, when most "
            "machines were given up because all jobs fail alike, and when the machines can't "
            "work. Subscribe your mail address to it. Empty or 'False': the deployment's topic "
            "(`CELLFLEET_TOPIC`), if it has one. DCP has no such key.",
            example="arn:aws:sns:us-east-1:123456789012:lab-notices",
        ),
    },
    "Dashboard": {
        "create_dashboard": KeyDoc(
            "Make a dashboard",
            "Whether a CloudWatch dashboard of the run is made.",
            example="True",
        ),
        "clean_dashboard": KeyDoc(
            "Remove the dashboard",
            "Whether the dashboard is removed at the run's end.",
            example="True",
        ),
    },
    "Results already there": {
        "check_if_done_bool": KeyDoc(
            "Skip finished jobs",
            "'True': a job whose output folder already holds enough files is skipped, so a whole "
            "submission can be sent again to fill its gaps. 'False': every job runs, and "
            "overwrites.",
            example="True",
        ),
        "expected_number_files": KeyDoc(
            "Files of a finished job",
            "How many files make a job count as finished.",
            example=5,
        ),
        "min_file_size_bytes": KeyDoc(
            "Size of a file that counts",
            "Smaller files don't count: jobs that failed may leave empty or broken ones.",
            example=1,
        ),
        "necessary_string": KeyDoc(
            "Text in a file's name",
            "Only files whose name holds this text count. Empty or 'False': all do.",
            example=".csv",
        ),
    },
    "CellProfiler": {
        "always_continue": KeyDoc(
            "Go on after errors",
            "Whether CellProfiler goes on with the next image set after an error "
            "(`--always-continue`): one bad image of many then doesn't cost the whole job, but a "
            "job with gaps in its results can look finished. Best with few JOB_RETRIES.",
            example="True",
        ),
    },
    "Plugins": {
        "use_plugins": KeyDoc(
            "Use plugins",
            "Whether CellProfiler gets the CellProfiler-plugins folder (`--plugins-directory`): "
            "its `active_plugins`, or the folder itself in versions that have none.",
            example="True",
        ),
        "update_plugins": KeyDoc(
            "Update the plugins",
            "Whether the image's copy of CellProfiler-plugins is brought up to date first. Images "
            "up to 2.0.0_4.2.4 hold the old layout until then.",
            example="True",
        ),
        "plugins_commit": KeyDoc(
            "Version of the plugins",
            "The commit or version tag of CellProfiler-plugins to use. 'False': none in "
            "particular.",
            example="v1.0",
        ),
        "install_requirements": KeyDoc(
            "Install what plugins need",
            "Whether the Python packages that plugins need are installed; many need none.",
            example="True",
        ),
        "requirements": KeyDoc(
            "What to install",
            "For plugins of version 1.0 on: the name of the set to install, such as `cellpose`. "
            "For older ones: the path of a requirements file in their repository. An old name of "
            "the key is REQUIREMENTS_FILE.",
            example="cellpose",
        ),
    },
    "CellFleet's own": {
        "worker": KeyDoc(
            "Kind of worker",
            "What the image speaks. 'auto': a DCP image runs as 'dcp', unless the account names a "
            "CellFleet image of the same CellProfiler version, which then takes its place.",
            example="auto",
        ),
        "engine": KeyDoc(
            "How CellProfiler is run",
            "'warm': each copy is kept running from job to job, which spares its start and the "
            "reading of the data file; results are those of its command line, which still does "
            "what can't be done warm (worker/README.md). 'cli': the command line for every job. A "
            "DCP image has but this one.",
            example="cli",
        ),
    },
}

DOCS: dict[str, KeyDoc] = {
    field: doc for section in SECTIONS.values() for field, doc in section.items()
}
