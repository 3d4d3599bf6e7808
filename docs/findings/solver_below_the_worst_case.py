"""Is a worst case from a first-order solver an upper bound? (extra `certify`)

Gradient descent with step size 1 on 1-smooth convex functions, 5 iterations: the exact worst case is 1/22 (Drori and
Teboulle). The value is the relative error of what PEPit returns with SCS; below 0 it is not an upper bound.
"""

from PEPit import PEP
from PEPit.functions import SmoothConvexFunction

import anisotropic as an


def worst_case(solver, steps=5):
    problem = PEP()
    f = problem.declare_function(SmoothConvexFunction, L=1.0)
    minimizer = f.stationary_point()
    x = problem.set_initial_point()
    problem.set_initial_condition((x - minimizer) ** 2 <= 1)
    for _ in range(steps):
        x = x - f.gradient(x)
    problem.set_performance_metric(f(x) - f(minimizer))
    return float(problem.solve(wrapper="cvxpy", solver=solver, verbose=0))


def finding():
    value = 22 * worst_case("SCS") - 1
    return an.intervals.Interval(value, value, value, "exact", 0.0)


if __name__ == "__main__":
    print(finding())
