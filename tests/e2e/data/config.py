# A configuration as Distributed-CellProfiler's users have them; the test fills in the bucket.

APP_NAME = 'Compatible'
LOG_GROUP_NAME = APP_NAME

# image
DOCKERHUB_TAG = 'cellprofiler/distributed-cellprofiler:2.2.1_4.2.8'

# account
AWS_REGION = 'us-east-1'
AWS_PROFILE = 'default'
SSH_KEY_NAME = 'imaging-core.pem'
AWS_BUCKET = 'your-bucket-name'
SOURCE_BUCKET = 'your-bucket-name'
WORKSPACE_BUCKET = 'False'
DESTINATION_BUCKET = 'your-bucket-name'
UPLOAD_FLAGS = '--acl bucket-owner-full-control --metadata-directive REPLACE'

# machines
ECS_CLUSTER = 'default'
CLUSTER_MACHINES = 3
TASKS_PER_MACHINE = 1
MACHINE_TYPE = ['m5.xlarge']
MACHINE_PRICE = 0.20
EBS_VOL_SIZE = 30               # GB
DOWNLOAD_FILES = 'False'
ASSIGN_IP = 'True'

# containers
DOCKER_CORES = 2
CPU_SHARES = DOCKER_CORES * 1024
MEMORY = 7500
SECONDS_TO_START = 0*60

# queue
SQS_QUEUE_NAME = APP_NAME + 'Queue'
SQS_MESSAGE_VISIBILITY = 1*60
SQS_DEAD_LETTER_QUEUE = 'user_DeadMessages'
JOB_RETRIES = 3

# monitor
AUTO_MONITOR = 'False'
CREATE_DASHBOARD = 'True'
CLEAN_DASHBOARD = 'True'

# redundancy
CHECK_IF_DONE_BOOL = 'False'
EXPECTED_NUMBER_FILES = 7
MIN_FILE_SIZE_BYTES = 1
NECESSARY_STRING = ''

# plugins
USE_PLUGINS = 'False'
UPDATE_PLUGINS = 'False'
PLUGINS_COMMIT = 'False'
INSTALL_REQUIREMENTS = 'False'
REQUIREMENTS = ''
