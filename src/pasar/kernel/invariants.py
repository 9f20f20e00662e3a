"""What must hold of a context's data at any instant; `pasar doctor` asks a running system for it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from .doctor import Check, Patient, Symptom, Symptoms
from .store import Database, Reader

MOST = 20
_TENANTS = """
    with recursive known as (
        select min(tenant) as tenant from kernel.account
        union all
        select (select min(a.tenant) from kernel.account a where a.tenant > known.tenant)
          from known where known.tenant is not null)
    select tenant from known where tenant is not null"""


class Invariant(NamedTuple):
    """`broken` reads a tenant's data at one instant and says in a sentence each where it does not hold."""

    name: str
    broken: Callable[[Reader], Awaitable[Sequence[str]]]


def check_of(invariant: Invariant, database: Database) -> Check:
    """An invariant of all tenants as a check of the doctor."""

    async def check(patient: Patient) -> Symptoms:
        found: Symptoms = []
        for row in await patient.connection.fetch(_TENANTS):
            tenant = row["tenant"]
            broken = await invariant.broken(database.reader(tenant))
            found += [_symptom(invariant.name, f"tenant {tenant}: {text}") for text in broken[:MOST]]
            if len(broken) > MOST:
                found.append(_symptom(invariant.name, f"tenant {tenant}: {len(broken) - MOST} more of the kind"))
        return found

    check.__name__ = invariant.name
    return check


def _symptom(name: str, found: str) -> Symptom:
    advice = "Run `pasar verify`. Where it finds nothing, the code that books is wrong: keep the log and report it."
    return Symptom(check=name, severity="critical", found=found, advice=advice)
