# What type checkers and editors see; `__init__.py` loads the same names when they are first used.
from . import (
    batching as batching,
    bounds as bounds,
    datasets as datasets,
    geometry as geometry,
    intervals as intervals,
    noises as noises,
    optimizers as optimizers,
    plotting as plotting,
    problems as problems,
    schedules as schedules,
    smoothness as smoothness,
    study as study,
    surge as surge,
)
from ._support import extras as extras
from ._support.environment import show_versions as show_versions
from ._support.extras import MissingExtra as MissingExtra
from .advice import Advice as Advice, advise as advise
from .bounds import Bound as Bound, Requires as Requires, Source as Source
from .compiled import random as random
from .compiled.leaf import leaf as leaf
from .evidence import (
    certified as certified,
    certify as certify,
    exact as exact,
    published as published,
    setups as setups,
)
from .evidence.entries import Race as Race
from .evidence.race import Method as Method, race as race
from .evidence.rates import fit_rate as fit_rate
from .evidence.search import search_worst_case as search_worst_case
from .evidence.verdicts import verify as verify
from .noise_scale import gradient_noise_scale as gradient_noise_scale, noise_moments as noise_moments
from .records import (
    BatchRule as BatchRule,
    Facts as Facts,
    Noise as Noise,
    Objective as Objective,
    Optimizer as Optimizer,
    Run as Run,
    Schedule as Schedule,
    Verdict as Verdict,
    load as load,
)
from .simulation.contract import ContractViolation as ContractViolation, Findings as Findings, check as check
from .simulation.local import simulate_local as simulate_local
from .simulation.run import simulate as simulate
from .simulation.steps_to_target import (
    StepsToTarget as StepsToTarget,
    steps_to_target as steps_to_target,
    tuned_steps_to_target as tuned_steps_to_target,
)
from .simulation.tune import Tuning as Tuning, tune as tune
from .study import Study as Study, report as report

__version__: str
__all__: list[str]
