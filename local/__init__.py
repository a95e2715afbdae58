"""The embedded AWS: moto on loopback, event dispatch, and machines that are real processes.

| module | what it is |
|---|---|
| `serve` | `python run.py local`; `LocalCellFleet`, the whole as a context manager |
| `aws` | `EmbeddedAWS`: the server, the deployment bucket, the environment that leads to it |
| `moto_*` | what moto's S3, SQS, EC2 and ECS get wrong, mended |
| `events` | uploads and ticks, delivered to the handlers that Chalice registered |
| `ecs` | the stand-in for EC2 and ECS, with `scheduler`, `placement`, `tasks`, `counters` |
| `machines` | an instance (a folder) and a container (a process group), with `launch`, `logs` |
| `container` | the first process in a container |
| `agent` | the ECS agent's endpoint: task protection |
"""
