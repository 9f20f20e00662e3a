"""What limits an order: the smallest transaction that could be called one, driven by pgbench on the same server.

Insert the order and two lines, take stock by a conditional update, write an outbox row; prepared statements, tuned
tables, durable commit. What Pasar adds to it (events, ledger, idempotency, deadlines, answers) is not in here.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

TABLES = """
drop schema if exists minimal cascade;
create schema minimal;
create table minimal.stock (sku int primary key, left_over bigint not null check (left_over >= 0))
    with (fillfactor = 50);
create table minimal.orders (id bigint generated always as identity primary key, buyer int not null,
    total numeric not null, state text not null, at timestamptz not null default now());
create table minimal.line (order_id bigint not null, no int not null, sku int not null, quantity int not null,
    price numeric not null, primary key (order_id, no));
create table minimal.outbox (id bigint generated always as identity primary key, topic text not null,
    body jsonb not null);
insert into minimal.stock select g, 1000000000 from generate_series(1, 1000) g;
vacuum analyze minimal.stock;
"""
SCRIPT = """
\\set a {first}
\\set b random(501, 1000)
\\set buyer random(1, 1000)
begin;
insert into minimal.orders (buyer, total, state) values (:buyer, 98.00, 'PENDING_PAYMENT') returning id \\gset
insert into minimal.line values (:id, 1, :a, 1, 49.00), (:id, 2, :b, 1, 49.00);
update minimal.stock set left_over = left_over - 1 where sku = :b and left_over >= 1;
update minimal.stock set left_over = left_over - 1 where sku = :a and left_over >= 1;
insert into minimal.outbox (topic, body)
    values ('order.created', '{{"order": 1, "total": "98.00", "currency": "CNY"}}');
commit;
"""


def available() -> bool:
    return shutil.which("pgbench") is not None


async def prepare(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLES.rsplit("vacuum", 1)[0])
    await connection.execute("vacuum analyze minimal.stock")
    await connection.close()


def measure(dsn: str, clients: int, seconds: int, *, hot: bool) -> dict[str, float | int]:
    """Transactions a second and latencies of pgbench with two threads."""
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    host = options.get("host", [parts.hostname or "127.0.0.1"])[0]
    port = options.get("port", [str(parts.port or 5432)])[0]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "order.sql"
        script.write_text(SCRIPT.format(first="1" if hot else "random(1, 500)"))
        command = [
            *("pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients)), "-T", str(seconds)),
            *("-h", host, "-p", port, "-U", parts.username or "postgres", "-l", "--log-prefix", f"{folder}/log"),
            *("-f", str(script), parts.path.lstrip("/")),
        ]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        latencies = sorted(
            int(line.split()[2]) / 1000
            for log in Path(folder).glob("log*")
            for line in log.read_text().splitlines()
            if line
        )
    found = re.search(r"tps = ([0-9.]+)", output)
    assert found, output
    at = lambda percent: latencies[min(len(latencies) - 1, int(len(latencies) * percent / 100))]  # noqa: E731
    return {
        "per_second": round(float(found[1]), 1),
        "p50_ms": round(at(50), 2),
        "p95_ms": round(at(95), 2),
        "p99_ms": round(at(99), 2),
        "requests": len(latencies),
    }
