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

from ..compiled.leaf import leaf
from ..compiled.random import Stream, draw_rows

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


@cache
def compose(*measures):
    """One function that writes every measure into `out`, or None; kept per process, since a closure compiles anew."""
    if not measures:
        return None
    before, last = compose(*measures[:-1]), measures[-1]

    @leaf
    def chain(w, gradient, params, out):
        if before is not None:
            before(w, gradient, params, out[:-1])
        out[-1] = last(w, gradient, params)

    return chain


def lanes(dim, tile, groups):
    """Coordinate, replica within the tile, and group of four steps of each lane of a block of normals."""
    i = np.arange(groups * tile * dim, dtype=np.uint64)
    return i % np.uint64(dim), i // np.uint64(dim) % np.uint64(tile), i // np.uint64(dim * tile)


@leaf
def sum_of(x, first, last):
    """Sum of x[first:last]."""
    total = 0.0
    for j in range(first, last):
        total += x[j]
    return total


@njit(nogil=True, error_model="numpy")
def write_means(value, measure, po, w, gradient, total, sums, t, means, average, out):
    """Value at the average of w_1..w_{t-1}, where `total` is the sum of w_1..w_t; own measures; running means."""
    own = sums.size - 4
    for j in range(w.size):
        average[j] = (total[j] - w[j]) / (t - 1)
    out[2] = value(average, po)
    if measure is not None:
        measure(w, gradient, po, out[10 : 10 + own])
    for i in range(sums.size):
        column = 6 + own + i if i >= 4 else (1 if i == 0 else 2 + i)
        out[column] = sums[i] / (t - 1) if means else np.nan


@njit(nogil=True, error_model="numpy")
def trajectories(
    value, gradient, sample_gradient, fill, apply, update, factor, resize, decide, measure,
    parameters, arrays, sizes, switches, key, record, first, last, out,
):  # fmt: skip
    """Simulate the replicas first..last-1 and write their records into `out`, shape (replicas, records, columns).

    A tile of several replicas shares each pass over coordinates where a function treats a coordinate by itself (short
    vectors cannot fill the vector unit); then every (d,) array in `parameters` and `arrays` comes repeated. A replica
    has the same place in its tile whatever `last` is, hence the same bits.

    The functions are separate arguments because a tuple of them would be called through pointers, not inlined. None
    stands for one that is not needed, and its branch is not compiled: sample_gradient where the objective is no finite
    sum, fill where the noise uses no normals, factor where the step is constant, resize and decide where the batch is,
    measure where the user has none.
    parameters = the NamedTuples of objective, noise, optimizer, schedule, batch rule and its sampling; arrays = (start,
    step, initial state, lo, hi, coordinate, replica and group of each lane); sizes = (d, tile, first batch, rows of a
    finite sum or 0, room for rows, schedule slots, row of the accumulator or -1, slots of the batch rule); switches =
    (separable, replace, means): whether the gradient may be taken over a whole tile, rows are drawn with replacement,
    and statistics are taken at every step or only at the records (their running means are then NaN). The state has
    shape (1, rows, tile d) where the update may take a whole tile, else (tile, rows, d).
    """
    po, pn, pu, ps, pr, sampling = parameters
    start, base_step_size, initial_state, lo, hi, coordinate, replica, group = arrays
    d, tile, first_batch, total_rows, room, memory, accumulator, rule_slots = sizes
    separable, replace, means = switches
    n, steps, own = start.size, record[-1], (out.shape[2] - 10) // 2
    groups = coordinate.size // n
    z, average, alive = np.zeros((4, groups * n)), np.empty(d), np.empty(tile, np.bool_)
    w, g, total, step_size, state = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(initial_state.shape)
    f, l1, l2_squared = np.empty(tile), np.empty(tile), np.empty(tile)
    sums, slots, extra = np.empty((tile, 4 + own)), np.empty((tile, memory)), np.empty(own)
    rows, order = np.empty(room + total_rows, np.int64), np.empty(total_rows, np.int64)
    true, variance, row, history = np.empty(n), np.empty(n), np.empty(n), np.empty((rule_slots, d))
    passes, width = (1, n) if separable else (tile, d)
    updates, reach = initial_state.shape[0], initial_state.shape[2]
    for r in range(first, last, tile):
        for j in range(n):
            w[j], total[j], step_size[j] = start[j], start[j], base_step_size[j]
        for b in range(updates):
            for i in range(initial_state.shape[1]):
                for j in range(reach):
                    state[b, i, j] = initial_state[b, i, j]
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
            needed = watching = observing
            if sample_gradient is None:
                needed = True
            if resize is not None:
                needed = True
            if factor is not None:
                watching = True
            if needed:
                for b in range(passes):
                    gradient(w[b * width : b * width + width], po, g[b * width : b * width + width])
            survivors = 0
            for b in range(tile if watching else 0):
                wb, gb = w[b * d : b * d + d], g[b * d : b * d + d]
                if observing:
                    f[b] = value(wb, po)
                    l1[b], l2_squared[b] = norms(gb)
                    alive[b] = alive[b] and np.isfinite(f[b]) and np.isfinite(l2_squared[b])
                    survivors += alive[b]
                if recording and r + b < last:
                    o = out[r + b, k]
                    if alive[b]:
                        o[0], o[6], o[7], o[8], o[9] = f[b], l2_squared[b], used, samples, np.nan
                        if accumulator >= 0:
                            place, at = divmod(b * d, reach)
                            o[9] = sum_of(state[place, accumulator], at, at + d)
                        write_means(value, measure, po, wb, gb, total[b * d : b * d + d], sums[b], t, means, average, o)
                    else:
                        for i in range(o.size):
                            o[i] = np.nan
                if means:
                    sums[b, 0] += f[b]
                    sums[b, 1] += l1[b]
                    sums[b, 2] += np.sqrt(l2_squared[b])
                    sums[b, 3] += l2_squared[b]
                    if measure is not None:
                        measure(wb, gb, po, extra)
                        for i in range(own):
                            sums[b, 4 + i] += extra[i]
                if factor is not None:
                    scale = factor(t, f[b], slots[b], ps)
                    for j in range(b * d, b * d + d):
                        step_size[j] = base_step_size[j] * scale
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
            if resize is not None:
                for j in range(d):
                    true[j] = g[j]
                if sampling.exact:  # an oracle needs no batch to decide on one
                    batch = resize(
                        decide, sample_gradient, batch, w, true, g, rows, variance, row, history, stream, po, pr,
                        sampling,
                    )
            used = batch
            samples += batch
            if sample_gradient is not None:
                draw_rows(rows, order, total_rows, batch, replace, stream)
                sample_gradient(w, po, rows[:batch], g)
            else:
                s = (t - 1) % (4 * groups)
                if fill is not None and s == 0:
                    fill(key[0], key[1], r, (t - 1) // 4, coordinate, replica, group, z[0], z[1], z[2], z[3])
                apply(g, z[s & 3, (s >> 2) * n : (s >> 2) * n + n], batch, stream, pn)
            if resize is not None and not sampling.exact:
                batch = resize(
                    decide, sample_gradient, batch, w, true, g, rows, variance, row, history, stream, po, pr,
                    sampling,
                )
            for b in range(updates):
                at, end = b * reach, b * reach + reach
                update(w[at:end], g[at:end], state[b], step_size[at:end], t, pu)
            clip_and_add(w, lo, hi, total)
