"""How far is a bound on schedules from the exact worst case? (constant, linear, cosine, WSD, 1/sqrt(t); 60 iterations)

The bound of arXiv 2310.07831 as the public code of arXiv 2501.18965 evaluates it, over the exact worst case of the last
iterate, each at the exact one's best step size. The value is the median over the shapes, its limits are the extremes.
"""

import numpy as np

import anisotropic as an

STEPS = 60
SHAPES = [
    np.ones(STEPS),
    *(an.schedules.polynomial(1.0, STEPS, power=p) for p in (0.5, 1.0, 2.0)),
    an.schedules.cosine(1.0, STEPS),
    *(an.schedules.wsd(1.0, STEPS, share=c) for c in (0.1, 0.2, 0.5)),
    1 / np.sqrt(np.arange(1, STEPS + 1)),
]


def finding():
    b, ratios = an.bounds.convex_sgd_last_nonsmooth, []
    for shape in SHAPES:
        size = b.tuned_step_size(schedule=shape, R=1.0, G=1.0)
        exact, told = (b(form, schedule=shape, step_size=size, R=1.0, G=1.0) for form in ("sharp", "scheduled"))
        ratios.append(told / exact)
    return an.intervals.Interval(float(np.median(ratios)), min(ratios), max(ratios), "exact", 0.0)


if __name__ == "__main__":
    print(finding())
