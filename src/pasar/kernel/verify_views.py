"""Views against the log, for `verify`: each is folded anew beside the live one and compared row by row."""

from collections.abc import Sequence

from .clock import Clock
from .findings import Report
from .store import Database
from .verify import ViewCheck
from .view_tables import BeingRebuilt, RebuildStopped, StaleView, differs
from .views import View


def views_against_log(database: Database, views: Sequence[View], clock: Clock) -> ViewCheck:
    """The check of these views. One that is being rebuilt, or waits for it, is not looked at: it will be made anew."""

    async def check(report: Report) -> None:
        for view in views:
            try:
                wrong = await differs(database, view, clock)
            except (BeingRebuilt, RebuildStopped, StaleView):
                continue
            if wrong:
                report.add("views", f"view {view.table}", "the rows that its events give", "other rows")
            report.count("views", 1)

    return check
