"""A command that takes each of its options once, unless several values are asked for."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from muse_core.errors import UserError


class OnceCommand(TyperCommand):
    """Refuses an option with one value that is given twice, whose last value would count."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments after the command's name.

        Raises:
            UserError: An option is given twice.
        """
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        known: set[str] = set()
        for parameter in given:
            if not _takes_one_value(parameter):
                continue
            if parameter.name in known:
                either = "/".join((*parameter.opts, *parameter.secondary_opts))
                raise UserError(f"{either} is given twice; give it once.")
            known.add(parameter.name)
        return super().parse_args(ctx, args)


def _takes_one_value(parameter: Any) -> bool:
    """Whether a second value would replace the first; a switch says the same each time."""
    if parameter.param_type_name != "option" or parameter.multiple:
        return False
    return not parameter.is_flag or bool(parameter.secondary_opts)
