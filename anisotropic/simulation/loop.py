"""What happens in one trajectory? One fused compiled loop: gradient, noise, update, box, statistics.

The kernel takes compiled functions and NamedTuple parameters as arguments, so that any objective, noise and optimizer
meet in it.

Per iteration and coordinate the loop does what a theorem's measure needs: the true gradient, its norms and the gap in
each for the running means; in the recorded ones also the gap at the average iterate. A replica costs no memory of its
own: normals are functions of (seed, replica, step, coordinate) and are drawn for a block of steps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import njit

from ..compiled.leaf import leaf
from ..compiled.random import Stream, draw_rows
from ..compiled.views import matrix, part, share

#: Columns of the kernel's output at a record; then follow the user's measures, running means, and theirs.
NOW = ("value", "average_value", "last_gradient_l2_squared", "accumulator", "batch_size", "samples")
MEANS = ("mean_value", "gradient_l1", "gradient_l2", "gradient_l2_squared")


def columns(measures: Sequence[str] = ()) -> list[str]:
    """Names of the output's columns, in order."""
    return [*NOW, *measures, *MEANS, *(f"mean_{name}" for name in measures)]


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
def mean_before(total, w, count, out):
    """Mean of the `count` iterates before w, where `total` is the sum of them and w."""
    for j in range(w.size):
        out[j] = (total[j] - w[j]) / count


@leaf
def sum_of(x):
    """Sum of the entries."""
    total = 0.0
    for j in range(x.size):
        total += x[j]
    return total


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


@njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def settle(statistics, sums, failed, first_step, count, record, k, r, last, means, out):
    """Enter the statistics of `count` steps into records and running sums; the number of records done.

    Entries of `statistics` are (step, column, replica of the tile); a replica whose value or gradient is not finite has
    failed, and is recorded no more. With no replica left, all records are done.
    """
    tile, width = failed.size, out.shape[2]
    ahead = width // 2 + 1
    for s in range(count):
        t = first_step + s
        recording = t - 1 == record[k]
        if not (means or recording or t == 1):
            continue
        now = part(statistics, s * width * tile, ahead * tile)
        seen = part(statistics, (s * width + ahead) * tile, (width - ahead) * tile)
        for b in range(tile):
            value, square = now[b], now[2 * tile + b]
            seen[b], seen[2 * tile + b], seen[3 * tile + b] = value, np.sqrt(square), square
            failed[b] += (value - value) + (square - square)  # stays NaN once one of them is not finite
        if recording:
            alive = 0
            for b in range(tile):
                alive += failed[b] == 0.0
                if failed[b] == 0.0 and r + b < last:
                    row = part(out, ((r + b) * record.size + k) * width, width)
                    for i in range(ahead):
                        row[i] = now[i * tile + b]
                    for i in range(width - ahead):
                        row[ahead + i] = sums[i * tile + b] / (t - 1) if means else np.nan
            k = k + 1 if alive else record.size
            if k == record.size:
                return k
        for i in range(sums.size):
            sums[i] += seen[i]
    return k


@njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def trajectories(
    value, gradient, sample_gradient, fill, apply, update, factor, resize, decide, measure,
    params, lanes, setting, key, record, first, last, out, signal,
):  # fmt: skip
    """Simulate the replicas first..last-1 and write their records into `out`, shape (replicas, records, columns).

    `layout` says what params, lanes and setting hold. `out` comes filled with NaN, which stays where a replica has
    failed. signal[0] not 0 asks the loop to return at once; signal[1] is the number of updates done so far, of the
    replicas together.

    A tile of several replicas shares each pass over coordinates where a function treats a coordinate by itself (short
    vectors cannot fill the vector unit), and a block of the coordinates of a long vector takes `span` steps before the
    next block does, so that its state stays near the processor. A replica has the same place in its tile whatever
    `last` is, hence the same bits.

    The functions are separate arguments because a tuple of them would be called through pointers, not inlined. None
    stands for one that is not needed, and its branch is not compiled: sample_gradient where the objective is no finite
    sum, fill where the noise uses no normals, factor where the step size is constant, resize and decide where the batch
    is, measure where the user has none.
    """
    d, tile, width, span = lanes.dim, lanes.tile, lanes.width, lanes.span
    n, steps, wide = d * tile, record[-1], out.shape[2]
    ahead, own, groups = wide // 2 + 1, wide // 2 - 5, lanes.group.size // min(width, n)
    rows, slots = lanes.state.size // n, setting.schedule_slots
    held = width if lanes.together else n
    w, total, state, step_size = np.empty(n + width), np.empty(n), np.empty(lanes.state.size), lanes.step_size
    if factor is not None:
        step_size = np.empty(n)
    g, z, extra = np.empty(held), np.empty(4 * groups * held), np.empty(own)
    statistics, memory = np.empty(span * tile * wide), np.empty(tile * (5 + own + slots) + setting.rule_slots * d)
    failed, sums = part(memory, 0, tile), part(memory, tile, tile * (4 + own))
    history = matrix(memory, tile * (5 + own + slots), setting.rule_slots, d)
    drawn, order = np.empty(setting.room + setting.population, np.int64), np.empty(setting.population, np.int64)
    true, variance, sample = np.empty(n), np.empty(n), np.empty(n)
    for r in range(first, last, tile):
        for j in range(n):
            w[j] = total[j] = lanes.start[j]
        for i in range(state.size):
            state[i] = lanes.state[i]
        for i in range(memory.size):
            memory[i] = 0.0
        for i in range(setting.population):
            order[i] = drawn[setting.room + i] = i
        k, batch, used, before = np.int64(0), setting.first_batch, setting.first_batch, 0.0
        for first_step in range(1, steps + 2, span):
            count = min(span, steps + 2 - first_step)
            samples = before
            for low in range(0, n, width):
                if signal[0] != 0:
                    return
                size = min(width, n - low)
                offset, begin, end, reach = 0, low, low + size, size
                if not lanes.together:
                    offset, begin, end, reach = low, 0, (n if low + size == n else 0), d
                stretch, segment = (size if lanes.separable else d), (d if tile > 1 else size)
                wb, gb, zb = part(w, low, size), part(g, offset, size), part(z, 4 * groups * offset, 4 * groups * size)
                po, pn = share(params.objective, low, size, n), share(params.noise, low, size, n)
                pu = share(params.optimizer, begin, end - begin, n)
                here, samples = k, before
                for s in range(count):
                    t = first_step + s
                    recording = t - 1 == record[here]
                    here += recording
                    needed = watching = setting.means or setting.watched or recording or t == 1
                    if sample_gradient is None:
                        needed = True
                    if resize is not None:
                        needed = needed or params.sampling.exact  # other rules look at the batch alone
                    if needed:
                        for b in range(0, size, stretch):
                            gradient(part(wb, b, stretch), po, part(gb, b, stretch))
                    now = part(statistics, s * tile * wide, tile * wide)
                    if recording:
                        mean_before(part(total, low, size), wb, t - 1, part(w, n, size))
                    for b in range((1 + recording) * tile if watching else 0):
                        at = low if b < tile else n - tile * segment  # behind the iterates lies their mean
                        now[b] = value(part(w, at + b * segment, segment), po) + (now[b] if low else 0.0)
                    for b in range(tile if watching else 0):
                        gr = part(gb, b * segment, segment)
                        l1, l2_squared = norms(gr)
                        now[2 * tile + b] = l2_squared + (now[2 * tile + b] if low else 0.0)
                        now[(ahead + 1) * tile + b] = l1 + (now[(ahead + 1) * tile + b] if low else 0.0)
                        if measure is not None:
                            measure(part(wb, b * segment, segment), gr, po, extra)
                            for i in range(own):
                                now[(6 + i) * tile + b] = now[(ahead + 4 + i) * tile + b] = extra[i]
                    for b in range(tile if recording else 0):
                        others = now[3 * tile + b] if low else 0.0
                        now[3 * tile + b], now[4 * tile + b], now[5 * tile + b] = np.nan, used, samples
                        if setting.accumulator >= 0:
                            lane = low + b * segment
                            at = low if lanes.together else lane - lane % d
                            row = part(state, at * rows + setting.accumulator * reach + lane - at, segment)
                            now[3 * tile + b] = others + sum_of(row)
                    if factor is not None:
                        for b in range(tile):
                            if low == 0:
                                own_slots = part(memory, tile * (5 + own) + b * slots, slots)
                                now[ahead * tile + b] = factor(t, now[b], own_slots, params.schedule)
                            for j in range(low + b * segment, low + b * segment + segment):
                                step_size[j] = lanes.step_size[j] * now[ahead * tile + b]
                    if t > steps:
                        break
                    stream = Stream(key[0], key[1], r, t)
                    if resize is not None:
                        for j in range(d):
                            true[j] = g[j]
                        if params.sampling.exact:  # an oracle needs no batch to decide on one
                            batch = resize(
                                decide, sample_gradient, batch, wb, true, gb, drawn, variance, sample, history, stream,
                                po, params.rule, params.sampling,
                            )  # fmt: skip
                    used = batch
                    samples += batch
                    if sample_gradient is not None:
                        draw_rows(drawn, order, setting.population, batch, setting.replace, stream)
                        sample_gradient(wb, po, part(drawn, 0, batch), gb)
                    else:
                        q, m = (t - 1) % (4 * groups), groups * size
                        if fill is not None and q == 0:
                            fill(
                                key[0], key[1], r, (t - 1) // 4, part(lanes.coordinate, low * groups, m),
                                part(lanes.replica, 0, m), part(lanes.group, 0, m),
                                part(zb, 0, m), part(zb, m, m), part(zb, 2 * m, m), part(zb, 3 * m, m),
                            )  # fmt: skip
                        apply(gb, part(zb, (q & 3) * m + (q >> 2) * size, size), batch, stream, pn)
                    if resize is not None and not params.sampling.exact:
                        batch = resize(
                            decide, sample_gradient, batch, wb, true, gb, drawn, variance, sample, history, stream,
                            po, params.rule, params.sampling,
                        )  # fmt: skip
                    for at in range(begin, end, reach):
                        update(
                            part(w, at, reach), part(g, at - begin, reach), matrix(state, at * rows, rows, reach),
                            part(step_size, at, reach), t, pu,
                        )  # fmt: skip
                    m = end - begin
                    lo, hi = part(lanes.lo, begin, m), part(lanes.hi, begin, m)
                    clip_and_add(part(w, begin, m), lo, hi, part(total, begin, m))
            k = settle(statistics, sums, failed, first_step, count, record, k, r, last, setting.means, out)
            signal[1] += count * min(tile, last - r)
            before = samples
            if k == record.size:
                break
