"""What becomes of a message before any work: whether it is a job, and of this worker's run."""

from __future__ import annotations

import hashlib

from chalicelib import contract
from chalicelib.contract.groups import MessageError
from worker.queue import Lease
from worker.tools import Tools

#: The submission in the ledger of messages that have none.
NO_SUBMISSION = "dcp"
#: Added to what the ledger says of a job whose message could not be kept.
NOT_KEPT = "The dead-letter queue is gone, so that this entry is all that is left of the message"
# How contract.JobMessage.decode begins to say it.
_NEWER_VERSION = "written by a newer CellFleet"


class Unfit(Exception):
    """This worker is not the one for its queue and has to end, with `exit_code`."""

    exit_code = 1


class StaleRun(Unfit):
    """The queue belongs to a newer run of the app."""

    exit_code = 3


class StaleVersion(Unfit):
    """The queue's messages are written for newer workers."""

    exit_code = 4


def admit(tools: Tools, lease: Lease) -> contract.JobMessage | None:
    """The job in a message; None if there is none for us, the message being settled then.

    Raises Unfit, after giving the message back.
    """
    try:
        message = contract.JobMessage.decode(lease.body)
    except (MessageError, TypeError, ValueError) as error:
        _refuse(tools, lease, str(error))
        return None
    run = tools.environment.run
    if not run or not message.run or message.run == run:
        return message
    if _app(message.run) == _app(run) and message.run > run:  # an app's runs sort by time
        tools.queue.pass_on(lease, lease.body)
        raise StaleRun(
            "found a job of run %s in the queue of %s: the newer run's workers will do it"
            % (message.run, run)
        )
    _turn_away(tools, lease, message)
    return None


def _app(run: str) -> str:
    return run.rpartition("-")[0]


def _turn_away(tools: Tools, lease: Lease, message: contract.JobMessage) -> None:
    """A job of an older run or of another app, sent here by hand perhaps. Ours is neither the
    job nor its ledger; left in the queue it would come back for ever."""
    moved = bool(tools.queue.dead_letter_url) and tools.queue.send_to_dead_letters(lease)
    print(
        "Job %s is of run %s, but this is the queue of run %s: the message was %s. To run it, "
        "submit its job file again"
        % (
            message.job,
            message.run,
            tools.environment.run,
            "moved to the dead-letter queue" if moved else "given back",
        ),
        flush=True,
    )
    if moved:
        tools.queue.delete(lease)
    else:
        tools.queue.give_back(lease)


def _refuse(tools: Tools, lease: Lease, why: str) -> None:
    """A message that can't be read."""
    if why.startswith(_NEWER_VERSION):
        # SQS counts this receive: a queue that only old workers read comes to an end all the same.
        tools.queue.give_back(lease)
        raise StaleVersion(
            "found a message %s; this worker reads version %d at most: update the worker's image"
            % (why, contract.MESSAGE_VERSION)
        )
    sentence = "The message can't be read: %s" % why
    print(sentence, flush=True)
    if not tools.queue.dead_letter_url:
        tools.queue.give_back(lease)
        return
    if not tools.queue.send_to_dead_letters(lease):
        sentence = "%s. %s" % (sentence, NOT_KEPT)
    tools.ledger.record(
        NO_SUBMISSION,
        hashlib.sha256(lease.body.encode("utf-8", "replace")).hexdigest()[:20],
        lease.receives,
        contract.DEAD,
        tools.now(),
        cause=contract.MESSAGE,
        details={"sentence": sentence, "message": lease.body[:2000]},
    )
    tools.queue.delete(lease)
