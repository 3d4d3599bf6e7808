"""What does a run say about a theorem? Verdicts, rates, worst instances, exact and certified values."""
