"""One module a row of the benchmark, each ending in ROW = Row(...)."""
