"""Forms from configuration dataclasses: magicgui creates a field from its type and description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from magicgui.backends._qtpy.widgets import QBaseValueWidget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtWidgets import QWidget

from napari_muse.described_fields import descriptions, range_of
from napari_muse.interaction.typed_number import NumberRule
from napari_muse.panels.forms import Choice, Entry, form_layout
from napari_muse.panels.number_field import NumberField


@dataclass(frozen=True)
class Shown:
    """Label, choices, step and limits of a field of a configuration in a form.

    Attributes:
        label: Text before the field.
        words: Label and tool tip of each choice, in order.
        name: Name of a number, for error messages.
        step: Step of a number's arrows.
        decimals: Decimals of a number.
        unset: Text for a number that is None.
        most: Largest plausible number, if lower than the configuration's limit; a larger one has
            probably lost its decimal mark. None takes the configuration's.
    """

    label: str
    words: Mapping[str, tuple[str, str]] | None = None
    name: str = ""
    step: float = 1.0
    decimals: int = 9
    unset: str = ""
    most: float | None = None


class ConfigForm:
    """Input fields for some fields of a configuration.

    Attributes:
        layout: Labels and fields, to be added to a panel; rows can be added.
    """

    def __init__(self, configuration: type, shown: Mapping[str, Shown]) -> None:
        """Make the fields.

        Args:
            configuration: A dataclass whose docstring describes its fields.
            shown: The fields that are shown, by name, in their order.
        """
        self.layout = form_layout()
        hints = get_type_hints(configuration, include_extras=True)
        described = descriptions(configuration)
        self._fields: dict[str, ValueWidget[Any]] = {}
        for name, how in shown.items():
            field = _field(name, hints[name], described[name], how)
            self._fields[name] = field
            self.layout.addRow(how.label, field.native)

    def values(self) -> dict[str, Any]:
        """Values chosen, by name of the field."""
        return {name: field.value for name, field in self._fields.items()}

    def choice(self, name: str) -> Choice:
        """The list of a field with choices."""
        native = self._fields[name].native
        assert isinstance(native, Choice)
        return native

    def number(self, name: str) -> NumberField:
        """The field of a number."""
        native = self._fields[name].native
        assert isinstance(native, NumberField)
        return native


def _field(name: str, hint: Any, described: str, how: Shown) -> ValueWidget[Any]:
    backend: type[QBaseValueWidget]
    options: dict[str, Any]
    if get_origin(hint) is Literal:
        words = how.words or {value: (value, "") for value in get_args(hint)}
        assert set(words) == set(get_args(hint)), f"{name} has other choices than words"
        entries = [(word, value, tip) for value, (word, tip) in words.items()]
        backend, options = _ChoiceBackend, {"entries": entries}
    else:
        least, most = range_of(hint)
        rule = NumberRule(how.name, least, min(most, how.most or most), how.decimals, how.unset)
        backend, options = _NumberBackend, {"rule": rule, "step": how.step}
    return ValueWidget(widget_type=backend, name=name, tooltip=described, backend_kwargs=options)


class _ChoiceBackend(QBaseValueWidget):
    """A Choice as a backend of magicgui."""

    def __init__(self, entries: Iterable[Entry], parent: QWidget | None = None) -> None:
        def choice(parent: QWidget | None) -> Choice:
            return Choice("", *entries)

        super().__init__(choice, "currentData", "choose", "currentIndexChanged", parent=parent)  # type: ignore[arg-type]


class _NumberBackend(QBaseValueWidget):
    """A NumberField as a backend of magicgui; no value is None."""

    def __init__(self, rule: NumberRule, step: float, parent: QWidget | None = None) -> None:
        def number_field(parent: QWidget | None) -> NumberField:
            return NumberField(rule, step)

        super().__init__(number_field, "value", "show_value", "entered", parent=parent)  # type: ignore[arg-type]

    def _post_get_hook(self, value: float) -> float | None:
        return value or None

    def _pre_set_hook(self, value: float | None) -> float:
        return value or 0.0
