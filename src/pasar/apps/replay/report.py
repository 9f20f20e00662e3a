"""What a replay prints at its end."""

from decimal import Decimal

from rich.console import Console
from rich.table import Table

from pasar.apps.replay.plan import Sum
from pasar.apps.replay.reconcile import Reconciliation


def show(console: Console, found: Reconciliation) -> None:
    """The figures side by side, then every rule with its lines and money, then the sum."""
    console.print(_side_by_side(found))
    console.print(_whole_file(found))
    become = found.totals.order_lines.lines + found.totals.return_lines.lines
    console.print(f"{become:,} of {found.surveyed.file.lines:,} lines became order or return lines: {found.share:.2%}")
    for problem in found.problems:
        console.print(f"[bold red]✗ {problem}[/bold red]")
    if not found.problems:
        console.print("[bold green]✓ The file, the log, the ledger and the views agree to the penny.[/bold green]")


def _side_by_side(found: Reconciliation) -> Table:
    table = Table("", title="File = log = ledger = views")
    for name in ("file", "log", "ledger", "views"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in found.comparisons:
        cells = ["" if value is None else f"{value:,}" for value in (one.file, one.log, one.ledger, one.views)]
        table.add_row(one.what, *cells, "✓" if one.agrees else "✗")
    return table


def _whole_file(found: Reconciliation) -> Table:
    totals = found.totals
    table = Table("what became of the lines", title="Rules + orders + returns = file")
    for name in ("lines", "units", "money (GBP)"):
        table.add_column(name, justify="right")
    _row(table, "order lines", totals.order_lines)
    _row(table, "return lines", totals.return_lines)
    for rule in found.rules:
        _row(table, rule.value, totals.rules[rule])
    table.add_section()
    _row(table, "together", totals.all)
    _row(table, "the file", found.surveyed.file)
    table.add_section()
    table.add_row("added by rounding lines to pennies", "", "", _money(totals.rounding))
    return table


def _row(table: Table, what: str, found: Sum) -> None:
    table.add_row(what, f"{found.lines:,}", f"{found.units:,}", _money(found.money))


def _money(amount: Decimal) -> str:
    return f"{amount:,.3f}"
