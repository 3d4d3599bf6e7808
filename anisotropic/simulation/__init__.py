"""How is a run made from its nouns? Layout, compiled loops, assembly, tuning, steps to a target."""
