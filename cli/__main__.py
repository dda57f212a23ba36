"""The `evergreen` command: what each process and each person runs."""

import typer

from cli import (
    account,
    dead_letters,
    demo,
    emit,
    focus,
    lag,
    payments,
    prices,
    replay,
    simulate,
    stack,
    topics,
    verify,
    worker,
)

app = typer.Typer(
    name="evergreen",
    help="Pay-as-you-go billing on Kafka. Settings are EVERGREEN_... variables: see README.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(stack.app, name="stack")
app.add_typer(topics.app, name="topics")
app.add_typer(emit.app, name="emit")
app.add_typer(prices.app, name="prices")
app.add_typer(account.app, name="account")
app.add_typer(dead_letters.app, name="dead-letters")
app.command("demo")(demo.demo)
app.command("worker")(worker.worker)
app.command("payments")(payments.payments)
app.command("tick")(emit.tick)
app.command("lag")(lag.lag)
app.command("replay")(replay.replay)
app.command("import-focus")(focus.import_focus)
app.command("simulate")(simulate.simulate)
app.command("verify")(verify.verify)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
