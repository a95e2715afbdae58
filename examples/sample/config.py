# The configuration of the sample plate, in the form of Distributed-CellProfiler's config.py.
# It is read as data, never executed. Put your bucket's name in AWS_BUCKET to use it.

APP_NAME = 'SamplePlate'
LOG_GROUP_NAME = APP_NAME

# CellProfiler 4.2.8. Where the account names a CellFleet image of it, that one runs instead.
DOCKERHUB_TAG = 'cellprofiler/distributed-cellprofiler:2.2.1_4.2.8'

AWS_REGION = 'us-east-1'
AWS_BUCKET = 'your-bucket-name'
SOURCE_BUCKET = AWS_BUCKET
WORKSPACE_BUCKET = AWS_BUCKET
DESTINATION_BUCKET = AWS_BUCKET
UPLOAD_FLAGS = ''

# One machine with one container that runs two CellProfilers side by side: six wells need no more.
ECS_CLUSTER = 'default'
CLUSTER_MACHINES = 1
TASKS_PER_MACHINE = 1
MACHINE_TYPE = ['m5.xlarge']
MACHINE_PRICE = 0.15  # dollars an hour for a machine, at most
EBS_VOL_SIZE = 30  # GB
DOWNLOAD_FILES = 'True'
ASSIGN_IP = 'True'

DOCKER_CORES = 2
CPU_SHARES = DOCKER_CORES * 1024
MEMORY = 7500  # MB for the container
SECONDS_TO_START = 1

SQS_QUEUE_NAME = APP_NAME + 'Queue'
SQS_MESSAGE_VISIBILITY = 2*60  # seconds; a well takes about ten
SQS_DEAD_LETTER_QUEUE = APP_NAME + '_DeadMessages'
JOB_RETRIES = 3

AUTO_MONITOR = 'True'
CREATE_DASHBOARD = 'True'
CLEAN_DASHBOARD = 'True'

# A finished well is three tables and one picture for each of its two sites.
CHECK_IF_DONE_BOOL = 'False'
EXPECTED_NUMBER_FILES = 5
MIN_FILE_SIZE_BYTES = 1
NECESSARY_STRING = ''
ALWAYS_CONTINUE = 'False'

USE_PLUGINS = 'False'
