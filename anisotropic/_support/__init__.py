"""What does every part need? Names with suggestions, optional packages, output, versions, fingerprints of code."""
