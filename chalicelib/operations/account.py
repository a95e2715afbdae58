"""Preparing an account, looking at it, and taking the preparation back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.aws.account import StackFailedError, carry_out, look, look_at_stack, reasons
from chalicelib.core.account import AccountRequest, AccountView, StackView
from chalicelib.core.account_notes import notes
from chalicelib.core.account_plan import (
    AccountAction,
    AccountPlan,
    DeleteStack,
    MakeStack,
    decide_create,
    decide_delete,
)
from chalicelib.errors import NotReadyError

if TYPE_CHECKING:
    from chalicelib.aws.clients import Clients

#: How often, and how many times, a stack is looked at while CloudFormation works: 15 minutes.
_POLL_SECONDS = 5.0
_POLLS = 180

Told = Callable[[AccountAction], None]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was done (or would be), the account behind it, and what the user should know."""

    plan: AccountPlan
    seen: AccountView
    notes: tuple[str, ...]


def create(
    clients: Clients,
    request: AccountRequest,
    template: str,
    *,
    sleep: Callable[[float], None],
    dry_run: bool = False,
    told: Told = lambda _action: None,
) -> Prepared:
    """Do what is left. Raises InputError, ConflictError and NotFoundError before anything is
    made, StackFailedError with CloudFormation's reasons, NotReadyError if it takes long."""
    others = (*(request.buckets or ()), *(request.read_buckets or ()))
    if not dry_run:
        _settle(clients, request.stack, sleep)
    seen = look(clients, request.stack, request.bucket, others)
    plan = decide_create(request, seen, template)
    if dry_run:
        return Prepared(plan=plan, seen=seen, notes=notes(seen, request.bucket))
    _execute(clients, plan, template, sleep, told)
    seen = look(clients, request.stack, request.bucket, others)
    return Prepared(plan=plan, seen=seen, notes=notes(seen, request.bucket))


def delete(
    clients: Clients,
    stack_name: str,
    *,
    sleep: Callable[[float], None],
    dry_run: bool = False,
    told: Told = lambda _action: None,
) -> Prepared:
    """Take back what `create` made. Buckets, objects and roles of others stay."""
    if not dry_run:
        _settle(clients, stack_name, sleep)
    stack = look_at_stack(clients, stack_name)
    bucket = stack.parameters.get("Bucket", "") if stack else ""
    seen = look(clients, stack_name, bucket, ())
    plan = decide_delete(stack_name, seen)
    if not dry_run:
        _execute(clients, plan, "", sleep, told)
    return Prepared(plan=plan, seen=seen, notes=())


def _execute(
    clients: Clients,
    plan: AccountPlan,
    template: str,
    sleep: Callable[[float], None],
    told: Told,
) -> None:
    for action in plan:
        told(action)
        carry_out(clients, action, template)
        if isinstance(action, MakeStack | DeleteStack):
            stack = _settle(clients, action.name, sleep)
            if isinstance(action, DeleteStack) == (stack is not None):
                raise _failed(clients, action.name, stack)
            if stack is not None and (not stack.well or "ROLLBACK" in stack.status):
                raise _failed(clients, action.name, stack)


def _settle(clients: Clients, name: str, sleep: Callable[[float], None]) -> StackView | None:
    """The stack, when CloudFormation has done with it."""
    for _ in range(_POLLS):
        stack = look_at_stack(clients, name)
        if stack is None or not stack.busy:
            return stack
        sleep(_POLL_SECONDS)
    raise NotReadyError(
        f"CloudFormation still works on the stack {name}; the same command goes on from here"
    )


def _failed(clients: Clients, name: str, stack: StackView | None) -> StackFailedError:
    status = stack.status if stack else "gone"
    why = "\n".join(f"  - {reason}" for reason in reasons(clients, name))
    return StackFailedError(f"the stack {name} is {status}{':' if why else ''}\n{why}".rstrip())
