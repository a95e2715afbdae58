# A large machine that works on 64 jobs at a time: 16 containers of 4 copies.

APP_NAME = 'LargeMachine'

DOCKERHUB_TAG = 'cellprofiler/distributed-cellprofiler:2.2.0_4.2.8'

AWS_REGION = 'us-east-1'
AWS_PROFILE = 'default'
SSH_KEY_NAME = 'imaging-core.pem'
AWS_BUCKET = 'imaging-core'
SOURCE_BUCKET = 'imaging-core'
WORKSPACE_BUCKET = 'imaging-core'
DESTINATION_BUCKET = 'partner-results'
UPLOAD_FLAGS = '--acl bucket-owner-full-control --metadata-directive REPLACE'

ECS_CLUSTER = 'default'
CLUSTER_MACHINES = 3
TASKS_PER_MACHINE = 16
MACHINE_TYPE = ['m4.16xlarge']
MACHINE_PRICE = 1.20
EBS_VOL_SIZE = 165              # GB
DOWNLOAD_FILES = 'False'
ASSIGN_IP = 'False'

DOCKER_CORES = 4
CPU_SHARES = DOCKER_CORES * 1024
MEMORY = 15000                  # MB
SECONDS_TO_START = 3*60

SQS_QUEUE_NAME = APP_NAME + 'Queue'
SQS_MESSAGE_VISIBILITY = 2*60*60
SQS_DEAD_LETTER_QUEUE = 'arn:aws:sqs:us-east-1:123456789012:core_DeadMessages'
JOB_RETRIES = 3

LOG_GROUP_NAME = APP_NAME

AUTO_MONITOR = 'True'

CREATE_DASHBOARD = 'True'
CLEAN_DASHBOARD = 'True'

CHECK_IF_DONE_BOOL = 'TRUE'
EXPECTED_NUMBER_FILES = 5
MIN_FILE_SIZE_BYTES = 1
NECESSARY_STRING = ''

ALWAYS_CONTINUE = 'False'

USE_PLUGINS = 'False'
UPDATE_PLUGINS = 'False'
PLUGINS_COMMIT = 'False'
INSTALL_REQUIREMENTS = 'False'
REQUIREMENTS = ''
