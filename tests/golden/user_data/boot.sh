#!/bin/bash
set -u
cat > /etc/ecs/ecs.config <<'CELLFLEET'
ECS_CLUSTER=imaging
ECS_AVAILABLE_LOGGING_DRIVERS=["json-file","awslogs"]
ECS_INSTANCE_ATTRIBUTES={"cellfleet.run":"Screen-20240301T0930004f2a"}
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_ENABLE_TASK_IAM_ROLE=true
CELLFLEET
mkdir -p /var/lib/cellfleet
chmod 1777 /var/lib/cellfleet
touch /var/lib/cellfleet/alive
chmod 0666 /var/lib/cellfleet/alive
