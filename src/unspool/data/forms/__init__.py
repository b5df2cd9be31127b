"""Registry of file forms, such as TSV or CoNLL-U; each module of this folder defines one or several."""

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

__all__ = [
    "Form",
    "FormOptions",
    "Kind",
    "all_forms",
    "form_by_suffix",
    "form_named",
    "form_of_examples",
    "forms_of",
    "suffixes_of",
]


@cache
def all_forms() -> tuple[Form, ...]:
    """Return every form, in the order of the modules; a module has one as `FORM`, or several as `FORMS`."""
    modules = [
        import_module(f"unspool.data.forms.{module.name}")
        for module in iter_modules([str(Path(__file__).parent)])
        if module.name != "form"
    ]
    return tuple(form for module in modules for form in getattr(module, "FORMS", None) or (module.FORM,))


def forms_of(*kinds: Kind) -> dict[str, Form]:
    """Return the forms that yield items of some kinds, by name."""
    return {form.name: form for kind in kinds for form in all_forms() if form.yields == kind}


def suffixes_of(*kinds: Kind) -> Mapping[str, Form]:
    """Return the forms that yield items of some kinds, by suffix; the first kind wins a shared suffix."""
    suffixes: dict[str, Form] = {}
    for form in forms_of(*kinds).values():
        for suffix in form.suffixes:
            suffixes.setdefault(suffix, form)
    return suffixes


def form_by_suffix(path: str, *kinds: Kind) -> Form | None:
    """Return the form of a file by its suffix; None for an unknown suffix."""
    return suffixes_of(*kinds).get(suffix_of(path))


def form_of_examples(path: str, options: FormOptions | None = None) -> Form | None:
    """Return the form of a file that is one example, as an image, or an array of them; None for other files."""
    if form_by_suffix(path, "rows") is not None:
        return None
    arrays = [form for form in forms_of("files").values() if form.recognises is not None]
    options = options or FormOptions()
    return next(
        (form for form in arrays if form.recognises and form.recognises(path, options)), form_by_suffix(path, "files")
    )


def form_named(name: str, *kinds: Kind, more: tuple[str, ...] = ()) -> Form | None:
    """Return the form of a name.

    Args:
        name: Value of the setting `format`.
        kinds: Kinds of items that the form may yield.
        more: Other values that the caller accepts, without a form; they give None.

    Raises:
        DataError: If there is no such form; the message suggests the nearest.
    """
    forms = forms_of(*kinds)
    if name not in forms and name not in more:
        names = sorted({*forms, *more})
        raise DataError(f"format {name!r} is none of {', '.join(names)}{nearest(name, names)}")
    return forms.get(name)
