"""One currency's Mondays: a timer that, each time it goes off, is set for the week after."""

from datetime import datetime
from typing import assert_never

from pasar.kernel.decider import Clear, Decider, Set
from pasar.kernel.messages import Value

from .contract import CalendarStarted, StartCalendar, TurnWeek, WeekTurned
from .weeks import monday_after

CalendarCommand = StartCalendar | TurnWeek
CalendarEvent = CalendarStarted | WeekTurned


class Calendar(Value):
    time_zone: str = ""
    next_at: datetime | None = None


def decide(command: CalendarCommand, calendar: Calendar) -> list[CalendarEvent]:
    match command:
        case StartCalendar(calendar=currency, time_zone=zone, at=at):
            if zone == calendar.time_zone:
                return []
            return [CalendarStarted(calendar=currency, time_zone=zone, next_at=monday_after(at, zone))]
        case TurnWeek(calendar=currency, due=due):
            if due != calendar.next_at:
                return []  # The calendar was moved.
            next_at = monday_after(due, calendar.time_zone)
            return [WeekTurned(calendar=currency, cut_off=due, next_at=next_at)]
        case _:
            assert_never(command)


def evolve(calendar: Calendar, event: CalendarEvent) -> Calendar:
    match event:
        case CalendarStarted(time_zone=zone, next_at=at):
            return Calendar(time_zone=zone, next_at=at)
        case WeekTurned(next_at=at):
            return Calendar(time_zone=calendar.time_zone, next_at=at)
        case _:
            assert_never(event)


def timers(event: CalendarEvent) -> list[Set | Clear]:
    return [Set("monday", at=event.next_at, send=TurnWeek(calendar=event.calendar, due=event.next_at))]


calendar = Decider("finance.calendar", "calendar", Calendar(), decide, evolve, timers=timers)
