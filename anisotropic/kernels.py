"""What happens in one trajectory? One fused compiled loop: gradient, noise, update, box, statistics.

The kernel takes compiled functions and NamedTuple parameters as arguments, so that any objective, noise and optimizer
meet in it. Nothing is cached on disk: Numba's cache misses edits in functions that are passed in.

Per step and coordinate the loop does what a theorem's measure needs: the true gradient, its norms and the gap at every
step for the running means; at the recorded steps also the gap at the average iterate. A replica costs no memory of its
own: normals are functions of (seed, replica, step, coordinate) and are drawn for a block of steps at once.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from .elementary import leaf
from .random import Stream, draw_rows, fill_normals

#: Columns of the kernel's output, in order; further columns hold the user's measures.
COLUMNS = (
    "value",
    "mean_value",
    "average_value",
    "gradient_l1",
    "gradient_l2",
    "gradient_l2_squared",
    "last_gradient_l2_squared",
    "batch_size",
    "samples",
    "accumulator",
)

LANES = 256  # normals are drawn for at least this many (replica, coordinate, group of four steps) triples at once


@leaf
def norms(gradient):
    """l1 norm and squared l2 norm."""
    l1, l2_squared = 0.0, 0.0
    for j in range(gradient.size):
        l1 += abs(gradient[j])
        l2_squared += gradient[j] * gradient[j]
    return l1, l2_squared


@leaf
def clip_and_add(w, lo, hi, total):
    """Project onto the box and add the iterate to the running sum."""
    for j in range(w.size):
        x = max(min(w[j], hi[j]), lo[j])
        w[j] = x
        total[j] += x


@leaf
def no_measures(w, gradient, params, out):
    """Stand-in where the user asked for no statistic of their own."""


@leaf
def one(t, value, state, params):
    """The factor of a constant step size."""
    return 1.0


@leaf
def no_decision(batch, gradient, variance, along, population, t, history, params):
    """Stand-in where the batch is constant."""
    return float(batch)


@leaf
def no_rows(w, params, rows, out):
    """Stand-in where the objective is not a finite sum."""


@cache
def compose(*measures):
    """One function that writes every measure into `out`; kept per process, since a closure compiles anew."""
    if not measures:
        return no_measures
    before, last = compose(*measures[:-1]), measures[-1]

    @leaf
    def chain(w, gradient, params, out):
        before(w, gradient, params, out[:-1])
        out[-1] = last(w, gradient, params)

    return chain


@njit(nogil=True, error_model="numpy")
def fill_lanes(dim, tile, groups):
    """Coordinate, replica within the tile, and group of four steps of each lane of a block of normals."""
    lanes = groups * tile * dim
    coordinate, replica, group = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
    for i in range(coordinate.size):
        coordinate[i], replica[i], group[i] = i % dim, i // dim % tile, i // (dim * tile)
    return coordinate, replica, group


@njit(nogil=True, error_model="numpy")
def trajectories(
    value, gradient, sample_gradient, apply, update, factor, resize, decide, measure,
    parameters, arrays, sizes, switches, key, record, first, last, out,
):  # fmt: skip
    """Simulate the replicas first..last-1 and write their records into `out`, shape (replicas, records, columns).

    A tile of several replicas shares each pass over coordinates where all functions treat a coordinate by itself
    (short vectors cannot fill the vector unit); then every (d,) array in `parameters` and `arrays` comes repeated.
    A replica has the same place in its tile whatever `last` is, hence the same bits.

    The functions are separate arguments because a tuple of them would be called through pointers, not inlined.
    parameters = the NamedTuples of objective, noise, optimizer, schedule, batch rule and its sampling; arrays = (start,
    step, initial state, lo, hi); sizes = (d, tile, first batch, rows of a finite sum or 0, room for rows, schedule
    slots, row of the accumulator or -1, slots of the batch rule); switches = (separable, replace, normals, scheduled,
    means, adaptive): whether the gradient may be taken over a whole tile, rows are drawn with replacement, the noise
    uses normals, the step changes, statistics are taken at every step or only at the records (their running means are
    then NaN), and the batch changes.
    """
    po, pn, pu, ps, pr, sampling = parameters
    start, base_step, initial_state, lo, hi = arrays
    d, tile, first_batch, total_rows, room, memory, accumulator, rule_slots = sizes
    separable, replace, normals, scheduled, means, adaptive = switches
    n, steps, own = start.size, record[-1], (out.shape[2] - 10) // 2
    groups = max(1, -(-LANES // n))
    coordinate, replica, group = fill_lanes(d, tile, groups)
    z, average, alive = np.zeros((4, groups * n)), np.empty(d), np.empty(tile, np.bool_)
    w, g, total, step, state = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(initial_state.shape)
    f, l1, l2_squared = np.empty(tile), np.empty(tile), np.empty(tile)
    sums, slots, extra = np.empty((tile, 4 + own)), np.empty((tile, memory)), np.empty(own)
    rows, order = np.empty(room + total_rows, np.int64), np.empty(total_rows, np.int64)
    true, variance, row, history = np.empty(n), np.empty(n), np.empty(n), np.empty((rule_slots, d))
    passes, width = (1, n) if separable else (tile, d)
    for r in range(first, last, tile):
        for j in range(n):
            w[j], total[j], step[j] = start[j], start[j], base_step[j]
            for i in range(state.shape[0]):
                state[i, j] = initial_state[i, j]
        for b in range(tile):
            alive[b] = True
            for i in range(4 + own):
                sums[b, i] = 0.0
            for i in range(memory):
                slots[b, i] = 0.0
        for i in range(total_rows):
            order[i] = rows[room + i] = i
        k, batch, used, samples = 0, first_batch, first_batch, 0.0
        for t in range(1, steps + 2):
            recording = t - 1 == record[k]
            observing = means or recording or t == 1
            if observing or adaptive or not total_rows:
                for b in range(passes):
                    gradient(w[b * width : b * width + width], po, g[b * width : b * width + width])
            survivors = 0
            for b in range(tile if observing or scheduled else 0):
                wb, gb = w[b * d : b * d + d], g[b * d : b * d + d]
                if observing:
                    f[b] = value(wb, po)
                    l1[b], l2_squared[b] = norms(gb)
                    alive[b] = alive[b] and np.isfinite(f[b]) and np.isfinite(l2_squared[b])
                    survivors += alive[b]
                if recording and r + b < last:
                    for j in range(d):
                        average[j] = (total[b * d + j] - wb[j]) / (t - 1)
                    o = out[r + b, k]
                    o[0], o[2], o[6] = f[b], value(average, po), l2_squared[b]
                    o[7], o[8], o[9] = used, samples, np.nan
                    if accumulator >= 0:
                        o[9] = 0.0
                        for j in range(b * d, b * d + d):
                            o[9] += state[accumulator, j]
                    if own:
                        measure(wb, gb, po, o[10 : 10 + own])
                    for i in range(4 + own):
                        column = 6 + own + i if i >= 4 else (1 if i == 0 else 2 + i)
                        o[column] = sums[b, i] / (t - 1) if means else np.nan
                    if not alive[b]:
                        for i in range(o.size):
                            o[i] = np.nan
                if means:
                    sums[b, 0] += f[b]
                    sums[b, 1] += l1[b]
                    sums[b, 2] += np.sqrt(l2_squared[b])
                    sums[b, 3] += l2_squared[b]
                    if own:
                        measure(wb, gb, po, extra)
                        for i in range(own):
                            sums[b, 4 + i] += extra[i]
                if scheduled:
                    scale = factor(t, f[b], slots[b], ps)
                    for j in range(b * d, b * d + d):
                        step[j] = base_step[j] * scale
            if recording:
                k += 1
                if k == record.size:
                    break
                if survivors == 0:
                    for b in range(r, min(r + tile, last)):
                        for i in range(k, record.size):
                            for column in range(out.shape[2]):
                                out[b, i, column] = np.nan
                    break
            stream = Stream(key[0], key[1], r, t)
            if adaptive:
                for j in range(d):
                    true[j] = g[j]
                if sampling.exact:  # an oracle needs no batch to decide on one
                    batch = resize(
                        decide, sample_gradient, batch, w, true, g, rows, variance, row, history, stream, po, pr,
                        sampling,
                    )
            used = batch
            samples += batch
            if total_rows:
                draw_rows(rows, order, total_rows, batch, replace, stream)
                sample_gradient(w, po, rows[:batch], g)
            else:
                s = (t - 1) % (4 * groups)
                if normals and s == 0:
                    fill_normals(key[0], key[1], r, (t - 1) // 4, coordinate, replica, group, z[0], z[1], z[2], z[3])
                apply(g, z[s & 3, (s >> 2) * n : (s >> 2) * n + n], batch, stream, pn)
            if not sampling.exact:
                batch = resize(
                    decide, sample_gradient, batch, w, true, g, rows, variance, row, history, stream, po, pr, sampling
                )
            update(w, g, state, step, t, pu)
            clip_and_add(w, lo, hi, total)
