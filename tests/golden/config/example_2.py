# Many small machines of 4 jobs each: one container of 4 copies.

APP_NAME = 'SmallMachines'
LOG_GROUP_NAME = APP_NAME

DOCKERHUB_TAG = 'cellprofiler/distributed-cellprofiler:2.2.0_4.2.8'

AWS_REGION = 'us-east-1'
AWS_PROFILE = 'default'
SSH_KEY_NAME = 'your-key-file.pem'
AWS_BUCKET = 'imaging-core'
SOURCE_BUCKET = 'cellpainting-gallery'
WORKSPACE_BUCKET = 'False'
DESTINATION_BUCKET = 'False'
UPLOAD_FLAGS = ''

ECS_CLUSTER = 'default'
CLUSTER_MACHINES = 100
TASKS_PER_MACHINE = 1
MACHINE_TYPE = ['m4.xlarge']
MACHINE_PRICE = 0.10
EBS_VOL_SIZE = 22               # GB
DOWNLOAD_FILES = 'True'

DOCKER_CORES = 4
CPU_SHARES = DOCKER_CORES * 1024
MEMORY = 15000                  # MB
SECONDS_TO_START = 0

SQS_QUEUE_NAME = APP_NAME + 'Queue'
SQS_MESSAGE_VISIBILITY = 15*60
SQS_DEAD_LETTER_QUEUE = 'user_DeadMessages'

AUTO_MONITOR = 'True'
CREATE_DASHBOARD = 'True'
CLEAN_DASHBOARD = 'False'

CHECK_IF_DONE_BOOL = 'False'
EXPECTED_NUMBER_FILES = 7
MIN_FILE_SIZE_BYTES = 1
NECESSARY_STRING = ''

USE_PLUGINS = 'True'
UPDATE_PLUGINS = 'True'
PLUGINS_COMMIT = 'v1.0'
INSTALL_REQUIREMENTS = 'True'
REQUIREMENTS_FILE = 'cellpose'
