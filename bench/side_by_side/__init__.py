"""The same trips by several systems, interleaved in one run."""
