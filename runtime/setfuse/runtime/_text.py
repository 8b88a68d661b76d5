"""What every stage does to a text before a tokenizer sees it."""


def without_lone_surrogates(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 tokenizer takes, by U+FFFD; any other text comes back as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
