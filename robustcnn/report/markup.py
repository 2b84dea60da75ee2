"""HTML that is escaped by construction: what is not an element is text."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML already; only `element` makes it."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Markup:
    """An element; children that are no Markup are escaped, attributes always; `class_` is `class`."""
    inside = "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    told = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{told}>" if name in _VOID else f"<{name}{told}>{inside}</{name}>")


def section(title: str, says: str, *content: str) -> list[Markup]:
    """A section, or nothing where there is nothing to show."""
    return [element("section", element("h2", title), element("p", says), *content)] if content else []


_VOID = ("img", "meta")
