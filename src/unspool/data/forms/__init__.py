"""File forms: one file for each form beside this one; every reader finds its forms here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from unspool.data.files import suffix_of
from unspool.data.forms.form import Form, FormOptions, Kind
from unspool.errors import DataError
from unspool.settings import nearest

__all__ = ["Form", "FormOptions", "Kind", "all_forms", "form_by_suffix", "form_named", "forms_of", "suffixes_of"]


@cache
def all_forms() -> tuple[Form, ...]:
    """Every form, in the order of their files; a file has one as `FORM`, or several as `FORMS`."""
    modules = [
        import_module(f"unspool.data.forms.{module.name}")
        for module in iter_modules([str(Path(__file__).parent)])
        if module.name != "form"
    ]
    return tuple(form for module in modules for form in getattr(module, "FORMS", None) or (module.FORM,))


def forms_of(*kinds: Kind) -> dict[str, Form]:
    """The forms that yield one of some kinds of items, by name."""
    return {form.name: form for kind in kinds for form in all_forms() if form.yields == kind}


def suffixes_of(*kinds: Kind) -> Mapping[str, Form]:
    """The suffixes of forms that yield one of some kinds of items; of several forms, that of the first kind."""
    suffixes: dict[str, Form] = {}
    for form in forms_of(*kinds).values():
        for suffix in form.suffixes:
            suffixes.setdefault(suffix, form)
    return suffixes


def form_by_suffix(path: str, *kinds: Kind) -> Form | None:
    """The form of a file by the end of its name; None where the name does not tell."""
    return suffixes_of(*kinds).get(suffix_of(path))


def form_named(name: str, *kinds: Kind, more: tuple[str, ...] = ()) -> Form | None:
    """The form of a name.

    Args:
        name: Value of the setting `format`.
        kinds: What the form must yield.
        more: Other values that the caller takes; they have no form.

    Raises:
        DataError: If there is no such form; the nearest is named.
    """
    forms = forms_of(*kinds)
    if name not in forms and name not in more:
        names = sorted({*forms, *more})
        raise DataError(f"format {name!r} is none of {', '.join(names)}{nearest(name, names)}")
    return forms.get(name)
