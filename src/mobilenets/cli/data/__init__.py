"""`mobilenets data`: what a data set holds, and what is wrong with it."""

import typer

from mobilenets.cli.additions import first_paragraph
from mobilenets.cli.console.help import Command, Group
from mobilenets.cli.data import check

app = typer.Typer(cls=Group, help="What a data set holds, and what is wrong with it.")


@app.callback()
def options() -> None:
    """What a data set holds, and what is wrong with it."""


app.command("check", cls=Command, short_help=first_paragraph(check.run))(check.run)
