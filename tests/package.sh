#!/bin/sh
# Is a wheel whole? Installs it into an empty environment and uses it in an empty folder, as a stranger would.
#   sh tests/package.sh dist/anisotropic-*.whl [pip options]
set -eu
wheel=$(realpath "$1")
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
bin=$folder/venv/bin
"$bin/python" -m pip install --quiet --disable-pip-version-check "$wheel" mypy "$@"
cd "$folder"
cat > user.py <<'PY'
from typing import assert_type

import numpy as np

import anisotropic as an

h = 1 / np.arange(1.0, 11) ** 2
f = an.problems.quadratic(h, center=0.9, box=(-1, 1))
run = an.simulate(f, an.optimizers.adagrad(step_size=2 / np.sqrt(2)), noise=an.noises.gaussian(np.sqrt(h)), start=0.0,
                  steps=1000, batch_size=64, replicas=256, seed=0)
assert_type(run, an.Run)
verdict = an.verify(an.bounds.convex_adagrad, run)
assert_type(verdict, an.Verdict)
assert verdict.status == "not contradicted", verdict
gap: str = run.gap  # type: ignore[assignment]  # an array: were the package untyped, this ignore would be unused
print(verdict.status)
PY
"$bin/python" user.py
"$bin/mypy" --strict --no-error-summary user.py
"$bin/anisotropic" --version
"$bin/anisotropic" bounds show convex_adagrad > /dev/null
"$bin/anisotropic" verify convex_sgd --quiet
"$bin/anisotropic" study list --quiet | grep -qx large_batch
"$bin/anisotropic" study run rates --quick --quiet
test -s results/rates-quick/report.html || test -d results
echo "$("$bin/python" --version): the wheel is whole"
