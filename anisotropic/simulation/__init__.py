"""How is a run made from its nouns? Layout, compiled loops, assembly, tuning, iterations to a target."""
