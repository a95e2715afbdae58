"""`python run.py local`: the whole of CellFleet on this machine, in the foreground.

The pieces can be had as a context manager too, for tests and the demonstration:

    with LocalCellFleet() as local:
        local.aws.client("s3").put_object(Bucket=local.aws.bucket, Key="jobs/…", Body=…)
"""

import argparse
import errno
import importlib
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from chalice.app import Chalice

from local.api import LocalApi
from local.aws import HOST, EmbeddedAWS, environment
from local.ecs import EcsStandIn, Timing
from local.events import Dispatcher
from local.launch import Launcher

PROJECT = Path(__file__).resolve().parent.parent
WORKER = (sys.executable, "-m", "worker")
READY = "CellFleet local is ready"

DEFAULT_PORT = 5055
DEFAULT_BUCKET = "cellfleet-local"
DEFAULT_SECONDS_PER_TICK = 5.0

#: How long, in seconds, workers and handlers may take to end when we stop.
_GRACE = 10.0


def project_app() -> Chalice:
    """The app that `chalice deploy` deploys."""
    # Importing it binds its handlers to the bucket of the environment, which is a new one now.
    sys.modules.pop("app", None)
    app: Chalice = importlib.import_module("app").app
    return app


class LocalCellFleet:
    """Embedded AWS, event dispatch and machines, with the environment set in this process.

    `state_dir` keeps workers' files and logs; without one they go to a temporary folder that
    is removed at the end. `worker` is the command of a worker, run in the project's root.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        bucket: str = DEFAULT_BUCKET,
        region: str = "us-east-1",
        seconds_per_tick: float = DEFAULT_SECONDS_PER_TICK,
        state_dir: Path | None = None,
        worker: Sequence[str] = WORKER,
        load_app: Callable[[], Chalice] = project_app,
        timing: Timing | None = None,
        longest_stop: float = 110.0,
        grace: float = _GRACE,
    ):
        self._stack = ExitStack()
        self._state_dir = state_dir
        self._worker = tuple(worker)
        self._load_app = load_app
        self._timing = timing
        self._longest_stop = longest_stop
        self._grace = grace
        self._machines: EcsStandIn | None = None
        self.dispatcher = Dispatcher(region=region, seconds_per_tick=seconds_per_tick)
        self.api = LocalApi()
        self.aws = EmbeddedAWS(
            port=port,
            bucket=bucket,
            region=region,
            deliver=self.dispatcher.deliver,
            protector=self,
            api=self.api,
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = self._state_dir or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="cellfleet-"))
            )
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(self.aws)
            stack.enter_context(environment(self.aws.env))
            launcher = Launcher(
                command=self._worker,
                project=PROJECT,
                folder=folder.resolve(),
                environment=self.aws.access,
                agent=self.aws.agent,
                longest_stop=self._longest_stop,
            )
            self._machines = EcsStandIn(launcher, timing=self._timing)
            stack.callback(self._machines.stop, self._grace)
            s3 = self.aws.client("s3")
            app = self._load_app()
            self.dispatcher.connect(app, s3)
            self.api.connect(app)
            s3.close()
            # First to stop: no tick or upload may start anything while machines go down.
            stack.callback(self.dispatcher.stop, self._grace)
            self._machines.start()
            self.dispatcher.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def machines(self) -> EcsStandIn:
        """The ECS stand-in; only while running."""
        if self._machines is None:
            raise RuntimeError("not started")
        return self._machines

    def hurry(self) -> None:
        """Make stopping, under way or to come, kill workers at once."""
        if self._machines is not None:
            self._machines.hurry()

    def dead(self) -> list[str]:
        """The names of parts that should run and don't."""
        parts = {"the server": self.aws.alive, "the ECS stand-in": self.machines.alive}
        return [name for name, alive in parts.items() if not alive] + self.dispatcher.dead

    # The ECS agent's endpoint asks for these.

    def protect(self, task: str, minutes: float) -> str | None:
        return self.machines.protect(task, minutes)

    def protected_minutes(self, task: str) -> tuple[str, float] | None:
        return self.machines.protected_minutes(task)


# --- in the foreground -----------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """`run.py local …`: serve until Ctrl-C or SIGTERM. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    return serve(
        LocalCellFleet(
            port=arguments.port,
            bucket=arguments.bucket,
            seconds_per_tick=arguments.seconds_per_tick,
            state_dir=arguments.state_dir,
        )
    )


def serve(local: LocalCellFleet) -> int:
    """Run `local` until a signal comes. Returns the exit code: 0, or 1 if something failed."""
    stopping = threading.Event()

    def on_signal(*_: Any) -> None:
        if stopping.is_set():
            local.hurry()  # asked twice: no grace
        stopping.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with local:
            print(_greeting(local.aws), flush=True)
            while not stopping.wait(1.0):
                dead = local.dead()
                if dead:
                    print(f"stopping: {', '.join(dead)} ended", file=sys.stderr)
                    return 1
            print("stopping: workers first, then the server", flush=True)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(
            f"{local.aws.endpoint} is in use: stop what listens there, or choose another port "
            "with --port (0: any free one)",
            file=sys.stderr,
        )
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _greeting(aws: EmbeddedAWS) -> str:
    clients = ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION")
    shown = [f"AWS_{name}" for name in clients]
    shown += [name for name in aws.env if name.startswith("CELLFLEET_")]
    return "\n".join(
        [
            f"endpoint  {aws.endpoint}",
            f"bucket    {aws.bucket}",
            f"HTTP API  {aws.env['CELLFLEET_API']}",
            "",
            "To use it from another terminal:",
            "",
            *(f"export {name}={aws.env[name]}" for name in shown),
            "",
            READY,
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py local", description="CellFleet with an AWS of its own, on this machine."
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help=f"where to listen on {HOST}; 0: any free port (default: %(default)s)",
    )
    parser.add_argument(
        "--bucket", default=DEFAULT_BUCKET, help="the deployment bucket (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds-per-tick",
        type=_positive,
        default=DEFAULT_SECONDS_PER_TICK,
        metavar="S",
        help="how often the monitor runs; on AWS, 60 (default: %(default)g)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="FOLDER",
        help="keep workers' logs here (default: a temporary folder, removed at the end)",
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
