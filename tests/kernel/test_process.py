"""A process takes each step once, whatever is refused, late, out of order or killed."""

from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg

from kernel.jar import (
    START,
    CoinsPromised,
    CoinsPut,
    Free,
    Keep,
    LetterWritten,
    Promise,
    PromiseFreed,
    PromiseKept,
    Put,
    WriteLetter,
    coins,
    letters,
    module,
    opened,
)
from kernel.running import caught_up, skip_to_next_try, until, working
from pasar.kernel.bus import Core
from pasar.kernel.decider import Clear, Set
from pasar.kernel.delivery import Patience, Retry
from pasar.kernel.messages import Refusal, Value
from pasar.kernel.process import (
    Deadline,
    MoveProcess,
    Next,
    Process,
    ProcessDue,
    ProcessMemory,
    ProcessMoved,
    decide,
    evolve,
    redrive,
    stuck_processes,
    timers,
)
from pasar.kernel.roles import with_login
from pasar.kernel.store import Recorded
from postgres import TestDatabase

MINUTE = timedelta(minutes=1)


class Memory(Value):
    promised: int = 0
    told: tuple[str, ...] = ()


class Care:
    """Buys something for a jar's coins: promises ten of them, waits for the letter that says yes, keeps the promise;
    lets go when the letter does not come, or when there are too few."""

    def __init__(self) -> None:
        self.fails = Counter[str]()
        self.process = Process(
            "care_for_jar",
            key={
                CoinsPut: "jar",
                CoinsPromised: "jar",
                LetterWritten: "letter",
                PromiseFreed: "jar",
                PromiseKept: "jar",
            },
            memory=Memory(),
            on={
                CoinsPut: self.put,
                CoinsPromised: self.promised,
                LetterWritten: self.answered,
                PromiseFreed: self.freed,
            },
            due={"answer": self.late},
            refused={Promise: self.too_few},
            failed=self.failed,
            patience=Patience(MINUTE, MINUTE, 3 * MINUTE),
        )

    def put(self, event: Recorded, memory: Memory) -> Next:
        if self.fails[event.stream] > 0:
            self.fails[event.stream] -= 1
            raise Retry("not now")
        jar = event.stream
        send = [Promise(jar=jar, promise="gift", coins=10), WriteLetter(letter=jar, text=f"asked {event.event.coins}")]
        deadline = Deadline("answer", event.at + 30 * MINUTE)
        return Next(memory=Memory(promised=10, told=memory.told), send=send, set=[deadline])

    def promised(self, event: Recorded, memory: Memory) -> None:
        assert memory.promised == 10, "it remembers before it hears of what it did"

    def answered(self, event: Recorded, memory: Memory) -> Next | None:
        if event.event.text == "yes":
            return Next(
                memory=Memory(told=(*memory.told, "kept")), send=[Keep(jar=event.stream, promise="gift")], done=True
            )
        return None

    def late(self, event: Recorded, memory: Memory) -> Next:
        return Next(memory=Memory(told=(*memory.told, "late")), send=[Free(jar=_jar(event), promise="gift")])

    def freed(self, event: Recorded, memory: Memory) -> Next:
        return Next(send=[WriteLetter(letter=event.stream, text="freed")])

    def too_few(self, command: Promise, refusal: Refusal, memory: Memory) -> Next:
        assert refusal.name == "TOO_FEW_COINS"
        text = "unreadable" if command.jar == "mute" else "too few"
        return Next(
            memory=Memory(told=(*memory.told, "too few")),
            send=[WriteLetter(letter=command.jar, text=text)],
            clear=["answer"],
        )

    def failed(self, event: Recorded, reason: str, memory: Memory) -> Next | None:
        if event.stream == "hopeless":
            raise Retry(reason)
        return Next(send=[WriteLetter(letter=event.stream, text="gave up")])


def _jar(event: Recorded) -> str:
    return event.event.process.partition(":")[2]


async def texts(core: Core, jar: str) -> tuple[str, ...]:
    state = await core.database.reader(1).state(letters, jar)
    return state.texts if state else ()


async def says(core: Core, jar: str, *wanted: str) -> None:
    async def so() -> bool:
        return await texts(core, jar) == wanted

    try:
        await until(so)
    except TimeoutError:
        assert await texts(core, jar) == wanted


async def test_a_process_goes_its_way_to_the_end(database: TestDatabase) -> None:
    jar = module(processes=(Care().process,))
    async with opened(database, jar) as core, working(core, jar):
        await core.bus().send(Put(jar="a", coins=25))
        await says(core, "a", "asked 25")
        await core.bus().send(WriteLetter(letter="a", text="yes"))

        async def kept() -> bool:
            return await core.database.reader(1).balance(coins("a")) == 15 and await timers_left(core) == 0

        await until(kept)
        await caught_up(core)
        await core.bus().send(Put(jar="a", coins=1))
        await caught_up(core)
        assert await texts(core, "a") == ("asked 25", "yes"), "what is done hears no more"


async def timers_left(core: Core) -> int:
    return await core.database.kernel.fetchval("select count(*) from kernel.timer")


async def test_a_deadline_that_passes_is_heard_once(database: TestDatabase) -> None:
    jar = module(processes=(Care().process,))
    async with opened(database, jar) as core, working(core, jar):
        clock: Any = core.clock
        await core.bus().send(Put(jar="a", coins=25))
        await says(core, "a", "asked 25")

        async def waits() -> bool:
            return await timers_left(core) == 1

        await until(waits)
        clock.advance(29 * MINUTE)
        await caught_up(core)
        assert await texts(core, "a") == ("asked 25",)
        clock.advance(2 * MINUTE)
        await says(core, "a", "asked 25", "freed")
        await caught_up(core)
        assert await core.database.reader(1).balance(coins("a")) == 25
        assert await timers_left(core) == 0


async def test_a_refused_step_is_compensated(database: TestDatabase) -> None:
    jar = module(processes=(Care().process,))
    async with opened(database, jar) as core, working(core, jar):
        await core.bus().send(Put(jar="a", coins=3))
        await says(core, "a", "too few")
        await caught_up(core)
        assert await timers_left(core) == 0, "the letter that was to follow the refused promise was not written"


async def test_a_failing_step_is_tried_again_and_takes_effect_once(database: TestDatabase) -> None:
    care = Care()
    care.fails["a"] = 2
    jar = module(processes=(care.process,))
    async with opened(database, jar) as core, working(core, jar):
        await core.bus().send(Put(jar="a", coins=25))
        await core.bus().send(Put(jar="b", coins=25))
        await says(core, "b", "asked 25")
        await core.bus().send(WriteLetter(letter="a", text="early"))
        await caught_up(core)

        async def done() -> bool:
            await skip_to_next_try(core)
            return len(await texts(core, "a")) == 2

        await until(done)
        await says(core, "a", "early", "asked 25")
        await caught_up(core)
        assert await core.database.kernel.fetchval("select count(*) from kernel.parked") == 0


async def test_when_the_budget_is_used_up_the_last_way_out_is_taken(database: TestDatabase) -> None:
    care = Care()
    care.fails["a"] = 1000
    jar = module(processes=(care.process,))
    async with opened(database, jar) as core, working(core, jar):
        await core.bus().send(Put(jar="a", coins=25))

        async def gave_up() -> bool:
            await skip_to_next_try(core)
            return await texts(core, "a") == ("gave up",)

        await until(gave_up)


async def test_a_stuck_process_is_listed_and_goes_on_when_people_say_so(database: TestDatabase) -> None:
    care = Care()
    jar = module(processes=(care.process,))
    async with opened(database, jar) as core, working(core, jar):
        pool, clock = core.database.kernel, core.clock
        await core.bus().send(Put(jar="mute", coins=3))  # Too few, and the letter about it is refused as well.
        await until(lambda: stuck_processes(pool))
        (stuck,) = await stuck_processes(pool)
        assert (stuck.process, stuck.id) == ("care_for_jar", "mute")
        assert stuck.reason == "Stuck: WriteLetter was refused: 90103 NOBODY_READS: Nobody would read this letter."
        await core.bus().send(WriteLetter(letter="mute", text="yes"))  # Queues up behind.
        await core.bus().send(Put(jar="other", coins=25))
        await says(core, "other", "asked 25")
        assert not await redrive(pool, "care_for_jar", "unknown", clock.now())
        await _give_coins_quietly(core, "mute", 20)
        assert await redrive(pool, "care_for_jar", "mute", clock.now())
        # The promise was refused for ever under its first key; people ask anew, and now there are enough coins.
        await says(core, "mute", "yes", "asked 3")

        async def kept() -> bool:
            return await core.database.reader(1).balance(coins("mute")) == 13 and not await stuck_processes(pool)

        await until(kept)


async def _give_coins_quietly(core: Core, jar: str, count: int) -> None:
    """Straight into the account: the process hears of every coin that is put."""
    await core.database.kernel.fetchval("select 1")

    owner = await asyncpg.connect(with_login(core.database.dsn, "postgres"))
    await owner.execute("update kernel.account set balance = balance + $2 where id = $1", f"coins:{jar}", count)
    await owner.close()


async def test_repeats_of_everything_change_nothing(database: TestDatabase) -> None:
    jar = module(processes=(Care().process,))
    async with opened(database, jar) as core:
        pool = core.database.kernel
        async with working(core, jar):
            for name, size in (("a", 25), ("b", 3), ("c", 30)):
                await core.bus().send(Put(jar=name, coins=size))
            await says(core, "c", "asked 30")
            await core.bus().send(WriteLetter(letter="a", text="yes"))
            await caught_up(core)
        end = await pool.fetchval("select max(position) from kernel.event")
        for _ in range(2):
            await pool.execute(
                "update kernel.cursor set epoch = 0, xid = '0', position = 0 where follower like 'process%'"
            )
            async with opened(database, jar) as other, working(other, jar):
                await caught_up(other)
        assert await pool.fetchval("select max(position) from kernel.event") == end


def test_a_deadline_that_was_cleared_or_moved_is_not_heard() -> None:
    state = evolve(ProcessMemory(), ProcessMoved(process="p:1", heard=(1, 5, 5), set=(Deadline("d", _at(1)),)))
    (woken,) = decide(ProcessDue(process="p:1", name="d"), state)
    assert timers(woken) == [Clear("d")]
    state = evolve(state, woken)
    assert (state.deadlines, state.woken) == ((), ("d",))
    assert decide(ProcessDue(process="p:1", name="d"), state) == []
    cleared = evolve(state, ProcessMoved(process="p:1", heard=(1, 6, 6), clear=("d",)))
    assert cleared.woken == ()
    moved = ProcessMoved(process="p:1", heard=(1, 6, 6), set=(Deadline("d", _at(2)),))
    assert timers(moved) == [Set("d", _at(2), ProcessDue(process="p:1", name="d"))]
    assert (evolve(state, moved).deadlines, evolve(state, moved).woken) == (("d",), ())


def test_what_was_heard_before_is_not_remembered_again() -> None:
    state = evolve(ProcessMemory(), ProcessMoved(process="p:1", heard=(1, 5, 5)))
    assert decide(MoveProcess(process="p:1", heard=(1, 5, 5)), state) == []
    assert decide(MoveProcess(process="p:1", heard=(1, 4, 9)), state) == []
    assert len(decide(MoveProcess(process="p:1", heard=(1, 5, 6)), state)) == 1


def test_the_end_clears_all_deadlines() -> None:
    state = evolve(ProcessMemory(), ProcessMoved(process="p:1", heard=(1, 5, 5), set=(Deadline("d", _at(1)),)))
    (end,) = decide(MoveProcess(process="p:1", heard=(1, 5, 6), done=True), state)
    assert timers(end) == [Clear("d")]
    assert evolve(state, end).done


def _at(minute: int) -> Any:
    return START + minute * MINUTE
