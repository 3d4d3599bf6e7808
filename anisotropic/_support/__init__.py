"""What every layer may use: names, extras, output, fingerprints of code."""
