"""The table of a run finds its place in a document, and only there."""

from torture.report import put_into

HAND = "# Written by hand\n\n<!-- torture: begin -->{}<!-- torture: end -->\n\nAlso by hand.\n"


def test_the_table_replaces_the_one_before(tmp_path):
    """What is written by hand stays."""
    document = tmp_path / "document.md"
    document.write_text(HAND.format(" old "), encoding="utf-8")
    for text in ("| a |", "| b |"):
        put_into(document, text)
        assert document.read_text(encoding="utf-8") == HAND.format(f"\n\n{text}\n\n")
