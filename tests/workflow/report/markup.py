"""Reads a report as a browser does: elements, attributes and text."""

from html.parser import HTMLParser


class Document(HTMLParser):
    """All elements of a document, with the text of its style sheet."""

    def __init__(self, content: bytes | str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self._is_in_style = False
        self.feed(content if isinstance(content, str) else content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._is_in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._is_in_style = False

    def handle_data(self, data: str) -> None:
        (self.styles if self._is_in_style else self.texts).append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.texts).split())

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]
